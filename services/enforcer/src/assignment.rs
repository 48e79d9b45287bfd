//! Which inbox partitions a lane reads, from where, and under which contract version: brought in line with
//! the catalog's snapshot between transactions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{CommittedOffset, InboxPartition, Isolation, Lane, LaneError, OutRecord, Position, Weather};
use schemas::{BackboneSchema, LineageEvent, LineageKind, Offset, Partition, Slot, Timestamp, TopicPartition};

use crate::catalog::{Enforced, Snapshot};
use crate::events::{Stamp, metadata, read_metadata};
use crate::judge::{FirstSeen, Refused};
use crate::{Shared, telemetry};

/// Most partitions annotated in one transaction.
const ANNOTATED_AT_ONCE: usize = 500;

/// What a lane knows of one of its partitions.
pub(crate) struct State {
    pub(crate) enforced: Arc<Enforced>,
    /// The committed position.
    pub(crate) next: Offset,
    /// When it was last committed.
    pub(crate) committed_at: Instant,
    /// Waits, until then at least, for this reason.
    pub(crate) hold: Option<(Instant, String)>,
    /// When records that wait were first polled.
    pub(crate) first_seen: FirstSeen,
    /// Records that the broker refused.
    pub(crate) refused: BTreeMap<Offset, Refused>,
}

/// The partitions of a lane.
pub(crate) struct Assignment {
    slot: Slot,
    pub(crate) states: BTreeMap<TopicPartition, State>,
}

impl Assignment {
    pub(crate) fn new(slot: Slot) -> Self {
        Self { slot, states: BTreeMap::new() }
    }

    /// Brings the lane in line with a snapshot: takes up new partitions and new versions, with an
    /// `activated` event for each, and lets go of what is no longer there.
    pub(crate) fn follow(
        &mut self,
        lane: &mut dyn Lane,
        shared: &Shared,
        snapshot: &Snapshot,
    ) -> Result<(), LaneError> {
        let wanted: BTreeMap<_, _> = snapshot
            .partitions()
            .filter(|(inbox, _)| Slot::of(inbox, shared.config.slots) == self.slot)
            .map(|(inbox, enforced)| (inbox, Arc::clone(enforced)))
            .collect();
        self.states.retain(|inbox, _| {
            let kept = wanted.contains_key(inbox);
            if !kept {
                shared.waiting.end(inbox);
            }
            kept
        });
        let unknown: Vec<_> = wanted.keys().filter(|inbox| !self.states.contains_key(inbox)).cloned().collect();
        let committed = if unknown.is_empty() { BTreeMap::new() } else { lane.committed(&unknown)? };
        let mut activated = Vec::new();
        for (inbox, enforced) in wanted {
            if let Some(state) = self.states.get_mut(&inbox) {
                if state.enforced.version != enforced.version {
                    activated.push(inbox.clone());
                }
                state.enforced = enforced;
                continue;
            }
            let (next, active) = match committed.get(&inbox) {
                Some(committed) => {
                    let (catalog, version) = read_metadata(&committed.metadata);
                    if catalog.is_some_and(|offset| offset > snapshot.position) {
                        // Judged under a newer catalog than ours: wait until we have read as far.
                        shared.waiting.begin(
                            &inbox,
                            "this process has not read the catalog as far as the partition's last owner had",
                        );
                        continue;
                    }
                    (committed.offset, version == Some(enforced.version.to_string().as_str()))
                }
                None => (start_of(lane, shared, &inbox)?, false),
            };
            if !active {
                activated.push(inbox.clone());
            }
            let state = State {
                enforced,
                next,
                committed_at: Instant::now(),
                hold: None,
                first_seen: FirstSeen::default(),
                refused: BTreeMap::new(),
            };
            shared.waiting.end(&inbox);
            self.states.insert(inbox, state);
        }
        for some in activated.chunks(ANNOTATED_AT_ONCE) {
            let notice = some.iter().map(|inbox| (inbox.clone(), None)).collect::<Vec<_>>();
            self.annotate(lane, shared, snapshot.position, &notice, Some(LineageKind::Activated))?;
        }
        lane.assign(&self.inboxes())
    }

    /// Whose partitions these are.
    pub(crate) fn slot(&self) -> Slot {
        self.slot
    }

    fn inboxes(&self) -> Vec<InboxPartition> {
        let partition = |(inbox, state): (&TopicPartition, &State)| InboxPartition {
            inbox: inbox.clone(),
            destination: state.enforced.destination.clone(),
            start: state.next,
        };
        self.states.iter().map(partition).collect()
    }

    /// Commits positions without records: where a version takes effect, where records were removed unread
    /// (the new position is given), and to keep offsets of idle partitions from expiring.
    fn annotate(
        &mut self,
        lane: &mut dyn Lane,
        shared: &Shared,
        catalog_offset: Offset,
        partitions: &[(TopicPartition, Option<Offset>)],
        kind: Option<LineageKind>,
    ) -> Result<(), LaneError> {
        let (names, codec) = (&shared.config.names, &shared.config.codec);
        let stamp = Stamp { names, codec, judged_at: Timestamp::now(), catalog_offset };
        let mut records: Vec<OutRecord> = Vec::new();
        let mut offsets = Vec::new();
        for (inbox, moved) in partitions {
            let Some(state) = self.states.get(inbox) else { continue };
            let to = moved.unwrap_or(state.next);
            if let Some(kind) = kind {
                records.push(stamp.notice(kind, &state.enforced, inbox, state.next, to));
            }
            let committed = CommittedOffset { offset: to, metadata: metadata(catalog_offset, &state.enforced) };
            offsets.push((inbox.clone(), committed));
        }
        lane.annotate(records, &offsets)?;
        for (inbox, committed) in offsets {
            if let Some(state) = self.states.get_mut(&inbox) {
                state.next = committed.offset;
                state.committed_at = Instant::now();
            }
        }
        Ok(())
    }

    /// Commits again what has not moved for long.
    pub(crate) fn recommit(
        &mut self,
        lane: &mut dyn Lane,
        shared: &Shared,
        catalog_offset: Offset,
    ) -> Result<(), LaneError> {
        let every = shared.config.recommit_every;
        let idle: Vec<_> = self
            .states
            .iter()
            .filter(|(_, state)| state.committed_at.elapsed() >= every)
            .take(ANNOTATED_AT_ONCE)
            .map(|(inbox, _)| (inbox.clone(), None))
            .collect();
        if idle.is_empty() { Ok(()) } else { self.annotate(lane, shared, catalog_offset, &idle, None) }
    }

    /// A position is no longer in the log: says so in lineage, and goes on with the first record there is.
    pub(crate) fn out_of_range(
        &mut self,
        lane: &mut dyn Lane,
        shared: &Shared,
        catalog_offset: Offset,
        inbox: &TopicPartition,
    ) -> Result<(), LaneError> {
        let Some(state) = self.states.get(inbox) else { return Ok(()) };
        let (first, _) = lane.watermarks(inbox)?;
        let lost = first.0 - state.next.0;
        tracing::error!(%inbox, from = %state.next, to = %first, "records were removed from the inbox before they were read");
        telemetry::expired(&state.enforced, lost);
        self.annotate(lane, shared, catalog_offset, &[(inbox.clone(), Some(first))], Some(LineageKind::Expired))?;
        lane.assign(&self.inboxes())
    }
}

/// Where to begin a partition that has no committed offset: a new one at its first record; one whose offset
/// was lost where its lineage ends.
fn start_of(lane: &mut dyn Lane, shared: &Shared, inbox: &TopicPartition) -> Result<Offset, LaneError> {
    let (first, next) = lane.watermarks(inbox)?;
    if next == Offset::ZERO {
        return Ok(first);
    }
    match last_in_lineage(shared, inbox)? {
        Some(to) => {
            tracing::warn!(%inbox, %to, "the committed offset was lost; it is recovered from lineage");
            Ok(to)
        }
        None => Ok(first),
    }
}

/// The end of a partition's lineage; reads all partitions of the topic, because its number of partitions
/// may have been raised since.
fn last_in_lineage(shared: &Shared, inbox: &TopicPartition) -> Result<Option<Offset>, Weather> {
    let topic = shared.config.names.lineage();
    let Some(description) = shared.broker.topic(&topic)? else { return Ok(None) };
    let from: Vec<_> = description
        .partitions
        .iter()
        .map(|(partition, _): &(Partition, bool)| (TopicPartition::new(topic.clone(), *partition), Position::Beginning))
        .collect();
    let mut reader = shared.broker.reader(&from, Isolation::Committed)?;
    let key = format!("{}/{}", inbox.topic, inbox.partition).into_bytes();
    let mut last = None;
    loop {
        let chunk = reader.poll(Duration::from_secs(1))?;
        for record in &chunk.records {
            let Some(value) = record.value.as_deref().filter(|_| record.key.as_deref() == Some(&key)) else { continue };
            match shared.config.codec.decode::<LineageEvent>(BackboneSchema::Lineage, value) {
                Ok(event) => last = last.max(Some(event.to)),
                Err(error) => {
                    return Err(Weather::new(format!("recover the offset of {inbox} from lineage"), error));
                }
            }
        }
        if chunk.at_end {
            return Ok(last);
        }
    }
}
