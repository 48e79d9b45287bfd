//! Describing, listing and deleting groups, and deleting offsets.

use super::*;
use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::{DeleteGroupsRequest, ListGroupsRequest, OffsetDeleteRequest, OffsetDeleteResponse};

fn delete(broker: &Broker, group: &str) -> i16 {
    let request = DeleteGroupsRequest::default().with_groups_names(vec![group_id(group), group_id(group)]);
    let results = broker.groups.delete_groups(&request, 2, 0).results;
    assert_eq!(results.len(), 1);
    results[0].error_code
}

fn delete_offset(broker: &Broker, group: &str, name: &str) -> OffsetDeleteResponse {
    let partitions = vec![OffsetDeleteRequestPartition::default()];
    let topics = vec![OffsetDeleteRequestTopic::default().with_name(topic(name)).with_partitions(partitions)];
    let request = OffsetDeleteRequest::default().with_group_id(group_id(group)).with_topics(topics);
    broker.groups.offset_delete(&request, 0, 0)
}

#[test]
fn a_group_is_described_in_full_once_it_is_stable() {
    let broker = broker();
    let mut member = static_consumer("g", "one");
    let response = now(member.join(&broker, 0));
    member.joined(&response);
    let described = broker.describe("g");
    assert_eq!((described.group_state.as_str(), described.protocol_data.as_str()), ("CompletingRebalance", ""));
    assert!(described.members[0].member_metadata.is_empty());
    now(member.sync(&broker, &[(&member, "all")], 0));
    let described = broker.describe("g");
    assert_eq!((described.group_state.as_str(), described.protocol_data.as_str()), ("Stable", "range"));
    assert_eq!(described.protocol_type.as_str(), "consumer");
    let shown = &described.members[0];
    assert_eq!(shown.member_id.as_str(), member.member);
    assert_eq!(shown.group_instance_id, Some(text("one")));
    assert_eq!((shown.client_id.as_str(), shown.client_host.as_str()), ("client", "/127.0.0.1"));
    assert_eq!(shown.member_metadata, subscription(&["orders"]));
    assert_eq!(shown.member_assignment, Bytes::from_static(b"all"));
    let unknown = broker.describe("unknown");
    assert_eq!((unknown.error_code, unknown.group_state.as_str()), (0, "Dead"));
}

#[test]
fn groups_are_listed_by_state_and_type() {
    let broker = broker();
    broker.stable(consumer("members"));
    consumer("simple").commit(&broker, "orders", 0, 1, 0);
    let list = |states: &[&str], types: &[&str]| {
        let request = ListGroupsRequest::default()
            .with_states_filter(states.iter().map(|state| text(state)).collect())
            .with_types_filter(types.iter().map(|name| text(name)).collect());
        let groups = broker.groups.list_groups(&request, 5).groups;
        groups.iter().map(|group| group.group_id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(list(&[], &[]), ["members", "simple"]);
    assert_eq!(list(&["stable"], &[]), ["members"]);
    assert_eq!(list(&["Empty", "Dead"], &["Classic"]), ["simple"]);
    assert!(list(&[], &["consumer"]).is_empty());
    let groups = broker.groups.list_groups(&ListGroupsRequest::default(), 5).groups;
    assert_eq!((groups[0].group_state.as_str(), groups[0].group_type.as_str()), ("Stable", "classic"));
}

#[test]
fn only_a_group_without_members_can_be_deleted() {
    let broker = broker();
    let member = broker.stable(consumer("g"));
    member.commit(&broker, "orders", 0, 1, 0);
    is_error(delete(&broker, "g"), ResponseError::NonEmptyGroup);
    is_error(delete(&broker, "unknown"), ResponseError::GroupIdNotFound);
    member.leave(&broker, 0);
    assert_eq!(delete(&broker, "g"), 0);
    assert_eq!(broker.state("g"), "Dead");
    assert_eq!(broker.fetch("g", 0, false), (-1, 0));
    assert!(broker.restarted(0).groups.snapshot().is_empty());
}

#[test]
fn offsets_of_a_topic_that_members_consume_are_not_deleted() {
    let broker = broker();
    let member = broker.stable(consumer("g"));
    member.commit(&broker, "orders", 0, 1, 0);
    member.commit(&broker, "payments", 0, 2, 0);
    let refused = delete_offset(&broker, "g", "orders").topics[0].partitions[0].error_code;
    is_error(refused, ResponseError::GroupSubscribedToTopic);
    assert_eq!(delete_offset(&broker, "g", "payments").topics[0].partitions[0].error_code, 0);
    let unknown = delete_offset(&broker, "g", "nowhere").topics[0].partitions[0].error_code;
    is_error(unknown, ResponseError::UnknownTopicOrPartition);
    assert_eq!(broker.offsets("g").into_keys().collect::<Vec<_>>(), [("orders".to_owned(), 0)]);
    member.leave(&broker, 0);
    assert_eq!(delete_offset(&broker, "g", "orders").topics[0].partitions[0].error_code, 0);
    assert!(broker.offsets("g").is_empty());
    is_error(delete_offset(&broker, "unknown", "orders").error_code, ResponseError::GroupIdNotFound);
}

#[test]
fn offsets_of_a_group_with_members_that_are_no_consumers_are_not_deleted() {
    let broker = broker();
    let member = broker.stable(Consumer { protocol_type: "connect", ..consumer("g") });
    member.commit(&broker, "orders", 0, 1, 0);
    is_error(delete_offset(&broker, "g", "orders").error_code, ResponseError::NonEmptyGroup);
}

#[test]
fn a_subscription_of_garbage_counts_as_a_subscription_to_everything() {
    let garbage: [&'static [u8]; 6] = [
        b"",
        b"\x00",
        b"\x00\x01\x7f\xff\xff\xff",
        b"\x00\x01\x00\x00\x00\x01\xff\xff",
        b"\x00\x01\x00\x00\x00\x01\x00\x02\xff\xfe",
        b"\xff\xff\x00\x00\x00\x00",
    ];
    for bytes in garbage {
        let broker = broker_with(short_retention());
        let member = broker.stable(Consumer { protocols: vec![("range", Bytes::from_static(bytes))], ..consumer("g") });
        member.commit(&broker, "orders", 0, 1, 0);
        let refused = delete_offset(&broker, "g", "orders").topics[0].partitions[0].error_code;
        is_error(refused, ResponseError::GroupSubscribedToTopic);
        for at in (0..=60_000).step_by(5_000) {
            assert_eq!(member.heartbeat(&broker, at), 0);
            broker.groups.tick(at);
        }
        assert_eq!(broker.offsets("g").len(), 1);
    }
}

#[test]
fn the_offsets_of_a_deleted_topic_are_dropped_from_all_groups() {
    let broker = broker();
    consumer("g").commit(&broker, "orders", 0, 1, 0);
    consumer("g").commit(&broker, "payments", 0, 1, 0);
    consumer("h").txn_commit(&broker, 9, 0, 5, 0);
    broker.groups.topic_deleted("orders").unwrap();
    assert_eq!(broker.offsets("g").into_keys().collect::<Vec<_>>(), [("payments".to_owned(), 0)]);
    broker.groups.end_transaction(ProducerId(9), true).unwrap();
    assert!(broker.offsets("h").is_empty());
    assert_eq!(broker.state("h"), "Dead");
}
