//! JSON that is not a line each: the elements of one array, or values one after the other. Each is found by
//! its brackets and quotes, so that the whole need not fit into memory.

use std::io::{BufRead, BufReader};

use crate::documents::{Document, Documents};
use crate::input::Bytes;
use crate::ndjson::document;
use crate::{FileError, MAX_RECORD_BYTES};

/// Bytes read from the file at a time.
const BUFFER_BYTES: usize = 64 << 10;

pub(crate) struct Elements {
    name: String,
    reader: BufReader<Bytes>,
    line: u64,
    started: bool,
}

impl Elements {
    pub(crate) fn new(input: Bytes, name: &str) -> Self {
        let reader = BufReader::with_capacity(BUFFER_BYTES, input);
        Self { name: name.to_owned(), reader, line: 1, started: false }
    }

    fn peek(&mut self) -> std::io::Result<Option<u8>> {
        Ok(self.reader.fill_buf()?.first().copied())
    }

    fn skip(&mut self, byte: u8) {
        self.line += u64::from(byte == b'\n');
        self.reader.consume(1);
    }

    /// Moves to where the next value begins.
    fn between(&mut self) -> std::io::Result<bool> {
        while let Some(byte) = self.peek()? {
            match byte {
                b'[' if !self.started => self.started = true,
                // A byte order mark, and what stands between values.
                0xef | 0xbb | 0xbf if !self.started => {}
                b' ' | b'\t' | b'\r' | b'\n' | b',' | b']' => {}
                _ => {
                    self.started = true;
                    return Ok(true);
                }
            }
            self.skip(byte);
        }
        Ok(false)
    }

    /// Gathers the value that begins here; false where it outgrows its bound.
    fn value(&mut self, value: &mut Vec<u8>) -> std::io::Result<bool> {
        let (mut depth, mut quoted, mut escaped) = (0_u32, false, false);
        while let Some(byte) = self.peek()? {
            if depth == 0 && !quoted && !value.is_empty() && matches!(byte, b',' | b']' | b'\n' | b'\r') {
                return Ok(true);
            }
            self.skip(byte);
            value.push(byte);
            if value.len() > MAX_RECORD_BYTES {
                return Ok(false);
            }
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b'{' | b'[' if !quoted => depth += 1,
                b'}' | b']' if !quoted => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return Ok(true);
                    }
                }
                _ => {}
            }
        }
        Ok(true)
    }
}

impl Documents for Elements {
    fn next(&mut self) -> Option<Result<Document, FileError>> {
        let read = |this: &mut Self| {
            if !this.between()? {
                return Ok(None);
            }
            let (line, mut value) = (this.line, Vec::new());
            let whole = this.value(&mut value)?;
            Ok(Some((line, value, whole)))
        };
        match read(self) {
            Ok(None) => None,
            Ok(Some((line, value, true))) => Some(Ok(document(value.trim_ascii(), line))),
            Ok(Some((line, _, false))) => Some(Err(FileError::TooLong { file: self.name.clone(), line })),
            Err(error) => Some(Err(FileError::Read { file: self.name.clone(), error })),
        }
    }
}
