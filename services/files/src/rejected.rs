//! What was not taken from a file, row by row with the reason, for a person to repair.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::{FieldProblem, FileError, TYPE_RULE, rejected_path};

/// Writes `FILE.rejected.csv` beside a file: `line,record,field,rule,reason`, one row for each thing that
/// is wrong. The file is made with the first row; a file without mistakes leaves none.
#[derive(Debug)]
pub struct RejectedWriter {
    path: PathBuf,
    writer: Option<csv::Writer<File>>,
    rows: u64,
}

impl RejectedWriter {
    /// For the rejected rows of `file`.
    pub fn beside(file: &Path) -> Self {
        Self { path: rejected_path(file), writer: None, rows: 0 }
    }

    /// Where it writes.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Rows written, the header not counted.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Writes one row: a rule broken by one field of the record that starts on `line`.
    ///
    /// # Errors
    /// [`FileError::Write`].
    pub fn write(&mut self, line: u64, record: u64, field: &str, rule: &str, reason: &str) -> Result<(), FileError> {
        let row = [&line.to_string(), &record.to_string(), field, rule, reason];
        let written = self.open().and_then(|writer| writer.write_record(row).map_err(io::Error::from));
        written.map_err(|error| self.fail(error))?;
        self.rows += 1;
        Ok(())
    }

    /// Writes a row for each problem, under the rule [`TYPE_RULE`].
    ///
    /// # Errors
    /// [`FileError::Write`].
    pub fn write_problems(&mut self, line: u64, record: u64, problems: &[FieldProblem]) -> Result<(), FileError> {
        problems.iter().try_for_each(|problem| {
            let reason = match problem.value.as_str() {
                "" => problem.message.clone(),
                value => format!("{value} {}", problem.message),
            };
            self.write(line, record, &problem.path, TYPE_RULE, &reason)
        })
    }

    /// Makes sure that everything is in the file, and says where it is; `None` where nothing was rejected.
    ///
    /// # Errors
    /// [`FileError::Write`].
    pub fn finish(mut self) -> Result<Option<PathBuf>, FileError> {
        let Some(mut writer) = self.writer.take() else {
            return Ok(None);
        };
        writer.flush().map_err(|error| self.fail(error))?;
        Ok(Some(self.path))
    }

    fn open(&mut self) -> io::Result<&mut csv::Writer<File>> {
        if self.writer.is_none() {
            let mut writer = csv::Writer::from_writer(File::create(&self.path)?);
            writer.write_record(["line", "record", "field", "rule", "reason"])?;
            self.writer = Some(writer);
        }
        self.writer.as_mut().ok_or_else(|| io::Error::other("the file is not open"))
    }

    fn fail(&self, error: io::Error) -> FileError {
        FileError::Write { file: self.path.display().to_string(), error }
    }
}
