//! What a lane reads: the partitions it holds, where each stands, and the messages at hand.
//!
//! A partition that waits is not paused but taken away from the consumer and given back later, at the position
//! that is known here: librdkafka resumes at a position of its own, which events of a partition can move.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Destination, InboxPartition, Incident, PollLimits, Weather};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::types::RDKafkaErrorCode;
use schemas::{Offset, Partition, Topic, TopicPartition};

use super::batch::LaneBatch;
use crate::asking;
use crate::ffi::{Inlet, Message};
use crate::offsets::{partition_of, positioned, unpositioned};

/// How many messages are taken at once: more go cold before they are judged.
const TAKE: usize = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// The consumer has it.
    Reads,
    /// A route said to wait; [`Intake::resume`] goes on.
    Waits,
    /// Its position is gone; only a new assignment goes on.
    Lost,
}

/// A partition of the lane.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) destination: Destination,
    /// Committed before the next transaction.
    pub(super) committed: Offset,
    /// After the last record that was polled, and after what holds none as far as that is known.
    pub(super) position: Offset,
    flow: Flow,
    /// One after the highest offset that an event carried: up to here the client's own position may be wrong.
    event: Offset,
    /// It was said that it cannot be read, and nothing came since.
    unavailable: bool,
}

/// See the module.
pub(super) struct Intake {
    inlet: Arc<Inlet>,
    held: BTreeMap<TopicPartition, Held>,
    /// Taken from the client and not yet given out: beyond a limit.
    pending: VecDeque<Message>,
}

impl Intake {
    pub(super) fn new(inlet: Arc<Inlet>) -> Self {
        Self { inlet, held: BTreeMap::new(), pending: VecDeque::new() }
    }

    fn consumer(&self) -> Result<&BaseConsumer, Weather> {
        self.inlet.consumer().ok_or_else(|| Weather::new("read", "the consumer is closed"))
    }

    pub(super) fn held(&self, partition: &TopicPartition) -> Option<&Held> {
        self.held.get(partition)
    }

    /// What the coordinator holds.
    pub(super) fn committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, broker::CommittedOffset>, Weather> {
        let found = asking::committed_by_group(self.consumer()?, partitions)?.into_iter();
        Ok(found
            .map(|entry| {
                let committed =
                    broker::CommittedOffset { offset: Offset(entry.offset), metadata: entry.metadata.clone() };
                (partition_of(&entry), committed)
            })
            .collect())
    }

    /// Whether the message at hand is of a partition.
    fn is_of(message: &Message, partition: &TopicPartition) -> bool {
        message.partition() == partition.partition.0 && message.topic() == Some(partition.topic.as_str())
    }

    /// Takes partitions away from the consumer. What it had fetched of them is dropped.
    fn withdraw(&mut self, partitions: &[TopicPartition]) -> Result<(), Weather> {
        if partitions.is_empty() {
            return Ok(());
        }
        self.pending.retain(|message| !partitions.iter().any(|partition| Self::is_of(message, partition)));
        let list = unpositioned(partitions.iter());
        self.consumer()?
            .incremental_unassign(&list)
            .map_err(|error| Weather::new("take partitions from the lane's consumer", error))
    }

    /// Gives partitions to the consumer, each at its position.
    fn supply(&mut self, partitions: &[TopicPartition]) -> Result<(), Weather> {
        if partitions.is_empty() {
            return Ok(());
        }
        let list = positioned(
            partitions.iter().filter_map(|partition| Some((partition, self.held.get(partition)?.position))),
        )?;
        self.consumer()?
            .incremental_assign(&list)
            .map_err(|error| Weather::new("give partitions to the lane's consumer", error))
    }

    fn reading(&self, partition: &TopicPartition) -> bool {
        self.held.get(partition).is_some_and(|held| held.flow == Flow::Reads)
    }

    /// Reads exactly these from now on.
    pub(super) fn assign(&mut self, partitions: &[InboxPartition]) -> Result<(), Weather> {
        let wanted: BTreeMap<&TopicPartition, &InboxPartition> =
            partitions.iter().map(|wanted| (&wanted.inbox, wanted)).collect();
        let gone: Vec<TopicPartition> = self.held.keys().filter(|inbox| !wanted.contains_key(inbox)).cloned().collect();
        let read: Vec<TopicPartition> = gone.iter().filter(|inbox| self.reading(inbox)).cloned().collect();
        self.withdraw(&read)?;
        for inbox in &gone {
            self.held.remove(inbox);
        }
        let mut fresh = Vec::new();
        for (inbox, wanted) in wanted {
            match self.held.get_mut(inbox).filter(|held| held.flow != Flow::Lost) {
                Some(held) => held.destination = wanted.destination.clone(),
                None => {
                    let held = Held {
                        destination: wanted.destination.clone(),
                        committed: wanted.start,
                        position: wanted.start,
                        flow: Flow::Reads,
                        event: Offset::ZERO,
                        unavailable: false,
                    };
                    self.held.insert(inbox.clone(), held);
                    fresh.push(inbox.clone());
                }
            }
        }
        self.supply(&fresh)
    }

    /// Goes back (or on) to these positions; a partition that waits keeps waiting, there.
    pub(super) fn seek(&mut self, to: &BTreeMap<TopicPartition, Offset>) -> Result<(), Weather> {
        let moved: Vec<TopicPartition> = to.keys().filter(|inbox| self.reading(inbox)).cloned().collect();
        self.withdraw(&moved)?;
        for (inbox, offset) in to {
            if let Some(held) = self.held.get_mut(inbox) {
                held.position = *offset;
            }
        }
        self.supply(&moved)
    }

    /// Goes back to what the coordinator holds, for every partition: after a transaction that did not end well
    /// nothing that is remembered counts. A start that was assigned may be ahead of what is committed.
    pub(super) fn rewind(&mut self) -> Result<(), Weather> {
        let partitions: Vec<TopicPartition> = self.held.keys().cloned().collect();
        let committed = self.committed(&partitions)?;
        let mut to = BTreeMap::new();
        for (inbox, held) in &mut self.held {
            if let Some(found) = committed.get(inbox) {
                held.committed = held.committed.max(found.offset);
            }
            if held.flow != Flow::Lost && held.position != held.committed {
                to.insert(inbox.clone(), held.committed);
            }
        }
        self.seek(&to)
    }

    /// Stops reading a partition at a record.
    pub(super) fn hold(&mut self, at: &BTreeMap<TopicPartition, Offset>) -> Result<(), Weather> {
        let moved: Vec<TopicPartition> = at.keys().filter(|inbox| self.reading(inbox)).cloned().collect();
        self.withdraw(&moved)?;
        for (inbox, offset) in at {
            if let Some(held) = self.held.get_mut(inbox) {
                held.position = *offset;
                held.flow = Flow::Waits;
            }
        }
        Ok(())
    }

    /// Reads a partition again that waits.
    pub(super) fn resume(&mut self, partition: &TopicPartition) -> Result<(), Weather> {
        match self.held.get_mut(partition) {
            Some(held) if held.flow == Flow::Waits => held.flow = Flow::Reads,
            _ => return Ok(()),
        }
        self.supply(std::slice::from_ref(partition))
    }

    /// The next offset after a partition's records that were given out, over what is known to hold no record.
    pub(super) fn after(&self, partition: &TopicPartition) -> Option<Offset> {
        let held = self.held.get(partition)?;
        let mut next = self.pending.iter().filter(|message| Self::is_of(message, partition)).peekable();
        if next.peek().is_some() {
            let record = next.find(|message| message.error().is_none());
            return Some(record.map_or(held.position, |record| Offset(record.offset()).max(held.position)));
        }
        // The client's position knows of markers after the last record before the end of the partition is
        // reported; it counts only where no event can have moved it.
        let client = self.inlet.client_position(partition.topic.as_str(), partition.partition.0).map(Offset);
        Some(client.filter(|client| *client > held.event).map_or(held.position, |client| client.max(held.position)))
    }

    /// A transaction moved a partition.
    pub(super) fn moved(&mut self, partition: &TopicPartition, to: Offset) {
        if let Some(held) = self.held.get_mut(partition) {
            held.committed = to;
            held.position = held.position.max(to);
        }
    }

    /// A partition's offset was committed without reading: it goes on there if it is not past it.
    pub(super) fn annotated(&mut self, partition: &TopicPartition, to: Offset) -> Result<(), Weather> {
        let Some(held) = self.held.get_mut(partition) else { return Ok(()) };
        held.committed = to;
        if held.position >= to {
            return Ok(());
        }
        self.seek(&BTreeMap::from([(partition.clone(), to)]))
    }

    /// Fills an empty batch; see [`broker::Lane::poll`].
    pub(super) fn fill(
        &mut self,
        max_wait: Duration,
        limits: PollLimits,
        batch: &mut LaneBatch,
    ) -> Result<Vec<Incident>, Weather> {
        let deadline = Instant::now() + max_wait;
        let mut incidents = Vec::new();
        let mut bytes = 0;
        while batch.messages.len() < limits.records && bytes < limits.bytes {
            if self.pending.is_empty() && self.inlet.take(TAKE, Duration::ZERO, &mut self.pending) == 0 {
                let left = deadline.saturating_duration_since(Instant::now());
                if !batch.messages.is_empty() || !incidents.is_empty() || left.is_zero() {
                    break;
                }
                // The call waits until as many are there as are asked for, hence one.
                self.inlet.take(1, left, &mut self.pending);
            }
            let Some(message) = self.pending.pop_front() else { continue };
            match message.error() {
                None => bytes += self.accept(message, batch),
                Some(code) => incidents.extend(self.event(&message, code)?),
            }
        }
        Ok(incidents)
    }

    /// Takes a record into the batch; its size in bytes.
    fn accept(&mut self, message: Message, batch: &mut LaneBatch) -> usize {
        let Some(place) = batch.place(&message) else { return 0 };
        let Some(held) = broker::Batch::partitions(batch).get(place).and_then(|inbox| self.held.get_mut(inbox)) else {
            return 0;
        };
        let offset = Offset(message.offset());
        if held.flow != Flow::Reads || offset < held.position {
            return 0;
        }
        held.position = offset.next();
        held.unavailable = false;
        let size = message.size();
        batch.push(message, place);
        size
    }

    /// What an event of a partition means.
    fn event(&mut self, message: &Message, code: RDKafkaErrorCode) -> Result<Option<Incident>, Weather> {
        let Some(topic) = message.topic() else {
            tracing::debug!("the lane's consumer says: {} ({code})", message.error_text());
            return Ok(None);
        };
        let inbox = TopicPartition::new(Topic::existing(topic), Partition(message.partition()));
        let Some(held) = self.held.get_mut(&inbox).filter(|held| held.flow == Flow::Reads) else { return Ok(None) };
        held.event = held.event.max(Offset(message.offset()).next());
        match code {
            RDKafkaErrorCode::PartitionEOF => {
                held.position = held.position.max(Offset(message.offset()));
                held.unavailable = false;
                Ok(None)
            }
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => {
                let position = held.position;
                self.withdraw(std::slice::from_ref(&inbox))?;
                if let Some(held) = self.held.get_mut(&inbox) {
                    held.flow = Flow::Lost;
                }
                Ok(Some(Incident::OutOfRange { inbox, position }))
            }
            code if held.unavailable => {
                tracing::debug!(%inbox, "still cannot be read: {} ({code})", message.error_text());
                Ok(None)
            }
            code => {
                held.unavailable = true;
                Ok(Some(Incident::Unavailable { inbox, why: format!("{} ({code})", message.error_text()) }))
            }
        }
    }
}
