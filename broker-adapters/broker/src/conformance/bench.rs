//! What scenarios share: topics of their own, a lane over them, and waiting for conditions.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use schemas::{Companion, Major, Offset, Partition, Slot, Timestamp, Topic, TopicPartition};

use super::{PATIENCE, World};
use crate::admin::NewTopic;
use crate::lane::{Control, Destination, InboxPartition, Incident, Lane, LaneOptions, PartitionOutput, PollLimits};
use crate::log::{Isolation, OutRecord, OwnedRecord, Position, Written};

/// What a scenario that met the unexpected says.
pub(super) type Outcome<T = ()> = Result<T, String>;

/// A step of a poll that waits.
pub(super) const STEP: Duration = Duration::from_millis(200);

/// Room for every batch of a scenario.
pub(super) const WIDE: PollLimits = PollLimits { records: 1_000, bytes: 1 << 20 };

/// A time that fits every topic's bounds: now, so that a real broker takes it.
pub(super) fn now() -> Timestamp {
    Timestamp::now()
}

/// Turns an error into the scenario's words.
pub(super) trait Said<T> {
    /// `doing` failed.
    fn said(self, doing: &str) -> Outcome<T>;
}

impl<T, E: Debug> Said<T> for Result<T, E> {
    fn said(self, doing: &str) -> Outcome<T> {
        self.map_err(|error| format!("{doing}: {error:?}"))
    }
}

/// Both are the same, or the scenario says what they are.
pub(super) fn same<T: PartialEq + Debug>(what: &str, found: &T, expected: &T) -> Outcome {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}: found {found:?}, expected {expected:?}"))
}

/// It holds, or the scenario says what was expected.
pub(super) fn holds(condition: bool, expected: impl FnOnce() -> String) -> Outcome {
    if condition { Ok(()) } else { Err(format!("expected that {}", expected())) }
}

/// Asks until the answer is yes (`Some`), for as long as a scenario has patience.
pub(super) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Outcome<Option<T>>) -> Outcome<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            return Err(format!("waited in vain for {what}"));
        }
        // Each ask is answered by the other side; this only keeps a fast one from being asked in a frenzy.
        std::thread::yield_now();
    }
}

/// A record to partition `partition`.
pub(super) fn record(topic: &Topic, partition: i32, key: &str, value: &str) -> OutRecord {
    OutRecord {
        topic: topic.clone(),
        partition: Some(Partition(partition)),
        key: Some(key.into()),
        value: Some(value.into()),
        headers: Vec::new(),
        timestamp: None,
    }
}

/// Settings by name.
pub(super) type Settings<'a> = &'a [(&'a str, &'a str)];

/// Creates topics: name, partitions, settings.
pub(super) fn create(world: &World, topics: &[(&Topic, u32, Settings<'_>)]) -> Outcome {
    let new: Vec<NewTopic> = topics
        .iter()
        .map(|(topic, partitions, settings)| NewTopic {
            topic: (*topic).clone(),
            partitions: *partitions,
            replication: None,
            settings: settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        })
        .collect();
    for created in world.broker.create_topics(&new).said("create topics")? {
        created.said("create a topic")?;
    }
    Ok(())
}

/// One of the three topics of a scenario.
pub(super) fn topic(world: &World, companion: Companion, scenario: &str) -> Outcome<Topic> {
    let product = format!("conformance.{scenario}").parse().said("name a product")?;
    Ok(world.names.topic(companion, &product, Major(1)))
}

/// Writes records as `run`.
pub(super) fn write(world: &World, run: &str, records: Vec<OutRecord>) -> Outcome<Vec<Written>> {
    let mut writer = world.broker.writer(&world.names.produce_producer(run)).said("make a writer")?;
    writer.commit(records, None).said("write")
}

/// Reads from the beginning until there are `count` records and the end is reached.
pub(super) fn read(world: &World, topic: &Topic, partition: i32, count: usize) -> Outcome<Vec<OwnedRecord>> {
    read_as(world, topic, partition, count, Isolation::Committed)
}

/// The same, at this isolation.
pub(super) fn read_as(
    world: &World,
    topic: &Topic,
    partition: i32,
    count: usize,
    isolation: Isolation,
) -> Outcome<Vec<OwnedRecord>> {
    let from = [(TopicPartition::new(topic.clone(), Partition(partition)), Position::Beginning)];
    let mut reader = world.broker.reader(&from, isolation).said("make a reader")?;
    let (mut records, mut at_end) = (Vec::new(), false);
    eventually(&format!("{count} records of {topic}/{partition}"), || {
        let chunk = reader.poll(STEP).said("read")?;
        records.extend(chunk.records);
        at_end = chunk.at_end;
        Ok((records.len() >= count && at_end).then_some(()))
    })?;
    same(&format!("the number of records of {topic}/{partition}"), &records.len(), &count)?;
    Ok(records)
}

/// A product's three topics, a control topic, and the slot that reads the inbox.
pub(super) struct Bench<'w> {
    pub(super) world: &'w World,
    pub(super) inbox: Topic,
    pub(super) product: Topic,
    pub(super) quarantine: Topic,
    pub(super) control: Topic,
    slot: Slot,
    partitions: i32,
}

impl<'w> Bench<'w> {
    /// Topics with this many partitions and these settings of the product topic.
    pub(super) fn new(world: &'w World, scenario: &str, partitions: i32, settings: Settings<'_>) -> Outcome<Self> {
        let bench = Self {
            world,
            inbox: topic(world, Companion::Inbox, scenario)?,
            product: topic(world, Companion::Product, scenario)?,
            quarantine: topic(world, Companion::Quarantine, scenario)?,
            control: topic(world, Companion::Product, &format!("{scenario}-control"))?,
            slot: Slot(7),
            partitions,
        };
        let count = u32::try_from(partitions).said("count partitions")?;
        create(
            world,
            &[
                (&bench.inbox, count, &[]),
                (&bench.product, count, settings),
                (&bench.quarantine, count, &[]),
                (&bench.control, 1, &[]),
            ],
        )?;
        Ok(bench)
    }

    pub(super) fn at(&self, partition: i32) -> TopicPartition {
        TopicPartition::new(self.inbox.clone(), Partition(partition))
    }

    /// Writes values into partition `partition` of the inbox, in one transaction.
    pub(super) fn fill(&self, partition: i32, values: &[&str]) -> Outcome {
        let records = values.iter().map(|value| record(&self.inbox, partition, value, value)).collect();
        write(self.world, &format!("fill-{}", self.inbox), records).map(drop)
    }

    /// Takes the slot.
    pub(super) fn take(&self) -> Outcome<Box<dyn Lane>> {
        let options = LaneOptions {
            transactional_id: self.world.names.slot_producer(self.slot),
            offsets_group: self.world.names.offsets_group(),
            transaction_timeout: PATIENCE,
            delivery_timeout: Duration::from_secs(15),
            queue_bytes: 1 << 20,
            fetch_bytes_per_partition: 64 << 10,
        };
        self.world.broker.lane(self.slot, &options).said("take the slot")
    }

    /// The inbox's partitions, all to be read from `start`.
    pub(super) fn assignment(&self, start: Offset) -> Vec<InboxPartition> {
        let destination = Destination { product: self.product.clone(), quarantine: self.quarantine.clone() };
        (0..self.partitions)
            .map(|partition| InboxPartition { inbox: self.at(partition), destination: destination.clone(), start })
            .collect()
    }

    /// Takes the slot and reads the inbox from its beginning.
    pub(super) fn lane(&self) -> Outcome<Box<dyn Lane>> {
        let mut lane = self.take()?;
        lane.assign(&self.assignment(Offset::ZERO)).said("assign")?;
        Ok(lane)
    }

    /// What the offsets group has committed for a partition: offset and metadata.
    pub(super) fn committed(&self, partition: i32) -> Outcome<Option<(Offset, String)>> {
        let group = self.world.names.offsets_group();
        let at = self.at(partition);
        let mut offsets =
            self.world.broker.group_offsets(&group, std::slice::from_ref(&at)).said("read committed offsets")?;
        Ok(offsets.remove(&at).map(|committed| (committed.offset, committed.metadata)))
    }
}

/// Polls until the batch holds at least `count` records; incidents fail the scenario.
pub(super) fn poll(lane: &mut dyn Lane, count: usize) -> Outcome {
    eventually(&format!("a batch of {count} records"), || {
        let incidents = lane.poll(STEP, WIDE).said("poll")?;
        same("incidents", &incidents, &Vec::<Incident>::new())?;
        Ok((lane.batch().len() >= count).then_some(()))
    })
}

/// The values of the batch, by partition number.
pub(super) fn values(lane: &dyn Lane) -> BTreeMap<i32, Vec<String>> {
    let batch = lane.batch();
    let mut values: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    for index in 0..batch.len() {
        let record = batch.record(index);
        let partition = batch.partitions().get(record.partition).map_or(-1, |at| at.partition.0);
        values.entry(partition).or_default().push(text(record.value));
    }
    values
}

/// Bytes as text.
pub(super) fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or(b"(null)")).into_owned()
}

/// The values of records as text.
pub(super) fn texts(records: &[OwnedRecord]) -> Vec<String> {
    records.iter().map(|record| text(record.value.as_deref())).collect()
}

/// No control records and no metadata.
pub(super) fn silent(_: &[PartitionOutput]) -> Control {
    Control::default()
}
