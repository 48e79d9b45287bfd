//! A lane in memory: polls its partitions in turn, and publishes and commits in one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::{Offset, Run, Slot, Topic, TopicPartition};

use super::admin::offsets_of;
use super::batch::{Item, MemoryBatch};
use super::deadline;
use super::log::stored;
use super::partition::Stored;
use super::session::{Session, Stop};
use super::state::State;
use crate::lane::{
    Batch, Committed, CommittedOffset, Control, Destination, InboxPartition, Incident, Lane, LaneError, LaneOptions,
    PartitionOutput, PollLimits, Reasons, Route,
};
use crate::log::{Isolation, OutRecord, Weather};

/// Records taken from one partition before the next has its turn.
const TURN: usize = 64;

/// An inbox partition that the lane reads.
#[derive(Debug, Clone)]
struct Assigned {
    destination: Destination,
    /// Committed before the next transaction.
    from: i64,
    /// The next offset to be read. Moves only with a commit.
    position: i64,
    paused: bool,
    out_of_range: bool,
    /// It was said that it cannot be read, and it still cannot.
    unavailable: bool,
}

/// A lane.
#[derive(Debug)]
pub(super) struct MemoryLane {
    slot: Slot,
    session: Session,
    options: LaneOptions,
    assigned: BTreeMap<TopicPartition, Assigned>,
    batch: MemoryBatch,
    /// Whose turn it is first.
    turn: usize,
}

impl MemoryLane {
    pub(super) fn new(slot: Slot, session: Session, options: &LaneOptions) -> Self {
        let options = options.clone();
        Self { slot, session, options, assigned: BTreeMap::new(), batch: MemoryBatch::default(), turn: 0 }
    }

    fn alive(&self, what: &str) -> Result<(), LaneError> {
        Ok(self.session.alive(&format!("{what} in the lane of slot {}", self.slot))?)
    }

    /// Looks at every partition for what cannot be read; each is reported once.
    fn incidents(&mut self, state: &State) -> Vec<Incident> {
        let mut incidents = Vec::new();
        for (inbox, assigned) in &mut self.assigned {
            let log = match state.log(inbox) {
                Ok(log) => log,
                Err(why) => {
                    if !assigned.unavailable {
                        assigned.unavailable = true;
                        incidents.push(Incident::Unavailable { inbox: inbox.clone(), why });
                    }
                    continue;
                }
            };
            assigned.unavailable = false;
            let there = (log.start()..=log.next()).contains(&assigned.position);
            if !there && !assigned.paused && !assigned.out_of_range {
                assigned.out_of_range = true;
                let position = Offset(assigned.position);
                incidents.push(Incident::OutOfRange { inbox: inbox.clone(), position });
            }
        }
        incidents
    }

    /// Takes what is at hand, in turns, within the limits.
    fn gather(&mut self, state: &State, limits: PollLimits) -> MemoryBatch {
        let mut readable: Vec<(&TopicPartition, i64)> = self
            .assigned
            .iter()
            .filter(|(_, assigned)| !assigned.paused && !assigned.out_of_range && !assigned.unavailable)
            .map(|(inbox, assigned)| (inbox, assigned.position))
            .collect();
        if readable.is_empty() {
            return MemoryBatch::default();
        }
        let first = self.turn % readable.len();
        readable.rotate_left(first);
        self.turn = self.turn.wrapping_add(1);

        let mut batch = MemoryBatch::default();
        let mut sources: Vec<_> = readable
            .into_iter()
            .filter_map(|(inbox, position)| {
                let log = state.log(inbox).ok()?;
                let mut records = log.visible(position, Isolation::Committed).peekable();
                records.peek()?;
                batch.partitions.push(inbox.clone());
                batch.after.push(log.end(Isolation::Committed));
                Some((batch.partitions.len() - 1, records))
            })
            .collect();
        let (mut bytes, mut more) = (0, true);
        while more {
            more = false;
            for (partition, records) in &mut sources {
                for _ in 0..TURN {
                    if batch.items.len() >= limits.records || bytes >= limits.bytes {
                        break;
                    }
                    let Some((offset, record)) = records.next() else { break };
                    bytes += record.payload();
                    more = true;
                    batch.items.push(Item { partition: *partition, offset, record: Arc::clone(record) });
                }
            }
        }
        for (partition, records) in &mut sources {
            if let (Some((next, _)), Some(after)) = (records.peek(), batch.after.get_mut(*partition)) {
                *after = *next;
            }
        }
        batch
    }

    /// Where each partition of the batch would stand after these routes, and what becomes of its records:
    /// a record that waits keeps back itself and what follows it.
    fn plan(&self, routes: &[Route]) -> Vec<Plan> {
        let mut plans: Vec<Plan> =
            self.batch.after.iter().map(|after| Plan { to: *after, waits: false, records: Vec::new() }).collect();
        for (index, (item, route)) in self.batch.items.iter().zip(routes).enumerate() {
            let Some(plan) = plans.get_mut(item.partition) else { continue };
            if plan.waits {
                continue;
            }
            if *route == Route::Wait {
                plan.waits = true;
                plan.to = item.offset;
            } else {
                plan.records.push(index);
            }
        }
        plans
    }

    /// Sends the outputs of the batch; says what became of each partition that moved.
    fn produce(&mut self, routes: &[Route], plans: &[Plan]) -> Result<Vec<PartitionOutput>, LaneError> {
        let mut outputs = Vec::new();
        let mut away: BTreeMap<TopicPartition, String> = BTreeMap::new();
        for (inbox, plan) in self.batch.partitions.iter().zip(plans) {
            let Some(assigned) = self.assigned.get(inbox).filter(|_| !plan.records.is_empty()) else { continue };
            let mut output = PartitionOutput {
                inbox: inbox.clone(),
                from: Offset(assigned.from),
                to: Offset(plan.to),
                product: Vec::new(),
                quarantine: Vec::new(),
                withheld: Vec::new(),
            };
            for index in &plan.records {
                let (item, Some(route)) = (self.batch.item(*index), routes.get(*index)) else { continue };
                match publish(&mut self.session, inbox, &assigned.destination, item, route, &mut output) {
                    Ok(()) => {}
                    Err(Stop::Refused(reason)) => {
                        let offset = Offset(item.offset);
                        return Err(LaneError::Refused { inbox: inbox.clone(), offset, reason });
                    }
                    Err(Stop::Away(why)) => {
                        away.insert(inbox.clone(), why);
                        break;
                    }
                    Err(stop) => return Err(error_of(stop)),
                }
            }
            outputs.push(output);
        }
        if away.is_empty() {
            return Ok(outputs);
        }
        let why = away.values().cloned().collect::<Vec<_>>().join("; ");
        Err(LaneError::Aborted { why, partitions: away.into_keys().collect() })
    }

    /// Sends control records and offsets, and commits.
    fn finish(
        &mut self,
        records: Vec<OutRecord>,
        offsets: &[(TopicPartition, CommittedOffset)],
    ) -> Result<(Duration, Duration), LaneError> {
        for record in records {
            let (topic, partition) = (record.topic.clone(), record.partition);
            self.session.append(&topic, partition, &stored(record)).map_err(error_of)?;
        }
        let started = Instant::now();
        self.session.flush().map_err(error_of)?;
        let flushed = Instant::now();
        let group = self.options.offsets_group.clone();
        self.session.add_offsets(&group, offsets).map_err(error_of)?;
        self.session.commit().map_err(error_of)?;
        Ok((flushed.duration_since(started), flushed.elapsed()))
    }

    fn transaction(
        &mut self,
        routes: &[Route],
        plans: &[Plan],
        control: &mut dyn FnMut(&[PartitionOutput]) -> Control,
    ) -> Result<Committed, LaneError> {
        self.session.begin().map_err(error_of)?;
        self.session.produce_step().map_err(error_of)?;
        let outputs = self.produce(routes, plans)?;
        let Control { records, metadata } = control(&outputs);
        let mut metadata = metadata.into_iter();
        let offsets: Vec<_> = outputs
            .iter()
            .map(|output| {
                let metadata = metadata.next().unwrap_or_default();
                (output.inbox.clone(), CommittedOffset { offset: output.to, metadata })
            })
            .collect();
        let (flush, commit) = self.finish(records, &offsets)?;
        Ok(Committed { outputs, flush, commit, tainted: false })
    }

    /// Puts the lane back to what the coordinator holds, after a transaction that did not end well.
    fn recover(&mut self, error: &LaneError) {
        self.batch = MemoryBatch::default();
        if *error == LaneError::Fenced {
            return;
        }
        self.session.abort();
        let state = self.session.shared.lock();
        for (inbox, assigned) in &mut self.assigned {
            let key = (self.options.offsets_group.clone(), inbox.clone());
            if let Some(committed) = state.offsets.get(&key) {
                // The start that was assigned may be ahead of what is committed (expired records), and
                // nothing but this lane moves it on.
                assigned.from = assigned.from.max(committed.offset.0);
                assigned.position = assigned.position.max(committed.offset.0);
            }
        }
    }
}

/// What happens to one partition of the batch.
#[derive(Debug)]
struct Plan {
    to: i64,
    waits: bool,
    /// Indices of the records that are consumed.
    records: Vec<usize>,
}

fn error_of(stop: Stop) -> LaneError {
    match stop {
        Stop::Fenced => LaneError::Fenced,
        Stop::Unknown(why) => LaneError::Unknown { why },
        Stop::Crashed(weather) => LaneError::Weather(weather),
        Stop::Disconnected(why) | Stop::Refused(why) | Stop::Away(why) => {
            LaneError::Aborted { why, partitions: Vec::new() }
        }
    }
}

/// Sends one record where its route says, and notes where it came to stand.
fn publish(
    session: &mut Session,
    inbox: &TopicPartition,
    destination: &Destination,
    item: &Item,
    route: &Route,
    output: &mut PartitionOutput,
) -> Result<(), Stop> {
    let input = Offset(item.offset);
    let mut send = |topic: &Topic, record: &Arc<Stored>| -> Result<Offset, Stop> {
        Ok(session.append(topic, Some(inbox.partition), record)?.1)
    };
    match route {
        Route::Forward => {
            let at = send(&destination.product, &item.record)?;
            Run::push(&mut output.product, input, Some(at));
        }
        Route::Replace(value) => {
            let record = Stored { value: Some(value.clone()), ..Stored::clone(&item.record) };
            let at = send(&destination.product, &Arc::new(record))?;
            Run::push(&mut output.product, input, Some(at));
        }
        Route::Quarantine(reasons) => {
            let at = send(&destination.quarantine, &Arc::new(with_reasons(&item.record, reasons)))?;
            Run::push(&mut output.quarantine, input, Some(at));
        }
        Route::Withhold => Run::push(&mut output.withheld, input, None),
        Route::Wait => {}
    }
    Ok(())
}

fn with_reasons(record: &Stored, reasons: &Reasons) -> Stored {
    let mut record = record.clone();
    record.headers.extend(reasons.iter().map(|(name, value)| (name.to_string(), Some(value.clone()))));
    record
}

impl Lane for MemoryLane {
    fn committed(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, LaneError> {
        self.alive("read the committed offsets")?;
        self.session.check().map_err(error_of)?;
        Ok(offsets_of(&self.session.shared.lock(), &self.options.offsets_group, partitions))
    }

    fn watermarks(&mut self, partition: &TopicPartition) -> Result<(Offset, Offset), LaneError> {
        self.alive("read watermarks")?;
        let state = self.session.shared.lock();
        let log = state.log(partition).map_err(|why| Weather::new(format!("read the ends of {partition}"), why))?;
        Ok((Offset(log.start()), Offset(log.next())))
    }

    fn assign(&mut self, partitions: &[InboxPartition]) -> Result<(), LaneError> {
        self.alive("assign partitions")?;
        let mut before = std::mem::take(&mut self.assigned);
        for InboxPartition { inbox, destination, start } in partitions {
            let assigned = match before.remove(inbox).filter(|assigned| !assigned.out_of_range) {
                Some(assigned) => Assigned { destination: destination.clone(), ..assigned },
                None => Assigned {
                    destination: destination.clone(),
                    from: start.0,
                    position: start.0,
                    paused: false,
                    out_of_range: false,
                    unavailable: false,
                },
            };
            self.assigned.insert(inbox.clone(), assigned);
        }
        // The batch may hold records of partitions that are no longer ours; all of it comes again.
        self.batch = MemoryBatch::default();
        Ok(())
    }

    fn poll(&mut self, max_wait: Duration, limits: PollLimits) -> Result<Vec<Incident>, LaneError> {
        self.batch = MemoryBatch::default();
        self.alive("poll")?;
        self.session.poll_step()?;
        let deadline = deadline(max_wait);
        let shared = Arc::clone(&self.session.shared);
        let mut state = shared.lock();
        loop {
            if let Some(why) = &state.outage {
                return Err(Weather::new("poll", why).into());
            }
            let incidents = self.incidents(&state);
            let batch = self.gather(&state, limits);
            if !incidents.is_empty() || !batch.is_empty() || Instant::now() >= deadline {
                self.batch = batch;
                return Ok(incidents);
            }
            state = shared.wait(state, deadline);
        }
    }

    fn batch(&self) -> &dyn Batch {
        &self.batch
    }

    fn commit(
        &mut self,
        routes: &[Route],
        control: &mut dyn FnMut(&[PartitionOutput]) -> Control,
    ) -> Result<Committed, LaneError> {
        self.alive("commit")?;
        if routes.len() != self.batch.items.len() {
            let why = format!("{} routes were given for {} records", routes.len(), self.batch.items.len());
            return Err(LaneError::Aborted { why, partitions: Vec::new() });
        }
        let plans = self.plan(routes);
        let done = if plans.iter().all(|plan| plan.records.is_empty()) {
            Ok(Committed::default())
        } else {
            self.transaction(routes, &plans, control)
        };
        match done {
            Ok(committed) => {
                let waiting: BTreeSet<TopicPartition> = self
                    .batch
                    .partitions
                    .iter()
                    .zip(&plans)
                    .filter(|(_, plan)| plan.waits)
                    .map(|(inbox, _)| inbox.clone())
                    .collect();
                for output in &committed.outputs {
                    if let Some(assigned) = self.assigned.get_mut(&output.inbox) {
                        (assigned.from, assigned.position) = (output.to.0, output.to.0);
                    }
                }
                for inbox in waiting {
                    if let Some(assigned) = self.assigned.get_mut(&inbox) {
                        assigned.paused = true;
                    }
                }
                self.batch = MemoryBatch::default();
                Ok(committed)
            }
            Err(error) => {
                self.recover(&error);
                Err(error)
            }
        }
    }

    fn annotate(
        &mut self,
        records: Vec<OutRecord>,
        offsets: &[(TopicPartition, CommittedOffset)],
    ) -> Result<Committed, LaneError> {
        self.alive("annotate")?;
        if !self.batch.items.is_empty() {
            let why = "control records alone can be written only while the batch is empty".to_owned();
            return Err(LaneError::Aborted { why, partitions: Vec::new() });
        }
        let annotation = || {
            self.session.begin().map_err(error_of)?;
            self.session.produce_step().map_err(error_of)?;
            self.finish(records, offsets)
        };
        match annotation() {
            Ok((flush, commit)) => {
                for (inbox, committed) in offsets {
                    if let Some(assigned) = self.assigned.get_mut(inbox) {
                        assigned.from = committed.offset.0;
                        assigned.position = assigned.position.max(committed.offset.0);
                    }
                }
                Ok(Committed { outputs: Vec::new(), flush, commit, tainted: false })
            }
            Err(error) => {
                self.recover(&error);
                Err(error)
            }
        }
    }

    fn resume(&mut self, partition: &TopicPartition) -> Result<(), LaneError> {
        self.alive("resume a partition")?;
        if let Some(assigned) = self.assigned.get_mut(partition) {
            assigned.paused = false;
        }
        Ok(())
    }
}
