//! One lane's work: poll, judge, commit; between two transactions whatever else has to be done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Control, Incident, Lane, LaneError, PartitionOutput, Route, Weather};
use contract::Scratch;
use schemas::TopicPartition;

use crate::assignment::{Assignment, Hold, HoldOn};
use crate::catalog::Snapshot;
use crate::events::{Stamp, metadata};
use crate::judge::{self, Outcome, Partition, Refused};
use crate::telemetry::Ended;
use crate::{Shared, telemetry};

/// How soon a partition that waits for a schema looks again after an answer of the registry, and without one.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const LOOK_AGAIN_UNASKED: Duration = Duration::from_millis(250);
/// How soon a partition whose output was away is tried again at the earliest; doubled with each failure.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// The longest that it doubles to.
const TRY_AGAIN_AT_MOST: Duration = Duration::from_secs(32);
/// After a transaction that was aborted for no partition's sake.
const AFTER_ABORT: Duration = Duration::from_millis(200);
/// What waits for longer than this is named in readiness.
const NAMED_AFTER: Duration = Duration::from_millis(500);

/// Works the lane of a slot until it cannot go on.
pub(crate) struct LaneWorker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) lane: Box<dyn Lane>,
    pub(crate) assignment: Assignment,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) scratch: Scratch,
    /// Since when transactions are aborted for no partition's sake.
    pub(crate) trouble_since: Option<Instant>,
}

impl LaneWorker {
    /// Brings the lane in line with the snapshot.
    pub(crate) fn follow(&mut self) -> Result<(), LaneError> {
        self.assignment.follow(&mut *self.lane, &self.shared, &self.snapshot)
    }

    /// One turn: at most one transaction with records. Returns for how long there is nothing to do.
    ///
    /// # Errors
    /// The lane cannot go on: what it knows may not be what the broker holds, and it must be taken anew.
    pub(crate) fn step(&mut self, max_wait: Duration) -> Result<Duration, LaneError> {
        let snapshot = self.shared.catalog.get();
        let changed = !Arc::ptr_eq(&snapshot, &self.snapshot);
        self.snapshot = snapshot;
        if changed {
            self.shared.resolver.keep(&self.snapshot);
        }
        if changed || self.assignment.look_aside(&self.shared) {
            self.follow()?;
        }
        self.assignment.recommit(&mut *self.lane, &self.shared, self.snapshot.position)?;
        self.resume_due()?;
        let incidents = self.lane.poll(max_wait.min(self.next_look()), self.shared.config.limits)?;
        let pause = if self.lane.batch().is_empty() { Duration::ZERO } else { self.batch()? };
        for incident in incidents {
            self.incident(incident)?;
        }
        Ok(pause)
    }

    fn batch(&mut self) -> Result<Duration, LaneError> {
        let now = self.shared.clock.now();
        let lookup = |inbox: &TopicPartition| {
            let state = self.assignment.states.get(inbox)?;
            Some(Partition {
                enforced: &state.enforced,
                first_seen: &state.first_seen,
                refused: &state.refused,
                hold: state.hold.as_ref().map(|hold| hold.why.as_str()),
            })
        };
        let outcome = judge::judge(self.lane.batch(), &lookup, &self.shared.resolver, now, &mut self.scratch);
        self.note_waits(&outcome, now.instant);
        let Outcome { routes, mut partitions } = outcome;
        if routes.iter().all(|route| *route == Route::Wait) {
            // Nothing to commit, but the lane must go back to what it did not consume.
            self.lane.commit(&routes, &mut |_| Control::default())?;
            return Ok(Duration::ZERO);
        }
        let (names, codec) = (&self.shared.config.names, &self.shared.config.codec);
        let stamp = Stamp { names, codec, judged_at: now.wall, catalog_offset: self.snapshot.position };
        let states = &self.assignment.states;
        let touched: Vec<_> = partitions.keys().cloned().collect();
        let mut control = |outputs: &[PartitionOutput]| {
            let mut control = Control::default();
            for output in outputs {
                let (Some(state), Some(judged)) = (states.get(&output.inbox), partitions.remove(&output.inbox)) else {
                    control.metadata.push(String::new());
                    continue;
                };
                control.records.extend(stamp.enforced(&state.enforced, output, judged));
                control.metadata.push(metadata(stamp.catalog_offset, &state.enforced));
            }
            control
        };
        match self.lane.commit(&routes, &mut control) {
            Ok(committed) => {
                telemetry::transaction(Ended::Committed);
                telemetry::times(&committed);
                self.moved(&committed.outputs);
                Ok(Duration::ZERO)
            }
            Err(error) => self.not_committed(error, &touched),
        }
    }

    /// Partitions that stopped in this batch wait; what they saw and when is kept.
    fn note_waits(&mut self, outcome: &Outcome, now: Instant) {
        let answers = self.shared.resolver.answers();
        for (inbox, judged) in &outcome.partitions {
            let (Some(why), Some(state)) = (&judged.waits, self.assignment.states.get_mut(inbox)) else { continue };
            state.first_seen.polled(judged.last, now);
            if judged.waits_for_schema {
                let (on, until) = (HoldOn::Schema { answers }, now + LOOK_AGAIN_UNASKED);
                state.hold = Some(Hold { on, since: now, until, why: why.clone() });
            }
            let since = state.first_seen.since().unwrap_or(now);
            if now.saturating_duration_since(since) > NAMED_AFTER {
                self.shared.waiting.begin(inbox, why);
            }
        }
    }

    fn moved(&mut self, outputs: &[PartitionOutput]) {
        let now = self.shared.clock.now().instant;
        self.trouble_since = None;
        for output in outputs {
            let Some(state) = self.assignment.states.get_mut(&output.inbox) else { continue };
            telemetry::records(&state.enforced, output);
            state.next = output.to;
            state.committed_at = now;
            state.failures = 0;
            state.unreadable = false;
            state.refused.retain(|offset, _| *offset >= output.to);
            state.first_seen.consumed(output.to);
            if state.hold.is_none() {
                self.shared.waiting.end(&output.inbox);
                self.shared.leaders.forget(&output.inbox);
            }
        }
    }

    fn not_committed(&mut self, error: LaneError, touched: &[TopicPartition]) -> Result<Duration, LaneError> {
        let now = self.shared.clock.now().instant;
        match error {
            LaneError::Aborted { why, partitions } => {
                telemetry::transaction(Ended::Aborted);
                tracing::warn!(why, ?partitions, "a transaction was aborted");
                for inbox in &partitions {
                    self.hold_for_outputs(inbox, &why, now);
                }
                if !partitions.is_empty() {
                    return Ok(Duration::ZERO);
                }
                let since = *self.trouble_since.get_or_insert(now);
                if now.duration_since(since) > NAMED_AFTER {
                    for inbox in touched {
                        self.shared.waiting.begin(inbox, &format!("its transactions are aborted: {why}"));
                    }
                }
                Ok(AFTER_ABORT)
            }
            LaneError::Refused { inbox, offset, reason } => {
                telemetry::transaction(Ended::Refused);
                if let Some(state) = self.assignment.states.get_mut(&inbox) {
                    let twice = state.refused.contains_key(&offset);
                    state.refused.insert(offset, Refused { twice, why: reason });
                }
                Ok(Duration::ZERO)
            }
            LaneError::Unknown { why } => {
                telemetry::transaction(Ended::Unknown);
                tracing::warn!(why, "it is not known whether a transaction was committed; the broker's offsets decide");
                Err(Weather::new("learn the outcome of a transaction", why).into())
            }
            other => Err(other),
        }
    }

    /// The outputs of a partition cannot be written: it waits until they have leaders, and is then tried
    /// again, less and less often, because each try costs all partitions of the lane the delivery timeout.
    fn hold_for_outputs(&mut self, inbox: &TopicPartition, why: &str, now: Instant) {
        let Some(state) = self.assignment.states.get_mut(inbox) else { return };
        let why = format!("its product or quarantine partition cannot be written: {why}");
        self.shared.waiting.begin(inbox, &why);
        let destination = &state.enforced.destination;
        let outputs = [&destination.product, &destination.quarantine]
            .map(|topic| TopicPartition::new(topic.clone(), inbox.partition));
        self.shared.leaders.watch(inbox, outputs.to_vec());
        let pause = TRY_AGAIN.saturating_mul(1 << state.failures.min(5)).min(TRY_AGAIN_AT_MOST);
        state.failures += 1;
        state.hold = Some(Hold { on: HoldOn::Outputs, since: now, until: now + pause, why });
    }

    /// Whether a held partition may go on.
    fn is_due(&self, inbox: &TopicPartition, hold: &Hold, now: Instant) -> bool {
        match hold.on {
            HoldOn::Schema { answers } => {
                let answered = self.shared.resolver.answers() != answers;
                now >= hold.until || answered && now >= hold.since + LOOK_AGAIN
            }
            HoldOn::Outputs => now >= hold.until && self.shared.leaders.back(inbox),
        }
    }

    fn resume_due(&mut self) -> Result<(), LaneError> {
        let now = self.shared.clock.now().instant;
        let held = self.assignment.states.iter().filter_map(|(inbox, state)| Some((inbox, state.hold.as_ref()?)));
        let due: Vec<_> =
            held.filter(|(inbox, hold)| self.is_due(inbox, hold, now)).map(|(inbox, _)| inbox.clone()).collect();
        for inbox in due {
            if let Some(state) = self.assignment.states.get_mut(&inbox) {
                state.hold = None;
            }
            self.lane.resume(&inbox)?;
        }
        for (inbox, state) in &mut self.assignment.states {
            if state.unreadable && self.shared.leaders.back(inbox) {
                state.unreadable = false;
                self.shared.leaders.forget(inbox);
                self.shared.waiting.end(inbox);
            }
        }
        Ok(())
    }

    /// How long until something held may be due: soon, where an answer of the registry is awaited.
    fn next_look(&self) -> Duration {
        let awaits = self
            .assignment
            .states
            .values()
            .any(|state| matches!(&state.hold, Some(Hold { on: HoldOn::Schema { .. }, .. })));
        if awaits { LOOK_AGAIN } else { Duration::MAX }
    }

    fn incident(&mut self, incident: Incident) -> Result<(), LaneError> {
        match incident {
            Incident::OutOfRange { inbox, .. } => {
                let position = self.snapshot.position;
                self.assignment.out_of_range(&mut *self.lane, &self.shared, position, &inbox)
            }
            Incident::Unavailable { inbox, why } => {
                let Some(state) = self.assignment.states.get_mut(&inbox) else { return Ok(()) };
                state.unreadable = true;
                self.shared.leaders.watch(&inbox, vec![inbox.clone()]);
                self.shared.waiting.begin(&inbox, &format!("its inbox cannot be read: {why}"));
                Ok(())
            }
        }
    }
}
