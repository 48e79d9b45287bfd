//! CSV and TSV: a header, then one record per row.

use std::io::Read;
use std::sync::Arc;

use contract::avro::Schema;

use crate::plan::{Slot, plan};
use crate::source::{Lines, Source};
use crate::{FieldProblem, FileError, Options, Raw, Row};

/// Bytes read from the file at a time.
const BUFFER_BYTES: usize = 64 << 10;

pub(crate) struct Delimited {
    name: String,
    reader: csv::Reader<Source>,
    lines: Lines,
    schema: Arc<Schema>,
    header: csv::ByteRecord,
    slots: Vec<Slot>,
    record: u64,
    /// How large the last body was, as a first guess at the next.
    size: usize,
}

impl Delimited {
    pub(crate) fn new(
        input: Box<dyn Read + Send>,
        name: &str,
        delimiter: u8,
        schema: &Arc<Schema>,
        options: &Options,
    ) -> Result<Self, FileError> {
        let (source, lines) = Source::new(input);
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            // A record of another length is a bad record, not the end of the file.
            .flexible(true)
            .buffer_capacity(BUFFER_BYTES)
            .from_reader(source);
        let mut header = csv::ByteRecord::new();
        let there = reader.read_byte_record(&mut header).map_err(|error| fail(error, name, &lines))?;
        if !there {
            return Err(FileError::Header {
                file: name.to_owned(),
                mistakes: vec!["it is empty; its first line must name the columns".into()],
            });
        }
        lines.advance(reader.position().byte(), newlines(&header));
        let names: Vec<String> =
            header.iter().map(|column| String::from_utf8_lossy(column).trim().to_owned()).collect();
        let slots =
            plan(schema, &names, options).map_err(|mistakes| FileError::Header { file: name.to_owned(), mistakes })?;
        Ok(Self {
            name: name.to_owned(),
            reader,
            lines,
            schema: Arc::clone(schema),
            header,
            slots,
            record: 0,
            size: 64,
        })
    }

    pub(crate) fn header(&self) -> &csv::ByteRecord {
        &self.header
    }

    pub(crate) fn next(&mut self) -> Option<Result<Row, FileError>> {
        let mut cells = csv::ByteRecord::new();
        match self.reader.read_byte_record(&mut cells) {
            Ok(false) => return None,
            Ok(true) => {}
            Err(error) => return Some(Err(fail(error, &self.name, &self.lines))),
        }
        let line = self.lines.advance(self.reader.position().byte(), newlines(&cells));
        self.record += 1;
        let outcome = self.outcome(&cells);
        Some(Ok(Row { record: self.record, line, outcome, raw: Raw::Fields(cells) }))
    }

    fn outcome(&mut self, cells: &csv::ByteRecord) -> Result<Vec<u8>, Vec<FieldProblem>> {
        if cells.len() != self.header.len() {
            let message = format!(
                "has {} cells and the header has {}; quote cells that hold the delimiter",
                cells.len(),
                self.header.len()
            );
            return Err(vec![FieldProblem { path: String::new(), value: String::new(), message }]);
        }
        let mut body = Vec::with_capacity(self.size);
        let mut problems = Vec::new();
        for slot in &self.slots {
            match slot {
                Slot::Cell { index, field, cell } => {
                    cell.write(&self.schema, field, cells.get(*index).unwrap_or_default(), &mut body, &mut problems);
                }
                Slot::Fixed(bytes) => body.extend_from_slice(bytes),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        self.size = body.len();
        Ok(body)
    }
}

/// Newlines inside the cells.
fn newlines(cells: &csv::ByteRecord) -> u64 {
    cells.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64
}

fn fail(error: csv::Error, name: &str, lines: &Lines) -> FileError {
    let file = name.to_owned();
    if lines.too_long() {
        return FileError::TooLong { file, line: lines.next_line() };
    }
    let error = match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => std::io::Error::other(format!("{other:?}")),
    };
    FileError::Read { file, error }
}
