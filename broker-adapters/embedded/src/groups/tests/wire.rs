//! Every response can be encoded in every version that is answered: the protocol library refuses fields and nulls that a
//! version does not have.

use super::*;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, ListGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest,
};

fn encodes<T: Encodable>(response: &T, version: i16) {
    response.encode(&mut BytesMut::new(), version).unwrap();
}

#[test]
fn responses_to_members_encode_in_all_versions() {
    for version in 2..=9 {
        let broker = broker();
        let mut refused = consumer("");
        refused.version = version;
        encodes(&now(refused.join(&broker, 0)), version);
        let mut member = Consumer { version, ..consumer("g") };
        if version >= 4 {
            encodes(&now(member.join(&broker, 0)), version);
        }
        let response = now(member.enter(&broker, 0));
        encodes(&response, version);
        member.joined(&response);
        let assigned = now(member.sync(&broker, &[(&member, "all")], 0));
        let stale = now(Consumer { generation: 0, ..member.clone() }.sync(&broker, &[], 0));
        for version in 1..=5 {
            encodes(&assigned, version);
            encodes(&stale, version);
        }
        if version >= 5 {
            let member = Consumer { version, ..static_consumer("static", "one") };
            broker.stable(member.clone());
            encodes(&now(member.join(&broker, 0)), version);
        }
    }
    for version in 0..=5 {
        let broker = broker();
        let member = broker.stable(consumer("g"));
        encodes(&broker.groups.heartbeat(&HeartbeatRequest::default(), version.min(4), 0), version.min(4));
        let identity = MemberIdentity::default().with_member_id(text(&member.member));
        let request = LeaveGroupRequest::default()
            .with_group_id(group_id("g"))
            .with_member_id(text(&member.member))
            .with_members(vec![identity]);
        encodes(&broker.groups.leave_group(&request, version, 0), version);
        encodes(&broker.groups.leave_group(&request, version, 0), version);
    }
}

#[test]
fn responses_to_operators_encode_in_all_versions() {
    let broker = broker();
    broker.stable(consumer("g"));
    consumer("h").commit(&broker, "orders", 0, 1, 0);
    for version in 0..=5 {
        let request = DescribeGroupsRequest::default().with_groups(vec![group_id("g"), group_id("none")]);
        encodes(&broker.groups.describe_groups(&request, version), version);
        encodes(&broker.groups.list_groups(&ListGroupsRequest::default(), version), version);
    }
    for version in 0..=2 {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![group_id("g"), group_id("none")]);
        encodes(&broker.groups.delete_groups(&request, version, 0), version);
    }
    let request = OffsetDeleteRequest::default().with_group_id(group_id("h"));
    encodes(&broker.groups.offset_delete(&request, 0, 0), 0);
}

#[test]
fn responses_about_offsets_encode_in_all_versions() {
    let broker = broker();
    consumer("g").commit(&broker, "orders", 0, 1, 0);
    for version in 2..=9 {
        let partition = OffsetCommitRequestPartition::default();
        let named = OffsetCommitRequestTopic::default().with_name(topic("orders")).with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default().with_group_id(group_id("g")).with_topics(vec![named]);
        encodes(&broker.groups.offset_commit(&request, version, 0), version);
    }
    for version in 1..=9 {
        let asked = OffsetFetchRequestTopic::default().with_name(topic("orders")).with_partition_indexes(vec![0, 1]);
        let group = messages::offset_fetch_request::OffsetFetchRequestGroup::default()
            .with_group_id(group_id("g"))
            .with_topics(None);
        let request = OffsetFetchRequest::default()
            .with_group_id(group_id("g"))
            .with_topics(Some(vec![asked]))
            .with_groups(vec![group]);
        encodes(&broker.groups.offset_fetch(&request, version, 0), version);
    }
    for version in 0..=4 {
        let partition = TxnOffsetCommitRequestPartition::default();
        let named = TxnOffsetCommitRequestTopic::default().with_name(topic("orders")).with_partitions(vec![partition]);
        let request = TxnOffsetCommitRequest::default()
            .with_group_id(group_id("g"))
            .with_generation_id(-1)
            .with_topics(vec![named]);
        encodes(&broker.groups.txn_offset_commit(&request, version, 0), version);
    }
}
