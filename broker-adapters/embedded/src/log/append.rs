//! Appending: checked batches get their offsets and are written with one call, then readers may see them.
//!
//! One append at a time holds the writer; reads and maintenance go on beside it. Knows nothing of how batches are
//! read back.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use super::batch::{BatchHeader, HEADER_LEN, LOG_APPEND_TIME};
use super::config::{LogConfig, TimestampType};
use super::disk::Disk;
use super::error::AppendError;
use super::producers::{Producers, Staged};
use super::records::marker_batch;
use super::segment::{SNAPSHOT, Segment, file_of, remove};
use super::snapshot::{Mark, Snapshot, Stored, encode_snapshot, write_whole};
use super::types::{Appended, Marker};
use super::validate::{Entry, validate};
use super::{Log, View};

/// A snapshot is taken at the latest after so many bytes, so that opening after a crash has little to read.
const SNAPSHOT_EVERY: u64 = 64 << 20;

/// What only the one who appends touches.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) active: Arc<Segment>,
    /// Where the next batch goes.
    pub(crate) position: u64,
    /// Its offset.
    pub(crate) end: i64,
    pub(crate) producers: Producers,
    /// When the active segment got its first batch.
    pub(crate) first_append: Option<i64>,
    /// Bytes of a failed write lie behind `position`.
    pub(crate) torn: bool,
    /// Closed segments that were not flushed.
    pub(crate) unflushed: Vec<Arc<Segment>>,
    /// The active segment has bytes that were not flushed.
    pub(crate) dirty: bool,
    /// A file was made since the last flush.
    pub(crate) directory_dirty: bool,
    pub(crate) snapshot: Stored,
    /// Producers changed since the last snapshot by other things than batches.
    pub(crate) producers_changed: bool,
}

impl Writer {
    /// Puts final offsets, epoch and time into the headers.
    fn place(&self, entries: &mut [Entry<'_>], config: &LogConfig, now: i64) {
        let mut offset = self.end;
        for Entry { header, body } in entries {
            header.base_offset = offset;
            offset = header.next_offset();
            if config.timestamp_type == TimestampType::LogAppendTime {
                header.attributes |= LOG_APPEND_TIME;
                header.max_timestamp = now;
                header.seal(body);
            }
        }
    }

    /// Whether these bytes need a new segment.
    fn is_full(&self, bytes: u64, last_offset: i64, config: &LogConfig, now: i64) -> bool {
        self.position > 0
            && (self.position + bytes > config.segment_bytes.min(i32::MAX as u64)
                || self.is_old(config, now)
                || last_offset - self.active.base > i64::from(i32::MAX))
    }

    /// Whether the active segment's time is up.
    pub(crate) fn is_old(&self, config: &LogConfig, now: i64) -> bool {
        let lag = if config.cleanup.compacts() { config.max_compaction_lag_ms } else { i64::MAX };
        self.first_append.is_some_and(|first| now.saturating_sub(first) > config.segment_ms.min(lag))
    }

    /// Closes the active segment and begins the next at the end offset.
    pub(crate) fn roll(&mut self, dir: &Arc<Path>) -> io::Result<()> {
        if self.position == 0 && self.active.base == self.end {
            return Ok(());
        }
        self.mend()?;
        self.active.save_indexes(self.end, false)?;
        let mark = Mark { offset: self.end, segment: self.end, position: 0, entries: [0; 3] };
        write_whole(&file_of(dir, self.end, SNAPSHOT), &encode_snapshot(&mark, &self.producers), false)?;
        let next = Arc::new(Segment::create(dir, self.end)?);
        if self.snapshot.offset != self.end {
            self.forget_snapshot(dir);
        }
        // Saved above: this only drops the index from memory.
        self.active.save_indexes(self.end, true)?;
        let closed = std::mem::replace(&mut self.active, next);
        self.unflushed.push(closed);
        self.position = 0;
        self.first_append = None;
        self.dirty = false;
        self.directory_dirty = true;
        self.snapshot = Stored { offset: self.end, position: 0, passing: false };
        Ok(())
    }

    /// Cuts off what a failed write left behind.
    pub(crate) fn mend(&mut self) -> io::Result<()> {
        if self.torn {
            self.active.file()?.set_len(self.position)?;
            self.torn = false;
        }
        Ok(())
    }

    fn write(&mut self, disk: &Disk, entries: &[Entry<'_>]) -> io::Result<()> {
        self.mend()?;
        let headers: Vec<[u8; HEADER_LEN]> = entries.iter().map(|entry| entry.header.encode()).collect();
        let mut slices: Vec<IoSlice<'_>> = Vec::with_capacity(entries.len() * 2);
        for (header, entry) in headers.iter().zip(entries) {
            slices.push(IoSlice::new(header));
            slices.push(IoSlice::new(entry.body));
        }
        let written = disk.write(self.active.file()?, self.position, &mut slices);
        if written.is_err() {
            self.torn = true;
            // If this fails too, the next append tries again before it writes.
            let _ = self.mend();
        }
        written
    }

    /// Readers may see the batches from now on, once the view says so.
    fn grow(&mut self, entries: &[Entry<'_>], interval: u64, now: i64) {
        let mut position = self.position;
        let placed = entries.iter().map(|entry| {
            let at = position;
            position += entry.header.size;
            (entry.header, at)
        });
        let size = self.position + entries.iter().map(|entry| entry.header.size).sum::<u64>();
        self.active.grow(placed, size, interval);
        self.position = size;
        self.end = entries.last().map_or(self.end, |entry| entry.header.next_offset());
        self.first_append.get_or_insert(now);
        self.dirty = true;
    }

    /// Whether opening would have much to read.
    pub(crate) fn snapshot_due(&self) -> bool {
        self.position.saturating_sub(self.snapshot.position) >= SNAPSHOT_EVERY
    }

    /// What a snapshot of this moment would hold, unless the last one says the same. It may be stored once all
    /// batches before its offset have been flushed.
    pub(crate) fn prepare_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let Stored { offset, position, .. } = self.snapshot;
        if offset == self.end && position == self.position && !self.producers_changed {
            return Ok(None);
        }
        self.mend()?;
        let entries = self.active.save_indexes(self.end, false)?;
        self.producers_changed = false;
        let mark = Mark { offset: self.end, segment: self.active.base, position: self.position, entries };
        Ok(Some(Snapshot { mark, bytes: encode_snapshot(&mark, &self.producers) }))
    }

    /// Takes note of a snapshot that was stored, and removes the one before it.
    pub(crate) fn snapshot_stored(&mut self, dir: &Path, mark: &Mark) {
        let latest = Stored { offset: mark.offset, position: mark.position, passing: mark.offset != mark.segment };
        if self.active.base != mark.segment {
            // A roll came between: its own snapshot is the last one.
            if self.active.base != mark.offset {
                let last = std::mem::replace(&mut self.snapshot, latest);
                self.forget_snapshot(dir);
                self.snapshot = last;
            }
            return;
        }
        if self.snapshot.offset != mark.offset {
            self.forget_snapshot(dir);
        }
        self.snapshot = latest;
    }

    /// Removes the last snapshot if no segment begins there. Staying behind would do no harm.
    fn forget_snapshot(&self, dir: &Path) {
        if let Stored { offset, passing: true, .. } = self.snapshot
            && let Err(error) = remove(&file_of(dir, offset, SNAPSHOT))
        {
            tracing::warn!(%error, offset, "an old snapshot could not be removed");
        }
    }
}

impl Log {
    /// Appends the batches of one partition of a produce request: all or none of them, with one write.
    ///
    /// `now` is the time in epoch milliseconds.
    ///
    /// # Errors
    /// The variant that names Kafka's error code; nothing was written then, and what a full disk left is cut off.
    pub fn append(&self, batches: &[u8], now: i64) -> Result<Appended, AppendError> {
        let config = self.config();
        let mut entries = validate(batches, &config, now)?;
        let mut writer = self.writer();
        writer.place(&mut entries, &config, now);
        let last_offset = entries.last().map_or(writer.end, |entry| entry.header.last_offset());
        let log_append_time = |time| if config.timestamp_type == TimestampType::LogAppendTime { time } else { -1 };
        let (changed, new_transaction) = match writer.producers.stage(entries.iter().map(|entry| &entry.header), now)? {
            Staged::Fresh { changed, new_transaction } => (changed, new_transaction),
            Staged::Duplicate(written) => {
                return Ok(Appended {
                    base_offset: written.first_offset,
                    last_offset: written.last_offset,
                    // As Kafka, whatever the topic's type of timestamps.
                    log_append_time: written.timestamp,
                    log_start_offset: self.offsets().start,
                    duplicate: true,
                    new_transaction: false,
                });
            }
        };
        let base_offset = writer.end;
        self.write(&mut writer, &entries, &config, now)?;
        writer.producers.commit(changed);
        let log_start_offset = self.publish(&writer);
        Ok(Appended {
            base_offset,
            last_offset,
            log_append_time: log_append_time(now),
            log_start_offset,
            duplicate: false,
            new_transaction,
        })
    }

    /// Appends the marker that ends a producer's transaction, and says at which offset.
    ///
    /// An epoch above the producer's is taken as a bump, which fences older instances. A marker without an open
    /// transaction is written too: whether it should be is the caller's business.
    ///
    /// # Errors
    /// [`AppendError::InvalidProducerEpoch`], [`AppendError::TransactionCoordinatorFenced`] and
    /// [`AppendError::Storage`].
    pub fn append_marker(
        &self,
        producer_id: i64,
        producer_epoch: i16,
        coordinator_epoch: i32,
        marker: Marker,
        now: i64,
    ) -> Result<i64, AppendError> {
        let config = self.config();
        let (mut header, body) = marker_batch(producer_id, producer_epoch, coordinator_epoch, marker, now);
        header.seal(&body);
        let mut writer = self.writer();
        writer.producers.check_marker(producer_id, producer_epoch, coordinator_epoch)?;
        let mut entries = [Entry { header, body: &body }];
        writer.place(&mut entries, &config, now);
        let [Entry { header, .. }] = entries;
        self.write(&mut writer, &entries, &config, now)?;
        if let Some(aborted) = writer.producers.end_transaction(&header, marker, coordinator_epoch, now) {
            writer.active.add_aborted(aborted);
        }
        self.publish(&writer);
        Ok(header.base_offset)
    }

    fn write(&self, writer: &mut Writer, entries: &[Entry<'_>], config: &LogConfig, now: i64) -> io::Result<()> {
        let bytes = entries.iter().map(|entry| entry.header.size).sum();
        let last_offset =
            entries.last().map_or(writer.end, |entry: &Entry<'_>| BatchHeader::last_offset(&entry.header));
        if writer.is_full(bytes, last_offset, config, now) {
            self.roll(writer)?;
        }
        writer.write(&self.disk, entries)?;
        writer.grow(entries, config.index_interval_bytes, now);
        Ok(())
    }

    /// Begins a new segment, for readers too.
    pub(crate) fn roll(&self, writer: &mut Writer) -> io::Result<()> {
        let before = Arc::clone(&writer.active);
        writer.roll(&self.dir)?;
        if !Arc::ptr_eq(&before, &writer.active) {
            self.change_view(|view| Arc::make_mut(&mut view.segments).push(Arc::clone(&writer.active)));
        }
        Ok(())
    }

    /// Lets readers see what was written; gives the log start offset.
    fn publish(&self, writer: &Writer) -> i64 {
        self.change_view(|view: &mut View| {
            view.offsets.end = writer.end;
            view.settle(writer.producers.first_unstable());
            view.offsets.start
        })
    }
}
