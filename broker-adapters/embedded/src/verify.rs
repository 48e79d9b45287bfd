//! Checks a data directory from outside: every entry of the journal, every batch and index of every partition.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::directory::{Directory, DirectoryError};
use crate::journal;
use crate::log::{self, LogError};
use crate::remembered::Entry;
use crate::topics;

/// Why a data directory cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It is in use, or not a broker's.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A partition's directory cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, below the data directory.
    pub file: PathBuf,
    /// The byte where it begins.
    pub position: u64,
    /// What is wrong.
    pub what: String,
}

/// What was checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Partitions.
    pub partitions: u64,
    /// Record batches.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of batches.
    pub bytes: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// Checks the data directory of a broker that does not run.
///
/// # Errors
/// A broker runs on it (verify a backup then), it is not a broker's, or cannot be read.
pub fn verify(data: &Path) -> Result<Checked, VerifyError> {
    let directory = Directory::take_existing(data)?;
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| VerifyError::Io { path, source }
    };
    let mut checked = Checked::default();
    let logs = directory.logs().map_err(io(data))?;
    let path = directory.path().join("journal");
    if path.exists() {
        let bytes = fs::read(&path).map_err(io(&path))?;
        checked.journal(&bytes, &logs);
    } else if !logs.is_empty() {
        checked.find("journal", 0, "it is missing, and with it topics, settings, groups and transactions");
    }
    for path in logs {
        let found = log::verify(&path)?;
        checked.partitions += 1;
        checked.batches += found.batches;
        checked.records += found.records;
        checked.bytes += found.bytes;
        let below = |file: &Path| file.strip_prefix(data).unwrap_or(file).to_owned();
        checked.findings.extend(found.problems.into_iter().map(|problem| Finding {
            file: below(&problem.file),
            position: problem.position,
            what: problem.what,
        }));
    }
    Ok(checked)
}

impl Checked {
    fn find(&mut self, file: impl Into<PathBuf>, position: u64, what: &str) {
        self.findings.push(Finding { file: file.into(), position, what: what.to_owned() });
    }

    /// What the journal holds, and whether the logs are there that it names.
    fn journal(&mut self, bytes: &[u8], logs: &[PathBuf]) {
        if let Some(position) = journal::damage::<Entry>(bytes) {
            self.find("journal", position as u64, "an entry is torn or damaged");
        }
        let entries = journal::whole::<Entry>(bytes).into_iter();
        let changes = entries.filter_map(|entry| if let Entry::Topic(change) = entry { Some(change) } else { None });
        let names: Vec<_> = logs.iter().filter_map(|path| path.file_name()).collect();
        for wanted in topics::directories(changes) {
            if !names.iter().any(|name| **name == *wanted) {
                self.find(wanted, 0, "the directory of this partition is missing");
            }
        }
    }
}
