//! SyncGroup, Heartbeat and LeaveGroup: what members do between two joins.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, LeaveGroupRequest, LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::oneshot;

use super::events::GroupEvent;
use super::ids::{GroupId, InstanceId, MemberId};
use super::rebalance::Context;
use super::state::{Group, Member, Phase};
use super::{Groups, Reply, code};

/// From this version on a SyncGroup request names the protocol type and the assignor.
const PROTOCOL_NAMED: i16 = 5;

/// From this version on a LeaveGroup request may name several members.
const LEAVE_MANY: i16 = 3;

/// The assignments of a generation, by member.
type Assignments = BTreeMap<MemberId, Bytes>;

impl Groups {
    /// Answers SyncGroup, versions 1–5. The reply of a follower waits for the leader's assignment.
    pub fn sync_group(&self, request: &SyncGroupRequest, version: i16, now: i64) -> Reply<SyncGroupResponse> {
        if request.group_id.is_empty() {
            return Reply::Now(sync_error(ResponseError::InvalidGroupId));
        }
        if version >= PROTOCOL_NAMED && (request.protocol_type.is_none() || request.protocol_name.is_none()) {
            return Reply::Now(sync_error(ResponseError::InconsistentGroupProtocol));
        }
        let context = self.context(now);
        let mut registry = self.lock();
        let Some(group) = registry.groups.get_mut(&GroupId::from(&request.group_id)) else {
            return Reply::Now(sync_error(ResponseError::UnknownMemberId));
        };
        let (sender, receiver) = oneshot::channel();
        if let Err((sender, error)) = group.sync(context, request, sender) {
            drop(sender.send(sync_error(error)));
        }
        Reply::of(receiver)
    }

    /// Answers Heartbeat, versions 0–4.
    pub fn heartbeat(&self, request: &HeartbeatRequest, _version: i16, now: i64) -> HeartbeatResponse {
        let outcome = if request.group_id.is_empty() {
            Err(ResponseError::InvalidGroupId)
        } else {
            let mut registry = self.lock();
            match registry.groups.get_mut(&GroupId::from(&request.group_id)) {
                Some(group) => group.heartbeat(request, now),
                None => Err(ResponseError::UnknownMemberId),
            }
        };
        HeartbeatResponse::default().with_error_code(code(outcome))
    }

    /// Answers LeaveGroup, versions 0–5.
    pub fn leave_group(&self, request: &LeaveGroupRequest, version: i16, now: i64) -> LeaveGroupResponse {
        if request.group_id.is_empty() {
            return LeaveGroupResponse::default().with_error_code(ResponseError::InvalidGroupId.code());
        }
        let single = [MemberIdentity::default().with_member_id(request.member_id.clone())];
        let leaving = if version < LEAVE_MANY { &single[..] } else { &request.members[..] };
        let context = self.context(now);
        let mut registry = self.lock();
        let id = GroupId::from(&request.group_id);
        let mut outcomes = Vec::with_capacity(leaving.len());
        for identity in leaving {
            let outcome = match registry.groups.get_mut(&id) {
                Some(group) => group.leave(context, identity),
                None => Err(ResponseError::UnknownMemberId),
            };
            outcomes.push((identity, code(outcome)));
        }
        registry.drop_blank_group(&id);
        if version < LEAVE_MANY {
            let code = outcomes.first().map_or(0, |(_, code)| *code);
            return LeaveGroupResponse::default().with_error_code(code);
        }
        let member = |(identity, code): (&MemberIdentity, i16)| {
            MemberResponse::default()
                .with_member_id(identity.member_id.clone())
                .with_group_instance_id(identity.group_instance_id.clone())
                .with_error_code(code)
        };
        LeaveGroupResponse::default().with_members(outcomes.into_iter().map(member).collect())
    }
}

impl Group {
    /// Takes a SyncGroup request in, and gives back whom to refuse it to when it cannot be.
    fn sync(
        &mut self,
        context: Context<'_>,
        request: &SyncGroupRequest,
        sender: oneshot::Sender<SyncGroupResponse>,
    ) -> Result<(), (oneshot::Sender<SyncGroupResponse>, ResponseError)> {
        let id = MemberId::from(request.member_id.as_str());
        if let Err(error) = self.check_sync(&id, request) {
            return Err((sender, error));
        }
        let phase = self.phase;
        let (protocol_type, protocol_name) = (self.protocol_type.clone(), self.protocol_name.clone());
        let Some(member) = self.members.get_mut(&id) else { return Err((sender, ResponseError::UnknownMemberId)) };
        match phase {
            Phase::Empty => return Err((sender, ResponseError::UnknownMemberId)),
            Phase::PreparingRebalance(_) => return Err((sender, ResponseError::RebalanceInProgress)),
            Phase::Stable => {
                member.sync_pending = false;
                member.refresh(context.now);
                drop(sender.send(sync_response(protocol_type, protocol_name, member.assignment.clone())));
            }
            Phase::CompletingRebalance => {
                member.sync_pending = false;
                if let Some(replaced) = member.sync_waiter.replace(sender) {
                    // The member sent the request again, so nobody listens to this one any more.
                    drop(replaced.send(sync_error(ResponseError::RebalanceInProgress)));
                }
                if self.is_leader(&id) {
                    self.assign(context, request);
                }
            }
        }
        Ok(())
    }

    fn check_sync(&self, id: &MemberId, request: &SyncGroupRequest) -> Result<(), ResponseError> {
        self.check_member(id, instance(request.group_instance_id.as_ref()).as_ref())?;
        if request.generation_id != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        let differs = |named: &Option<StrBytes>, own: &Option<String>| {
            named.as_ref().is_some_and(|named| own.as_deref() != Some(named.as_str()))
        };
        if differs(&request.protocol_type, &self.protocol_type) || differs(&request.protocol_name, &self.protocol_name)
        {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        Ok(())
    }

    /// Records the leader's assignment and hands it out. Members that it leaves out get an empty one.
    fn assign(&mut self, context: Context<'_>, request: &SyncGroupRequest) {
        let assignments: Assignments = request
            .assignments
            .iter()
            .map(|entry| (MemberId::from(entry.member_id.as_str()), entry.assignment.clone()))
            .collect();
        let of = |id: &MemberId, _: &Member| assignments.get(id).cloned().unwrap_or_default();
        let record = self.to_record(context.now, of);
        if let Err(error) = context.record(&[GroupEvent::Membership(record.clone())]) {
            self.reset_assignments(context.now, error);
            self.rebalance(context, "the assignment could not be recorded");
            return;
        }
        self.record = Some(record);
        self.enter(Phase::Stable, context.now);
        for (id, member) in &mut self.members {
            member.assignment = of(id, member);
            if let Some(waiter) = member.sync_waiter.take() {
                let assignment = member.assignment.clone();
                drop(waiter.send(sync_response(self.protocol_type.clone(), self.protocol_name.clone(), assignment)));
                member.refresh(context.now);
            }
        }
    }

    fn heartbeat(&mut self, request: &HeartbeatRequest, now: i64) -> Result<(), ResponseError> {
        let id = MemberId::from(request.member_id.as_str());
        self.check_member(&id, instance(request.group_instance_id.as_ref()).as_ref())?;
        if request.generation_id != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        let phase = self.phase;
        let member = self.members.get_mut(&id).ok_or(ResponseError::UnknownMemberId)?;
        member.refresh(now);
        match phase {
            Phase::PreparingRebalance(_) => Err(ResponseError::RebalanceInProgress),
            Phase::Empty => Err(ResponseError::UnknownMemberId),
            Phase::CompletingRebalance | Phase::Stable => Ok(()),
        }
    }

    fn leave(&mut self, context: Context<'_>, identity: &MemberIdentity) -> Result<(), ResponseError> {
        let instance = instance(identity.group_instance_id.as_ref());
        let id = if identity.member_id.is_empty() {
            // An operator removes a static member, whose member id only the member itself knows.
            let current = instance.as_ref().and_then(|instance| self.static_member(instance));
            current.cloned().ok_or(ResponseError::UnknownMemberId)?
        } else {
            MemberId::from(identity.member_id.as_str())
        };
        if self.pending_members.contains_key(&id) {
            self.remove_pending(context, &id);
            return Ok(());
        }
        self.check_member(&id, instance.as_ref())?;
        let reason = identity.reason.as_ref().map_or("a member leaves", StrBytes::as_str);
        self.remove_and_rebalance(context, &id, reason);
        Ok(())
    }
}

fn instance(id: Option<&StrBytes>) -> Option<InstanceId> {
    id.map(|id| InstanceId::from(id.as_str()))
}

fn sync_response(protocol_type: Option<String>, protocol_name: Option<String>, assignment: Bytes) -> SyncGroupResponse {
    SyncGroupResponse::default()
        .with_protocol_type(protocol_type.map(StrBytes::from_string))
        .with_protocol_name(protocol_name.map(StrBytes::from_string))
        .with_assignment(assignment)
}

/// The response that refuses a SyncGroup request.
pub(super) fn sync_error(error: ResponseError) -> SyncGroupResponse {
    SyncGroupResponse::default().with_error_code(error.code())
}
