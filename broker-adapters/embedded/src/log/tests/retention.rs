//! Retention by age and size, deletion by request, and offsets that never go back.

use super::*;

fn filled(config: LogConfig, batches: i64) -> (Place, Log) {
    let place = Place::new(config);
    let log = place.open();
    for n in 0..batches {
        append(&log, Batch::new().with(None, Some(&format!("{n}")), NOW + n));
    }
    (place, log)
}

#[test]
fn old_segments_go_and_the_rest_is_served() {
    let (place, log) = filled(LogConfig { retention_ms: Some(1000), ..small_segments() }, 100);
    assert_eq!(log.maintain(NOW + 1000).unwrap().deleted_segments, 0);
    let done = log.maintain(NOW + 1050).unwrap();
    assert!(done.deleted_segments > 2 && done.deleted_bytes > 0);
    let start = log.offsets().start;
    assert!(start > 20 && start <= 50, "{start}");
    assert_eq!(all(&log).len(), 100 - start as usize);
    assert!(matches!(log.read(0, 100, true, Isolation::ReadUncommitted), Err(ReadError::OffsetOutOfRange(_))));
    drop(log);
    assert_eq!(place.open_clean().offsets(), LogOffsets { start, end: 100, last_stable: 100 });
}

#[test]
fn the_log_shrinks_to_its_size_and_no_further() {
    let (_place, log) = filled(LogConfig { retention_bytes: Some(3000), retention_ms: None, ..small_segments() }, 100);
    log.maintain(NOW).unwrap();
    let size = log.size();
    assert!((3000..4000).contains(&size), "{size}");
    assert_eq!(log.maintain(NOW).unwrap(), Maintained::default());
}

#[test]
fn the_end_never_goes_back_when_everything_has_gone() {
    let (place, log) = filled(LogConfig { retention_ms: Some(1), ..small_segments() }, 30);
    append(&log, Batch::of(&["x"]).by_producer(8, 2, 5));
    log.maintain(NOW + 1000).unwrap();
    let empty = LogOffsets { start: 31, end: 31, last_stable: 31 };
    assert_eq!((log.offsets(), log.size(), place.files("log").len()), (empty, 0, 1));
    drop(log);
    let log = place.open_clean();
    assert_eq!(log.offsets(), empty);
    assert!(append(&log, Batch::of(&["x"]).by_producer(8, 2, 5)).duplicate);
    log.close().unwrap();
    drop(log);
    let log = place.open_clean();
    assert_eq!(log.offsets(), empty);
    assert_eq!(append(&log, Batch::of(&["next"])).base_offset, 31);
}

#[test]
fn deleted_records_stay_deleted() {
    let (place, log) = filled(small_segments(), 50);
    assert_eq!(log.delete_before(33).unwrap(), 33);
    assert_eq!(log.delete_before(7).unwrap(), 33);
    assert!(matches!(log.delete_before(51), Err(DeleteError::OffsetOutOfRange(_))));
    assert!(matches!(log.delete_before(-1), Err(DeleteError::OffsetOutOfRange(_))));
    assert_eq!(all(&log)[0], "33");
    drop(log);
    let log = place.open_clean();
    assert_eq!(log.offsets().start, 33);
    log.delete_before(50).unwrap();
    assert_eq!((log.size(), log.offsets().start, log.offsets().end), (0, 50, 50));
    drop(log);
    assert_eq!(place.open_clean().offsets(), LogOffsets { start: 50, end: 50, last_stable: 50 });
}

#[test]
fn a_crash_between_the_log_start_and_the_removal_brings_nothing_back() {
    let (place, log) = filled(small_segments(), 50);
    log.raise_log_start(33).unwrap();
    drop(log);
    let log = place.open_clean();
    assert_eq!(log.offsets().start, 33);
    assert!(log.maintain(NOW).unwrap().deleted_segments > 1);
    assert_eq!(all(&log).len(), 17);
}

#[test]
fn a_reader_goes_on_with_what_it_holds_while_segments_go() {
    let (_place, log) = filled(small_segments(), 50);
    let view = log.segments();
    log.delete_before(50).unwrap();
    assert_eq!(view.len(), 4);
    assert_eq!(view[0].read_at(0, 61).unwrap().len(), 61);
}

#[test]
fn a_segment_is_closed_when_its_time_is_up() {
    let (place, log) = filled(LogConfig { segment_ms: 500, retention_ms: None, ..LogConfig::default() }, 3);
    assert!(!log.maintain(NOW + 500).unwrap().rolled);
    assert!(log.maintain(NOW + 501).unwrap().rolled);
    assert!(!log.maintain(NOW + 5000).unwrap().rolled);
    assert_eq!(place.files("log").len(), 2);
    log.append(&Batch::of(&["a"]).encode(), NOW + 6000).unwrap();
    log.append(&Batch::of(&["b"]).encode(), NOW + 7000).unwrap();
    assert_eq!(place.files("log").len(), 3);
    assert_eq!(all(&log).len(), 5);
}

#[test]
fn an_open_transaction_whose_records_were_deleted_holds_readers_at_the_log_start() {
    let place = Place::new(LogConfig::default());
    let log = place.open();
    append(&log, Batch::of(&["a"]).by_producer(1, 0, 0).in_transaction());
    append(&log, Batch::of(&["b"]));
    log.delete_before(1).unwrap();
    assert_eq!(log.offsets(), LogOffsets { start: 1, end: 2, last_stable: 1 });
    log.append_marker(1, 0, 0, Marker::Commit, NOW).unwrap();
    assert_eq!(log.offsets().last_stable, 3);
}
