//! The transaction coordinator: who may write under a transactional id, which partitions and groups a transaction
//! has reached, and how it ends (KIP-98, KIP-360, KIP-447).
//!
//! Everything happens under the lock of its transactional id, also a transactional append: a record is either
//! before the marker of its transaction, or refused. So no request is ever answered CONCURRENT_TRANSACTIONS.
//! It knows nothing of sockets; what a transaction reaches is behind [`Reach`].

mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kafka_protocol::error::ResponseError;

pub(crate) use state::{Partitions, State, Transaction};

use crate::log::Marker;

/// Ids are forgotten when nobody has used them for this long, as Kafka's `transactional.id.expiration.ms`.
const FORGET_AFTER_MS: i64 = 7 * 24 * 3_600_000;

/// A producer, as its requests name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

impl Producer {
    /// None: what a request says that has none, and an answer that gives none.
    pub(crate) const NONE: Self = Self { id: -1, epoch: -1 };
}

/// What a transaction reaches, and where its states are remembered.
pub(crate) trait Reach: Send + Sync {
    /// # Errors
    /// The state is not written.
    fn remember(&self, transaction: &Transaction) -> io::Result<()>;
    /// # Errors
    /// That the id is gone is not written.
    fn forget(&self, transactional_id: &str) -> io::Result<()>;
    /// A producer id that nobody had.
    ///
    /// # Errors
    /// That it is taken is not written.
    fn new_producer_id(&self) -> io::Result<i64>;
    /// Ends the transaction in a partition; one that is gone has nothing to end.
    ///
    /// # Errors
    /// The marker is not written.
    fn mark(&self, topic: &str, partition: i32, producer: Producer, marker: Marker) -> io::Result<()>;
    /// Ends the transaction in the groups.
    ///
    /// # Errors
    /// That is not written.
    fn end_offsets(&self, producer_id: i64, marker: Marker) -> io::Result<()>;
}

/// How old clients and new ones are told that another producer took over.
pub(crate) fn fenced(new: bool) -> ResponseError {
    if new { ResponseError::ProducerFenced } else { ResponseError::InvalidProducerEpoch }
}

/// All transactional ids.
pub(crate) struct Transactions {
    reach: Box<dyn Reach>,
    ids: Mutex<BTreeMap<String, Arc<Mutex<Transaction>>>>,
    most: usize,
    longest: Duration,
}

impl Transactions {
    pub(crate) fn new(reach: Box<dyn Reach>, most: usize, longest: Duration) -> Self {
        Self { reach, ids: Mutex::default(), most, longest }
    }

    /// Takes in what the journal remembers; `None` for an id that was forgotten.
    pub(crate) fn replay(&self, transactional_id: &str, transaction: Option<Transaction>) {
        let mut ids = self.ids();
        match transaction {
            Some(transaction) => drop(ids.insert(transactional_id.to_owned(), Arc::new(Mutex::new(transaction)))),
            None => drop(ids.remove(transactional_id)),
        }
    }

    /// The states of all, for the journal.
    pub(crate) fn snapshot(&self) -> Vec<Transaction> {
        self.each().iter().map(|transaction| lock(transaction).clone()).collect()
    }

    /// Gives out a producer id and epoch (InitProducerId). What is open under the transactional id is aborted.
    pub(crate) fn init(
        &self,
        transactional_id: Option<&str>,
        timeout_ms: i32,
        said: Producer,
        now: i64,
    ) -> Result<Producer, ResponseError> {
        let Some(transactional_id) = transactional_id else {
            let id = self.reach.new_producer_id().map_err(|error| unwritten(&error))?;
            return Ok(Producer { id, epoch: 0 });
        };
        if transactional_id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        let longest = i64::try_from(self.longest.as_millis()).unwrap_or(i64::MAX);
        if timeout_ms <= 0 || i64::from(timeout_ms) > longest {
            return Err(ResponseError::InvalidTransactionTimeout);
        }
        let transaction = self.get_or_new(transactional_id, now)?;
        let mut transaction = lock(&transaction);
        if let Some(again) = transaction.may_continue(said)? {
            return Ok(again);
        }
        if transaction.state == State::Ongoing {
            transaction.fence();
            self.prepare(&mut transaction, Marker::Abort, now)?;
        }
        self.complete(&mut transaction, now)?;
        let mut next = transaction.clone();
        next.timeout_ms = timeout_ms;
        next.updated = now;
        next.state = State::Empty;
        if !next.next_epoch() {
            next.producer_id = self.reach.new_producer_id().map_err(|error| unwritten(&error))?;
            (next.epoch, next.last_epoch) = (0, -1);
        }
        self.put(&mut transaction, next)
    }

    fn put(&self, transaction: &mut Transaction, next: Transaction) -> Result<Producer, ResponseError> {
        self.reach.remember(&next).map_err(|error| unwritten(&error))?;
        *transaction = next;
        Ok(transaction.producer())
    }

    /// Takes partitions into the transaction (AddPartitionsToTxn); the first opens it.
    pub(crate) fn add_partitions(
        &self,
        transactional_id: &str,
        producer: Producer,
        partitions: Partitions,
        new: bool,
        now: i64,
    ) -> Result<(), ResponseError> {
        self.change(transactional_id, producer, new, now, |next| {
            for (topic, numbers) in partitions {
                next.partitions.entry(topic).or_default().extend(numbers);
            }
        })
    }

    /// Takes a group's offsets into the transaction (AddOffsetsToTxn).
    pub(crate) fn add_group(
        &self,
        transactional_id: &str,
        producer: Producer,
        group: &str,
        new: bool,
        now: i64,
    ) -> Result<(), ResponseError> {
        self.change(transactional_id, producer, new, now, |next| {
            next.groups.insert(group.to_owned());
        })
    }

    fn change(
        &self,
        transactional_id: &str,
        producer: Producer,
        new: bool,
        now: i64,
        change: impl FnOnce(&mut Transaction),
    ) -> Result<(), ResponseError> {
        let transaction = self.get(transactional_id)?;
        let mut transaction = lock(&transaction);
        transaction.is_of(producer, new)?;
        self.complete(&mut transaction, now)?;
        let mut next = transaction.clone();
        next.open(now);
        change(&mut next);
        if next == *transaction {
            return Ok(());
        }
        self.put(&mut transaction, next).map(drop)
    }

    /// Does something that belongs to the open transaction of this producer, and cannot be overtaken by its end.
    ///
    /// # Errors
    /// The producer was fenced, or `reached` says that the transaction has not reached what is to be done.
    pub(crate) fn within<T>(
        &self,
        transactional_id: &str,
        producer: Producer,
        reached: impl FnOnce(&Transaction) -> bool,
        act: impl FnOnce() -> T,
    ) -> Result<T, ResponseError> {
        let transaction = self.get(transactional_id).map_err(|_| ResponseError::InvalidTxnState)?;
        let transaction = lock(&transaction);
        transaction.is_of(producer, false)?;
        if transaction.state != State::Ongoing || !reached(&transaction) {
            return Err(ResponseError::InvalidTxnState);
        }
        Ok(act())
    }

    /// Ends the transaction (EndTxn); all of it is done when this returns.
    pub(crate) fn end(
        &self,
        transactional_id: &str,
        producer: Producer,
        marker: Marker,
        new: bool,
        now: i64,
    ) -> Result<(), ResponseError> {
        let transaction = self.get(transactional_id)?;
        let mut transaction = lock(&transaction);
        transaction.is_of(producer, new)?;
        match (transaction.state, marker) {
            (State::Ongoing, _) => self.prepare(&mut transaction, marker, now)?,
            // The same end again: its answer was lost.
            (State::PrepareCommit | State::CompleteCommit, Marker::Commit)
            | (State::PrepareAbort | State::CompleteAbort, Marker::Abort) => {}
            _ => return Err(ResponseError::InvalidTxnState),
        }
        self.complete(&mut transaction, now)
    }

    /// Decides: from here on the transaction ends this way, whatever happens.
    fn prepare(&self, transaction: &mut Transaction, marker: Marker, now: i64) -> Result<(), ResponseError> {
        let mut next = transaction.clone();
        next.updated = now;
        next.state = match marker {
            Marker::Commit => State::PrepareCommit,
            Marker::Abort => State::PrepareAbort,
        };
        self.put(transaction, next).map(drop)
    }

    /// Carries out what was decided. Markers may be written a second time when a first try was cut short.
    fn complete(&self, transaction: &mut Transaction, now: i64) -> Result<(), ResponseError> {
        let (marker, state) = match transaction.state {
            State::PrepareCommit => (Marker::Commit, State::CompleteCommit),
            State::PrepareAbort => (Marker::Abort, State::CompleteAbort),
            _ => return Ok(()),
        };
        let producer = transaction.producer();
        for (topic, partitions) in &transaction.partitions {
            for partition in partitions {
                let marked = self.reach.mark(topic, *partition, producer, marker);
                marked.map_err(|error| unwritten(&error))?;
            }
        }
        self.reach.end_offsets(producer.id, marker).map_err(|error| unwritten(&error))?;
        let mut next = transaction.clone();
        next.state = state;
        next.updated = now;
        next.partitions.clear();
        next.groups.clear();
        self.put(transaction, next).map(drop)
    }

    /// Aborts what is open for too long, carries on what was cut short, forgets what nobody uses.
    pub(crate) fn tick(&self, now: i64) {
        for transaction in self.each() {
            let mut transaction = lock(&transaction);
            if transaction.is_overdue(now) {
                tracing::info!(
                    transactional_id = transaction.transactional_id,
                    "a transaction is open for too long and is aborted"
                );
                transaction.fence();
                if self.prepare(&mut transaction, Marker::Abort, now).is_err() {
                    continue;
                }
            }
            let _tried_again_next_time = self.complete(&mut transaction, now);
            if transaction.is_idle() && now.saturating_sub(transaction.updated) > FORGET_AFTER_MS {
                let id = transaction.transactional_id.clone();
                if self.reach.forget(&id).is_ok() {
                    self.ids().remove(&id);
                }
            }
        }
    }

    /// Does something while no transaction begins, goes on or ends.
    pub(crate) fn frozen<T>(&self, act: impl FnOnce() -> T) -> T {
        loop {
            let each = self.each();
            let held: Vec<_> = each.iter().map(|transaction| lock(transaction)).collect();
            // Whoever holds a transaction may ask for the ids, never the other way round: so the ids come last, and
            // one that is new since is frozen in the next round.
            let ids = self.ids();
            if ids.len() == held.len() {
                return act();
            }
        }
    }

    /// The state of one, for DescribeTransactions.
    pub(crate) fn describe(&self, transactional_id: &str) -> Option<Transaction> {
        let found = self.ids().get(transactional_id).cloned();
        found.map(|transaction| lock(&transaction).clone())
    }

    fn get(&self, transactional_id: &str) -> Result<Arc<Mutex<Transaction>>, ResponseError> {
        self.ids().get(transactional_id).cloned().ok_or(ResponseError::InvalidProducerIdMapping)
    }

    fn get_or_new(&self, transactional_id: &str, now: i64) -> Result<Arc<Mutex<Transaction>>, ResponseError> {
        let mut ids = self.ids();
        if let Some(known) = ids.get(transactional_id) {
            return Ok(Arc::clone(known));
        }
        if ids.len() >= self.most {
            return Err(ResponseError::PolicyViolation);
        }
        let id = self.reach.new_producer_id().map_err(|error| unwritten(&error))?;
        let transaction = Arc::new(Mutex::new(Transaction::new(transactional_id, id, now)));
        ids.insert(transactional_id.to_owned(), Arc::clone(&transaction));
        Ok(transaction)
    }

    fn each(&self) -> Vec<Arc<Mutex<Transaction>>> {
        self.ids().values().cloned().collect()
    }

    fn ids(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Mutex<Transaction>>>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock(transaction: &Mutex<Transaction>) -> MutexGuard<'_, Transaction> {
    transaction.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The client asks again, and finds what was decided.
fn unwritten(error: &io::Error) -> ResponseError {
    tracing::warn!(%error, "a transaction's state cannot be written; its client is asked to try again");
    ResponseError::CoordinatorNotAvailable
}

/// The partitions of a request.
pub(crate) fn partitions(named: impl Iterator<Item = (String, i32)>) -> Partitions {
    let mut partitions = Partitions::new();
    for (topic, partition) in named {
        partitions.entry(topic).or_default().insert(partition);
    }
    partitions
}
