//! A slot's loop: poll, judge, commit; between two transactions whatever else has to be done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Control, Incident, Lane, LaneError, LaneOptions, PartitionOutput, Route, Weather};
use contract::Scratch;
use schemas::{Slot, Timestamp, TopicPartition};

use crate::assignment::Assignment;
use crate::catalog::Snapshot;
use crate::events::{Stamp, metadata};
use crate::judge::{self, Outcome, Partition, Refused};
use crate::telemetry::Ended;
use crate::{Shared, telemetry};

/// Longest wait for records: also how soon a change of the catalog is noticed.
const POLL: Duration = Duration::from_millis(100);
/// How soon a partition that waits for a schema looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How soon a partition whose output was away is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Before a slot is taken again that a newer owner took while the group still gives it to us.
const AFTER_FENCE: Duration = Duration::from_secs(3);

/// Works one slot.
pub(crate) struct LaneWorker<'a> {
    shared: &'a Shared,
    lane: Box<dyn Lane>,
    assignment: Assignment,
    snapshot: Arc<Snapshot>,
    scratch: Scratch,
}

impl<'a> LaneWorker<'a> {
    /// Holds the slot until told to stop: taken anew after every break, from what the broker holds.
    pub(crate) fn run(shared: &'a Shared, slot: Slot, told: &dyn Fn() -> bool) {
        while !told() {
            let pause = match Self::hold(shared, slot, told) {
                Ok(()) => return,
                Err(LaneError::Fenced) => {
                    telemetry::transaction(Ended::Fenced);
                    tracing::warn!(%slot, "a newer owner has taken the slot");
                    AFTER_FENCE
                }
                Err(error) => {
                    tracing::warn!(%slot, %error, "the slot's lane is given up and taken again");
                    TRY_AGAIN
                }
            };
            let until = Instant::now() + pause;
            while Instant::now() < until && !told() {
                shared.shutdown.wait(Duration::from_millis(50));
            }
        }
    }

    fn hold(shared: &'a Shared, slot: Slot, told: &dyn Fn() -> bool) -> Result<(), LaneError> {
        let options = LaneOptions {
            transactional_id: shared.config.names.slot_producer(slot),
            offsets_group: shared.config.names.offsets_group(),
            transaction_timeout: shared.config.transaction_timeout,
            delivery_timeout: shared.config.delivery_timeout,
            queue_bytes: shared.config.queue_bytes,
            fetch_bytes_per_partition: shared.config.fetch_bytes_per_partition,
        };
        let lane = shared.broker.lane(slot, &options)?;
        let snapshot = shared.catalog.get();
        let mut worker =
            Self { shared, lane, assignment: Assignment::new(slot), snapshot, scratch: Scratch::default() };
        let result = worker.work(told);
        for inbox in worker.assignment.states.keys() {
            shared.waiting.end(inbox);
        }
        result
    }

    fn work(&mut self, told: &dyn Fn() -> bool) -> Result<(), LaneError> {
        self.assignment.follow(&mut *self.lane, self.shared, &self.snapshot)?;
        self.shared.waiting.ready();
        while !told() {
            let snapshot = self.shared.catalog.get();
            if !Arc::ptr_eq(&snapshot, &self.snapshot) {
                self.snapshot = snapshot;
                self.settle(|worker| worker.assignment.follow(&mut *worker.lane, worker.shared, &worker.snapshot))?;
            }
            self.settle(|worker| {
                worker.assignment.recommit(&mut *worker.lane, worker.shared, worker.snapshot.position)
            })?;
            self.resume_due()?;
            let incidents = self.lane.poll(POLL, self.shared.config.limits)?;
            if !self.lane.batch().is_empty() {
                self.batch()?;
            }
            for incident in incidents {
                self.incident(incident)?;
            }
        }
        Ok(())
    }

    /// Does something transactional that leaves no trace where it fails, until it is done.
    fn settle(&mut self, mut act: impl FnMut(&mut Self) -> Result<(), LaneError>) -> Result<(), LaneError> {
        loop {
            match act(self) {
                Err(LaneError::Aborted { why, .. } | LaneError::Unknown { why }) => {
                    tracing::warn!(why, "an annotation was not committed; trying again");
                    if self.shared.shutdown.wait(Duration::from_millis(200)) {
                        return Ok(());
                    }
                    // The position may have moved: only the broker knows.
                    self.assignment = Assignment::new(self.assignment.slot());
                    self.assignment.follow(&mut *self.lane, self.shared, &self.snapshot)?;
                }
                other => return other,
            }
        }
    }

    fn batch(&mut self) -> Result<(), LaneError> {
        let now = (Timestamp::now(), Instant::now());
        let lookup = |inbox: &TopicPartition| {
            let state = self.assignment.states.get(inbox)?;
            Some(Partition {
                enforced: &state.enforced,
                first_seen: &state.first_seen,
                refused: &state.refused,
                hold: state.hold.as_ref().map(|(_, why)| why.as_str()),
            })
        };
        let outcome = judge::judge(self.lane.batch(), &lookup, &self.shared.resolver, now, &mut self.scratch);
        self.note_waits(&outcome, now.1);
        if outcome.routes.iter().all(|route| *route == Route::Wait) {
            // Nothing to commit, but the lane must go back to what it did not consume.
            self.lane.commit(&outcome.routes, &mut |_| Control::default())?;
            self.shared.resolver.wait(LOOK_AGAIN);
            return Ok(());
        }
        let (names, codec) = (&self.shared.config.names, &self.shared.config.codec);
        let stamp = Stamp { names, codec, judged_at: now.0, catalog_offset: self.snapshot.position };
        let states = &self.assignment.states;
        let mut control = |outputs: &[PartitionOutput]| {
            let mut control = Control::default();
            for output in outputs {
                let (Some(state), Some(judged)) = (states.get(&output.inbox), outcome.partitions.get(&output.inbox))
                else {
                    control.metadata.push(String::new());
                    continue;
                };
                control.records.extend(stamp.enforced(&state.enforced, output, judged));
                control.metadata.push(metadata(stamp.catalog_offset, &state.enforced));
            }
            control
        };
        match self.lane.commit(&outcome.routes, &mut control) {
            Ok(committed) => {
                telemetry::transaction(Ended::Committed);
                telemetry::times(&committed);
                self.moved(&committed.outputs);
                Ok(())
            }
            Err(error) => self.not_committed(error),
        }
    }

    /// Partitions that stopped in this batch wait; what they saw and when is kept.
    fn note_waits(&mut self, outcome: &Outcome, now: Instant) {
        for (inbox, judged) in &outcome.partitions {
            let (Some(why), Some(state)) = (&judged.waits, self.assignment.states.get_mut(inbox)) else { continue };
            state.first_seen.polled(judged.last, now);
            if state.hold.is_none() {
                state.hold = Some((now + LOOK_AGAIN, why.clone()));
            }
            let since = state.first_seen.since().unwrap_or(now);
            if now.duration_since(since) > Duration::from_millis(500) {
                self.shared.waiting.begin(inbox, why);
            }
        }
    }

    fn moved(&mut self, outputs: &[PartitionOutput]) {
        for output in outputs {
            let Some(state) = self.assignment.states.get_mut(&output.inbox) else { continue };
            telemetry::records(&state.enforced, output);
            state.next = output.to;
            state.committed_at = Instant::now();
            state.refused.retain(|offset, _| *offset >= output.to);
            state.first_seen.consumed(output.to);
            if state.hold.is_none() {
                self.shared.waiting.end(&output.inbox);
            }
        }
    }

    fn not_committed(&mut self, error: LaneError) -> Result<(), LaneError> {
        match error {
            LaneError::Aborted { why, partitions } => {
                telemetry::transaction(Ended::Aborted);
                tracing::warn!(why, ?partitions, "a transaction was aborted");
                for inbox in partitions {
                    if let Some(state) = self.assignment.states.get_mut(&inbox) {
                        let why = format!("its product or quarantine partition cannot be written: {why}");
                        self.shared.waiting.begin(&inbox, &why);
                        state.hold = Some((Instant::now() + TRY_AGAIN, why));
                    }
                }
                Ok(())
            }
            LaneError::Refused { inbox, offset, reason } => {
                telemetry::transaction(Ended::Refused);
                if let Some(state) = self.assignment.states.get_mut(&inbox) {
                    let twice = state.refused.contains_key(&offset);
                    state.refused.insert(offset, Refused { twice, why: reason });
                }
                Ok(())
            }
            LaneError::Unknown { why } => {
                telemetry::transaction(Ended::Unknown);
                tracing::warn!(why, "it is not known whether a transaction was committed; the broker's offsets decide");
                Err(Weather::new("learn the outcome of a transaction", why).into())
            }
            other => Err(other),
        }
    }

    fn resume_due(&mut self) -> Result<(), LaneError> {
        let now = Instant::now();
        for (inbox, state) in &mut self.assignment.states {
            if state.hold.as_ref().is_some_and(|(due, _)| *due <= now) {
                state.hold = None;
                self.lane.resume(inbox)?;
            }
        }
        Ok(())
    }

    fn incident(&mut self, incident: Incident) -> Result<(), LaneError> {
        match incident {
            Incident::OutOfRange { inbox, .. } => {
                let position = self.snapshot.position;
                self.settle(|worker| worker.assignment.out_of_range(&mut *worker.lane, worker.shared, position, &inbox))
            }
            Incident::Unavailable { inbox, why } => {
                self.shared.waiting.begin(&inbox, &format!("its inbox cannot be read: {why}"));
                Ok(())
            }
        }
    }
}
