//! Reading: whole batches as they were stored, found by the index and given out undecoded.
//!
//! A read takes the view of the moment and then needs no lock. CRCs are checked on the way, so that damage on disk is
//! said here and not passed on. Knows nothing of sessions or of waiting.

use std::sync::Arc;

use bytes::Bytes;

use super::batch::{BatchHeader, HEADER_LEN, fits_place};
use super::error::ReadError;
use super::scan::{Scan, Step};
use super::segment::{LOG, Segment};
use super::types::{AbortedTransaction, Isolation, Read};
use super::{Log, View};

/// The batches found by a read: their bytes, the first and the next offset.
struct Found {
    records: Bytes,
    first: i64,
    next: i64,
}

impl Log {
    /// Reads whole batches from the one that holds `from` on, at most `max_bytes` of them; the first one even if it
    /// is larger, where `at_least_one` says so. One read of the file; nothing is decoded.
    ///
    /// Where `from` was compacted away, the next offset that exists is read. Records before the last stable offset
    /// only are given to [`Isolation::ReadCommitted`].
    ///
    /// # Errors
    /// [`ReadError::OffsetOutOfRange`], [`ReadError::Corrupt`] if the batch with `from` is damaged, and
    /// [`ReadError::Storage`].
    pub fn read(
        &self,
        from: i64,
        max_bytes: usize,
        at_least_one: bool,
        isolation: Isolation,
    ) -> Result<Read, ReadError> {
        let view = self.with_view(View::clone);
        let offsets = view.offsets;
        if from < offsets.start || from > offsets.end {
            return Err(ReadError::OffsetOutOfRange(offsets));
        }
        let limit = offsets.limit(isolation);
        let mut place = segment_of(&view.segments, from);
        while let Some(segment) = view.segments.get(place).filter(|segment| from < limit && segment.base < limit) {
            let end = view.segments.get(place + 1).map_or(offsets.end, |next| next.base);
            let wanted = Wanted { from, limit: limit.min(end), end, max_bytes, at_least_one };
            if let Some(found) = read_segment(segment, wanted)? {
                let aborted = match isolation {
                    Isolation::ReadUncommitted => Vec::new(),
                    Isolation::ReadCommitted => {
                        let later = view.segments.get(place..).unwrap_or_default();
                        aborted_within(later, found.first.max(from), found.next)
                    }
                };
                return Ok(Read { records: found.records, offsets, aborted });
            }
            place += 1;
        }
        Ok(Read { records: Bytes::new(), offsets, aborted: Vec::new() })
    }

    /// About how many bytes a read from this offset could give; 0 exactly where it could give none. Off by no more
    /// than the distance of two index entries.
    pub fn available_bytes(&self, from: i64, isolation: Isolation) -> u64 {
        let view = self.with_view(View::clone);
        let limit = view.offsets.limit(isolation);
        let from = from.max(view.offsets.start);
        if from >= limit {
            return 0;
        }
        let first = segment_of(&view.segments, from);
        let last = segment_of(&view.segments, limit);
        let position = |place: usize, offset: i64| {
            view.segments.get(place).map_or(0, |segment| segment.position_before(offset).unwrap_or(0))
        };
        let before: u64 = view.segments.get(first..last).unwrap_or_default().iter().map(|segment| segment.size()).sum();
        let end = if limit == view.offsets.end {
            view.segments.get(last).map_or(0, |segment| segment.size())
        } else {
            position(last, limit)
        };
        (before + end).saturating_sub(position(first, from)).max(1)
    }
}

/// The place of the last segment that begins at or before an offset.
pub(crate) fn segment_of(segments: &[Arc<Segment>], offset: i64) -> usize {
    segments.partition_point(|segment| segment.base <= offset).saturating_sub(1)
}

/// What a read of one segment is asked for.
#[derive(Clone, Copy)]
struct Wanted {
    from: i64,
    /// The reader may see nothing at or behind this offset.
    limit: i64,
    /// The segment ends before this offset.
    end: i64,
    max_bytes: usize,
    at_least_one: bool,
}

/// `None` where the segment has nothing at or behind the offset.
fn read_segment(segment: &Segment, wanted: Wanted) -> Result<Option<Found>, ReadError> {
    /// So much may lie between an index entry and the batch that is wanted.
    const SLACK: u64 = 4096 + HEADER_LEN as u64;
    let most = wanted.max_bytes as u64;
    let entry = segment.entry_before(wanted.from);
    let (position, expected) = entry.unwrap_or((0, segment.base));
    let bytes = segment.read_at(position, most.saturating_add(SLACK))?;
    if entry.is_some() && BatchHeader::parse(&bytes).is_none_or(|header| header.base_offset != expected) {
        // The index misleads, or its batch is damaged.
        return read_carefully(segment, wanted);
    }
    let begin = match find_in(&bytes, wanted.from, expected) {
        Search::Found(begin) => begin,
        Search::Beyond(skip) if position + skip as u64 >= segment.size() => return Ok(None),
        Search::Beyond(_) | Search::Doubtful => return read_carefully(segment, wanted),
    };
    let size = bytes.get(begin..).and_then(BatchHeader::parse).map_or(0, |header| header.size);
    let (begin, bytes) = if begin as u64 + size > bytes.len() as u64 && (size <= most || wanted.at_least_one) {
        (0, segment.read_at(position + begin as u64, size.max(most))?)
    } else {
        (begin, bytes)
    };
    match take(&bytes, begin, wanted) {
        Taken::Some { length, first, next } => {
            Ok(Some(Found { records: Bytes::from(bytes).slice(begin..begin + length), first, next }))
        }
        Taken::Nothing => Ok(Some(Found { records: Bytes::new(), first: wanted.from, next: wanted.from })),
        Taken::Damaged => read_carefully(segment, wanted),
    }
}

enum Search {
    /// The wanted batch begins here.
    Found(usize),
    /// It may begin here or later.
    Beyond(usize),
    /// Something on the way is not as it should be, or cannot be told from here.
    Doubtful,
}

/// Where the first batch that ends at or behind `from` begins.
fn find_in(bytes: &[u8], from: i64, mut expected: i64) -> Search {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.len() < HEADER_LEN {
            return Search::Beyond(at);
        }
        let Some(header) = BatchHeader::parse(rest) else { return Search::Doubtful };
        let size = usize::try_from(header.size).unwrap_or(usize::MAX);
        if fits_place(&header, expected, rest.get(size..)) != Some(true) {
            return Search::Doubtful;
        }
        if header.last_offset() >= from {
            return Search::Found(at);
        }
        if size > rest.len() {
            return Search::Beyond(at);
        }
        at += size;
        expected = header.next_offset();
    }
    Search::Beyond(at)
}

enum Taken {
    Some { length: usize, first: i64, next: i64 },
    Nothing,
    Damaged,
}

/// How many whole, good batches from `begin` on may be given out. The first one's place has been checked.
fn take(bytes: &[u8], begin: usize, wanted: Wanted) -> Taken {
    let (mut length, mut first, mut next) = (0, None, 0);
    while let Some(rest) = bytes.get(begin + length..).filter(|rest| rest.len() >= HEADER_LEN) {
        let Some(header) = BatchHeader::parse(rest) else { break };
        let size = usize::try_from(header.size).unwrap_or(usize::MAX);
        if first.is_some() && fits_place(&header, next, rest.get(size..)) != Some(true) {
            break;
        }
        let fits = length.saturating_add(size) <= wanted.max_bytes || (first.is_none() && wanted.at_least_one);
        if (wanted.limit..wanted.end).contains(&header.base_offset) || !fits {
            return first.map_or(Taken::Nothing, |first| Taken::Some { length, first, next });
        }
        let good = rest.get(..size).is_some_and(|batch| header.crc_holds(batch));
        if header.last_offset() >= wanted.limit || !good {
            break;
        }
        length += size;
        first.get_or_insert(header.base_offset);
        next = header.next_offset();
    }
    first.map_or(Taken::Damaged, |first| Taken::Some { length, first, next })
}

/// Looks at every batch from the last index entry on. Reads on behind damage if that cannot hold the offset, and says
/// so otherwise.
fn read_carefully(segment: &Segment, wanted: Wanted) -> Result<Option<Found>, ReadError> {
    let (begin, expected) = segment.place_before(wanted.from)?;
    let mut scan = Scan::new(segment.file()?, begin, segment.size(), expected, wanted.end);
    let mut damage = None;
    let corrupt = |position, next_offset| ReadError::Corrupt { file: segment.path(LOG), position, next_offset };
    loop {
        match scan.step()? {
            Step::Batch { position, header, .. } if header.last_offset() >= wanted.from => {
                if let Some(damage) = damage.filter(|_| header.base_offset > wanted.from) {
                    return Err(corrupt(damage, header.base_offset));
                }
                let bytes = segment.read_at(position, (wanted.max_bytes as u64).max(header.size))?;
                return Ok(Some(match take(&bytes, 0, wanted) {
                    Taken::Some { length, first, next } => {
                        Found { records: Bytes::from(bytes).slice(..length), first, next }
                    }
                    _ => Found { records: Bytes::new(), first: wanted.from, next: wanted.from },
                }));
            }
            Step::Batch { .. } => damage = None,
            Step::Bad { position, .. } => {
                damage = Some(position);
                if !scan.resync()? {
                    return Err(corrupt(position, wanted.end));
                }
            }
            Step::End => return damage.map_or(Ok(None), |damage| Err(corrupt(damage, wanted.end))),
        }
    }
}

/// The aborted transactions that overlap `from..next`.
fn aborted_within(segments: &[Arc<Segment>], from: i64, next: i64) -> Vec<AbortedTransaction> {
    let mut found = Vec::new();
    for segment in segments {
        let aborted = segment.aborted();
        let skip = aborted.partition_point(|entry| entry.last_offset < from);
        for entry in aborted.get(skip..).unwrap_or_default() {
            if entry.first_offset < next {
                found.push(AbortedTransaction { producer_id: entry.producer_id, first_offset: entry.first_offset });
            }
            if entry.last_stable >= next {
                return found;
            }
        }
    }
    found
}
