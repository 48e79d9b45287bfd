//! The record's key: its encoding, and the fields of the value that it equals.

use std::fmt;

use schemas::Frame as Framed;

use super::cursor::{Cursor, Fault};
use super::resolve::DEPTH;
use super::value::{self, Value};
use super::{Context, Program, Scratch};
use crate::avro::{Kind, Logical, NodeId, Schema};
use crate::cel::Found;
use crate::model::{KeyKind, Segment};

impl Program {
    /// What is wrong with the key; `None` where it is as the contract says.
    pub(super) fn key_fault(&self, context: &Context<'_>, parts: &[Found<'_>]) -> Option<String> {
        let spec = &self.contract.settings.key;
        let equal = || {
            let names: Vec<String> = spec.fields.iter().map(ToString::to_string).collect();
            format!("the key must equal {}", names.join(", "))
        };
        match (spec.kind, context.key) {
            (KeyKind::Any, _) | (KeyKind::None, None) => None,
            (KeyKind::None, Some(_)) => Some("the record must have no key".to_owned()),
            (_, None) => Some("the record must have a key".to_owned()),
            (KeyKind::Utf8, Some(key)) => match std::str::from_utf8(key) {
                Err(_) => Some("the key must be UTF-8 text".to_owned()),
                Ok(_) => (!spec.fields.is_empty() && !self.text_equals(key, parts)).then(equal),
            },
            (KeyKind::Long, Some(key)) => match <[u8; 8]>::try_from(key) {
                Err(_) => Some("the key must be eight bytes, a big-endian long".to_owned()),
                Ok(bytes) => (!parts.is_empty() && parts != [Found::Int(i64::from_be_bytes(bytes))]).then(equal),
            },
            (KeyKind::Avro, Some(key)) => {
                let Ok(framed) = Framed::parse(key) else {
                    return Some("the key must be Avro in the wire format of the schema registry".to_owned());
                };
                let Some(schema) = context.key_schema else { return Some("the key's schema is not known".to_owned()) };
                match self.avro_equals(framed.body, schema, parts) {
                    Ok(true) => None,
                    Ok(false) => Some(equal()),
                    Err(fault) => Some(format!("the key cannot be read: {fault}")),
                }
            }
        }
    }

    /// The key as it may be shown.
    pub(super) fn key_shown(&self, key: Option<&[u8]>) -> Option<String> {
        let fields = &self.contract.settings.key.fields;
        let hidden = self
            .contract
            .classified
            .iter()
            .any(|path| fields.is_empty() || fields.iter().any(|field| field.0.starts_with(&path.0)));
        key.map(|key| if hidden { "***".to_owned() } else { value::cut(key) })
    }

    fn text_equals(&self, key: &[u8], parts: &[Found<'_>]) -> bool {
        let mut rest = Expected { rest: key };
        self.write_text(parts, &mut rest).is_ok() && rest.rest.is_empty()
    }

    /// The fields' texts: numbers and times as the schema keeps them, in decimal digits.
    fn write_text(&self, parts: &[Found<'_>], out: &mut impl fmt::Write) -> fmt::Result {
        let separator = &self.contract.settings.key.separator;
        parts.iter().enumerate().try_for_each(|(index, part)| {
            if index > 0 {
                out.write_str(separator)?;
            }
            match part {
                Found::Text(text) => out.write_str(text),
                Found::Int(number) => write!(out, "{number}"),
                Found::Bool(value) => write!(out, "{value}"),
                Found::Bytes(bytes) => {
                    std::str::from_utf8(bytes).map_err(|_| fmt::Error).and_then(|text| out.write_str(text))
                }
                Found::Null | Found::Float(_) | Found::Decimal(_) | Found::Present => Err(fmt::Error),
            }
        })
    }

    /// The key that the contract gives a record with this body. `None` where it names no fields, wants an
    /// Avro key (whose schema only a registry knows), or a field cannot be one: null, or not readable.
    pub fn key(&self, body: &[u8], scratch: &mut Scratch) -> Option<Vec<u8>> {
        let spec = &self.contract.settings.key;
        if spec.fields.is_empty() {
            return None;
        }
        scratch.begin(self, false);
        let mut slots = vec![Found::Null; self.code.slots];
        self.run(body, &mut slots, scratch).ok()?;
        let parts = slots.get(self.code.key_slots..self.code.slots)?;
        match (spec.kind, parts) {
            (KeyKind::Utf8, parts) => {
                let mut text = String::new();
                self.write_text(parts, &mut text).ok()?;
                Some(text.into_bytes())
            }
            (KeyKind::Long, [Found::Int(number)]) => Some(number.to_be_bytes().to_vec()),
            _ => None,
        }
    }

    fn avro_equals(&self, body: &[u8], schema: &Schema, parts: &[Found<'_>]) -> Result<bool, Fault> {
        let mut cursor = Cursor::new(body);
        let fields = &self.contract.settings.key.fields;
        let mut equal = true;
        match schema.record(schema.root()) {
            None => {
                let found = read(schema, schema.root(), &mut cursor, 0)?.found();
                equal = parts.is_empty() || parts == [found];
            }
            Some(record) => {
                let mut met = 0;
                for field in &record.fields {
                    let found = read(schema, field.node, &mut cursor, 0)?.found();
                    let named = |path: &crate::model::Path| matches!(path.0.last(), Some(Segment::Field(name)) if **name == *field.name);
                    if let Some(index) = fields.iter().position(named) {
                        met += 1;
                        equal &= parts.get(index) == Some(&found);
                    }
                }
                equal &= met == fields.len();
            }
        }
        if cursor.left() > 0 {
            return Err(Fault::Trailing);
        }
        Ok(equal)
    }
}

/// Text that must come next; writing anything else is an error. Compares without allocating.
struct Expected<'a> {
    rest: &'a [u8],
}

impl fmt::Write for Expected<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.rest = self.rest.strip_prefix(text.as_bytes()).ok_or(fmt::Error)?;
        Ok(())
    }
}

/// Reads one value by its schema alone; records, arrays and maps are walked over.
fn read<'a>(schema: &'a Schema, node: NodeId, cursor: &mut Cursor<'a>, depth: usize) -> Result<Value<'a>, Fault> {
    if depth > DEPTH {
        return Err(Fault::Depth);
    }
    let node = schema.node(node);
    Ok(match &node.kind {
        Kind::Null => Value::Null,
        Kind::Boolean => Value::Bool(cursor.boolean()?),
        Kind::Int => Value::Int(cursor.int()?),
        Kind::Long => Value::Int(cursor.long()?),
        Kind::Float => Value::Float(cursor.float()?),
        Kind::Double => Value::Float(cursor.double()?),
        Kind::Bytes => decimal_or_bytes(cursor.bytes()?, node.logical),
        Kind::Fixed(fixed) => decimal_or_bytes(cursor.take(fixed.size)?, node.logical),
        Kind::String => Value::Text(cursor.text()?),
        Kind::Enum(enumeration) => {
            let index = cursor.index(enumeration.symbols.len(), Fault::Symbol)?;
            enumeration.symbols.get(index).map_or(Value::Null, |symbol| Value::Text(symbol.as_bytes()))
        }
        Kind::Union(branches) => {
            let index = cursor.index(branches.len(), Fault::Branch)?;
            let branch = branches.get(index).ok_or(Fault::Branch)?;
            read(schema, *branch, cursor, depth + 1)?
        }
        Kind::Record(record) => {
            for field in &record.fields {
                read(schema, field.node, cursor, depth + 1)?;
            }
            Value::Present
        }
        // A key's equality cannot depend on these, and a key that repeats itself serves nobody.
        Kind::Array(_) | Kind::Map(_) => return Err(Fault::Program),
    })
}

fn decimal_or_bytes(bytes: &[u8], logical: Option<Logical>) -> Value<'_> {
    match logical {
        Some(Logical::Decimal { .. }) => value::decimal(bytes).map_or(Value::Bytes(bytes), Value::Decimal),
        _ => Value::Bytes(bytes),
    }
}
