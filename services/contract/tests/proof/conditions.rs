//! Random conditions over several fields as trees of our own: written as CEL for the product, and evaluated
//! here by CEL's rules, slowly.
//!
//! An operand that is null, an overflow, a division by zero: no value, which `&&` and `||` absorb where the
//! other side decides. `==`, `!=` and `in` treat null as a value.

use std::cmp::Ordering;

use super::random::Random;
use super::read::{Seen, unscaled};
use super::rules::nullable;
use super::schema::{Body, Mark, Primitive, Schema, Type};

/// A field that a condition may name.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    path: Vec<String>,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Bool,
    Int,
    Double,
    Decimal(u32),
    Text,
    Symbol(Vec<String>),
    Bytes,
    /// In units of so many nanoseconds.
    Time(i128),
    Span(i128),
    Items,
    Record,
}

#[derive(Debug, Clone)]
pub(crate) enum Tree {
    Field(Place),
    Null,
    Now,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    Bytes(&'static str),
    Time(usize),
    Span(usize),
    Not(Box<Tree>),
    Negative(Box<Tree>),
    Binary(&'static str, Box<Tree>, Box<Tree>),
    Choose(Box<Tree>, Box<Tree>, Box<Tree>),
    Has(Place),
    Size(Box<Tree>),
    In(Box<Tree>, Vec<Tree>),
    Method(&'static str, Box<Tree>, Box<Tree>),
    Matches(Box<Tree>, usize),
    Convert(&'static str, Box<Tree>),
}

const TIMES: [(&str, i128); 3] = [
    ("1970-01-01T00:00:00Z", 0),
    ("2024-02-29T12:00:00Z", 1_709_208_000),
    ("2024-02-29T12:00:00+02:00", 1_709_200_800),
];
const SPANS: [(&str, i128); 3] = [("24h", 86_400_000_000_000), ("1h30m", 5_400_000_000_000), ("0s", 0)];
/// What a pattern means.
type Meaning = fn(&str) -> bool;

const PATTERNS: [(&str, Meaning); 2] = [
    ("^a[^b]*7$", |text| text.len() > 1 && text.starts_with('a') && text.ends_with('7') && !text.contains('b')),
    ("é+", |text| text.contains('é')),
];
const ORDERS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];

/// The fields of a schema that conditions can read: those that no array, map or general union holds.
pub(crate) fn places(schema: &Schema) -> Vec<Place> {
    let mut found = Vec::new();
    beneath(schema, &schema.root(), &mut Vec::new(), &mut found);
    found
}

fn beneath(schema: &Schema, kind: &Type, path: &mut Vec<String>, found: &mut Vec<Place>) {
    let inner = match kind {
        Type::Union(branches) if branches.len() == 1 => &branches[0],
        kind => nullable(kind).unwrap_or(kind),
    };
    if !path.is_empty()
        && let Some(kind) = kind_of(schema, inner)
    {
        found.push(Place { path: path.clone(), kind });
    }
    if let Type::Named(index) = inner
        && path.len() < 3
    {
        for field in schema.fields(*index).unwrap_or_default() {
            path.push(field.name.clone());
            beneath(schema, &field.kind, path, found);
            path.pop();
        }
    }
}

fn kind_of(schema: &Schema, kind: &Type) -> Option<Kind> {
    match schema.mark(kind) {
        Some(Mark::Decimal { scale, .. }) => return Some(Kind::Decimal(scale)),
        Some(Mark::Date) => return Some(Kind::Time(86_400_000_000_000)),
        Some(Mark::TimeMillis) => return Some(Kind::Span(1_000_000)),
        Some(Mark::TimeMicros) => return Some(Kind::Span(1_000)),
        Some(Mark::TimestampMillis | Mark::LocalTimestampMillis) => return Some(Kind::Time(1_000_000)),
        Some(Mark::TimestampMicros) => return Some(Kind::Time(1_000)),
        Some(Mark::TimestampNanos) => return Some(Kind::Time(1)),
        Some(Mark::Uuid) | None => {}
    }
    Some(match kind {
        Type::Primitive(primitive, _) => match primitive {
            Primitive::Null => return None,
            Primitive::Boolean => Kind::Bool,
            Primitive::Int | Primitive::Long => Kind::Int,
            Primitive::Float | Primitive::Double => Kind::Double,
            Primitive::Text => Kind::Text,
            Primitive::Bytes => Kind::Bytes,
        },
        Type::Array(_) | Type::Map(_) => Kind::Items,
        Type::Union(_) => return None,
        Type::Named(index) => match &schema.named[*index].body {
            Body::Record(_) => Kind::Record,
            Body::Enum { symbols, .. } => Kind::Symbol(symbols.clone()),
            Body::Fixed { .. } => Kind::Bytes,
        },
    })
}

/// A random condition.
pub(crate) fn random(places: &[Place], random: &mut Random, depth: usize) -> Tree {
    let two = |random: &mut Random| {
        (Box::new(self::random(places, random, depth + 1)), Box::new(self::random(places, random, depth + 1)))
    };
    match random.below(if depth > 2 { 6 } else { 11 }) {
        6 | 7 => {
            let (a, b) = two(random);
            Tree::Binary("&&", a, b)
        }
        8 => {
            let (a, b) = two(random);
            Tree::Binary("||", a, b)
        }
        9 => Tree::Not(Box::new(self::random(places, random, depth + 1))),
        10 => {
            let (a, b) = two(random);
            Tree::Choose(Box::new(self::random(places, random, depth + 1)), a, b)
        }
        _ => about(random.pick(places), places, random),
    }
}

/// A condition about one field at least.
fn about(place: &Place, places: &[Place], random: &mut Random) -> Tree {
    if random.one_in(6) {
        let test = if random.one_in(2) { "==" } else { "!=" };
        return Tree::Binary(test, Box::new(Tree::Field(place.clone())), Box::new(Tree::Null));
    }
    if random.one_in(6) && place.path.len() > 1 {
        return Tree::Has(place.clone());
    }
    let field = Box::new(Tree::Field(place.clone()));
    match &place.kind {
        Kind::Bool if random.one_in(2) => *field,
        Kind::Bool => Tree::Binary("==", field, Box::new(Tree::Bool(random.one_in(2)))),
        Kind::Int | Kind::Items if random.one_in(4) => {
            let items = (0..random.below(4)).map(|_| integer(places, random, 2)).collect();
            Tree::In(Box::new(integer(std::slice::from_ref(place), random, 0)), items)
        }
        Kind::Int | Kind::Items => compare(
            integer(std::slice::from_ref(place), random, 0),
            if random.one_in(6) { double(places, random, 0) } else { integer(places, random, 0) },
            random,
        ),
        Kind::Double => compare(
            double(std::slice::from_ref(place), random, 0),
            if random.one_in(6) { integer(places, random, 0) } else { double(places, random, 0) },
            random,
        ),
        Kind::Decimal(_) => {
            let left = decimal(std::slice::from_ref(place), random, 0);
            let right = match random.below(3) {
                0 => integer(places, random, 1),
                1 => Tree::Double(random.below(9) as f64 / 4.0),
                _ => decimal(std::slice::from_ref(place), random, 1),
            };
            compare(left, right, random)
        }
        Kind::Text => text(field, random),
        Kind::Symbol(symbols) => {
            let symbol = Tree::Text(random.pick(symbols).clone());
            match random.below(3) {
                0 => Tree::In(field, vec![symbol]),
                _ => Tree::Binary(if random.one_in(2) { "==" } else { "!=" }, field, Box::new(symbol)),
            }
        }
        Kind::Bytes if random.one_in(2) => {
            let size = Tree::Size(field);
            compare(size, Tree::Int(random.below(4) as i64), random)
        }
        Kind::Bytes => compare(*field, Tree::Bytes("a"), random),
        Kind::Time(_) => time(field, random),
        Kind::Span(_) => compare(span(field, random), Tree::Span(random.below(SPANS.len())), random),
        Kind::Record => Tree::Binary("!=", field, Box::new(Tree::Null)),
    }
}

fn word(from: &[&'static str], random: &mut Random) -> &'static str {
    from[random.below(from.len())]
}

fn compare(left: Tree, right: Tree, random: &mut Random) -> Tree {
    Tree::Binary(word(&ORDERS, random), Box::new(left), Box::new(right))
}

fn of(places: &[Place], random: &mut Random, fits: impl Fn(&Kind) -> bool) -> Option<Place> {
    let some: Vec<&Place> = places.iter().filter(|place| fits(&place.kind)).collect();
    if some.is_empty() { None } else { Some((*random.pick(&some)).clone()) }
}

fn integer(places: &[Place], random: &mut Random, depth: usize) -> Tree {
    if depth < 2 && random.one_in(3) {
        let (a, b) = (integer(places, random, depth + 1), integer(places, random, depth + 1));
        return Tree::Binary(word(&["+", "-", "*", "/", "%"], random), Box::new(a), Box::new(b));
    }
    if depth < 2 && random.one_in(8) {
        return Tree::Negative(Box::new(integer(places, random, depth + 1)));
    }
    if random.one_in(12)
        && let Some(place) = of(places, random, |kind| matches!(kind, Kind::Double | Kind::Time(_)))
    {
        return Tree::Convert("int", Box::new(Tree::Field(place)));
    }
    match of(places, random, |kind| matches!(kind, Kind::Int | Kind::Items)) {
        Some(place) if !random.one_in(3) => match place.kind {
            Kind::Items => Tree::Size(Box::new(Tree::Field(place))),
            _ => Tree::Field(place),
        },
        _ => Tree::Int(random.whole().saturating_abs()),
    }
}

fn double(places: &[Place], random: &mut Random, depth: usize) -> Tree {
    if depth < 2 && random.one_in(3) {
        let (a, b) = (double(places, random, depth + 1), double(places, random, depth + 1));
        return Tree::Binary(word(&["+", "-", "*", "/"], random), Box::new(a), Box::new(b));
    }
    if random.one_in(8)
        && let Some(place) = of(places, random, |kind| matches!(kind, Kind::Int | Kind::Double))
    {
        return Tree::Convert("double", Box::new(Tree::Field(place)));
    }
    match of(places, random, |kind| *kind == Kind::Double) {
        Some(place) if !random.one_in(3) => Tree::Field(place),
        _ => Tree::Double(random.below(40) as f64 / 4.0),
    }
}

fn decimal(places: &[Place], random: &mut Random, depth: usize) -> Tree {
    if depth < 2 && random.one_in(3) {
        let a = decimal(places, random, depth + 1);
        let b = if random.one_in(2) { Tree::Int(random.below(9) as i64) } else { decimal(places, random, depth + 1) };
        return Tree::Binary(word(&["+", "-", "*"], random), Box::new(a), Box::new(b));
    }
    let place = of(places, random, |kind| matches!(kind, Kind::Decimal(_))).expect("a field of this kind");
    Tree::Field(place)
}

fn text(field: Box<Tree>, random: &mut Random) -> Tree {
    let part = Tree::Text((*random.pick(&["", "a", "7", "é", "漢a"])).to_owned());
    match random.below(5) {
        0 => Tree::Method(word(&["startsWith", "endsWith", "contains"], random), field, Box::new(part)),
        1 => Tree::Matches(field, random.below(PATTERNS.len())),
        2 => compare(Tree::Size(field), Tree::Int(random.below(5) as i64), random),
        3 => Tree::In(field, vec![part, Tree::Text("aa".to_owned()), Tree::Null]),
        _ => compare(*field, part, random),
    }
}

fn time(field: Box<Tree>, random: &mut Random) -> Tree {
    let known = Box::new(Tree::Time(random.below(TIMES.len())));
    let length = Box::new(Tree::Span(random.below(SPANS.len())));
    match random.below(3) {
        0 => compare(*field, *known, random),
        1 => compare(Tree::Binary("-", Box::new(Tree::Now), field), *length, random),
        _ => compare(Tree::Binary("+", field, length), Tree::Now, random),
    }
}

fn span(field: Box<Tree>, random: &mut Random) -> Tree {
    match random.below(3) {
        0 => Tree::Negative(field),
        1 => Tree::Binary("-", field, Box::new(Tree::Span(1))),
        _ => *field,
    }
}

impl Tree {
    /// The condition as CEL.
    pub(crate) fn source(&self) -> String {
        match self {
            Self::Field(place) => place.path.join("."),
            Self::Null => "null".to_owned(),
            Self::Now => "now".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Double(value) => format!("{value:?}"),
            Self::Text(text) => format!("\"{text}\""),
            Self::Bytes(text) => format!("b\"{text}\""),
            Self::Time(index) => format!("timestamp(\"{}\")", TIMES[*index].0),
            Self::Span(index) => format!("duration(\"{}\")", SPANS[*index].0),
            Self::Not(inner) => format!("!({})", inner.source()),
            Self::Negative(inner) => format!("-({})", inner.source()),
            Self::Binary(sign, a, b) => format!("({} {sign} {})", a.source(), b.source()),
            Self::Choose(test, a, b) => format!("({} ? {} : {})", test.source(), a.source(), b.source()),
            Self::Has(place) => format!("has({})", place.path.join(".")),
            Self::Size(inner) => format!("size({})", inner.source()),
            Self::In(needle, items) => {
                let items: Vec<String> = items.iter().map(Self::source).collect();
                format!("({} in [{}])", needle.source(), items.join(", "))
            }
            Self::Method(name, target, part) => format!("{}.{name}({})", target.source(), part.source()),
            Self::Matches(target, index) => format!("{}.matches(\"{}\")", target.source(), PATTERNS[*index].0),
            Self::Convert(name, inner) => format!("{name}({})", inner.source()),
        }
    }

    /// Whether it is true of a record; a condition without a value is not.
    pub(crate) fn holds(&self, record: &Seen, now: i128) -> bool {
        self.value(record, now) == Some(Value::Bool(true))
    }

    fn bool(&self, record: &Seen, now: i128) -> Option<bool> {
        match self.value(record, now) {
            Some(Value::Bool(value)) => Some(value),
            _ => None,
        }
    }

    fn value(&self, record: &Seen, now: i128) -> Option<Value> {
        Some(match self {
            Self::Field(place) => found(place, record),
            Self::Null => Value::Null,
            Self::Now => Value::Time(now),
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Double(value) => Value::Double(*value),
            Self::Text(text) => Value::Text(text.clone()),
            Self::Bytes(text) => Value::Bytes(text.as_bytes().to_vec()),
            Self::Time(index) => Value::Time(TIMES[*index].1 * 1_000_000_000),
            Self::Span(index) => Value::Span(SPANS[*index].1),
            Self::Not(inner) => Value::Bool(!inner.bool(record, now)?),
            Self::Negative(inner) => match inner.value(record, now)? {
                Value::Int(value) => Value::Int(0_i64.checked_sub(value)?),
                Value::Double(value) => Value::Double(-value),
                Value::Span(value) => Value::Span(-value),
                _ => return None,
            },
            Self::Binary(sign @ ("&&" | "||"), a, b) => {
                let decisive = Some(*sign == "||");
                let (left, right) = (a.bool(record, now), b.bool(record, now));
                Value::Bool(if left == decisive || right == decisive {
                    decisive?
                } else {
                    left?;
                    right?
                })
            }
            Self::Binary(sign, a, b) => binary(sign, a.value(record, now)?, b.value(record, now)?)?,
            Self::Choose(test, a, b) => if test.bool(record, now)? { a } else { b }.value(record, now)?,
            Self::Has(place) => Value::Bool(found(place, record) != Value::Null),
            Self::Size(inner) => Value::Int(match inner.value(record, now)? {
                Value::Text(text) => text.chars().count() as i64,
                Value::Bytes(bytes) => bytes.len() as i64,
                Value::Items(count) => count as i64,
                _ => return None,
            }),
            Self::In(needle, items) => {
                let needle = needle.value(record, now)?;
                for item in items {
                    if order(&needle, &item.value(record, now)?) == Some(Ordering::Equal) {
                        return Some(Value::Bool(true));
                    }
                }
                Value::Bool(false)
            }
            Self::Method(name, target, part) => match (target.value(record, now)?, part.value(record, now)?) {
                (Value::Text(text), Value::Text(part)) => Value::Bool(match *name {
                    "startsWith" => text.starts_with(&part),
                    "endsWith" => text.ends_with(&part),
                    _ => text.contains(&part),
                }),
                _ => return None,
            },
            Self::Matches(target, index) => match target.value(record, now)? {
                Value::Text(text) => Value::Bool(PATTERNS[*index].1(&text)),
                _ => return None,
            },
            Self::Convert(name, inner) => convert(name, inner.value(record, now)?)?,
        })
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    /// Unscaled, and its scale.
    Decimal(i128, u32),
    Text(String),
    Bytes(Vec<u8>),
    Time(i128),
    Span(i128),
    Items(usize),
    Record,
}

fn found(place: &Place, record: &Seen) -> Value {
    let mut seen = record;
    for name in &place.path {
        match seen {
            Seen::Record(fields) => seen = &fields.iter().find(|(field, _)| field == name).expect("a field").1,
            _ => return Value::Null,
        }
    }
    match (seen, &place.kind) {
        (Seen::Whole(value), Kind::Time(unit)) => Value::Time(i128::from(*value) * unit),
        (Seen::Whole(value), Kind::Span(unit)) => Value::Span(i128::from(*value) * unit),
        (Seen::Decimal(bytes), Kind::Decimal(scale)) => Value::Decimal(unscaled(bytes).expect("it fits"), *scale),
        (Seen::Bool(value), _) => Value::Bool(*value),
        (Seen::Whole(value), _) => Value::Int(*value),
        (Seen::Single(value), _) => Value::Double(f64::from(*value)),
        (Seen::Double(value), _) => Value::Double(*value),
        (Seen::Text(text) | Seen::Symbol(text), _) => Value::Text(text.clone()),
        (Seen::Bytes(bytes), _) => Value::Bytes(bytes.clone()),
        (Seen::Items(items), _) => Value::Items(items.len()),
        (Seen::Entries(entries), _) => Value::Items(entries.len()),
        (Seen::Record(_), _) => Value::Record,
        (Seen::Null, _) => Value::Null,
        (seen, kind) => panic!("{seen:?} is no {kind:?}"),
    }
}

/// Their order; `None` where they have none: NaN, null and a value.
fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Null, Value::Null) => Some(Ordering::Equal),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Int(a), Value::Double(b)) => whole_and_real(*a, *b),
        (Value::Double(a), Value::Int(b)) => Some(whole_and_real(*b, *a)?.reverse()),
        (Value::Text(a), Value::Text(b)) => Some(a.chars().cmp(b.chars())),
        (Value::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
        (Value::Time(a), Value::Time(b)) | (Value::Span(a), Value::Span(b)) => Some(a.cmp(b)),
        _ => {
            let (Some((a, left)), Some((b, right))) = (fraction(a), fraction(b)) else { return None };
            let scale = left.max(right);
            // Beyond 128 bits, its sign says on which side it lies.
            let wide = |number: i128, from: u32| {
                number.checked_mul(10_i128.pow(scale - from)).unwrap_or(if number < 0 { i128::MIN } else { i128::MAX })
            };
            Some(wide(a, left).cmp(&wide(b, right)))
        }
    }
}

fn whole_and_real(whole: i64, real: f64) -> Option<Ordering> {
    if real.is_nan() {
        return None;
    }
    // Doubles beyond 10^30 are beyond every long.
    let floor = real.clamp(-1e30, 1e30).floor();
    let order = i128::from(whole).cmp(&(floor as i128));
    Some(if order == Ordering::Equal && real > floor { Ordering::Less } else { order })
}

fn fraction(value: &Value) -> Option<(i128, u32)> {
    match value {
        Value::Int(value) => Some((i128::from(*value), 0)),
        Value::Decimal(value, scale) => Some((*value, *scale)),
        // Literals beside decimals are quarters.
        Value::Double(value) => Some(((value * 100.0) as i128, 2)),
        _ => None,
    }
}

fn binary(sign: &str, a: Value, b: Value) -> Option<Value> {
    let order = order(&a, &b);
    if sign == "==" || sign == "!=" {
        return Some(Value::Bool((order == Some(Ordering::Equal)) == (sign == "==")));
    }
    if a == Value::Null || b == Value::Null {
        return None;
    }
    let ordered = |fits: &[Ordering]| Some(Value::Bool(order.is_some_and(|order| fits.contains(&order))));
    match sign {
        "<" => ordered(&[Ordering::Less]),
        "<=" => ordered(&[Ordering::Less, Ordering::Equal]),
        ">" => ordered(&[Ordering::Greater]),
        ">=" => ordered(&[Ordering::Greater, Ordering::Equal]),
        _ => arithmetic(sign, a, b),
    }
}

fn arithmetic(sign: &str, a: Value, b: Value) -> Option<Value> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => {
            let (a, b) = (i128::from(a), i128::from(b));
            let result = match sign {
                "+" => a + b,
                "-" => a - b,
                "*" => a * b,
                _ if b == 0 => return None,
                "/" => a / b,
                // The quotient is computed on the way, and does not fit.
                _ if a == i128::from(i64::MIN) && b == -1 => return None,
                _ => a % b,
            };
            i64::try_from(result).ok().map(Value::Int)
        }
        (Value::Double(a), Value::Double(b)) => Some(Value::Double(match sign {
            "+" => a + b,
            "-" => a - b,
            "*" => a * b,
            _ => a / b,
        })),
        (Value::Time(a), Value::Time(b)) | (Value::Span(a), Value::Span(b)) => Some(Value::Span(match sign {
            "+" => a + b,
            _ => a - b,
        })),
        (Value::Time(a), Value::Span(b)) => Some(Value::Time(if sign == "+" { a + b } else { a - b })),
        (a, b) => {
            let ((a, left), (b, right)) = (fraction(&a)?, fraction(&b)?);
            if sign == "*" {
                return Some(Value::Decimal(a.checked_mul(b)?, left + right));
            }
            let scale = left.max(right);
            let a = a.checked_mul(10_i128.pow(scale - left))?;
            let b = b.checked_mul(10_i128.pow(scale - right))?;
            Some(Value::Decimal(if sign == "+" { a.checked_add(b)? } else { a.checked_sub(b)? }, scale))
        }
    }
}

fn convert(name: &str, value: Value) -> Option<Value> {
    match (name, value) {
        ("double", Value::Int(value)) => Some(Value::Double(value as f64)),
        ("double", Value::Double(value)) => Some(Value::Double(value)),
        ("int", Value::Double(value)) => {
            // Not even the least long converts from a double, by CEL's definition.
            let inside = value.abs() < 9_223_372_036_854_775_808.0;
            inside.then_some(Value::Int(value as i64))
        }
        ("int", Value::Time(nanos)) => i64::try_from(nanos.div_euclid(1_000_000_000)).ok().map(Value::Int),
        _ => None,
    }
}
