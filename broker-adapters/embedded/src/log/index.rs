//! The three indexes of a segment: where offsets lie, up to where times reach, which transactions were aborted.
//!
//! Each is a file of fixed-size entries, big-endian, that can be rebuilt from the batches:
//! `.index` holds (base offset of a batch - segment base: u32, position: u32); `.timeindex` holds (timestamp: i64,
//! offset - segment base: u32) meaning that nothing before the offset is later than the timestamp, and its last entry
//! ends at the next segment's base; `.txnindex` holds four i64 and a CRC32C. Knows nothing of when they are written.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::batch::{BatchHeader, chunk};

/// An aborted transaction and where it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AbortedEntry {
    pub(crate) producer_id: i64,
    pub(crate) first_offset: i64,
    /// The offset of its marker.
    pub(crate) last_offset: i64,
    /// The last stable offset once the marker was written.
    pub(crate) last_stable: i64,
}

/// Where a batch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    pub(crate) relative: u32,
    pub(crate) position: u32,
}

/// No batch before the offset is later than the timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    pub(crate) timestamp: i64,
    pub(crate) relative: u32,
}

/// An entry of a fixed-size file.
pub(crate) trait Entry: Copy {
    /// Its size on disk.
    const SIZE: usize;
    /// Appends its bytes.
    fn put(&self, out: &mut Vec<u8>);
    /// Reads it; `None` where the bytes are not an entry.
    fn get(bytes: &[u8]) -> Option<Self>;
    /// Whether it may stand before the other.
    fn precedes(&self, next: &Self) -> bool;
}

impl Entry for OffsetEntry {
    const SIZE: usize = 8;

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.relative.to_be_bytes());
        out.extend_from_slice(&self.position.to_be_bytes());
    }

    fn get(bytes: &[u8]) -> Option<Self> {
        let relative = u32::from_be_bytes(chunk(bytes, 0)?);
        Some(OffsetEntry { relative, position: u32::from_be_bytes(chunk(bytes, 4)?) })
    }

    fn precedes(&self, next: &Self) -> bool {
        self.relative < next.relative && self.position < next.position
    }
}

impl Entry for TimeEntry {
    const SIZE: usize = 12;

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.relative.to_be_bytes());
    }

    fn get(bytes: &[u8]) -> Option<Self> {
        let timestamp = i64::from_be_bytes(chunk(bytes, 0)?);
        Some(TimeEntry { timestamp, relative: u32::from_be_bytes(chunk(bytes, 8)?) })
    }

    fn precedes(&self, next: &Self) -> bool {
        self.timestamp <= next.timestamp && self.relative <= next.relative
    }
}

impl Entry for AbortedEntry {
    const SIZE: usize = 36;

    fn put(&self, out: &mut Vec<u8>) {
        let from = out.len();
        for field in [self.producer_id, self.first_offset, self.last_offset, self.last_stable] {
            out.extend_from_slice(&field.to_be_bytes());
        }
        let crc = crc32c::crc32c(out.get(from..).unwrap_or_default());
        out.extend_from_slice(&crc.to_be_bytes());
    }

    fn get(bytes: &[u8]) -> Option<Self> {
        if u32::from_be_bytes(chunk(bytes, 32)?) != crc32c::crc32c(bytes.get(..32)?) {
            return None;
        }
        Some(AbortedEntry {
            producer_id: i64::from_be_bytes(chunk(bytes, 0)?),
            first_offset: i64::from_be_bytes(chunk(bytes, 8)?),
            last_offset: i64::from_be_bytes(chunk(bytes, 16)?),
            last_stable: i64::from_be_bytes(chunk(bytes, 24)?),
        })
    }

    fn precedes(&self, next: &Self) -> bool {
        self.last_offset < next.last_offset
    }
}

/// Reads a whole index file. `Ok(None)` where it is missing or not what an index can be.
pub(crate) fn load<E: Entry>(path: &Path) -> io::Result<Option<Vec<E>>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if bytes.len() % E::SIZE != 0 {
        return Ok(None);
    }
    let Some(entries) = bytes.chunks_exact(E::SIZE).map(E::get).collect::<Option<Vec<E>>>() else { return Ok(None) };
    Ok(entries.is_sorted_by(|a, b| a.precedes(b)).then_some(entries))
}

/// Writes the entries from `saved` on behind those that the file has already.
pub(crate) fn save<E: Entry>(path: &Path, entries: &[E], saved: usize) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    let fresh = entries.get(saved..).unwrap_or_default();
    let mut bytes = Vec::with_capacity(fresh.len() * E::SIZE);
    fresh.iter().for_each(|entry| entry.put(&mut bytes));
    file.write_all_at(&bytes, (saved * E::SIZE) as u64)?;
    file.set_len((entries.len() * E::SIZE) as u64)
}

/// The last entry of an index file for which `wanted` holds, where it holds for a first part of the file only.
/// Reads few entries and one block; the file is not kept open.
pub(crate) fn search<E: Entry>(path: &Path, wanted: impl Fn(&E) -> bool) -> io::Result<Option<E>> {
    /// So many entries are read at once.
    const BLOCK: u64 = 256;
    let file = File::open(path)?;
    let (mut low, mut high) = (0, file.metadata()?.len() / E::SIZE as u64);
    let mut bytes = vec![0; E::SIZE];
    while high - low > BLOCK {
        let middle = low + (high - low) / 2;
        file.read_exact_at(&mut bytes, middle * E::SIZE as u64)?;
        match E::get(&bytes) {
            Some(entry) if wanted(&entry) => low = middle,
            _ => high = middle,
        }
    }
    let mut bytes = vec![0; usize::try_from(high - low).unwrap_or_default() * E::SIZE];
    file.read_exact_at(&mut bytes, low * E::SIZE as u64)?;
    Ok(bytes.chunks_exact(E::SIZE).map_while(E::get).take_while(wanted).last())
}

/// The offset and time index of a segment that is being written, in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct SegmentIndex {
    pub(crate) offsets: Vec<OffsetEntry>,
    pub(crate) times: Vec<TimeEntry>,
    /// How many entries the files have.
    pub(crate) saved_offsets: usize,
    pub(crate) saved_times: usize,
    bytes_since_entry: u64,
    latest: Option<i64>,
}

impl SegmentIndex {
    /// Continues with entries that were read from files.
    pub(crate) fn resume(offsets: Vec<OffsetEntry>, times: Vec<TimeEntry>, position: u64, latest: Option<i64>) -> Self {
        let since = offsets.last().map_or(0, |entry| position.saturating_sub(u64::from(entry.position)));
        SegmentIndex {
            saved_offsets: offsets.len(),
            saved_times: times.len(),
            offsets,
            times,
            bytes_since_entry: since,
            latest,
        }
    }

    /// Takes in a batch that begins at `position`.
    pub(crate) fn add(&mut self, base: i64, header: &BatchHeader, position: u64, interval: u64) {
        if self.offsets.is_empty() || self.bytes_since_entry >= interval {
            if let (Ok(relative), Ok(position)) = (u32::try_from(header.base_offset - base), u32::try_from(position)) {
                self.offsets.push(OffsetEntry { relative, position });
                self.add_time(relative);
            }
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += header.size;
        self.latest = Some(self.latest.map_or(header.max_timestamp, |latest| latest.max(header.max_timestamp)));
    }

    fn add_time(&mut self, relative: u32) {
        let Some(timestamp) = self.latest else { return };
        if self.times.last().is_none_or(|last| last.timestamp < timestamp) {
            self.times.push(TimeEntry { timestamp, relative });
        }
    }

    /// Closes the time index with the offset at which the segment ends.
    pub(crate) fn finish(&mut self, base: i64, end: i64) {
        let timestamp = self.latest.unwrap_or(-1);
        if let Ok(relative) = u32::try_from(end - base) {
            let entry = TimeEntry { timestamp, relative };
            if self.times.last() != Some(&entry) {
                self.times.push(entry);
            }
        }
    }

    /// The latest timestamp of all batches.
    pub(crate) fn latest(&self) -> Option<i64> {
        self.latest
    }
}
