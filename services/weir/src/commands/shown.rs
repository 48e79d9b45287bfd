//! Records as people and programs read them: decoded where their schema is known, bytes where not.

use std::collections::HashMap;
use std::sync::Arc;

use broker::{Lookup, OwnedRecord, Registry, Weather};
use contract::avro::{Schema, render};
use schemas::{Frame, SchemaId};
use serde_json::{Value, json};

/// Decodes values with the schemas they were written with.
pub(crate) struct Decoder<'a> {
    registry: &'a dyn Registry,
    known: HashMap<SchemaId, Option<Arc<Schema>>>,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(registry: &'a dyn Registry) -> Self {
        Self { registry, known: HashMap::new() }
    }

    /// The value of a record: its fields, or why they cannot be read.
    pub(crate) fn value(&mut self, bytes: Option<&[u8]>) -> Result<Result<Value, String>, Weather> {
        let Some(bytes) = bytes else { return Ok(Ok(Value::Null)) };
        let Ok(framed) = Frame::parse(bytes) else { return Ok(Err("not in the Confluent wire format".to_owned())) };
        if !self.known.contains_key(&framed.schema) {
            let parsed = match self.registry.schema(framed.schema)? {
                Lookup::Avro(text) => Schema::parse(&text).ok().map(Arc::new),
                _ => None,
            };
            self.known.insert(framed.schema, parsed);
        }
        Ok(match self.known.get(&framed.schema) {
            Some(Some(schema)) => render(schema, framed.body).map_err(|malformed| malformed.to_string()),
            _ => Err(format!("schema {} is not known", framed.schema)),
        })
    }
}

/// A key as text where it is text, else as hexadecimal digits.
pub(crate) fn key(bytes: Option<&[u8]>) -> Value {
    match bytes {
        None => Value::Null,
        Some(bytes) => json!(text_or_hex(bytes)),
    }
}

/// Bytes as text where they are printable UTF-8, else as hexadecimal digits.
pub(crate) fn text_or_hex(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => hex(bytes),
    }
}

/// Hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A header's text.
pub(crate) fn header(record: &OwnedRecord, name: &str) -> Option<String> {
    // The last one counts: ours are appended after whatever the producer sent.
    let (_, value) = record.headers.iter().rev().find(|(header, _)| header == name)?;
    value.as_deref().map(|value| String::from_utf8_lossy(value).into_owned())
}

/// A record's timestamp as RFC 3339.
pub(crate) fn time(millis: schemas::Timestamp) -> Value {
    jiff::Timestamp::from_millisecond(millis.0).map_or(Value::Null, |at| json!(at.to_string()))
}
