//! Schema resolution by the specification, slow and obvious: a value that `apache-avro` decoded with the
//! writer's schema becomes what a reader of the contract's schema sees.

use std::cell::RefCell;
use std::collections::HashMap;

use apache_avro::types::Value;
use serde_json::Value as Json;

use super::schema::{Body, Mark, NULL, Primitive, Schema, Type};

/// A value as the reader has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Seen {
    Null,
    Bool(bool),
    Whole(i64),
    Single(f32),
    Double(f64),
    Text(String),
    Symbol(String),
    Bytes(Vec<u8>),
    /// The bytes of an unscaled number.
    Decimal(Vec<u8>),
    Items(Vec<Seen>),
    Entries(Vec<(String, Seen)>),
    Record(Vec<(String, Seen)>),
    /// The contract's schema has no place for it.
    Misfit,
}

/// What was met on the way, besides values.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Met {
    pub(crate) misfit: bool,
    pub(crate) undeclared: bool,
}

#[derive(Debug)]
pub(crate) struct Reader<'s> {
    writer: &'s Schema,
    reader: &'s Schema,
    /// Whether types fit, by where they stand: it is asked of every value again.
    known: RefCell<HashMap<(*const Type, *const Type), bool>>,
}

/// Deep enough for every recursion to have come round.
const DEEP: usize = 12;

impl<'s> Reader<'s> {
    pub(crate) fn new(writer: &'s Schema, reader: &'s Schema) -> Self {
        Self { writer, reader, known: RefCell::default() }
    }

    pub(crate) fn read(&self, value: &Value, met: &mut Met) -> Seen {
        let root = Type::Named(0);
        self.value(&root, &root, value, met)
    }

    /// Whether some value of one type can be read as the other; both belong to the schemas.
    pub(crate) fn fit(&self, w: &Type, r: &Type) -> bool {
        let place = (std::ptr::from_ref(w), std::ptr::from_ref(r));
        if let Some(known) = self.known.borrow().get(&place) {
            return *known;
        }
        let fits = self.fits(w, r, 0);
        self.known.borrow_mut().insert(place, fits);
        fits
    }

    fn fits(&self, w: &Type, r: &Type, depth: usize) -> bool {
        if depth > DEEP {
            return true;
        }
        match (w, r) {
            (Type::Union(branches), r) => branches.iter().any(|branch| self.fits(branch, r, depth)),
            (w, Type::Union(branches)) => match branches.iter().find(|r| alike(w, r)) {
                Some(only) if !matches!(w, Type::Named(_)) => self.fits(w, only, depth),
                _ => branches.iter().any(|branch| self.fits(w, branch, depth)),
            },
            (Type::Array(w), Type::Array(r)) | (Type::Map(w), Type::Map(r)) => self.fits(w, r, depth + 1),
            // A contract takes no logical type for another, though the specification would.
            (Type::Primitive(_, Some(w)), Type::Primitive(_, Some(r))) if w != r => false,
            (Type::Primitive(w, _), Type::Primitive(r, _)) => w == r || promotes(*w, *r),
            (Type::Named(w), Type::Named(r)) => self.named(*w, *r) && self.bodies(*w, *r, depth),
            _ => false,
        }
    }

    fn named(&self, w: usize, r: usize) -> bool {
        let (written, read) = (&self.writer.named[w].name, &self.reader.named[r]);
        *written == read.name || read.aliases.contains(written)
    }

    fn bodies(&self, w: usize, r: usize, depth: usize) -> bool {
        match (&self.writer.named[w].body, &self.reader.named[r].body) {
            (Body::Fixed { size: w, .. }, Body::Fixed { size: r, .. }) => w == r,
            (Body::Enum { symbols: w, .. }, Body::Enum { symbols: r, default }) => {
                default.is_some() || w.iter().any(|symbol| r.contains(symbol))
            }
            (Body::Record(written), Body::Record(read)) => {
                read.iter().enumerate().all(|(index, field)| match self.source(w, r, index) {
                    Some(source) => self.fits(&written[source].kind, &field.kind, depth + 1),
                    None => field.default.is_some(),
                })
            }
            _ => false,
        }
    }

    /// Which field of the writer a field of the reader is read from.
    fn source(&self, w: usize, r: usize, index: usize) -> Option<usize> {
        let (written, read) = (self.writer.fields(w)?, self.reader.fields(r)?);
        let field = &read[index];
        let at = |name: &String| written.iter().position(|field| field.name == *name);
        at(&field.name).or_else(|| field.aliases.iter().find_map(at))
    }

    /// The branch of the reader's union: one of the same type before one that the writer's promotes to. There is
    /// at most one of a type without a name, and nobody looks further.
    fn branch<'t>(&self, w: &Type, branches: &'t [Type]) -> Option<&'t Type> {
        let fits = |r: &&Type| self.fit(w, r);
        match branches.iter().find(|r| alike(w, r)) {
            Some(only) if !matches!(w, Type::Named(_)) => fits(&only).then_some(only),
            _ => branches.iter().filter(|r| alike(w, r)).find(fits).or_else(|| branches.iter().find(fits)),
        }
    }

    fn value(&self, w: &Type, r: &Type, value: &Value, met: &mut Met) -> Seen {
        if let (Type::Union(branches), Value::Union(index, inner)) = (w, value) {
            return self.value(&branches[*index as usize], r, inner, met);
        }
        if let Type::Union(branches) = r {
            return match self.branch(w, branches) {
                Some(branch) => self.value(w, branch, value, met),
                None => misfit(met),
            };
        }
        if !self.fit(w, r) {
            return misfit(met);
        }
        match (w, r, value) {
            (Type::Array(w), Type::Array(r), Value::Array(items)) => {
                Seen::Items(items.iter().map(|item| self.value(w, r, item, met)).collect())
            }
            (Type::Map(w), Type::Map(r), Value::Map(items)) => {
                Seen::Entries(items.iter().map(|(key, item)| (key.clone(), self.value(w, r, item, met))).collect())
            }
            (Type::Named(w), Type::Named(r), Value::Record(values)) => self.record(*w, *r, values, met),
            (Type::Named(_), Type::Named(r), Value::Enum(_, symbol)) => self.symbol(*r, symbol, met),
            (_, _, value) => self.scalar(r, value, met),
        }
    }

    fn record(&self, w: usize, r: usize, values: &[(String, Value)], met: &mut Met) -> Seen {
        let (written, read) = (self.writer.fields(w).expect("a record"), self.reader.fields(r).expect("a record"));
        let sources: Vec<Option<usize>> = (0..read.len()).map(|index| self.source(w, r, index)).collect();
        met.undeclared |= (0..written.len()).any(|index| !sources.contains(&Some(index)));
        let fields = read.iter().zip(sources).map(|(field, source)| {
            let seen = match source {
                Some(source) => self.value(&written[source].kind, &field.kind, &values[source].1, met),
                None => self.default(&field.kind, field.default.as_ref().expect("it fits")),
            };
            (field.name.clone(), seen)
        });
        Seen::Record(fields.collect())
    }

    fn symbol(&self, r: usize, symbol: &str, met: &mut Met) -> Seen {
        let Body::Enum { symbols, default } = &self.reader.named[r].body else { return misfit(met) };
        match symbols.iter().find(|known| *known == symbol).or(default.as_ref()) {
            Some(symbol) => Seen::Symbol(symbol.clone()),
            None => misfit(met),
        }
    }

    fn scalar(&self, r: &Type, value: &Value, met: &mut Met) -> Seen {
        let primitive = match r {
            Type::Primitive(primitive, _) => *primitive,
            _ => Primitive::Bytes,
        };
        let seen = match (value, primitive) {
            (Value::Null, _) => Seen::Null,
            (Value::Boolean(value), _) => Seen::Bool(*value),
            (Value::Int(value), Primitive::Float) => Seen::Single(*value as f32),
            (Value::Long(value), Primitive::Float) => Seen::Single(*value as f32),
            (Value::Float(value), Primitive::Float) => Seen::Single(*value),
            (Value::Int(value), Primitive::Double) => Seen::Double(f64::from(*value)),
            (Value::Long(value), Primitive::Double) => Seen::Double(*value as f64),
            (Value::Float(value), Primitive::Double) => Seen::Double(f64::from(*value)),
            (Value::Double(value), _) => Seen::Double(*value),
            (Value::Int(value), _) => Seen::Whole(i64::from(*value)),
            (Value::Long(value), _) => Seen::Whole(*value),
            (Value::String(text), Primitive::Bytes) => Seen::Bytes(text.as_bytes().to_vec()),
            (Value::String(text), _) => Seen::Text(text.clone()),
            (Value::Bytes(bytes), Primitive::Text) => match String::from_utf8(bytes.clone()) {
                Ok(text) => Seen::Text(text),
                Err(_) => return misfit(met),
            },
            (Value::Bytes(bytes) | Value::Fixed(_, bytes), _) => Seen::Bytes(bytes.clone()),
            _ => return misfit(met),
        };
        match (seen, self.reader.mark(r)) {
            (Seen::Bytes(bytes), Some(Mark::Decimal { .. })) if unscaled(&bytes).is_none() => misfit(met),
            (Seen::Bytes(bytes), Some(Mark::Decimal { .. })) => Seen::Decimal(bytes),
            (seen, _) => seen,
        }
    }

    /// A default as the reader has it.
    fn default(&self, kind: &Type, default: &Json) -> Seen {
        match (kind, default) {
            (Type::Union(branches), Json::Null) if branches.contains(&NULL) => Seen::Null,
            (Type::Union(branches), default) => self.default(&branches[0], default),
            (Type::Array(item), Json::Array(values)) => {
                Seen::Items(values.iter().map(|value| self.default(item, value)).collect())
            }
            (Type::Map(item), Json::Object(values)) => {
                Seen::Entries(values.iter().map(|(key, value)| (key.clone(), self.default(item, value))).collect())
            }
            (Type::Named(index), default) => match (&self.reader.named[*index].body, default) {
                (Body::Enum { .. }, Json::String(symbol)) => Seen::Symbol(symbol.clone()),
                (Body::Fixed { mark, .. }, Json::String(text)) => marked(points(text), *mark),
                (Body::Record(fields), Json::Object(values)) => Seen::Record(
                    fields
                        .iter()
                        .map(|field| {
                            let value = values.get(&field.name).or(field.default.as_ref()).expect("a whole default");
                            (field.name.clone(), self.default(&field.kind, value))
                        })
                        .collect(),
                ),
                _ => panic!("{default} is no default of {kind:?}"),
            },
            (Type::Primitive(primitive, mark), default) => match (primitive, default) {
                (Primitive::Null, _) => Seen::Null,
                (Primitive::Boolean, Json::Bool(value)) => Seen::Bool(*value),
                (Primitive::Int | Primitive::Long, Json::Number(number)) => {
                    Seen::Whole(number.as_i64().expect("a whole number"))
                }
                (Primitive::Float, Json::Number(number)) => Seen::Single(number.as_f64().expect("a number") as f32),
                (Primitive::Double, Json::Number(number)) => Seen::Double(number.as_f64().expect("a number")),
                (Primitive::Text, Json::String(text)) => Seen::Text(text.clone()),
                (Primitive::Bytes, Json::String(text)) => marked(points(text), *mark),
                _ => panic!("{default} is no default of {kind:?}"),
            },
            _ => panic!("{default} is no default of {kind:?}"),
        }
    }
}

fn misfit(met: &mut Met) -> Seen {
    met.misfit = true;
    Seen::Misfit
}

fn points(text: &str) -> Vec<u8> {
    text.chars().map(|letter| letter as u8).collect()
}

fn marked(bytes: Vec<u8>, mark: Option<Mark>) -> Seen {
    match mark {
        Some(Mark::Decimal { .. }) => Seen::Decimal(bytes),
        _ => Seen::Bytes(bytes),
    }
}

/// Whether two types, none a union, are the same but for names and logical types.
fn alike(w: &Type, r: &Type) -> bool {
    match (w, r) {
        (Type::Primitive(w, _), Type::Primitive(r, _)) => w == r,
        _ => std::mem::discriminant(w) == std::mem::discriminant(r),
    }
}

fn promotes(w: Primitive, r: Primitive) -> bool {
    matches!(
        (w, r),
        (Primitive::Int, Primitive::Long | Primitive::Float | Primitive::Double)
            | (Primitive::Long, Primitive::Float | Primitive::Double)
            | (Primitive::Float, Primitive::Double)
            | (Primitive::Text, Primitive::Bytes)
            | (Primitive::Bytes, Primitive::Text)
    )
}

/// A two's-complement number, most significant byte first; `None` beyond 128 bits, where the contract's
/// decimals end, and for no bytes, on which Avro Java fails.
pub(crate) fn unscaled(bytes: &[u8]) -> Option<i128> {
    let mut number: i128 = if *bytes.first()? > 127 { -1 } else { 0 };
    for byte in bytes {
        number = number.checked_mul(256)?.checked_add(i128::from(*byte))?;
    }
    Some(number)
}
