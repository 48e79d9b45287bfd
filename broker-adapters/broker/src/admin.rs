//! Topics and their settings.

use std::collections::{BTreeMap, BTreeSet};

use schemas::{GroupId, Offset, Partition, Topic, TopicPartition, TransactionalId};

use crate::access::{Operation, Resource};
use crate::lane::CommittedOffset;
use crate::log::Weather;

/// A broker of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its id.
    pub id: i32,
    /// Host and port as it advertises them.
    pub address: String,
}

/// The cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its id, where it tells one.
    pub id: Option<String>,
    /// Its brokers that are alive.
    pub nodes: Vec<NodeInfo>,
}

/// A topic to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub topic: Topic,
    /// Partitions; at least 1.
    pub partitions: u32,
    /// Copies; `None` takes the broker's default.
    pub replication: Option<u16>,
    /// Settings that differ from the broker's defaults, by Kafka's names.
    pub settings: BTreeMap<String, String>,
}

/// A topic as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDescription {
    /// Its name.
    pub topic: Topic,
    /// Partitions, with those that have no leader now.
    pub partitions: Vec<(Partition, bool)>,
    /// Copies of the first partition.
    pub replication: u16,
}

/// One setting of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its value; `None` where the broker does not show it.
    pub value: Option<String>,
    /// It was set on the topic itself and is not inherited.
    pub set_on_topic: bool,
}

/// A topic's settings by Kafka's names.
pub type TopicSetting = BTreeMap<String, ConfigEntry>;

/// One change of one setting; settings not named are left alone (Kafka's IncrementalAlterConfigs).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigChange {
    /// Set to this value.
    Set(String),
    /// Back to what is inherited.
    Unset,
}

/// Why an administrative call did nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// It exists already.
    #[error("topic {0} exists already")]
    Exists(Topic),
    /// It does not exist.
    #[error("topic {0} does not exist")]
    Missing(Topic),
    /// The broker refuses it for what it is, or for who asks.
    #[error("cannot {what}: {why}")]
    Refused {
        /// What was asked.
        what: String,
        /// The broker's words.
        why: String,
    },
    /// The broker cannot serve.
    #[error(transparent)]
    Weather(#[from] Weather),
}

/// Administration of a log.
pub trait Admin {
    /// Who the brokers are; the cheapest question that proves a connection.
    ///
    /// # Errors
    /// [`Weather`].
    fn cluster(&self) -> Result<Cluster, Weather>;

    /// Every topic, internal ones too.
    ///
    /// # Errors
    /// [`Weather`].
    fn topics(&self) -> Result<Vec<TopicDescription>, Weather>;

    /// One topic; `None` where it does not exist.
    ///
    /// # Errors
    /// [`Weather`].
    fn topic(&self, topic: &Topic) -> Result<Option<TopicDescription>, Weather>;

    /// A topic's settings.
    ///
    /// # Errors
    /// [`AdminError::Missing`], [`AdminError::Refused`], [`AdminError::Weather`].
    fn settings(&self, topic: &Topic) -> Result<TopicSetting, AdminError>;

    /// Creates topics, all in one request, and waits until each has leaders. One result per topic, in order.
    ///
    /// # Errors
    /// [`Weather`] where the request as a whole was not answered.
    fn create_topics(&self, topics: &[NewTopic]) -> Result<Vec<Result<(), AdminError>>, Weather>;

    /// Raises the number of partitions to `count`.
    ///
    /// # Errors
    /// [`AdminError`].
    fn add_partitions(&self, topic: &Topic, count: u32) -> Result<(), AdminError>;

    /// Changes these settings and no others.
    ///
    /// # Errors
    /// [`AdminError`].
    fn alter_settings(&self, topic: &Topic, changes: &BTreeMap<String, ConfigChange>) -> Result<(), AdminError>;

    /// Deletes a topic with all that it holds.
    ///
    /// # Errors
    /// [`AdminError`].
    fn delete_topic(&self, topic: &Topic) -> Result<(), AdminError>;

    /// The first offset and the end of each partition: the last stable offset where `committed`, else the
    /// high watermark.
    ///
    /// # Errors
    /// [`Weather`].
    fn ends(
        &self,
        partitions: &[TopicPartition],
        committed: bool,
    ) -> Result<BTreeMap<TopicPartition, (Offset, Offset)>, Weather>;

    /// What a group has committed for these partitions; those without are left out.
    ///
    /// # Errors
    /// [`Weather`].
    fn group_offsets(
        &self,
        group: &GroupId,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, Weather>;

    /// What whoever is connected may do with a resource; nothing where they may not even see it. A transactional
    /// id can only be asked about by taking it over, which fences whoever has it: ask for one that nobody uses.
    /// Everything, where nobody controls access.
    ///
    /// # Errors
    /// [`AdminError::Missing`] for a topic that does not exist, [`AdminError::Refused`], [`AdminError::Weather`].
    fn allowed(&self, resource: &Resource) -> Result<BTreeSet<Operation>, AdminError> {
        let _everybody_may = resource;
        Ok(Operation::all())
    }

    /// By how many milliseconds the broker's clock is ahead of ours at least, negative where it is behind; `None`
    /// where the topic's records do not carry the broker's time. Found out by a record that is written to the
    /// topic's first partition under this transactional id and taken back: no committed reader ever sees it.
    ///
    /// # Errors
    /// [`Weather`], also where this is not allowed.
    fn clock_ahead(&self, topic: &Topic, id: &TransactionalId) -> Result<Option<i64>, Weather> {
        let _one_clock = (topic, id);
        Ok(Some(0))
    }
}
