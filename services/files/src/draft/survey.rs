//! Reads a whole file once and keeps what a draft or a profile needs of it.

use contract::Dialect;
use serde_json::Value;

use super::kind::Kind;
use super::leaf::{PATTERNS, Reading};
use super::tree::Place;
use super::values::MAX_HASHES;
use crate::guess::Guessed;
use crate::moment::Pattern;
use crate::numerals::Numerals;
use crate::table::Table;
use crate::{FileError, FileFormat, Input, Options, columnar, container};

/// Rows that are kept whole, to find what fields have to do with each other.
pub(crate) const SAMPLE: usize = 2_000;

/// What somebody may want to know while it takes long: bytes of the file that were read, and records.
pub type Progress<'a> = dyn FnMut(u64, u64) + 'a;

/// A file that was read to its end.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) root: Place,
    pub(crate) records: u64,
    /// Records that are none: rows of another length, texts that are no objects. The line of the first.
    pub(crate) malformed: u64,
    pub(crate) first_malformed: Option<u64>,
    /// Cells that are not UTF-8.
    pub(crate) invalid: bool,
    /// What the file itself says of its types.
    pub(crate) given: Option<Given>,
    /// The first rows of a delimited file, cell by cell.
    pub(crate) sample: Vec<csv::ByteRecord>,
}

/// The types of a file that has them.
#[derive(Debug)]
pub(crate) enum Given {
    /// The text of its Avro schema.
    Avro(String),
    Columns(Kind),
}

/// Reads all of it.
pub(crate) fn survey(
    input: &Input,
    guessed: &Guessed,
    deep: bool,
    progress: &mut Progress<'_>,
) -> Result<Survey, FileError> {
    let mut reading = Reading {
        numerals: Numerals::of(&guessed.dialect),
        patterns: PATTERNS.iter().filter_map(|pattern| Pattern::new(pattern)).collect(),
        nulls: guessed.dialect.nulls.clone(),
        guess_nulls: guessed.guess_nulls,
        room: MAX_HASHES,
        deep,
        buffer: String::new(),
    };
    let mut survey = Survey {
        root: Place::new(false),
        records: 0,
        malformed: 0,
        first_malformed: None,
        invalid: false,
        given: None,
        sample: Vec::new(),
    };
    match guessed.format.separator().and_then(|separator| u8::try_from(separator).ok()) {
        Some(separator) => survey.table(input, separator, &guessed.dialect, &mut reading, progress)?,
        None => survey.documents(input, guessed, &mut reading, progress)?,
    }
    Ok(survey)
}

impl Survey {
    fn table(
        &mut self,
        input: &Input,
        separator: u8,
        dialect: &Dialect,
        reading: &mut Reading,
        progress: &mut Progress<'_>,
    ) -> Result<(), FileError> {
        let mut table = Table::new(input.unpacked()?, input.name(), separator, dialect)?;
        let columns = table.columns();
        for column in &columns {
            self.root.member(column, reading.deep);
        }
        let mut cells = csv::ByteRecord::new();
        while let Some(line) = table.next(&mut cells)? {
            self.records += 1;
            if cells.len() != columns.len() {
                self.is_malformed(line);
                continue;
            }
            if self.sample.len() < SAMPLE {
                self.sample.push(cells.clone());
            }
            for ((_, place), cell) in self.root.members.iter_mut().zip(&cells) {
                place.leaf.cell(cell, reading);
            }
            if self.records.is_multiple_of(4096) {
                progress(input.position(), self.records);
            }
        }
        self.root.objects = self.records - self.malformed;
        self.invalid = self.root.members.iter().any(|(_, place)| place.leaf.invalid > 0);
        Ok(())
    }

    fn documents(
        &mut self,
        input: &Input,
        guessed: &Guessed,
        reading: &mut Reading,
        progress: &mut Progress<'_>,
    ) -> Result<(), FileError> {
        reading.guess_nulls = false;
        let options = Options { dialect: guessed.dialect.clone(), ..Options::default() };
        self.given = match guessed.format {
            FileFormat::Avro => {
                let file = container::Container::new(input.unpacked()?, input.name())?;
                Some(Given::Avro(file.schema().text().to_string()))
            }
            FileFormat::Parquet => {
                Some(Given::Columns(columnar::Columnar::new(input.seekable()?, input.name())?.given()))
            }
            _ => None,
        };
        let mut documents = input.documents(guessed.format, &options)?;
        while let Some(document) = documents.next() {
            let document = document?;
            self.records += 1;
            match &document.value {
                Ok(value @ Value::Object(_)) => self.root.take(value, 0, reading),
                _ => self.is_malformed(document.line),
            }
            if self.records.is_multiple_of(1024) {
                progress(input.position(), self.records);
            }
        }
        Ok(())
    }

    fn is_malformed(&mut self, line: u64) {
        self.malformed += 1;
        self.first_malformed.get_or_insert(line);
    }
}
