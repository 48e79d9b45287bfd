//! Avro binary shown as JSON for people: decimals as digits, dates and times as ISO 8601, unions without a
//! wrapper, bytes as the specification's JSON encoding has them (one character U+0000–U+00FF per byte).
//! Bounded against hostile bytes and hostile schemas alike; not the hot path.
//!
//! Source: Apache Avro 1.12 specification, "Binary Encoding", "JSON Encoding".

use std::fmt::Write as _;

use serde_json::{Map, Number, Value};

use super::schema::{Kind, Logical, NodeId, Schema};
use super::{decimal, moment};

/// Deepest nesting of values.
const MAX_DEPTH: usize = 64;
/// Most values in one body. Types of no bytes could otherwise make any number of values from a few bytes.
const MAX_VALUES: usize = 1_000_000;
/// Most items of no bytes in one array or map.
const MAX_EMPTY_ITEMS: usize = 64 * 1024;

/// Bytes that are no value of the schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset} of the Avro body: {message}")]
pub struct Malformed {
    /// Where in the body, from 0.
    pub offset: usize,
    /// What is wrong there.
    pub message: String,
}

/// The value that `body` holds, to the last byte.
///
/// Bounds: nesting 64, 1,000,000 values, lengths and item counts by the bytes that remain.
///
/// # Errors
/// [`Malformed`] where the bytes are not exactly one value of this schema, or break a bound.
pub fn render(schema: &Schema, body: &[u8]) -> Result<Value, Malformed> {
    let mut cursor = cursor(schema, body);
    let value = cursor.value(schema.root(), 0)?;
    if cursor.offset != body.len() {
        return Err(cursor.malformed(format!("{} bytes are left over after the value", body.len() - cursor.offset)));
    }
    Ok(value)
}

/// The value that `bytes` begin with, and how many of them it takes. Bounds as [`render`].
///
/// # Errors
/// As [`render`], but for what follows the value.
pub fn render_first(schema: &Schema, bytes: &[u8]) -> Result<(Value, usize), Malformed> {
    let mut cursor = cursor(schema, bytes);
    let value = cursor.value(schema.root(), 0)?;
    Ok((value, cursor.offset))
}

fn cursor<'a>(schema: &'a Schema, body: &'a [u8]) -> Cursor<'a> {
    let mut sizes = vec![None; schema.nodes.len()];
    for index in 0..schema.nodes.len() {
        least(schema, index, 0, &mut sizes);
    }
    Cursor { schema, body, offset: 0, values: MAX_VALUES, sizes }
}

/// A lower bound of the bytes that a value of this type takes. Types met again on the way count 0, which
/// only makes the bound looser.
fn least(schema: &Schema, index: usize, depth: usize, sizes: &mut [Option<usize>]) -> usize {
    match sizes.get(index).copied().flatten() {
        Some(size) => return size,
        None if depth > MAX_DEPTH => return 0,
        None => {}
    }
    if let Some(size) = sizes.get_mut(index) {
        *size = Some(0);
    }
    let size = match schema.nodes.get(index).map(|node| &node.kind) {
        None | Some(Kind::Null) => 0,
        Some(Kind::Float) => 4,
        Some(Kind::Double) => 8,
        Some(Kind::Fixed(fixed)) => fixed.size,
        Some(Kind::Record(record)) => record
            .fields
            .iter()
            .fold(0_usize, |sum, field| sum.saturating_add(least(schema, field.node.0 as usize, depth + 1, sizes))),
        Some(_) => 1,
    };
    if let Some(known) = sizes.get_mut(index) {
        *known = Some(size);
    }
    size
}

struct Cursor<'a> {
    schema: &'a Schema,
    body: &'a [u8],
    offset: usize,
    /// How many values may still be made.
    values: usize,
    sizes: Vec<Option<usize>>,
}

impl<'a> Cursor<'a> {
    fn malformed(&self, message: impl Into<String>) -> Malformed {
        Malformed { offset: self.offset, message: message.into() }
    }

    fn take(&mut self, count: usize, what: &str) -> Result<&'a [u8], Malformed> {
        let end = self.offset.checked_add(count);
        match end.and_then(|end| self.body.get(self.offset..end)) {
            Some(bytes) => {
                self.offset += count;
                Ok(bytes)
            }
            None => Err(self.malformed(format!("the body ends inside {what} of {count} bytes"))),
        }
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], Malformed> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N, what)?);
        Ok(out)
    }

    fn long(&mut self) -> Result<i64, Malformed> {
        let mut number = 0_u64;
        for shift in (0..10).map(|index| index * 7) {
            let [byte] = self.array("a number")?;
            if shift == 63 && byte > 1 {
                break;
            }
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((number >> 1) as i64 ^ -((number & 1) as i64));
            }
        }
        Err(self.malformed("a number is longer than 64 bits"))
    }

    fn int(&mut self) -> Result<i32, Malformed> {
        let number = self.long()?;
        i32::try_from(number).map_err(|_| self.malformed(format!("{number} is beyond an int of 32 bits")))
    }

    fn bytes(&mut self, what: &str) -> Result<&'a [u8], Malformed> {
        let length = self.long()?;
        let length = usize::try_from(length).map_err(|_| self.malformed(format!("{length} is no length of {what}")))?;
        self.take(length, what)
    }

    fn text(&mut self) -> Result<&'a str, Malformed> {
        let bytes = self.bytes("a string")?;
        std::str::from_utf8(bytes).map_err(|why| self.malformed(format!("a string is not UTF-8: {why}")))
    }

    fn value(&mut self, id: NodeId, depth: usize) -> Result<Value, Malformed> {
        if depth > MAX_DEPTH {
            return Err(self.malformed(format!("values are nested more than {MAX_DEPTH} deep")));
        }
        self.values = self
            .values
            .checked_sub(1)
            .ok_or_else(|| self.malformed(format!("there are more than {MAX_VALUES} values")))?;
        let schema = self.schema;
        let node = schema.node(id);
        match &node.kind {
            Kind::Null => Ok(Value::Null),
            Kind::Boolean => match self.array("a boolean")? {
                [0] => Ok(Value::Bool(false)),
                [1] => Ok(Value::Bool(true)),
                [other] => Err(self.malformed(format!("{other} is no boolean; it is 0 or 1"))),
            },
            Kind::Int => self.int().map(|number| counted(node.logical, i64::from(number))),
            Kind::Long => self.long().map(|number| counted(node.logical, number)),
            // The shortest text of a float is kept, rather than that of the double nearest to it.
            Kind::Float => Ok(single(f32::from_le_bytes(self.array("a float")?))),
            Kind::Double => Ok(double(f64::from_le_bytes(self.array("a double")?))),
            Kind::Bytes => self.bytes("bytes").map(|bytes| opaque(node.logical, bytes)),
            Kind::String => self.text().map(Value::from),
            Kind::Fixed(fixed) => self.take(fixed.size, "a fixed").map(|bytes| opaque(node.logical, bytes)),
            Kind::Enum(enumeration) => {
                let index = self.int()?;
                let symbol = usize::try_from(index).ok().and_then(|index| enumeration.symbols.get(index));
                symbol
                    .map(|symbol| Value::from(symbol.as_str()))
                    .ok_or_else(|| self.malformed(format!("{index} is no symbol of {}", enumeration.name)))
            }
            Kind::Union(branches) => {
                let index = self.long()?;
                let branch = usize::try_from(index).ok().and_then(|index| branches.get(index)).copied();
                let branch = branch
                    .ok_or_else(|| self.malformed(format!("{index} is no branch of a union of {}", branches.len())))?;
                self.value(branch, depth + 1)
            }
            Kind::Record(record) => {
                let mut object = Map::new();
                for field in &record.fields {
                    object.insert(field.name.clone(), self.value(field.node, depth + 1)?);
                }
                Ok(Value::Object(object))
            }
            Kind::Array(items) => {
                let mut values = Vec::new();
                self.blocks(self.size(*items), |cursor| {
                    values.push(cursor.value(*items, depth + 1)?);
                    Ok(())
                })?;
                Ok(Value::Array(values))
            }
            Kind::Map(items) => {
                let mut object = Map::new();
                self.blocks(self.size(*items).saturating_add(1), |cursor| {
                    let key = cursor.text()?.to_owned();
                    let value = cursor.value(*items, depth + 1)?;
                    object.insert(key, value);
                    Ok(())
                })?;
                Ok(Value::Object(object))
            }
        }
    }

    fn size(&self, id: NodeId) -> usize {
        self.sizes.get(id.0 as usize).copied().flatten().unwrap_or(0)
    }

    fn blocks(
        &mut self,
        size: usize,
        mut item: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let mut empty = 0_usize;
        loop {
            let count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                let bytes = self.long()?;
                if usize::try_from(bytes).map_or(true, |bytes| bytes > self.body.len() - self.offset) {
                    return Err(self.malformed(format!("a block claims {bytes} bytes, more than remain")));
                }
            }
            let count = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
            let remaining = self.body.len() - self.offset;
            if count.checked_mul(size).is_none_or(|needed| needed > remaining) {
                return Err(
                    self.malformed(format!("a block claims {count} items, more than {remaining} bytes can hold"))
                );
            }
            if size == 0 {
                empty = empty.saturating_add(count);
                if empty > MAX_EMPTY_ITEMS {
                    return Err(self.malformed(format!(
                        "a block claims {count} items of no bytes; at most {MAX_EMPTY_ITEMS} are read"
                    )));
                }
            }
            for _ in 0..count {
                item(self)?;
            }
        }
    }
}

fn counted(logical: Option<Logical>, number: i64) -> Value {
    logical.and_then(|logical| moment::text(logical, number)).map_or_else(|| Value::from(number), Value::from)
}

fn single(number: f32) -> Value {
    if number.is_finite() {
        // f32's shortest digits, read as a double, print as those digits again.
        return double(number.to_string().parse().unwrap_or(f64::from(number)));
    }
    double(f64::from(number))
}

fn double(number: f64) -> Value {
    match Number::from_f64(number) {
        Some(number) => Value::Number(number),
        None if number.is_nan() => Value::from("NaN"),
        None if number > 0.0 => Value::from("Infinity"),
        None => Value::from("-Infinity"),
    }
}

fn opaque(logical: Option<Logical>, bytes: &[u8]) -> Value {
    let text = match logical {
        Some(Logical::Decimal { scale, .. }) => decimal::text(bytes, scale),
        Some(Logical::Uuid) => Some(uuid(bytes)),
        Some(Logical::Duration) => return duration(bytes),
        _ => None,
    };
    Value::from(text.unwrap_or_else(|| bytes.iter().map(|byte| char::from(*byte)).collect()))
}

fn uuid(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

fn duration(bytes: &[u8]) -> Value {
    let mut parts =
        bytes.chunks_exact(4).map(|part| part.iter().rev().fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte)));
    let mut object = Map::new();
    for name in ["months", "days", "millis"] {
        object.insert(name.to_owned(), Value::from(parts.next().unwrap_or(0)));
    }
    Value::Object(object)
}
