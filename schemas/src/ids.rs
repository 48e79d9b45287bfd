//! Ids and positions on a cluster, as types.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A name that does not follow the rule of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {name:?} {rule}")]
pub struct InvalidName {
    /// What was being named: "domain", "topic", …
    pub kind: &'static str,
    /// The name as given.
    pub name: String,
    /// The rule it breaks, as the end of a sentence: "may hold only a-z, 0-9 and -".
    pub rule: &'static str,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a name as it stands on the cluster; nothing is checked, because what exists there exists.
            pub fn existing(name: impl Into<Arc<str>>) -> Self {
                Self(name.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

text_id! {
    /// The name of a Kafka topic.
    Topic
}
text_id! {
    /// The name of a consumer group.
    GroupId
}
text_id! {
    /// The id under which a transactional producer fences its predecessors.
    TransactionalId
}
text_id! {
    /// A subject of the schema registry.
    Subject
}

impl Subject {
    /// The subject of a topic's values under the registry's default naming strategy (`TopicNameStrategy`).
    pub fn value_of(topic: &Topic) -> Self {
        Self(format!("{topic}-value").into())
    }

    /// The subject of a topic's keys under `TopicNameStrategy`.
    pub fn key_of(topic: &Topic) -> Self {
        Self(format!("{topic}-key").into())
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// The number of a partition of a topic, from 0.
    Partition(i32)
}
number! {
    /// A position in a partition. As a committed position it is the offset of the *next* record to read.
    #[derive(Default)]
    Offset(i64)
}
number! {
    /// The id that a registry gave a schema; on the wire four bytes, big-endian.
    SchemaId(u32)
}
number! {
    /// One of the fixed number of slots that inbox partitions hash onto.
    Slot(u16)
}
number! {
    /// Milliseconds since 1970-01-01T00:00:00Z, as Kafka keeps them.
    Timestamp(i64)
}

impl Offset {
    /// The first offset of a partition that lost nothing yet.
    pub const ZERO: Self = Self(0);

    /// The position after a record at this offset: the one helper that turns "last read" into "next to read".
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Slot {
    /// The slot of an inbox partition where there are `slots` of them (at least 1): FNV-1a over the topic's
    /// name and the partition's number. Never changes, because processes of two releases share the slots.
    pub fn of(inbox: &TopicPartition, slots: u16) -> Self {
        let number = inbox.partition.0.to_be_bytes();
        let hash =
            inbox.topic.as_str().bytes().chain(number).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            });
        // The low bits of FNV-1a are its weakest; fold the high ones in.
        let mixed = hash ^ (hash >> 32);
        Self(u16::try_from(mixed % u64::from(slots.max(1))).unwrap_or(0))
    }
}

impl Timestamp {
    /// The wall clock now. Only the rim of a program asks for it; everything pure is given the time.
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Topic,
    /// The partition of it.
    pub partition: Partition,
}

impl TopicPartition {
    /// Partition `partition` of `topic`.
    pub fn new(topic: Topic, partition: Partition) -> Self {
        Self { topic, partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_spread_over_the_slots_and_stay_there() {
        let inbox = |partition| TopicPartition::new(Topic::existing("inbox.orders.orders.v1"), Partition(partition));
        let mut counts = [0; 4];
        for partition in 0..1000 {
            counts[usize::from(Slot::of(&inbox(partition), 4).0)] += 1;
        }
        assert!(counts.iter().all(|count| (150..350).contains(count)), "{counts:?}");
        assert_eq!((0..4).map(|p| Slot::of(&inbox(p), 4).0).collect::<Vec<_>>(), [1, 2, 3, 0]);
    }

    #[test]
    fn the_position_after_a_record_never_wraps() {
        assert_eq!(Offset(41).next(), Offset(42));
        assert_eq!(Offset(i64::MAX).next(), Offset(i64::MAX));
    }
}
