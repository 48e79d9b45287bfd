//! Random schemas: every kind of type, general unions, named types used again and inside themselves.

use serde_json::{Value as Json, json};

use super::random::Random;
use super::schema::{Body, Field, Mark, NULL, Named, Primitive, Schema, Type};

const PRIMITIVES: [Primitive; 7] = [
    Primitive::Boolean,
    Primitive::Int,
    Primitive::Long,
    Primitive::Float,
    Primitive::Double,
    Primitive::Text,
    Primitive::Bytes,
];

/// Most named types of one schema.
const MOST_NAMED: usize = 12;

pub(crate) struct Generator<'r> {
    pub(crate) random: &'r mut Random,
    pub(crate) named: Vec<Named>,
    /// Records that are being made: they may hold themselves.
    open: Vec<usize>,
    /// The named types that came from elsewhere: their records may hold the place that is being made.
    given: usize,
    prefix: &'static str,
}

/// A record with fields of any type.
pub(crate) fn schema(random: &mut Random) -> Schema {
    let prefix = if random.one_in(3) { "shop.sales.T" } else { "T" };
    let mut generator = Generator { random, named: Vec::new(), open: Vec::new(), given: 0, prefix };
    generator.record(0);
    Schema { named: generator.named }
}

impl<'r> Generator<'r> {
    /// Goes on with the named types of a schema.
    pub(crate) fn beside(random: &'r mut Random, named: Vec<Named>) -> Self {
        let prefix = if named[0].name.contains('.') { "shop.sales.A" } else { "A" };
        Self { random, given: named.len(), named, open: Vec::new(), prefix }
    }

    fn name(&mut self, body: Body) -> usize {
        let name = format!("{}{}", self.prefix, self.named.len());
        self.named.push(Named { name, aliases: Vec::new(), body });
        self.named.len() - 1
    }

    fn record(&mut self, depth: usize) -> usize {
        let index = self.name(Body::Record(Vec::new()));
        self.open.push(index);
        let count = 1 + self.random.below(if depth == 0 { 6 } else { 4 });
        let fields = (0..count)
            .map(|field| Field {
                name: format!("f{field}"),
                aliases: Vec::new(),
                kind: self.kind(depth + 1),
                default: None,
            })
            .collect();
        self.open.pop();
        self.named[index].body = Body::Record(fields);
        index
    }

    /// Any type.
    pub(crate) fn kind(&mut self, depth: usize) -> Type {
        if self.random.one_in(4) {
            return self.union(depth);
        }
        self.single(depth)
    }

    fn union(&mut self, depth: usize) -> Type {
        let wanted = if self.random.one_in(2) { 2 } else { 2 + self.random.below(3) };
        let mut branches = if wanted == 2 || self.random.one_in(2) { vec![NULL] } else { Vec::new() };
        for _ in 0..wanted * 2 {
            if branches.len() == wanted {
                break;
            }
            let held = branches.contains(&NULL).then(|| self.enclosing()).flatten();
            let branch = held.unwrap_or_else(|| self.single(depth));
            if branches.iter().all(|other| !self.alike(other, &branch)) {
                branches.push(branch);
            }
        }
        self.random.shuffle(&mut branches);
        Type::Union(branches)
    }

    /// Whether two types cannot stand in one union.
    pub(crate) fn alike(&self, a: &Type, b: &Type) -> bool {
        match (a, b) {
            (Type::Primitive(a, _), Type::Primitive(b, _)) => a == b,
            (Type::Named(a), Type::Named(b)) => a == b || self.named[*a].name == self.named[*b].name,
            _ => std::mem::discriminant(a) == std::mem::discriminant(b),
        }
    }

    /// A record that this place lies in, where it may stand because it can be left out.
    fn enclosing(&mut self) -> Option<Type> {
        if self.open.is_empty() || !self.random.one_in(5) {
            return None;
        }
        let index = *self.random.pick(&self.open);
        Some(Type::Named(index))
    }

    /// Any type but a union.
    pub(crate) fn single(&mut self, depth: usize) -> Type {
        let full = self.named.len() >= MOST_NAMED;
        match self.random.below(if depth > 3 { 13 } else { 17 }) {
            0..=6 => self.primitive(),
            7 | 8 => self.marked(),
            9 | 10 => match self.again() {
                Some(named) => named,
                None if full => self.primitive(),
                None => self.fixed(),
            },
            11 | 12 if full => self.primitive(),
            11 | 12 => self.enumeration(),
            13 => Type::Array(Box::new(self.item(depth))),
            14 => Type::Map(Box::new(self.item(depth))),
            _ if full => self.primitive(),
            _ => Type::Named(self.record(depth)),
        }
    }

    /// The type of an item; a record that encloses it ends with an empty array.
    fn item(&mut self, depth: usize) -> Type {
        match self.enclosing() {
            Some(record) => record,
            None => self.kind(depth + 1),
        }
    }

    fn primitive(&mut self) -> Type {
        Type::Primitive(*self.random.pick(&PRIMITIVES), None)
    }

    fn marked(&mut self) -> Type {
        let (primitive, mark) = *self.random.pick(&[
            (Primitive::Bytes, Mark::Decimal { precision: 9, scale: 2 }),
            (Primitive::Bytes, Mark::Decimal { precision: 30, scale: 5 }),
            (Primitive::Text, Mark::Uuid),
            (Primitive::Int, Mark::Date),
            (Primitive::Int, Mark::TimeMillis),
            (Primitive::Long, Mark::TimeMicros),
            (Primitive::Long, Mark::TimestampMillis),
            (Primitive::Long, Mark::TimestampMicros),
            (Primitive::Long, Mark::TimestampNanos),
            (Primitive::Long, Mark::LocalTimestampMillis),
        ]);
        Type::Primitive(primitive, Some(mark))
    }

    /// A named type that is whole.
    fn again(&mut self) -> Option<Type> {
        let record = |index: usize| matches!(self.named[index].body, Body::Record(_));
        let ready = |index: &usize| !self.open.contains(index) && (*index >= self.given || !record(*index));
        let whole: Vec<usize> = (0..self.named.len()).filter(ready).collect();
        if whole.is_empty() || self.random.one_in(2) {
            return None;
        }
        Some(Type::Named(*self.random.pick(&whole)))
    }

    fn fixed(&mut self) -> Type {
        let body = match self.random.below(4) {
            0 => Body::Fixed { size: 5, mark: Some(Mark::Decimal { precision: 8, scale: 3 }) },
            1 => Body::Fixed { size: 17, mark: Some(Mark::Decimal { precision: 20, scale: 0 }) },
            _ => Body::Fixed { size: 1 + self.random.below(5), mark: None },
        };
        Type::Named(self.name(body))
    }

    fn enumeration(&mut self) -> Type {
        let symbols: Vec<String> = (0..2 + self.random.below(4)).map(|symbol| format!("Symbol{symbol}")).collect();
        let default = self.random.one_in(4).then(|| symbols[0].clone());
        Type::Named(self.name(Body::Enum { symbols, default }))
    }

    /// A default of any kind that a type can have, in the specification's JSON encoding.
    pub(crate) fn default(&mut self, kind: &Type, depth: usize) -> Json {
        let small = |random: &mut Random| random.below(9) as i64 - 4;
        match kind {
            Type::Primitive(primitive, mark) => match primitive {
                Primitive::Null => Json::Null,
                Primitive::Boolean => json!(self.random.one_in(2)),
                Primitive::Int | Primitive::Long => json!(small(self.random)),
                Primitive::Float | Primitive::Double => json!(small(self.random) as f64 / 2.0),
                Primitive::Text => json!(*self.random.pick(&["", "a", "a7", "é漢"])),
                Primitive::Bytes if mark.is_some() => json!(*self.random.pick(&["\u{1}", "\u{ff}\u{38}", "\u{0}"])),
                Primitive::Bytes => json!(*self.random.pick(&["", "a", "\u{0}\u{ff}"])),
            },
            Type::Union(branches) => {
                // The first branch, which every version of the specification allows; null ends a recursion.
                let ends = branches.contains(&NULL) && depth > 2;
                let first = if ends { NULL } else { branches[0].clone() };
                self.default(&first, depth + 1)
            }
            Type::Array(_) | Type::Map(_) if depth > 3 => {
                if matches!(kind, Type::Array(_)) {
                    json!([])
                } else {
                    json!({})
                }
            }
            Type::Array(item) => {
                (0..self.random.below(3)).map(|_| self.default(item, depth + 1)).collect::<Vec<_>>().into()
            }
            Type::Map(value) => Json::Object(
                (0..self.random.below(3)).map(|key| (format!("k{key}"), self.default(value, depth + 1))).collect(),
            ),
            Type::Named(index) => match self.named[*index].body.clone() {
                Body::Fixed { size, .. } => json!("\u{0}".repeat(size - 1) + "\u{7}"),
                Body::Enum { symbols, .. } => json!(*self.random.pick(&symbols)),
                Body::Record(fields) => {
                    let mut object = serde_json::Map::new();
                    for field in &fields {
                        if field.default.is_none() || self.random.one_in(2) {
                            object.insert(field.name.clone(), self.default(&field.kind, depth + 1));
                        }
                    }
                    Json::Object(object)
                }
            },
        }
    }
}
