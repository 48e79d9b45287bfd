//! Dynamic members: joining, leaving, rebalances and their timeouts.

use super::*;

#[test]
fn a_dynamic_member_first_gets_its_id_and_then_joins_with_it() {
    let broker = broker();
    let mut member = consumer("g");
    let response = now(member.join(&broker, 0));
    is_error(response.error_code, ResponseError::MemberIdRequired);
    assert!(response.member_id.starts_with("client-"));
    assert_eq!(broker.state("g"), "Empty");
    member.member = response.member_id.to_string();
    let response = now(member.join(&broker, 0));
    assert_eq!((response.error_code, response.generation_id), (0, 1));
    assert_eq!(response.leader.as_str(), member.member);
    assert_eq!(response.protocol_name, Some(text("range")));
    assert_eq!(response.members.len(), 1);
}

#[test]
fn an_old_client_joins_without_knowing_its_id() {
    let broker = broker();
    let response = now(Consumer { version: 3, ..consumer("g") }.join(&broker, 0));
    assert_eq!((response.error_code, response.generation_id), (0, 1));
}

#[test]
fn three_members_rebalance_and_get_what_the_leader_assigns() {
    let broker = broker();
    let (mut first, mut second) = broker.stable_pair(consumer("g"), consumer("g"));
    let mut third = consumer("g");
    let third_joins = later(third.enter(&broker, 100));
    is_error(first.heartbeat(&broker, 100), ResponseError::RebalanceInProgress);
    let second_joins = later(second.join(&broker, 100));
    let response = now(first.join(&broker, 100));
    assert_eq!((response.generation_id, response.members.len()), (3, 3));
    first.joined(&response);
    let response = arrived(second_joins);
    assert_eq!(response.members.len(), 0);
    assert_eq!(response.leader.as_str(), first.member);
    second.joined(&response);
    third.joined(&arrived(third_joins));
    let second_syncs = later(second.sync(&broker, &[], 100));
    let own = now(first.sync(&broker, &[(&first, "0"), (&third, "2")], 100));
    assert_eq!(own.assignment, Bytes::from_static(b"0"));
    assert_eq!(arrived(second_syncs).assignment, Bytes::new());
    assert_eq!(now(third.sync(&broker, &[], 100)).assignment, Bytes::from_static(b"2"));
    assert_eq!(broker.state("g"), "Stable");
    for member in [&first, &second, &third] {
        assert_eq!(member.heartbeat(&broker, 100), 0);
    }
}

#[test]
fn the_assignor_is_the_one_that_most_members_prefer_of_those_all_support() {
    let broker = broker();
    let offer = |names: &[&'static str]| names.iter().map(|name| (*name, subscription(&["orders"]))).collect();
    let member = |names: &[&'static str]| Consumer { protocols: offer(names), ..consumer("g") };
    let mut first = member(&["range", "sticky"]);
    let response = now(first.enter(&broker, 0));
    first.joined(&response);
    let mut second = member(&["sticky", "range"]);
    let second_joins = later(second.enter(&broker, 0));
    let mut third = member(&["fair", "sticky", "range"]);
    let third_joins = later(third.enter(&broker, 0));
    let response = now(first.join(&broker, 0));
    assert_eq!(response.protocol_name, Some(text("sticky")));
    assert_eq!(arrived(second_joins).protocol_name, Some(text("sticky")));
    assert_eq!(arrived(third_joins).protocol_name, Some(text("sticky")));
    let refused = now(member(&["fair"]).join(&broker, 0));
    is_error(refused.error_code, ResponseError::InconsistentGroupProtocol);
    let refused = now(Consumer { protocol_type: "connect", ..consumer("g") }.join(&broker, 0));
    is_error(refused.error_code, ResponseError::InconsistentGroupProtocol);
}

#[test]
fn an_assignor_that_not_all_members_support_is_not_chosen() {
    let broker = broker();
    let metadata = subscription(&["orders"]);
    let mut leader = Consumer { protocols: vec![("own", metadata.clone()), ("range", metadata)], ..consumer("g") };
    let response = now(leader.enter(&broker, 0));
    leader.joined(&response);
    assert_eq!(response.protocol_name, Some(text("own")));
    let mut follower = consumer("g");
    let joining = later(follower.enter(&broker, 0));
    assert_eq!(now(leader.join(&broker, 0)).protocol_name, Some(text("range")));
    assert_eq!(arrived(joining).protocol_name, Some(text("range")));
}

#[test]
fn a_silent_member_is_removed_when_its_session_ends() {
    let broker = broker();
    let (leader, follower) = broker.stable_pair(consumer("g"), consumer("g"));
    assert_eq!(leader.heartbeat(&broker, 9_000), 0);
    broker.groups.tick(9_999);
    assert_eq!(broker.state("g"), "Stable");
    broker.groups.tick(10_000);
    assert_eq!(broker.state("g"), "PreparingRebalance");
    is_error(follower.heartbeat(&broker, 10_000), ResponseError::UnknownMemberId);
    is_error(leader.heartbeat(&broker, 10_000), ResponseError::RebalanceInProgress);
    let response = now(leader.join(&broker, 10_000));
    assert_eq!((response.generation_id, response.members.len()), (3, 1));
}

#[test]
fn the_next_deadline_is_when_something_happens() {
    let broker = broker();
    assert_eq!(broker.groups.next_deadline(), None);
    broker.stable(consumer("g"));
    assert_eq!(broker.groups.next_deadline(), Some(10_000));
    broker.groups.tick(10_000);
    assert_eq!(broker.state("g"), "Empty");
    assert_eq!(broker.groups.next_deadline(), Some(600_000));
    broker.groups.tick(600_000);
    assert_eq!(broker.state("g"), "Dead");
    assert_eq!(broker.groups.next_deadline(), None);
}

#[test]
fn members_that_do_not_rejoin_in_time_are_removed() {
    let broker = broker();
    let (leader, follower) = broker.stable_pair(consumer("g"), consumer("g"));
    let joining = later(follower.join_changed(&broker, 1_000));
    for at in (5_000..60_000).step_by(5_000) {
        is_error(leader.heartbeat(&broker, at), ResponseError::RebalanceInProgress);
        broker.groups.tick(at);
    }
    broker.groups.tick(60_999);
    assert_eq!(broker.state("g"), "PreparingRebalance");
    is_error(leader.heartbeat(&broker, 60_999), ResponseError::RebalanceInProgress);
    broker.groups.tick(61_000);
    let response = arrived(joining);
    assert_eq!((response.error_code, response.members.len()), (0, 1));
    assert_eq!(response.leader.as_str(), follower.member);
    is_error(leader.heartbeat(&broker, 61_000), ResponseError::UnknownMemberId);
}

#[test]
fn members_that_do_not_ask_for_their_assignment_in_time_are_removed() {
    let broker = broker();
    let mut leader = broker.stable(consumer("g"));
    let mut follower = consumer("g");
    let joining = later(follower.enter(&broker, 0));
    let response = now(leader.join(&broker, 0));
    leader.joined(&response);
    follower.joined(&arrived(joining));
    let syncing = later(follower.sync(&broker, &[], 0));
    for at in (5_000..60_000).step_by(5_000) {
        assert_eq!(leader.heartbeat(&broker, at), 0);
        broker.groups.tick(at);
    }
    assert_eq!(broker.state("g"), "CompletingRebalance");
    broker.groups.tick(60_000);
    is_error(arrived(syncing).error_code, ResponseError::RebalanceInProgress);
    is_error(leader.heartbeat(&broker, 60_000), ResponseError::UnknownMemberId);
    let response = now(follower.join(&broker, 60_000));
    assert_eq!(response.members.len(), 1);
}

#[test]
fn a_member_waiting_for_others_does_not_lose_its_session() {
    let broker = broker();
    let (leader, mut follower) = broker.stable_pair(consumer("g"), consumer("g"));
    let joining = later(follower.join_changed(&broker, 0));
    for at in (5_000..=30_000).step_by(5_000) {
        is_error(leader.heartbeat(&broker, at), ResponseError::RebalanceInProgress);
        broker.groups.tick(at);
    }
    assert_eq!(now(leader.join(&broker, 30_000)).members.len(), 2);
    follower.joined(&arrived(joining));
    broker.groups.tick(39_999);
    assert_eq!(follower.heartbeat(&broker, 39_999), 0);
}

#[test]
fn the_initial_delay_gathers_members_into_the_first_generation() {
    let broker = broker_with(GroupSettings { initial_rebalance_delay_ms: 3_000, ..GroupSettings::default() });
    let first = later(consumer("g").enter(&broker, 0));
    broker.groups.tick(2_000);
    let second = later(consumer("g").enter(&broker, 2_000));
    broker.groups.tick(3_000);
    assert_eq!(broker.state("g"), "PreparingRebalance");
    broker.groups.tick(5_999);
    assert_eq!(broker.state("g"), "PreparingRebalance");
    broker.groups.tick(6_000);
    let (first, second) = (arrived(first), arrived(second));
    assert_eq!((first.generation_id, second.generation_id), (1, 1));
    assert_eq!(first.members.len() + second.members.len(), 2);
}

#[test]
fn a_leaving_member_makes_the_others_rebalance_and_the_last_one_empties_the_group() {
    let broker = broker();
    let (leader, mut follower) = broker.stable_pair(consumer("g"), consumer("g"));
    assert_eq!(leader.leave(&broker, 0).members[0].error_code, 0);
    is_error(leader.leave(&broker, 0).members[0].error_code, ResponseError::UnknownMemberId);
    is_error(follower.heartbeat(&broker, 0), ResponseError::RebalanceInProgress);
    let response = now(follower.join(&broker, 0));
    assert_eq!(response.leader.as_str(), follower.member);
    follower.joined(&response);
    let request = LeaveGroupRequest::default().with_group_id(group_id("g")).with_member_id(text(&follower.member));
    assert_eq!(broker.groups.leave_group(&request, 2, 0).error_code, 0);
    assert_eq!(broker.state("g"), "Empty");
    is_error(follower.heartbeat(&broker, 0), ResponseError::UnknownMemberId);
}

#[test]
fn a_response_that_was_lost_is_given_again_without_a_rebalance() {
    let broker = broker();
    let (leader, follower) = broker.stable_pair(consumer("g"), consumer("g"));
    let again = now(follower.join(&broker, 0));
    assert_eq!((again.error_code, again.generation_id), (0, 2));
    assert_eq!(now(follower.sync(&broker, &[], 0)).assignment, Bytes::from_static(b"b"));
    // Of the leader it means that its topics have changed.
    later(leader.join(&broker, 0));
    assert_eq!(broker.state("g"), "PreparingRebalance");
}

#[test]
fn a_repeated_request_ends_the_one_that_waits() {
    let broker = broker();
    broker.stable(consumer("g"));
    let mut joiner = consumer("g");
    let lost = later(joiner.enter(&broker, 0));
    let mut kept = later(joiner.join(&broker, 0));
    is_error(arrived(lost).error_code, ResponseError::RebalanceInProgress);
    kept.try_recv().unwrap_err();
}

#[test]
fn sync_and_heartbeat_refuse_strangers_old_generations_and_other_protocols() {
    let broker = broker();
    let member = broker.stable(consumer("g"));
    let stranger = Consumer { member: "who".into(), ..member.clone() };
    is_error(now(stranger.sync(&broker, &[], 0)).error_code, ResponseError::UnknownMemberId);
    is_error(stranger.heartbeat(&broker, 0), ResponseError::UnknownMemberId);
    is_error(now(stranger.join(&broker, 0)).error_code, ResponseError::UnknownMemberId);
    let late = Consumer { generation: 0, ..member.clone() };
    is_error(now(late.sync(&broker, &[], 0)).error_code, ResponseError::IllegalGeneration);
    is_error(late.heartbeat(&broker, 0), ResponseError::IllegalGeneration);
    let other = Consumer { protocol_type: "connect", ..member.clone() };
    is_error(now(other.sync(&broker, &[], 0)).error_code, ResponseError::InconsistentGroupProtocol);
    let elsewhere = Consumer { group: "h", ..member };
    is_error(now(elsewhere.join(&broker, 0)).error_code, ResponseError::UnknownMemberId);
    is_error(now(elsewhere.sync(&broker, &[], 0)).error_code, ResponseError::UnknownMemberId);
}

#[test]
fn an_assignment_that_cannot_be_recorded_is_given_to_nobody() {
    let broker = broker();
    let mut member = consumer("g");
    let response = now(member.enter(&broker, 0));
    member.joined(&response);
    broker.journal.fails.store(true, Ordering::Relaxed);
    let refused = now(member.sync(&broker, &[(&member, "all")], 0));
    is_error(refused.error_code, ResponseError::CoordinatorNotAvailable);
    assert_eq!(broker.state("g"), "PreparingRebalance");
    broker.journal.fails.store(false, Ordering::Relaxed);
    let response = now(member.join(&broker, 0));
    member.joined(&response);
    assert_eq!(now(member.sync(&broker, &[(&member, "all")], 0)).assignment, Bytes::from_static(b"all"));
}

impl Consumer {
    /// Joins with another subscription, which makes the group rebalance.
    fn join_changed(&self, broker: &Broker, at: i64) -> Reply<JoinGroupResponse> {
        Consumer { protocols: vec![("range", subscription(&["payments"]))], ..self.clone() }.join(broker, at)
    }
}
