//! A segment: one file of batches with its indexes, as readers share it.
//!
//! A segment's bytes below its size never change, so that reads need no lock. Knows nothing of what is appended or
//! when; compaction and retention replace or drop segments, and whoever holds one goes on reading it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::UNIX_EPOCH;

use super::batch::{BatchHeader, HEADER_LEN};
use super::index::{self, AbortedEntry, Entry, OffsetEntry, SegmentIndex, TimeEntry};

/// The files of a segment, by their extension.
pub(crate) const LOG: &str = "log";
pub(crate) const INDEX: &str = "index";
pub(crate) const TIME_INDEX: &str = "timeindex";
pub(crate) const TRANSACTION_INDEX: &str = "txnindex";
pub(crate) const SNAPSHOT: &str = "snapshot";

/// The file of a segment in a directory.
pub(crate) fn file_of(dir: &Path, base: i64, extension: &str) -> PathBuf {
    dir.join(format!("{base:020}.{extension}"))
}

/// A part of the log.
#[derive(Debug)]
pub(crate) struct Segment {
    /// The offset in its name; all its batches lie at or behind it.
    pub(crate) base: i64,
    dir: Arc<Path>,
    size: AtomicU64,
    max_timestamp: AtomicI64,
    file: OnceLock<File>,
    /// While the segment is active, its index; `None` once the files have it.
    recent: RwLock<Option<SegmentIndex>>,
    aborted: RwLock<Arc<Vec<AbortedEntry>>>,
}

impl Segment {
    /// A segment whose file exists.
    pub(crate) fn existing(
        dir: &Arc<Path>,
        base: i64,
        size: u64,
        max_timestamp: i64,
        recent: Option<SegmentIndex>,
        aborted: Vec<AbortedEntry>,
    ) -> Segment {
        Segment {
            base,
            dir: Arc::clone(dir),
            size: AtomicU64::new(size),
            max_timestamp: AtomicI64::new(max_timestamp),
            file: OnceLock::new(),
            recent: RwLock::new(recent),
            aborted: RwLock::new(Arc::new(aborted)),
        }
    }

    /// Makes a new, empty, active segment. What stands there under its name is of no use and is emptied.
    pub(crate) fn create(dir: &Arc<Path>, base: i64) -> io::Result<Segment> {
        for extension in [INDEX, TIME_INDEX, TRANSACTION_INDEX] {
            remove(&file_of(dir, base, extension))?;
        }
        let path = file_of(dir, base, LOG);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        let segment = Segment::existing(dir, base, 0, -1, Some(SegmentIndex::default()), Vec::new());
        Ok(segment.with_file(file))
    }

    /// The same segment for a look at its batches alone.
    pub(crate) fn again(&self, dir: &Arc<Path>) -> Segment {
        Segment::existing(dir, self.base, self.size(), self.max_timestamp(), None, Vec::new())
    }

    /// Gives it a file that is open already.
    pub(crate) fn with_file(self, file: File) -> Segment {
        Segment { file: OnceLock::from(file), ..self }
    }

    /// One of its files.
    pub(crate) fn path(&self, extension: &str) -> PathBuf {
        file_of(&self.dir, self.base, extension)
    }

    /// The file of batches, opened at the first use and kept.
    pub(crate) fn file(&self) -> io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = OpenOptions::new().read(true).write(true).open(self.path(LOG))?;
        Ok(self.file.get_or_init(|| file))
    }

    /// Bytes that may be read.
    pub(crate) fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    /// The latest timestamp of its records, or -1.
    pub(crate) fn max_timestamp(&self) -> i64 {
        self.max_timestamp.load(Ordering::Acquire)
    }

    /// Takes in batches that were written at the end: (header, position).
    pub(crate) fn grow(&self, batches: impl Iterator<Item = (BatchHeader, u64)>, size: u64, interval: u64) {
        let mut recent = self.recent.write().unwrap_or_else(PoisonError::into_inner);
        let index = recent.get_or_insert_default();
        for (header, position) in batches {
            index.add(self.base, &header, position, interval);
        }
        self.max_timestamp.store(index.latest().unwrap_or(-1), Ordering::Release);
        self.size.store(size, Ordering::Release);
    }

    /// Takes in an aborted transaction.
    pub(crate) fn add_aborted(&self, entry: AbortedEntry) {
        let mut aborted = self.aborted.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut aborted).push(entry);
    }

    /// The transactions whose abort marker lies here, by marker.
    pub(crate) fn aborted(&self) -> Arc<Vec<AbortedEntry>> {
        Arc::clone(&self.aborted.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes what the index files lack, with `end` as the offset up to which they tell; says how many entries each
    /// has. `close` drops the index from memory.
    pub(crate) fn save_indexes(&self, end: i64, close: bool) -> io::Result<[u32; 3]> {
        let aborted = self.aborted();
        // Few entries: written whole, so that no count of what is saved needs to be kept.
        index::save(&self.path(TRANSACTION_INDEX), &aborted, 0)?;
        let mut recent = self.recent.write().unwrap_or_else(PoisonError::into_inner);
        let Some(index) = recent.as_mut() else { return Ok([0; 3]) };
        index.finish(self.base, end);
        index::save(&self.path(INDEX), &index.offsets, index.saved_offsets)?;
        index.saved_offsets = index.offsets.len();
        index::save(&self.path(TIME_INDEX), &index.times, index.saved_times)?;
        index.saved_times = index.times.len();
        let counts = [index.offsets.len(), index.times.len(), aborted.len()].map(|n| u32::try_from(n).unwrap_or(0));
        if close {
            *recent = None;
        }
        Ok(counts)
    }

    /// Drops the index from memory; the files have it.
    pub(crate) fn forget_index(&self) {
        *self.recent.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// When its file was last written, in epoch milliseconds.
    pub(crate) fn modified(&self) -> Option<i64> {
        let modified = fs::metadata(self.path(LOG)).and_then(|metadata| metadata.modified()).ok()?;
        i64::try_from(modified.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
    }

    /// Reads at most `length` bytes, fewer only at the end of the segment.
    pub(crate) fn read_at(&self, position: u64, length: u64) -> io::Result<Vec<u8>> {
        let length = length.min(self.size().saturating_sub(position));
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.file()?.read_exact_at(&mut bytes, position)?;
        Ok(bytes)
    }

    /// Where the index says that a batch at or before `offset` begins, and that batch's base offset. Not checked.
    pub(crate) fn entry_before(&self, offset: i64) -> Option<(u64, i64)> {
        let wanted = |entry: &OffsetEntry| self.base + i64::from(entry.relative) <= offset;
        let entry = {
            let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner);
            recent.as_ref().map(|index| floor(&index.offsets, wanted))
        };
        let entry = match entry {
            Some(entry) => entry,
            None => index::search(&self.path(INDEX), wanted).unwrap_or_default(),
        };
        entry.map(|entry| (u64::from(entry.position), self.base + i64::from(entry.relative)))
    }

    /// A place at or before the batch that holds `offset`, where a batch begins, and the least offset there.
    ///
    /// An index that misleads or is missing costs a walk from the segment's beginning, nothing else.
    pub(crate) fn place_before(&self, offset: i64) -> io::Result<(u64, i64)> {
        let Some((position, base_offset)) = self.entry_before(offset) else { return Ok((0, self.base)) };
        let head = self.read_at(position, HEADER_LEN as u64)?;
        let fits = BatchHeader::parse(&head).is_some_and(|header| header.base_offset == base_offset);
        Ok(if fits { (position, base_offset) } else { (0, self.base) })
    }

    /// The place alone.
    pub(crate) fn position_before(&self, offset: i64) -> io::Result<u64> {
        self.place_before(offset).map(|(position, _)| position)
    }

    /// A place before which no batch reaches `timestamp`.
    pub(crate) fn position_before_time(&self, timestamp: i64) -> io::Result<u64> {
        let wanted = |entry: &TimeEntry| entry.timestamp < timestamp;
        let entry = {
            let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner);
            recent.as_ref().map(|index| floor(&index.times, wanted))
        };
        let entry = match entry {
            Some(entry) => entry,
            None => index::search(&self.path(TIME_INDEX), wanted).unwrap_or_default(),
        };
        entry.map_or(Ok(0), |entry| self.position_before(self.base + i64::from(entry.relative)))
    }

    /// Makes sure that whoever holds the segment can read it after its name is gone.
    pub(crate) fn retire(&self) -> io::Result<()> {
        self.file().map(drop)
    }

    /// Removes its files; the batches first, so that a half removed segment is not taken for a damaged one.
    pub(crate) fn delete_files(&self) -> io::Result<()> {
        for extension in [LOG, INDEX, TIME_INDEX, TRANSACTION_INDEX, SNAPSHOT] {
            remove(&self.path(extension))?;
        }
        Ok(())
    }
}

/// The last entry for which `wanted` holds.
fn floor<E: Entry>(entries: &[E], wanted: impl Fn(&E) -> bool) -> Option<E> {
    entries.partition_point(wanted).checked_sub(1).and_then(|last| entries.get(last)).copied()
}

/// Removes a file that may be gone already.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
