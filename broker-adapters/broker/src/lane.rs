//! Slots and lanes: who enforces which inbox partitions, and the one method that publishes and commits.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use schemas::{GroupId, Offset, Run, Slot, Timestamp, Topic, TopicPartition, TransactionalId};

use crate::log::{OutRecord, Weather};

/// How a process joins the group that shares the slots.
#[derive(Debug, Clone)]
pub struct SlotOptions {
    /// The tiny topic whose partitions are the slots.
    pub topic: Topic,
    /// The group.
    pub group: GroupId,
    /// The static member id (`group.instance.id`): the same after a restart, different in each process.
    pub instance: String,
    /// After this long without a sign of life the broker gives the slots to others. 6 to 10 s.
    pub session_timeout: Duration,
}

/// A change of what this process owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotEvent {
    /// These slots are ours now.
    Taken(Vec<Slot>),
    /// These slots go to another process: finish or abandon their transactions, then call
    /// [`SlotMember::released`]. Late is safe (the epoch fences), prompt is polite.
    Revoked(Vec<Slot>),
    /// These slots were given away already; abandon. [`SlotMember::released`] is called for them too.
    Lost(Vec<Slot>),
}

/// Membership of the group that shares the slots.
pub trait SlotMember: Send {
    /// Waits up to `max_wait` for a change. Must be called at least every few seconds.
    ///
    /// # Errors
    /// [`Weather`] where the group cannot be reached; membership may be kept or lost, a later event says.
    fn poll(&mut self, max_wait: Duration) -> Result<Option<SlotEvent>, Weather>;

    /// The lanes of the last [`SlotEvent::Revoked`] or [`SlotEvent::Lost`] have ended.
    ///
    /// # Errors
    /// [`Weather`] where the broker could not be told.
    fn released(&mut self) -> Result<(), Weather>;

    /// Leaves for good, so that others take the slots at once instead of after the session timeout.
    fn leave(self: Box<Self>);
}

/// How a lane works.
#[derive(Debug, Clone)]
pub struct LaneOptions {
    /// The slot's transactional id.
    pub transactional_id: TransactionalId,
    /// The group that offsets are committed under, inside the transaction; nobody joins it.
    pub offsets_group: GroupId,
    /// A transaction longer than this is aborted by the broker.
    pub transaction_timeout: Duration,
    /// An output record that cannot be delivered within this aborts the transaction.
    pub delivery_timeout: Duration,
    /// Bound on bytes fetched and not yet polled.
    pub queue_bytes: usize,
    /// Bound on bytes fetched per partition and request; small, so that a loud partition leaves room.
    pub fetch_bytes_per_partition: usize,
}

/// What was committed for an inbox partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset to read.
    pub offset: Offset,
    /// The ASCII text committed with it.
    pub metadata: String,
}

/// Where the records of an inbox partition go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The product topic; the partition is the inbox's.
    pub product: Topic,
    /// The quarantine topic; the partition is the inbox's.
    pub quarantine: Topic,
}

/// An inbox partition to be read by a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxPartition {
    /// The partition.
    pub inbox: TopicPartition,
    /// Where its records go.
    pub destination: Destination,
    /// The first offset to read.
    pub start: Offset,
}

/// Bounds of one poll, and so of one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollLimits {
    /// Most records.
    pub records: usize,
    /// Bytes (keys and values) after which no further record is taken.
    pub bytes: usize,
}

/// Who set a record's timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer, or nobody.
    CreateTime,
    /// The broker, at append.
    LogAppendTime,
}

/// Headers in order, with names that may not be unique and values that may be null.
pub type Headers<'a> = Vec<(Cow<'a, str>, Option<Cow<'a, [u8]>>)>;

/// A record of the lane's batch, borrowed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Index into [`Batch::partitions`].
    pub partition: usize,
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Who set it.
    pub timestamp_type: TimestampType,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
}

/// Records that the lane polled and has not yet committed. Within a partition in offset order.
pub trait Batch {
    /// How many.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The record at `index`, below [`Batch::len`].
    fn record(&self, index: usize) -> Record<'_>;

    /// The headers of the record at `index`. Dearer than [`Batch::record`]: ask only where they matter.
    fn headers(&self, index: usize) -> Headers<'_>;

    /// The inbox partitions that records of this batch come from.
    fn partitions(&self) -> &[TopicPartition];
}

/// The headers that a quarantined record gets, appended after its own.
pub type Reasons = Vec<(Cow<'static, str>, Vec<u8>)>;

/// What happens to one record of the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// To the product topic, unchanged: key, value, headers and timestamp as they came.
    Forward,
    /// To the product topic with another value; the rest as it came.
    Replace(Vec<u8>),
    /// To the quarantine topic, unchanged, with these headers appended.
    Quarantine(Box<Reasons>),
    /// Nowhere: judged and recorded, but an observed product forwards nothing.
    Withhold,
    /// Not consumed: neither it nor any later record of its partition in this batch. The lane goes back to
    /// it and pauses the partition until [`Lane::resume`].
    Wait,
}

/// What became of one partition's records in a transaction, known once all deliveries are reported and
/// before it is committed. `forwarded + replaced` are in `product`; the same for the others; together they
/// are every record between `from` and `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionOutput {
    /// The inbox partition.
    pub inbox: TopicPartition,
    /// Committed before.
    pub from: Offset,
    /// Committed after.
    pub to: Offset,
    /// Inbox offsets that became product offsets.
    pub product: Vec<Run>,
    /// Inbox offsets that became quarantine offsets.
    pub quarantine: Vec<Run>,
    /// Inbox offsets that were withheld; `output_first` is −1.
    pub withheld: Vec<Run>,
}

/// What is written beside the outputs in the same transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Control {
    /// Lineage, quality and other events.
    pub records: Vec<OutRecord>,
    /// ASCII metadata committed with each partition's offset, in the order of the outputs given.
    pub metadata: Vec<String>,
}

/// A committed transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// One per inbox partition of the batch that moved.
    pub outputs: Vec<PartitionOutput>,
    /// How long deliveries took to be reported.
    pub flush: Duration,
    /// How long the commit itself took.
    pub commit: Duration,
    /// The producer was replaced afterwards because a hidden retry could not be ruled out (KIP-890).
    pub tainted: bool,
}

/// Why a transaction did not commit, or may not have. After each but [`LaneError::Fenced`] the lane has
/// already been put back to the offsets that the broker holds: poll again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LaneError {
    /// The broker cannot serve; the lane must be given up and taken again after a pause.
    #[error(transparent)]
    Weather(#[from] Weather),
    /// Nothing of it is visible. `partitions` names inbox partitions whose outputs cannot be delivered
    /// (empty where the cause is another): hold them with [`Route::Wait`] and go on with the rest.
    #[error("the transaction was aborted: {why}")]
    Aborted {
        /// What happened.
        why: String,
        /// Inbox partitions whose product or quarantine partition is away.
        partitions: Vec<TopicPartition>,
    },
    /// The broker refuses a record for what it is: too large, a timestamp out of bounds. Nothing is
    /// visible. The record is to be quarantined, with `reason`, at the next try. Where many records were
    /// refused together the lane says `Aborted` first and finds out which is meant.
    #[error("record {offset} of {inbox} was refused by the broker: {reason}")]
    Refused {
        /// The inbox partition it was read from.
        inbox: TopicPartition,
        /// Its offset there.
        offset: Offset,
        /// The broker's words.
        reason: String,
    },
    /// The broker did not say. The lane went back to what it holds, whichever that is.
    #[error("it is not known whether the transaction was committed: {why}")]
    Unknown {
        /// What happened.
        why: String,
    },
    /// A newer owner has the slot. This lane ends.
    #[error("a newer owner has taken the slot")]
    Fenced,
}

/// Something a poll met besides records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incident {
    /// The position is no longer in the log: records were removed unread (or the topic was made anew). The
    /// partition is paused; [`Lane::assign`] it again with a position that is.
    OutOfRange {
        /// The inbox partition.
        inbox: TopicPartition,
        /// The position that is gone.
        position: Offset,
    },
    /// The partition cannot be read for now; the client goes on trying.
    Unavailable {
        /// The inbox partition.
        inbox: TopicPartition,
        /// What was said.
        why: String,
    },
}

/// The outcome that a [`Lane`] reports for tests and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// It is there.
    Committed,
    /// It is not.
    Aborted,
    /// Not known.
    Unknown,
    /// The slot is another's.
    Fenced,
}

/// One thread's hold on a slot: a consumer that joins no group and a transactional producer. The lane owns
/// the batch it polled until it is committed or a new one is polled.
pub trait Lane: Send {
    /// What is committed for these partitions, as the coordinator holds it now (asked under this lane's
    /// fence, so no earlier owner can move it any more).
    ///
    /// # Errors
    /// [`LaneError::Weather`].
    fn committed(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, LaneError>;

    /// The first and the next offset of a partition's log (its high watermark).
    ///
    /// # Errors
    /// [`LaneError::Weather`].
    fn watermarks(&mut self, partition: &TopicPartition) -> Result<(Offset, Offset), LaneError>;

    /// Reads exactly these partitions from now on. One that was assigned before keeps its position and its
    /// pause, whatever `start` says, unless an [`Incident::OutOfRange`] was reported for it.
    ///
    /// # Errors
    /// [`LaneError::Weather`].
    fn assign(&mut self, partitions: &[InboxPartition]) -> Result<(), LaneError>;

    /// Drops the current batch if any (its records come again) and waits up to `max_wait` for another.
    /// Returns as soon as there is something and no more is at hand, or a limit is met.
    ///
    /// # Errors
    /// [`LaneError::Weather`].
    fn poll(&mut self, max_wait: Duration, limits: PollLimits) -> Result<Vec<Incident>, LaneError>;

    /// The records of the last poll.
    fn batch(&self) -> &dyn Batch;

    /// One transaction: outputs as routed, the control records that `control` makes once their offsets are
    /// known, and the input offsets. `routes` has one entry per record of the batch. Also moves the
    /// committed offset over what holds no record (markers, compacted offsets) before the next record. A
    /// batch whose every route is [`Route::Wait`] commits nothing.
    ///
    /// # Errors
    /// [`LaneError`]; nothing of it is visible, except where it says that this is not known.
    fn commit(
        &mut self,
        routes: &[Route],
        control: &mut dyn FnMut(&[PartitionOutput]) -> Control,
    ) -> Result<Committed, LaneError>;

    /// Writes control records (an `activated`, an `expired`) and commits these offsets with them, in one
    /// transaction without inputs: for idle partitions whose offsets must not expire, and for a partition
    /// that starts. May be called only while the batch is empty.
    ///
    /// # Errors
    /// [`LaneError`].
    fn annotate(
        &mut self,
        records: Vec<OutRecord>,
        offsets: &[(TopicPartition, CommittedOffset)],
    ) -> Result<Committed, LaneError>;

    /// Reads a partition again that [`Route::Wait`] paused.
    ///
    /// # Errors
    /// [`LaneError::Weather`].
    fn resume(&mut self, partition: &TopicPartition) -> Result<(), LaneError>;
}
