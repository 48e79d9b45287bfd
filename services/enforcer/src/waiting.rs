//! What must wait, and why: named in readiness, in the log, and in a metric.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use runtime::HealthCheck;
use schemas::{Slot, TopicPartition};

use crate::telemetry;

/// Most partitions named in readiness; the rest are counted.
const NAMED: usize = 20;
/// Most partitions that ever get a time series of their own in this process; the count is of all.
const LABELLED: usize = 200;

#[derive(Default)]
struct Inner {
    waiting: BTreeMap<TopicPartition, String>,
    /// Slots without a lane, with all that is in them.
    idle: BTreeMap<Slot, (Vec<TopicPartition>, String)>,
    labelled: BTreeSet<TopicPartition>,
    enforcing: bool,
}

/// What waits, over all lanes of the process.
pub(crate) struct Waiting {
    health: HealthCheck,
    inner: Mutex<Inner>,
}

impl Waiting {
    pub(crate) fn new(health: HealthCheck) -> Self {
        Self { health, inner: Mutex::default() }
    }

    /// A partition waits for `why`.
    pub(crate) fn begin(&self, partition: &TopicPartition, why: &str) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.waiting.get(partition).is_some_and(|before| before == why) {
            return;
        }
        tracing::warn!(%partition, why, "waits");
        if inner.labelled.contains(partition) || inner.labelled.len() < LABELLED {
            telemetry::partition_waits(partition, true);
            inner.labelled.insert(partition.clone());
        }
        inner.waiting.insert(partition.clone(), why.to_owned());
        self.report(&inner);
    }

    /// It waits no more, or is another lane's.
    pub(crate) fn end(&self, partition: &TopicPartition) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.waiting.remove(partition).is_none() {
            return;
        }
        tracing::info!(%partition, "waits no more");
        if inner.labelled.contains(partition) {
            telemetry::partition_waits(partition, false);
        }
        self.report(&inner);
    }

    /// A slot that is ours has no lane for now, because of `why`; its partitions wait.
    pub(crate) fn begin_slot(&self, slot: Slot, partitions: Vec<TopicPartition>, why: &str) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = (partitions, format!("its slot {slot} has no lane: {why}"));
        if inner.idle.get(&slot) != Some(&idle) {
            tracing::warn!(%slot, partitions = idle.0.len(), why, "a slot waits");
            inner.idle.insert(slot, idle);
            self.report(&inner);
        }
    }

    /// It has one, or is another's.
    pub(crate) fn end_slot(&self, slot: Slot) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.idle.remove(&slot).is_some() {
            tracing::info!(%slot, "a slot waits no more");
            self.report(&inner);
        }
    }

    /// Enforcing: from now on it is ready unless something waits.
    pub(crate) fn ready(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.enforcing = true;
        self.report(&inner);
    }

    /// Every partition that waits, and why.
    #[cfg(test)]
    pub(crate) fn partitions(&self) -> BTreeMap<TopicPartition, String> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).waiting.clone()
    }

    fn report(&self, inner: &Inner) {
        let idle = inner.idle.values().flat_map(|(partitions, why)| partitions.iter().map(move |one| (one, why)));
        let waiting: BTreeMap<_, _> = idle.chain(&inner.waiting).collect();
        telemetry::waiting(waiting.len());
        if !inner.enforcing {
            return;
        }
        let mut named: Vec<_> =
            waiting.iter().take(NAMED).map(|(partition, why)| format!("{partition}: {why}")).collect();
        if waiting.len() > NAMED {
            named.push(format!("and {} more", waiting.len() - NAMED));
        }
        if waiting.is_empty() && inner.idle.is_empty() {
            self.health.ready();
        } else {
            let idle = inner.idle.len();
            self.health.not_ready(format!("{} inbox partitions wait, {idle} slots have no lane", waiting.len()));
        }
        self.health.waiting(named);
    }
}
