//! What the broker remembers beside the logs, in one journal: topics, groups, transactions, producer ids. Knows what an
//! entry is, and nothing of what follows from it.

use std::io;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::groups::{GroupEvent, GroupStore};
use crate::journal::Journal;
use crate::topics::{ChangeStore, TopicChange};
use crate::transactions::Transaction;

/// What the journal keeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Entry {
    Topic(TopicChange),
    Group(GroupEvent),
    Transaction(Transaction),
    TransactionForgotten(String),
    /// Producer ids below this are given out.
    ProducerIds(i64),
}

/// What the journal says, sorted.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) topics: Vec<TopicChange>,
    pub(crate) groups: Vec<GroupEvent>,
    pub(crate) transactions: Vec<(String, Option<Transaction>)>,
    pub(crate) producer_ids: i64,
}

impl Found {
    pub(crate) fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Topic(change) => self.topics.push(change),
            Entry::Group(event) => self.groups.push(event),
            Entry::Transaction(transaction) => {
                self.transactions.push((transaction.transactional_id.clone(), Some(transaction)));
            }
            Entry::TransactionForgotten(id) => self.transactions.push((id, None)),
            Entry::ProducerIds(next) => self.producer_ids = self.producer_ids.max(next),
        }
    }
}

/// The journal, and the producer ids that it keeps.
pub(crate) struct Remembered {
    pub(crate) journal: Journal,
    producer_ids: Mutex<ProducerIds>,
}

/// Producer ids that are next to be given out, up to where the journal says that they are.
#[derive(Clone, Copy)]
struct ProducerIds {
    next: i64,
    reserved: i64,
}

/// Producer ids are taken from the journal in blocks, as Kafka's controller gives them out.
pub(crate) const PRODUCER_IDS: i64 = 1000;

impl Remembered {
    pub(crate) fn new(journal: Journal, reserved: i64) -> Self {
        Self { journal, producer_ids: Mutex::new(ProducerIds { next: reserved, reserved }) }
    }

    /// Producer ids below this are given out, or may be.
    pub(crate) fn reserved(&self) -> i64 {
        self.producer_ids.lock().unwrap_or_else(PoisonError::into_inner).reserved
    }

    /// One that nobody has or had.
    pub(crate) fn new_producer_id(&self) -> io::Result<i64> {
        let mut ids = self.producer_ids.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.next >= ids.reserved {
            let reserved = ids.next + PRODUCER_IDS;
            self.journal.append(&[Entry::ProducerIds(reserved)])?;
            ids.reserved = reserved;
        }
        ids.next += 1;
        Ok(ids.next - 1)
    }
}

impl ChangeStore for Remembered {
    fn remember(&self, change: TopicChange) -> io::Result<()> {
        self.journal.append(&[Entry::Topic(change)])
    }
}

impl GroupStore for Remembered {
    fn record(&self, events: &[GroupEvent]) -> io::Result<()> {
        let entries: Vec<Entry> = events.iter().cloned().map(Entry::Group).collect();
        self.journal.append(&entries)
    }
}
