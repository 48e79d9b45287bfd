//! A slot's lane: taken, worked, and taken anew after every break.

use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Lane, LaneError, LaneOptions};
use contract::Scratch;
use schemas::{Slot, TopicPartition};

use crate::assignment::Assignment;
use crate::catalog::Snapshot;
use crate::clock::Now;
use crate::telemetry::Ended;
use crate::worker::LaneWorker;
use crate::{Shared, telemetry};

/// Longest wait for records: also how soon a change of the catalog is noticed.
const POLL: Duration = Duration::from_millis(100);
/// Before a lane that could not go on is taken again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Before a slot is taken again that a newer owner took while the group still gives it to us.
const AFTER_FENCE: Duration = Duration::from_secs(3);
/// A slot without a lane for longer than this is named in readiness.
const NAMED_AFTER: Duration = Duration::from_secs(2);

/// One slot of this process, over all breaks of its lane.
pub(crate) struct SlotLane {
    shared: Arc<Shared>,
    slot: Slot,
    worker: Option<LaneWorker>,
    /// The slot is not taken before this.
    not_before: Option<Instant>,
    /// Since when it has no lane.
    idle_since: Option<Instant>,
}

impl SlotLane {
    pub(crate) fn new(shared: Arc<Shared>, slot: Slot) -> Self {
        Self { shared, slot, worker: None, not_before: None, idle_since: None }
    }

    /// Holds the slot until told to stop.
    pub(crate) fn run(shared: Arc<Shared>, slot: Slot, told: &dyn Fn() -> bool) {
        let mut lane = Self::new(shared, slot);
        while !told() {
            let until = Instant::now() + lane.step(POLL);
            while Instant::now() < until && !told() {
                lane.shared
                    .shutdown
                    .wait(Duration::from_millis(50).min(until.saturating_duration_since(Instant::now())));
            }
        }
        lane.give_up();
    }

    /// Takes the lane if it has none, else works it once: at most one transaction. Waits up to `max_wait`
    /// for records; returns for how long there is nothing to do.
    pub(crate) fn step(&mut self, max_wait: Duration) -> Duration {
        let Now { instant: now, .. } = self.shared.clock.now();
        if let Some(not_before) = self.not_before.filter(|not_before| now < *not_before) {
            return not_before - now;
        }
        let worked = match &mut self.worker {
            Some(worker) => worker.step(max_wait),
            None => self.take(),
        };
        let error = match worked {
            Ok(pause) => {
                self.idle_since = None;
                self.shared.waiting.end_slot(self.slot);
                return pause;
            }
            Err(error) => error,
        };
        self.give_up();
        let pause = if error == LaneError::Fenced {
            telemetry::transaction(Ended::Fenced);
            tracing::warn!(slot = %self.slot, "a newer owner has taken the slot");
            AFTER_FENCE
        } else {
            tracing::warn!(slot = %self.slot, %error, "the slot's lane is given up and taken again");
            TRY_AGAIN
        };
        // What failed may have taken long to fail.
        let since = *self.idle_since.get_or_insert(now);
        if self.shared.clock.now().instant.duration_since(since) > NAMED_AFTER {
            self.shared.waiting.begin_slot(self.slot, self.partitions(), &error.to_string());
        }
        self.not_before = Some(now + pause);
        pause
    }

    /// The inbox partitions of the slot, as the catalog has them now.
    fn partitions(&self) -> Vec<TopicPartition> {
        let snapshot = self.shared.catalog.get();
        let all = snapshot.partitions().map(|(inbox, _)| inbox);
        all.filter(|inbox| Slot::of(inbox, self.shared.config.slots) == self.slot).collect()
    }

    fn take(&mut self) -> Result<Duration, LaneError> {
        let config = &self.shared.config;
        let options = LaneOptions {
            transactional_id: config.names.slot_producer(self.slot),
            offsets_group: config.names.offsets_group(),
            transaction_timeout: config.transaction_timeout,
            delivery_timeout: config.delivery_timeout,
            queue_bytes: config.queue_bytes,
            fetch_bytes_per_partition: config.fetch_bytes_per_partition,
        };
        let lane: Box<dyn Lane> = self.shared.broker.lane(self.slot, &options)?;
        let snapshot: Arc<Snapshot> = self.shared.catalog.get();
        let worker = LaneWorker {
            shared: Arc::clone(&self.shared),
            lane,
            assignment: Assignment::new(self.slot),
            snapshot,
            scratch: Scratch::default(),
            trouble_since: None,
        };
        self.worker.insert(worker).follow()?;
        self.shared.waiting.ready();
        Ok(Duration::ZERO)
    }

    /// Drops the lane; what waited in it is no longer this lane's.
    pub(crate) fn give_up(&mut self) {
        if let Some(mut worker) = self.worker.take() {
            worker.assignment.let_go(&self.shared, |_| false);
        }
        self.shared.waiting.end_slot(self.slot);
    }
}
