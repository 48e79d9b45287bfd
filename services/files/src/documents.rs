//! Records that come as values with names (JSON, Avro, Parquet), written as the schema asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::avro::{self, Kind, Schema};
use contract::{Path, Segment, Written};
use serde_json::{Map, Value};

use crate::{FieldProblem, FileError, Options, Raw, Row};

/// One record of a file.
#[derive(Debug)]
pub(crate) struct Document {
    /// The line it starts on; for files without lines the record itself.
    pub(crate) line: u64,
    /// The value, or why the text is none.
    pub(crate) value: Result<Value, FieldProblem>,
    /// As it stands in the file.
    pub(crate) raw: Raw,
}

/// The records of a file, one after the other.
pub(crate) trait Documents: Send {
    /// The next one; after an error there are none.
    fn next(&mut self) -> Option<Result<Document, FileError>>;
}

/// Documents as typed records.
pub(crate) struct Typed {
    documents: Box<dyn Documents>,
    schema: Arc<Schema>,
    names: Names,
    record: u64,
    size: usize,
}

impl Typed {
    pub(crate) fn new(
        documents: Box<dyn Documents>,
        name: &str,
        schema: &Arc<Schema>,
        options: &Options,
    ) -> Result<Self, FileError> {
        if !matches!(schema.node(schema.root()).kind, Kind::Record(_)) {
            let mistakes = vec!["the schema is not a record, which every line is; write a record schema".to_owned()];
            return Err(FileError::Header { file: name.to_owned(), mistakes });
        }
        let names = Names::of(&options.written);
        Ok(Self { documents, schema: Arc::clone(schema), names, record: 0, size: 64 })
    }

    pub(crate) fn next(&mut self) -> Option<Result<Row, FileError>> {
        let document = match self.documents.next()? {
            Ok(document) => document,
            Err(error) => return Some(Err(error)),
        };
        self.record += 1;
        let outcome = match document.value {
            Ok(value) => self.outcome(value),
            Err(problem) => Err(vec![problem]),
        };
        Some(Ok(Row { record: self.record, line: document.line, outcome, raw: document.raw }))
    }

    fn outcome(&mut self, mut value: Value) -> Result<Vec<u8>, Vec<FieldProblem>> {
        self.names.give(&mut value);
        let mut body = Vec::with_capacity(self.size);
        match avro::encode(&self.schema, &value, &mut body) {
            Ok(()) => {
                self.size = body.len();
                Ok(body)
            }
            Err(errors) => Err(errors
                .into_iter()
                .map(|error| FieldProblem { path: error.path, value: error.value, message: error.message })
                .collect()),
        }
    }
}

/// What keys are called in the schema, where the file calls them otherwise.
#[derive(Debug, Clone, Default)]
struct Names {
    /// Key in the file to field.
    fields: BTreeMap<String, String>,
    /// Of the fields inside.
    within: BTreeMap<String, Names>,
    /// Of what is in an array or a map.
    items: Option<Box<Names>>,
}

impl Names {
    fn of(written: &[Written]) -> Self {
        let mut names = Self::default();
        for entry in written {
            let Some(name) = &entry.name else { continue };
            let Path(segments) = &entry.path;
            let Some((Segment::Field(field), above)) = segments.split_last() else { continue };
            let at = above.iter().fold(&mut names, |names, segment| match segment {
                Segment::Field(field) => names.within.entry(field.to_string()).or_default(),
                Segment::Items | Segment::Values => names.items.get_or_insert_default(),
            });
            at.fields.insert(name.to_string(), field.to_string());
        }
        names
    }

    fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.within.is_empty() && self.items.is_none()
    }

    fn give(&self, value: &mut Value) {
        if self.is_empty() {
            return;
        }
        match value {
            Value::Array(items) => {
                if let Some(names) = &self.items {
                    items.iter_mut().for_each(|item| names.give(item));
                }
            }
            Value::Object(map) if self.items.is_some() => {
                if let Some(names) = &self.items {
                    map.values_mut().for_each(|value| names.give(value));
                }
            }
            Value::Object(map) => {
                if !self.fields.is_empty() {
                    let named = std::mem::take(map).into_iter().map(|(key, value)| match self.fields.get(&key) {
                        Some(field) => (field.clone(), value),
                        None => (key, value),
                    });
                    *map = named.collect::<Map<_, _>>();
                }
                for (field, names) in &self.within {
                    if let Some(value) = map.get_mut(field) {
                        names.give(value);
                    }
                }
            }
            _ => {}
        }
    }
}
