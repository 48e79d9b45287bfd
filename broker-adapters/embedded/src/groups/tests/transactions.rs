//! Offsets that are committed as part of a transaction.

use super::*;

fn unstable(broker: &Broker, partition: i32) -> bool {
    let (offset, code) = broker.fetch("g", partition, true);
    code == ResponseError::UnstableOffsetCommit.code() && offset == -1
}

#[test]
fn pending_offsets_take_effect_when_the_transaction_commits() {
    let broker = broker();
    consumer("g").commit(&broker, "orders", 0, 1, 0);
    assert_eq!(consumer("g").txn_commit(&broker, 9, 0, 5, 0), 0);
    assert_eq!(consumer("g").txn_commit(&broker, 9, 1, 6, 0), 0);
    assert_eq!(broker.fetch("g", 0, false), (1, 0));
    assert!(unstable(&broker, 0) && unstable(&broker, 1));
    assert_eq!(broker.fetch("g", 2, true), (-1, 0));
    assert_eq!(broker.groups.pending_producers().into_iter().collect::<Vec<_>>(), [ProducerId(9)]);
    broker.groups.end_transaction(ProducerId(8), true).unwrap();
    assert!(unstable(&broker, 0));
    broker.groups.end_transaction(ProducerId(9), true).unwrap();
    assert_eq!(broker.fetch("g", 0, true), (5, 0));
    assert_eq!(broker.fetch("g", 1, true), (6, 0));
}

#[test]
fn pending_offsets_are_dropped_when_the_transaction_aborts() {
    let broker = broker();
    assert_eq!(consumer("g").txn_commit(&broker, 9, 0, 5, 0), 0);
    assert_eq!(broker.state("g"), "Empty");
    broker.groups.end_transaction(ProducerId(9), false).unwrap();
    assert_eq!(broker.fetch("g", 0, true), (-1, 0));
    assert_eq!(broker.state("g"), "Dead");
}

#[test]
fn a_plain_commit_after_the_pending_one_stands() {
    let broker = broker();
    consumer("g").txn_commit(&broker, 9, 0, 5, 0);
    consumer("g").commit(&broker, "orders", 0, 8, 0);
    let restarted = broker.restarted(0);
    for broker in [broker, restarted] {
        broker.groups.end_transaction(ProducerId(9), true).unwrap();
        assert_eq!(broker.fetch("g", 0, true), (8, 0));
    }
}

#[test]
fn a_transactional_commit_is_fenced_by_generation_and_member_when_it_names_them() {
    let broker = broker();
    let member = broker.stable(static_consumer("g", "one"));
    assert_eq!(member.txn_commit(&broker, 9, 0, 5, 0), 0);
    let late = Consumer { generation: 0, ..member.clone() };
    is_error(late.txn_commit(&broker, 9, 0, 6, 0), ResponseError::IllegalGeneration);
    let fenced = Consumer { member: "former".into(), ..member.clone() };
    is_error(fenced.txn_commit(&broker, 9, 0, 6, 0), ResponseError::FencedInstanceId);
    let stranger = Consumer { member: "who".into(), instance: None, ..member };
    is_error(stranger.txn_commit(&broker, 9, 0, 6, 0), ResponseError::UnknownMemberId);
    is_error(Consumer { group: "h", ..stranger }.txn_commit(&broker, 9, 0, 6, 0), ResponseError::IllegalGeneration);
    // Clients from before KIP-447 name neither.
    assert_eq!(consumer("g").txn_commit(&broker, 9, 0, 7, 0), 0);
    broker.groups.end_transaction(ProducerId(9), true).unwrap();
    assert_eq!(broker.fetch("g", 0, true), (7, 0));
}

#[test]
fn an_end_that_cannot_be_recorded_leaves_the_offsets_pending() {
    let broker = broker();
    consumer("g").txn_commit(&broker, 9, 0, 5, 0);
    broker.journal.fails.store(true, Ordering::Relaxed);
    broker.groups.end_transaction(ProducerId(9), true).unwrap_err();
    assert!(unstable(&broker, 0));
    broker.journal.fails.store(false, Ordering::Relaxed);
    broker.groups.end_transaction(ProducerId(9), true).unwrap();
    assert_eq!(broker.fetch("g", 0, true), (5, 0));
}

#[test]
fn pending_offsets_survive_a_restart_and_keep_their_partition_from_expiring() {
    let broker = broker();
    consumer("g").commit(&broker, "orders", 0, 1, 0);
    consumer("g").txn_commit(&broker, 9, 0, 5, 0);
    let broker = broker.restarted(0);
    broker.groups.tick(30 * 24 * 60 * 60 * 1_000);
    assert_eq!(broker.fetch("g", 0, false), (1, 0));
    assert!(unstable(&broker, 0));
}
