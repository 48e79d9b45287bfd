//! The state of one transactional id, and which steps it allows.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::error::ResponseError;
use serde::{Deserialize, Serialize};

use super::{Producer, fenced};

/// Partitions by topic.
pub(crate) type Partitions = BTreeMap<String, BTreeSet<i32>>;

/// Where a transaction is (Kafka's `TransactionState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    Empty,
    Ongoing,
    PrepareCommit,
    PrepareAbort,
    CompleteCommit,
    CompleteAbort,
}

impl State {
    /// Every state, by the name that clients see.
    pub(crate) const ALL: [Self; 6] = [
        Self::Empty,
        Self::Ongoing,
        Self::PrepareCommit,
        Self::PrepareAbort,
        Self::CompleteCommit,
        Self::CompleteAbort,
    ];

    /// As clients see it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
        }
    }
}

/// What is known of one transactional id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transaction {
    pub(crate) transactional_id: String,
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    /// The epoch before, whose owner may ask again for what it was given.
    pub(crate) last_epoch: i16,
    pub(crate) timeout_ms: i32,
    pub(crate) state: State,
    pub(crate) partitions: Partitions,
    pub(crate) groups: BTreeSet<String>,
    /// When the open transaction began, or -1.
    pub(crate) started: i64,
    pub(crate) updated: i64,
}

impl Transaction {
    pub(super) fn new(transactional_id: &str, producer_id: i64, now: i64) -> Self {
        Self {
            transactional_id: transactional_id.to_owned(),
            producer_id,
            epoch: -1,
            last_epoch: -1,
            timeout_ms: 0,
            state: State::Empty,
            partitions: Partitions::new(),
            groups: BTreeSet::new(),
            started: -1,
            updated: now,
        }
    }

    pub(super) fn producer(&self) -> Producer {
        Producer { id: self.producer_id, epoch: self.epoch }
    }

    /// Whether a producer that already has an id and epoch may have the next (KIP-360). `Some` where it asks
    /// again for what it was given.
    pub(super) fn may_continue(&self, said: Producer) -> Result<Option<Producer>, ResponseError> {
        if said.id == Producer::NONE.id || self.epoch == Producer::NONE.epoch {
            return Ok(None);
        }
        if said.id != self.producer_id {
            return Err(ResponseError::ProducerFenced);
        }
        if said.epoch == self.epoch {
            return Ok(None);
        }
        if said.epoch == self.last_epoch && self.state == State::Empty {
            return Ok(Some(self.producer()));
        }
        Err(ResponseError::ProducerFenced)
    }

    /// The producer of this id and epoch, and no other.
    pub(super) fn is_of(&self, producer: Producer, new: bool) -> Result<(), ResponseError> {
        if producer.id != self.producer_id {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        if producer.epoch != self.epoch {
            return Err(fenced(new));
        }
        Ok(())
    }

    /// Nobody has this epoch: whoever had the one before is refused from now on.
    pub(super) fn fence(&mut self) {
        self.last_epoch = -1;
        self.epoch = self.epoch.saturating_add(1);
    }

    /// Takes the next epoch, if there is one.
    pub(super) fn next_epoch(&mut self) -> bool {
        // The last one is kept for fencing.
        let Some(next) = self.epoch.checked_add(1).filter(|next| *next < i16::MAX) else { return false };
        self.last_epoch = self.epoch;
        self.epoch = next;
        true
    }

    pub(super) fn open(&mut self, now: i64) {
        self.updated = now;
        if self.state != State::Ongoing {
            self.state = State::Ongoing;
            self.started = now;
        }
    }

    pub(super) fn is_overdue(&self, now: i64) -> bool {
        self.state == State::Ongoing && now.saturating_sub(self.started) > i64::from(self.timeout_ms)
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.state, State::Empty | State::CompleteCommit | State::CompleteAbort)
    }

    /// Whether it has reached this partition.
    pub(crate) fn has_partition(&self, topic: &str, partition: i32) -> bool {
        self.partitions.get(topic).is_some_and(|numbers| numbers.contains(&partition))
    }
}
