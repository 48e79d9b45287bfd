//! The rows of a delimited file and the names of its columns. Knows nothing of types.

use std::collections::BTreeMap;

use contract::Dialect;

use crate::FileError;
use crate::input::{Bytes, decoded};
use crate::source::{Lines, Source};

/// Bytes read from the file at a time.
const BUFFER_BYTES: usize = 64 << 10;

pub(crate) struct Table {
    name: String,
    reader: csv::Reader<Source>,
    lines: Lines,
    header: csv::ByteRecord,
    /// The first row, where it is a record too.
    first: Option<(csv::ByteRecord, u64)>,
}

impl Table {
    /// `separator` is used where the dialect has none of its own.
    pub(crate) fn new(input: Bytes, name: &str, separator: u8, dialect: &Dialect) -> Result<Self, FileError> {
        let unreadable = |error| FileError::Read { file: name.to_owned(), error };
        let input = decoded(input, dialect.encoding.as_deref()).map_err(unreadable)?;
        let (source, lines) = Source::new(input);
        let byte = |letter: Option<char>| letter.and_then(|letter| u8::try_from(letter).ok());
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(byte(dialect.separator).unwrap_or(separator))
            .quoting(dialect.quote.is_some())
            .quote(byte(dialect.quote).unwrap_or(b'"'))
            .escape(byte(dialect.escape))
            .has_headers(false)
            // A record of another length is a bad record, not the end of the file.
            .flexible(true)
            .buffer_capacity(BUFFER_BYTES)
            .from_reader(source);
        let mut header = csv::ByteRecord::new();
        for _ in 0..dialect.skip {
            reader.read_byte_record(&mut header).map_err(|error| fail(error, name, &lines))?;
            lines.advance(reader.position().byte(), newlines(&header));
        }
        let there = reader.read_byte_record(&mut header).map_err(|error| fail(error, name, &lines))?;
        if !there {
            return Err(FileError::Header {
                file: name.to_owned(),
                mistakes: vec!["it is empty; its first line must name the columns".into()],
            });
        }
        let line = lines.advance(reader.position().byte(), newlines(&header));
        let mut table = Self { name: name.to_owned(), reader, lines, header, first: None };
        if !dialect.header {
            let names = (1..=table.header.len()).map(|number| format!("column_{number}"));
            let names = csv::ByteRecord::from(names.collect::<Vec<_>>());
            table.first = Some((std::mem::replace(&mut table.header, names), line));
        }
        if dialect.header && dialect.row_names {
            let nameless = std::iter::once(&b""[..]);
            table.header = nameless.chain(&table.header).collect();
        }
        Ok(table)
    }

    /// The names of the columns as they stand in the file.
    pub(crate) fn header(&self) -> &csv::ByteRecord {
        &self.header
    }

    /// The names of the columns as text, without blanks around them.
    pub(crate) fn names(&self) -> Vec<String> {
        self.header.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect()
    }

    /// What each column is called: its name, `[3]` for the third where it has none, `x[2]` for the second
    /// `x`.
    pub(crate) fn columns(&self) -> Vec<String> {
        distinct(&self.names())
    }

    /// Reads the next row; the line it starts on, or `None` at the end.
    pub(crate) fn next(&mut self, cells: &mut csv::ByteRecord) -> Result<Option<u64>, FileError> {
        if let Some((first, line)) = self.first.take() {
            *cells = first;
            return Ok(Some(line));
        }
        match self.reader.read_byte_record(cells) {
            Ok(false) => Ok(None),
            Ok(true) => Ok(Some(self.lines.advance(self.reader.position().byte(), newlines(cells)))),
            Err(error) => Err(fail(error, &self.name, &self.lines)),
        }
    }
}

/// A name of its own for each column.
pub(crate) fn distinct(names: &[String]) -> Vec<String> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut called = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        let count = seen.entry(name).or_default();
        *count += 1;
        called.push(match (name.is_empty(), *count) {
            (true, _) => format!("[{}]", index + 1),
            (false, 1) => name.clone(),
            (false, count) => format!("{name}[{count}]"),
        });
    }
    called
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
