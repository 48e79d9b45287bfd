//! Reading and writing topics outside a lane: control topics, and the command line.

use std::time::Duration;

use schemas::{GroupId, Offset, Partition, Slot, Timestamp, Topic, TopicPartition, TransactionalId};

use crate::admin::Admin;
use crate::lane::{Lane, LaneOptions, SlotMember, SlotOptions, TimestampType};

/// The world is broken for now: a broker or a registry cannot be reached or cannot serve. Never a
/// statement about data; whoever meets it waits and tries again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {what}: {why}")]
pub struct Weather {
    /// What could not be done, to what: "read the end of weir.catalog/0".
    pub what: String,
    /// What the other side, or the network, said.
    pub why: String,
}

impl Weather {
    /// `what` could not be done because of `why`.
    pub fn new(what: impl Into<String>, why: impl ToString) -> Self {
        Self { what: what.into(), why: why.to_string() }
    }
}

/// Whether records of open and aborted transactions are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Only what was committed. Every reader in Weir but the diagnostic ones.
    Committed,
    /// Everything, as the log holds it.
    Uncommitted,
}

/// Where to begin reading a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// The first record that is still there.
    Beginning,
    /// After the last record that is there now.
    End,
    /// The first record at or after this offset.
    At(Offset),
    /// The first record whose timestamp is this or later; the end where there is none.
    Since(Timestamp),
}

/// A record that owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedRecord {
    /// Where it was read.
    pub source: TopicPartition,
    /// Its offset there.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Who set the timestamp.
    pub timestamp_type: TimestampType,
    /// Its key; `None` is Kafka's null.
    pub key: Option<Vec<u8>>,
    /// Its value; `None` is Kafka's null, a tombstone.
    pub value: Option<Vec<u8>>,
    /// Its headers in order; a value may be null.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// What one [`Reader::poll`] brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chunk {
    /// Records in the order of their partitions.
    pub records: Vec<OwnedRecord>,
    /// Every partition was read to what was its end (its last stable offset, for committed reading) when
    /// the broker last answered. With [`Position::End`] at the start this is true at once.
    pub at_end: bool,
}

/// Reads partitions of topics, in no group.
pub trait Reader: Send {
    /// Waits up to `max_wait` for records. An empty chunk is not an error.
    ///
    /// # Errors
    /// [`Weather`] where the broker cannot serve; the position is kept.
    fn poll(&mut self, max_wait: Duration) -> Result<Chunk, Weather>;

    /// The next offset to be read from each partition. It moves past transaction markers and compacted
    /// records too.
    fn positions(&self) -> Vec<(TopicPartition, Offset)>;
}

/// A record to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutRecord {
    /// The topic.
    pub topic: Topic,
    /// The partition; `None` spreads by key as Kafka's Java client does (murmur2), round robin without one.
    pub partition: Option<Partition>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value; `None` writes a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers, in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// `None` takes the time of sending.
    pub timestamp: Option<Timestamp>,
}

/// How far a writer's source was read, committed with the records in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The group that it is committed under; nobody joins it.
    pub group: GroupId,
    /// The partition that it is committed for.
    pub partition: TopicPartition,
    /// The position.
    pub offset: Offset,
    /// ASCII text that is read back with it.
    pub metadata: String,
}

/// Where a written record came to stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its partition.
    pub partition: TopicPartition,
    /// Its offset.
    pub offset: Offset,
}

/// Why a transaction of a [`Writer`] was not committed. After any of them, and where the outcome is
/// unknown, the writer is spent: make a new one, read again, decide again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// A newer writer with the same transactional id has taken over.
    #[error("another writer took over {0}")]
    Fenced(TransactionalId),
    /// Nothing was written.
    #[error("nothing was written: {0}")]
    Aborted(Weather),
    /// The broker did not say whether it was committed.
    #[error("it is not known whether the transaction was committed: {0}")]
    Unknown(Weather),
    /// The broker refuses this record for what it is (its index in the call, and why: too large, …).
    /// Nothing was written.
    #[error("record {index} was refused: {reason}")]
    Refused {
        /// Index into the records given.
        index: usize,
        /// The broker's words.
        reason: String,
    },
}

/// Writes transactions under one transactional id, fencing whoever wrote under it before.
pub trait Writer: Send {
    /// Writes all records, and the progress if any, or nothing. Returns where each came to stand, in order.
    ///
    /// # Errors
    /// [`WriteError`]; the writer is spent then.
    fn commit(&mut self, records: Vec<OutRecord>, progress: Option<&Progress>) -> Result<Vec<Written>, WriteError>;
}

/// A log that services work on. One value is one connection configuration; its methods may be called from
/// any thread, all of them block, each is bounded in time (30 s unless it says otherwise).
pub trait Broker: Admin + Send + Sync {
    /// Reads these partitions from these positions.
    ///
    /// # Errors
    /// [`Weather`] where the positions cannot be found out.
    fn reader(&self, from: &[(TopicPartition, Position)], isolation: Isolation) -> Result<Box<dyn Reader>, Weather>;

    /// A transactional writer. Fences every earlier one with this id and ends its open transaction before
    /// it returns, so that what is read afterwards is complete.
    ///
    /// # Errors
    /// [`Weather`] where the coordinator cannot serve.
    fn writer(&self, id: &TransactionalId) -> Result<Box<dyn Writer>, Weather>;

    /// Joins the group that shares the slots, as a static member. Blocks only to connect.
    ///
    /// # Errors
    /// [`Weather`] where the client cannot be made.
    fn join_slots(&self, options: &SlotOptions) -> Result<Box<dyn SlotMember>, Weather>;

    /// Takes the lane of a slot: fences its previous owner and ends its open transaction before it returns.
    ///
    /// # Errors
    /// [`Weather`] where the coordinator cannot serve.
    fn lane(&self, slot: Slot, options: &LaneOptions) -> Result<Box<dyn Lane>, Weather>;
}
