//! Random conditions over several fields as trees of our own: written as CEL for the product, and evaluated
//! here by CEL's rules, slowly. `make` makes them, `evaluate` says what they are of a record, `texts` and
//! `moments` what functions of strings and times give.
//!
//! An operand that is null, an overflow, a division by zero, an index out of range: no value, which `&&` and
//! `||`, and `all` and `exists` over items, absorb where another side decides. `==`, `!=` and `in` treat null
//! as a value.

mod evaluate;
mod make;
mod moments;
mod texts;

use std::rc::Rc;

use super::read::Seen;
use super::rules::nullable;
use super::schema::{Body, Mark, Primitive, Schema, Type};
use evaluate::{Value, World};

pub(crate) use make::random;

/// A field that a condition may name.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    base: Base,
    path: Vec<String>,
    kind: Kind,
}

/// What a place begins at.
#[derive(Debug, Clone)]
enum Base {
    Record,
    /// The item that a variable stands for; for an entry of a map, by its place and the key.
    Item {
        name: String,
        source: String,
    },
    /// The key that a variable stands for.
    Key(String),
    /// An item of an array, by its number.
    At(Box<Place>, i64),
}

impl Place {
    fn source(&self) -> String {
        let base = match &self.base {
            Base::Record => String::new(),
            Base::Item { source, .. } => source.clone(),
            Base::Key(name) => name.clone(),
            Base::At(list, index) => format!("{}[{index}]", list.source()),
        };
        let dot = if base.is_empty() || self.path.is_empty() { "" } else { "." };
        format!("{base}{dot}{}", self.path.join("."))
    }

    /// The same place from another base.
    fn from(&self, base: &Base) -> Self {
        Self { base: base.clone(), path: self.path.clone(), kind: self.kind.clone() }
    }
}

/// The items of an array or map: what can be read of each, from the item.
#[derive(Debug)]
struct Items {
    map: bool,
    places: Vec<Place>,
}

#[derive(Debug, Clone)]
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
    Items(Option<Rc<Items>>),
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
    /// A function of a string, or a part of a time or duration.
    Call(&'static str, Box<Tree>, Vec<Tree>),
    /// `all`, `exists`, `exists_one`; `filter`, of which the size is asked.
    Over(&'static str, Place, String, Box<Tree>),
    /// Among the items of a place.
    Among(Box<Tree>, Place),
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

impl Tree {
    /// The condition as CEL.
    pub(crate) fn source(&self) -> String {
        match self {
            Self::Field(place) => place.source(),
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
            Self::Has(place) => format!("has({})", place.source()),
            Self::Size(inner) => format!("size({})", inner.source()),
            Self::In(needle, items) => {
                let items: Vec<String> = items.iter().map(Self::source).collect();
                format!("({} in [{}])", needle.source(), items.join(", "))
            }
            Self::Method(name, target, part) => format!("{}.{name}({})", target.source(), part.source()),
            Self::Matches(target, index) => format!("{}.matches(\"{}\")", target.source(), PATTERNS[*index].0),
            Self::Convert(name, inner) => format!("{name}({})", inner.source()),
            Self::Call(name, target, args) => {
                let args: Vec<String> = args.iter().map(Self::source).collect();
                format!("{}.{name}({})", target.source(), args.join(", "))
            }
            Self::Over("filter", list, name, body) => {
                format!("size({}.filter({name}, {}))", list.source(), body.source())
            }
            Self::Over(over, list, name, body) => format!("{}.{over}({name}, {})", list.source(), body.source()),
            Self::Among(needle, list) => format!("({} in {})", needle.source(), list.source()),
        }
    }

    /// Whether it is true of a record; a condition without a value is not.
    pub(crate) fn holds(&self, record: &Seen, now: i128) -> bool {
        self.value(&World::new(record, now)) == Some(Value::Bool(true))
    }
}

/// The fields of a schema that conditions can read: those that no array, map or general union holds.
pub(crate) fn places(schema: &Schema) -> Vec<Place> {
    let mut found = Vec::new();
    beneath(schema, &schema.root(), (&mut Vec::new(), 3), 0, &mut found);
    found.retain(|place| !place.path.is_empty());
    found
}

/// `nest`: how many arrays and maps are around. A path has at most so many names.
fn beneath(schema: &Schema, kind: &Type, (path, most): (&mut Vec<String>, usize), nest: usize, found: &mut Vec<Place>) {
    let inner = match kind {
        Type::Union(branches) if branches.len() == 1 => &branches[0],
        kind => nullable(kind).unwrap_or(kind),
    };
    if let Some(kind) = kind_of(schema, inner, nest) {
        found.push(Place { base: Base::Record, path: path.clone(), kind });
    }
    if let Type::Named(index) = inner
        && path.len() < most
    {
        for field in schema.fields(*index).unwrap_or_default() {
            path.push(field.name.clone());
            beneath(schema, &field.kind, (path, most), nest, found);
            path.pop();
        }
    }
}

fn kind_of(schema: &Schema, kind: &Type, nest: usize) -> Option<Kind> {
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
        Type::Array(item) | Type::Map(item) => {
            let general =
                |kind: &Type| matches!(kind, Type::Union(branches) if branches.len() > 1) && nullable(kind).is_none();
            let mut places = Vec::new();
            if nest < 2 && !general(item) {
                beneath(schema, item, (&mut Vec::new(), 1), nest + 1, &mut places);
            }
            let items = Items { map: matches!(kind, Type::Map(_)), places };
            Kind::Items((nest < 2 && !general(item)).then(|| Rc::new(items)))
        }
        Type::Union(_) => return None,
        Type::Named(index) => match &schema.named[*index].body {
            Body::Record(_) => Kind::Record,
            Body::Enum { symbols, .. } => Kind::Symbol(symbols.clone()),
            Body::Fixed { .. } => Kind::Bytes,
        },
    })
}
