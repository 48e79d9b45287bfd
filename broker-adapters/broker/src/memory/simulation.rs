//! Seeded simulations: a small copying loop over a lane, and a writer that keeps its progress, under every
//! failure the plan knows. Whatever happens, each input is there once, in order, and the ranges leave no gap.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemas::{GroupId, Names, Offset, Partition, Run, Slot, Topic, TopicPartition};

use super::{Fault, Faults, MemoryBroker, Step};
use crate::admin::{Admin, NewTopic};
use crate::lane::{
    Control, Destination, InboxPartition, Lane, LaneError, LaneOptions, PartitionOutput, PollLimits, Route,
};
use crate::log::{Broker, OutRecord, OwnedRecord, Progress, WriteError};

const PARTITIONS: i32 = 3;
const RECORDS: usize = 40;
const SEEDS: u64 = 300;
const SLOT: Slot = Slot(0);

fn name(text: &str) -> Topic {
    Topic::existing(text)
}

fn cluster() -> Arc<MemoryBroker> {
    let broker = MemoryBroker::new();
    let new = |topic: &str, partitions| NewTopic {
        topic: name(topic),
        partitions,
        replication: None,
        settings: BTreeMap::from([("max.message.bytes".to_owned(), "1000".to_owned())]),
    };
    let partitions = u32::try_from(PARTITIONS).unwrap();
    let topics =
        [new("inbox", partitions), new("product", partitions), new("quarantine", partitions), new("control", 1)];
    for created in broker.create_topics(&topics).unwrap() {
        created.unwrap();
    }
    broker
}

fn out(topic: &str, partition: i32, value: String) -> OutRecord {
    OutRecord {
        topic: name(topic),
        partition: Some(Partition(partition)),
        key: Some(b"k".to_vec()),
        value: Some(value.into_bytes()),
        headers: Vec::new(),
        timestamp: None,
    }
}

/// Fills the inbox in transactions of different lengths, some of them aborted.
fn fill(broker: &MemoryBroker) {
    let id = Names::default().produce_producer("fill");
    for partition in 0..PARTITIONS {
        let mut next = 0;
        for length in (1..).take_while(|length| length * (length - 1) / 2 < RECORDS) {
            let values = next..RECORDS.min(next + length);
            next = values.end;
            let records = values.map(|n| out("inbox", partition, format!("{partition}-{n:02}"))).collect();
            broker.writer(&id).unwrap().commit(records, None).unwrap();
            let aborted = vec![out("inbox", partition, "never".to_owned()), out("inbox", partition, "x".repeat(2_000))];
            broker.writer(&id).unwrap().commit(aborted, None).unwrap_err();
        }
    }
}

fn everything(broker: &MemoryBroker, topic: &str, partition: i32) -> Vec<OwnedRecord> {
    broker.records(&TopicPartition::new(name(topic), Partition(partition)))
}

fn text(record: &OwnedRecord) -> String {
    String::from_utf8(record.value.clone().unwrap()).unwrap()
}

/// The choices of a run that are not failures: a counter stirred by the seed.
struct Dice(u64);

impl Dice {
    fn one_in(&mut self, sides: u64) -> bool {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33).is_multiple_of(sides)
    }
}

fn options() -> LaneOptions {
    LaneOptions {
        transactional_id: Names::default().slot_producer(SLOT),
        offsets_group: Names::default().offsets_group(),
        transaction_timeout: Duration::from_secs(60),
        delivery_timeout: Duration::from_secs(30),
        queue_bytes: 1 << 20,
        fetch_bytes_per_partition: 1 << 16,
    }
}

fn take(broker: &MemoryBroker) -> Result<Box<dyn Lane>, LaneError> {
    let mut lane = broker.lane(SLOT, &options())?;
    let inboxes: Vec<_> = (0..PARTITIONS).map(|p| TopicPartition::new(name("inbox"), Partition(p))).collect();
    let committed = lane.committed(&inboxes)?;
    let assignment: Vec<_> = inboxes
        .into_iter()
        .map(|inbox| InboxPartition {
            start: committed.get(&inbox).map_or(Offset::ZERO, |committed| committed.offset),
            inbox,
            destination: Destination { product: name("product"), quarantine: name("quarantine") },
        })
        .collect();
    lane.assign(&assignment)?;
    Ok(lane)
}

/// What a control record says: partition, from, to, and how many records.
fn control(outputs: &[PartitionOutput]) -> Control {
    let count = |runs: &[Run]| runs.iter().map(|run| run.count).sum::<i64>();
    let line = |output: &PartitionOutput| {
        let records = count(&output.product) + count(&output.quarantine) + count(&output.withheld);
        format!("{} {} {} {records}", output.inbox.partition, output.from, output.to)
    };
    Control {
        records: outputs.iter().map(|output| out("control", 0, line(output))).collect(),
        metadata: outputs.iter().map(|output| format!("at {}", output.to)).collect(),
    }
}

fn routes(lane: &dyn Lane, dice: &mut Dice) -> Vec<Route> {
    let batch = lane.batch();
    (0..batch.len())
        .map(|index| {
            if dice.one_in(17) {
                return Route::Wait;
            }
            match batch.record(index).value.and_then(|value| value.last()) {
                Some(b'3' | b'7') => Route::Quarantine(Box::default()),
                _ => Route::Forward,
            }
        })
        .collect()
}

/// One owner's time with the slot: until all is copied (`true`), or it is fenced or gives up.
fn own(broker: &MemoryBroker, dice: &mut Dice) -> Result<bool, LaneError> {
    let mut lane = take(broker)?;
    let mut idle = 0;
    loop {
        let limits = PollLimits { records: 7, bytes: 1 << 20 };
        assert_eq!(lane.poll(Duration::ZERO, limits)?, []);
        if lane.batch().is_empty() {
            idle += 1;
            if idle == 2 {
                return Ok(true);
            }
            for partition in 0..PARTITIONS {
                lane.resume(&TopicPartition::new(name("inbox"), Partition(partition)))?;
            }
            continue;
        }
        idle = 0;
        let routes = routes(lane.as_ref(), dice);
        if dice.one_in(13) {
            let another = take(broker)?;
            let late = lane.commit(&routes, &mut control);
            let wrote = routes.first() != Some(&Route::Wait);
            assert!(!wrote || late.is_err(), "a fenced lane committed");
            drop(another);
            return Ok(false);
        }
        match lane.commit(&routes, &mut control) {
            Ok(_) | Err(LaneError::Aborted { .. } | LaneError::Unknown { .. }) => {}
            Err(error) => return Err(error),
        }
    }
}

fn simulate(seed: u64) -> (Vec<(Step, Fault)>, Arc<MemoryBroker>) {
    let broker = cluster();
    fill(&broker);
    broker.set_faults(Faults::seeded(seed, 120).at_most(60));
    let mut dice = Dice(seed);
    let mut owners = 0;
    while own(&broker, &mut dice) != Ok(true) {
        owners += 1;
        assert!(owners < 500, "seed {seed}: no end");
    }
    let struck = broker.struck();
    broker.set_faults(Faults::none());
    (struck, broker)
}

fn check(seed: u64, broker: &MemoryBroker) {
    for partition in 0..PARTITIONS {
        let (product, quarantine) =
            (everything(broker, "product", partition), everything(broker, "quarantine", partition));
        let all = (0..RECORDS).map(|n| format!("{partition}-{n:02}"));
        let (held, passed): (Vec<_>, Vec<_>) = all.partition(|value| value.ends_with(['3', '7']));
        assert_eq!(product.iter().map(text).collect::<Vec<_>>(), passed, "seed {seed}, product {partition}");
        assert_eq!(quarantine.iter().map(text).collect::<Vec<_>>(), held, "seed {seed}, quarantine {partition}");
    }
    let mut next: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    for record in everything(broker, "control", 0) {
        let fields: Vec<i64> = text(&record).split(' ').map(|field| field.parse().unwrap()).collect();
        let [partition, from, to, count] = fields[..] else { panic!("{fields:?}") };
        let (expected, consumed) = next.entry(partition).or_default();
        assert_eq!(from, *expected, "seed {seed}: the ranges of partition {partition} have a gap");
        *expected = to;
        *consumed += count;
    }
    for partition in 0..PARTITIONS {
        let at = TopicPartition::new(name("inbox"), Partition(partition));
        let group = Names::default().offsets_group();
        let committed = broker.group_offsets(&group, std::slice::from_ref(&at)).unwrap().remove(&at).unwrap();
        let expected = (committed.offset.0, i64::try_from(RECORDS).unwrap());
        assert_eq!(next.get(&i64::from(partition)), Some(&expected), "seed {seed}");
        assert_eq!(committed.metadata, format!("at {}", committed.offset), "seed {seed}");
    }
}

#[test]
fn a_lane_copies_each_record_once_and_in_order_whatever_fails() {
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 0..SEEDS {
        let (struck, broker) = simulate(seed);
        check(seed, &broker);
        kinds.extend(
            struck.into_iter().map(|(step, fault)| (step, format!("{fault:?}").split('(').next().map(str::to_owned))),
        );
    }
    // Five steps, seven faults: the seeds reach every pair.
    assert_eq!(kinds.len(), 35, "{kinds:?}");
}

#[test]
fn a_seed_fails_the_same_way_each_time() {
    for seed in [0, 1, 77] {
        assert_eq!(simulate(seed).0, simulate(seed).0, "seed {seed}");
    }
}

#[test]
fn a_writer_that_reads_its_progress_writes_each_line_once() {
    let id = Names::default().produce_producer("lines");
    let group = GroupId::existing("lines");
    let source = TopicPartition::new(name("inbox"), Partition(0));
    for seed in 0..SEEDS {
        let broker = cluster();
        broker.set_faults(Faults::seeded(seed, 150).at_most(40));
        loop {
            let mut writer = broker.writer(&id).unwrap();
            let done = broker.group_offsets(&group, std::slice::from_ref(&source)).unwrap();
            let from = done.get(&source).map_or(0, |committed| committed.offset.0);
            if from >= 20 {
                break;
            }
            for line in from..20 {
                let (offset, metadata) = (Offset(line + 1), String::new());
                let progress = Progress { group: group.clone(), partition: source.clone(), offset, metadata };
                let written = writer.commit(vec![out("product", 0, line.to_string())], Some(&progress));
                match written {
                    Ok(_) => {}
                    Err(WriteError::Refused { .. }) => panic!("seed {seed}: nothing is too large here"),
                    Err(_) => break,
                }
            }
        }
        broker.set_faults(Faults::none());
        let lines: Vec<_> = everything(&broker, "product", 0).iter().map(text).collect();
        assert_eq!(lines, (0..20).map(|line| line.to_string()).collect::<Vec<_>>(), "seed {seed}");
    }
}
