//! The simulations: two processes share three slots of two products while everything goes wrong.

use broker::Admin;
use broker::memory::{Fault, Faults, Step};
use schemas::{Companion, Slot, TopicPartition};

use super::Dice;
use super::checker::{Seen, check};
use super::inputs::{Sent, companion};
use super::process::{Process, SLOTS};
use super::world::{Product, VERSIONS, World};

/// Turns of the die before the world is healed.
const TURNS: u32 = 500;

pub(super) fn readings(partitions: i32) -> Product {
    Product { id: "meter.readings".parse().expect("a product"), partitions, avro_keys: false }
}

fn keyed(partitions: i32) -> Product {
    Product { id: "meter.keyed".parse().expect("a product"), partitions, avro_keys: true }
}

/// What a simulation lets happen besides the broker's own failures.
#[derive(Debug, Clone, Copy, Default)]
struct Mischief {
    /// Slots move, processes die, contracts change, registry and leaders go away and come back.
    moves: bool,
    /// Retention removes records, and committed offsets are forgotten.
    losses: bool,
}

struct Simulation {
    world: World,
    dice: Dice,
    sent: Sent,
    processes: Vec<Process>,
    started: u32,
    away: Vec<TopicPartition>,
    registry_away: bool,
}

impl Simulation {
    fn new(seed: u64, per_mille: u32) -> Self {
        let world = World::new(vec![readings(3), keyed(2)]);
        let mut processes = vec![Process::start(&world, "one"), Process::start(&world, "two")];
        for slot in 0..SLOTS {
            processes[usize::from(slot % 2)].take(Slot(slot));
        }
        world.broker.set_faults(Faults::seeded(seed, per_mille));
        let (dice, sent) = (Dice::new(seed), Sent::default());
        Self { world, dice, sent, processes, started: 2, away: Vec::new(), registry_away: false }
    }

    fn turn(&mut self, mischief: Mischief) {
        let slept = if self.dice.one_in(25) { self.dice.below(1_200) } else { self.dice.below(25) };
        self.world.advance(slept);
        let which = self.dice.index(self.processes.len());
        match self.dice.below(100) {
            0..50 => {
                let slot = Slot(u16::try_from(self.dice.below(u64::from(SLOTS))).unwrap_or(0));
                self.processes[which].step_lane(slot);
            }
            50..65 => drop(self.processes[which].step_resolver()),
            65..75 => self.processes[which].step_catalog(),
            75..80 => self.processes[which].step_leaders(),
            80..92 => {
                let partitions = self.world.inbox_partitions();
                let partition = &partitions[self.dice.index(partitions.len())];
                self.sent.send(&mut self.world, &mut self.dice, partition);
            }
            92..98 if mischief.moves => self.mischief(which),
            98.. if mischief.losses => self.loss(),
            _ => {}
        }
    }

    fn mischief(&mut self, which: usize) {
        let slot = Slot(u16::try_from(self.dice.below(u64::from(SLOTS))).unwrap_or(0));
        match self.dice.below(6) {
            // The slot moves; the old owner goes on for a while, as one does that has not heard of it.
            0 => self.processes[which].take(slot),
            1 => self.processes[which].release(slot),
            2 => {
                self.started += 1;
                let mut process = Process::start(&self.world, &format!("process {}", self.started));
                let slots: Vec<_> = self.processes[which].lanes.keys().copied().collect();
                slots.into_iter().for_each(|slot| process.take(slot));
                self.processes[which] = process;
            }
            3 => {
                let product = self.dice.index(self.world.products.len());
                self.world.apply(product, self.dice.index(VERSIONS.len()));
            }
            4 => {
                self.registry_away = !self.registry_away;
                self.world.registry.set_outage(self.registry_away);
            }
            _ => match self.away.pop() {
                Some(partition) => self.world.broker.set_leaderless(&partition, false),
                None => {
                    let partitions = self.world.inbox_partitions();
                    let (inbox, product) = &partitions[self.dice.index(partitions.len())];
                    let which = if self.dice.one_in(3) { Companion::Quarantine } else { Companion::Product };
                    let partition = companion(&self.world, product, inbox, which);
                    self.world.broker.set_leaderless(&partition, true);
                    self.away.push(partition);
                }
            },
        }
    }

    fn loss(&mut self) {
        let partitions = self.world.inbox_partitions();
        let (inbox, _) = &partitions[self.dice.index(partitions.len())];
        if self.dice.one_in(2) {
            self.world.broker.expire_offset(&self.world.names.offsets_group(), inbox);
        } else {
            let (first, next) = self.world.ends(inbox);
            let before = first.0 + i64::try_from(self.dice.below((next.0 - first.0 + 1).unsigned_abs())).unwrap_or(0);
            self.world.remove_before(inbox, schemas::Offset(before));
        }
    }

    /// Everything is there again; two new processes come to rest.
    fn heal(&mut self, seed: u64) {
        self.world.broker.set_faults(Faults::none());
        self.world.registry.set_outage(false);
        for partition in self.away.drain(..) {
            self.world.broker.set_leaderless(&partition, false);
        }
        // One that has been at work all the time, and one that is new.
        self.processes.truncate(1);
        self.processes.push(Process::start(&self.world, "last"));
        for slot in 0..SLOTS {
            self.processes[0].release(Slot(slot));
            self.processes[usize::from(slot % 2)].take(Slot(slot));
        }
        for _ in 0..2_000 {
            self.world.advance(20);
            self.processes.iter_mut().for_each(Process::step_all);
            if self.at_rest() {
                return;
            }
        }
        let waiting: Vec<_> = self.processes.iter().map(|process| process.shared.waiting.partitions()).collect();
        panic!("seed {seed}: no rest; {waiting:?}");
    }

    /// Every record is consumed, and nothing waits.
    fn at_rest(&self) -> bool {
        let group = self.world.names.offsets_group();
        let consumed = self.world.inbox_partitions().into_iter().all(|(inbox, _)| {
            let committed = self.world.broker.group_offsets(&group, std::slice::from_ref(&inbox));
            let committed = committed.ok().and_then(|mut offsets| offsets.remove(&inbox));
            let last = self.world.broker.records(&inbox).last().map(|record| record.offset);
            let (first, _) = self.world.ends(&inbox);
            committed.is_some_and(|at| at.offset >= first && last.is_none_or(|last| at.offset > last))
        });
        consumed && self.processes.iter().all(|process| process.shared.waiting.partitions().is_empty())
    }
}

fn simulate(seed: u64, per_mille: u32, mischief: Mischief) -> (Seen, Vec<(Step, Fault)>) {
    let mut simulation = Simulation::new(seed, per_mille);
    for _ in 0..TURNS {
        simulation.turn(mischief);
    }
    let struck = simulation.world.broker.struck();
    simulation.heal(seed);
    for process in &simulation.processes {
        assert!(process.health.is_ready(), "seed {seed}: {:?}", process.health.report());
    }
    (check(&mut simulation.world, &simulation.sent), struck)
}

/// Many seeds; a failure says which.
fn simulate_all(first: u64, per_mille: u32, mischief: Mischief) -> Seen {
    let seeds = if std::env::var_os("WEIR_LONG").is_some() { 3_000 } else { 150 };
    let (mut total, mut kinds) = (Seen::default(), std::collections::BTreeSet::new());
    for seed in first..first + seeds {
        let outcome = std::panic::catch_unwind(|| simulate(seed, per_mille, mischief));
        let (seen, struck) = outcome.unwrap_or_else(|_| panic!("seed {seed} failed; see above"));
        kinds.extend(struck.iter().map(|(step, fault)| format!("{step:?} {:?}", std::mem::discriminant(fault))));
        total.forwarded += seen.forwarded;
        total.quarantined += seen.quarantined;
        total.withheld += seen.withheld;
        total.expired += seen.expired;
        total.activated += seen.activated;
        total.transactions += seen.transactions;
    }
    assert!(total.forwarded > 5_000 && total.quarantined > 5_000 && total.withheld > 50, "{total:?}");
    if per_mille > 0 {
        // Five steps, seven failures.
        assert_eq!(kinds.len(), 35, "{kinds:?}");
    }
    total
}

#[test]
fn every_record_comes_out_once_and_as_its_contract_says() {
    simulate_all(0, 0, Mischief::default());
}

#[test]
fn every_record_comes_out_once_whatever_the_broker_does() {
    simulate_all(10_000, 60, Mischief::default());
}

#[test]
fn every_record_comes_out_once_while_slots_move_and_contracts_change() {
    let seen = simulate_all(20_000, 20, Mischief { moves: true, losses: false });
    assert!(seen.activated > 1_000, "{seen:?}");
}

#[test]
fn records_removed_unread_are_said_to_be_and_lost_offsets_are_recovered() {
    let seen = simulate_all(30_000, 20, Mischief { moves: true, losses: true });
    assert!(seen.expired > 20, "{seen:?}");
}
