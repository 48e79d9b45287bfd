//! A partition: its log, and who waits for something new in it.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::log::{AppendError, Appended, Log, Marker};

/// The one broker leads every partition for ever: its log never loses what was acknowledged, so there is one epoch.
pub(crate) const LEADER_EPOCH: i32 = 0;

/// One partition of a topic.
pub(crate) struct Partition {
    log: Log,
    waiting: Mutex<Vec<Arc<Notify>>>,
    /// Something was written that the disk may not keep yet.
    dirty: AtomicBool,
    /// Its topic is deleted, and its files go.
    gone: AtomicBool,
}

impl Partition {
    pub(crate) fn new(log: Log) -> Self {
        Self { log, waiting: Mutex::default(), dirty: AtomicBool::new(false), gone: AtomicBool::new(false) }
    }

    /// Something was written; gives back whether that was so before.
    pub(crate) fn mark_dirty(&self) -> bool {
        self.dirty.swap(true, Ordering::SeqCst)
    }

    /// Has the disk keep what was written.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.dirty.store(false, Ordering::SeqCst);
        match self.log.flush() {
            Err(_) if self.gone.load(Ordering::SeqCst) => Ok(()),
            flushed => flushed,
        }
    }

    /// Its topic is deleted: whoever still has it need not keep anything.
    pub(crate) fn let_go(&self) {
        self.gone.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Whether its topic is deleted.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    /// The log, to read from and to ask; what is appended goes through the partition.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// Appends a producer's batches and wakes who waits.
    pub(crate) fn append(&self, batches: &[u8], now: i64) -> Result<Appended, AppendError> {
        let appended = self.log.append(batches, now)?;
        self.wake();
        Ok(appended)
    }

    /// Ends a producer's transaction here and wakes who waits.
    pub(crate) fn append_marker(
        &self,
        (producer_id, producer_epoch): (i64, i16),
        marker: Marker,
        now: i64,
    ) -> Result<i64, AppendError> {
        let offset = self.log.append_marker(producer_id, producer_epoch, COORDINATOR_EPOCH, marker, now)?;
        self.wake();
        Ok(offset)
    }

    /// Has `notify` told of the next change. Whoever asks looks again afterwards, for what came in between.
    pub(crate) fn wait_for_change(&self, notify: &Arc<Notify>) {
        self.waiting().push(Arc::clone(notify));
    }

    /// `notify` waits no longer.
    pub(crate) fn forget(&self, notify: &Arc<Notify>) {
        self.waiting().retain(|waiting| !Arc::ptr_eq(waiting, notify));
    }

    fn wake(&self) {
        let waiting = std::mem::take(&mut *self.waiting());
        for notify in waiting {
            notify.notify_one();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Arc<Notify>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The transaction coordinator never moves.
const COORDINATOR_EPOCH: i32 = 0;
