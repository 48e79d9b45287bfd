//! The coordinator of classic consumer groups: membership, rebalances, and committed offsets, as Apache Kafka's
//! `GroupMetadataManager` and `ClassicGroup` have them.
//!
//! It is a state machine without tasks, timers or a clock of its own: the caller passes the time in and calls
//! [`Groups::tick`]. That time is in epoch milliseconds and should run evenly, since sessions are measured by it: a clock
//! that is set forward ends them all. It knows nothing of connections, of who may do what, of topics beyond whether they exist
//! ([`Partitions`]), and of how its events are stored ([`GroupStore`]). Requests are answered by one method per API, in
//! the types of the wire protocol; fields that a version does not have are left at their default.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_protocol::error::ResponseError;
use tokio::sync::oneshot;
use uuid::Uuid;

mod commit;
mod delete;
mod describe;
mod events;
mod expiry;
mod fetch;
mod ids;
mod join;
mod rebalance;
mod registry;
mod settings;
mod state;
mod sync;
#[cfg(test)]
mod tests;

pub use events::{CommittedOffset, GroupEvent, GroupRecord, GroupStore, MemberRecord, Protocol, TopicPartition};
pub use ids::{GroupId, InstanceId, MemberId};
pub use settings::GroupSettings;

use rebalance::Context;
use registry::Registry;
use state::NEVER;

/// Who sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client<'a> {
    /// `client.id` of the request's header; empty when it has none.
    pub id: &'a str,
    /// The address it came from, in the form that DescribeGroups shows, such as `/127.0.0.1`.
    pub host: &'a str,
}

/// A response that is there, or that comes once others have done their part.
#[derive(Debug)]
pub enum Reply<T> {
    /// Send it.
    Now(T),
    /// Wait for it. It is always sent, unless the coordinator itself is dropped.
    Later(oneshot::Receiver<T>),
}

impl<T> Reply<T> {
    fn of(mut receiver: oneshot::Receiver<T>) -> Self {
        match receiver.try_recv() {
            Ok(response) => Self::Now(response),
            Err(_) => Self::Later(receiver),
        }
    }
}

/// What the coordinator asks about topics. Called with its lock held: it must not call back into the coordinator.
pub trait Partitions: Send + Sync {
    /// Whether the partition exists; offsets are committed for no other.
    fn exists(&self, topic: &str, partition: i32) -> bool;
    /// The name of the topic with this id, for requests that name topics by id. No version that is answered so far
    /// does.
    fn name_of(&self, topic_id: Uuid) -> Option<String>;
}

/// The group coordinator.
pub struct Groups {
    settings: GroupSettings,
    store: Arc<dyn GroupStore>,
    partitions: Arc<dyn Partitions>,
    registry: Mutex<Registry>,
}

impl Groups {
    /// A coordinator without groups. [`Groups::replay`] the journal into it, if there is one, and then
    /// [`Groups::start`] it.
    pub fn new(settings: GroupSettings, store: Arc<dyn GroupStore>, partitions: Arc<dyn Partitions>) -> Self {
        Self { settings, store, partitions, registry: Mutex::default() }
    }

    /// Takes over one event from the journal, without recording it again. Any prefix of what was recorded may be
    /// replayed, and a [`Groups::snapshot`] in place of what led to it. To be called before [`Groups::start`].
    pub fn replay(&self, event: GroupEvent) {
        self.lock().apply(event);
    }

    /// Begins the sessions of the members that were replayed, at `now` (epoch milliseconds): they have their whole
    /// session timeout to come back.
    pub fn start(&self, now: i64) {
        let context = self.context(now);
        let mut registry = self.lock();
        registry.next_expiry = now.saturating_add(self.settings.offsets_retention_check_interval_ms);
        for group in registry.groups.values_mut() {
            group.start(context);
        }
    }

    /// The fewest events that reproduce the recorded state.
    pub fn snapshot(&self) -> Vec<GroupEvent> {
        self.with_snapshot(|events| events)
    }

    /// Calls `replace` with the [`Groups::snapshot`] while nothing else can be recorded, so that it may put the snapshot
    /// in the place of a journal that has grown. It must not call back into the coordinator.
    pub fn with_snapshot<T>(&self, replace: impl FnOnce(Vec<GroupEvent>) -> T) -> T {
        let registry = self.lock();
        replace(registry.snapshot())
    }

    /// Does what is due by `now` (epoch milliseconds): sessions and rebalances that time out, offsets that expire. Call
    /// it about every 50 ms, or at [`Groups::next_deadline`].
    pub fn tick(&self, now: i64) {
        let context = self.context(now);
        let mut registry = self.lock();
        for group in registry.groups.values_mut().filter(|group| group.next_deadline() <= now) {
            group.tick(context);
        }
        registry.drop_blank();
        if registry.next_expiry <= now {
            registry.next_expiry = now.saturating_add(self.settings.offsets_retention_check_interval_ms);
            registry.expire(context);
        }
    }

    /// When [`Groups::tick`] next has something to do, epoch milliseconds; none when nothing is waited for. Every
    /// request may bring it forward.
    pub fn next_deadline(&self) -> Option<i64> {
        let registry = self.lock();
        let groups = registry.groups.values().map(|group| group.next_deadline()).min()?;
        Some(groups.min(registry.next_expiry)).filter(|deadline| *deadline != NEVER)
    }

    fn context(&self, now: i64) -> Context<'_> {
        Context { settings: &self.settings, store: self.store.as_ref(), now }
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        // Nothing in here panics by design; if it did, serving on beats taking the broker down.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Groups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Groups").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// The error code of an outcome; 0 when it is good.
fn code(outcome: Result<(), ResponseError>) -> i16 {
    outcome.err().map_or(0, |error| error.code())
}
