//! JoinGroup: who may take part in a group, and when that makes it rebalance. Follows Kafka's classic groups with
//! KIP-345 (static members), KIP-394 (member id first) and KIP-814 (static leader).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::oneshot;

use super::events::{GroupEvent, Protocol};
use super::ids::{GroupId, InstanceId, MemberId};
use super::rebalance::Context;
use super::state::{Group, JoinWaiter, Member, NEVER, Phase};
use super::{Client, Groups, Reply};

/// How long a new member may wait for its first generation, milliseconds. It does not know its member id yet and so
/// cannot send heartbeats; if it is still alive by then it tries again.
const NEW_MEMBER_JOIN_TIMEOUT_MS: i64 = 5 * 60 * 1_000;

/// From this version on a dynamic member first gets its id and then joins with it (KIP-394).
const MEMBER_ID_FIRST: i16 = 4;

/// From this version on the response can tell a leader to skip the assignment (KIP-814).
const SKIP_ASSIGNMENT: i16 = 9;

/// A JoinGroup request, and whom to answer.
struct Join {
    instance_id: Option<InstanceId>,
    client_id: String,
    client_host: String,
    session_timeout_ms: i32,
    rebalance_timeout_ms: i32,
    protocol_type: String,
    protocols: Vec<Protocol>,
    waiter: JoinWaiter,
}

impl Join {
    fn new(request: &JoinGroupRequest, client: Client<'_>, waiter: JoinWaiter) -> Self {
        let protocol = |offered: &kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol| Protocol {
            name: offered.name.to_string(),
            metadata: offered.metadata.clone(),
        };
        Self {
            instance_id: request.group_instance_id.as_ref().map(|id| InstanceId::from(id.as_str())),
            client_id: client.id.to_owned(),
            client_host: client.host.to_owned(),
            session_timeout_ms: request.session_timeout_ms,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            protocol_type: request.protocol_type.to_string(),
            protocols: request.protocols.iter().map(protocol).collect(),
            waiter,
        }
    }
}

impl Groups {
    /// Answers JoinGroup, versions 2–9. The reply waits until the rebalance it takes part in has all its members.
    pub fn join_group(
        &self,
        request: &JoinGroupRequest,
        version: i16,
        client: Client<'_>,
        now: i64,
    ) -> Reply<JoinGroupResponse> {
        let member = request.member_id.as_str();
        let refuse = |error| Reply::Now(join_error(version, member, error));
        if request.group_id.is_empty() {
            return refuse(ResponseError::InvalidGroupId);
        }
        let allowed = self.settings.min_session_timeout_ms..=self.settings.max_session_timeout_ms;
        if !allowed.contains(&request.session_timeout_ms) {
            return refuse(ResponseError::InvalidSessionTimeout);
        }
        let id = GroupId::from(&request.group_id);
        let context = self.context(now);
        let mut registry = self.lock();
        if !registry.groups.contains_key(&id) {
            if !member.is_empty() {
                return refuse(ResponseError::UnknownMemberId);
            }
            if let Err(error) = registry.check_room(self.settings.max_groups) {
                return refuse(error);
            }
        }
        let (sender, receiver) = oneshot::channel();
        let join = Join::new(request, client, JoinWaiter { version, sender });
        registry.group(&id).join(context, member, join);
        registry.drop_blank_group(&id);
        Reply::of(receiver)
    }
}

impl Group {
    fn join(&mut self, context: Context<'_>, member: &str, join: Join) {
        let known = MemberId::from(member);
        if !self.has_room(&known, context.settings.max_group_size) {
            self.remove(&known);
            join.waiter.refuse("", ResponseError::GroupMaxSizeReached);
        } else if !self.accepts_protocols(&join.protocol_type, &join.protocols) {
            join.waiter.refuse(member, ResponseError::InconsistentGroupProtocol);
        } else if member.is_empty() {
            self.join_new(context, join);
        } else {
            self.join_known(context, known, join);
        }
        self.try_complete_join(context);
    }

    /// Whether the group may take the member in. While it waits for members, those that come first have the places,
    /// so that a group that is too large sheds the last ones.
    fn has_room(&self, member: &MemberId, max: usize) -> bool {
        match self.phase {
            Phase::Empty => true,
            Phase::PreparingRebalance(_) => {
                self.members.get(member).is_some_and(|known| known.join_waiter.is_some()) || self.joined() < max
            }
            Phase::CompletingRebalance | Phase::Stable => self.members.contains_key(member) || self.members.len() < max,
        }
    }

    fn join_new(&mut self, context: Context<'_>, join: Join) {
        let id = MemberId::generate(&join.client_id, join.instance_id.as_ref());
        if let Some(instance) = &join.instance_id {
            match self.static_member(instance).cloned() {
                Some(old) => self.replace_static(context, old, id, join),
                None => self.add(context, id, join),
            }
        } else if join.waiter.version < MEMBER_ID_FIRST {
            self.add(context, id, join);
        } else if self.pending_members.len() >= context.settings.max_group_size {
            join.waiter.refuse("", ResponseError::GroupMaxSizeReached);
        } else {
            let lapses = context.now.saturating_add(i64::from(join.session_timeout_ms));
            join.waiter.refuse(id.as_str(), ResponseError::MemberIdRequired);
            self.pending_members.insert(id, lapses);
        }
    }

    fn join_known(&mut self, context: Context<'_>, id: MemberId, join: Join) {
        if self.pending_members.contains_key(&id) {
            if join.instance_id.is_some() {
                // Ids are never handed out ahead to static members.
                join.waiter.refuse(id.as_str(), ResponseError::UnknownServerError);
            } else {
                self.add(context, id, join);
            }
            return;
        }
        if let Err(error) = self.check_member(&id, join.instance_id.as_ref()) {
            join.waiter.refuse(id.as_str(), error);
            return;
        }
        let unchanged = self.members.get(&id).is_some_and(|member| member.protocols == join.protocols);
        match self.phase {
            Phase::CompletingRebalance if unchanged => self.answer_again(&id, join.waiter),
            Phase::Stable if unchanged && !self.is_leader(&id) => self.answer_again(&id, join.waiter),
            Phase::Empty => join.waiter.refuse(id.as_str(), ResponseError::UnknownMemberId),
            // A leader that joins again without a change asks for a new assignment: its topics have changed.
            _ => self.rejoin(context, &id, join),
        }
    }

    /// The member seems not to have got the response of this generation.
    fn answer_again(&self, id: &MemberId, waiter: JoinWaiter) {
        let response = self.join_response(waiter.version, id);
        waiter.answer(response);
    }

    fn add(&mut self, context: Context<'_>, id: MemberId, join: Join) {
        if let Phase::PreparingRebalance(phase) = &mut self.phase
            && let Some(initial) = &mut phase.initial
        {
            initial.member_added = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type.clone());
        }
        self.pending_members.remove(&id);
        self.leader.get_or_insert_with(|| id.clone());
        let mut member = Member {
            instance_id: join.instance_id.clone(),
            client_id: String::new(),
            client_host: String::new(),
            session_timeout_ms: 0,
            rebalance_timeout_ms: 0,
            protocols: Vec::new(),
            assignment: bytes::Bytes::new(),
            is_new: true,
            sync_pending: false,
            deadline: NEVER,
            join_waiter: None,
            sync_waiter: None,
        };
        member.update(id.as_str(), join);
        member.deadline = context.now.saturating_add(NEW_MEMBER_JOIN_TIMEOUT_MS);
        self.members.insert(id, member);
        self.rebalance(context, "a member joins");
    }

    fn rejoin(&mut self, context: Context<'_>, id: &MemberId, join: Join) {
        if let Some(member) = self.members.get_mut(id) {
            member.update(id.as_str(), join);
            self.rebalance(context, "a member joins again");
        }
    }

    /// A static member comes back without its member id: it gets a new one, and whoever runs under the old one is
    /// fenced. A stable group carries on with the assignment it has unless the choice of the assignor would change.
    fn replace_static(&mut self, context: Context<'_>, old: MemberId, new: MemberId, join: Join) {
        let Some(mut member) = self.members.remove(&old) else { return };
        let led = self.is_leader(&old);
        member.refuse_waiters(old.as_str(), ResponseError::FencedInstanceId);
        let before = member.terms();
        member.update(new.as_str(), join);
        member.refresh(context.now);
        self.members.insert(new.clone(), member);
        if led {
            self.leader = Some(new.clone());
        }
        match self.phase {
            Phase::Stable if self.select_protocol() == self.protocol_name => {
                let record = self.to_record(self.state_timestamp, |_, member| member.assignment.clone());
                let recorded = context.record(&[GroupEvent::Membership(record.clone())]);
                let waiter = self.members.get_mut(&new).and_then(|member| member.join_waiter.take());
                match recorded {
                    Ok(()) => {
                        self.record = Some(record);
                        if let Some(waiter) = waiter {
                            let response = self.static_response(waiter.version, &old, &new, led);
                            waiter.answer(response);
                        }
                    }
                    Err(error) => {
                        self.undo_replacement(context.now, &old, &new, before);
                        if let Some(waiter) = waiter {
                            waiter.refuse("", error);
                        }
                    }
                }
            }
            Phase::Stable | Phase::CompletingRebalance => self.rebalance(context, "a static member joins anew"),
            Phase::PreparingRebalance(_) | Phase::Empty => {}
        }
    }

    fn undo_replacement(&mut self, now: i64, old: &MemberId, new: &MemberId, before: Terms) {
        if let Some(mut member) = self.members.remove(new) {
            member.restore_terms(before);
            member.refresh(now);
            if self.is_leader(new) {
                self.leader = Some(old.clone());
            }
            self.members.insert(old.clone(), member);
        }
    }

    /// The response to a member that is part of the current generation.
    pub(super) fn join_response(&self, version: i16, id: &MemberId) -> JoinGroupResponse {
        let members = if self.is_leader(id) { self.member_metadata() } else { Vec::new() };
        JoinGroupResponse::default()
            .with_generation_id(self.generation)
            .with_protocol_type(self.protocol_type.clone().map(StrBytes::from_string))
            .with_protocol_name(wire_protocol(version, self.protocol_name.as_deref()))
            .with_leader(self.leader.as_ref().map(MemberId::wire).unwrap_or_default())
            .with_member_id(id.wire())
            .with_members(members)
    }

    /// The response to a static member that came back to a stable group. A leader must not assign again, because
    /// nobody would take its assignment: it is told so, or, in versions that cannot say it, is told that its former self
    /// leads.
    fn static_response(&self, version: i16, old: &MemberId, new: &MemberId, led: bool) -> JoinGroupResponse {
        let response = self.join_response(version, new);
        if !led {
            response
        } else if version >= SKIP_ASSIGNMENT {
            response.with_skip_assignment(true)
        } else {
            response.with_leader(old.wire()).with_members(Vec::new())
        }
    }

    fn member_metadata(&self) -> Vec<JoinGroupResponseMember> {
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        let entry = |(id, member): (&MemberId, &Member)| {
            JoinGroupResponseMember::default()
                .with_member_id(id.wire())
                .with_group_instance_id(member.instance_id.as_ref().map(InstanceId::wire))
                .with_metadata(member.metadata(protocol).cloned().unwrap_or_default())
        };
        self.members.iter().map(entry).collect()
    }
}

/// What a member says of itself each time it joins.
struct Terms {
    client_id: String,
    client_host: String,
    session_timeout_ms: i32,
    rebalance_timeout_ms: i32,
    protocols: Vec<Protocol>,
}

impl Member {
    fn terms(&self) -> Terms {
        Terms {
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            session_timeout_ms: self.session_timeout_ms,
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            protocols: self.protocols.clone(),
        }
    }

    fn restore_terms(&mut self, terms: Terms) {
        self.client_id = terms.client_id;
        self.client_host = terms.client_host;
        self.session_timeout_ms = terms.session_timeout_ms;
        self.rebalance_timeout_ms = terms.rebalance_timeout_ms;
        self.protocols = terms.protocols;
    }

    /// Takes over what the member says of itself, and whom to answer. A request of it that waits already is one that
    /// it gave up.
    fn update(&mut self, id: &str, join: Join) {
        self.restore_terms(Terms {
            client_id: join.client_id,
            client_host: join.client_host,
            session_timeout_ms: join.session_timeout_ms,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            protocols: join.protocols,
        });
        if let Some(replaced) = self.join_waiter.replace(join.waiter) {
            replaced.refuse(id, ResponseError::RebalanceInProgress);
        }
    }
}

/// Versions before 7 cannot say that there is no protocol.
fn wire_protocol(version: i16, protocol: Option<&str>) -> Option<StrBytes> {
    let protocol = protocol.map(|name| StrBytes::from_string(name.to_owned()));
    if version < 7 { Some(protocol.unwrap_or_default()) } else { protocol }
}

/// The response that refuses a JoinGroup request.
pub(super) fn join_error(version: i16, member: &str, error: ResponseError) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_error_code(error.code())
        .with_generation_id(-1)
        .with_protocol_name(wire_protocol(version, None))
        .with_member_id(StrBytes::from_string(member.to_owned()))
}
