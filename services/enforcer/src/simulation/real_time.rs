//! The whole of it in its own threads: `enforcer::run`, twice over one cluster.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use broker::memory::Faults;
use broker::{Admin, Broker, Registry};
use runtime::{Health, Shutdown};

use super::Dice;
use super::checker::check;
use super::inputs::Sent;
use super::process::config;
use super::run::readings;
use super::world::World;
use crate::{Config, EnforcerError, run};

struct Running {
    shutdown: Shutdown,
    health: Health,
    thread: JoinHandle<Result<(), EnforcerError>>,
}

fn start(world: &World, instance: &str) -> Running {
    let (shutdown, health) = (Shutdown::new(), Health::new());
    let config = Config { session_timeout: Duration::from_millis(800), ..config(world, instance) };
    let broker: Arc<dyn Broker> = world.broker.clone();
    let registry: Arc<dyn Registry> = world.registry.clone();
    let (stop, check) = (shutdown.clone(), health.check("enforcer"));
    let thread = std::thread::spawn(move || run(config, broker, registry, stop, check));
    Running { shutdown, health, thread }
}

fn stop(running: Running) {
    running.shutdown.stop();
    running.thread.join().expect("no panic").expect("it was asked to end");
}

/// Whether every record is consumed.
fn consumed(world: &World) -> bool {
    let group = world.names.offsets_group();
    world.inbox_partitions().into_iter().all(|(inbox, _)| {
        let committed = world.broker.group_offsets(&group, std::slice::from_ref(&inbox)).unwrap_or_default();
        let last = world.broker.records(&inbox).last().map(|record| record.offset);
        committed.get(&inbox).is_some_and(|at| last.is_none_or(|last| at.offset > last))
    })
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn two_enforcers_share_the_slots_and_come_and_go() {
    let mut world = World::new(vec![readings(6)]);
    let (mut sent, mut dice) = (Sent::default(), Dice::new(7));
    let partitions = world.inbox_partitions();
    let mut produce = |world: &mut World, sent: &mut Sent, rounds: usize| {
        for round in 0..rounds {
            sent.send(world, &mut dice, &partitions[round % partitions.len()]);
            // What was to be registered late is: the enforcers' clocks here are not ours.
            world.advance(1_000);
        }
    };
    let one = start(&world, "one");
    until("ready", || one.health.is_ready());
    produce(&mut world, &mut sent, 60);
    let two = start(&world, "two");
    produce(&mut world, &mut sent, 60);
    until("the slots are shared", || two.health.is_ready());
    world.apply(0, 1);
    world.broker.set_faults(Faults::seeded(7, 30).at_most(10));
    produce(&mut world, &mut sent, 60);
    // The group loses sight of one; its slots go to the other.
    world.broker.expire_member(&world.names.slots_group(), "one");
    produce(&mut world, &mut sent, 60);
    until("everything is judged", || consumed(&world));
    stop(one);
    produce(&mut world, &mut sent, 60);
    until("the other takes over", || consumed(&world));
    until("nothing waits", || two.health.is_ready());
    stop(two);
    let seen = check(&mut world, &sent);
    assert!(seen.forwarded > 100 && seen.activated >= 12, "{seen:?}");
}
