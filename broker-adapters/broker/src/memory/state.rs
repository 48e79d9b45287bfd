//! What the whole cluster is: topics, transactional producers, group offsets. One value under one lock;
//! every method is one step that a real cluster would take at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::{GroupId, Offset, Partition, Timestamp, Topic, TopicPartition, TransactionalId};

use super::faults::Faults;
use super::partition::{PartitionLog, Stored};
use super::partitioner::partition_of;
use super::settings;
use super::slots::SlotGroup;
use crate::lane::{CommittedOffset, TimestampType};

/// Kafka's `offset.metadata.max.bytes`.
const METADATA_MAX: usize = 4096;

/// One topic.
#[derive(Debug)]
pub(super) struct TopicState {
    pub(super) partitions: Vec<PartitionLog>,
    pub(super) replication: u16,
    pub(super) settings: BTreeMap<String, String>,
    round_robin: usize,
}

impl TopicState {
    pub(super) fn new(partitions: u32, replication: u16, settings: BTreeMap<String, String>) -> Self {
        let partitions = (0..partitions).map(|_| PartitionLog::default()).collect();
        Self { partitions, replication, settings, round_robin: 0 }
    }

    fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str).or_else(|| settings::default_of(name))
    }

    fn choose(&mut self, key: Option<&[u8]>) -> Partition {
        let count = self.partitions.len();
        let index = match key {
            Some(key) => partition_of(key, count),
            None => {
                self.round_robin = self.round_robin.wrapping_add(1);
                self.round_robin % count.max(1)
            }
        };
        Partition(i32::try_from(index).unwrap_or(0))
    }

    /// Why the topic does not take this record, if it does not.
    fn refuses(&self, record: &Stored, now: Timestamp) -> Option<String> {
        let number = |name: &str| self.setting(name).and_then(|text| text.parse::<i64>().ok());
        let size = record.on_the_wire();
        if let Some(max) = number("max.message.bytes")
            && i64::try_from(size).unwrap_or(i64::MAX) > max
        {
            return Some(format!("a batch of {size} bytes is larger than max.message.bytes, {max}"));
        }
        if record.key.is_none() && self.setting("cleanup.policy").is_some_and(|policy| policy.contains("compact")) {
            return Some("a compacted topic does not take a record without a key".to_owned());
        }
        // Kafka bounds timestamps by default too; here only where the topic says so, or fixed times in
        // tests would go out of date.
        let ahead = record.timestamp.0.saturating_sub(now.0);
        for (name, distance) in
            [("message.timestamp.after.max.ms", ahead), ("message.timestamp.before.max.ms", ahead.saturating_neg())]
        {
            let max = self.settings.get(name).and_then(|text| text.parse::<i64>().ok());
            if max.is_some_and(|max| distance > max) {
                return Some(format!("timestamp {} is out of the bounds of {name}", record.timestamp));
            }
        }
        None
    }
}

/// A transactional producer as the coordinator knows it.
#[derive(Debug, Default)]
struct Producer {
    epoch: u32,
    open: Option<OpenTransaction>,
}

#[derive(Debug)]
struct OpenTransaction {
    serial: u64,
    touched: BTreeSet<TopicPartition>,
    offsets: Vec<(GroupId, TopicPartition, CommittedOffset)>,
    deadline: Instant,
}

/// Why a step of a transaction did not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StepError {
    /// A newer epoch exists.
    Fenced,
    /// The record is refused for what it is.
    Refused(String),
    /// The partition, or its topic, is away.
    Away(String),
}

/// The cluster.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) topics: BTreeMap<Topic, TopicState>,
    pub(super) offsets: BTreeMap<(GroupId, TopicPartition), CommittedOffset>,
    pub(super) slot_groups: BTreeMap<GroupId, SlotGroup>,
    pub(super) faults: Faults,
    /// Nothing can be reached, for this reason.
    pub(super) outage: Option<String>,
    producers: BTreeMap<TransactionalId, Producer>,
    serial: u64,
}

impl State {
    /// The log of a partition, if it is there and has a leader.
    pub(super) fn log(&self, partition: &TopicPartition) -> Result<&PartitionLog, String> {
        let log = self.any_log(partition).ok_or_else(|| format!("{partition} does not exist"))?;
        if log.away {
            return Err(format!("{partition} has no leader"));
        }
        Ok(log)
    }

    /// The log of a partition, led or not.
    pub(super) fn any_log(&self, partition: &TopicPartition) -> Option<&PartitionLog> {
        let index = usize::try_from(partition.partition.0).ok()?;
        self.topics.get(&partition.topic)?.partitions.get(index)
    }

    /// The same, to be changed.
    pub(super) fn log_mut(&mut self, partition: &TopicPartition) -> Option<&mut PartitionLog> {
        let index = usize::try_from(partition.partition.0).ok()?;
        self.topics.get_mut(&partition.topic)?.partitions.get_mut(index)
    }

    /// Initialises a producer: ends the open transaction of whoever had the id, and fences it.
    pub(super) fn init_producer(&mut self, id: &TransactionalId) -> u32 {
        self.end_open(id, false);
        let producer = self.producers.entry(id.clone()).or_default();
        producer.epoch += 1;
        producer.epoch
    }

    /// Whether this epoch is still the newest.
    pub(super) fn check(&self, id: &TransactionalId, epoch: u32) -> Result<(), StepError> {
        match self.producers.get(id) {
            Some(producer) if producer.epoch == epoch => Ok(()),
            _ => Err(StepError::Fenced),
        }
    }

    /// Begins a transaction; one that was left open is aborted first.
    pub(super) fn begin(&mut self, id: &TransactionalId, epoch: u32, timeout: Duration) -> Result<(), StepError> {
        self.check(id, epoch)?;
        self.end_open(id, false);
        self.serial += 1;
        let serial = self.serial;
        let deadline = Instant::now() + timeout;
        if let Some(producer) = self.producers.get_mut(id) {
            producer.open = Some(OpenTransaction { serial, touched: BTreeSet::new(), offsets: Vec::new(), deadline });
        }
        Ok(())
    }

    /// Appends a record to the transaction; `partition` `None` chooses one.
    pub(super) fn append(
        &mut self,
        id: &TransactionalId,
        epoch: u32,
        topic: &Topic,
        partition: Option<Partition>,
        record: &Arc<Stored>,
    ) -> Result<(TopicPartition, Offset), StepError> {
        self.check(id, epoch)?;
        let now = Timestamp::now();
        let missing = || StepError::Away(format!("topic {topic} does not exist"));
        let state = self.topics.get_mut(topic).ok_or_else(missing)?;
        let partition = partition.unwrap_or_else(|| state.choose(record.key.as_deref()));
        let target = TopicPartition::new(topic.clone(), partition);
        if let Some(reason) = state.refuses(record, now) {
            return Err(StepError::Refused(reason));
        }
        let record = stamped(state, record, now);
        self.log(&target).map_err(StepError::Away)?;
        let open = self.producers.get_mut(id).and_then(|producer| producer.open.as_mut()).ok_or(StepError::Fenced)?;
        open.touched.insert(target.clone());
        let serial = open.serial;
        let log = self.log_mut(&target).ok_or_else(|| StepError::Away(format!("{target} does not exist")))?;
        Ok((target, Offset(log.append(serial, record))))
    }

    /// Adds offsets of a group to the transaction.
    pub(super) fn add_offsets(
        &mut self,
        id: &TransactionalId,
        epoch: u32,
        group: &GroupId,
        offsets: &[(TopicPartition, CommittedOffset)],
    ) -> Result<(), StepError> {
        self.check(id, epoch)?;
        for (partition, committed) in offsets {
            if committed.metadata.len() > METADATA_MAX {
                let length = committed.metadata.len();
                return Err(StepError::Refused(format!(
                    "the offset metadata of {partition} has {length} bytes, more than {METADATA_MAX}"
                )));
            }
        }
        let open = self.producers.get_mut(id).and_then(|producer| producer.open.as_mut()).ok_or(StepError::Fenced)?;
        open.offsets.extend(offsets.iter().map(|(partition, at)| (group.clone(), partition.clone(), at.clone())));
        Ok(())
    }

    /// Commits or aborts the transaction.
    pub(super) fn end(&mut self, id: &TransactionalId, epoch: u32, commit: bool) -> Result<(), StepError> {
        self.check(id, epoch)?;
        self.end_open(id, commit);
        Ok(())
    }

    /// Aborts the transaction of `id` as the coordinator does when it takes too long, and fences its owner.
    pub(super) fn expire_transaction(&mut self, id: &TransactionalId) {
        if self.producers.get(id).is_some_and(|producer| producer.open.is_some()) {
            self.init_producer(id);
        }
    }

    /// Expires every transaction that took too long.
    pub(super) fn expire_transactions(&mut self, now: Instant) -> bool {
        let late: Vec<TransactionalId> = self
            .producers
            .iter()
            .filter(|(_, producer)| producer.open.as_ref().is_some_and(|open| open.deadline <= now))
            .map(|(id, _)| id.clone())
            .collect();
        for id in &late {
            self.expire_transaction(id);
        }
        !late.is_empty()
    }

    fn end_open(&mut self, id: &TransactionalId, commit: bool) {
        let Some(open) = self.producers.get_mut(id).and_then(|producer| producer.open.take()) else { return };
        for partition in &open.touched {
            if let Some(log) = self.log_mut(partition) {
                log.end_transaction(open.serial, commit);
            }
        }
        if commit {
            for (group, partition, committed) in open.offsets {
                self.offsets.insert((group, partition), committed);
            }
        }
    }
}

/// The record as this topic keeps it: with the broker's time, where the topic says so.
fn stamped(topic: &TopicState, record: &Arc<Stored>, now: Timestamp) -> Arc<Stored> {
    let (timestamp, timestamp_type) = if topic.setting("message.timestamp.type") == Some("LogAppendTime") {
        (now, TimestampType::LogAppendTime)
    } else {
        (record.timestamp, TimestampType::CreateTime)
    };
    if record.timestamp == timestamp && record.timestamp_type == timestamp_type {
        return Arc::clone(record);
    }
    Arc::new(Stored { timestamp, timestamp_type, ..Stored::clone(record) })
}
