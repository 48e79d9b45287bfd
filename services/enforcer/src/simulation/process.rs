//! One enforcer process, its threads stepped by hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use broker::{Broker, PollLimits, Registry};
use runtime::{Health, Shutdown};
use schemas::Slot;

use super::world::World;
use crate::catalog::{CatalogReader, SnapshotError};
use crate::lane::SlotLane;
use crate::leaders::Leaders;
use crate::resolver::Resolver;
use crate::waiting::Waiting;
use crate::{Config, Shared};

pub(super) const SLOTS: u16 = 3;

/// What `enforcer::run` keeps in threads.
pub(super) struct Process {
    pub(super) shared: Arc<Shared>,
    pub(super) health: Health,
    reader: CatalogReader,
    pub(super) lanes: BTreeMap<Slot, SlotLane>,
}

pub(super) fn config(world: &World, instance: &str) -> Config {
    Config {
        limits: PollLimits { records: 12, bytes: 1 << 20 },
        recommit_every: Duration::from_secs(4),
        ..Config::new(world.names.clone(), world.codec.clone(), SLOTS, instance)
    }
}

impl Process {
    /// Starts, with as many attempts as the weather takes.
    pub(super) fn start(world: &World, instance: &str) -> Self {
        Self::start_with(world, config(world, instance))
    }

    pub(super) fn start_with(world: &World, config: Config) -> Self {
        let broker: Arc<dyn Broker> = world.broker.clone();
        let registry: Arc<dyn Registry> = world.registry.clone();
        let (reader, catalog) = loop {
            let opened = CatalogReader::open(&*broker, Arc::clone(&registry), &config);
            if let Ok(mut reader) = opened
                && let Ok(catalog) = reader.read_to_end(&|| false)
            {
                break (reader, catalog);
            }
        };
        let (clock, health) = (world.clock(), Health::new());
        let shared = Arc::new(Shared {
            broker,
            registry,
            catalog,
            resolver: Resolver::new(clock.clone()),
            clock,
            leaders: Leaders::default(),
            waiting: Waiting::new(health.check("enforcer")),
            shutdown: Shutdown::new(),
            config,
        });
        Self { shared, health, reader, lanes: BTreeMap::new() }
    }

    pub(super) fn take(&mut self, slot: Slot) {
        let lane = SlotLane::new(Arc::clone(&self.shared), slot);
        self.lanes.entry(slot).or_insert(lane);
    }

    /// Gives a slot up as it is told to.
    pub(super) fn release(&mut self, slot: Slot) {
        if let Some(mut lane) = self.lanes.remove(&slot) {
            lane.give_up();
        }
    }

    pub(super) fn step_lane(&mut self, slot: Slot) {
        if let Some(lane) = self.lanes.get_mut(&slot) {
            lane.step(Duration::ZERO);
        }
    }

    pub(super) fn step_lanes(&mut self) {
        for lane in self.lanes.values_mut() {
            lane.step(Duration::ZERO);
        }
    }

    pub(super) fn step_catalog(&mut self) {
        match self.reader.step(Duration::ZERO) {
            Ok(()) | Err(SnapshotError::Weather(_)) => {}
            Err(error) => panic!("the catalog cannot be read: {error}"),
        }
    }

    pub(super) fn step_resolver(&self) -> bool {
        self.shared.resolver.step(&*self.shared.registry)
    }

    pub(super) fn step_leaders(&self) {
        self.shared.leaders.look(&*self.shared.broker);
    }

    /// Everything once, as if every thread had its turn.
    pub(super) fn step_all(&mut self) {
        self.step_catalog();
        while self.step_resolver() {}
        self.step_leaders();
        self.step_lanes();
    }
}
