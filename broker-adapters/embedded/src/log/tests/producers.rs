//! Idempotent producers: duplicates, gaps, epochs, and their memory across restarts.

use super::*;

fn send(log: &Log, id: i64, epoch: i16, sequence: i32, records: usize) -> Result<Appended, AppendError> {
    log.append(&Batch::count(records).by_producer(id, epoch, sequence).encode(), NOW)
}

#[test]
fn a_retry_of_one_of_the_last_five_batches_gets_its_first_offset() {
    let place = Place::new(LogConfig::default());
    let log = place.open();
    for n in 0..6 {
        assert_eq!(send(&log, 7, 0, n * 2, 2).unwrap().base_offset, i64::from(n) * 2);
    }
    for n in 1..6 {
        let again = send(&log, 7, 0, n * 2, 2).unwrap();
        assert!(again.duplicate);
        assert_eq!((again.base_offset, again.last_offset), (i64::from(n) * 2, i64::from(n) * 2 + 1));
    }
    let expected = AppendError::OutOfOrderSequence { producer_id: 7, got: 0, expected: 12 };
    assert_eq!(send(&log, 7, 0, 0, 2).unwrap_err().to_string(), expected.to_string());
    assert_eq!(log.offsets().end, 12);
}

#[test]
fn gaps_and_old_epochs_are_refused_and_a_new_epoch_begins_at_zero() {
    let place = Place::new(LogConfig::default());
    let log = place.open();
    // Nothing is known of the producer, as after its expiry: any sequence will do.
    send(&log, 1, 3, 40, 2).unwrap();
    assert!(matches!(send(&log, 1, 3, 43, 1), Err(AppendError::OutOfOrderSequence { expected: 42, .. })));
    assert!(matches!(send(&log, 1, 2, 42, 1), Err(AppendError::InvalidProducerEpoch { current: 3, .. })));
    assert!(matches!(send(&log, 1, 4, 42, 1), Err(AppendError::OutOfOrderSequence { expected: 0, .. })));
    send(&log, 1, 4, 0, 1).unwrap();
    assert!(matches!(send(&log, 1, 3, 42, 1), Err(AppendError::InvalidProducerEpoch { current: 4, .. })));
}

#[test]
fn sequences_wrap_from_the_greatest_to_zero() {
    let place = Place::new(LogConfig::default());
    let log = place.open();
    send(&log, 1, 0, i32::MAX - 1, 1).unwrap();
    let mut wrapping = Batch::count(3).by_producer(1, 0, 0).encode();
    wrapping[53..57].copy_from_slice(&i32::MAX.to_be_bytes());
    reseal(&mut wrapping);
    log.append(&wrapping, NOW).unwrap();
    assert!(log.append(&wrapping, NOW).unwrap().duplicate);
    send(&log, 1, 0, 2, 1).unwrap();
}

#[test]
fn several_batches_of_one_producer_in_one_append_follow_each_other() {
    let place = Place::new(LogConfig::default());
    let log = place.open();
    let two = |first, second| {
        let mut bytes = Batch::count(2).by_producer(5, 0, first).encode();
        bytes.extend(Batch::count(2).by_producer(5, 0, second).encode());
        bytes
    };
    assert!(matches!(log.append(&two(0, 3), NOW), Err(AppendError::OutOfOrderSequence { .. })));
    assert_eq!(log.offsets().end, 0);
    assert_eq!(log.append(&two(0, 2), NOW).unwrap().last_offset, 3);
}

#[test]
fn producers_are_remembered_across_every_kind_of_restart() {
    let place = Place::new(small_segments());
    let log = place.open();
    for n in 0..30 {
        send(&log, n % 3, 1, (n / 3) as i32, 1).unwrap();
    }
    let known = log.producers();
    assert_eq!(known.len(), 3);
    assert!(place.files("log").len() > 2);
    drop(log);
    // A crash: nothing was closed.
    let log = place.open_clean();
    assert_eq!(log.producers(), known);
    assert!(send(&log, 2, 1, 9, 1).unwrap().duplicate);
    log.close().unwrap();
    drop(log);
    let log = place.open_clean();
    assert_eq!(log.producers(), known);
    assert!(send(&log, 1, 1, 6, 1).unwrap().duplicate);
    drop(log);
    // Without any snapshot, from the batches alone.
    place.files("snapshot").iter().for_each(|path| std::fs::remove_file(path).unwrap());
    assert_eq!(place.open().producers(), known);
}

#[test]
fn a_damaged_snapshot_is_made_good_from_the_batches() {
    let place = Place::new(LogConfig::default());
    let log = place.open();
    for n in 0..10 {
        send(&log, 4, 0, n, 1).unwrap();
    }
    log.close().unwrap();
    let known = log.producers();
    drop(log);
    flip(place.files("snapshot").last().unwrap(), 40);
    let (log, recovery) = place.recover();
    assert_eq!(recovery.notes.len(), 1, "{:?}", recovery.notes);
    assert_eq!(log.producers(), known);
    assert_eq!(log.offsets().end, 10);
}

#[test]
fn silent_producers_are_forgotten_unless_a_transaction_is_open() {
    let place = Place::new(LogConfig { producer_expiry_ms: 1000, ..LogConfig::default() });
    let log = place.open();
    send(&log, 1, 0, 0, 1).unwrap();
    append(&log, Batch::count(1).by_producer(2, 0, 0).in_transaction());
    assert_eq!(log.maintain(NOW + 999).unwrap().expired_producers, 0);
    assert_eq!(log.maintain(NOW + 1000).unwrap().expired_producers, 1);
    log.close().unwrap();
    drop(log);
    let ids: Vec<i64> = place.open_clean().producers().iter().map(|producer| producer.id).collect();
    assert_eq!(ids, [2]);
}

#[test]
fn one_passing_snapshot_is_kept_and_no_more() {
    let place = Place::new(LogConfig::default());
    let log = place.open();
    for n in 0..5 {
        send(&log, 1, 0, n, 1).unwrap();
        log.close().unwrap();
    }
    assert_eq!(place.files("snapshot").len(), 1);
    let old = place.files("snapshot")[0].with_file_name("00000000000000000003.snapshot");
    std::fs::copy(&place.files("snapshot")[0], &old).unwrap();
    drop(log);
    place.open_clean();
    assert_eq!(place.files("snapshot").len(), 1);
}
