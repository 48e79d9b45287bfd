//! Partitions that must wait, and why: named in readiness and counted in a metric.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use runtime::HealthCheck;
use schemas::TopicPartition;

use crate::telemetry;

/// Most partitions named in readiness; the rest are counted.
const NAMED: usize = 20;

/// What waits, over all lanes of the process.
pub(crate) struct Waiting {
    health: HealthCheck,
    partitions: Mutex<BTreeMap<TopicPartition, String>>,
}

impl Waiting {
    pub(crate) fn new(health: HealthCheck) -> Self {
        Self { health, partitions: Mutex::default() }
    }

    /// A partition waits for `why`.
    pub(crate) fn begin(&self, partition: &TopicPartition, why: &str) {
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        if partitions.insert(partition.clone(), why.to_owned()).as_deref() != Some(why) {
            tracing::warn!(%partition, why, "a partition waits");
        }
        self.report(&partitions);
    }

    /// It waits no more, or is another lane's.
    pub(crate) fn end(&self, partition: &TopicPartition) {
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        if partitions.remove(partition).is_some() {
            self.report(&partitions);
        }
    }

    /// Enforcing: nothing waits yet.
    pub(crate) fn ready(&self) {
        self.report(&self.partitions.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn report(&self, partitions: &BTreeMap<TopicPartition, String>) {
        telemetry::waiting(partitions.len());
        let mut named: Vec<_> =
            partitions.iter().take(NAMED).map(|(partition, why)| format!("{partition}: {why}")).collect();
        if partitions.len() > NAMED {
            named.push(format!("and {} more", partitions.len() - NAMED));
        }
        if partitions.is_empty() {
            self.health.ready();
        } else {
            self.health.not_ready(format!("{} inbox partitions wait", partitions.len()));
        }
        self.health.waiting(named);
    }
}
