//! One JSON object per line. Blank lines are skipped.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use contract::avro::{self, Kind, Schema};
use serde_json::Value;

use crate::{FieldProblem, FileError, MAX_RECORD_BYTES, Raw, Row, shown};

/// Bytes read from the file at a time.
const BUFFER_BYTES: usize = 64 << 10;

pub(crate) struct Ndjson {
    name: String,
    reader: BufReader<Box<dyn Read + Send>>,
    schema: Arc<Schema>,
    line: u64,
    record: u64,
    buffer: Vec<u8>,
}

impl Ndjson {
    pub(crate) fn new(input: Box<dyn Read + Send>, name: &str, schema: &Arc<Schema>) -> Result<Self, FileError> {
        if !matches!(schema.node(schema.root()).kind, Kind::Record(_)) {
            let mistakes = vec!["the schema is not a record, which every line is; write a record schema".to_owned()];
            return Err(FileError::Header { file: name.to_owned(), mistakes });
        }
        let reader = BufReader::with_capacity(BUFFER_BYTES, input);
        Ok(Self { name: name.to_owned(), reader, schema: Arc::clone(schema), line: 0, record: 0, buffer: Vec::new() })
    }

    pub(crate) fn next(&mut self) -> Option<Result<Row, FileError>> {
        loop {
            self.buffer.clear();
            let bound = u64::try_from(MAX_RECORD_BYTES).unwrap_or(u64::MAX);
            match (&mut self.reader).take(bound + 1).read_until(b'\n', &mut self.buffer) {
                Ok(0) => return None,
                Ok(_) => self.line += 1,
                Err(error) => return Some(Err(FileError::Read { file: self.name.clone(), error })),
            }
            if self.buffer.len() > MAX_RECORD_BYTES {
                return Some(Err(FileError::TooLong { file: self.name.clone(), line: self.line }));
            }
            let mut line = self.buffer.as_slice();
            if self.line == 1 {
                line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
            }
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            self.record += 1;
            let outcome = outcome(&self.schema, line);
            let raw = Raw::Json(String::from_utf8_lossy(line).into_owned());
            return Some(Ok(Row { record: self.record, line: self.line, outcome, raw }));
        }
    }
}

fn outcome(schema: &Schema, line: &[u8]) -> Result<Vec<u8>, Vec<FieldProblem>> {
    let value: Value = serde_json::from_slice(line).map_err(|error| {
        let column = error.column();
        let message = format!("is not JSON at column {column}; each line must hold one whole object");
        vec![FieldProblem { path: String::new(), value: shown(&String::from_utf8_lossy(line)), message }]
    })?;
    let mut body = Vec::with_capacity(line.len());
    match avro::encode(schema, &value, &mut body) {
        Ok(()) => Ok(body),
        Err(errors) => Err(errors
            .into_iter()
            .map(|error| FieldProblem { path: error.path, value: error.value, message: error.message })
            .collect()),
    }
}
