//! Opening a log: what is whole is taken as it is, what is torn is cut, what is missing is said.
//!
//! Reads the small files and tails; batches are read from the last snapshot on, and all of a segment only where its
//! indexes are missing or damaged. The end offset never goes back: segment names, snapshots and the log start vouch
//! for it. Knows nothing of appends to come.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use super::append::Writer;
use super::batch::{BatchHeader, HEADER_LEN};
use super::cleaner::{CLEANED, finish_swap, parse_swap};
use super::config::LogConfig;
use super::disk::Disk;
use super::error::LogError;
use super::index::{self, AbortedEntry, OffsetEntry, SegmentIndex, TimeEntry};
use super::producers::Producers;
use super::rebuild::{Replayed, Span, producers_at, read_snapshot, replay, write_indexes};
use super::scan::{Headers, read_full};
use super::segment::{INDEX, LOG, SNAPSHOT, Segment, TIME_INDEX, TRANSACTION_INDEX, file_of, remove};
use super::snapshot::{CHECKPOINT_FILE, Checkpoint, Mark, Stored, UNFINISHED};
use super::types::{LogOffsets, Recovery};
use super::{Log, View};

/// Opens the log in a directory.
pub(crate) fn open(dir: &Path, config: LogConfig, now: i64) -> Result<(Log, Recovery), LogError> {
    fs::create_dir_all(dir).map_err(LogError::storage("make", dir))?;
    let mut opening = Opening { dir: dir.into(), config, now, recovery: Recovery::default() };
    let log = opening.open()?;
    for note in &opening.recovery.notes {
        tracing::warn!(dir = %dir.display(), "{note}");
    }
    Ok((log, opening.recovery))
}

/// Base offsets that a segment may have; beyond them lies room for offsets relative to it.
pub(crate) const BASES: Range<i64> = 0..1 << 62;

/// The files of the directory that count.
#[derive(Default)]
struct Listing {
    /// Size by base offset.
    logs: BTreeMap<i64, u64>,
    snapshots: Vec<i64>,
    /// Index files with their base offsets.
    indexes: Vec<(i64, PathBuf)>,
}

/// What the index files of a closed segment say.
struct Closed {
    aborted: Vec<AbortedEntry>,
    max_timestamp: i64,
    /// The offset up to which the segment held batches when it was closed.
    end: i64,
    /// Where its tail is damaged.
    damage: Option<u64>,
}

/// The last segment with what belongs to it.
struct Active {
    segment: Segment,
    producers: Producers,
    /// The next offset.
    end: i64,
    snapshot: Stored,
}

struct Opening {
    dir: Arc<Path>,
    config: LogConfig,
    now: i64,
    recovery: Recovery,
}

impl Opening {
    fn note(&mut self, note: String) {
        self.recovery.notes.push(note);
    }

    fn open(&mut self) -> Result<Log, LogError> {
        let listing = self.list()?;
        let checkpoint = self.checkpoint(listing.logs.is_empty())?;
        let newest = self.newest_snapshot(&listing.snapshots)?;
        self.drop_passed_snapshots(&listing, newest.as_ref())?;
        let vouched = newest.as_ref().map_or(0, |(mark, _)| mark.offset).max(checkpoint.log_start);
        let mut logs: Vec<(i64, u64)> = listing.logs.into_iter().collect();
        let fresh = logs.is_empty();
        if fresh {
            if vouched > 0 {
                self.note(format!("all segments are missing; the log goes on at offset {vouched}"));
            }
            Segment::create(&self.dir, vouched).map_err(LogError::storage("make a segment in", &self.dir))?;
            logs.push((vouched, 0));
        }
        let (base, size) = logs.pop().unwrap_or((vouched, 0));
        let mut segments = self.closed(&logs, base)?;
        let Active { segment, mut producers, end: mut writer_end, snapshot } =
            self.active(&segments, base, size, newest.as_ref())?;
        let position = segment.size();
        segments.push(segment);
        let gap = vouched > writer_end;
        if gap {
            if !fresh {
                self.note(format!("offsets {writer_end} to {} are lost; the log goes on at {vouched}", vouched - 1));
            }
            if let Some((mark, known)) = newest.filter(|(mark, _)| mark.offset > writer_end) {
                producers = if mark.offset == vouched { known } else { producers };
            }
            writer_end = vouched;
        }
        let first_append = self.first_append(base, position)?;
        let segments: Vec<Arc<Segment>> = segments.into_iter().map(Arc::new).collect();
        let checkpoint = self.log_start(checkpoint, &segments, writer_end)?;
        let Some(active) = segments.last().cloned() else {
            let missing = io::Error::from(io::ErrorKind::NotFound);
            return Err(LogError::storage("find a segment in", &self.dir)(missing));
        };
        let clean = snapshot.position == position;
        let writer = Writer {
            active,
            position,
            end: writer_end,
            producers,
            first_append,
            torn: false,
            // After a crash nobody knows what was flushed; syncing again what was costs nothing.
            unflushed: if clean { Vec::new() } else { segments.iter().rev().skip(1).take(2).cloned().collect() },
            dirty: !clean,
            directory_dirty: fresh,
            snapshot,
            producers_changed: false,
        };
        self.assemble(writer, segments, checkpoint, gap)
    }

    fn assemble(
        &self,
        writer: Writer,
        segments: Vec<Arc<Segment>>,
        checkpoint: Checkpoint,
        gap: bool,
    ) -> Result<Log, LogError> {
        let offsets = LogOffsets { start: checkpoint.log_start, end: writer.end, last_stable: writer.end };
        let first_unstable = writer.producers.first_unstable();
        let mut view = View { offsets, first_unstable, segments: Arc::new(segments) };
        view.settle(first_unstable);
        let log = Log {
            dir: Arc::clone(&self.dir),
            disk: Disk::default(),
            config: RwLock::new(Arc::new(self.config.clone())),
            writer: Mutex::new(writer),
            view: RwLock::new(view),
            checkpoint: Mutex::new(checkpoint),
            maintenance: Mutex::new(()),
            flushing: Mutex::new(()),
        };
        if gap {
            log.roll(&mut log.writer()).map_err(LogError::storage("begin a segment in", &self.dir))?;
        }
        Ok(log)
    }

    /// Lists the directory; finishes what was begun with a rename, and drops what was not.
    fn list(&mut self) -> Result<Listing, LogError> {
        let failed = |error| LogError::storage("list", &self.dir)(error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let unfinished = path.extension().is_some_and(|extension| extension == UNFINISHED || extension == CLEANED);
            if unfinished {
                remove(&path).map_err(LogError::storage("remove", &path))?;
            } else {
                names.push(path);
            }
        }
        let mut swapped = false;
        for (base, upper) in names.iter().filter_map(|path| parse_swap(path)) {
            finish_swap(&self.dir, base, upper)?;
            self.note(format!("a compaction of offsets {base} to {} was completed", upper - 1));
            swapped = true;
        }
        if swapped {
            let failed = |error| LogError::storage("list", &self.dir)(error);
            let entries = fs::read_dir(&self.dir).map_err(failed)?;
            names = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().map_err(failed)?;
        }
        let mut listing = Listing::default();
        for path in names {
            listing.add(path)?;
        }
        for (base, path) in std::mem::take(&mut listing.indexes) {
            if !listing.logs.contains_key(&base) {
                remove(&path).map_err(LogError::storage("remove", &path))?;
            }
        }
        Ok(listing)
    }

    fn checkpoint(&mut self, empty: bool) -> Result<Checkpoint, LogError> {
        match Checkpoint::read(&self.dir) {
            Ok(found) => Ok(found.unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let instead = if empty { "0" } else { "the first segment" };
                self.note(format!("the file {CHECKPOINT_FILE} is damaged; the log starts at {instead}"));
                Ok(Checkpoint::default())
            }
            Err(error) => Err(LogError::storage("read", &self.dir.join(CHECKPOINT_FILE))(error)),
        }
    }

    /// The newest snapshot that is whole; damaged ones are removed.
    fn newest_snapshot(&mut self, offsets: &[i64]) -> Result<Option<(Mark, Producers)>, LogError> {
        let mut offsets = offsets.to_vec();
        offsets.sort_unstable();
        for offset in offsets.into_iter().rev() {
            if let Some(found) = read_snapshot(&self.dir, offset)? {
                return Ok(Some(found));
            }
            let path = file_of(&self.dir, offset, SNAPSHOT);
            remove(&path).map_err(LogError::storage("remove", &path))?;
            self.note(format!("the snapshot at offset {offset} was damaged; producers are read from the batches"));
        }
        Ok(None)
    }

    /// Removes snapshots that a later one replaced and that no segment needs.
    fn drop_passed_snapshots(&self, listing: &Listing, newest: Option<&(Mark, Producers)>) -> Result<(), LogError> {
        let latest = newest.map(|(mark, _)| mark.offset);
        let passed = |offset: &&i64| Some(**offset) != latest && !listing.logs.contains_key(offset);
        for offset in listing.snapshots.iter().filter(passed) {
            let path = file_of(&self.dir, *offset, SNAPSHOT);
            remove(&path).map_err(LogError::storage("remove", &path))?;
        }
        Ok(())
    }

    /// All segments but the last one, the next of which begins at `active`.
    fn closed(&mut self, logs: &[(i64, u64)], active: i64) -> Result<Vec<Segment>, LogError> {
        let mut segments = Vec::with_capacity(logs.len() + 1);
        let mut damaged = Vec::new();
        let next_of = |place: usize| logs.get(place + 1).map_or(active, |(base, _)| *base);
        for (place, &(base, size)) in logs.iter().enumerate() {
            let next = next_of(place);
            let failed = LogError::storage("read the indexes of", &file_of(&self.dir, base, LOG));
            let checked = check_closed(&self.dir, base, size, next).map_err(failed)?;
            let (aborted, max_timestamp) = match checked {
                Some(closed) => {
                    self.note_closed(&closed, base, next);
                    (closed.aborted, closed.max_timestamp)
                }
                None => {
                    damaged.push(place);
                    (Vec::new(), -1)
                }
            };
            segments.push(Segment::existing(&self.dir, base, size, max_timestamp, None, aborted));
        }
        for place in damaged {
            let rebuilt = self.rebuild(&segments, place, next_of(place))?;
            if let Some(segment) = segments.get_mut(place) {
                *segment = rebuilt;
            }
        }
        Ok(segments)
    }

    fn note_closed(&mut self, closed: &Closed, base: i64, next: i64) {
        let name = format!("{base:020}.{LOG}");
        if let Some(position) = closed.damage {
            self.note(format!("{name} is damaged from byte {position} on; what is good in it is served"));
        }
        if closed.end < next {
            self.note(format!("a segment is missing: offsets {} to {} are not there", closed.end, next - 1));
        }
    }

    fn rebuild(&mut self, segments: &[Segment], place: usize, next: i64) -> Result<Segment, LogError> {
        let Some(segment) = segments.get(place) else {
            return Err(LogError::storage("find a segment in", &self.dir)(io::ErrorKind::NotFound.into()));
        };
        let base = segment.base;
        let mut producers = producers_at(&self.dir, segments, place, self.now)?;
        let span = Span { position: 0, expected: base, limit: next, contiguous: false, replay_from: base };
        let interval = self.config.index_interval_bytes;
        let mut found = replay(segment, span, &mut producers, Replayed::default(), interval, self.now)?;
        self.note(format!("the indexes of {base:020}.{LOG} were missing or damaged, and were rebuilt"));
        let damage = found.damage.first().map(|(position, _)| *position);
        // Compaction may have removed the last batches, so that a gap behind them says nothing.
        let end = if self.config.cleanup.compacts() || damage.is_some() { next } else { found.end };
        found.index.finish(base, end);
        write_indexes(&self.dir, base, &found.index, &found.aborted)?;
        let max_timestamp = found.index.latest().unwrap_or(-1);
        self.note_closed(&Closed { aborted: Vec::new(), max_timestamp, end, damage }, base, next);
        Ok(Segment::existing(&self.dir, base, segment.size(), max_timestamp, None, found.aborted))
    }

    /// The last segment, read from the last snapshot on.
    fn active(
        &mut self,
        closed: &[Segment],
        base: i64,
        size: u64,
        newest: Option<&(Mark, Producers)>,
    ) -> Result<Active, LogError> {
        let resumed = newest.and_then(|(mark, producers)| {
            let index = resume(&self.dir, base, size, mark)?;
            Some((mark, producers.clone(), index))
        });
        let segment = Segment::existing(&self.dir, base, size, -1, None, Vec::new());
        let limit = base + i64::from(i32::MAX) + 1;
        let (mut producers, span, into, snapshot) = match resumed {
            Some((mark, producers, into)) => {
                let expected = mark.offset;
                let span = Span { position: mark.position, expected, limit, contiguous: true, replay_from: expected };
                let stored = Stored { offset: expected, position: mark.position, passing: expected > base };
                (producers, span, into, stored)
            }
            None => {
                let mut all: Vec<Segment> = closed.iter().map(|segment| segment.again(&self.dir)).collect();
                all.push(segment.again(&self.dir));
                let producers = producers_at(&self.dir, &all, closed.len(), self.now)?;
                let span = Span { position: 0, expected: base, limit, contiguous: true, replay_from: base };
                let offset = newest.map_or(base, |(mark, _)| mark.offset);
                (producers, span, Replayed::default(), Stored { offset, position: 0, passing: offset > base })
            }
        };
        let found = if span.position == size {
            Replayed { good_to: size, end: span.expected, ..into }
        } else {
            replay(&segment, span, &mut producers, into, self.config.index_interval_bytes, self.now)?
        };
        self.cut(&segment, &found)?;
        let max_timestamp = found.index.latest().unwrap_or(-1);
        let segment =
            Segment::existing(&self.dir, base, found.good_to, max_timestamp, Some(found.index), found.aborted);
        Ok(Active { segment, producers, end: found.end, snapshot })
    }

    /// Cuts a tail that holds no good batch, and names damage that good batches follow.
    fn cut(&mut self, segment: &Segment, found: &Replayed) -> Result<(), LogError> {
        let base = segment.base;
        for (position, what) in found.damage.iter().filter(|(position, _)| *position < found.good_to) {
            self.note(format!(
                "{base:020}.{LOG} is damaged at byte {position}: {what}; the batches behind it are served"
            ));
        }
        let Some(bytes) = segment.size().checked_sub(found.good_to).filter(|bytes| *bytes > 0) else { return Ok(()) };
        let failed = LogError::storage("cut the torn tail of", &segment.path(LOG));
        segment.file().and_then(|file| file.set_len(found.good_to)).map_err(failed)?;
        self.recovery.cut_bytes += bytes;
        let end = found.end;
        self.note(format!("{base:020}.{LOG} had a torn tail: {bytes} bytes behind offset {end} were cut"));
        Ok(())
    }

    /// When the active segment got its first batch, as well as its timestamp tells.
    fn first_append(&self, base: i64, size: u64) -> Result<Option<i64>, LogError> {
        if size == 0 {
            return Ok(None);
        }
        let path = file_of(&self.dir, base, LOG);
        let mut head = [0; HEADER_LEN];
        File::open(&path).and_then(|file| read_full(&file, &mut head, 0)).map_err(LogError::storage("read", &path))?;
        let timestamp = BatchHeader::parse(&head).map_or(self.now, |header| header.max_timestamp);
        Ok(Some(if timestamp < 0 { self.now } else { timestamp.min(self.now) }))
    }

    /// Brings the log start in line with the segments that are there.
    fn log_start(
        &mut self,
        mut checkpoint: Checkpoint,
        segments: &[Arc<Segment>],
        end: i64,
    ) -> Result<Checkpoint, LogError> {
        let first = segments.first().map_or(end, |segment| segment.base).min(end);
        if checkpoint.log_start < first {
            self.note(format!("a segment is missing: offsets {} to {} are not there", checkpoint.log_start, first - 1));
            checkpoint.log_start = first;
            checkpoint.write(&self.dir).map_err(LogError::storage("write the log start in", &self.dir))?;
        }
        Ok(checkpoint)
    }
}

impl Listing {
    fn add(&mut self, path: PathBuf) -> Result<(), LogError> {
        let base = path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| stem.len() == 20);
        let Some(base) = base.and_then(|stem| stem.parse::<i64>().ok()).filter(|base| BASES.contains(base)) else {
            return Ok(());
        };
        match path.extension().and_then(|extension| extension.to_str()) {
            Some(LOG) => {
                let size = fs::metadata(&path).map_err(LogError::storage("look at", &path))?.len();
                self.logs.insert(base, size);
            }
            Some(SNAPSHOT) => self.snapshots.push(base),
            Some(INDEX | TIME_INDEX | TRANSACTION_INDEX) => self.indexes.push((base, path)),
            _ => {}
        }
        Ok(())
    }
}

/// The indexes of the active segment up to a snapshot in it, if they are whole.
fn resume(dir: &Path, base: i64, size: u64, mark: &Mark) -> Option<Replayed> {
    fn entries<E: index::Entry>(path: &Path, count: u32) -> Option<Vec<E>> {
        let count = usize::try_from(count).ok()?;
        if count == 0 {
            return Some(Vec::new());
        }
        let mut entries = index::load::<E>(path).ok()??;
        let enough = entries.len() >= count;
        entries.truncate(count);
        enough.then_some(entries)
    }
    if mark.segment != base || mark.position > size {
        return None;
    }
    let [offsets, times, aborted] = mark.entries;
    let offsets = entries::<OffsetEntry>(&file_of(dir, base, INDEX), offsets)?;
    let times = entries::<TimeEntry>(&file_of(dir, base, TIME_INDEX), times)?;
    let aborted = entries::<AbortedEntry>(&file_of(dir, base, TRANSACTION_INDEX), aborted)?;
    let reaches = offsets.last().is_none_or(|last| u64::from(last.position) < mark.position);
    if !reaches || (mark.position > 0 && offsets.is_empty()) {
        return None;
    }
    let latest = times.last().map(|last| last.timestamp);
    let index = SegmentIndex::resume(offsets, times, mark.position, latest);
    Some(Replayed { index, aborted, ..Replayed::default() })
}

/// Checks a closed segment by its indexes and its tail; `None` if the indexes do not hold.
fn check_closed(dir: &Path, base: i64, size: u64, next: i64) -> io::Result<Option<Closed>> {
    let offsets = index::load::<OffsetEntry>(&file_of(dir, base, INDEX))?;
    let times = index::load::<TimeEntry>(&file_of(dir, base, TIME_INDEX))?;
    let aborted = index::load::<AbortedEntry>(&file_of(dir, base, TRANSACTION_INDEX))?;
    let (Some(offsets), Some(times), Some(aborted)) = (offsets, times, aborted) else { return Ok(None) };
    let Some(last_time) = times.last() else { return Ok(None) };
    let end = base + i64::from(last_time.relative);
    let mut closed = Closed { aborted, max_timestamp: last_time.timestamp, end, damage: None };
    let Some(last) = offsets.last() else {
        return Ok((size == 0).then_some(closed));
    };
    let file = File::open(file_of(dir, base, LOG))?;
    let mut headers = Headers::new(&file, u64::from(last.position), size);
    let mut at_entry = true;
    while let Some(step) = headers.step()? {
        match step {
            Ok((_, header)) if at_entry && header.base_offset != base + i64::from(last.relative) => return Ok(None),
            Ok((_, header)) if header.next_offset() > next.min(end) => return Ok(None),
            Ok(_) => {}
            Err(position) => {
                closed.damage = Some(position);
                break;
            }
        }
        at_entry = false;
    }
    // Truncated before the last entry.
    if at_entry {
        closed.damage = Some(size);
    }
    Ok(Some(closed))
}
