//! What must survive a restart of the broker: the events that the coordinator hands to its journal, and the records
//! they are made of. Knows nothing of how a journal encodes or stores them.

use std::io;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::ids::{GroupId, InstanceId, MemberId};

/// The journal of the coordinator, implemented by the caller.
pub trait GroupStore: Send + Sync {
    /// Appends `events`, all or none and in this order. They are written, though not necessarily synced, when the call
    /// returns. Called with the coordinator's lock held: it must not call back into the coordinator.
    ///
    /// # Errors
    /// An error means that nothing was changed; the client then gets `COORDINATOR_NOT_AVAILABLE` and tries again.
    fn record(&self, events: &[GroupEvent]) -> io::Result<()>;
}

/// One durable change of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupEvent {
    /// The membership of a group as of a generation; replaces the one recorded before.
    Membership(GroupRecord),
    /// Offsets committed for a group; each replaces the one of its partition.
    OffsetsCommitted {
        /// The group.
        group: GroupId,
        /// The partitions and what was committed for them.
        offsets: Vec<(TopicPartition, CommittedOffset)>,
    },
    /// Offsets that take effect only when the transaction of the producer commits (KIP-98, KIP-447).
    OffsetsPending {
        /// The group.
        group: GroupId,
        /// The producer whose transaction they belong to.
        producer_id: i64,
        /// The partitions and what is to be committed for them.
        offsets: Vec<(TopicPartition, CommittedOffset)>,
    },
    /// The end of a producer's transaction, for all groups it wrote pending offsets to.
    TransactionEnded {
        /// The producer.
        producer_id: i64,
        /// True when its pending offsets take effect, false when they are dropped.
        committed: bool,
    },
    /// Offsets of a group were deleted or expired.
    OffsetsDeleted {
        /// The group.
        group: GroupId,
        /// The partitions.
        partitions: Vec<TopicPartition>,
    },
    /// A topic is gone: its offsets, pending ones too, are dropped from all groups.
    TopicDeleted {
        /// The topic's name.
        topic: String,
    },
    /// A group is gone with all it had.
    GroupDeleted {
        /// The group.
        group: GroupId,
    },
}

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: String,
    /// The partition's index.
    pub partition: i32,
}

/// One committed offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedOffset {
    /// The offset of the next record to read.
    pub offset: i64,
    /// The leader epoch of the last record read, or -1.
    pub leader_epoch: i32,
    /// The client's own note; empty when it gave none.
    pub metadata: String,
    /// When it was committed, epoch milliseconds.
    pub commit_timestamp: i64,
    /// When it expires whatever the group does, epoch milliseconds: set by the retention time of OffsetCommit 2–4.
    pub expire_timestamp: Option<i64>,
    /// Rises with every commit. A pending offset that takes effect late must not replace a plain commit that was made
    /// after it.
    pub sequence: u64,
}

/// The membership of a group: what a broker needs after a restart to answer heartbeats and static members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRecord {
    /// The group.
    pub group: GroupId,
    /// The protocol type, such as `consumer` or `connect`.
    pub protocol_type: Option<String>,
    /// The generation.
    pub generation: i32,
    /// The assignor that the members agreed on; none for an empty group.
    pub protocol_name: Option<String>,
    /// The member that computes assignments; none for an empty group.
    pub leader: Option<MemberId>,
    /// Since when the group is stable or empty, epoch milliseconds: the retention of an empty group's offsets counts
    /// from here.
    pub state_timestamp: i64,
    /// The members; none means that the group is empty.
    pub members: Vec<MemberRecord>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRecord {
    /// The member's id.
    pub member_id: MemberId,
    /// Its `group.instance.id`, when it is a static member.
    pub instance_id: Option<InstanceId>,
    /// The `client.id` it joined with.
    pub client_id: String,
    /// The address it joined from.
    pub client_host: String,
    /// How long it may be silent, milliseconds.
    pub session_timeout_ms: i32,
    /// How long it may take to rejoin, milliseconds.
    pub rebalance_timeout_ms: i32,
    /// The assignors it supports, the preferred one first.
    pub protocols: Vec<Protocol>,
    /// What the leader assigned to it.
    pub assignment: Bytes,
}

/// An assignor that a member supports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protocol {
    /// The assignor's name, such as `range`.
    pub name: String,
    /// What the member tells the assignor; for consumers its subscription.
    pub metadata: Bytes,
}
