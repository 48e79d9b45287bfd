//! What must wait, and why: named in readiness, in the log, and in a metric.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use runtime::HealthCheck;
use schemas::{Slot, TopicPartition};

use crate::telemetry;

/// Most partitions named in readiness; the rest are counted.
const NAMED: usize = 20;
/// Most partitions that ever get a time series of their own in this process; the count is of all.
const LABELLED: usize = 200;

/// A partition, or a slot with all that is in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Slot(Slot),
    Partition(TopicPartition),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slot(slot) => write!(f, "slot {slot}"),
            Self::Partition(partition) => partition.fmt(f),
        }
    }
}

#[derive(Default)]
struct Inner {
    waiting: BTreeMap<Who, String>,
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
        self.add(Who::Partition(partition.clone()), why);
    }

    /// It waits no more, or is another lane's.
    pub(crate) fn end(&self, partition: &TopicPartition) {
        self.remove(&Who::Partition(partition.clone()));
    }

    /// A slot that is ours has no lane for now, because of `why`.
    pub(crate) fn begin_slot(&self, slot: Slot, why: &str) {
        self.add(Who::Slot(slot), why);
    }

    /// It has one, or is another's.
    pub(crate) fn end_slot(&self, slot: Slot) {
        self.remove(&Who::Slot(slot));
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
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let partition = |(who, why): (&Who, &String)| match who {
            Who::Partition(partition) => Some((partition.clone(), why.clone())),
            Who::Slot(_) => None,
        };
        inner.waiting.iter().filter_map(partition).collect()
    }

    fn add(&self, who: Who, why: &str) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.waiting.get(&who).is_some_and(|before| before == why) {
            return;
        }
        tracing::warn!(%who, why, "waits");
        if let Who::Partition(partition) = &who
            && (inner.labelled.contains(partition) || inner.labelled.len() < LABELLED)
        {
            telemetry::partition_waits(partition, true);
            inner.labelled.insert(partition.clone());
        }
        inner.waiting.insert(who, why.to_owned());
        self.report(&inner);
    }

    fn remove(&self, who: &Who) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.waiting.remove(who).is_none() {
            return;
        }
        tracing::info!(%who, "waits no more");
        if let Who::Partition(partition) = who
            && inner.labelled.contains(partition)
        {
            telemetry::partition_waits(partition, false);
        }
        self.report(&inner);
    }

    fn report(&self, inner: &Inner) {
        telemetry::waiting(inner.waiting.keys().filter(|who| matches!(who, Who::Partition(_))).count());
        if !inner.enforcing {
            return;
        }
        let waiting = &inner.waiting;
        let mut named: Vec<_> = waiting.iter().take(NAMED).map(|(who, why)| format!("{who}: {why}")).collect();
        if waiting.len() > NAMED {
            named.push(format!("and {} more", waiting.len() - NAMED));
        }
        if waiting.is_empty() {
            self.health.ready();
        } else {
            self.health.not_ready(format!("{} inbox partitions or slots wait", waiting.len()));
        }
        self.health.waiting(named);
    }
}
