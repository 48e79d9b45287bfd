//! The records that a lane polled and has not yet committed.

use std::borrow::Cow;
use std::collections::HashMap;

use broker::{Batch, Headers, Record, TimestampType};
use schemas::{Offset, Partition, Timestamp, Topic, TopicPartition};

use crate::ffi::Message;

/// Messages as librdkafka fetched them; nothing is copied.
#[derive(Default)]
pub(super) struct LaneBatch {
    pub(super) messages: Vec<Message>,
    /// Per message, its index into `partitions`.
    partition_of: Vec<usize>,
    partitions: Vec<TopicPartition>,
    /// Topics by the number that their messages carry, which is good as long as the messages are.
    index: HashMap<(usize, i32), usize>,
    /// The partition of the last message: most messages have the same.
    last: Option<((usize, i32), usize)>,
}

impl LaneBatch {
    /// Empties it, keeping its memory.
    pub(super) fn clear(&mut self) {
        self.messages.clear();
        self.partition_of.clear();
        self.partitions.clear();
        self.index.clear();
        self.last = None;
    }

    /// The index of a message's partition; a partition that no message here had yet gets one.
    pub(super) fn place(&mut self, message: &Message) -> Option<usize> {
        let raw = (message.topic_number(), message.partition());
        if let Some((last, place)) = self.last
            && last == raw
        {
            return Some(place);
        }
        let place = match self.index.get(&raw) {
            Some(place) => *place,
            None => {
                let topic = Topic::existing(message.topic()?);
                self.partitions.push(TopicPartition::new(topic, Partition(message.partition())));
                self.index.insert(raw, self.partitions.len() - 1);
                self.partitions.len() - 1
            }
        };
        self.last = Some((raw, place));
        Some(place)
    }

    /// Takes a message at a place that [`LaneBatch::place`] said.
    pub(super) fn push(&mut self, message: Message, place: usize) {
        self.messages.push(message);
        self.partition_of.push(place);
    }

    /// The index into the partitions, per message.
    pub(super) fn places(&self) -> &[usize] {
        &self.partition_of
    }
}

impl Batch for LaneBatch {
    fn len(&self) -> usize {
        self.messages.len()
    }

    fn record(&self, index: usize) -> Record<'_> {
        // The port asks for an index below the length; beyond it is the caller's mistake, as with a slice.
        let message = &self.messages[index];
        let (timestamp, by_broker) = message.timestamp();
        Record {
            partition: self.partition_of[index],
            offset: Offset(message.offset()),
            timestamp: Timestamp(timestamp),
            timestamp_type: if by_broker { TimestampType::LogAppendTime } else { TimestampType::CreateTime },
            key: message.key(),
            value: message.value(),
        }
    }

    fn headers(&self, index: usize) -> Headers<'_> {
        let headers = self.messages.get(index).map(Message::headers).unwrap_or_default();
        headers.into_iter().map(|(name, value)| (String::from_utf8_lossy(name), value.map(Cow::from))).collect()
    }

    fn partitions(&self) -> &[TopicPartition] {
        &self.partitions
    }
}
