//! Which inbox partitions a lane reads, from where, and under which contract version: brought in line with
//! the catalog's snapshot between transactions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{CommittedOffset, InboxPartition, Lane, LaneError, OutRecord};
use schemas::{LineageKind, Offset, Slot, TopicPartition};

use crate::catalog::{Enforced, Snapshot};
use crate::events::{Stamp, metadata, read_metadata};
use crate::first_seen::FirstSeen;
use crate::judge::Refused;
use crate::recovery::starts_of;
use crate::{Shared, telemetry};

/// Most partitions annotated in one transaction.
const ANNOTATED_AT_ONCE: usize = 500;

/// Why a partition is not judged for now, and until when at least.
#[derive(Debug, Clone)]
pub(crate) struct Hold {
    pub(crate) on: HoldOn,
    pub(crate) since: Instant,
    pub(crate) until: Instant,
    pub(crate) why: String,
}

/// What a held partition waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HoldOn {
    /// The registry's next answer; the count of answers when it began.
    Schema { answers: u64 },
    /// Leaders of its product and quarantine partitions.
    Outputs,
}

/// What a lane knows of one of its partitions.
pub(crate) struct State {
    pub(crate) enforced: Arc<Enforced>,
    /// The committed position.
    pub(crate) next: Offset,
    /// When it was last committed.
    pub(crate) committed_at: Instant,
    /// It is not judged for now.
    pub(crate) hold: Option<Hold>,
    /// How often in a row its outputs could not be written.
    pub(crate) failures: u32,
    /// The inbox cannot be read.
    pub(crate) unreadable: bool,
    /// When records that wait were first polled.
    pub(crate) first_seen: FirstSeen,
    /// Records that the broker refused.
    pub(crate) refused: BTreeMap<Offset, Refused>,
}

impl State {
    fn new(enforced: Arc<Enforced>, next: Offset, now: Instant) -> Self {
        Self {
            enforced,
            next,
            committed_at: now,
            hold: None,
            failures: 0,
            unreadable: false,
            first_seen: FirstSeen::default(),
            refused: BTreeMap::new(),
        }
    }
}

/// The partitions of a lane.
pub(crate) struct Assignment {
    slot: Slot,
    pub(crate) states: BTreeMap<TopicPartition, State>,
    /// Of the slot, and not taken up for now.
    aside: BTreeSet<TopicPartition>,
    /// Of those, whose inbox has to have a leader first.
    leaderless: BTreeSet<TopicPartition>,
}

impl Assignment {
    pub(crate) fn new(slot: Slot) -> Self {
        Self { slot, states: BTreeMap::new(), aside: BTreeSet::new(), leaderless: BTreeSet::new() }
    }

    /// Brings the lane in line with a snapshot: takes up new partitions and new versions, with an
    /// `activated` event for each, and lets go of what is no longer there.
    pub(crate) fn follow(
        &mut self,
        lane: &mut dyn Lane,
        shared: &Shared,
        snapshot: &Snapshot,
    ) -> Result<(), LaneError> {
        let ours = |inbox: &TopicPartition| Slot::of(inbox, shared.config.slots) == self.slot;
        let wanted: BTreeMap<_, _> = snapshot
            .partitions()
            .filter(|(inbox, _)| ours(inbox))
            .map(|(inbox, enforced)| (inbox, Arc::clone(enforced)))
            .collect();
        let unreadable: BTreeMap<_, _> = snapshot
            .unreadable_partitions()
            .filter(|(inbox, _)| ours(inbox))
            .map(|(p, why)| (p, why.to_owned()))
            .collect();
        self.let_go(shared, |inbox| wanted.contains_key(inbox) || unreadable.contains_key(inbox));
        self.states.retain(|inbox, _| wanted.contains_key(inbox));
        for (inbox, why) in unreadable {
            self.put_aside(shared, &inbox, &why);
        }
        let mut activated = self.take_up(lane, shared, snapshot.position, &wanted)?;
        for (inbox, enforced) in wanted {
            let Some(state) = self.states.get_mut(&inbox) else { continue };
            if state.enforced.version != enforced.version {
                activated.insert(inbox);
            }
            state.enforced = enforced;
        }
        for some in activated.into_iter().collect::<Vec<_>>().chunks(ANNOTATED_AT_ONCE) {
            let notice = some.iter().map(|inbox| (inbox.clone(), None)).collect::<Vec<_>>();
            self.annotate(lane, shared, snapshot.position, &notice, Some(LineageKind::Activated))?;
            let states = some.iter().filter_map(|inbox| self.states.get(inbox));
            states.for_each(|state| telemetry::activated(&state.enforced, shared.clock.now().wall));
        }
        lane.assign(&self.inboxes())
    }

    /// Takes up the partitions that are not yet; returns those that another version judged last.
    fn take_up(
        &mut self,
        lane: &mut dyn Lane,
        shared: &Shared,
        position: Offset,
        wanted: &BTreeMap<TopicPartition, Arc<Enforced>>,
    ) -> Result<BTreeSet<TopicPartition>, LaneError> {
        let unknown: Vec<_> = wanted.keys().filter(|inbox| !self.states.contains_key(inbox)).cloned().collect();
        if unknown.is_empty() {
            return Ok(BTreeSet::new());
        }
        let committed = lane.committed(&unknown)?;
        let fresh: Vec<_> = unknown.iter().filter(|inbox| !committed.contains_key(inbox)).cloned().collect();
        let starts = starts_of(lane, shared, &fresh)?;
        let now = shared.clock.now().instant;
        let mut activated = BTreeSet::new();
        for inbox in unknown {
            let Some(enforced) = wanted.get(&inbox) else { continue };
            let (next, active) = match (committed.get(&inbox), starts.get(&inbox)) {
                (Some(committed), _) => {
                    let (catalog, version) = read_metadata(&committed.metadata);
                    if catalog.is_some_and(|offset| offset > position) {
                        let why = "this process has not read the catalog as far as the partition's last owner had";
                        self.put_aside(shared, &inbox, why);
                        continue;
                    }
                    (committed.offset, version == Some(enforced.version.to_string().as_str()))
                }
                (None, Some(start)) => (*start, false),
                (None, None) => {
                    self.put_aside(shared, &inbox, "its inbox has no leader, so nobody can say where it begins");
                    shared.leaders.watch(&inbox, vec![inbox.clone()]);
                    self.leaderless.insert(inbox);
                    continue;
                }
            };
            if !active {
                activated.insert(inbox.clone());
            }
            if self.aside.remove(&inbox) {
                shared.waiting.end(&inbox);
            }
            self.states.insert(inbox, State::new(Arc::clone(enforced), next, now));
        }
        Ok(activated)
    }

    fn put_aside(&mut self, shared: &Shared, inbox: &TopicPartition, why: &str) {
        shared.waiting.begin(inbox, why);
        self.aside.insert(inbox.clone());
    }

    /// Whether a partition that was put aside for its leader has one again; asked once, then forgotten.
    pub(crate) fn look_aside(&mut self, shared: &Shared) -> bool {
        let back: Vec<_> = self.leaderless.iter().filter(|inbox| shared.leaders.back(inbox)).cloned().collect();
        for inbox in &back {
            self.leaderless.remove(inbox);
            shared.leaders.forget(inbox);
        }
        !back.is_empty()
    }

    /// Nothing waits any more that is not kept.
    pub(crate) fn let_go(&mut self, shared: &Shared, kept: impl Fn(&TopicPartition) -> bool) {
        for inbox in self.states.keys().chain(&self.aside).filter(|inbox| !kept(inbox)) {
            shared.waiting.end(inbox);
            shared.leaders.forget(inbox);
        }
        self.aside.retain(&kept);
        self.leaderless.retain(&kept);
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
        let (names, codec, now) = (&shared.config.names, &shared.config.codec, shared.clock.now());
        let stamp = Stamp { names, codec, judged_at: now.wall, catalog_offset };
        let mut records: Vec<OutRecord> = Vec::new();
        let mut offsets = Vec::new();
        for (inbox, moved) in partitions {
            let Some(state) = self.states.get(inbox) else { continue };
            let to = moved.unwrap_or(state.next);
            if let Some(kind) = kind {
                let from = if kind == LineageKind::Expired { state.next } else { to };
                records.push(stamp.notice(kind, &state.enforced, inbox, from, to));
            }
            let committed = CommittedOffset { offset: to, metadata: metadata(catalog_offset, &state.enforced) };
            offsets.push((inbox.clone(), committed));
        }
        lane.annotate(records, &offsets)?;
        for (inbox, committed) in offsets {
            if let Some(state) = self.states.get_mut(&inbox) {
                state.next = committed.offset;
                state.committed_at = now.instant;
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
        let (every, now): (Duration, _) = (shared.config.recommit_every, shared.clock.now().instant);
        let idle: Vec<_> = self
            .states
            .iter()
            .filter(|(_, state)| now.saturating_duration_since(state.committed_at) >= every)
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
        let kind = if lost < 0 {
            tracing::error!(%inbox, from = %state.next, to = %first, "the inbox was made anew: it is read from its beginning");
            LineageKind::Activated
        } else {
            tracing::error!(%inbox, from = %state.next, to = %first, "records were removed from the inbox before they were read");
            telemetry::expired(&state.enforced, lost);
            LineageKind::Expired
        };
        self.annotate(lane, shared, catalog_offset, &[(inbox.clone(), Some(first))], Some(kind))?;
        lane.assign(&self.inboxes())
    }
}
