//! What a condition is of a record.

use std::cmp::Ordering;

use super::{Base, Kind, PATTERNS, Place, SPANS, TIMES, Tree, moments, texts};
use crate::read::{Seen, unscaled};

/// A record, and the items that comprehensions are at: name, key, item.
pub(super) struct World<'a> {
    record: &'a Seen,
    now: i128,
    items: Vec<(String, &'a str, &'a Seen)>,
}

impl<'a> World<'a> {
    pub(super) fn new(record: &'a Seen, now: i128) -> Self {
        Self { record, now, items: Vec::new() }
    }

    fn with(&self, name: &str, key: &'a str, item: &'a Seen) -> Self {
        let mut items = self.items.clone();
        items.push((name.to_owned(), key, item));
        Self { record: self.record, now: self.now, items }
    }

    fn item(&self, name: &str) -> (&'a str, &'a Seen) {
        let (_, key, item) = self.items.iter().rev().find(|(other, ..)| other == name).expect("a variable");
        (key, item)
    }

    /// What stands at a place; `None` where the way there has an error.
    fn seen(&self, place: &Place) -> Option<&'a Seen> {
        let mut seen = match &place.base {
            Base::Record => self.record,
            Base::Item { name, .. } => self.item(name).1,
            Base::Key(_) => panic!("a key is text"),
            Base::At(list, index) => self.items(list)?.get(usize::try_from(*index).ok()?)?.1,
        };
        for name in &place.path {
            match seen {
                Seen::Record(fields) => seen = &fields.iter().find(|(field, _)| field == name).expect("a field").1,
                _ => return Some(&Seen::Null),
            }
        }
        Some(seen)
    }

    /// Keys and items; `None` for null.
    fn items(&self, place: &Place) -> Option<Vec<(&'a str, &'a Seen)>> {
        match self.seen(place)? {
            Seen::Items(items) => Some(items.iter().map(|item| ("", item)).collect()),
            Seen::Entries(entries) => Some(entries.iter().map(|(key, item)| (key.as_str(), item)).collect()),
            Seen::Null => None,
            other => panic!("{other:?} has no items"),
        }
    }

    /// Items, or keys of a map, as values.
    fn values(&self, place: &Place) -> Option<Vec<Value>> {
        let Kind::Items(Some(items)) = &place.kind else { panic!("a place of items") };
        let all = self.items(place)?;
        Some(match (items.map, items.places.first()) {
            (false, Some(item)) => all.into_iter().map(|(_, seen)| valued(seen, &item.kind)).collect(),
            _ => all.into_iter().map(|(key, _)| Value::Text(key.to_owned())).collect(),
        })
    }

    fn found(&self, place: &Place) -> Option<Value> {
        match &place.base {
            Base::Key(name) => Some(Value::Text(self.item(name).0.to_owned())),
            _ => Some(valued(self.seen(place)?, &place.kind)),
        }
    }
}

fn valued(seen: &Seen, kind: &Kind) -> Value {
    match (seen, kind) {
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

/// `&&` or `||` over the items; exactly one, or how many.
fn over_items(over: &str, asked: Vec<Option<bool>>) -> Option<Value> {
    let decisive = Some(over == "exists");
    match over {
        "all" | "exists" if asked.contains(&decisive) => decisive.map(Value::Bool),
        "all" | "exists" => asked.into_iter().collect::<Option<Vec<bool>>>().map(|_| Value::Bool(over == "all")),
        _ => {
            let count = asked.into_iter().collect::<Option<Vec<bool>>>()?.into_iter().filter(|truth| *truth).count();
            Some(if over == "filter" { Value::Int(count as i64) } else { Value::Bool(count == 1) })
        }
    }
}

impl Tree {
    fn bool(&self, world: &World<'_>) -> Option<bool> {
        match self.value(world) {
            Some(Value::Bool(value)) => Some(value),
            _ => None,
        }
    }

    pub(super) fn value(&self, world: &World<'_>) -> Option<Value> {
        Some(match self {
            Self::Field(place) => world.found(place)?,
            Self::Null => Value::Null,
            Self::Now => Value::Time(world.now),
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Double(value) => Value::Double(*value),
            Self::Text(text) => Value::Text(text.clone()),
            Self::Bytes(text) => Value::Bytes(text.as_bytes().to_vec()),
            Self::Time(index) => Value::Time(TIMES[*index].1 * 1_000_000_000),
            Self::Span(index) => Value::Span(SPANS[*index].1),
            Self::Not(inner) => Value::Bool(!inner.bool(world)?),
            Self::Negative(inner) => match inner.value(world)? {
                Value::Int(value) => Value::Int(0_i64.checked_sub(value)?),
                Value::Double(value) => Value::Double(-value),
                Value::Span(value) => Value::Span(-value),
                _ => return None,
            },
            Self::Binary(sign @ ("&&" | "||"), a, b) => {
                let decisive = Some(*sign == "||");
                let (left, right) = (a.bool(world), b.bool(world));
                Value::Bool(if left == decisive || right == decisive {
                    decisive?
                } else {
                    left?;
                    right?
                })
            }
            Self::Binary(sign, a, b) => binary(sign, a.value(world)?, b.value(world)?)?,
            Self::Choose(test, a, b) => if test.bool(world)? { a } else { b }.value(world)?,
            Self::Has(place) => Value::Bool(world.found(place)? != Value::Null),
            Self::Size(inner) => Value::Int(match inner.value(world)? {
                Value::Text(text) => text.chars().count() as i64,
                Value::Bytes(bytes) => bytes.len() as i64,
                Value::Items(count) => count as i64,
                _ => return None,
            }),
            Self::In(needle, items) => {
                let needle = needle.value(world)?;
                // All of them: an item without a value leaves the list without one.
                let items: Vec<Value> = items.iter().map(|item| item.value(world)).collect::<Option<_>>()?;
                Value::Bool(items.iter().any(|item| order(&needle, item) == Some(Ordering::Equal)))
            }
            Self::Method(name, target, part) => match (target.value(world)?, part.value(world)?) {
                (Value::Text(text), Value::Text(part)) => Value::Bool(match *name {
                    "startsWith" => text.starts_with(&part),
                    "endsWith" => text.ends_with(&part),
                    _ => text.contains(&part),
                }),
                _ => return None,
            },
            Self::Matches(target, index) => match target.value(world)? {
                Value::Text(text) => Value::Bool(PATTERNS[*index].1(&text)),
                _ => return None,
            },
            Self::Convert(name, inner) => convert(name, inner.value(world)?)?,
            Self::Call(name, target, args) => {
                let args: Vec<Value> = args.iter().map(|argument| argument.value(world)).collect::<Option<_>>()?;
                match target.value(world)? {
                    Value::Text(text) => texts::call(name, &text, &args)?,
                    Value::Time(nanos) => moments::of_time(name, nanos, &args)?,
                    Value::Span(nanos) => moments::of_span(name, nanos)?,
                    _ => return None,
                }
            }
            Self::Over(over, list, name, body) => {
                let asked = world.items(list)?.into_iter().map(|(key, item)| body.bool(&world.with(name, key, item)));
                over_items(over, asked.collect())?
            }
            Self::Among(needle, list) => {
                let needle = needle.value(world)?;
                let mut among = false;
                for item in world.values(list)? {
                    among |= order(&needle, &item) == Some(Ordering::Equal);
                }
                Value::Bool(among)
            }
        })
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
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
    if let (Value::Text(a), Value::Text(b), "+") = (&a, &b, sign) {
        return Some(Value::Text(format!("{a}{b}")));
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
        ("int", Value::Int(value)) => Some(Value::Int(value)),
        ("int", Value::Text(text)) => text.parse().ok().map(Value::Int),
        ("double", Value::Text(text)) => text.parse().ok().map(Value::Double),
        ("string", value) => texts::written(&value).map(Value::Text),
        ("int", Value::Time(nanos)) => i64::try_from(nanos.div_euclid(1_000_000_000)).ok().map(Value::Int),
        _ => None,
    }
}
