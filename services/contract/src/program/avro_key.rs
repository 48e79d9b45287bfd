//! Avro keys: read with the schema they were written with, and made where the contract says what they are.

use std::collections::BTreeSet;

use schemas::{SchemaId, frame};
use serde_json::{Value as Json, json};

use super::cursor::{Cursor, Fault};
use super::resolve::{DEPTH, Pair};
use super::run::Places;
use super::value::{self, Value};
use super::{Program, Scratch, Unresolvable};
use crate::avro::{Kind, Logical, NodeId, Schema};
use crate::cel::Found;
use crate::model::{Contract, KeyKind, Path, Segment, UndeclaredFields};

/// What is known of the schema that an Avro key was written with.
#[derive(Debug, Clone, Copy)]
pub enum KeySchema<'a> {
    /// Keys written with it can be read.
    Known(&'a KeyProgram),
    /// Every key written with it violates the contract, for this reason.
    Refused(&'a str),
}

/// Reads Avro keys that were written with one schema, under one contract version. Immutable.
#[derive(Debug)]
pub struct KeyProgram {
    schema: Schema,
    /// For each field of the key's record its type, and which of the contract's key fields it is; for a key
    /// that is no record, one entry.
    parts: Vec<(NodeId, Option<usize>)>,
}

impl KeyProgram {
    /// Compiles. A key is a record that has a field for each of the contract's key fields, named as the
    /// field itself, or the one key field's own type.
    ///
    /// # Errors
    /// [`Unresolvable`] where no key written with `writer` can be the contract's.
    pub fn compile(writer: &Schema, contract: &Contract) -> Result<Self, Unresolvable> {
        let fields = &contract.settings.key.fields;
        if writer.nodes.iter().any(|node| matches!(node.kind, Kind::Array(_) | Kind::Map(_))) {
            return Err(unresolvable("", "a key cannot hold an array or a map"));
        }
        let parts = match writer.record(writer.root()) {
            None if fields.len() > 1 => {
                let names: Vec<_> = fields.iter().map(ToString::to_string).collect();
                let why = format!("the key must be a record with the fields {}", names.join(", "));
                return Err(unresolvable("", why));
            }
            None => {
                let part = fields.first().map(|path| fits(writer, writer.root(), contract, path)).transpose()?;
                vec![(writer.root(), part.map(|()| 0))]
            }
            Some(record) => {
                let mut parts = Vec::with_capacity(record.fields.len());
                for field in &record.fields {
                    let part = fields.iter().position(|path| last(path) == Some(&field.name));
                    if let Some(path) = part.and_then(|index| fields.get(index)) {
                        fits(writer, field.node, contract, path)?;
                    } else if !fields.is_empty() && contract.settings.undeclared_fields == UndeclaredFields::Refuse {
                        return Err(unresolvable(&field.name, "the key has a field that the contract's key has not"));
                    }
                    parts.push((field.node, part));
                }
                let met = |index| parts.iter().any(|(_, part)| *part == Some(index));
                if let Some((_, path)) = (0..).zip(fields).find(|(index, _)| !met(*index)) {
                    return Err(unresolvable(
                        &path.to_string(),
                        "the key does not have this field, which it must equal",
                    ));
                }
                parts
            }
        };
        Ok(Self { schema: writer.clone(), parts })
    }

    /// Whether a key's body (the bytes behind the frame) equals these values; `None` only reads it.
    pub(super) fn equals(&self, body: &[u8], wanted: Option<&[Found<'_>]>) -> Result<bool, Fault> {
        let mut cursor = Cursor::new(body);
        let mut equal = true;
        for (node, part) in &self.parts {
            let found = read(&self.schema, *node, &mut cursor, 0)?.found();
            if let (Some(part), Some(wanted)) = (part, wanted) {
                equal &= wanted.get(*part) == Some(&found);
            }
        }
        if cursor.left() > 0 { Err(Fault::Trailing) } else { Ok(equal) }
    }
}

fn unresolvable(path: &str, why: impl Into<String>) -> Unresolvable {
    Unresolvable { path: path.to_owned(), why: why.into() }
}

fn last(path: &Path) -> Option<&str> {
    match path.0.last() {
        Some(Segment::Field(name)) => Some(name),
        _ => None,
    }
}

/// Whether the key's part can be what the contract's field is.
fn fits(writer: &Schema, node: NodeId, contract: &Contract, path: &Path) -> Result<(), Unresolvable> {
    let Some(field) = node_at(&contract.schema, path) else {
        return Err(unresolvable(&path.to_string(), "the contract's schema has no such field"));
    };
    Pair::new(writer, &contract.schema)
        .fits(node, field)
        .map_err(|error| unresolvable(&path.to_string(), format!("the key's field does not fit: {}", error.why)))
}

/// The type at a path of fields, without the null of a nullable one.
fn node_at(schema: &Schema, path: &Path) -> Option<NodeId> {
    path.0.iter().try_fold(schema.root(), |node, segment| {
        let Segment::Field(name) = segment else { return None };
        let field = schema.field(node, name)?.node;
        Some(schema.nullable(field).unwrap_or(field))
    })
}

/// Reads one value by its schema alone; records are walked over.
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
        // Refused when the program was made.
        Kind::Array(_) | Kind::Map(_) => return Err(Fault::Program),
    })
}

fn decimal_or_bytes(bytes: &[u8], logical: Option<Logical>) -> Value<'_> {
    match logical {
        Some(Logical::Decimal { .. }) => value::decimal(bytes).map_or(Value::Bytes(bytes), Value::Decimal),
        _ => Value::Bytes(bytes),
    }
}

/// The Avro schema of the keys that a contract asks for: the one key field's own type, or a record of them,
/// named after the value's with `Key` behind. `None` where its keys are not Avro, it names no fields, two
/// of them have one name, or one is of a type that keys cannot have.
pub fn key_schema(contract: &Contract) -> Option<String> {
    let spec = &contract.settings.key;
    if spec.kind != KeyKind::Avro {
        return None;
    }
    let schema = &contract.schema;
    let mut named = BTreeSet::new();
    let mut typed = |path: &Path| type_of(schema, node_at(schema, path)?, &mut named);
    if let [only] = spec.fields.as_slice() {
        return Some(typed(only)?.to_string());
    }
    let mut names = BTreeSet::new();
    let mut fields = Vec::new();
    for path in &spec.fields {
        let name = last(path).filter(|name| names.insert(*name))?;
        fields.push(json!({"name": name, "type": typed(path)?}));
    }
    let name = &schema.record(schema.root())?.name;
    (!fields.is_empty()).then(|| json!({"type": "record", "name": format!("{name}Key"), "fields": fields}).to_string())
}

fn type_of(schema: &Schema, id: NodeId, named: &mut BTreeSet<String>) -> Option<Json> {
    let node = schema.node(id);
    let mut json = match &node.kind {
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Int => json!({"type": "int"}),
        Kind::Long => json!({"type": "long"}),
        Kind::Float => json!({"type": "float"}),
        Kind::Double => json!({"type": "double"}),
        Kind::Bytes => json!({"type": "bytes"}),
        Kind::String => json!({"type": "string"}),
        Kind::Enum(enumeration) if !named.insert(enumeration.name.clone()) => return Some(json!(enumeration.name)),
        Kind::Enum(enumeration) => {
            json!({"type": "enum", "name": enumeration.name, "symbols": enumeration.symbols})
        }
        Kind::Fixed(fixed) if !named.insert(fixed.name.clone()) => return Some(json!(fixed.name)),
        Kind::Fixed(fixed) => json!({"type": "fixed", "name": fixed.name, "size": fixed.size}),
        Kind::Null | Kind::Array(_) | Kind::Map(_) | Kind::Union(_) | Kind::Record(_) => return None,
    };
    let Some(logical) = node.logical else {
        let plain = json.as_object().filter(|object| object.len() == 1).and_then(|object| object.get("type")).cloned();
        return Some(plain.unwrap_or(json));
    };
    json["logicalType"] = json!(match logical {
        Logical::Decimal { precision, scale } => {
            json["precision"] = json!(precision);
            json["scale"] = json!(scale);
            "decimal"
        }
        Logical::Uuid => "uuid",
        Logical::Date => "date",
        Logical::TimeMillis => "time-millis",
        Logical::TimeMicros => "time-micros",
        Logical::TimestampMillis => "timestamp-millis",
        Logical::TimestampMicros => "timestamp-micros",
        Logical::TimestampNanos => "timestamp-nanos",
        Logical::LocalTimestampMillis => "local-timestamp-millis",
        Logical::LocalTimestampMicros => "local-timestamp-micros",
        Logical::LocalTimestampNanos => "local-timestamp-nanos",
        Logical::Duration => "duration",
    });
    Some(json)
}

impl Program {
    /// The Avro key, framed with `id`, that the contract gives a record with this body; `id` is that of
    /// [`key_schema`]. `None` as [`Program::key`], and where [`key_schema`] is `None`.
    pub fn avro_key(&self, id: SchemaId, body: &[u8], scratch: &mut Scratch) -> Option<Vec<u8>> {
        let spec = &self.contract.settings.key;
        if spec.kind != KeyKind::Avro || spec.fields.is_empty() {
            return None;
        }
        scratch.begin(self, false);
        let mut slots = vec![Found::Null; self.code.slots];
        let mut rows = self.rows(scratch);
        let ran = self.run(body, &mut Places { slots: &mut slots, rows: &mut rows }, scratch);
        self.give_back(rows, scratch);
        ran.ok()?;
        let parts = slots.get(self.code.key_slots..self.code.slots)?;
        let mut key = Vec::with_capacity(32);
        frame(id, &mut key);
        for (path, part) in spec.fields.iter().zip(parts) {
            write(&self.contract.schema, node_at(&self.contract.schema, path)?, *part, &mut key)?;
        }
        Some(key)
    }
}

/// Appends a value as the type at `id`; `None` where it is none of it.
fn write(schema: &Schema, id: NodeId, part: Found<'_>, out: &mut Vec<u8>) -> Option<()> {
    match (&schema.node(id).kind, part) {
        (Kind::Boolean, Found::Bool(value)) => out.push(u8::from(value)),
        (Kind::Int | Kind::Long, Found::Int(value)) => varint(value, out),
        (Kind::Float, Found::Float(value)) => out.extend_from_slice(&(value as f32).to_le_bytes()),
        (Kind::Double, Found::Float(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (Kind::Bytes, Found::Bytes(bytes)) => sized(bytes, out)?,
        (Kind::String, Found::Text(text)) => sized(text.as_bytes(), out)?,
        (Kind::Fixed(fixed), Found::Bytes(bytes)) if bytes.len() == fixed.size => out.extend_from_slice(bytes),
        (Kind::Enum(enumeration), Found::Text(symbol)) => {
            varint(i64::try_from(enumeration.symbols.iter().position(|known| known == symbol)?).ok()?, out);
        }
        (Kind::Bytes, Found::Decimal(number)) => {
            let bytes = number.to_be_bytes();
            let sign = if number < 0 { 0xff } else { 0 };
            // As few bytes as keep the sign.
            let spare = bytes.windows(2).take_while(|pair| pair[0] == sign && (pair[1] ^ sign) < 0x80).count();
            sized(bytes.get(spare..)?, out)?;
        }
        (Kind::Fixed(fixed), Found::Decimal(number)) => {
            let bytes = number.to_be_bytes();
            let sign = if number < 0 { 0xff } else { 0 };
            let missing = fixed.size.saturating_sub(bytes.len());
            out.extend(std::iter::repeat_n(sign, missing));
            out.extend_from_slice(bytes.get(bytes.len().saturating_sub(fixed.size)..)?);
        }
        _ => return None,
    }
    Some(())
}

fn sized(bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    varint(i64::try_from(bytes.len()).ok()?, out);
    out.extend_from_slice(bytes);
    Some(())
}

fn varint(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}
