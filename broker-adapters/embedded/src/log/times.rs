//! Offsets by time: the first record at or behind a timestamp, and the latest timestamp.
//!
//! Found by the time index; one batch is decoded to name the record.

use super::batch::{BatchHeader, HEADER_LEN};
use super::compression::{unpack, unpacked_bound};
use super::error::ReadError;
use super::records::Records;
use super::scan::{Scan, Step};
use super::segment::{LOG, Segment};
use super::types::Isolation;
use super::{Log, View};

impl Log {
    /// The first record (offset and timestamp) whose timestamp is at or behind `timestamp`.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] if the batch in question is damaged, and [`ReadError::Storage`].
    pub fn offset_for_timestamp(&self, timestamp: i64, isolation: Isolation) -> Result<Option<(i64, i64)>, ReadError> {
        let view = self.with_view(View::clone);
        let limit = view.offsets.limit(isolation);
        let bound = unpacked_bound(self.config().max_message_bytes);
        let segments = view.segments.iter().enumerate();
        for (place, segment) in segments.filter(|(_, segment)| segment.max_timestamp() >= timestamp) {
            let end = view.segments.get(place + 1).map_or(view.offsets.end, |next| next.base);
            if end <= view.offsets.start {
                continue;
            }
            if segment.base >= limit {
                break;
            }
            let sought = Sought { timestamp, start: view.offsets.start, end, bound };
            if let Some(found) = find(segment, sought)? {
                return Ok(Some(found).filter(|(offset, _)| *offset < limit));
            }
        }
        Ok(None)
    }

    /// The record (offset and timestamp) with the latest timestamp, the first one of several.
    ///
    /// # Errors
    /// As [`offset_for_timestamp`](Self::offset_for_timestamp).
    pub fn max_timestamp(&self) -> Result<Option<(i64, i64)>, ReadError> {
        let view = self.with_view(View::clone);
        let mut best: Option<(i64, i64)> = None;
        let ends = view.segments.iter().skip(1).map(|next| next.base).chain([view.offsets.end]);
        let bound = unpacked_bound(self.config().max_message_bytes);
        for (segment, end) in view.segments.iter().zip(ends).filter(|(_, end)| *end > view.offsets.start) {
            let timestamp = segment.max_timestamp();
            if timestamp < 0 || best.is_some_and(|(_, latest)| latest >= timestamp) {
                continue;
            }
            let sought = Sought { timestamp, start: view.offsets.start, end, bound };
            best = find(segment, sought)?.or(best);
        }
        Ok(best)
    }
}

#[derive(Clone, Copy)]
struct Sought {
    timestamp: i64,
    /// Records before this offset do not count.
    start: i64,
    /// The segment ends before this offset.
    end: i64,
    /// How far a batch may unpack.
    bound: usize,
}

fn find(segment: &Segment, sought: Sought) -> Result<Option<(i64, i64)>, ReadError> {
    let by_time = segment.position_before_time(sought.timestamp)?;
    let position = by_time.max(segment.position_before(sought.start)?);
    let mut scan = Scan::new(segment.file()?, position, segment.size(), segment.base, sought.end);
    loop {
        match scan.step()? {
            Step::Batch { header, bytes, position } => {
                if header.max_timestamp >= sought.timestamp && header.last_offset() >= sought.start {
                    let found = find_in(&header, bytes, sought).map_err(|()| ReadError::Corrupt {
                        file: segment.path(LOG),
                        position,
                        next_offset: header.next_offset(),
                    })?;
                    if found.is_some() {
                        return Ok(found);
                    }
                }
            }
            Step::Bad { .. } => {
                if !scan.resync()? {
                    return Ok(None);
                }
            }
            Step::End => return Ok(None),
        }
    }
}

fn find_in(header: &BatchHeader, batch: &[u8], sought: Sought) -> Result<Option<(i64, i64)>, ()> {
    let packed = batch.get(HEADER_LEN..).unwrap_or_default();
    let unpacked = match header.compression_code() {
        0 => None,
        code => Some(unpack(code, packed, sought.bound).map_err(drop)?),
    };
    let records = unpacked.as_deref().unwrap_or(packed);
    for record in Records::new(records, header.record_count) {
        let record = record.map_err(drop)?;
        let offset = header.base_offset + i64::from(record.offset_delta);
        let timestamp = match header.is_log_append_time() {
            true => header.max_timestamp,
            false => header.base_timestamp.saturating_add(record.timestamp_delta),
        };
        if timestamp >= sought.timestamp && offset >= sought.start {
            return Ok(Some((offset, timestamp)));
        }
    }
    Ok(None)
}
