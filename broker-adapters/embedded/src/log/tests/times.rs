//! Offsets by time.

use super::*;

#[test]
fn the_first_record_at_or_behind_a_time_is_found_in_every_segment() {
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        let place = Place::new(small_segments());
        let log = place.open();
        for n in 0..50 {
            let at = NOW + n * 10;
            let batch = Batch::new().with(None, Some("a"), at).with(None, Some("b"), at + 5);
            append(&log, batch.compressed(compression));
        }
        let check = |log: &Log| {
            for n in 0..50 {
                let find = |time| log.offset_for_timestamp(time, Isolation::ReadUncommitted).unwrap();
                assert_eq!(find(NOW + n * 10), Some((n * 2, NOW + n * 10)));
                assert_eq!(find(NOW + n * 10 + 1), Some((n * 2 + 1, NOW + n * 10 + 5)));
            }
            assert_eq!(log.offset_for_timestamp(NOW + 496, Isolation::ReadUncommitted).unwrap(), None);
            assert_eq!(log.offset_for_timestamp(0, Isolation::ReadUncommitted).unwrap(), Some((0, NOW)));
            assert_eq!(log.max_timestamp().unwrap(), Some((99, NOW + 495)));
        };
        check(&log);
        drop(log);
        let log = place.open_clean();
        check(&log);
        log.close().unwrap();
        drop(log);
        check(&place.open_clean());
    }
}

#[test]
fn times_that_do_not_rise_are_searched_in_offset_order() {
    let place = Place::new(small_segments());
    let log = place.open();
    for at in [50, 10, 40, 90, 20, 90, 30] {
        for _ in 0..4 {
            append(&log, Batch::new().with(None, Some("v"), NOW + at));
        }
    }
    let find = |time| log.offset_for_timestamp(NOW + time, Isolation::ReadUncommitted).unwrap();
    assert_eq!(find(60), Some((12, NOW + 90)));
    assert_eq!(find(45), Some((0, NOW + 50)));
    assert_eq!(log.max_timestamp().unwrap(), Some((12, NOW + 90)));
    log.delete_before(13).unwrap();
    let find = |time| log.offset_for_timestamp(NOW + time, Isolation::ReadUncommitted).unwrap();
    assert_eq!(find(45), Some((13, NOW + 90)));
}

#[test]
fn deleted_records_of_a_batch_are_not_found_by_time() {
    let place = Place::new(LogConfig::default());
    let log = place.open();
    append(&log, Batch::new().with(None, Some("a"), NOW).with(None, Some("b"), NOW - 5));
    log.delete_before(1).unwrap();
    assert_eq!(log.offset_for_timestamp(0, Isolation::ReadUncommitted).unwrap(), Some((1, NOW - 5)));
    assert_eq!(log.offset_for_timestamp(NOW - 4, Isolation::ReadUncommitted).unwrap(), None);
}

#[test]
fn a_time_beyond_the_last_stable_offset_is_not_for_committed_readers() {
    let place = Place::new(LogConfig::default());
    let log = place.open();
    append(&log, Batch::new().with(None, Some("a"), NOW));
    append(&log, Batch::new().with(None, Some("b"), NOW + 1).by_producer(1, 0, 0).in_transaction());
    assert_eq!(log.offset_for_timestamp(NOW + 1, Isolation::ReadCommitted).unwrap(), None);
    assert_eq!(log.offset_for_timestamp(NOW + 1, Isolation::ReadUncommitted).unwrap(), Some((1, NOW + 1)));
    assert_eq!(Place::new(LogConfig::default()).open().max_timestamp().unwrap(), None);
}
