//! Reading partitions outside a lane.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Chunk, Isolation, OwnedRecord, Position, Reader, TimestampType, Weather};
use rdkafka::Offset as RawOffset;
use rdkafka::consumer::Consumer;
use rdkafka::types::RDKafkaErrorCode;
use schemas::{Offset, Partition, Timestamp, Topic, TopicPartition};

use crate::asking::{Asker, isolation_name};
use crate::ffi::{Inlet, Message};
use crate::offsets::{positioned, unpositioned};
use crate::options::KafkaOptions;

/// Bounds of one chunk: records, and bytes of keys and values after which no further record is taken.
const CHUNK_RECORDS: usize = 4_096;
const CHUNK_BYTES: usize = 8 * 1024 * 1024;

/// What is fetched ahead, in KiB. Small: control topics are small, and a reader is one of many.
const QUEUE_KIB: &str = "16384";

struct Cursor {
    position: Offset,
    at_end: bool,
}

/// A consumer that joins no group.
pub(crate) struct KafkaReader {
    inlet: Arc<Inlet>,
    /// In a fixed order; topics by name, so that a message finds its cursor without an allocation.
    cursors: BTreeMap<Topic, BTreeMap<i32, Cursor>>,
}

/// Where to begin, and whether that is the end already.
fn starts(asker: &Asker, from: &[(TopicPartition, Position)]) -> Result<Vec<(TopicPartition, Offset, bool)>, Weather> {
    let partitions: Vec<TopicPartition> = from.iter().map(|(partition, _)| partition.clone()).collect();
    let since = asker.offsets_at(from.iter().filter_map(|(partition, position)| match position {
        Position::Since(time) => Some((partition, RawOffset::Offset(time.0))),
        _ => None,
    }))?;
    let ends = asker.ends(&partitions)?;
    from.iter()
        .map(|(partition, position)| {
            let (first, end) = *ends
                .get(partition)
                .ok_or_else(|| Weather::new(format!("find the ends of {partition}"), "the broker did not tell them"))?;
            let start = match position {
                Position::Beginning => first,
                Position::End => end,
                Position::At(offset) => (*offset).max(first),
                Position::Since(_) => since.get(partition).copied().unwrap_or(end).min(end),
            };
            Ok((partition.clone(), start, start >= end))
        })
        .collect()
}

impl KafkaReader {
    /// Reads `from` on.
    pub(crate) fn open(
        options: &KafkaOptions,
        asker: &Asker,
        from: &[(TopicPartition, Position)],
        isolation: Isolation,
    ) -> Result<Self, Weather> {
        let starts = starts(asker, from)?;
        let mut config = options.consumer(&format!("{}.reader", options.client_id));
        config
            .set("isolation.level", isolation_name(isolation))
            .set("queued.max.messages.kbytes", QUEUE_KIB)
            .set("fetch.wait.max.ms", "100");
        let inlet = Inlet::new(&config).map_err(|error| Weather::new("make a reader", error))?;
        let mut cursors: BTreeMap<Topic, BTreeMap<i32, Cursor>> = BTreeMap::new();
        for (partition, position, at_end) in &starts {
            let cursor = Cursor { position: *position, at_end: *at_end };
            cursors.entry(partition.topic.clone()).or_default().insert(partition.partition.0, cursor);
        }
        let reader = Self { inlet, cursors };
        reader.seek(starts.iter().map(|(partition, position, _)| (partition, *position)))?;
        Ok(reader)
    }

    fn seek<'a>(&self, to: impl Iterator<Item = (&'a TopicPartition, Offset)>) -> Result<(), Weather> {
        let list = positioned(to)?;
        let assigned = self.inlet.consumer().map(|consumer| consumer.incremental_assign(&list));
        assigned.unwrap_or(Ok(())).map_err(|error| Weather::new("assign the partitions of a reader", error))
    }

    fn cursor(&mut self, message: &Message) -> Option<(Topic, &mut Cursor)> {
        let name = message.topic()?;
        // A topic compares as its name, but is looked up by a value of its own type.
        let topic = Topic::existing(name);
        let cursor = self.cursors.get_mut(&topic)?.get_mut(&message.partition())?;
        Some((topic, cursor))
    }

    fn all_at_end(&self) -> bool {
        self.cursors.values().flat_map(BTreeMap::values).all(|cursor| cursor.at_end)
    }

    /// Takes a record in.
    fn accept(&mut self, message: &Message, chunk: &mut Chunk) -> usize {
        let Some((topic, cursor)) = self.cursor(message) else { return 0 };
        let offset = Offset(message.offset());
        if offset < cursor.position {
            return 0;
        }
        cursor.position = offset.next();
        cursor.at_end = false;
        let source = TopicPartition::new(topic, Partition(message.partition()));
        let record = owned(message, source);
        let size = record.key.as_ref().map_or(0, Vec::len) + record.value.as_ref().map_or(0, Vec::len);
        chunk.records.push(record);
        size
    }

    /// Takes an event in.
    fn event(&mut self, message: &Message, code: RDKafkaErrorCode) -> Result<(), Weather> {
        let offset = Offset(message.offset());
        match (code, self.cursor(message)) {
            (RDKafkaErrorCode::PartitionEOF, Some((_, cursor))) => {
                cursor.position = cursor.position.max(offset);
                cursor.at_end = true;
                Ok(())
            }
            (RDKafkaErrorCode::AutoOffsetReset, Some((topic, cursor))) => {
                let position = cursor.position;
                self.go_on_after_loss(TopicPartition::new(topic, Partition(message.partition())), position)
            }
            // A reader joins no group and commits nothing: who may not use its group may read all the same.
            (RDKafkaErrorCode::GroupAuthorizationFailed, None) => Ok(()),
            (code, found) => {
                let what = found
                    .map_or_else(|| "read".to_owned(), |(topic, _)| format!("read {topic}/{}", message.partition()));
                Err(Weather::new(what, format!("{} ({code})", message.error_text())))
            }
        }
    }

    /// The position was removed under the reader: it goes on with the first record at or after it.
    fn go_on_after_loss(&mut self, partition: TopicPartition, position: Offset) -> Result<(), Weather> {
        let consumer = self.inlet.consumer();
        let watermarks = consumer.map(|consumer| {
            consumer.fetch_watermarks(partition.topic.as_str(), partition.partition.0, crate::CALL_DEADLINE)
        });
        let what = || format!("read {partition} at {position}");
        let (first, end) = match watermarks {
            Some(found) => found.map_err(|error| Weather::new(what(), error))?,
            None => return Ok(()),
        };
        if position.0 > end {
            return Err(Weather::new(what(), format!("the topic ends at {end}; was it made anew?")));
        }
        let start = position.max(Offset(first));
        if let Some(consumer) = consumer {
            consumer
                .incremental_unassign(&unpositioned(std::iter::once(&partition)))
                .map_err(|error| Weather::new(what(), error))?;
        }
        self.seek(std::iter::once((&partition, start)))?;
        if let Some(cursor) =
            self.cursors.get_mut(&partition.topic).and_then(|cursors| cursors.get_mut(&partition.partition.0))
        {
            cursor.position = start;
        }
        Ok(())
    }
}

fn owned(message: &Message, source: TopicPartition) -> OwnedRecord {
    let (timestamp, by_broker) = message.timestamp();
    OwnedRecord {
        source,
        offset: Offset(message.offset()),
        timestamp: Timestamp(timestamp),
        timestamp_type: if by_broker { TimestampType::LogAppendTime } else { TimestampType::CreateTime },
        key: message.key().map(<[u8]>::to_vec),
        value: message.value().map(<[u8]>::to_vec),
        headers: message
            .headers()
            .into_iter()
            .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.map(<[u8]>::to_vec)))
            .collect(),
    }
}

impl Reader for KafkaReader {
    fn poll(&mut self, max_wait: Duration) -> Result<Chunk, Weather> {
        let deadline = Instant::now() + max_wait;
        let mut chunk = Chunk::default();
        let mut bytes = 0;
        let was_at_end = self.all_at_end();
        let mut weather = None;
        let mut messages: Vec<Message> = Vec::new();
        while chunk.records.len() < CHUNK_RECORDS && bytes < CHUNK_BYTES && weather.is_none() {
            if self.inlet.take(128, Duration::ZERO, &mut messages) == 0 {
                let settled = !chunk.records.is_empty() || (!was_at_end && self.all_at_end());
                let left = deadline.saturating_duration_since(Instant::now());
                if settled || left.is_zero() {
                    break;
                }
                // Waiting is for one message: the call waits until as many are there as are asked for.
                self.inlet.take(1, left, &mut messages);
            }
            for message in messages.drain(..) {
                match message.error() {
                    None => bytes += self.accept(&message, &mut chunk),
                    Some(code) => weather = self.event(&message, code).err().or(weather),
                }
            }
        }
        match weather {
            Some(weather) if chunk.records.is_empty() => Err(weather),
            _ => {
                chunk.at_end = self.all_at_end();
                Ok(chunk)
            }
        }
    }

    fn positions(&self) -> Vec<(TopicPartition, Offset)> {
        let cursors = self
            .cursors
            .iter()
            .flat_map(|(topic, cursors)| cursors.iter().map(move |(partition, cursor)| (topic, partition, cursor)));
        cursors
            .map(|(topic, partition, cursor)| {
                (TopicPartition::new(topic.clone(), Partition(*partition)), cursor.position)
            })
            .collect()
    }
}
