//! Who may do what: the resources and operations of Kafka's access control.

use std::collections::BTreeSet;
use std::fmt;

use schemas::{GroupId, Topic, TransactionalId};

/// What something is done with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// The cluster as a whole.
    Cluster,
    /// A topic.
    Topic(Topic),
    /// A consumer group; it need not exist.
    Group(GroupId),
    /// A transactional id; it need not exist.
    TransactionalId(TransactionalId),
}

/// What is done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Reading records; for a group joining it and committing.
    Read,
    /// Writing records; for a transactional id using it.
    Write,
    /// Making it; for the cluster making topics.
    Create,
    /// Deleting it.
    Delete,
    /// Changing it, like its number of partitions.
    Alter,
    /// Seeing it.
    Describe,
    /// Acting as a broker.
    ClusterAction,
    /// Seeing its settings.
    DescribeConfigs,
    /// Changing its settings.
    AlterConfigs,
    /// Writing idempotently without any transactional id.
    IdempotentWrite,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Read,
        Self::Write,
        Self::Create,
        Self::Delete,
        Self::Alter,
        Self::Describe,
        Self::ClusterAction,
        Self::DescribeConfigs,
        Self::AlterConfigs,
        Self::IdempotentWrite,
    ];

    /// Every operation: where nobody controls access.
    #[must_use]
    pub fn all() -> BTreeSet<Self> {
        Self::ALL.into_iter().collect()
    }
}

impl fmt::Display for Operation {
    /// As Kafka's tools write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
