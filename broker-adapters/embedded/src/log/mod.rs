//! The log of one partition: record batches in segments on disk, as they came, with what is needed to find them again.
//!
//! Synchronous, without a clock and without threads of its own: the caller passes the time and decides when to
//! flush, maintain and compact. Knows nothing of topics, of requests or of who asks. Formats and rules are Kafka's:
//! record batches of magic 2 (KIP-98), idempotence (KIP-98, KIP-360), delete horizons (KIP-534).
//!
//! One directory holds one log: `<base offset>.log` with batches; `.index`, `.timeindex` and `.txnindex`, which can be
//! rebuilt from them; `.snapshot` with what producers did; and `log-start`.

mod append;
mod batch;
mod cleaner;
mod compression;
mod config;
mod disk;
mod error;
mod index;
mod producers;
mod read;
mod rebuild;
mod records;
mod recovery;
mod retention;
mod scan;
mod segment;
mod snapshot;
mod times;
mod types;
mod validate;
mod verify;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

pub(crate) use batch::BatchHeader;
pub use config::{Cleanup, LogConfig, TimestampType};
pub use error::{AppendError, DeleteError, LogError, ReadError};
pub use types::{
    AbortedTransaction, Appended, Compacted, Isolation, LogOffsets, Maintained, Marker, OpenTransaction, Producer,
    Read, Recovery,
};
pub use verify::{Problem, Verified, verify};

use append::Writer;
use disk::Disk;
use segment::{INDEX, SNAPSHOT, Segment, TIME_INDEX, TRANSACTION_INDEX, file_of};
use snapshot::{Checkpoint, Snapshot, write_whole};

/// What readers see. Replaced parts live on for those who hold them.
#[derive(Clone, Debug)]
struct View {
    offsets: LogOffsets,
    /// The first offset of an open transaction.
    first_unstable: Option<i64>,
    /// By base offset; the last one is active.
    segments: Arc<Vec<Arc<Segment>>>,
}

impl View {
    /// Brings the last stable offset in line.
    fn settle(&mut self, first_unstable: Option<i64>) {
        self.first_unstable = first_unstable;
        self.offsets.last_stable = first_unstable.map_or(self.offsets.end, |first| first.max(self.offsets.start));
    }
}

/// The log of one partition. All methods take `&self`; reads neither block each other nor wait for appends.
#[derive(Debug)]
pub struct Log {
    dir: Arc<Path>,
    disk: Disk,
    config: RwLock<Arc<LogConfig>>,
    writer: Mutex<Writer>,
    view: RwLock<View>,
    checkpoint: Mutex<Checkpoint>,
    /// Held by whoever removes or replaces segments.
    maintenance: Mutex<()>,
    /// Held during a flush, so that a second one does not return before the first has done its work.
    flushing: Mutex<()>,
}

/// Locks, whatever happened to the last holder: nothing here panics between two changes that belong together.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Log {
    /// Opens the log in a directory, which is made if there is none. Reads tails and small files only, except after
    /// a crash (the bytes written since the last snapshot) and where something is damaged.
    ///
    /// `now` is the time in epoch milliseconds.
    ///
    /// # Errors
    /// [`LogError::Storage`] if the directory or its files cannot be read or mended. Damage is no error: it is
    /// mended or left out, and named in [`Recovery`].
    pub fn open(dir: &Path, config: LogConfig, now: i64) -> Result<(Log, Recovery), LogError> {
        recovery::open(dir, config, now)
    }

    /// Where the log begins and ends.
    pub fn offsets(&self) -> LogOffsets {
        self.with_view(|view| view.offsets)
    }

    /// What is known of producers, by id.
    pub fn producers(&self) -> Vec<Producer> {
        self.writer().producers.describe()
    }

    /// The producer's transaction here, if one is open.
    pub fn open_transaction(&self, producer_id: i64) -> Option<OpenTransaction> {
        self.writer().producers.open_transaction(producer_id)
    }

    /// The bytes of all segments.
    pub fn size(&self) -> u64 {
        self.segments().iter().map(|segment| segment.size()).sum()
    }

    /// Changes the settings from the next call on.
    pub fn set_config(&self, config: LogConfig) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// Makes what was written so far outlast a power loss. Appends do not wait for it.
    ///
    /// # Errors
    /// What the system says. Nothing of it counts as flushed then, and the next call tries again; the caller should
    /// know that a system may report a failed write to the disk once only.
    pub fn flush(&self) -> io::Result<()> {
        let _flushing = lock(&self.flushing);
        let due = self.sync(Writer::snapshot_due)?;
        if let Err(error) = due.and_then(|due| self.store_snapshot(due)) {
            // What was written is safe; the next opening has more to read.
            tracing::warn!(%error, dir = %self.dir.display(), "a snapshot of the log's producers could not be written");
        }
        Ok(())
    }

    /// Flushes, and writes down what makes the next opening quick. The log can be used on; dropping it without this
    /// call loses nothing.
    ///
    /// # Errors
    /// What the system says.
    pub fn close(&self) -> io::Result<()> {
        let _flushing = lock(&self.flushing);
        let due = self.sync(|_| true)?;
        due.and_then(|due| self.store_snapshot(due))
    }

    /// Syncs what was not; gives the snapshot of the moment before, where one is due.
    fn sync(&self, due: impl Fn(&Writer) -> bool) -> io::Result<io::Result<Option<Snapshot>>> {
        let mut writer = self.writer();
        let active = Arc::clone(&writer.active);
        let closed = std::mem::take(&mut writer.unflushed);
        let dirty = std::mem::take(&mut writer.dirty);
        let directory_dirty = std::mem::take(&mut writer.directory_dirty);
        let snapshot = if due(&writer) { writer.prepare_snapshot() } else { Ok(None) };
        drop(writer);
        let sync = || {
            let bases = closed.iter().skip(1).chain([&active]).map(|segment| segment.base);
            closed.iter().zip(bases).try_for_each(|(segment, next)| self.sync_closed(segment, next))?;
            if dirty {
                active.file()?.sync_data()?;
            }
            if directory_dirty { self.sync_names() } else { Ok(()) }
        };
        if let Err(error) = sync() {
            let mut writer = self.writer();
            writer.unflushed.extend(closed);
            if dirty && !Arc::ptr_eq(&active, &writer.active) {
                writer.unflushed.push(active);
            } else {
                writer.dirty |= dirty;
            }
            writer.directory_dirty |= directory_dirty;
            writer.producers_changed |= matches!(snapshot, Ok(Some(_)));
            return Err(error);
        }
        Ok(snapshot)
    }

    /// Makes a closed segment outlast a power loss, with its indexes and the snapshot that was taken when the next one
    /// began; these could be made anew, but only from all of its batches.
    fn sync_closed(&self, segment: &Segment, next: i64) -> io::Result<()> {
        segment.file()?.sync_data()?;
        let indexes = [INDEX, TIME_INDEX, TRANSACTION_INDEX].map(|extension| segment.path(extension));
        for path in indexes.into_iter().chain([file_of(&self.dir, next, SNAPSHOT)]) {
            match File::open(path) {
                Ok(file) => file.sync_all()?,
                // Retention or compaction came first.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes the names of the files outlast a power loss, and that of the directory, which may be new as well.
    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()?;
        self.dir.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
    }

    /// Writes a snapshot all of whose batches are safe.
    fn store_snapshot(&self, due: Option<Snapshot>) -> io::Result<()> {
        let Some(Snapshot { mark, bytes }) = due else { return Ok(()) };
        let path = file_of(&self.dir, mark.offset, SNAPSHOT);
        let written = write_whole(&path, &bytes, true).and_then(|()| File::open(&self.dir)?.sync_all());
        let mut writer = self.writer();
        match written {
            Ok(()) => writer.snapshot_stored(&self.dir, &mark),
            Err(_) => writer.producers_changed = true,
        }
        written
    }

    fn config(&self) -> Arc<LogConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        lock(&self.writer)
    }

    fn with_view<T>(&self, look: impl FnOnce(&View) -> T) -> T {
        look(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change_view<T>(&self, change: impl FnOnce(&mut View) -> T) -> T {
        change(&mut self.view.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn segments(&self) -> Arc<Vec<Arc<Segment>>> {
        self.with_view(|view| Arc::clone(&view.segments))
    }
}
