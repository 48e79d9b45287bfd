//! The enforcer: reads inboxes, judges every record, and writes what conforms to the product topic and
//! what does not to quarantine, with lineage and quality, all in one transaction with the input offsets.
//!
//! ```text
//! weir.catalog ─► catalog reader ─► Snapshot ──┐ (swapped at batch boundaries)
//!                                              ▼
//! weir.slots ──► slots ──► one lane per slot: poll ─► judge ─► commit
//!                                              ▲
//! registry ────► resolver: (writer schema id, contract version) ─► program
//! ```
//!
//! It keeps no state between transactions and knows nothing of views, HTTP or of any Kafka client. It is
//! synchronous: a thread per slot, one that reads the catalog, one that resolves writer schemas.

mod assignment;
mod bounds;
mod catalog;
mod clock;
mod events;
mod first_seen;
mod judge;
mod lane;
mod leaders;
mod reasons;
mod recovery;
mod resolver;
#[cfg(test)]
mod simulation;
mod slots;
mod telemetry;
mod waiting;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use broker::{Broker, PollLimits, Registry, Weather};
use runtime::{HealthCheck, Shutdown};
use schemas::{Codec, Names};

pub use catalog::{Enforced, Snapshot, SnapshotError, Unreadable};

/// How an enforcer works.
#[derive(Debug, Clone)]
pub struct Config {
    /// The names of the backbone.
    pub names: Names,
    /// How the backbone's own events are written.
    pub codec: Codec,
    /// How many slots the backbone has; set once, the same in every enforcer. 1 to 1,000.
    pub slots: u16,
    /// The static member id: the same after a restart, different in each process.
    pub instance: String,
    /// After this long without a sign of life the slots go to others. 6 to 10 s.
    pub session_timeout: Duration,
    /// Bounds of one transaction.
    pub limits: PollLimits,
    /// Bytes fetched per partition and request.
    pub fetch_bytes_per_partition: usize,
    /// Bytes fetched and not yet judged, per lane.
    pub queue_bytes: usize,
    /// A transaction longer than this is aborted by the broker.
    pub transaction_timeout: Duration,
    /// An output that cannot be delivered within this makes its partition wait.
    pub delivery_timeout: Duration,
    /// Offsets of idle partitions are committed again this often, below the broker's `offsets.retention.minutes`.
    pub recommit_every: Duration,
}

impl Config {
    /// The defaults for a backbone.
    pub fn new(names: Names, codec: Codec, slots: u16, instance: impl Into<String>) -> Self {
        Self {
            names,
            codec,
            slots,
            instance: instance.into(),
            session_timeout: Duration::from_secs(6),
            limits: PollLimits { records: 10_000, bytes: 8 << 20 },
            fetch_bytes_per_partition: 1 << 20,
            queue_bytes: 16 << 20,
            transaction_timeout: Duration::from_secs(30),
            delivery_timeout: Duration::from_secs(5),
            recommit_every: Duration::from_secs(12 * 3600),
        }
    }
}

/// Why an enforcer stopped though nobody asked it to.
#[derive(Debug, thiserror::Error)]
pub enum EnforcerError {
    /// The broker could not be reached for too long at the start.
    #[error(transparent)]
    Weather(#[from] Weather),
    /// What the catalog holds cannot be read by this program.
    #[error(transparent)]
    Catalog(#[from] SnapshotError),
}

/// What every thread of an enforcer shares.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) clock: clock::Clock,
    pub(crate) catalog: catalog::Current,
    pub(crate) resolver: resolver::Resolver,
    pub(crate) leaders: leaders::Leaders,
    pub(crate) waiting: waiting::Waiting,
    pub(crate) shutdown: Shutdown,
}

/// Enforces until told to stop. Blocks; returns once every lane has finished its transaction.
///
/// # Errors
/// [`EnforcerError`], where starting again after a pause may help.
pub fn run(
    config: Config,
    broker: Arc<dyn Broker>,
    registry: Arc<dyn Registry>,
    shutdown: Shutdown,
    health: HealthCheck,
) -> Result<(), EnforcerError> {
    telemetry::describe();
    health.starting("reading the catalog");
    let mut reader = catalog::CatalogReader::open(&*broker, Arc::clone(&registry), &config)?;
    let current = reader.read_to_end(&|| shutdown.is_stopping())?;
    health.starting("waiting for slots");
    let clock = clock::Clock::real();
    let shared = Arc::new(Shared {
        config,
        broker,
        registry,
        catalog: current,
        resolver: resolver::Resolver::new(clock.clone()),
        clock,
        leaders: leaders::Leaders::default(),
        waiting: waiting::Waiting::new(health),
        shutdown,
    });
    // These only look and ask, each call bounded in time: nobody waits for them at the end.
    for _ in 0..resolver::ASKERS {
        spawn(&shared, |shared| shared.resolver.follow(&*shared.registry, &|| shared.shutdown.is_stopping()));
    }
    spawn(&shared, |shared| shared.leaders.follow(shared));
    let follower = {
        let shared = Arc::clone(&shared);
        std::thread::spawn(move || reader.follow(&shared))
    };
    let slots = slots::hold(&shared);
    shared.shutdown.stop();
    match follower.join() {
        Ok(followed) => followed?,
        Err(_) => return Err(Weather::new("follow the catalog", "its thread ended in a panic").into()),
    }
    slots
}

fn spawn(shared: &Arc<Shared>, work: fn(&Shared)) {
    let shared = Arc::clone(shared);
    std::thread::spawn(move || work(&shared));
}
