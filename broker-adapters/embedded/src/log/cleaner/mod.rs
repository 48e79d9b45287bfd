//! Compaction: of every key the latest record stays, in new segments that take the place of the old ones.
//!
//! Follows Kafka's cleaner: first the keys of the dirty part are gathered, then all segments up to its end are written
//! anew without what a later record replaces, without aborted records, and without tombstones and markers whose time
//! is up (KIP-534). The active segment and everything from the first open transaction on stay untouched. Appends and
//! reads go on meanwhile; a crash at any moment leaves the old or the new segments, never a mixture.

mod keys;
mod rewrite;
mod swap;
mod transactions;

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::Arc;

use super::batch::BatchHeader;
use super::compression::unpacked_bound;
use super::config::LogConfig;
use super::error::LogError;
use super::index::SegmentIndex;
use super::producers::Producers;
use super::rebuild::write_indexes;
use super::scan::{Headers, Scan, Step};
use super::segment::{LOG, Segment, remove};
use super::types::Compacted;
use super::{Log, lock};

use keys::Keys;
use rewrite::{Fate, Rewriter};
use transactions::Aborted;

pub(crate) use swap::{CLEANED, finish_swap, parse_swap};

/// How much memory the keys of one pass may take.
const KEYS_BYTES: usize = 256 << 20;
/// So much of a cleaned segment is written at once.
const WRITE_BYTES: usize = 1 << 20;

/// The part of the log that a pass looks at.
struct Plan {
    /// The closed segments below the end of the dirty part, each with the base of the next.
    segments: Vec<(Arc<Segment>, i64)>,
    /// Everything before was cleaned already.
    dirty_from: i64,
    /// Nothing at or behind is cleaned.
    dirty_to: i64,
}

/// What a producer did last, which compaction must not lose.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LastOfProducer {
    /// Its last data batch ends here.
    Data(i64),
    /// It has markers only, of this epoch.
    Marker(i16),
}

impl Log {
    /// Compacts the log if its policy says so and enough of it is dirty, or a record has waited too long.
    ///
    /// `now` is the time in epoch milliseconds.
    ///
    /// # Errors
    /// [`LogError::Uncleanable`] where a batch cannot be decoded, and [`LogError::Storage`]. The log stays as it was,
    /// except that a part of the segments may have been cleaned.
    pub fn compact(&self, now: i64) -> Result<Compacted, LogError> {
        self.compact_within(now, KEYS_BYTES)
    }

    /// As [`compact`](Self::compact), with a bound for the keys of a pass.
    pub(crate) fn compact_within(&self, now: i64, keys_bytes: usize) -> Result<Compacted, LogError> {
        let _maintenance = lock(&self.maintenance);
        let config = self.config();
        let Some(mut plan) = self.plan(&config, now)? else { return Ok(Compacted::default()) };
        let aborted = Aborted::new(&self.segments(), plan.dirty_to);
        let bound = unpacked_bound(config.max_message_bytes);
        let keys = Keys::gather(&plan, &aborted, keys_bytes, bound)?;
        plan.dirty_to = keys.end();
        plan.segments.retain(|(segment, _)| segment.base < plan.dirty_to);
        let mut done = Compacted { ran: true, clean_to: plan.dirty_to, ..Compacted::default() };
        let last = last_of_producers(&self.writer().producers);
        let mut rewriter = Rewriter::new(keys, aborted, last, &config, now);
        for group in groups(&plan.segments, config.segment_bytes) {
            if let Err(error) = self.clean(group, &mut rewriter, &config, &mut done) {
                let unfinished = group.first().map(|(first, _)| swap::cleaned_path(&self.dir, first.base));
                // If this fails, the next opening does it.
                let _ = unfinished.map(|path| remove(&path));
                return Err(error);
            }
        }
        self.set_clean_to(plan.dirty_to)?;
        Ok(done)
    }

    /// What is to be cleaned now, if anything.
    fn plan(&self, config: &LogConfig, now: i64) -> Result<Option<Plan>, LogError> {
        if !config.cleanup.compacts() {
            return Ok(None);
        }
        let (segments, unstable) = self.with_view(|view| (Arc::clone(&view.segments), view.offsets.last_stable));
        let (start, clean_to) = {
            let checkpoint = lock(&self.checkpoint);
            (checkpoint.log_start, checkpoint.clean_to)
        };
        let dirty_from = clean_to.max(start);
        let mut plan = Plan { segments: Vec::new(), dirty_from, dirty_to: dirty_from };
        let (mut clean, mut dirty, mut waited) = (0, 0, false);
        for (segment, next) in segments.iter().zip(segments.iter().skip(1)) {
            let lag = config.min_compaction_lag_ms;
            let young = lag > 0 && now.saturating_sub(segment.max_timestamp()) < lag;
            let is_dirty = next.base > dirty_from;
            if segment.base >= unstable || (is_dirty && young) {
                break;
            }
            if is_dirty {
                dirty += segment.size();
                let first = first_timestamp(segment)?;
                waited |= first.is_some_and(|first| now.saturating_sub(first) > config.max_compaction_lag_ms);
                plan.dirty_to = next.base.min(unstable);
            } else {
                clean += segment.size();
            }
            plan.segments.push((Arc::clone(segment), next.base));
        }
        let ratio = dirty as f64 / ((clean + dirty) as f64).max(1.0);
        let due = dirty > 0 && plan.dirty_to > dirty_from && (waited || ratio >= config.min_cleanable_dirty_ratio);
        Ok(due.then_some(plan))
    }

    /// Writes a group of segments anew, as one, and puts it in their place.
    fn clean(
        &self,
        group: &[(Arc<Segment>, i64)],
        rewriter: &mut Rewriter,
        config: &LogConfig,
        done: &mut Compacted,
    ) -> Result<(), LogError> {
        let (Some((first, _)), Some((_, upper))) = (group.first(), group.last()) else { return Ok(()) };
        let path = swap::cleaned_path(&self.dir, first.base);
        let failed = || LogError::storage("write", &path);
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path).map_err(failed())?;
        let mut output =
            Output { file: &file, base: first.base, pending: Vec::new(), size: 0, index: SegmentIndex::default() };
        let mut aborted = Vec::new();
        for (segment, end) in group {
            done.bytes_before += segment.size();
            each_batch(segment, *end, |position, header, bytes| {
                done.records_before += u64::from(header.record_count.unsigned_abs());
                let fate = rewriter.judge(header, bytes).map_err(|what| uncleanable(segment, position, what))?;
                let (header, batch) = match &fate {
                    Fate::Gone => return Ok(()),
                    Fate::AsItIs => (*header, bytes),
                    Fate::Changed(header, batch) => (*header, batch.as_slice()),
                };
                done.records_after += u64::from(header.record_count.unsigned_abs());
                output.add(&header, batch, config.index_interval_bytes).map_err(failed())
            })?;
            let kept = rewriter.take_kept_markers();
            aborted.extend(segment.aborted().iter().filter(|entry| kept.contains(&entry.last_offset)));
        }
        output.flush().and_then(|()| file.sync_all()).map_err(failed())?;
        let Output { mut index, size, .. } = output;
        index.finish(first.base, *upper);
        done.bytes_after += size;
        let timestamp = index.latest().unwrap_or(-1);
        let segment = Segment::existing(&self.dir, first.base, size, timestamp, Some(index.clone()), aborted.clone());
        let segment = Arc::new(segment.with_file(file));
        self.replace(group, &segment)?;
        write_indexes(&self.dir, first.base, &index, &aborted)?;
        segment.forget_index();
        Ok(())
    }

    /// Puts a cleaned segment in the place of those it was made from, on disk and for readers.
    fn replace(&self, group: &[(Arc<Segment>, i64)], segment: &Arc<Segment>) -> Result<(), LogError> {
        let Some((_, upper)) = group.last() else { return Ok(()) };
        for (old, _) in group {
            old.retire().map_err(LogError::storage("open", &old.path(LOG)))?;
        }
        let base = segment.base;
        swap::commit(&self.dir, base, *upper)?;
        self.change_view(|view| {
            let segments = Arc::make_mut(&mut view.segments);
            let from = segments.partition_point(|old| old.base < base);
            let to = segments.partition_point(|old| old.base < *upper);
            segments.splice(from..to, [Arc::clone(segment)]);
        });
        lock(&self.writer).unflushed.retain(|old| !group.iter().any(|(gone, _)| Arc::ptr_eq(gone, old)));
        finish_swap(&self.dir, base, *upper)
    }

    fn set_clean_to(&self, offset: i64) -> Result<(), LogError> {
        let mut checkpoint = lock(&self.checkpoint);
        let mut cleaned = *checkpoint;
        cleaned.clean_to = offset;
        cleaned.write(&self.dir).map_err(LogError::storage("write the log start in", &self.dir))?;
        *checkpoint = cleaned;
        Ok(())
    }
}

/// A cleaned segment while it is written.
struct Output<'f> {
    file: &'f File,
    base: i64,
    pending: Vec<u8>,
    /// With what is pending.
    size: u64,
    index: SegmentIndex,
}

impl Output<'_> {
    fn add(&mut self, header: &BatchHeader, batch: &[u8], interval: u64) -> io::Result<()> {
        self.index.add(self.base, header, self.size, interval);
        self.pending.extend_from_slice(batch);
        self.size += batch.len() as u64;
        if self.pending.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.pending)?;
        self.pending.clear();
        Ok(())
    }
}

/// Looks at every batch of a segment whose next one begins at `end`.
pub(crate) fn each_batch(
    segment: &Segment,
    end: i64,
    mut look: impl FnMut(u64, &BatchHeader, &[u8]) -> Result<(), LogError>,
) -> Result<(), LogError> {
    let failed = || LogError::storage("read", &segment.path(LOG));
    let file = segment.file().map_err(failed())?;
    let mut scan = Scan::new(file, 0, segment.size(), segment.base, end);
    loop {
        match scan.step().map_err(failed())? {
            Step::Batch { position, header, bytes } => look(position, &header, bytes)?,
            Step::Bad { position, what } => return Err(uncleanable(segment, position, what)),
            Step::End => return Ok(()),
        }
    }
}

pub(crate) fn uncleanable(segment: &Segment, position: u64, what: &str) -> LogError {
    LogError::Uncleanable { file: segment.path(LOG), position, what: what.to_owned() }
}

/// The latest timestamp of the first batch.
fn first_timestamp(segment: &Segment) -> Result<Option<i64>, LogError> {
    let failed = || LogError::storage("read", &segment.path(LOG));
    let file = segment.file().map_err(failed())?;
    let first = Headers::new(file, 0, segment.size()).step().map_err(failed())?;
    Ok(first.and_then(Result::ok).map(|(_, header)| header.max_timestamp))
}

fn last_of_producers(producers: &Producers) -> HashMap<i64, LastOfProducer> {
    let last = |state: &super::producers::ProducerState| match state.last_data_offset {
        -1 => LastOfProducer::Marker(state.epoch),
        offset => LastOfProducer::Data(offset),
    };
    producers.iter().map(|(id, state)| (id, last(state))).collect()
}

/// Neighbouring segments that fit into one.
fn groups(segments: &[(Arc<Segment>, i64)], segment_bytes: u64) -> Vec<&[(Arc<Segment>, i64)]> {
    let mut groups = Vec::new();
    let mut from = 0;
    while let Some((first, _)) = segments.get(from) {
        let mut bytes = 0;
        let rest = segments.get(from..).unwrap_or_default();
        let fitting = rest.iter().take_while(|(segment, end)| {
            bytes += segment.size();
            bytes <= segment_bytes && end - first.base <= i64::from(i32::MAX)
        });
        let count = fitting.count().max(1);
        groups.push(rest.get(..count).unwrap_or_default());
        from += count;
    }
    groups
}
