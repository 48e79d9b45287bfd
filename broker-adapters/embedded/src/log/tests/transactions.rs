//! Transactions: last stable offset, aborted index, fencing, and all of it across restarts.

use super::*;

fn send(log: &Log, id: i64, sequence: i32, values: &[&str]) -> Appended {
    append(log, Batch::of(values).by_producer(id, 0, sequence).in_transaction())
}

fn end(log: &Log, id: i64, marker: Marker) -> i64 {
    log.append_marker(id, 0, 0, marker, NOW).unwrap()
}

fn committed(log: &Log) -> Vec<String> {
    values(log, log.offsets().start, Isolation::ReadCommitted)
}

#[test]
fn a_transaction_holds_the_last_stable_offset_until_its_marker() {
    let place = Place::new(LogConfig::default());
    let log = place.open();
    append(&log, Batch::of(&["plain"]));
    assert!(send(&log, 1, 0, &["a", "b"]).new_transaction);
    assert!(!send(&log, 1, 2, &["c"]).new_transaction);
    append(&log, Batch::of(&["later"]));
    assert_eq!(log.offsets(), LogOffsets { start: 0, end: 5, last_stable: 1 });
    assert_eq!(log.open_transaction(1), Some(OpenTransaction { epoch: 0, first_offset: 1 }));
    assert_eq!(committed(&log), ["plain"]);
    assert_eq!(log.available_bytes(1, Isolation::ReadCommitted), 0);
    assert!(log.available_bytes(1, Isolation::ReadUncommitted) > 0);
    assert_eq!(end(&log, 1, Marker::Commit), 5);
    assert_eq!(log.offsets(), LogOffsets { start: 0, end: 6, last_stable: 6 });
    assert_eq!(committed(&log), ["plain", "a", "b", "c", "later"]);
    assert_eq!(log.open_transaction(1), None);
}

#[test]
fn aborted_transactions_are_named_to_those_who_read_committed() {
    let place = Place::new(small_segments());
    let log = place.open();
    for round in 0..20 {
        send(&log, 1, round, &["good"]);
        send(&log, 2, round, &["bad"]);
        end(&log, 2, Marker::Abort);
        end(&log, 1, Marker::Commit);
    }
    let whole = log.read(0, 1, true, Isolation::ReadCommitted).unwrap();
    assert!(whole.aborted.is_empty(), "the first batch overlaps none");
    let bad = log.read(1, 1, true, Isolation::ReadCommitted).unwrap();
    assert_eq!(bad.aborted, [AbortedTransaction { producer_id: 2, first_offset: 1 }]);
    assert!(log.read(1, 1, true, Isolation::ReadUncommitted).unwrap().aborted.is_empty());
    assert_eq!(committed(&log), vec!["good"; 20]);
    assert_eq!(all(&log).len(), 40);
}

#[test]
fn last_stable_offset_and_aborted_index_survive_every_kind_of_restart() {
    let place = Place::new(small_segments());
    let log = place.open();
    for round in 0..10 {
        send(&log, 1, round, &["bad"]);
        send(&log, 2, round, &["good"]);
        end(&log, 1, Marker::Abort);
        end(&log, 2, Marker::Commit);
    }
    send(&log, 3, 0, &["open"]);
    append(&log, Batch::of(&["behind"]));
    let (offsets, seen) = (log.offsets(), committed(&log));
    assert_eq!(offsets.last_stable, 40);
    let check = |log: &Log| {
        assert_eq!((log.offsets(), committed(log)), (offsets, seen.clone()));
        assert_eq!(log.open_transaction(3).map(|open| open.first_offset), Some(40));
    };
    drop(log);
    let log = place.open_clean();
    check(&log);
    log.close().unwrap();
    drop(log);
    check(&place.open_clean());
    place.files("txnindex").iter().for_each(|path| std::fs::remove_file(path).unwrap());
    let (log, recovery) = place.recover();
    assert!(!recovery.notes.is_empty());
    check(&log);
    drop(log);
    check(&place.open_clean());
}

#[test]
fn a_marker_of_a_higher_epoch_fences_the_producer() {
    let place = Place::new(LogConfig::default());
    let log = place.open();
    send(&log, 1, 0, &["a"]);
    log.append_marker(1, 1, 4, Marker::Abort, NOW).unwrap();
    let old = Batch::of(&["b"]).by_producer(1, 0, 1).in_transaction().encode();
    assert!(matches!(log.append(&old, NOW), Err(AppendError::InvalidProducerEpoch { current: 1, .. })));
    let marker = log.append_marker(1, 0, 4, Marker::Commit, NOW);
    assert!(matches!(marker, Err(AppendError::InvalidProducerEpoch { .. })));
    let marker = log.append_marker(1, 1, 3, Marker::Commit, NOW);
    assert!(matches!(marker, Err(AppendError::TransactionCoordinatorFenced { current: 4, .. })));
    append(&log, Batch::of(&["b"]).by_producer(1, 1, 0).in_transaction());
    let known = log.producers();
    assert_eq!((known[0].epoch, known[0].coordinator_epoch, known[0].transaction_start), (1, 4, Some(2)));
}

#[test]
fn a_plain_batch_inside_an_open_transaction_is_refused() {
    let place = Place::new(LogConfig::default());
    let log = place.open();
    send(&log, 1, 0, &["a"]);
    let plain = Batch::of(&["b"]).by_producer(1, 0, 1).encode();
    assert!(matches!(log.append(&plain, NOW), Err(AppendError::InvalidTxnState { producer_id: 1 })));
}

#[test]
fn a_marker_is_the_control_batch_that_kafka_writes() {
    let place = Place::new(LogConfig::default());
    let log = place.open();
    send(&log, 9, 0, &["a"]);
    end(&log, 9, Marker::Commit);
    let mut bytes = log.read(1, 1000, true, Isolation::ReadUncommitted).unwrap().records;
    let header = batch::BatchHeader::parse(&bytes).unwrap();
    assert_eq!((header.attributes, header.base_sequence, header.record_count), (0x30, -1, 1));
    assert!(header.crc_holds(&bytes));
    let sets = RecordBatchDecoder::decode_all(&mut bytes).unwrap();
    let record = &sets[0].records[0];
    assert_eq!(record.key.as_deref(), Some(&[0, 0, 0, 1][..]));
    assert_eq!(record.value.as_deref(), Some(&[0, 0, 0, 0, 0, 0][..]));
}
