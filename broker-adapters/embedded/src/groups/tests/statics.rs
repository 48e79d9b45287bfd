//! Static members (KIP-345, KIP-814).

use super::*;

#[test]
fn a_static_follower_that_restarts_keeps_its_assignment_without_a_rebalance() {
    let broker = broker();
    let (leader, follower) = broker.stable_pair(static_consumer("g", "one"), static_consumer("g", "two"));
    let mut again = Consumer { member: String::new(), ..follower.clone() };
    let response = now(again.join(&broker, 5_000));
    again.joined(&response);
    assert_ne!(again.member, follower.member);
    assert!(again.member.starts_with("two-"));
    assert_eq!((response.generation_id, response.skip_assignment, response.members.len()), (2, false, 0));
    assert_eq!(response.leader.as_str(), leader.member);
    assert_eq!(now(again.sync(&broker, &[], 5_000)).assignment, Bytes::from_static(b"b"));
    assert_eq!(leader.heartbeat(&broker, 5_000), 0);
    is_error(follower.heartbeat(&broker, 5_000), ResponseError::FencedInstanceId);
    is_error(now(follower.sync(&broker, &[], 5_000)).error_code, ResponseError::FencedInstanceId);
    is_error(follower.commit(&broker, "orders", 0, 1, 5_000), ResponseError::FencedInstanceId);
    is_error(follower.leave(&broker, 5_000).members[0].error_code, ResponseError::FencedInstanceId);
    is_error(now(follower.join(&broker, 5_000)).error_code, ResponseError::FencedInstanceId);
}

#[test]
fn a_static_leader_that_restarts_is_told_to_skip_the_assignment() {
    let broker = broker();
    let (leader, _) = broker.stable_pair(static_consumer("g", "one"), static_consumer("g", "two"));
    let mut again = Consumer { member: String::new(), ..leader };
    let response = now(again.join(&broker, 0));
    again.joined(&response);
    assert!(response.skip_assignment);
    assert_eq!(response.leader.as_str(), again.member);
    assert_eq!(response.members.len(), 2);
    assert_eq!(now(again.sync(&broker, &[], 0)).assignment, Bytes::from_static(b"a"));
}

#[test]
fn a_static_leader_of_an_old_client_is_told_that_its_former_self_leads() {
    let broker = broker();
    let (leader, _) = broker.stable_pair(static_consumer("g", "one"), static_consumer("g", "two"));
    let response = now(Consumer { member: String::new(), version: 8, ..leader.clone() }.join(&broker, 0));
    assert!(!response.skip_assignment);
    assert_eq!(response.leader.as_str(), leader.member);
    assert_eq!(response.members.len(), 0);
}

#[test]
fn a_static_member_that_changes_the_choice_of_assignor_makes_the_group_rebalance() {
    let broker = broker();
    let both = |first, second| vec![(first, subscription(&["orders"])), (second, subscription(&["orders"]))];
    let member = broker.stable(Consumer { protocols: both("range", "sticky"), ..static_consumer("g", "one") });
    let again = Consumer { member: String::new(), protocols: both("sticky", "range"), ..member };
    let response = now(again.join(&broker, 0));
    assert_eq!((response.generation_id, response.protocol_name), (2, Some(text("sticky"))));
    assert_eq!(broker.state("g"), "CompletingRebalance");
}

#[test]
fn a_static_member_that_comes_back_while_it_still_waits_fences_its_former_self() {
    let broker = broker();
    broker.stable(static_consumer("g", "one"));
    let second = static_consumer("g", "two");
    let former = later(second.join(&broker, 0));
    let current = later(second.join(&broker, 0));
    is_error(arrived(former).error_code, ResponseError::FencedInstanceId);
    drop(current);
}

#[test]
fn a_static_member_that_comes_back_before_the_assignment_makes_the_group_rebalance() {
    let broker = broker();
    let mut member = static_consumer("g", "one");
    let response = now(member.join(&broker, 0));
    member.joined(&response);
    let response = now(static_consumer("g", "one").join(&broker, 0));
    assert_eq!(response.generation_id, 2);
    is_error(member.heartbeat(&broker, 0), ResponseError::FencedInstanceId);
}

#[test]
fn a_static_member_that_only_sends_heartbeats_stays_over_a_rebalance() {
    let broker = broker();
    let (mut leader, absent) = broker.stable_pair(static_consumer("g", "one"), static_consumer("g", "two"));
    let joining = later(leader.join(&broker, 0));
    for at in (5_000..60_000).step_by(5_000) {
        is_error(absent.heartbeat(&broker, at), ResponseError::RebalanceInProgress);
        broker.groups.tick(at);
    }
    broker.groups.tick(60_000);
    let response = arrived(joining);
    leader.joined(&response);
    assert_eq!((response.generation_id, response.members.len()), (3, 2));
    is_error(absent.heartbeat(&broker, 60_000), ResponseError::IllegalGeneration);
}

#[test]
fn a_static_member_stays_over_a_rebalance_it_misses_until_its_session_ends() {
    let broker = broker();
    let (leader, absent) = broker.stable_pair(static_consumer("g", "one"), static_consumer("g", "two"));
    later(leader.join(&broker, 9_000));
    broker.groups.tick(9_999);
    assert_eq!(broker.state("g"), "PreparingRebalance");
    broker.groups.tick(10_000);
    assert_eq!(broker.state("g"), "CompletingRebalance");
    is_error(absent.heartbeat(&broker, 10_000), ResponseError::UnknownMemberId);
}

#[test]
fn an_operator_removes_a_static_member_by_its_instance_id() {
    let broker = broker();
    let (_, follower) = broker.stable_pair(static_consumer("g", "one"), static_consumer("g", "two"));
    let by_instance = Consumer { member: String::new(), ..follower };
    let response = by_instance.leave(&broker, 0);
    assert_eq!(response.members[0].error_code, 0);
    assert_eq!(response.members[0].group_instance_id, Some(text("two")));
    assert_eq!(broker.state("g"), "PreparingRebalance");
    is_error(by_instance.leave(&broker, 0).members[0].error_code, ResponseError::UnknownMemberId);
}

#[test]
fn a_static_member_whose_return_cannot_be_recorded_stays_what_it_was() {
    let broker = broker();
    let member = broker.stable(static_consumer("g", "one"));
    broker.journal.fails.store(true, Ordering::Relaxed);
    let refused = now(Consumer { member: String::new(), ..member.clone() }.join(&broker, 0));
    is_error(refused.error_code, ResponseError::CoordinatorNotAvailable);
    assert_eq!(member.heartbeat(&broker, 0), 0);
    assert_eq!(broker.state("g"), "Stable");
}

#[test]
fn members_go_on_after_a_restart_of_the_broker() {
    let broker = broker();
    let (leader, follower) = broker.stable_pair(static_consumer("g", "one"), consumer("g"));
    let broker = broker.restarted(1_000_000);
    assert_eq!(broker.state("g"), "Stable");
    assert_eq!(leader.heartbeat(&broker, 1_009_000), 0);
    assert_eq!(follower.heartbeat(&broker, 1_005_000), 0);
    assert_eq!(follower.commit(&broker, "orders", 1, 7, 1_005_000), 0);
    let again = now(Consumer { member: String::new(), ..leader.clone() }.join(&broker, 1_009_000));
    assert_eq!((again.error_code, again.generation_id, again.skip_assignment), (0, 2, true));
    broker.groups.tick(1_014_999);
    assert_eq!(broker.state("g"), "Stable");
    broker.groups.tick(1_015_000);
    assert_eq!(broker.state("g"), "PreparingRebalance");
    is_error(follower.heartbeat(&broker, 1_015_000), ResponseError::UnknownMemberId);
}

#[test]
fn members_that_do_not_come_back_after_a_restart_are_removed_after_their_session() {
    let broker = broker();
    broker.stable_pair(static_consumer("g", "one"), consumer("g"));
    let broker = broker.restarted(1_000_000);
    broker.groups.tick(1_009_999);
    assert_eq!(broker.state("g"), "Stable");
    broker.groups.tick(1_010_000);
    assert_eq!(broker.state("g"), "Empty");
}
