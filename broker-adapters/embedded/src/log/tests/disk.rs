//! A disk without room.

use super::*;

#[test]
fn a_full_disk_damages_nothing_and_writes_go_on_when_there_is_room() {
    let place = Place::new(LogConfig::default());
    let log = place.open();
    append(&log, Batch::of(&["a"]).by_producer(1, 0, 0).in_transaction());
    let (size, before) = (log.size(), log.offsets());
    let batch = Batch::of(&["b", "c"]).by_producer(1, 0, 1).in_transaction();
    for room in [0, 1, 60, 61, 70] {
        log.disk.set_room(Some(room));
        assert!(matches!(log.append(&batch.encode(), NOW), Err(AppendError::Storage(_))));
        assert!(matches!(log.append_marker(1, 0, 0, Marker::Abort, NOW), Err(AppendError::Storage(_))));
        assert_eq!((log.size(), log.offsets()), (size, before));
        assert_eq!(place.files("log")[0].metadata().unwrap().len(), size);
        assert_eq!(all(&log), ["a"]);
    }
    assert_eq!(place.copy().open_clean().offsets(), before);
    log.disk.set_room(None);
    assert_eq!(append(&log, batch).base_offset, 1);
    log.append_marker(1, 0, 0, Marker::Commit, NOW).unwrap();
    drop(log);
    let log = place.open_clean();
    assert_eq!(values(&log, 0, Isolation::ReadCommitted), ["a", "b", "c"]);
}

#[test]
fn a_flush_covers_closed_segments_too_and_may_be_repeated() {
    let place = Place::new(small_segments());
    let log = place.open();
    for _ in 0..30 {
        append(&log, Batch::of(&["a"]));
    }
    assert!(!log.writer().unflushed.is_empty());
    log.flush().unwrap();
    assert!(log.writer().unflushed.is_empty() && !log.writer().dirty);
    log.flush().unwrap();
    log.close().unwrap();
    log.close().unwrap();
    append(&log, Batch::of(&["b"]));
    log.close().unwrap();
    drop(log);
    assert_eq!(place.open_clean().offsets().end, 31);
}
