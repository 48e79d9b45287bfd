//! What leaves the log by age, by size and by request, and the closing of segments whose time is up.
//!
//! The log start is written down before anything is removed, so that it never goes back. Knows nothing of keys.

use std::sync::{Arc, MutexGuard, TryLockError};

use super::config::LogConfig;
use super::error::{DeleteError, LogError};
use super::segment::Segment;
use super::types::Maintained;
use super::{Log, View, lock};

impl Log {
    /// Closes the active segment if its time is up, deletes what retention lets go, forgets idle producers.
    ///
    /// `now` is the time in epoch milliseconds.
    ///
    /// # Errors
    /// [`LogError::Storage`]; what was done until then stays done.
    pub fn maintain(&self, now: i64) -> Result<Maintained, LogError> {
        let config = self.config();
        let mut done = Maintained::default();
        let mut writer = self.writer();
        done.expired_producers = writer.producers.expire(now, config.producer_expiry_ms);
        writer.producers_changed |= done.expired_producers > 0;
        if writer.position > 0 && writer.is_old(&config, now) {
            self.roll(&mut writer).map_err(LogError::storage("begin a segment in", &self.dir))?;
            done.rolled = true;
        }
        drop(writer);
        // While a compaction runs, deletion waits for the next call.
        let Some(_maintenance) = self.try_maintenance() else { return Ok(done) };
        if let Some(start) = self.retention_start(&config, now)? {
            self.raise_log_start(start)?;
        }
        self.delete_below_start(&mut done)?;
        Ok(done)
    }

    /// Deletes the records before an offset (`DeleteRecords`) and gives the new log start. Nothing is deleted if the
    /// log starts there or later. Their bytes go with their segments, at once or at the next
    /// [`maintain`](Self::maintain).
    ///
    /// # Errors
    /// [`DeleteError::OffsetOutOfRange`] for an offset beyond the end or below 0; [`DeleteError::Storage`].
    pub fn delete_before(&self, offset: i64) -> Result<i64, DeleteError> {
        let offsets = self.offsets();
        if offset < 0 || offset > offsets.end {
            return Err(DeleteError::OffsetOutOfRange(offsets));
        }
        let start = self.raise_log_start(offset)?;
        if let Some(_maintenance) = self.try_maintenance() {
            self.delete_below_start(&mut Maintained::default())?;
        }
        Ok(start)
    }

    /// The right to remove segments, unless a compaction has it.
    fn try_maintenance(&self) -> Option<MutexGuard<'_, ()>> {
        match self.maintenance.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Where the log should start by age and size; closes the active segment if it should go as well.
    fn retention_start(&self, config: &LogConfig, now: i64) -> Result<Option<i64>, LogError> {
        if !config.cleanup.deletes() {
            return Ok(None);
        }
        let segments = self.segments();
        let mut excess = config.retention_bytes.map_or(0, |bytes| self.size().saturating_sub(bytes));
        let (mut gone, mut last_size) = (0, 0);
        for segment in segments.iter() {
            let size = segment.size();
            let expired = config.retention_ms.is_some_and(|retention| is_expired(segment, retention, now));
            let too_much = size > 0 && size <= excess;
            let empty = size == 0 && gone + 1 < segments.len();
            if !(expired || too_much || empty) {
                break;
            }
            excess = excess.saturating_sub(size);
            last_size = size;
            gone += 1;
        }
        if gone == segments.len() {
            let mut writer = self.writer();
            let active = segments.last().filter(|last| Arc::ptr_eq(last, &writer.active));
            if active.is_some_and(|active| active.size() == last_size) {
                self.roll(&mut writer).map_err(LogError::storage("begin a segment in", &self.dir))?;
            } else {
                // It grew while it was looked at.
                gone -= 1;
            }
        }
        let segments = self.segments();
        Ok(segments.get(gone).map(|segment| segment.base).filter(|_| gone > 0))
    }

    /// Raises the log start, on disk first; gives the log start that holds.
    pub(crate) fn raise_log_start(&self, start: i64) -> Result<i64, LogError> {
        let mut checkpoint = lock(&self.checkpoint);
        if start > checkpoint.log_start {
            let mut raised = *checkpoint;
            raised.log_start = start;
            raised.write(&self.dir).map_err(LogError::storage("write the log start in", &self.dir))?;
            *checkpoint = raised;
        }
        let start = checkpoint.log_start;
        self.change_view(|view: &mut View| {
            view.offsets.start = start;
            view.settle(view.first_unstable);
        });
        Ok(start)
    }

    /// Removes segments all of whose offsets lie before the log start. The caller holds the maintenance lock.
    fn delete_below_start(&self, done: &mut Maintained) -> Result<(), LogError> {
        let start = self.offsets().start;
        // An active segment all of whose records were deleted gives its bytes back too.
        let mut writer = self.writer();
        if writer.end == start && writer.position > 0 {
            self.roll(&mut writer).map_err(LogError::storage("begin a segment in", &self.dir))?;
        }
        drop(writer);
        let gone: Vec<Arc<Segment>> = self.change_view(|view| {
            let ends = view.segments.iter().skip(1).map(|next| next.base);
            let count = ends.take_while(|end| *end <= start).count();
            if count == 0 {
                return Vec::new();
            }
            Arc::make_mut(&mut view.segments).drain(..count).collect()
        });
        for segment in &gone {
            done.deleted_segments += 1;
            done.deleted_bytes += segment.size();
            // Whoever reads it reads on.
            let removed = segment.retire().and_then(|()| segment.delete_files());
            removed.map_err(LogError::storage("delete a segment in", &self.dir))?;
        }
        if !gone.is_empty() {
            lock(&self.writer).unflushed.retain(|segment| !gone.iter().any(|gone| Arc::ptr_eq(gone, segment)));
        }
        Ok(())
    }
}

/// Whether the latest record is older than retention allows. Where records have no timestamps, the file's counts.
fn is_expired(segment: &Segment, retention_ms: i64, now: i64) -> bool {
    let latest = match segment.max_timestamp() {
        -1 => segment.modified(),
        latest => Some(latest),
    };
    segment.size() > 0 && latest.is_some_and(|latest| now.saturating_sub(latest) > retention_ms)
}
