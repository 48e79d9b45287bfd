//! Tests of the group coordinator, through the same calls that a broker makes.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    self, ConsumerProtocolSubscription, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, OffsetCommitRequest, OffsetFetchRequest, ProducerId, SyncGroupRequest, SyncGroupResponse,
    TopicName, TxnOffsetCommitRequest,
};
use kafka_protocol::protocol::{Encodable, StrBytes};
use tokio::sync::oneshot::Receiver;
use uuid::Uuid;

use super::{Client, GroupEvent, GroupSettings, GroupStore, Groups, Partitions, Reply};

mod admin;
mod commits;
mod joining;
mod limits;
mod replay;
mod statics;
mod transactions;
mod wire;

/// A journal in memory that stores encoded events and can be made to fail.
#[derive(Default)]
struct Journal {
    events: Mutex<Vec<Vec<u8>>>,
    fails: AtomicBool,
}

impl Journal {
    fn events(&self) -> Vec<GroupEvent> {
        self.events.lock().unwrap().iter().map(|bytes| postcard::from_bytes(bytes).unwrap()).collect()
    }
}

impl GroupStore for Journal {
    fn record(&self, events: &[GroupEvent]) -> io::Result<()> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(io::Error::other("the disk is full"));
        }
        let encoded = events.iter().map(|event| postcard::to_allocvec(event).unwrap());
        self.events.lock().unwrap().extend(encoded);
        Ok(())
    }
}

/// The topics `orders` and `payments` with four partitions each.
struct Topics;

impl Partitions for Topics {
    fn exists(&self, topic: &str, partition: i32) -> bool {
        ["orders", "payments"].contains(&topic) && (0..4).contains(&partition)
    }

    fn name_of(&self, _: Uuid) -> Option<String> {
        None
    }
}

struct Broker {
    groups: Groups,
    journal: Arc<Journal>,
}

fn broker() -> Broker {
    broker_with(GroupSettings::default())
}

fn broker_with(settings: GroupSettings) -> Broker {
    let journal = Arc::new(Journal::default());
    let groups = Groups::new(settings, journal.clone(), Arc::new(Topics));
    groups.start(0);
    Broker { groups, journal }
}

/// Offsets are kept for twice the session timeout.
fn short_retention() -> GroupSettings {
    GroupSettings {
        offsets_retention_ms: 20_000,
        offsets_retention_check_interval_ms: 1_000,
        ..GroupSettings::default()
    }
}

/// A member as its client knows it.
#[derive(Clone)]
struct Consumer {
    group: &'static str,
    member: String,
    instance: Option<&'static str>,
    generation: i32,
    protocol_type: &'static str,
    protocols: Vec<(&'static str, Bytes)>,
    version: i16,
}

const CLIENT: Client<'static> = Client { id: "client", host: "/127.0.0.1" };

fn consumer(group: &'static str) -> Consumer {
    Consumer {
        group,
        member: String::new(),
        instance: None,
        generation: -1,
        protocol_type: "consumer",
        protocols: vec![("range", subscription(&["orders"]))],
        version: 9,
    }
}

fn static_consumer(group: &'static str, instance: &'static str) -> Consumer {
    Consumer { instance: Some(instance), ..consumer(group) }
}

fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(1);
    let topics = topics.iter().map(|topic| text(topic)).collect();
    ConsumerProtocolSubscription::default().with_topics(topics).encode(&mut bytes, 1).unwrap();
    bytes.freeze()
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn group_id(id: &str) -> messages::GroupId {
    messages::GroupId(text(id))
}

fn topic(name: &str) -> TopicName {
    TopicName(text(name))
}

fn now<T>(reply: Reply<T>) -> T {
    match reply {
        Reply::Now(response) => response,
        Reply::Later(_) => panic!("the reply waits"),
    }
}

fn later<T>(reply: Reply<T>) -> Receiver<T> {
    match reply {
        Reply::Now(_) => panic!("the reply does not wait"),
        Reply::Later(receiver) => receiver,
    }
}

fn arrived<T>(mut receiver: Receiver<T>) -> T {
    receiver.try_recv().expect("the response has arrived")
}

fn is_error(code: i16, error: ResponseError) {
    assert_eq!(ResponseError::try_from_code(code), Some(error));
}

impl Consumer {
    fn join(&self, broker: &Broker, at: i64) -> Reply<JoinGroupResponse> {
        let protocols = self.protocols.iter().map(|(name, metadata)| {
            JoinGroupRequestProtocol::default().with_name(text(name)).with_metadata(metadata.clone())
        });
        let request = JoinGroupRequest::default()
            .with_group_id(group_id(self.group))
            .with_session_timeout_ms(10_000)
            .with_rebalance_timeout_ms(60_000)
            .with_member_id(text(&self.member))
            .with_group_instance_id(self.instance.map(text))
            .with_protocol_type(text(self.protocol_type))
            .with_protocols(protocols.collect());
        broker.groups.join_group(&request, self.version, CLIENT, at)
    }

    /// Gets a member id where one is needed, and sends the join that takes part.
    fn enter(&mut self, broker: &Broker, at: i64) -> Reply<JoinGroupResponse> {
        if self.member.is_empty() && self.instance.is_none() && self.version >= 4 {
            let response = now(self.join(broker, at));
            is_error(response.error_code, ResponseError::MemberIdRequired);
            self.member = response.member_id.to_string();
        }
        self.join(broker, at)
    }

    /// Takes over what a good response says.
    fn joined(&mut self, response: &JoinGroupResponse) {
        assert_eq!(response.error_code, 0);
        self.member = response.member_id.to_string();
        self.generation = response.generation_id;
    }

    fn sync(&self, broker: &Broker, assignments: &[(&Consumer, &'static str)], at: i64) -> Reply<SyncGroupResponse> {
        let assignments = assignments.iter().map(|(member, assignment)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(text(&member.member))
                .with_assignment(Bytes::from_static(assignment.as_bytes()))
        });
        let request = SyncGroupRequest::default()
            .with_group_id(group_id(self.group))
            .with_generation_id(self.generation)
            .with_member_id(text(&self.member))
            .with_group_instance_id(self.instance.map(text))
            .with_protocol_type(Some(text(self.protocol_type)))
            .with_protocol_name(Some(text("range")))
            .with_assignments(assignments.collect());
        broker.groups.sync_group(&request, 5, at)
    }

    fn heartbeat(&self, broker: &Broker, at: i64) -> i16 {
        let request = HeartbeatRequest::default()
            .with_group_id(group_id(self.group))
            .with_generation_id(self.generation)
            .with_member_id(text(&self.member))
            .with_group_instance_id(self.instance.map(text));
        broker.groups.heartbeat(&request, 4, at).error_code
    }

    fn leave(&self, broker: &Broker, at: i64) -> LeaveGroupResponse {
        let identity = MemberIdentity::default()
            .with_member_id(text(&self.member))
            .with_group_instance_id(self.instance.map(text));
        let request = LeaveGroupRequest::default().with_group_id(group_id(self.group)).with_members(vec![identity]);
        broker.groups.leave_group(&request, 5, at)
    }

    fn commit(&self, broker: &Broker, name: &str, partition: i32, offset: i64, at: i64) -> i16 {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(partition)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(3)
            .with_committed_metadata(Some(text("note")));
        let topics = vec![OffsetCommitRequestTopic::default().with_name(topic(name)).with_partitions(vec![partition])];
        let request = OffsetCommitRequest::default()
            .with_group_id(group_id(self.group))
            .with_generation_id_or_member_epoch(self.generation)
            .with_member_id(text(&self.member))
            .with_group_instance_id(self.instance.map(text))
            .with_retention_time_ms(-1)
            .with_topics(topics);
        broker.groups.offset_commit(&request, 8, at).topics[0].partitions[0].error_code
    }

    fn txn_commit(&self, broker: &Broker, producer: i64, partition: i32, offset: i64, at: i64) -> i16 {
        let partition = TxnOffsetCommitRequestPartition::default()
            .with_partition_index(partition)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(-1);
        let topics =
            vec![TxnOffsetCommitRequestTopic::default().with_name(topic("orders")).with_partitions(vec![partition])];
        let request = TxnOffsetCommitRequest::default()
            .with_group_id(group_id(self.group))
            .with_producer_id(ProducerId(producer))
            .with_generation_id(self.generation)
            .with_member_id(text(&self.member))
            .with_group_instance_id(self.instance.map(text))
            .with_topics(topics);
        broker.groups.txn_offset_commit(&request, 3, at).topics[0].partitions[0].error_code
    }
}

impl Broker {
    /// One member of `group` with the assignment `all`, at time 0.
    fn stable(&self, mut member: Consumer) -> Consumer {
        let response = now(member.enter(self, 0));
        member.joined(&response);
        assert_eq!(now(member.sync(self, &[(&member, "all")], 0)).error_code, 0);
        member
    }

    /// Two members of `group`, the leader first, with the assignments `a` and `b`, at time 0.
    fn stable_pair(&self, leader: Consumer, mut follower: Consumer) -> (Consumer, Consumer) {
        let mut leader = self.stable(leader);
        let joining = later(follower.enter(self, 0));
        let response = now(leader.join(self, 0));
        leader.joined(&response);
        follower.joined(&arrived(joining));
        let waiting = later(follower.sync(self, &[], 0));
        let own = now(leader.sync(self, &[(&leader, "a"), (&follower, "b")], 0));
        assert_eq!(own.assignment, Bytes::from_static(b"a"));
        assert_eq!(arrived(waiting).assignment, Bytes::from_static(b"b"));
        (leader, follower)
    }

    fn state(&self, group: &str) -> String {
        self.describe(group).group_state.to_string()
    }

    fn describe(&self, group: &str) -> messages::describe_groups_response::DescribedGroup {
        let request = messages::DescribeGroupsRequest::default().with_groups(vec![group_id(group)]);
        self.groups.describe_groups(&request, 5).groups.remove(0)
    }

    /// Offset and error of a partition of `orders`.
    fn fetch(&self, group: &str, partition: i32, require_stable: bool) -> (i64, i16) {
        let topics =
            vec![OffsetFetchRequestTopic::default().with_name(topic("orders")).with_partition_indexes(vec![partition])];
        let request = OffsetFetchRequest::default()
            .with_group_id(group_id(group))
            .with_topics(Some(topics))
            .with_require_stable(require_stable);
        let response = self.groups.offset_fetch(&request, 7, 0);
        let partition = &response.topics[0].partitions[0];
        (partition.committed_offset, partition.error_code)
    }

    /// All offsets of a group.
    fn offsets(&self, group: &str) -> BTreeMap<(String, i32), i64> {
        let request = OffsetFetchRequest::default().with_group_id(group_id(group)).with_topics(None);
        let topics = self.groups.offset_fetch(&request, 7, 0).topics;
        let list = topics.into_iter().flat_map(|topic| {
            let name = topic.name.to_string();
            topic.partitions.into_iter().map(move |one| ((name.clone(), one.partition_index), one.committed_offset))
        });
        list.collect()
    }

    /// The broker after a restart at `at`, from the journal as it is.
    fn restarted(&self, at: i64) -> Broker {
        let restarted = broker_with(GroupSettings::default());
        for event in self.journal.events() {
            restarted.groups.replay(event);
        }
        restarted.groups.start(at);
        restarted
    }
}
