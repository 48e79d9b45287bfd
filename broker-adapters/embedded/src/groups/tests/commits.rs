//! Commits, fetches and expiry of offsets.

use super::*;
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};

const DAY: i64 = 24 * 60 * 60 * 1_000;

fn simple(group: &'static str) -> Consumer {
    consumer(group)
}

#[test]
fn a_consumer_without_a_group_commits_and_fetches() {
    let broker = broker();
    assert_eq!(broker.fetch("g", 0, false), (-1, 0));
    assert_eq!(simple("g").commit(&broker, "orders", 0, 41, 0), 0);
    assert_eq!(simple("g").commit(&broker, "orders", 0, 42, 1), 0);
    assert_eq!(broker.fetch("g", 0, true), (42, 0));
    assert_eq!(broker.fetch("g", 1, true), (-1, 0));
    assert_eq!(broker.state("g"), "Empty");
    assert_eq!(broker.describe("g").protocol_type.as_str(), "");
}

#[test]
fn only_members_commit_while_a_group_has_any() {
    let broker = broker();
    let member = broker.stable(consumer("g"));
    is_error(simple("g").commit(&broker, "orders", 0, 1, 0), ResponseError::UnknownMemberId);
    assert_eq!(member.commit(&broker, "orders", 0, 1, 0), 0);
    let late = Consumer { generation: 0, ..member.clone() };
    is_error(late.commit(&broker, "orders", 0, 2, 0), ResponseError::IllegalGeneration);
    member.leave(&broker, 0);
    is_error(member.commit(&broker, "orders", 0, 3, 0), ResponseError::UnknownMemberId);
    assert_eq!(simple("g").commit(&broker, "orders", 0, 4, 0), 0);
    assert_eq!(broker.fetch("g", 0, false), (4, 0));
}

#[test]
fn a_commit_is_taken_while_members_rejoin_and_refused_until_they_have_their_assignment() {
    let broker = broker();
    let mut member = broker.stable(consumer("g"));
    let mut other = consumer("g");
    later(other.enter(&broker, 0));
    assert_eq!(broker.state("g"), "PreparingRebalance");
    assert_eq!(member.commit(&broker, "orders", 0, 1, 0), 0);
    let response = now(member.join(&broker, 0));
    member.joined(&response);
    assert_eq!(broker.state("g"), "CompletingRebalance");
    is_error(member.commit(&broker, "orders", 0, 2, 0), ResponseError::RebalanceInProgress);
    assert_eq!(broker.fetch("g", 0, false), (1, 0));
}

#[test]
fn a_commit_keeps_the_session_alive() {
    let broker = broker();
    let member = broker.stable(consumer("g"));
    assert_eq!(member.commit(&broker, "orders", 0, 1, 9_000), 0);
    broker.groups.tick(18_999);
    assert_eq!(broker.state("g"), "Stable");
    broker.groups.tick(19_000);
    assert_eq!(broker.state("g"), "Empty");
}

#[test]
fn a_commit_with_a_generation_to_an_unknown_group_is_refused() {
    let broker = broker();
    let member = Consumer { generation: 3, member: "m".into(), ..consumer("g") };
    is_error(member.commit(&broker, "orders", 0, 1, 0), ResponseError::IllegalGeneration);
    let partition = OffsetCommitRequestPartition::default();
    let topics = vec![OffsetCommitRequestTopic::default().with_name(topic("orders")).with_partitions(vec![partition])];
    let request = OffsetCommitRequest::default()
        .with_group_id(group_id("g"))
        .with_generation_id_or_member_epoch(3)
        .with_topics(topics);
    let code = broker.groups.offset_commit(&request, 9, 0).topics[0].partitions[0].error_code;
    is_error(code, ResponseError::GroupIdNotFound);
    assert_eq!(broker.state("g"), "Dead");
}

#[test]
fn each_partition_of_a_commit_has_its_own_outcome() {
    let broker = broker();
    let partition = |index: i32, note: usize| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(index)
            .with_committed_offset(5)
            .with_committed_metadata(Some(text(&"x".repeat(note))))
    };
    let topics = vec![
        OffsetCommitRequestTopic::default().with_name(topic("orders")).with_partitions(vec![
            partition(0, 4_096),
            partition(1, 4_097),
            partition(9, 0),
        ]),
        OffsetCommitRequestTopic::default().with_name(topic("nowhere")).with_partitions(vec![partition(0, 0)]),
    ];
    let request =
        OffsetCommitRequest::default().with_group_id(group_id("g")).with_retention_time_ms(-1).with_topics(topics);
    let response = broker.groups.offset_commit(&request, 8, 0);
    let codes: Vec<i16> = response.topics[0].partitions.iter().map(|partition| partition.error_code).collect();
    assert_eq!(codes[0], 0);
    is_error(codes[1], ResponseError::OffsetMetadataTooLarge);
    is_error(codes[2], ResponseError::UnknownTopicOrPartition);
    is_error(response.topics[1].partitions[0].error_code, ResponseError::UnknownTopicOrPartition);
    assert_eq!(broker.offsets("g").len(), 1);
}

#[test]
fn a_commit_that_cannot_be_recorded_changes_nothing() {
    let broker = broker();
    broker.journal.fails.store(true, Ordering::Relaxed);
    is_error(simple("g").commit(&broker, "orders", 0, 1, 0), ResponseError::CoordinatorNotAvailable);
    assert_eq!(broker.state("g"), "Dead");
    broker.journal.fails.store(false, Ordering::Relaxed);
    assert_eq!(simple("g").commit(&broker, "orders", 0, 1, 0), 0);
}

#[test]
fn several_groups_are_fetched_at_once_with_all_that_was_committed() {
    let broker = broker();
    simple("g").commit(&broker, "orders", 2, 7, 0);
    simple("g").commit(&broker, "payments", 0, 8, 0);
    let asked = OffsetFetchRequestTopics::default().with_name(topic("orders")).with_partition_indexes(vec![2, 3]);
    let groups = vec![
        OffsetFetchRequestGroup::default().with_group_id(group_id("g")).with_topics(None),
        OffsetFetchRequestGroup::default().with_group_id(group_id("g")).with_topics(Some(vec![asked])),
        OffsetFetchRequestGroup::default().with_group_id(group_id("unknown")).with_topics(None),
    ];
    let response = broker.groups.offset_fetch(&OffsetFetchRequest::default().with_groups(groups), 8, 0);
    let found: Vec<Vec<(i32, i64)>> = response
        .groups
        .iter()
        .map(|group| group.topics.iter().flat_map(|topic| &topic.partitions))
        .map(|partitions| partitions.map(|one| (one.partition_index, one.committed_offset)).collect())
        .collect();
    assert_eq!(found, [vec![(2, 7), (0, 8)], vec![(2, 7), (3, -1)], vec![]]);
    let partition = &response.groups[0].topics[0].partitions[0];
    assert_eq!((partition.committed_leader_epoch, &partition.metadata), (3, &Some(text("note"))));
}

#[test]
fn offsets_without_members_expire_after_their_commit_and_the_group_with_them() {
    let broker = broker();
    simple("g").commit(&broker, "orders", 0, 1, 0);
    simple("g").commit(&broker, "orders", 1, 1, DAY);
    broker.groups.tick(7 * DAY - 1);
    assert_eq!(broker.offsets("g").len(), 2);
    broker.groups.tick(7 * DAY + 600_000);
    assert_eq!(broker.offsets("g").into_keys().collect::<Vec<_>>(), [("orders".to_owned(), 1)]);
    broker.groups.tick(8 * DAY + 600_000);
    assert_eq!(broker.state("g"), "Dead");
    assert!(broker.groups.snapshot().is_empty());
}

#[test]
fn offsets_that_members_consume_expire_only_once_the_group_is_empty_for_long() {
    let broker = broker_with(short_retention());
    let member = broker.stable(consumer("g"));
    member.commit(&broker, "orders", 0, 1, 0);
    member.commit(&broker, "payments", 0, 1, 0);
    for at in (0..=60_000).step_by(5_000) {
        assert_eq!(member.heartbeat(&broker, at), 0);
        broker.groups.tick(at);
    }
    // The members have left `payments`, if they ever consumed it.
    assert_eq!(broker.offsets("g").into_keys().collect::<Vec<_>>(), [("orders".to_owned(), 0)]);
    member.leave(&broker, 60_000);
    broker.groups.tick(79_999);
    assert_eq!(broker.offsets("g").len(), 1);
    broker.groups.tick(81_000);
    assert_eq!(broker.state("g"), "Dead");
}

#[test]
fn a_retention_time_given_with_the_commit_goes_before_the_setting() {
    let broker = broker();
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(5);
    let topics = vec![OffsetCommitRequestTopic::default().with_name(topic("orders")).with_partitions(vec![partition])];
    let request =
        OffsetCommitRequest::default().with_group_id(group_id("g")).with_retention_time_ms(DAY).with_topics(topics);
    broker.groups.offset_commit(&request, 4, 0);
    broker.groups.tick(DAY - 1);
    assert_eq!(broker.fetch("g", 0, false), (5, 0));
    broker.groups.tick(DAY + 600_000);
    assert_eq!(broker.fetch("g", 0, false), (-1, 0));
}
