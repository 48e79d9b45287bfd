//! The reference in memory: a whole cluster behind one lock, with transactions, fencing, isolation levels
//! and slots as Kafka has them, and with failures on purpose ([`Faults`]).
//!
//! It keeps no files, opens no sockets and runs no threads. What it does not do: replication, quotas,
//! access control, and retention by time or size; [`MemoryBroker::delete_records_before`] and
//! [`MemoryBroker::compact`] stand in for what a broker does behind one's back.

mod admin;
mod batch;
mod faults;
mod lane;
mod log;
mod partition;
mod partitioner;
mod registry;
mod session;
mod settings;
#[cfg(test)]
mod simulation;
mod slots;
mod state;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use schemas::{GroupId, Offset, Slot, Topic, TopicPartition, TransactionalId};

pub use faults::{Fault, Faults, Step};
pub use registry::{Compatibility, MemoryRegistry};

pub(crate) use partitioner::partition_of;

use crate::lane::{Lane, LaneOptions, SlotMember, SlotOptions};
use crate::log::{Broker, Isolation, OwnedRecord, Position, Reader, Weather, Writer};

/// How long a writer's transaction may take: Kafka's default.
const WRITER_TIMEOUT: Duration = Duration::from_secs(60);

/// How often a waiting call looks whether time alone changed something (a session or a transaction that
/// expired).
const TICK: Duration = Duration::from_millis(50);

/// The cluster, and the bell that rings when it changes.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<state::State>,
    changed: Condvar,
}

impl Shared {
    /// The state. A panic elsewhere does not matter: every step leaves it whole.
    fn lock(&self) -> MutexGuard<'_, state::State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change, or a tick, but not past `deadline`.
    fn wait<'a>(&self, guard: MutexGuard<'a, state::State>, deadline: Instant) -> MutexGuard<'a, state::State> {
        let left = deadline.saturating_duration_since(Instant::now()).min(TICK);
        let (mut guard, _) = self.changed.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner);
        if guard.expire_transactions(Instant::now()) {
            self.changed.notify_all();
        }
        guard
    }

    /// Lets time pass without holding the lock.
    fn pause(&self, duration: Duration) {
        let deadline = deadline(duration);
        let mut guard = self.lock();
        while Instant::now() < deadline {
            guard = self.wait(guard, deadline);
        }
    }
}

/// The moment `wait` from now; a wait too long to be a moment ends in an hour.
fn deadline(wait: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(wait).unwrap_or(now + Duration::from_secs(3600))
}

/// A cluster in memory.
#[derive(Debug)]
pub struct MemoryBroker {
    shared: Arc<Shared>,
}

impl MemoryBroker {
    /// An empty cluster.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { shared: Arc::default() })
    }

    /// From now on steps fail by this plan.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.lock().faults = faults;
    }

    /// What went wrong by plan since [`MemoryBroker::set_faults`].
    pub fn struck(&self) -> Vec<(Step, Fault)> {
        self.shared.lock().faults.struck().to_vec()
    }

    /// With a reason, every call fails with [`Weather`] for it until the outage is ended with `None`.
    pub fn set_outage(&self, why: Option<&str>) {
        self.shared.lock().outage = why.map(str::to_owned);
        self.shared.changed.notify_all();
    }

    /// Takes the leader of a partition away, or gives it back. Nothing happens where there is no such
    /// partition.
    pub fn set_leaderless(&self, partition: &TopicPartition, away: bool) {
        if let Some(log) = self.shared.lock().log_mut(partition) {
            log.away = away;
        }
        self.shared.changed.notify_all();
    }

    /// Removes what stands before `offset`, as retention would.
    pub fn delete_records_before(&self, partition: &TopicPartition, offset: Offset) {
        if let Some(log) = self.shared.lock().log_mut(partition) {
            log.delete_before(offset.0);
        }
        self.shared.changed.notify_all();
    }

    /// Forgets what a group has committed for a partition, as a coordinator does with offsets that were not
    /// committed again for too long.
    pub fn expire_offset(&self, group: &GroupId, partition: &TopicPartition) {
        self.shared.lock().offsets.remove(&(group.clone(), partition.clone()));
    }

    /// Compacts every partition of a topic, whatever its `cleanup.policy` says: keeps the last record of
    /// each key. Tombstones are kept.
    pub fn compact(&self, topic: &Topic) {
        if let Some(topic) = self.shared.lock().topics.get_mut(topic) {
            topic.partitions.iter_mut().for_each(partition::PartitionLog::compact);
        }
    }

    /// The committed records of a partition that are there now; empty where there is no such partition. No
    /// plan of failures, outage or missing leader gets in the way.
    pub fn records(&self, partition: &TopicPartition) -> Vec<OwnedRecord> {
        let state = self.shared.lock();
        let Some(found) = state.any_log(partition) else { return Vec::new() };
        let visible = found.visible(found.start(), Isolation::Committed);
        visible.map(|(offset, record)| log::owned(partition, offset, record)).collect()
    }

    /// Aborts the open transaction of `id` and fences its owner, as the coordinator does when the
    /// transaction takes too long.
    pub fn expire_transaction(&self, id: &TransactionalId) {
        self.shared.lock().expire_transaction(id);
        self.shared.changed.notify_all();
    }

    /// Takes the slots from a member as if its session had timed out.
    pub fn expire_member(&self, group: &GroupId, instance: &str) {
        if let Some(group) = self.shared.lock().slot_groups.get_mut(group) {
            group.remove(instance);
        }
        self.shared.changed.notify_all();
    }
}

impl Broker for MemoryBroker {
    fn reader(&self, from: &[(TopicPartition, Position)], isolation: Isolation) -> Result<Box<dyn Reader>, Weather> {
        Ok(Box::new(log::MemoryReader::open(&self.shared, from, isolation)?))
    }

    fn writer(&self, id: &TransactionalId) -> Result<Box<dyn Writer>, Weather> {
        Ok(Box::new(log::MemoryWriter::new(session::Session::open(&self.shared, id, WRITER_TIMEOUT)?)))
    }

    fn join_slots(&self, options: &SlotOptions) -> Result<Box<dyn SlotMember>, Weather> {
        Ok(Box::new(slots::MemoryMember::join(&self.shared, options)))
    }

    fn lane(&self, slot: Slot, options: &LaneOptions) -> Result<Box<dyn Lane>, Weather> {
        let session = session::Session::open(&self.shared, &options.transactional_id, options.transaction_timeout)?;
        Ok(Box::new(lane::MemoryLane::new(slot, session, options)))
    }
}
