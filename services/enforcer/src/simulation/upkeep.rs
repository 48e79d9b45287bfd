//! What lanes do besides judging: keeping offsets alive, and not judging what they must not.

use broker::Admin;
use schemas::{Companion, Offset, Slot, TopicPartition};

use super::inputs::{Sent, companion};
use super::process::{Process, SLOTS};
use super::run::readings;
use super::world::World;

fn every_slot(world: &World, instance: &str) -> Process {
    let mut process = Process::start(world, instance);
    (0..SLOTS).for_each(|slot| process.take(Slot(slot)));
    process
}

fn committed(world: &World, inbox: &TopicPartition) -> Option<Offset> {
    let found = world.broker.group_offsets(&world.names.offsets_group(), std::slice::from_ref(inbox));
    found.expect("no weather").remove(inbox).map(|committed| committed.offset)
}

fn forwarded(world: &World, inbox: &TopicPartition) -> usize {
    world.broker.records(&companion(world, &world.products[0], inbox, Companion::Product)).len()
}

#[test]
fn offsets_of_idle_partitions_are_committed_again_before_they_expire() {
    let mut world = World::new(vec![readings(3)]);
    let mut process = every_slot(&world, "one");
    process.step_all();
    let inboxes: Vec<_> = world.inbox_partitions().into_iter().map(|(inbox, _)| inbox).collect();
    assert!(inboxes.iter().all(|inbox| committed(&world, inbox) == Some(Offset::ZERO)));
    for inbox in &inboxes {
        world.broker.expire_offset(&world.names.offsets_group(), inbox);
    }
    world.advance(3_900);
    process.step_all();
    assert!(inboxes.iter().all(|inbox| committed(&world, inbox).is_none()), "not before it is time");
    world.advance(200);
    process.step_all();
    assert!(inboxes.iter().all(|inbox| committed(&world, inbox) == Some(Offset::ZERO)));
    // One event of each partition, when it was taken up: the second time nothing took effect.
    let events: usize = (0..2)
        .map(|partition| TopicPartition::new(world.names.lineage(), schemas::Partition(partition)))
        .map(|partition| world.broker.records(&partition).len())
        .sum();
    assert_eq!(events, 3);
}

#[test]
fn nothing_is_judged_under_an_older_catalog_than_the_last_owner_had() {
    let mut world = World::new(vec![readings(3)]);
    let (mut behind, mut ahead) = (Process::start(&world, "behind"), every_slot(&world, "ahead"));
    let mut sent = Sent::default();
    let (inbox, _) = world.inbox_partitions().remove(0);
    ahead.step_all();
    world.apply(0, 1);
    ahead.step_all();
    ahead.step_all();
    drop(ahead);
    sent.send_good(&world, &inbox, 1);
    for slot in 0..SLOTS {
        behind.take(Slot(slot));
    }
    for _ in 0..5 {
        behind.step_lanes();
        behind.step_resolver();
        world.advance(100);
    }
    assert_eq!(forwarded(&world, &inbox), 0);
    assert_eq!(behind.shared.waiting.partitions().len(), 3, "and that is said");
    for _ in 0..5 {
        behind.step_all();
        world.advance(100);
    }
    assert_eq!(forwarded(&world, &inbox), 1);
    assert_eq!(behind.shared.waiting.partitions().len(), 0);
}

#[test]
fn an_inbox_whose_contract_cannot_be_read_waits_by_name_and_goes_on_with_the_next() {
    let mut world = World::new(vec![readings(2)]);
    let mut process = every_slot(&world, "one");
    let mut sent = Sent::default();
    let (inbox, _) = world.inbox_partitions().remove(0);
    world.apply_document(0, 2, "apiVersion: v9.9.9\nkind: DataContract\n".to_owned());
    sent.send_good(&world, &inbox, 1);
    for _ in 0..5 {
        process.step_all();
        world.advance(100);
    }
    assert_eq!(forwarded(&world, &inbox), 0);
    let waiting = process.shared.waiting.partitions();
    assert_eq!(waiting.len(), 2);
    assert!(waiting[&inbox].contains("cannot read its contract, 1.2.0"), "{waiting:?}");
    world.apply(0, 1);
    for _ in 0..5 {
        process.step_all();
        world.advance(100);
    }
    assert_eq!((forwarded(&world, &inbox), process.shared.waiting.partitions().len()), (1, 0));
}

#[test]
fn an_inbox_that_was_made_anew_is_read_from_its_beginning() {
    let mut world = World::new(vec![readings(1)]);
    let mut process = every_slot(&world, "one");
    let mut sent = Sent::default();
    let (inbox, _) = world.inbox_partitions().remove(0);
    sent.send_good(&world, &inbox, 20);
    for _ in 0..5 {
        process.step_all();
        world.advance(100);
    }
    assert_eq!(forwarded(&world, &inbox), 20);
    world.remake(&inbox.topic);
    sent.send_good(&world, &inbox, 3);
    for _ in 0..30 {
        process.step_all();
        world.advance(200);
    }
    assert_eq!(forwarded(&world, &inbox), 23);
    // Nor does one that takes over go by the lineage of the topic that was.
    world.remake(&inbox.topic);
    sent.send_good(&world, &inbox, 2);
    drop(process);
    let mut process = every_slot(&world, "two");
    for _ in 0..30 {
        process.step_all();
        world.advance(200);
    }
    assert_eq!(forwarded(&world, &inbox), 25);
}
