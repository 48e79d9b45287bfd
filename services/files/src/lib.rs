//! CSV, TSV and NDJSON files as typed records: each row becomes the Avro body that a contract's schema
//! asks for, or the list of what is wrong with it and where.
//!
//! Streaming, in bounded memory: a file may be larger than the machine. Reads files that it is given and
//! writes the rejected rows beside them; knows nothing of topics, rules or registries.

mod cell;
mod delimited;
mod ndjson;
mod plan;
mod rejected;
mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use contract::avro::Schema;

pub use rejected::RejectedWriter;

/// The largest record, in bytes of the file: a quote that is never closed must not read the whole file
/// into memory.
pub const MAX_RECORD_BYTES: usize = 16 << 20;

/// Longest value shown in a [`FieldProblem`], in characters.
pub const MAX_SHOWN_CHARS: usize = 80;

/// The rule that a [`FieldProblem`] stands for.
pub const TYPE_RULE: &str = "type";

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileFormat {
    /// Comma-separated, RFC 4180, with a header.
    Csv,
    /// The same with tabs.
    Tsv,
    /// One JSON object per line.
    Ndjson,
}

impl FileFormat {
    /// The format that a file's extension names: `csv`, `tsv`, `tab`, `ndjson`, `jsonl`.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "tsv" | "tab" => Some(Self::Tsv),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            _ => None,
        }
    }
}

/// How to read a file that does not quite speak the schema's language.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Columns that are named otherwise than their fields: column to field (ODCS `physicalName`).
    pub columns: BTreeMap<String, String>,
    /// Cells that mean null besides the empty one, where the field may be null: `NA`, `\N`.
    pub nulls: Vec<String>,
}

/// Why a file cannot be read, or cannot be read on. What is wrong with one record is in its [`Row`].
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be opened or read.
    #[error("cannot read {file}: {error}; check the path and its permissions")]
    Read {
        /// The file.
        file: String,
        /// Why.
        error: io::Error,
    },
    /// The rejected rows cannot be written.
    #[error("cannot write {file}: {error}; check the space and the permissions of its directory")]
    Write {
        /// The file.
        file: String,
        /// Why.
        error: io::Error,
    },
    /// The columns do not fit the schema; every mistake is named.
    #[error("{file} does not fit the schema: {}", mistakes.join("; "))]
    Header {
        /// The file.
        file: String,
        /// Each a clause, with the fix.
        mistakes: Vec<String>,
    },
    /// A record is larger than [`MAX_RECORD_BYTES`].
    #[error(
        "cannot read {file} beyond line {line}: the record there has more than {MAX_RECORD_BYTES} bytes; close its quote or split it"
    )]
    TooLong {
        /// The file.
        file: String,
        /// Where the record starts.
        line: u64,
    },
}

/// One thing that is wrong with a record: the rule [`TYPE_RULE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldProblem {
    /// Where in the record: `quantity`, `lines[2].sku`; empty for the record itself.
    pub path: String,
    /// The text found there, cut at [`MAX_SHOWN_CHARS`].
    pub value: String,
    /// What is wrong with it, to follow the value: `is not a whole number`.
    pub message: String,
}

/// A record as it stands in the file, to write it elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Raw {
    /// The cells of a CSV or TSV record, unquoted, in order.
    Fields(csv::ByteRecord),
    /// The line of an NDJSON file, without its end; invalid UTF-8 replaced.
    Json(String),
}

/// One record of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Which record, from 1; the header and blank lines do not count.
    pub record: u64,
    /// The physical line on which it starts, from 1, the header counted.
    pub line: u64,
    /// Its Avro body, or everything that is wrong with it.
    pub outcome: Result<Vec<u8>, Vec<FieldProblem>>,
    /// As it stands in the file.
    pub raw: Raw,
}

/// The records of one file, read as they are asked for. After an error there are none.
pub struct Rows {
    kind: Kind,
    failed: bool,
}

enum Kind {
    Delimited(Box<delimited::Delimited>),
    Ndjson(Box<ndjson::Ndjson>),
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("failed", &self.failed).finish_non_exhaustive()
    }
}

impl Iterator for Rows {
    type Item = Result<Row, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = match &mut self.kind {
            Kind::Delimited(rows) => rows.next(),
            Kind::Ndjson(rows) => rows.next(),
        };
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}

impl Rows {
    /// The columns of the file in order; empty for NDJSON.
    pub fn header(&self) -> &csv::ByteRecord {
        static NONE: std::sync::LazyLock<csv::ByteRecord> = std::sync::LazyLock::new(csv::ByteRecord::new);
        match &self.kind {
            Kind::Delimited(rows) => rows.header(),
            Kind::Ndjson(_) => &NONE,
        }
    }
}

/// Opens a file whose columns are named as the fields of `schema`, a record.
///
/// # Errors
/// [`FileError::Read`] where it cannot be read; [`FileError::Header`] where required fields have no column
/// or columns no field, all of them named at once.
pub fn open(path: &Path, format: FileFormat, schema: &Arc<Schema>) -> Result<Rows, FileError> {
    open_with(path, format, schema, &Options::default())
}

/// [`open`], with names and nulls of its own.
///
/// # Errors
/// As [`open`].
pub fn open_with(path: &Path, format: FileFormat, schema: &Arc<Schema>, options: &Options) -> Result<Rows, FileError> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| FileError::Read { file: name.clone(), error })?;
    read(Box::new(file), &name, format, schema, options)
}

/// Reads from anything, such as standard input; `name` is what errors call it.
///
/// # Errors
/// As [`open`].
pub fn read(
    input: Box<dyn Read + Send>,
    name: &str,
    format: FileFormat,
    schema: &Arc<Schema>,
    options: &Options,
) -> Result<Rows, FileError> {
    let kind = match format {
        FileFormat::Csv => Kind::Delimited(Box::new(delimited::Delimited::new(input, name, b',', schema, options)?)),
        FileFormat::Tsv => Kind::Delimited(Box::new(delimited::Delimited::new(input, name, b'\t', schema, options)?)),
        FileFormat::Ndjson => Kind::Ndjson(Box::new(ndjson::Ndjson::new(input, name, schema)?)),
    };
    Ok(Rows { kind, failed: false })
}

/// Where the rejected rows of a file go: `orders.csv.rejected.csv` beside it.
pub fn rejected_path(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".rejected.csv");
    PathBuf::from(name)
}

/// A value cut for people.
fn shown(text: &str) -> String {
    if text.chars().nth(MAX_SHOWN_CHARS).is_none() {
        return text.to_owned();
    }
    text.chars().take(MAX_SHOWN_CHARS).chain(['…']).collect()
}
