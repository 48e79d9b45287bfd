//! Decides which records of a batch stay, and writes the batch anew without the others.
//!
//! A changed batch keeps its base offset, last offset delta, producer, epoch, sequence, compression and flags, so that
//! nothing of what it says about offsets and producers is lost. The first time a tombstone or a marker without
//! transaction is met, its time to go is written into the batch (delete horizon, KIP-534).

use std::collections::{HashMap, HashSet};

use super::super::batch::{BatchHeader, COMPRESSION_MASK, DELETE_HORIZON, HEADER_LEN};
use super::super::compression::{pack, unpack, unpacked_bound};
use super::super::config::LogConfig;
use super::super::records::{RecordView, Records};
use super::LastOfProducer;
use super::keys::Keys;
use super::transactions::Aborted;

/// What becomes of a batch.
pub(super) enum Fate {
    /// It goes.
    Gone,
    /// It stays untouched.
    AsItIs,
    /// It stays, written anew.
    Changed(BatchHeader, Vec<u8>),
}

/// Judges the batches of a log from its first one on, in order.
pub(super) struct Rewriter {
    keys: Keys,
    aborted: Aborted,
    last: HashMap<i64, LastOfProducer>,
    delete_retention_ms: i64,
    bound: usize,
    now: i64,
    /// Offsets of markers that stay.
    kept_markers: HashSet<i64>,
}

impl Rewriter {
    pub(super) fn new(
        keys: Keys,
        aborted: Aborted,
        last: HashMap<i64, LastOfProducer>,
        config: &LogConfig,
        now: i64,
    ) -> Rewriter {
        Rewriter {
            keys,
            aborted,
            last,
            delete_retention_ms: config.delete_retention_ms,
            bound: unpacked_bound(config.max_message_bytes),
            now,
            kept_markers: HashSet::new(),
        }
    }

    /// The markers that stayed since the last call, by offset.
    pub(super) fn take_kept_markers(&mut self) -> HashSet<i64> {
        std::mem::take(&mut self.kept_markers)
    }

    /// What becomes of a batch; `Err` says why it cannot be read.
    pub(super) fn judge(&mut self, header: &BatchHeader, batch: &[u8]) -> Result<Fate, &'static str> {
        if header.base_offset >= self.keys.end() {
            if header.is_control() {
                self.kept_markers.insert(header.base_offset);
            }
            return Ok(Fate::AsItIs);
        }
        if header.is_control() {
            return self.judge_marker(header, batch);
        }
        self.aborted.meet(header);
        if self.aborted.covers(header) {
            return Ok(self.emptied(header));
        }
        self.judge_records(header, batch)
    }

    fn judge_marker(&mut self, header: &BatchHeader, batch: &[u8]) -> Result<Fate, &'static str> {
        let needless = self.aborted.end(header);
        let empty = header.record_count == 0;
        let over = empty || header.delete_horizon().is_some_and(|horizon| horizon <= self.now);
        if needless && over {
            return Ok(self.emptied(header));
        }
        self.kept_markers.insert(header.base_offset);
        if needless && header.delete_horizon().is_none() {
            let records = batch.get(HEADER_LEN..).unwrap_or_default();
            return self.written(header, records, |_| true, true);
        }
        Ok(Fate::AsItIs)
    }

    fn judge_records(&self, header: &BatchHeader, batch: &[u8]) -> Result<Fate, &'static str> {
        if header.record_count == 0 {
            return Ok(self.emptied(header));
        }
        let packed = batch.get(HEADER_LEN..).unwrap_or_default();
        let unpacked = match header.compression_code() {
            0 => None,
            code => Some(unpack(code, packed, self.bound)?),
        };
        let records = unpacked.as_deref().unwrap_or(packed);
        let over = header.delete_horizon().is_some_and(|horizon| horizon <= self.now);
        let stays = |record: &RecordView<'_>| {
            let offset = header.base_offset + i64::from(record.offset_delta);
            record.key.is_some_and(|key| !self.keys.replaced(key, offset)) && (record.value.is_some() || !over)
        };
        let (mut kept, mut tombstones) = (0, false);
        for record in Records::new(records, header.record_count) {
            let record = record.map_err(|malformed| malformed.0)?;
            if stays(&record) {
                kept += 1;
                tombstones |= record.value.is_none();
            }
        }
        let stamp = tombstones && header.delete_horizon().is_none();
        if kept == 0 {
            return Ok(self.emptied(header));
        }
        if kept == header.record_count && !stamp {
            return Ok(Fate::AsItIs);
        }
        self.written(header, records, stays, stamp)
    }

    /// The batch without records: gone, unless it is all that tells of its producer.
    fn emptied(&self, header: &BatchHeader) -> Fate {
        let is_last = match self.last.get(&header.producer_id) {
            Some(LastOfProducer::Data(offset)) => header.last_offset() == *offset,
            Some(LastOfProducer::Marker(epoch)) => header.is_control() && header.producer_epoch == *epoch,
            None => false,
        };
        if !header.has_producer() || !is_last {
            return Fate::Gone;
        }
        if header.record_count == 0 {
            return Fate::AsItIs;
        }
        let mut empty = BatchHeader { size: HEADER_LEN as u64, record_count: 0, ..*header };
        empty.base_timestamp =
            if header.delete_horizon().is_some() { header.max_timestamp } else { header.base_timestamp };
        empty.attributes &= !(DELETE_HORIZON | COMPRESSION_MASK);
        empty.seal(&[]);
        Fate::Changed(empty, empty.encode().to_vec())
    }

    /// The batch with those records that stay, and with a delete horizon if it is `stamp`ed now.
    fn written(
        &self,
        header: &BatchHeader,
        records: &[u8],
        stays: impl Fn(&RecordView<'_>) -> bool,
        stamp: bool,
    ) -> Result<Fate, &'static str> {
        let mut changed = *header;
        if stamp {
            changed.attributes |= DELETE_HORIZON;
            changed.base_timestamp = self.now.saturating_add(self.delete_retention_ms);
        }
        let mut body = Vec::with_capacity(records.len());
        let (mut count, mut latest) = (0, -1);
        for record in Records::new(records, header.record_count) {
            let record = record.map_err(|malformed| malformed.0)?;
            if !stays(&record) {
                continue;
            }
            count += 1;
            let timestamp = header.base_timestamp.saturating_add(record.timestamp_delta);
            latest = latest.max(timestamp);
            if stamp {
                record.write_with_timestamp_delta(timestamp.saturating_sub(changed.base_timestamp), &mut body);
            } else {
                body.extend_from_slice(record.raw);
            }
        }
        if !header.is_log_append_time() {
            changed.max_timestamp = latest;
        }
        changed.record_count = count;
        let body = pack(header.compression_code(), body).map_err(|_| "cannot be compressed again")?;
        changed.size = (HEADER_LEN + body.len()) as u64;
        changed.seal(&body);
        let mut batch = changed.encode().to_vec();
        batch.extend_from_slice(&body);
        Ok(Fate::Changed(changed, batch))
    }
}
