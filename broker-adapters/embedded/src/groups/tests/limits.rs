//! What the coordinator refuses, and that what is refused leaves nothing behind.

use super::*;

#[test]
fn a_session_timeout_out_of_bounds_is_refused() {
    let broker = broker_with(GroupSettings { min_session_timeout_ms: 10_001, ..GroupSettings::default() });
    is_error(now(consumer("g").join(&broker, 0)).error_code, ResponseError::InvalidSessionTimeout);
    let broker = broker_with(GroupSettings { max_session_timeout_ms: 9_999, ..GroupSettings::default() });
    is_error(now(consumer("g").join(&broker, 0)).error_code, ResponseError::InvalidSessionTimeout);
    assert_eq!(broker.state("g"), "Dead");
}

#[test]
fn a_group_needs_a_name_and_a_protocol() {
    let broker = broker();
    is_error(now(consumer("").join(&broker, 0)).error_code, ResponseError::InvalidGroupId);
    is_error(now(consumer("").sync(&broker, &[], 0)).error_code, ResponseError::InvalidGroupId);
    is_error(consumer("").heartbeat(&broker, 0), ResponseError::InvalidGroupId);
    is_error(consumer("").leave(&broker, 0).error_code, ResponseError::InvalidGroupId);
    is_error(consumer("").txn_commit(&broker, 1, 0, 0, 0), ResponseError::InvalidGroupId);
    assert_eq!(consumer("").commit(&broker, "orders", 0, 1, 0), 0);
    let without = Consumer { protocols: Vec::new(), ..consumer("g") };
    is_error(now(without.join(&broker, 0)).error_code, ResponseError::InconsistentGroupProtocol);
    let without = Consumer { protocol_type: "", ..consumer("g") };
    is_error(now(without.join(&broker, 0)).error_code, ResponseError::InconsistentGroupProtocol);
    assert_eq!(broker.state("g"), "Dead");
}

#[test]
fn a_full_group_takes_no_more_members() {
    let broker = broker_with(GroupSettings { max_group_size: 2, ..GroupSettings::default() });
    let (leader, _) = broker.stable_pair(consumer("g"), consumer("g"));
    is_error(now(consumer("g").join(&broker, 0)).error_code, ResponseError::GroupMaxSizeReached);
    assert_eq!(leader.heartbeat(&broker, 0), 0);
    assert_eq!(broker.describe("g").members.len(), 2);
}

#[test]
fn member_ids_that_are_never_used_are_bounded_and_lapse() {
    let broker = broker_with(GroupSettings { max_group_size: 3, ..GroupSettings::default() });
    for _ in 0..3 {
        is_error(now(consumer("g").join(&broker, 0)).error_code, ResponseError::MemberIdRequired);
    }
    is_error(now(consumer("g").join(&broker, 0)).error_code, ResponseError::GroupMaxSizeReached);
    assert_eq!(broker.groups.next_deadline(), Some(10_000));
    broker.groups.tick(10_000);
    assert_eq!(broker.state("g"), "Dead");
}

#[test]
fn a_rebalance_waits_for_members_that_were_just_given_their_id() {
    let broker = broker();
    let mut member = broker.stable(consumer("g"));
    let mut promised = consumer("g");
    promised.member = now(promised.join(&broker, 0)).member_id.to_string();
    let waiting = later(member.join(&broker, 0));
    assert_eq!(broker.state("g"), "PreparingRebalance");
    assert_eq!(promised.leave(&broker, 0).members[0].error_code, 0);
    member.joined(&arrived(waiting));
    assert_eq!(broker.state("g"), "CompletingRebalance");
}

#[test]
fn there_are_no_more_groups_than_there_may_be() {
    let broker = broker_with(GroupSettings { max_groups: 1, ..GroupSettings::default() });
    broker.stable(consumer("g"));
    is_error(now(consumer("h").join(&broker, 0)).error_code, ResponseError::PolicyViolation);
    is_error(consumer("h").commit(&broker, "orders", 0, 1, 0), ResponseError::PolicyViolation);
    is_error(consumer("h").txn_commit(&broker, 1, 0, 1, 0), ResponseError::PolicyViolation);
    assert_eq!(broker.state("h"), "Dead");
}

#[test]
fn a_group_restored_larger_than_it_may_be_sheds_its_last_members() {
    let large = broker();
    let (leader, follower) = large.stable_pair(consumer("g"), consumer("g"));
    let broker = broker_with(GroupSettings { max_group_size: 1, ..GroupSettings::default() });
    for event in large.journal.events() {
        broker.groups.replay(event);
    }
    broker.groups.start(0);
    assert_eq!(broker.state("g"), "PreparingRebalance");
    let waiting = later(leader.join(&broker, 0));
    is_error(now(follower.join(&broker, 0)).error_code, ResponseError::GroupMaxSizeReached);
    assert_eq!(arrived(waiting).members.len(), 1);
}
