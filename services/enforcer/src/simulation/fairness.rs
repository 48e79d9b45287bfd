//! Partitions do not hold back each other: neither noise nor weather nor an unknown schema.

use broker::PollLimits;
use runtime::health::State;
use schemas::{Companion, Offset, Slot, TopicPartition};

use super::inputs::{Sent, companion};
use super::process::{Process, config};
use super::run::readings;
use super::world::World;
use crate::Config;

/// One slot, so that all partitions share a lane.
fn one_lane(world: &World, records: usize) -> Process {
    let config = Config { slots: 1, limits: PollLimits { records, bytes: 1 << 20 }, ..config(world, "one") };
    let mut process = Process::start_with(world, config);
    process.take(Slot(0));
    process.step_lanes();
    process
}

/// Until what can be looked up is.
fn settle(world: &mut World, process: &mut Process) {
    for _ in 0..3 {
        process.step_all();
        world.advance(20);
    }
}

fn inboxes(world: &World) -> Vec<TopicPartition> {
    world.inbox_partitions().into_iter().map(|(inbox, _)| inbox).collect()
}

fn forwarded(world: &World, inbox: &TopicPartition) -> usize {
    let out = companion(world, &world.products[0], inbox, Companion::Product);
    world.broker.records(&out).len()
}

#[test]
fn a_noisy_partition_does_not_hold_back_a_quiet_one() {
    let mut world = World::new(vec![readings(3)]);
    let (mut process, mut sent) = (one_lane(&world, 500), Sent::default());
    let inboxes = inboxes(&world);
    sent.send_good(&world, &inboxes[0], 20_000);
    settle(&mut world, &mut process);
    assert!(forwarded(&world, &inboxes[0]) > 0, "the noisy one is being worked on");
    for quiet in 1..=5 {
        sent.send_good(&world, &inboxes[2], 1);
        process.step_lanes();
        process.step_lanes();
        assert_eq!(forwarded(&world, &inboxes[2]), quiet, "two transactions at most");
    }
    assert!(forwarded(&world, &inboxes[0]) < 20_000, "and the noisy one has not ended meanwhile");
}

#[test]
fn a_partition_whose_output_is_away_waits_alone_and_is_named() {
    let mut world = World::new(vec![readings(3)]);
    let (mut process, mut sent) = (one_lane(&world, 500), Sent::default());
    let inboxes = inboxes(&world);
    for inbox in &inboxes {
        sent.send_good(&world, inbox, 1);
    }
    settle(&mut world, &mut process);
    let away = companion(&world, &world.products[0], &inboxes[1], Companion::Product);
    world.broker.set_leaderless(&away, true);
    for round in 2..30 {
        for inbox in &inboxes {
            sent.send_good(&world, inbox, 1);
        }
        world.advance(500);
        process.step_all();
        process.step_all();
        assert_eq!([0, 2].map(|index| forwarded(&world, &inboxes[index])), [round, round]);
    }
    assert_eq!(forwarded(&world, &inboxes[1]), 1);
    let waiting = process.shared.waiting.partitions();
    assert_eq!(waiting.keys().collect::<Vec<_>>(), [&inboxes[1]]);
    let report = process.health.report();
    let check = &report.checks["enforcer"];
    assert!(!report.ready && check.waiting[0].contains(&inboxes[1].to_string()), "{check:?}");
    // One transaction was spent on finding out, not one a second: 29 records and their markers, and once more.
    let other = companion(&world, &world.products[0], &inboxes[0], Companion::Product);
    assert!(world.ends(&other).1 <= Offset(29 * 2 + 2), "{}", world.ends(&other).1);

    world.broker.set_leaderless(&away, false);
    world.advance(1_000);
    process.step_all();
    process.step_all();
    assert_eq!(forwarded(&world, &inboxes[1]), 29, "all that waited");
    assert_eq!(process.health.check("enforcer").state(), State::Ready);
}

#[test]
fn a_partition_that_waits_for_a_schema_goes_on_as_soon_as_there_is_one() {
    let mut world = World::new(vec![readings(2)]);
    let (mut process, mut sent) = (one_lane(&world, 500), Sent::default());
    let inboxes = inboxes(&world);
    process.step_all();
    let known = world.schema_id;
    world.schema_id = world.register_late(700);
    sent.send_good(&world, &inboxes[0], 5);
    world.schema_id = known;
    let mut waited = 0;
    while forwarded(&world, &inboxes[0]) == 0 {
        sent.send_good(&world, &inboxes[1], 1);
        process.step_all();
        assert!(waited < 2_000, "it waits for ever");
        world.advance(10);
        waited += 10;
    }
    // Asked at once and a second later; registered in between.
    assert!((1_000..1_100).contains(&waited), "{waited} ms");
    assert_eq!(forwarded(&world, &inboxes[0]), 5);
    assert!(forwarded(&world, &inboxes[1]) > 90, "the other went on meanwhile");
}

#[test]
fn many_unknown_schemas_cost_little_more_than_one() {
    let mut world = World::new(vec![readings(2)]);
    let (mut process, mut sent) = (one_lane(&world, 500), Sent::default());
    let inboxes = inboxes(&world);
    let known = world.schema_id;
    for number in 0..300 {
        world.schema_id = schemas::SchemaId(5_000_000 + number);
        sent.send_good(&world, &inboxes[0], 1);
    }
    world.schema_id = known;
    sent.send_good(&world, &inboxes[0], 1);
    let mut waited = 0;
    while forwarded(&world, &inboxes[0]) == 0 {
        process.step_all();
        assert!(waited < 3_000, "garbage stalls the partition");
        world.advance(10);
        waited += 10;
    }
    assert!(waited >= 1_000, "an unknown id is asked for twice, a second apart: {waited}");
}

#[test]
fn the_registry_away_is_weather_for_those_that_need_it_alone() {
    let mut world = World::new(vec![readings(2)]);
    let (mut process, mut sent) = (one_lane(&world, 500), Sent::default());
    let inboxes = inboxes(&world);
    sent.send_good(&world, &inboxes[1], 1);
    for _ in 0..3 {
        process.step_all();
        world.advance(20);
    }
    world.registry.set_outage(true);
    let known = world.schema_id;
    world.schema_id = world.schemas.older;
    sent.send_good(&world, &inboxes[0], 1);
    world.schema_id = known;
    for sent_by_now in 2..60 {
        sent.send_good(&world, &inboxes[1], 1);
        world.advance(500);
        process.step_all();
        process.step_all();
        assert_eq!(forwarded(&world, &inboxes[1]), sent_by_now);
    }
    let waiting = process.shared.waiting.partitions();
    assert!(waiting.len() == 1 && waiting[&inboxes[0]].contains("registry"), "{waiting:?}");
    let quarantine = companion(&world, &world.products[0], &inboxes[0], Companion::Quarantine);
    assert_eq!(world.broker.records(&quarantine).len(), 0, "weather is no verdict");
}
