//! What cannot be asked of a real cluster through the port: leaders that go away, records that are removed,
//! members and transactions that expire, scripted failures.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::{Companion, Major, Names, Offset, Partition, Slot, Topic, TopicPartition};

use super::{Fault, Faults, MemoryBroker, Step};
use crate::admin::{Admin, NewTopic};
use crate::lane::{
    Control, Destination, InboxPartition, Incident, Lane, LaneError, LaneOptions, PollLimits, Route, SlotEvent,
    SlotMember, SlotOptions,
};
use crate::log::{Broker, Isolation, OutRecord, Position};

const WIDE: PollLimits = PollLimits { records: 100, bytes: 1 << 20 };

fn topic(companion: Companion) -> Topic {
    Names::default().topic(companion, &"shop.orders".parse().unwrap(), Major(1))
}

fn at(companion: Companion, partition: i32) -> TopicPartition {
    TopicPartition::new(topic(companion), Partition(partition))
}

fn cluster() -> Arc<MemoryBroker> {
    let broker = MemoryBroker::new();
    let new = |topic, partitions| NewTopic { topic, partitions, replication: None, settings: BTreeMap::new() };
    let mut topics: Vec<_> =
        [Companion::Inbox, Companion::Product, Companion::Quarantine].map(|c| new(topic(c), 2)).into();
    topics.push(new(Names::default().slots(), 4));
    for created in broker.create_topics(&topics).unwrap() {
        created.unwrap();
    }
    broker
}

fn fill(broker: &MemoryBroker, partition: i32, values: &[&str]) {
    let records = values
        .iter()
        .map(|value| OutRecord {
            topic: topic(Companion::Inbox),
            partition: Some(Partition(partition)),
            key: Some(value.as_bytes().to_vec()),
            value: Some(value.as_bytes().to_vec()),
            headers: Vec::new(),
            timestamp: None,
        })
        .collect();
    broker.writer(&Names::default().produce_producer("fill")).unwrap().commit(records, None).unwrap();
}

fn lane(broker: &MemoryBroker) -> Box<dyn Lane> {
    let options = LaneOptions {
        transactional_id: Names::default().slot_producer(Slot(0)),
        offsets_group: Names::default().offsets_group(),
        transaction_timeout: Duration::from_secs(60),
        delivery_timeout: Duration::from_secs(30),
        queue_bytes: 1 << 20,
        fetch_bytes_per_partition: 1 << 16,
    };
    let mut lane = broker.lane(Slot(0), &options).unwrap();
    lane.assign(&assignment(Offset::ZERO)).unwrap();
    lane
}

fn assignment(start: Offset) -> Vec<InboxPartition> {
    let destination = Destination { product: topic(Companion::Product), quarantine: topic(Companion::Quarantine) };
    (0..2).map(|p| InboxPartition { inbox: at(Companion::Inbox, p), destination: destination.clone(), start }).collect()
}

fn silent(_: &[crate::lane::PartitionOutput]) -> Control {
    Control::default()
}

fn forward_all(lane: &mut dyn Lane) -> Result<crate::lane::Committed, LaneError> {
    let routes = vec![Route::Forward; lane.batch().len()];
    lane.commit(&routes, &mut silent)
}

#[test]
fn outputs_without_a_leader_are_named_and_the_others_go_on() {
    let broker = cluster();
    fill(&broker, 0, &["a"]);
    fill(&broker, 1, &["x"]);
    broker.set_leaderless(&at(Companion::Product, 0), true);
    let mut lane = lane(&broker);
    lane.poll(Duration::ZERO, WIDE).unwrap();
    let aborted = forward_all(lane.as_mut()).unwrap_err();
    assert!(
        matches!(&aborted, LaneError::Aborted { partitions, .. } if *partitions == [at(Companion::Inbox, 0)]),
        "{aborted:?}"
    );
    lane.poll(Duration::ZERO, WIDE).unwrap();
    let batch = lane.batch();
    let held = |index| batch.partitions()[batch.record(index).partition] == at(Companion::Inbox, 0);
    let routes: Vec<_> = (0..2).map(|index| if held(index) { Route::Wait } else { Route::Forward }).collect();
    assert_eq!(lane.commit(&routes, &mut silent).unwrap().outputs.len(), 1);
    broker.set_leaderless(&at(Companion::Product, 0), false);
    lane.resume(&at(Companion::Inbox, 0)).unwrap();
    lane.poll(Duration::ZERO, WIDE).unwrap();
    assert_eq!(forward_all(lane.as_mut()).unwrap().outputs.len(), 1);
}

#[test]
fn an_inbox_without_a_leader_is_told_once_and_read_when_it_is_back() {
    let broker = cluster();
    fill(&broker, 0, &["a"]);
    broker.set_leaderless(&at(Companion::Inbox, 0), true);
    let mut lane = lane(&broker);
    let told = lane.poll(Duration::ZERO, WIDE).unwrap();
    assert!(
        matches!(&told[..], [Incident::Unavailable { inbox, .. }] if *inbox == at(Companion::Inbox, 0)),
        "{told:?}"
    );
    assert_eq!(lane.poll(Duration::ZERO, WIDE).unwrap(), []);
    broker.set_leaderless(&at(Companion::Inbox, 0), false);
    lane.poll(Duration::ZERO, WIDE).unwrap();
    assert_eq!(lane.batch().len(), 1);
}

#[test]
fn records_removed_unread_are_an_incident_until_assigned_again() {
    let broker = cluster();
    fill(&broker, 0, &["a", "b", "c"]);
    let mut lane = lane(&broker);
    broker.delete_records_before(&at(Companion::Inbox, 0), Offset(2));
    let told = lane.poll(Duration::ZERO, WIDE).unwrap();
    assert_eq!(told, [Incident::OutOfRange { inbox: at(Companion::Inbox, 0), position: Offset::ZERO }]);
    assert_eq!(lane.watermarks(&at(Companion::Inbox, 0)).unwrap(), (Offset(2), Offset(4)));
    lane.assign(&assignment(Offset(2))).unwrap();
    assert_eq!(lane.poll(Duration::ZERO, WIDE).unwrap(), []);
    assert_eq!(lane.batch().record(0).offset, Offset(2));
}

#[test]
fn ranges_cover_offsets_that_compaction_emptied() {
    let broker = cluster();
    fill(&broker, 0, &["a", "a", "b", "a"]);
    broker.compact(&topic(Companion::Inbox));
    let mut lane = lane(&broker);
    lane.poll(Duration::ZERO, WIDE).unwrap();
    let committed = forward_all(lane.as_mut()).unwrap();
    let output = &committed.outputs[0];
    assert_eq!((output.from, output.to), (Offset(0), Offset(5)));
    assert_eq!(output.product.iter().map(|run| run.first.0).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_lost_answer_leaves_the_lane_where_the_broker_is() {
    for (fault, again) in [(Fault::UnknownCommitted, 0), (Fault::UnknownAborted, 2)] {
        let broker = cluster();
        fill(&broker, 0, &["a", "b"]);
        let mut lane = lane(&broker);
        lane.poll(Duration::ZERO, WIDE).unwrap();
        broker.set_faults(Faults::scripted([(Step::Commit, fault)]));
        assert!(matches!(forward_all(lane.as_mut()), Err(LaneError::Unknown { .. })));
        lane.poll(Duration::ZERO, WIDE).unwrap();
        assert_eq!(lane.batch().len(), again, "{fault:?}");
    }
}

#[test]
fn a_crash_leaves_its_transaction_open_until_it_is_fenced_or_expires() {
    for fence in [true, false] {
        let broker = cluster();
        fill(&broker, 0, &["a"]);
        let mut dead = lane(&broker);
        dead.poll(Duration::ZERO, WIDE).unwrap();
        broker.set_faults(Faults::scripted([(Step::Flush, Fault::CrashAfter)]));
        assert!(matches!(forward_all(dead.as_mut()), Err(LaneError::Weather(_))));
        assert!(dead.poll(Duration::ZERO, WIDE).is_err(), "the dead do not answer");
        let product = [at(Companion::Product, 0)];
        let ends = |committed| broker.ends(&product, committed).unwrap()[&product[0]].1;
        assert_eq!((ends(true), ends(false)), (Offset(0), Offset(1)));
        if fence {
            lane(&broker);
        } else {
            broker.expire_transaction(&Names::default().slot_producer(Slot(0)));
        }
        assert_eq!(ends(true), ends(false));
        let mut reader = broker.reader(&[(product[0].clone(), Position::Beginning)], Isolation::Committed).unwrap();
        assert_eq!(reader.poll(Duration::ZERO).unwrap().records, []);
    }
}

#[test]
fn a_waiting_poll_wakes_when_a_record_is_committed() {
    let broker = cluster();
    let mut lane = lane(&broker);
    std::thread::scope(|scope| {
        scope.spawn(|| fill(&broker, 1, &["x"]));
        let started = Instant::now();
        lane.poll(Duration::from_secs(30), WIDE).unwrap();
        assert_eq!(lane.batch().len(), 1);
        assert!(started.elapsed() < Duration::from_secs(10));
    });
}

#[test]
fn nothing_is_served_in_an_outage_and_all_of_it_afterwards() {
    let broker = cluster();
    fill(&broker, 0, &["a"]);
    let mut lane = lane(&broker);
    broker.set_outage(Some("the cable is cut"));
    assert!(broker.cluster().is_err());
    assert!(broker.writer(&Names::default().steward_producer()).is_err());
    assert!(matches!(lane.poll(Duration::ZERO, WIDE), Err(LaneError::Weather(_))));
    broker.set_outage(None);
    lane.poll(Duration::ZERO, WIDE).unwrap();
    forward_all(lane.as_mut()).unwrap();
}

fn member(broker: &MemoryBroker, instance: &str) -> Box<dyn SlotMember> {
    let options = SlotOptions {
        topic: Names::default().slots(),
        group: Names::default().slots_group(),
        instance: instance.to_owned(),
        session_timeout: Duration::from_secs(10),
    };
    broker.join_slots(&options).unwrap()
}

fn slots(numbers: &[u16]) -> Vec<Slot> {
    numbers.iter().copied().map(Slot).collect()
}

#[test]
fn slots_move_only_when_their_owner_let_go_of_them() {
    let broker = cluster();
    let (mut first, mut second) = (member(&broker, "first"), member(&broker, "second"));
    first.poll(Duration::ZERO).unwrap();
    second.poll(Duration::ZERO).unwrap();
    broker.expire_member(&Names::default().slots_group(), "second");
    assert_eq!(first.poll(Duration::ZERO).unwrap(), Some(SlotEvent::Taken(slots(&[2, 3]))));
    assert_eq!(second.poll(Duration::ZERO).unwrap(), Some(SlotEvent::Lost(slots(&[2, 3]))));
    second.released().unwrap();
    assert_eq!(second.poll(Duration::ZERO).unwrap(), None);
    assert_eq!(first.poll(Duration::ZERO).unwrap(), Some(SlotEvent::Revoked(slots(&[2, 3]))));
    assert_eq!(second.poll(Duration::ZERO).unwrap(), None, "not released yet");
    first.released().unwrap();
    assert_eq!(second.poll(Duration::ZERO).unwrap(), Some(SlotEvent::Taken(slots(&[2, 3]))));
}

#[test]
fn a_restart_keeps_its_slots_and_replaces_the_process_before_it() {
    let broker = cluster();
    let (mut before, mut other) = (member(&broker, "first"), member(&broker, "other"));
    assert_eq!(before.poll(Duration::ZERO).unwrap(), Some(SlotEvent::Taken(slots(&[0, 1]))));
    assert_eq!(other.poll(Duration::ZERO).unwrap(), Some(SlotEvent::Taken(slots(&[2, 3]))));
    let mut after = member(&broker, "first");
    assert_eq!(after.poll(Duration::ZERO).unwrap(), Some(SlotEvent::Taken(slots(&[0, 1]))));
    assert_eq!(other.poll(Duration::ZERO).unwrap(), None, "a restart moves nothing");
    assert_eq!(before.poll(Duration::ZERO).unwrap(), Some(SlotEvent::Lost(slots(&[0, 1]))));
    assert!(before.poll(Duration::ZERO).is_err());
}
