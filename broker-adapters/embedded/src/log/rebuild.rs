//! Makes again from the batches what can be made from them: indexes, and what producers did up to a segment.
//!
//! Used where a file is missing or damaged; says nothing about which ones those are.

use std::fs;
use std::path::Path;

use super::error::LogError;
use super::index::{self, AbortedEntry, SegmentIndex};
use super::producers::Producers;
use super::scan::{Scan, Step};
use super::segment::{INDEX, LOG, SNAPSHOT, Segment, TIME_INDEX, TRANSACTION_INDEX, file_of};
use super::snapshot::{Mark, decode_snapshot};

/// What a look at every batch of a segment gave.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    pub(crate) index: SegmentIndex,
    pub(crate) aborted: Vec<AbortedEntry>,
    /// Where damage begins, with what is wrong.
    pub(crate) damage: Vec<(u64, &'static str)>,
    /// The end of the last good batch.
    pub(crate) good_to: u64,
    /// The next offset after it.
    pub(crate) end: i64,
}

/// Which part of a segment is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) position: u64,
    /// The least offset there.
    pub(crate) expected: i64,
    /// The segment ends before this offset.
    pub(crate) limit: i64,
    /// Whether every offset must be there.
    pub(crate) contiguous: bool,
    /// Batches before this offset are in the producers' state already.
    pub(crate) replay_from: i64,
}

/// Looks at every batch of a part of a segment, and brings `into` and the producers up to its end. Damage is stepped
/// over.
pub(crate) fn replay(
    segment: &Segment,
    span: Span,
    producers: &mut Producers,
    mut into: Replayed,
    interval: u64,
    now: i64,
) -> Result<Replayed, LogError> {
    let failed = LogError::storage("read", &segment.path(LOG));
    let look = || {
        let scan = Scan::new(segment.file()?, span.position, segment.size(), span.expected, span.limit);
        let mut scan = scan.contiguous(span.contiguous);
        (into.good_to, into.end) = (span.position, span.expected);
        loop {
            match scan.step()? {
                Step::Batch { position, header, bytes } => {
                    into.index.add(segment.base, &header, position, interval);
                    if header.base_offset >= span.replay_from {
                        into.aborted.extend(producers.replay(&header, bytes, now));
                    }
                    (into.good_to, into.end) = (position + header.size, header.next_offset());
                }
                Step::Bad { position, what } => {
                    into.damage.push((position, what));
                    if !scan.resync()? {
                        return Ok(into);
                    }
                }
                Step::End => return Ok(into),
            }
        }
    };
    look().map_err(failed)
}

/// Reads a snapshot file; `Ok(None)` where it is missing or damaged.
pub(crate) fn read_snapshot(dir: &Path, offset: i64) -> Result<Option<(Mark, Producers)>, LogError> {
    let path = file_of(dir, offset, SNAPSHOT);
    match fs::read(&path) {
        Ok(bytes) => Ok(decode_snapshot(&bytes).filter(|(mark, _)| mark.offset == offset)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(LogError::storage("read", &path)(error)),
    }
}

/// What producers had done when the segment at `place` began: from the nearest snapshot before, and the batches since.
pub(crate) fn producers_at(dir: &Path, segments: &[Segment], place: usize, now: i64) -> Result<Producers, LogError> {
    let earlier = segments.get(..=place).unwrap_or_default();
    let mut producers = Producers::default();
    let mut from = 0;
    for (at, segment) in earlier.iter().enumerate().rev() {
        if let Some((_, found)) = read_snapshot(dir, segment.base)? {
            (producers, from) = (found, at);
            break;
        }
    }
    for (at, segment) in segments.iter().enumerate().take(place).skip(from) {
        let limit = segments.get(at + 1).map_or(i64::MAX, |next| next.base);
        let span = Span { position: 0, expected: segment.base, limit, contiguous: false, replay_from: segment.base };
        replay(segment, span, &mut producers, Replayed::default(), u64::MAX, now)?;
    }
    Ok(producers)
}

/// Writes all three index files of a closed segment anew.
pub(crate) fn write_indexes(
    dir: &Path,
    base: i64,
    index: &SegmentIndex,
    aborted: &[AbortedEntry],
) -> Result<(), LogError> {
    let path = |extension| file_of(dir, base, extension);
    let failed = |extension| LogError::storage("write", &path(extension));
    index::save(&path(TRANSACTION_INDEX), aborted, 0).map_err(failed(TRANSACTION_INDEX))?;
    index::save(&path(INDEX), &index.offsets, 0).map_err(failed(INDEX))?;
    index::save(&path(TIME_INDEX), &index.times, 0).map_err(failed(TIME_INDEX))
}
