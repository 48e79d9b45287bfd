//! Plain JSON written as Avro binary: what `weir produce` and the tests give. Types are strict (a string is
//! never taken for a number), unions have no wrapper and take the first branch that fits, and every
//! mistake is named with its place, not only the first.
//!
//! Source: Apache Avro 1.12 specification, "Binary Encoding".

use serde_json::{Map, Value};

use super::parse::shown;
use super::schema::{Field, Kind, Logical, NodeId, Record, Schema};
use super::{decimal, moment};

/// Deepest nesting of values.
const MAX_DEPTH: usize = 64;
/// Most values written or tried; unions inside unions of records could otherwise be tried without end.
const MAX_STEPS: usize = 2_000_000;
/// Most mistakes named for one value.
const MAX_ERRORS: usize = 200;

/// One place where a JSON value does not fit the schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{value} {message}", place(path))]
pub struct EncodeError {
    /// Where in the value: `lines[2].sku`; empty for the whole.
    pub path: String,
    /// The value found there, as JSON, shortened; empty where there is none.
    pub value: String,
    /// What is wrong with it, to follow the value: `is not an int`.
    pub message: String,
}

fn place(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}: ") }
}

/// Appends `value` as Avro binary to `out`.
///
/// Bounds: nesting 64, 2,000,000 values tried, 200 mistakes named.
///
/// # Errors
/// Every mistake; `out` is then as it was.
pub fn encode(schema: &Schema, value: &Value, out: &mut Vec<u8>) -> Result<(), Vec<EncodeError>> {
    encode_from(schema, schema.root(), value, Source::Given, out)
}

/// Appends `value` as the type at `id`, as [`encode`] does the whole.
///
/// # Errors
/// As [`encode`], with paths from that type on.
pub fn encode_at(schema: &Schema, id: NodeId, value: &Value, out: &mut Vec<u8>) -> Result<(), Vec<EncodeError>> {
    encode_from(schema, id, value, Source::Given, out)
}

/// Appends the default of a field, which must have one; nothing where it has none.
///
/// # Errors
/// As [`encode`]; a parsed schema has no default that does not fit.
pub fn encode_default(schema: &Schema, field: &Field, out: &mut Vec<u8>) -> Result<(), Vec<EncodeError>> {
    field.default.as_ref().map_or(Ok(()), |default| encode_from(schema, field.node, default, Source::Default, out))
}

fn encode_from(
    schema: &Schema,
    id: NodeId,
    value: &Value,
    source: Source,
    out: &mut Vec<u8>,
) -> Result<(), Vec<EncodeError>> {
    let start = out.len();
    let mut encoder = Encoder { schema, steps: MAX_STEPS, errors: Vec::new(), path: Vec::new() };
    encoder.value(id, value, source, out);
    if encoder.errors.is_empty() {
        return Ok(());
    }
    out.truncate(start);
    Err(encoder.errors)
}

/// Whether a value was given or stands in a schema as a default, where counts and bytes are never ISO text
/// or digits but the specification's own JSON encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Given,
    Default,
}

struct Encoder<'a> {
    schema: &'a Schema,
    steps: usize,
    errors: Vec<EncodeError>,
    path: Vec<String>,
}

impl Encoder<'_> {
    fn refuse(&mut self, value: String, message: impl Into<String>) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(EncodeError { path: self.path.concat(), value, message: message.into() });
        }
    }

    fn within(&mut self, step: String, id: NodeId, value: &Value, source: Source, out: &mut Vec<u8>) {
        let step = if self.path.is_empty() { step.strip_prefix('.').map(str::to_owned).unwrap_or(step) } else { step };
        self.path.push(step);
        self.value(id, value, source, out);
        self.path.pop();
    }

    fn value(&mut self, id: NodeId, value: &Value, source: Source, out: &mut Vec<u8>) {
        if self.path.len() > MAX_DEPTH {
            return self.refuse(shown(value), format!("is nested more than {MAX_DEPTH} deep"));
        }
        let Some(steps) = self.steps.checked_sub(1) else {
            return self.refuse(shown(value), format!("is too large: more than {MAX_STEPS} values"));
        };
        self.steps = steps;
        let schema = self.schema;
        let node = schema.node(id);
        let written = match &node.kind {
            Kind::Union(branches) => return self.union(branches, value, source, out),
            Kind::Record(record) => return self.record(record, value, source, out),
            Kind::Array(items) => return self.array(*items, value, source, out),
            Kind::Map(values) => return self.map(*values, value, source, out),
            kind => scalar(kind, node.logical.filter(|_| source == Source::Given), value, out),
        };
        if let Err(message) = written {
            self.refuse(shown(value), message);
        }
    }

    fn union(&mut self, branches: &[NodeId], value: &Value, source: Source, out: &mut Vec<u8>) {
        let start = out.len();
        let mut told = Vec::new();
        for (index, branch) in branches.iter().enumerate() {
            // A null fits null alone; skipping the branch otherwise keeps the reasons to the point.
            if matches!(self.schema.node(*branch).kind, Kind::Null) != value.is_null() {
                continue;
            }
            number(i64::try_from(index).unwrap_or(i64::MAX), out);
            // Mistakes of a branch that is only tried are kept apart, and the bound on them with it.
            let outer = std::mem::take(&mut self.errors);
            self.value(*branch, value, source, out);
            let tried = std::mem::replace(&mut self.errors, outer);
            if tried.is_empty() {
                return;
            }
            out.truncate(start);
            told.push(tried);
        }
        match told.as_slice() {
            // Of one candidate its own reasons say the most.
            [reasons] => {
                let room = MAX_ERRORS.saturating_sub(self.errors.len());
                self.errors.extend(reasons.iter().take(room).cloned());
            }
            _ => {
                let names: Vec<&str> = branches.iter().map(|branch| self.schema.type_name(*branch)).collect();
                let message = format!("fits none of {}", names.join(", "));
                self.refuse(shown(value), message);
            }
        }
    }

    fn record(&mut self, record: &Record, value: &Value, source: Source, out: &mut Vec<u8>) {
        let Value::Object(object) = value else {
            return self.refuse(shown(value), format!("is not an object, which the record {} is", record.name));
        };
        for field in &record.fields {
            let step = format!(".{}", field.name);
            match (object.get(&field.name), &field.default) {
                (Some(value), _) => self.within(step, field.node, value, source, out),
                (None, Some(default)) => self.within(step, field.node, default, Source::Default, out),
                (None, None) => {
                    let hint = if self.schema.nullable(field.node).is_some() {
                        "; write null where there is no value"
                    } else {
                        ""
                    };
                    self.absent(step, format!("is missing and has no default{hint}"));
                }
            }
        }
        let known: std::collections::HashSet<&str> = record.fields.iter().map(|field| field.name.as_str()).collect();
        for (name, value) in object.iter().filter(|(name, _)| !known.contains(name.as_str())) {
            self.path.push(if self.path.is_empty() { name.clone() } else { format!(".{name}") });
            self.refuse(shown(value), format!("is given for a field that the record {} does not have", record.name));
            self.path.pop();
        }
    }

    fn absent(&mut self, step: String, message: String) {
        self.path.push(if self.path.is_empty() { step.trim_start_matches('.').to_owned() } else { step });
        self.refuse(String::new(), message);
        self.path.pop();
    }

    fn array(&mut self, items: NodeId, value: &Value, source: Source, out: &mut Vec<u8>) {
        let Value::Array(values) = value else {
            return self.refuse(shown(value), "is not an array");
        };
        block(values.len(), out);
        for (index, value) in values.iter().enumerate() {
            self.within(format!("[{index}]"), items, value, source, out);
        }
        out.push(0);
    }

    fn map(&mut self, items: NodeId, value: &Value, source: Source, out: &mut Vec<u8>) {
        let Value::Object(values) = value else {
            return self.refuse(shown(value), "is not an object, which a map is");
        };
        block(values.len(), out);
        for (key, value) in values {
            bytes(key.as_bytes(), out);
            self.within(format!("[{key:?}]"), items, value, source, out);
        }
        out.push(0);
    }
}

fn block(count: usize, out: &mut Vec<u8>) {
    if count > 0 {
        number(i64::try_from(count).unwrap_or(i64::MAX), out);
    }
}

/// Appends a zig-zag varint.
fn number(number: i64, out: &mut Vec<u8>) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn bytes(bytes: &[u8], out: &mut Vec<u8>) {
    number(i64::try_from(bytes.len()).unwrap_or(i64::MAX), out);
    out.extend_from_slice(bytes);
}

/// Writes a value of a type without parts; nothing where it fails.
fn scalar(kind: &Kind, logical: Option<Logical>, value: &Value, out: &mut Vec<u8>) -> Result<(), String> {
    match kind {
        Kind::Null => value.as_null().ok_or("is not null")?,
        Kind::Boolean => out.push(u8::from(value.as_bool().ok_or("is not true or false")?)),
        Kind::Int => {
            let whole = counted(logical, value, "an int")?;
            number(i64::from(i32::try_from(whole).map_err(|_| "is beyond an int of 32 bits")?), out);
        }
        Kind::Long => number(counted(logical, value, "a long")?, out),
        Kind::Float => {
            let wide = float(value, "a float")?;
            let narrow = wide as f32;
            if wide.is_finite() && !narrow.is_finite() {
                return Err("is beyond a float of 32 bits".to_owned());
            }
            out.extend_from_slice(&narrow.to_le_bytes());
        }
        Kind::Double => out.extend_from_slice(&float(value, "a double")?.to_le_bytes()),
        Kind::String => {
            let text = value.as_str().ok_or("is not a string")?;
            if logical == Some(Logical::Uuid) {
                uuid(text)?;
            }
            bytes(text.as_bytes(), out);
        }
        Kind::Bytes => bytes(&opaque(logical, value, None)?, out),
        Kind::Fixed(fixed) => {
            let content = opaque(logical, value, Some(fixed.size))?;
            if content.len() != fixed.size {
                return Err(format!("has {} bytes; {} has {}", content.len(), fixed.name, fixed.size));
            }
            out.extend_from_slice(&content);
        }
        Kind::Enum(enumeration) => {
            let symbol = value.as_str().ok_or("is not a string, which a symbol is")?;
            let index = enumeration.symbols.iter().position(|known| known == symbol);
            let index =
                index.ok_or_else(|| format!("is no symbol of {}: {}", enumeration.name, some(&enumeration.symbols)))?;
            number(i64::try_from(index).unwrap_or(i64::MAX), out);
        }
        Kind::Array(_) | Kind::Map(_) | Kind::Union(_) | Kind::Record(_) => return Err("has parts".to_owned()),
    }
    Ok(())
}

fn some(symbols: &[String]) -> String {
    let shown: Vec<&str> = symbols.iter().take(20).map(String::as_str).collect();
    let more = if symbols.len() > shown.len() { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

fn counted(logical: Option<Logical>, value: &Value, what: &str) -> Result<i64, String> {
    match (value, logical) {
        (Value::String(text), Some(logical)) => moment::count(logical, text),
        _ => value.as_i64().ok_or_else(|| format!("is not {what}")),
    }
}

fn float(value: &Value, what: &str) -> Result<f64, String> {
    match value.as_str() {
        Some("NaN") => Ok(f64::NAN),
        Some("Infinity") => Ok(f64::INFINITY),
        Some("-Infinity") => Ok(f64::NEG_INFINITY),
        _ => value.as_f64().ok_or_else(|| format!("is not {what}")),
    }
}

fn opaque(logical: Option<Logical>, value: &Value, size: Option<usize>) -> Result<Vec<u8>, String> {
    match (logical, value) {
        (Some(Logical::Decimal { precision, scale }), Value::String(_) | Value::Number(_)) => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let content = decimal::unscaled(&text, precision, scale)?;
            let sign = if content.first().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
            let mut padded = vec![sign; size.unwrap_or(0).saturating_sub(content.len())];
            padded.extend_from_slice(&content);
            Ok(padded)
        }
        (Some(Logical::Decimal { .. }), _) => Err("is not a decimal; write it as text or as a number".to_owned()),
        (Some(Logical::Uuid), Value::String(text)) => uuid(text),
        (Some(Logical::Duration), Value::Object(parts)) => duration(parts),
        (_, Value::String(text)) => text
            .chars()
            .map(|letter| u8::try_from(u32::from(letter)))
            .collect::<Result<_, _>>()
            .map_err(|_| "holds a character above U+00FF; each character is one byte".to_owned()),
        _ => Err("is not a string, which bytes are, a character U+0000 to U+00FF for each".to_owned()),
    }
}

fn uuid(text: &str) -> Result<Vec<u8>, String> {
    let refused = || "is not a UUID like 123e4567-e89b-12d3-a456-426614174000".to_owned();
    let shape = text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| (byte == b'-') == matches!(index, 8 | 13 | 18 | 23));
    let digits: Option<Vec<u32>> =
        text.chars().filter(|letter| *letter != '-').map(|letter| letter.to_digit(16)).collect();
    let digits = digits.filter(|_| shape).ok_or_else(refused)?;
    Ok(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| (byte << 4) | *digit) as u8).collect())
}

fn duration(parts: &Map<String, Value>) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(12);
    for name in ["months", "days", "millis"] {
        let part = parts.get(name).map_or(Some(0), Value::as_u64).and_then(|part| u32::try_from(part).ok());
        out.extend_from_slice(&part.ok_or_else(|| format!("has no whole number of {name}"))?.to_le_bytes());
    }
    if parts.keys().any(|name| !["months", "days", "millis"].contains(&name.as_str())) {
        return Err("has other parts than months, days and millis".to_owned());
    }
    Ok(out)
}
