//! Looks at every byte of a log's directory and names what does not hold.
//!
//! Changes nothing and needs no open log. A log that is being written to may show an unfinished last batch.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::batch::{BatchHeader, HEADER_LEN};
use super::error::LogError;
use super::index::{self, AbortedEntry, Entry, OffsetEntry, TimeEntry};
use super::records::Records;
use super::recovery::BASES;
use super::scan::{Scan, Step, read_full};
use super::segment::{INDEX, LOG, SNAPSHOT, TIME_INDEX, TRANSACTION_INDEX, file_of};
use super::snapshot::{CHECKPOINT_FILE, Checkpoint, decode_snapshot};

/// What verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Good batches.
    pub batches: u64,
    /// The records they hold.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What does not hold, in the order of the log.
    pub problems: Vec<Problem>,
}

/// Something that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// In which file.
    pub file: PathBuf,
    /// At which byte.
    pub position: u64,
    /// What is wrong.
    pub what: String,
}

/// Checks every batch and index in a log's directory.
///
/// # Errors
/// [`LogError::Storage`] if a file cannot be read. Damage is no error but a [`Problem`].
pub fn verify(dir: &Path) -> Result<Verified, LogError> {
    let mut verified = Verified::default();
    let (mut bases, mut snapshots) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(dir).map_err(LogError::storage("list", dir))? {
        let path = entry.map_err(LogError::storage("list", dir))?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| stem.len() == 20);
        let base = stem.and_then(|stem| stem.parse::<i64>().ok()).filter(|base| BASES.contains(base));
        let Some(base) = base else { continue };
        match path.extension().and_then(|extension| extension.to_str()) {
            Some(LOG) => bases.push(base),
            Some(SNAPSHOT) => snapshots.push(path),
            _ => {}
        }
    }
    bases.sort_unstable();
    snapshots.sort_unstable();
    let checkpoint = verified.checkpoint(dir)?;
    let first = bases.first().copied().unwrap_or(0);
    if let Some(start) = checkpoint.map(|checkpoint| checkpoint.log_start).filter(|start| *start < first) {
        let what = format!("offsets {start} to {} are missing before this segment", first - 1);
        verified.problem(&file_of(dir, first, LOG), 0, what);
    }
    let mut end = first;
    for (place, &base) in bases.iter().enumerate() {
        let next = bases.get(place + 1).copied();
        end = Checking { dir, base, next, verified: &mut verified }.segment()?;
    }
    // What vouches for the end, as for a broker that opens the log.
    let mut vouched = checkpoint.map_or(0, |checkpoint| checkpoint.log_start);
    for path in snapshots {
        let bytes = fs::read(&path).map_err(LogError::storage("read", &path))?;
        match decode_snapshot(&bytes) {
            Some((mark, _)) => vouched = vouched.max(mark.offset),
            None => verified.problem(&path, 0, "the snapshot is damaged"),
        }
    }
    if vouched > end {
        let last = file_of(dir, bases.last().copied().unwrap_or(0), LOG);
        verified.problem(&last, 0, format!("offsets {end} to {} are missing at the end of the log", vouched - 1));
    }
    Ok(verified)
}

impl Verified {
    /// The log start; 0 where nothing says it, `None` where what says it is damaged.
    fn checkpoint(&mut self, dir: &Path) -> Result<Option<Checkpoint>, LogError> {
        let path = dir.join(CHECKPOINT_FILE);
        match Checkpoint::read(dir) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.problem(&path, 0, "the log start is damaged");
                Ok(None)
            }
            read => Ok(Some(read.map_err(LogError::storage("read", &path))?.unwrap_or_default())),
        }
    }

    fn problem(&mut self, file: &Path, position: u64, what: impl Into<String>) {
        self.problems.push(Problem { file: file.to_owned(), position, what: what.into() });
    }
}

struct Checking<'a> {
    dir: &'a Path,
    base: i64,
    next: Option<i64>,
    verified: &'a mut Verified,
}

impl Checking<'_> {
    /// The offset up to which the log goes on after it.
    fn segment(&mut self) -> Result<i64, LogError> {
        let path = file_of(self.dir, self.base, LOG);
        let failed = || LogError::storage("read", &path);
        let file = File::open(&path).map_err(failed())?;
        let size = file.metadata().map_err(failed())?.len();
        // Only what was active before can have been compacted.
        let scan = Scan::new(&file, 0, size, self.base, self.next.unwrap_or(i64::MAX));
        let mut scan = scan.contiguous(self.next.is_none());
        loop {
            match scan.step().map_err(failed())? {
                Step::Batch { position, header, bytes } => {
                    self.verified.batches += 1;
                    self.verified.records += u64::from(header.record_count.unsigned_abs());
                    self.verified.bytes += header.size;
                    self.records(&path, position, &header, bytes);
                }
                Step::Bad { position, what } => {
                    self.verified.problem(&path, position, what);
                    if !scan.resync().map_err(failed())? {
                        break;
                    }
                }
                Step::End => break,
            }
        }
        let end = self.next.unwrap_or(scan.expected());
        self.offset_index(&file, size)?;
        self.time_index(end)?;
        self.entries::<AbortedEntry>(TRANSACTION_INDEX)?;
        Ok(end)
    }

    fn records(&mut self, path: &Path, position: u64, header: &BatchHeader, batch: &[u8]) {
        if header.compression_code() != 0 {
            return;
        }
        let mut last = -1;
        for record in Records::new(batch.get(HEADER_LEN..).unwrap_or_default(), header.record_count) {
            match record {
                Ok(record) if record.offset_delta > last && record.offset_delta <= header.last_offset_delta => {
                    last = record.offset_delta;
                }
                Ok(_) => return self.verified.problem(path, position, "a record's offset does not fit the batch"),
                Err(malformed) => return self.verified.problem(path, position, malformed.0),
            }
        }
    }

    /// All entries of an index file. The active segment may have none yet.
    fn entries<E: Entry>(&mut self, extension: &str) -> Result<Vec<E>, LogError> {
        let path = file_of(self.dir, self.base, extension);
        match index::load(&path).map_err(LogError::storage("read", &path))? {
            Some(entries) => Ok(entries),
            None => {
                if path.exists() {
                    self.verified.problem(&path, 0, "the index is damaged");
                } else if self.next.is_some() {
                    self.verified.problem(&path, 0, "the index is missing");
                }
                Ok(Vec::new())
            }
        }
    }

    fn offset_index(&mut self, file: &File, size: u64) -> Result<(), LogError> {
        let path = file_of(self.dir, self.base, INDEX);
        for (place, entry) in self.entries::<OffsetEntry>(INDEX)?.iter().enumerate() {
            let mut head = [0; HEADER_LEN];
            let position = u64::from(entry.position);
            if position < size {
                read_full(file, &mut head, position).map_err(LogError::storage("read", &path))?;
            }
            let wanted = self.base + i64::from(entry.relative);
            if BatchHeader::parse(&head).is_none_or(|header| header.base_offset != wanted) {
                let what = format!("the entry for offset {wanted} does not point at its batch");
                self.verified.problem(&path, (place * OffsetEntry::SIZE) as u64, what);
            }
        }
        Ok(())
    }

    fn time_index(&mut self, end: i64) -> Result<(), LogError> {
        let path = file_of(self.dir, self.base, TIME_INDEX);
        let entries = self.entries::<TimeEntry>(TIME_INDEX)?;
        let Some(last) = entries.last() else { return Ok(()) };
        let reached = self.base + i64::from(last.relative);
        let place = ((entries.len() - 1) * TimeEntry::SIZE) as u64;
        if reached > end {
            self.verified.problem(&path, place, format!("an entry points at offset {reached}, beyond the end"));
        } else if let Some(next) = self.next.filter(|next| *next > reached) {
            let what = format!("offsets {reached} to {} are missing behind this segment", next - 1);
            self.verified.problem(&file_of(self.dir, self.base, LOG), place, what);
        }
        Ok(())
    }
}
