//! One JSON object per line. Blank lines are skipped.

use std::io::{BufRead, BufReader, Read};

use serde_json::Value;

use crate::documents::{Document, Documents};
use crate::input::Bytes;
use crate::{FieldProblem, FileError, MAX_RECORD_BYTES, Raw, shown};

/// Bytes read from the file at a time.
const BUFFER_BYTES: usize = 64 << 10;

pub(crate) struct Ndjson {
    name: String,
    reader: BufReader<Bytes>,
    line: u64,
    buffer: Vec<u8>,
}

impl Ndjson {
    pub(crate) fn new(input: Bytes, name: &str) -> Self {
        let reader = BufReader::with_capacity(BUFFER_BYTES, input);
        Self { name: name.to_owned(), reader, line: 0, buffer: Vec::new() }
    }
}

impl Documents for Ndjson {
    fn next(&mut self) -> Option<Result<Document, FileError>> {
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
            return Some(Ok(document(line, self.line)));
        }
    }
}

/// A text that should be one JSON value.
pub(crate) fn document(text: &[u8], line: u64) -> Document {
    let value = serde_json::from_slice::<Value>(text).map_err(|error| {
        let column = error.column();
        let message = format!("is not JSON at column {column}; each line must hold one whole object");
        FieldProblem { path: String::new(), value: shown(&String::from_utf8_lossy(text)), message }
    });
    Document { line, value, raw: Raw::Json(String::from_utf8_lossy(text).into_owned()) }
}
