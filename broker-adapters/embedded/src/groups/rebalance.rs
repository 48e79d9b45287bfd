//! The course of a rebalance and everything that time does to a group: sessions that end, members that do not rejoin or
//! do not ask for their assignment. Knows nothing of requests.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;

use super::events::{GroupEvent, GroupStore};
use super::ids::MemberId;
use super::settings::GroupSettings;
use super::state::{Group, InitialDelay, JoinPhase, Member, NEVER, Phase};
use super::sync::sync_error;

/// What a change of a group needs from outside.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) settings: &'a GroupSettings,
    pub(super) store: &'a dyn GroupStore,
    /// Epoch milliseconds.
    pub(super) now: i64,
}

impl Context<'_> {
    /// Records events; an error is logged and becomes the retriable error that clients get.
    pub(super) fn record(&self, events: &[GroupEvent]) -> Result<(), ResponseError> {
        self.store.record(events).map_err(|error| {
            tracing::warn!(%error, "cannot record a change of consumer groups; clients are told to try again");
            ResponseError::CoordinatorNotAvailable
        })
    }
}

impl Group {
    /// Starts a rebalance unless one is waiting for members already.
    pub(super) fn rebalance(&mut self, context: Context<'_>, reason: &str) {
        if !matches!(self.phase, Phase::PreparingRebalance(_)) {
            self.prepare_rebalance(context, reason);
        }
    }

    fn prepare_rebalance(&mut self, context: Context<'_>, reason: &str) {
        if self.phase == Phase::CompletingRebalance {
            self.reset_assignments(context.now, ResponseError::RebalanceInProgress);
        }
        self.clear_sync_pending();
        let timeout = self.rebalance_timeout_ms();
        let join = if self.phase == Phase::Empty {
            let delay = i64::from(context.settings.initial_rebalance_delay_ms);
            let initial = InitialDelay { remaining_ms: (timeout - delay).max(0), member_added: false };
            JoinPhase { deadline: context.now.saturating_add(delay), initial: Some(initial) }
        } else {
            JoinPhase { deadline: context.now.saturating_add(timeout), initial: None }
        };
        tracing::debug!(group = %self.id, generation = self.generation, reason, "the group rebalances");
        self.enter(Phase::PreparingRebalance(join), context.now);
        self.try_complete_join(context);
    }

    /// Drops the assignments of a generation that will not come to be and ends the requests that wait for them.
    pub(super) fn reset_assignments(&mut self, now: i64, error: ResponseError) {
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
            if let Some(waiter) = member.sync_waiter.take() {
                drop(waiter.send(sync_error(error)));
                member.refresh(now);
            }
        }
    }

    fn clear_sync_pending(&mut self) {
        self.sync_deadline = None;
        for member in self.members.values_mut() {
            member.sync_pending = false;
        }
    }

    /// Ends the wait for members when all have joined or the time is up.
    pub(super) fn try_complete_join(&mut self, context: Context<'_>) {
        let Phase::PreparingRebalance(join) = self.phase else { return };
        let due = context.now >= join.deadline;
        match join.initial {
            Some(initial) if due && initial.member_added && initial.remaining_ms > 0 => {
                let delay = i64::from(context.settings.initial_rebalance_delay_ms).min(initial.remaining_ms);
                let initial = InitialDelay { remaining_ms: initial.remaining_ms - delay, member_added: false };
                let deadline = context.now.saturating_add(delay);
                self.phase = Phase::PreparingRebalance(JoinPhase { deadline, initial: Some(initial) });
            }
            Some(_) if due => self.complete_join(context),
            None if due || self.all_joined() => self.complete_join(context),
            _ => {}
        }
    }

    fn complete_join(&mut self, context: Context<'_>) {
        let silent = |member: &Member| member.join_waiter.is_none() && member.instance_id.is_none();
        let gone: Vec<MemberId> =
            self.members.iter().filter(|(_, member)| silent(member)).map(|(id, _)| id.clone()).collect();
        for id in &gone {
            tracing::debug!(group = %self.id, member = %id, "the member did not rejoin in time and is removed");
            self.remove(id);
        }
        if !self.elect_joined_leader() && !self.members.is_empty() {
            // Only static members are left and none came back: wait on until their sessions end.
            let deadline = context.now.saturating_add(self.rebalance_timeout_ms());
            self.phase = Phase::PreparingRebalance(JoinPhase { deadline, initial: None });
            return;
        }
        self.generation = self.generation.saturating_add(1);
        self.clear_sync_pending();
        if self.members.is_empty() {
            self.become_empty(context);
        } else {
            self.protocol_name = self.select_protocol();
            self.enter(Phase::CompletingRebalance, context.now);
            self.answer_joins(context.now);
        }
    }

    fn become_empty(&mut self, context: Context<'_>) {
        self.protocol_name = None;
        self.leader = None;
        self.enter(Phase::Empty, context.now);
        let record = self.to_record(context.now, |_, _| Bytes::new());
        // When this fails the last generation may come back after a restart; its sessions end then as they did now.
        if context.record(&[GroupEvent::Membership(record.clone())]).is_ok() {
            self.record = Some(record);
        }
    }

    fn answer_joins(&mut self, now: i64) {
        self.sync_deadline = Some(now.saturating_add(self.rebalance_timeout_ms()));
        let ids: Vec<MemberId> = self.members.keys().cloned().collect();
        for id in &ids {
            let waiter = self.members.get_mut(id).and_then(|member| {
                member.refresh(now);
                member.is_new = false;
                member.sync_pending = true;
                member.join_waiter.take()
            });
            if let Some(waiter) = waiter {
                let response = self.join_response(waiter.version, id);
                waiter.answer(response);
            }
        }
    }

    /// Removes a member for good and lets the group go on without it.
    pub(super) fn remove_and_rebalance(&mut self, context: Context<'_>, id: &MemberId, reason: &str) {
        self.remove(id);
        match self.phase {
            Phase::Empty => {}
            Phase::Stable | Phase::CompletingRebalance => self.prepare_rebalance(context, reason),
            Phase::PreparingRebalance(_) => self.try_complete_join(context),
        }
    }

    /// Takes back a member id that was handed out and not used.
    pub(super) fn remove_pending(&mut self, context: Context<'_>, id: &MemberId) {
        self.pending_members.remove(id);
        self.try_complete_join(context);
    }

    /// Does what is due by now.
    pub(super) fn tick(&mut self, context: Context<'_>) {
        let due = |deadline: i64| deadline <= context.now;
        let lapsed: Vec<MemberId> =
            self.pending_members.iter().filter(|(_, at)| due(**at)).map(|(id, _)| id.clone()).collect();
        for id in &lapsed {
            self.remove_pending(context, id);
        }
        let silent: Vec<MemberId> =
            self.members.iter().filter(|(_, member)| due(member.deadline)).map(|(id, _)| id.clone()).collect();
        for id in &silent {
            self.end_session(context, id);
        }
        self.try_complete_join(context);
        if self.sync_deadline.is_some_and(due) {
            self.end_sync(context);
        }
    }

    fn end_session(&mut self, context: Context<'_>, id: &MemberId) {
        // The removal of another member may have begun a new session for this one.
        let Some(member) = self.members.get_mut(id).filter(|member| member.deadline <= context.now) else { return };
        if !member.is_new && (member.join_waiter.is_some() || member.sync_waiter.is_some()) {
            // It waits for us, not we for it: the answer begins a new session.
            member.deadline = NEVER;
            return;
        }
        tracing::debug!(group = %self.id, member = %id, "the member's session has ended");
        self.remove_and_rebalance(context, id, "a member's session has ended");
    }

    fn end_sync(&mut self, context: Context<'_>) {
        let missing: Vec<MemberId> =
            self.members.iter().filter(|(_, member)| member.sync_pending).map(|(id, _)| id.clone()).collect();
        self.sync_deadline = None;
        if missing.is_empty() {
            return;
        }
        for id in &missing {
            tracing::debug!(group = %self.id, member = %id, "the member did not ask for its assignment in time");
            self.remove(id);
        }
        self.prepare_rebalance(context, "members did not ask for their assignment in time");
    }

    /// The time at which [`Group::tick`] next has something to do, or [`NEVER`].
    pub(super) fn next_deadline(&self) -> i64 {
        let join = match self.phase {
            Phase::PreparingRebalance(join) => join.deadline,
            _ => NEVER,
        };
        let sessions = self.members.values().map(|member| member.deadline).min().unwrap_or(NEVER);
        let pending = self.pending_members.values().copied().min().unwrap_or(NEVER);
        join.min(sessions).min(pending).min(self.sync_deadline.unwrap_or(NEVER))
    }

    /// Begins the sessions of members that were restored from the journal.
    pub(super) fn start(&mut self, context: Context<'_>) {
        if self.members.len() > context.settings.max_group_size {
            self.rebalance(context, "the group is larger than it may be");
        }
        for member in self.members.values_mut() {
            member.refresh(context.now);
        }
    }
}
