//! Requests that a network delivers late (KIP-890), on a real broker behind a proxy that knows Kafka's frames: the
//! end of a transaction, or the offsets of one, arrives a second time while the same producer's next transaction is
//! open. With the guard of the adapter it is refused; without it, it does harm, or these tests would show nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use broker::{
    Admin, Broker, Control, Destination, InboxPartition, Isolation, Lane, LaneOptions, NewTopic, OutRecord,
    PartitionOutput, PollLimits, Position, Route,
};
use kafka::{Kafka, KafkaOptions};
use schemas::{Companion, Major, Names, Offset, Partition, Slot, Topic, TopicPartition};

use crate::private_kafka::{PrivateKafka, Wanted};
use crate::proxy::{Proxy, Request};
use crate::sandbox::{free_port, scratch, wait_for};

const RECORDS: usize = 20;
const BATCH: usize = 10;
const PATIENCE: Duration = Duration::from_secs(30);

/// A broker behind a proxy: who asks the one port goes through it, who asks the other does not.
struct World {
    proxy: Proxy,
    proxied: String,
    direct: Kafka,
    _kafka: PrivateKafka,
}

impl World {
    fn start() -> Self {
        let [behind, advertised, direct] = [free_port(), free_port(), free_port()];
        let wanted = Wanted {
            listeners: vec![("DIRECT", "PLAINTEXT", direct, direct), ("PROXIED", "PLAINTEXT", behind, advertised)],
            ..Wanted::default()
        };
        let kafka = PrivateKafka::start(scratch("endtxn"), &wanted);
        let proxy = Proxy::start(advertised, behind);
        let direct = connect(&format!("127.0.0.1:{direct}"), false);
        Self { proxy, proxied: format!("127.0.0.1:{advertised}"), direct, _kafka: kafka }
    }
}

fn connect(bootstrap: &str, unguarded: bool) -> Kafka {
    let options = KafkaOptions {
        bootstrap: bootstrap.to_owned(),
        client_id: "endtxn".to_owned(),
        unguarded,
        ..KafkaOptions::default()
    };
    Kafka::connect(options).expect("the broker serves")
}

/// One inbox of [`RECORDS`] records, and the slot that enforces it.
struct Trial<'w> {
    world: &'w World,
    /// The lane's connection, by the proxy.
    kafka: Kafka,
    names: Names,
    topics: [Topic; 3],
}

impl<'w> Trial<'w> {
    fn new(world: &'w World, name: &str, guarded: bool) -> Self {
        let prefix = format!("{name}-{}", if guarded { "guarded" } else { "bare" });
        let names = Names::new(Some(prefix.parse().expect("fit for a prefix")));
        let product = "meter.readings".parse().expect("fit for a product");
        let topics = [Companion::Inbox, Companion::Product, Companion::Quarantine]
            .map(|companion| names.topic(companion, &product, Major(1)));
        let new =
            topics.clone().map(|topic| NewTopic { topic, partitions: 1, replication: None, settings: BTreeMap::new() });
        for made in world.direct.create_topics(&new).expect("the broker makes topics") {
            made.expect("a topic is made");
        }
        let records = (0..RECORDS).map(|number| record(&topics[0], &number.to_string())).collect();
        let mut writer = world.direct.writer(&names.produce_producer("fill")).expect("a writer");
        writer.commit(records, None).expect("the inbox is filled");
        Self { world, kafka: connect(&world.proxied, !guarded), names, topics }
    }

    fn inbox(&self) -> TopicPartition {
        TopicPartition::new(self.topics[0].clone(), Partition(0))
    }

    /// Takes the slot and reads on from where the broker holds it.
    fn lane(&self) -> Box<dyn Lane> {
        let options = LaneOptions {
            transactional_id: self.names.slot_producer(Slot(0)),
            offsets_group: self.names.offsets_group(),
            transaction_timeout: PATIENCE,
            delivery_timeout: Duration::from_secs(10),
            queue_bytes: 1 << 20,
            fetch_bytes_per_partition: 64 << 10,
        };
        let mut lane = self.kafka.lane(Slot(0), &options).expect("the slot is taken");
        let inbox = self.inbox();
        let committed = lane.committed(std::slice::from_ref(&inbox)).expect("the offsets are told");
        let start = committed.get(&inbox).map_or(Offset::ZERO, |committed| committed.offset);
        let [_, product, quarantine] = self.topics.clone();
        lane.assign(&[InboxPartition { inbox, destination: Destination { product, quarantine }, start }])
            .expect("the inbox is assigned");
        lane
    }

    /// Forwards what is left, as an enforcer does that goes on after whatever happened.
    fn finish(&self, lane: &mut dyn Lane) {
        while self.committed() < RECORDS {
            poll(lane);
            // What fails here is tried again, as long as the test has patience with `poll`.
            let _again = lane.commit(&forward(lane), &mut |_| Control::default());
        }
    }

    /// How many records are committed as read.
    fn committed(&self) -> usize {
        let inbox = self.inbox();
        let group = self.names.offsets_group();
        let offsets = self.world.direct.group_offsets(&group, std::slice::from_ref(&inbox)).expect("offsets");
        offsets.get(&inbox).map_or(0, |committed| usize::try_from(committed.offset.0).expect("not negative"))
    }

    /// The values that a committed reader sees in the product topic.
    fn visible(&self) -> Vec<String> {
        let from = [(TopicPartition::new(self.topics[1].clone(), Partition(0)), Position::Beginning)];
        let mut reader = self.world.direct.reader(&from, Isolation::Committed).expect("a reader");
        let mut values = Vec::new();
        wait_for("the end of the product topic", PATIENCE, || {
            let chunk = reader.poll(Duration::from_millis(500)).expect("the broker serves");
            let texts = chunk.records.into_iter().map(|record| record.value.expect("no tombstone"));
            values.extend(texts.map(|value| String::from_utf8(value).expect("text")));
            chunk.at_end.then_some(())
        });
        values
    }

    /// How often more than once a record was published, and that none is missing.
    fn published_twice(&self) -> usize {
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        for value in self.visible() {
            *times.entry(value).or_default() += 1;
        }
        assert_eq!(times.len(), RECORDS, "records are missing: {times:?}");
        times.values().map(|times| times - 1).sum()
    }
}

fn record(topic: &Topic, value: &str) -> OutRecord {
    OutRecord {
        topic: topic.clone(),
        partition: Some(Partition(0)),
        key: None,
        value: Some(value.into()),
        headers: Vec::new(),
        timestamp: None,
    }
}

fn poll(lane: &mut dyn Lane) {
    wait_for("a batch", PATIENCE, || {
        let limits = PollLimits { records: BATCH, bytes: 1 << 20 };
        lane.poll(Duration::from_millis(500), limits).expect("the broker serves");
        (!lane.batch().is_empty()).then_some(())
    });
}

fn forward(lane: &dyn Lane) -> Vec<Route> {
    vec![Route::Forward; lane.batch().len()]
}

/// Commits a batch whose request of this kind is kept back once; the client sends it again and succeeds.
fn commit_with_one_kept_back(trial: &Trial<'_>, lane: &mut dyn Lane, kind: Request, guarded: bool) {
    poll(lane);
    let count = lane.batch().len();
    trial.world.proxy.hold_next(kind);
    let committed = lane.commit(&forward(lane), &mut |_| Control::default()).expect("the second try succeeds");
    let (held, version) = trial.world.proxy.held().expect("the first try was kept back");
    assert_eq!(held, kind);
    assert!(kind != Request::EndTxn || version < 5, "the client ends transactions so that no guard is needed any more");
    assert_eq!(committed.tainted, guarded, "after {:?}", committed.commit);
    assert_eq!(trial.committed(), count);
    assert_eq!(trial.visible().len(), count);
}

/// What became of one trial.
#[derive(Debug, PartialEq, Eq)]
struct Harm {
    /// Records that were visible before their transaction was committed.
    early: usize,
    /// Records that were published more than once.
    twice: usize,
}

/// The end of the first transaction arrives once more while the second is open, which is aborted afterwards.
fn late_end(world: &World, guarded: bool) -> Harm {
    let trial = Trial::new(world, "end", guarded);
    let mut lane = trial.lane();
    commit_with_one_kept_back(&trial, &mut *lane, Request::EndTxn, guarded);
    poll(&mut *lane);
    let mut early = 0;
    let mut control = |_: &[PartitionOutput]| {
        // Its records are delivered, its offsets are not yet added.
        let answer = world.proxy.release();
        assert_eq!(answer != 0, guarded, "the late EndTxn was answered with error {answer}");
        if answer == 0 {
            wait_for("the late EndTxn takes effect", PATIENCE, || (trial.visible().len() > BATCH).then_some(()));
        }
        early = trial.visible().len() - BATCH;
        // What no broker takes, so that this transaction is aborted.
        Control { records: vec![record(&trial.topics[1], &"x".repeat(2 << 20))], metadata: Vec::new() }
    };
    lane.commit(&forward(&*lane), &mut control).expect_err("a record that is too large aborts");
    trial.finish(&mut *lane);
    Harm { early, twice: trial.published_twice() }
}

/// The offsets of the first transaction arrive once more in the second, just before it is committed.
fn late_offsets(world: &World, guarded: bool) -> Harm {
    let trial = Trial::new(world, "offsets", guarded);
    let mut lane = trial.lane();
    commit_with_one_kept_back(&trial, &mut *lane, Request::TxnOffsetCommit, guarded);
    poll(&mut *lane);
    world.proxy.release_before(Request::EndTxn);
    lane.commit(&forward(&*lane), &mut |_| Control::default()).expect("the second transaction is committed");
    let answer = world.proxy.answer();
    assert_eq!(answer != 0, guarded, "the late TxnOffsetCommit was answered with error {answer}");
    drop(lane);
    // A restart goes on from what is committed.
    trial.finish(&mut *trial.lane());
    Harm { early: 0, twice: trial.published_twice() }
}

#[test]
fn late_requests_of_a_transaction_do_no_harm_to_the_next_one_but_for_the_guard_they_would() {
    let world = World::start();
    let none = Harm { early: 0, twice: 0 };
    assert_eq!(late_end(&world, true), none);
    assert_eq!(late_offsets(&world, true), none);
    assert_eq!(late_end(&world, false), Harm { early: BATCH, twice: BATCH }, "without the guard");
    assert_eq!(late_offsets(&world, false), Harm { early: 0, twice: BATCH }, "without the guard");
}
