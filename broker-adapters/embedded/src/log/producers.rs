//! What the log remembers of its producers: epochs, the last five batches, open transactions.
//!
//! The rules are those of Kafka's `ProducerAppendInfo` (KIP-98, KIP-360, KIP-890). Knows nothing of files; the
//! snapshot module writes it down.

use std::collections::{BTreeMap, HashMap};

use super::batch::{BatchHeader, advance_sequence};
use super::error::AppendError;
use super::index::AbortedEntry;
use super::records::read_marker;
use super::types::{Marker, OpenTransaction, Producer};

/// How many batches of a producer are remembered, as many as it may have in flight.
pub(crate) const REMEMBERED_BATCHES: usize = 5;

/// A batch that was written, by which a retry is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WrittenBatch {
    pub(crate) first_sequence: i32,
    pub(crate) last_sequence: i32,
    pub(crate) first_offset: i64,
    pub(crate) last_offset: i64,
    pub(crate) timestamp: i64,
}

/// One producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProducerState {
    pub(crate) epoch: i16,
    pub(crate) coordinator_epoch: i32,
    pub(crate) last_timestamp: i64,
    /// When it last wrote, by the broker's clock: the silence that counts for expiry is not the records'.
    pub(crate) seen_at: i64,
    pub(crate) transaction_start: Option<i64>,
    /// The last offset of its last data batch, or -1.
    pub(crate) last_data_offset: i64,
    /// Oldest first, at most [`REMEMBERED_BATCHES`], all of the present epoch.
    pub(crate) batches: Vec<WrittenBatch>,
}

impl ProducerState {
    fn unknown() -> Self {
        ProducerState {
            epoch: -1,
            coordinator_epoch: -1,
            last_timestamp: -1,
            seen_at: 0,
            transaction_start: None,
            last_data_offset: -1,
            batches: Vec::new(),
        }
    }

    fn last_sequence(&self) -> i32 {
        self.batches.last().map_or(-1, |batch| batch.last_sequence)
    }

    fn duplicate(&self, header: &BatchHeader) -> Option<WrittenBatch> {
        let same = |batch: &&WrittenBatch| {
            batch.first_sequence == header.base_sequence && batch.last_sequence == header.last_sequence()
        };
        if self.epoch != header.producer_epoch { None } else { self.batches.iter().find(same).copied() }
    }

    fn check(&self, header: &BatchHeader) -> Result<(), AppendError> {
        let (producer_id, got) = (header.producer_id, header.base_sequence);
        if header.producer_epoch < self.epoch {
            let (got, current) = (header.producer_epoch, self.epoch);
            return Err(AppendError::InvalidProducerEpoch { producer_id, got, current });
        }
        if self.epoch >= 0 {
            let same_epoch = header.producer_epoch == self.epoch;
            let expected = if same_epoch { advance_sequence(self.last_sequence(), 1) } else { 0 };
            if got != expected {
                return Err(AppendError::OutOfOrderSequence { producer_id, got, expected });
            }
        }
        if self.transaction_start.is_some() && !header.is_transactional() {
            return Err(AppendError::InvalidTxnState { producer_id });
        }
        Ok(())
    }

    fn enter_epoch(&mut self, epoch: i16) {
        if epoch != self.epoch {
            self.epoch = epoch;
            self.batches.clear();
        }
    }

    /// Takes a data batch in; the header's offsets are the final ones. Says whether it opened a transaction.
    fn add(&mut self, header: &BatchHeader, now: i64) -> bool {
        self.enter_epoch(header.producer_epoch);
        if self.batches.len() >= REMEMBERED_BATCHES {
            self.batches.remove(0);
        }
        self.batches.push(WrittenBatch {
            first_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            first_offset: header.base_offset,
            last_offset: header.last_offset(),
            timestamp: header.max_timestamp,
        });
        self.last_timestamp = header.max_timestamp;
        self.last_data_offset = header.last_offset();
        self.seen_at = now;
        let opens = header.is_transactional() && self.transaction_start.is_none();
        if opens {
            self.transaction_start = Some(header.base_offset);
        }
        opens
    }
}

/// What an append would do to the producers; applied after the write.
#[derive(Debug)]
pub(crate) enum Staged {
    /// The first batch that was written before.
    Duplicate(WrittenBatch),
    /// The changed producers.
    Fresh { changed: Vec<(i64, ProducerState)>, new_transaction: bool },
}

/// All producers of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Producers {
    known: HashMap<i64, ProducerState>,
    /// First offset of every open transaction, and whose it is.
    open: BTreeMap<i64, i64>,
}

impl Producers {
    /// Checks batches (whose offsets are the final ones) against what is known, in order.
    pub(crate) fn stage<'a>(
        &self,
        headers: impl Iterator<Item = &'a BatchHeader>,
        now: i64,
    ) -> Result<Staged, AppendError> {
        let mut changed: Vec<(i64, ProducerState)> = Vec::new();
        let mut new_transaction = false;
        for header in headers.filter(|header| header.has_producer()) {
            let id = header.producer_id;
            let place = match changed.iter().position(|(staged, _)| *staged == id) {
                Some(place) => place,
                None => {
                    changed.push((id, self.known.get(&id).cloned().unwrap_or_else(ProducerState::unknown)));
                    changed.len() - 1
                }
            };
            let Some((_, state)) = changed.get_mut(place) else { continue };
            if let Some(written) = state.duplicate(header) {
                return Ok(Staged::Duplicate(written));
            }
            state.check(header)?;
            new_transaction |= state.add(header, now);
        }
        Ok(Staged::Fresh { changed, new_transaction })
    }

    /// Makes staged changes real.
    pub(crate) fn commit(&mut self, changed: Vec<(i64, ProducerState)>) {
        for (id, state) in changed {
            self.put(id, state);
        }
    }

    /// Sets a producer's state.
    pub(crate) fn put(&mut self, id: i64, state: ProducerState) {
        if let Some(first) = state.transaction_start {
            self.open.insert(first, id);
        }
        self.known.insert(id, state);
    }

    /// Whether a marker may be written.
    pub(crate) fn check_marker(&self, id: i64, epoch: i16, coordinator_epoch: i32) -> Result<(), AppendError> {
        let Some(state) = self.known.get(&id) else { return Ok(()) };
        if epoch < state.epoch {
            let current = state.epoch;
            return Err(AppendError::InvalidProducerEpoch { producer_id: id, got: epoch, current });
        }
        if coordinator_epoch < state.coordinator_epoch {
            let (got, current) = (coordinator_epoch, state.coordinator_epoch);
            return Err(AppendError::TransactionCoordinatorFenced { got, current });
        }
        Ok(())
    }

    /// Ends the producer's transaction. An abort of a transaction that has records gives its index entry.
    pub(crate) fn end_transaction(
        &mut self,
        header: &BatchHeader,
        marker: Marker,
        coordinator_epoch: i32,
        now: i64,
    ) -> Option<AbortedEntry> {
        let state = self.known.entry(header.producer_id).or_insert_with(ProducerState::unknown);
        state.enter_epoch(header.producer_epoch);
        state.coordinator_epoch = coordinator_epoch;
        state.last_timestamp = header.max_timestamp;
        state.seen_at = now;
        let first_offset = state.transaction_start.take()?;
        self.open.remove(&first_offset);
        (marker == Marker::Abort).then(|| AbortedEntry {
            producer_id: header.producer_id,
            first_offset,
            last_offset: header.last_offset(),
            last_stable: self.first_unstable().unwrap_or_else(|| header.next_offset()),
        })
    }

    /// Takes in a batch that is in the log already.
    pub(crate) fn replay(&mut self, header: &BatchHeader, batch: &[u8], now: i64) -> Option<AbortedEntry> {
        if !header.has_producer() {
            return None;
        }
        if header.is_control() {
            // An empty control batch is what compaction leaves of a transaction that is gone.
            let (marker, coordinator_epoch) = read_marker(header, batch)?;
            return self.end_transaction(header, marker, coordinator_epoch, now);
        }
        let state = self.known.entry(header.producer_id).or_insert_with(ProducerState::unknown);
        if state.add(header, now) {
            self.open.insert(header.base_offset, header.producer_id);
        }
        None
    }

    /// The first offset that a reader of committed records may not pass.
    pub(crate) fn first_unstable(&self) -> Option<i64> {
        self.open.first_key_value().map(|(&first, _)| first)
    }

    /// Forgets producers that were silent for long and have no open transaction; says how many.
    pub(crate) fn expire(&mut self, now: i64, expiry_ms: i64) -> usize {
        let before = self.known.len();
        self.known
            .retain(|_, state| state.transaction_start.is_some() || now.saturating_sub(state.seen_at) < expiry_ms);
        before - self.known.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, &ProducerState)> {
        self.known.iter().map(|(&id, state)| (id, state))
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// All of them, by id.
    pub(crate) fn describe(&self) -> Vec<Producer> {
        let mut all: Vec<_> = self
            .iter()
            .map(|(id, state)| Producer {
                id,
                epoch: state.epoch,
                last_sequence: state.last_sequence(),
                last_timestamp: state.last_timestamp,
                coordinator_epoch: state.coordinator_epoch,
                transaction_start: state.transaction_start,
            })
            .collect();
        all.sort_by_key(|producer| producer.id);
        all
    }

    pub(crate) fn open_transaction(&self, id: i64) -> Option<OpenTransaction> {
        let state = self.known.get(&id)?;
        state.transaction_start.map(|first_offset| OpenTransaction { epoch: state.epoch, first_offset })
    }
}
