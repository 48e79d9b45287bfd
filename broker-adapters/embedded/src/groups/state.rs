//! One group in memory: its members, its phase, its offsets, and the questions that can be asked of them. Knows nothing
//! of requests, of the journal, and of when a phase ends.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, Bytes};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{JoinGroupResponse, SyncGroupResponse};
use tokio::sync::oneshot;

use super::events::{CommittedOffset, GroupRecord, MemberRecord, Protocol, TopicPartition};
use super::ids::{GroupId, InstanceId, MemberId};
use super::join::join_error;
use super::sync::sync_error;

/// A deadline that is not armed.
pub(super) const NEVER: i64 = i64::MAX;

/// The protocol type of Kafka's own consumers; only their subscriptions can be read.
const CONSUMER: &str = "consumer";

/// Where a group stands. A group that is dead is not in memory at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// No members.
    Empty,
    /// Waiting for the members to join again.
    PreparingRebalance(JoinPhase),
    /// Waiting for the leader's assignment.
    CompletingRebalance,
    /// Every member has its assignment, or can fetch it.
    Stable,
}

impl Phase {
    /// The name of the state in DescribeGroups and ListGroups.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance(_) => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// When a rebalance stops waiting for members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct JoinPhase {
    /// Epoch milliseconds.
    pub(super) deadline: i64,
    /// Set for the first rebalance of an empty group, which always lasts until the deadline.
    pub(super) initial: Option<InitialDelay>,
}

/// How far the first rebalance of an empty group may still be put off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InitialDelay {
    pub(super) remaining_ms: i64,
    /// Whether a member came since the deadline was set, so that waiting a little more may pay.
    pub(super) member_added: bool,
}

/// A JoinGroup request that waits, and the version to answer it in.
#[derive(Debug)]
pub(super) struct JoinWaiter {
    pub(super) version: i16,
    pub(super) sender: oneshot::Sender<JoinGroupResponse>,
}

impl JoinWaiter {
    /// Sends the response; a requester that went away is none of our concern, its session will end.
    pub(super) fn answer(self, response: JoinGroupResponse) {
        drop(self.sender.send(response));
    }

    pub(super) fn refuse(self, member: &str, error: ResponseError) {
        let response = join_error(self.version, member, error);
        self.answer(response);
    }
}

/// A member of a group.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) instance_id: Option<InstanceId>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) session_timeout_ms: i32,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) protocols: Vec<Protocol>,
    pub(super) assignment: Bytes,
    /// It has not been part of a generation yet.
    pub(super) is_new: bool,
    /// It has not asked for its assignment in this generation yet.
    pub(super) sync_pending: bool,
    /// When it is given up, epoch milliseconds, or [`NEVER`].
    pub(super) deadline: i64,
    pub(super) join_waiter: Option<JoinWaiter>,
    pub(super) sync_waiter: Option<oneshot::Sender<SyncGroupResponse>>,
}

impl Member {
    pub(super) fn from_record(record: &MemberRecord) -> Self {
        Self {
            instance_id: record.instance_id.clone(),
            client_id: record.client_id.clone(),
            client_host: record.client_host.clone(),
            session_timeout_ms: record.session_timeout_ms,
            rebalance_timeout_ms: record.rebalance_timeout_ms,
            protocols: record.protocols.clone(),
            assignment: record.assignment.clone(),
            is_new: false,
            sync_pending: false,
            deadline: NEVER,
            join_waiter: None,
            sync_waiter: None,
        }
    }

    /// Starts a session anew.
    pub(super) fn refresh(&mut self, now: i64) {
        self.deadline = now.saturating_add(i64::from(self.session_timeout_ms));
    }

    /// What it told the assignor `protocol`.
    pub(super) fn metadata(&self, protocol: &str) -> Option<&Bytes> {
        self.protocols.iter().find(|offered| offered.name == protocol).map(|offered| &offered.metadata)
    }

    fn supports(&self, protocol: &str) -> bool {
        self.metadata(protocol).is_some()
    }

    /// Ends whatever request of it waits with `error`.
    pub(super) fn refuse_waiters(&mut self, member: &str, error: ResponseError) {
        if let Some(waiter) = self.join_waiter.take() {
            waiter.refuse(member, error);
        }
        if let Some(waiter) = self.sync_waiter.take() {
            drop(waiter.send(sync_error(error)));
        }
    }
}

/// A group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: GroupId,
    pub(super) phase: Phase,
    /// Since when it is in this phase, epoch milliseconds.
    pub(super) state_timestamp: i64,
    /// None for a group that only stores offsets.
    pub(super) protocol_type: Option<String>,
    pub(super) protocol_name: Option<String>,
    pub(super) generation: i32,
    pub(super) leader: Option<MemberId>,
    pub(super) members: BTreeMap<MemberId, Member>,
    /// Ids that were handed out and not joined with yet, and when they lapse.
    pub(super) pending_members: BTreeMap<MemberId, i64>,
    /// When members that did not ask for their assignment are removed, epoch milliseconds.
    pub(super) sync_deadline: Option<i64>,
    /// The membership recorded last, which is behind the living one while a rebalance runs.
    pub(super) record: Option<GroupRecord>,
    pub(super) offsets: BTreeMap<TopicPartition, CommittedOffset>,
    /// Offsets of open transactions by producer id.
    pub(super) pending_offsets: BTreeMap<i64, BTreeMap<TopicPartition, CommittedOffset>>,
}

impl Group {
    pub(super) fn new(id: GroupId) -> Self {
        Self {
            id,
            phase: Phase::Empty,
            state_timestamp: 0,
            protocol_type: None,
            protocol_name: None,
            generation: 0,
            leader: None,
            members: BTreeMap::new(),
            pending_members: BTreeMap::new(),
            sync_deadline: None,
            record: None,
            offsets: BTreeMap::new(),
            pending_offsets: BTreeMap::new(),
        }
    }

    pub(super) fn enter(&mut self, phase: Phase, now: i64) {
        self.phase = phase;
        self.state_timestamp = now;
    }

    pub(super) fn is_leader(&self, member: &MemberId) -> bool {
        self.leader.as_ref() == Some(member)
    }

    /// The longest that a member may take to rejoin.
    pub(super) fn rebalance_timeout_ms(&self) -> i64 {
        self.members.values().map(|member| i64::from(member.rebalance_timeout_ms.max(0))).max().unwrap_or(0)
    }

    pub(super) fn joined(&self) -> usize {
        self.members.values().filter(|member| member.join_waiter.is_some()).count()
    }

    pub(super) fn all_joined(&self) -> bool {
        self.joined() == self.members.len() && self.pending_members.is_empty()
    }

    pub(super) fn static_member(&self, instance: &InstanceId) -> Option<&MemberId> {
        self.members.iter().find(|(_, member)| member.instance_id.as_ref() == Some(instance)).map(|(id, _)| id)
    }

    /// Checks that a request comes from a member, and not from one whose static instance runs anew elsewhere.
    pub(super) fn check_member(&self, member: &MemberId, instance: Option<&InstanceId>) -> Result<(), ResponseError> {
        if let Some(instance) = instance {
            return match self.static_member(instance) {
                Some(current) if current == member => Ok(()),
                Some(_) => Err(ResponseError::FencedInstanceId),
                None => Err(ResponseError::UnknownMemberId),
            };
        }
        if self.members.contains_key(member) { Ok(()) } else { Err(ResponseError::UnknownMemberId) }
    }

    /// Whether a member with these protocols can take part.
    pub(super) fn accepts_protocols(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.phase == Phase::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|offered| self.members.values().all(|member| member.supports(&offered.name)))
    }

    /// The assignor with most votes among those that all members support; a tie goes to the leader's preference.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let leader = self.leader.as_ref().and_then(|leader| self.members.get(leader))?;
        let candidates: Vec<&str> = leader
            .protocols
            .iter()
            .map(|offered| offered.name.as_str())
            .filter(|name| self.members.values().all(|member| member.supports(name)))
            .collect();
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let vote = member.protocols.iter().find(|offered| candidates.contains(&offered.name.as_str()));
            if let Some(vote) = vote {
                *votes.entry(vote.name.as_str()).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        candidates.into_iter().find(|name| votes.get(name) == Some(&most)).map(str::to_owned)
    }

    /// Removes a member, ending the requests of it that wait. The lead passes to another.
    pub(super) fn remove(&mut self, id: &MemberId) {
        self.pending_members.remove(id);
        if let Some(mut member) = self.members.remove(id) {
            member.refuse_waiters("", ResponseError::UnknownMemberId);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
    }

    /// Makes sure that the leader is a member that has joined; false when none has.
    pub(super) fn elect_joined_leader(&mut self) -> bool {
        let joined = |member: &Member| member.join_waiter.is_some();
        if self.leader.as_ref().and_then(|leader| self.members.get(leader)).is_some_and(joined) {
            return true;
        }
        let elected = self.members.iter().find(|(_, member)| joined(member)).map(|(id, _)| id.clone());
        let found = elected.is_some();
        if found {
            self.leader = elected;
        }
        found
    }

    /// The topics that the members consume, or none when that cannot be told: the group is no consumer group, has not
    /// agreed on an assignor, or a subscription cannot be read.
    pub(super) fn subscribed_topics(&self) -> Option<BTreeSet<String>> {
        let protocol = self.protocol_name.as_deref().filter(|_| self.is_consumer_group())?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            topics.extend(subscription(member.metadata(protocol)?)?);
        }
        Some(topics)
    }

    pub(super) fn is_consumer_group(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// Whether a transaction that is still open holds an offset of this partition.
    pub(super) fn is_pending(&self, partition: &TopicPartition) -> bool {
        self.pending_offsets.values().any(|offsets| offsets.contains_key(partition))
    }

    pub(super) fn has_offsets(&self) -> bool {
        !self.offsets.is_empty() || !self.pending_offsets.is_empty()
    }

    /// Nobody is in it and nothing of it is recorded: it can be forgotten without a trace.
    pub(super) fn is_blank(&self) -> bool {
        self.phase == Phase::Empty && self.pending_members.is_empty() && self.record.is_none() && !self.has_offsets()
    }

    /// The living membership as a record, with assignments taken from `assignment`.
    pub(super) fn to_record(&self, now: i64, assignment: impl Fn(&MemberId, &Member) -> Bytes) -> GroupRecord {
        let members = self.members.iter().map(|(id, member)| MemberRecord {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            session_timeout_ms: member.session_timeout_ms,
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            protocols: member.protocols.clone(),
            assignment: assignment(id, member),
        });
        GroupRecord {
            group: self.id.clone(),
            protocol_type: self.protocol_type.clone(),
            generation: self.generation,
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone(),
            state_timestamp: now,
            members: members.collect(),
        }
    }

    /// Takes over a recorded membership. Sessions are not armed.
    pub(super) fn restore(&mut self, record: GroupRecord) {
        self.phase = if record.members.is_empty() { Phase::Empty } else { Phase::Stable };
        self.state_timestamp = record.state_timestamp;
        self.protocol_type.clone_from(&record.protocol_type);
        self.protocol_name.clone_from(&record.protocol_name);
        self.generation = record.generation;
        self.leader.clone_from(&record.leader);
        self.members =
            record.members.iter().map(|member| (member.member_id.clone(), Member::from_record(member))).collect();
        self.record = Some(record);
    }
}

/// The topics of a consumer's subscription (`ConsumerProtocolSubscription` behind its version), or none when the bytes
/// are no such thing: clients of other make may put anything there.
///
/// Read by hand, because the generated decoder reserves memory for as many topics as the bytes claim to hold. The
/// fields behind the topics are of no interest, and newer versions only append to them.
pub(super) fn subscription(metadata: &Bytes) -> Option<Vec<String>> {
    let mut bytes = metadata.clone();
    if bytes.try_get_i16().ok()? < 0 {
        return None;
    }
    let count = u32::try_from(bytes.try_get_i32().ok()?).ok()?;
    let mut topics = Vec::new();
    for _ in 0..count {
        let length = usize::try_from(bytes.try_get_i16().ok()?).ok()?;
        if length > bytes.remaining() {
            return None;
        }
        topics.push(String::from_utf8(bytes.split_to(length).to_vec()).ok()?);
    }
    Some(topics)
}
