//! The latest offset of every key in the dirty part of a log.
//!
//! Exact: keys themselves are held, no hashes of them. Bounded: where the memory is used up, the dirty part ends.

use std::collections::HashMap;

use super::super::batch::{BatchHeader, HEADER_LEN};
use super::super::compression::unpack;
use super::super::error::LogError;
use super::super::records::Records;
use super::transactions::Aborted;
use super::{Plan, each_batch, uncleanable};

/// What an entry takes beside its key.
const ENTRY_BYTES: usize = 56;

/// The latest offsets.
pub(super) struct Keys {
    latest: HashMap<Box<[u8]>, i64>,
    bytes: usize,
    end: i64,
}

impl Keys {
    /// Gathers the keys of the plan's dirty part, as far as `most_bytes` go; at least one batch.
    pub(super) fn gather(plan: &Plan, aborted: &Aborted, most_bytes: usize, bound: usize) -> Result<Keys, LogError> {
        let mut keys = Keys { latest: HashMap::new(), bytes: 0, end: plan.dirty_to };
        let mut full = false;
        for (segment, next) in plan.segments.iter().filter(|(_, next)| *next > plan.dirty_from) {
            each_batch(segment, *next, |position, header, bytes| {
                if full || header.last_offset() < plan.dirty_from || header.base_offset >= plan.dirty_to {
                    return Ok(());
                }
                if keys.bytes >= most_bytes {
                    (full, keys.end) = (true, header.base_offset);
                    return Ok(());
                }
                if header.is_control() || aborted.covers(header) {
                    return Ok(());
                }
                keys.add(header, bytes, plan.dirty_from, bound).map_err(|what| uncleanable(segment, position, what))
            })?;
            if full {
                break;
            }
        }
        Ok(keys)
    }

    fn add(&mut self, header: &BatchHeader, batch: &[u8], from: i64, bound: usize) -> Result<(), &'static str> {
        let packed = batch.get(HEADER_LEN..).unwrap_or_default();
        let unpacked = match header.compression_code() {
            0 => None,
            _ if header.record_count == 0 => None,
            code => Some(unpack(code, packed, bound)?),
        };
        for record in Records::new(unpacked.as_deref().unwrap_or(packed), header.record_count) {
            let record = record.map_err(|malformed| malformed.0)?;
            let offset = header.base_offset + i64::from(record.offset_delta);
            let Some(key) = record.key.filter(|_| offset >= from) else { continue };
            match self.latest.get_mut(key) {
                Some(latest) => *latest = offset,
                None => {
                    self.bytes += key.len() + ENTRY_BYTES;
                    self.latest.insert(key.into(), offset);
                }
            }
        }
        Ok(())
    }

    /// The offset at which the part ends whose keys are here.
    pub(super) fn end(&self) -> i64 {
        self.end
    }

    /// Whether a later record of the key is known.
    pub(super) fn replaced(&self, key: &[u8], offset: i64) -> bool {
        self.latest.get(key).is_some_and(|latest| *latest > offset)
    }
}
