//! CSV, TSV, JSON, Avro and Parquet files as typed records, packed or not: each row becomes the Avro body that a contract's schema
//! asks for, or the list of what is wrong with it and where.
//!
//! Streaming, in bounded memory: a file may be larger than the machine. Reads files that it is given and
//! writes the rejected rows beside them; knows nothing of topics, rules or registries.

mod cell;
mod columnar;
mod container;
mod delimited;
mod documents;
pub mod draft;
mod elements;
mod guess;
mod input;
mod moment;
mod ndjson;
mod numerals;
mod plan;
mod rejected;
mod source;
mod spool;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use contract::avro::Schema;
use contract::{Contract, Dialect, Segment, Written};

pub use guess::{Guessed, Hints};
pub use input::Input;
pub use rejected::RejectedWriter;
pub use spool::Spool;

use documents::Documents;
use input::Bytes;

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
    /// A JSON array of objects, or objects one after the other.
    Json,
    /// Avro object container file.
    Avro,
    /// Apache Parquet.
    Parquet,
}

impl FileFormat {
    /// The format that a file's extension names: `csv`, `tsv`, `tab`, `ndjson`, `jsonl`, `json`, `avro`,
    /// `parquet`, and each with `.gz` or `.zst` behind it.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "tsv" | "tab" => Some(Self::Tsv),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            "json" => Some(Self::Json),
            "avro" => Some(Self::Avro),
            "parquet" => Some(Self::Parquet),
            "gz" | "zst" | "zstd" => Self::of(Path::new(path.file_stem()?)),
            _ => None,
        }
    }

    /// The format that the first bytes of a file look like; CSV where they look like nothing else.
    pub fn sniff(head: &[u8]) -> Self {
        let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
        match text.first() {
            _ if head.starts_with(container::MAGIC) => Self::Avro,
            _ if head.starts_with(columnar::MAGIC) => Self::Parquet,
            Some(b'[' | b'{') => Self::Json,
            _ => {
                let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
                let count = |wanted: u8| line.iter().filter(|byte| **byte == wanted).count();
                if count(b'\t') > count(b',') { Self::Tsv } else { Self::Csv }
            }
        }
    }

    /// What separates its cells; `None` where it has none.
    pub fn separator(self) -> Option<char> {
        match self {
            Self::Csv => Some(','),
            Self::Tsv => Some('\t'),
            Self::Ndjson | Self::Json | Self::Avro | Self::Parquet => None,
        }
    }
}

/// How to read a file that does not quite speak the schema's language.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Columns that are named otherwise than their fields: column to field (ODCS `physicalName`).
    pub columns: BTreeMap<String, String>,
    /// Fields of dates and times that are not written as ISO 8601: field to pattern.
    pub formats: BTreeMap<String, String>,
    /// What keys are called inside of records, where not as their fields.
    pub written: Vec<Written>,
    /// How a delimited file is written, and which cells mean null where the field may be null.
    pub dialect: Dialect,
}

impl Options {
    /// As the contract says it (`weir.file`, `physicalName`, the `format` of dates).
    pub fn of(contract: &Contract) -> Self {
        let mut options = Self { dialect: contract.settings.file.clone(), ..Self::default() };
        for written in &contract.written {
            let [Segment::Field(field)] = written.path.0.as_slice() else { continue };
            if let Some(name) = &written.name {
                options.columns.insert(name.to_string(), field.to_string());
            }
            if let Some(format) = &written.format {
                options.formats.insert(field.to_string(), format.to_string());
            }
        }
        options.written.clone_from(&contract.written);
        options
    }
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
    /// No contract can be drafted from it.
    #[error("cannot draft a contract from {file}: {why}")]
    Draft {
        /// The file.
        file: String,
        /// Why, and what to do about it.
        why: String,
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
    /// JSON as it stands there; invalid UTF-8 replaced.
    Json(String),
    /// Bytes that are no text.
    Binary,
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
    Documents(Box<documents::Typed>),
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
            Kind::Documents(rows) => rows.next(),
        };
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}

impl Rows {
    /// The columns of a delimited file in order; empty for others.
    pub fn header(&self) -> &csv::ByteRecord {
        static NONE: std::sync::LazyLock<csv::ByteRecord> = std::sync::LazyLock::new(csv::ByteRecord::new);
        match &self.kind {
            Kind::Delimited(rows) => rows.header(),
            Kind::Documents(_) => &NONE,
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
    Input::new(path)?.rows(format, schema, options)
}

/// Reads from anything, such as standard input; `name` is what errors call it.
///
/// # Errors
/// As [`open`].
pub fn read(
    mut input: Box<dyn Read + Send>,
    name: &str,
    format: FileFormat,
    schema: &Arc<Schema>,
    options: &Options,
) -> Result<Rows, FileError> {
    if format == FileFormat::Parquet {
        return Input::spooled(&mut input, name)?.rows(format, schema, options);
    }
    let input = input::unpack(input).map_err(|error| FileError::Read { file: name.to_owned(), error })?;
    match format.separator().and_then(|separator| u8::try_from(separator).ok()) {
        Some(separator) => delimited(input, name, separator, schema, options),
        None => typed(documents(input, name, format, options)?, name, schema, options),
    }
}

impl Input {
    /// Its records from the start.
    ///
    /// # Errors
    /// As [`open`].
    pub fn rows(&self, format: FileFormat, schema: &Arc<Schema>, options: &Options) -> Result<Rows, FileError> {
        match format.separator().and_then(|separator| u8::try_from(separator).ok()) {
            Some(separator) => delimited(self.unpacked()?, self.name(), separator, schema, options),
            None => typed(self.documents(format, options)?, self.name(), schema, options),
        }
    }

    pub(crate) fn documents(&self, format: FileFormat, options: &Options) -> Result<Box<dyn Documents>, FileError> {
        match format {
            FileFormat::Parquet => Ok(Box::new(columnar::Columnar::new(self.seekable()?, self.name())?)),
            _ => documents(self.unpacked()?, self.name(), format, options),
        }
    }
}

fn delimited(
    input: Bytes,
    name: &str,
    separator: u8,
    schema: &Arc<Schema>,
    options: &Options,
) -> Result<Rows, FileError> {
    let rows = delimited::Delimited::new(input, name, separator, schema, options)?;
    Ok(Rows { kind: Kind::Delimited(Box::new(rows)), failed: false })
}

fn typed(
    documents: Box<dyn Documents>,
    name: &str,
    schema: &Arc<Schema>,
    options: &Options,
) -> Result<Rows, FileError> {
    let typed = documents::Typed::new(documents, name, schema, options)?;
    Ok(Rows { kind: Kind::Documents(Box::new(typed)), failed: false })
}

/// The records of a file that has names in it; Parquet, which is read from its end, excepted.
fn documents(input: Bytes, name: &str, format: FileFormat, options: &Options) -> Result<Box<dyn Documents>, FileError> {
    if format == FileFormat::Avro {
        return Ok(Box::new(container::Container::new(input, name)?));
    }
    let encoding = options.dialect.encoding.as_deref();
    let input = input::decoded(input, encoding).map_err(|error| FileError::Read { file: name.to_owned(), error })?;
    Ok(match format {
        FileFormat::Ndjson => Box::new(ndjson::Ndjson::new(input, name)),
        _ => Box::new(elements::Elements::new(input, name)),
    })
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
