//! Indexes: missing, damaged or misleading ones cost time, never records.

use super::*;

fn filled() -> (Place, Vec<String>) {
    let place = Place::new(small_segments());
    let log = place.open();
    for n in 0..60 {
        append(&log, Batch::of(&[&format!("{n}")]).by_producer(1, 0, n));
    }
    log.close().unwrap();
    let expected = all(&log);
    (place, expected)
}

fn every_offset_is_found(log: &Log) {
    for offset in 0..60 {
        let read = log.read(offset, 1, true, Isolation::ReadUncommitted).unwrap();
        assert_eq!(batch::BatchHeader::parse(&read.records).unwrap().base_offset, offset);
    }
    assert_eq!(log.read(60, 1, true, Isolation::ReadUncommitted).unwrap().records.len(), 0);
}

#[test]
fn missing_and_cut_indexes_are_rebuilt() {
    let (place, expected) = filled();
    for extension in ["index", "timeindex", "txnindex"] {
        for place_in_order in 0..place.files("log").len() {
            let copy = place.copy();
            std::fs::remove_file(&copy.files(extension)[place_in_order]).unwrap();
            let (log, recovery) = copy.recover();
            let is_active = place_in_order + 1 == place.files("log").len();
            assert_eq!(recovery.notes.is_empty(), is_active, "{:?}", recovery.notes);
            assert_eq!(all(&log), expected);
            every_offset_is_found(&log);
            drop(log);
            copy.open_clean();
        }
    }
    let copy = place.copy();
    OpenOptions::new().write(true).open(&copy.files("index")[0]).unwrap().set_len(3).unwrap();
    OpenOptions::new().write(true).open(&copy.files("timeindex")[1]).unwrap().set_len(12).unwrap();
    let problems = verify(copy.path()).unwrap().problems;
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert_eq!(copy.recover().1.notes.len(), 2);
    assert_eq!(verify(copy.path()).unwrap().problems, []);
}

#[test]
fn an_index_that_points_astray_is_noticed_at_the_read() {
    let (place, expected) = filled();
    let size = place.files("index")[0].metadata().unwrap().len();
    assert!(size > 16);
    for position in 0..size {
        let copy = place.copy();
        flip(&copy.files("index")[0], position);
        let log = copy.open();
        assert_eq!(all(&log), expected, "byte {position}");
        every_offset_is_found(&log);
    }
}

#[test]
fn a_whole_log_verifies_with_nothing_to_say() {
    let (place, _) = filled();
    let verified = verify(place.path()).unwrap();
    assert_eq!((verified.batches, verified.records, verified.problems), (60, 60, vec![]));
    assert_eq!(verified.bytes, place.files("log").iter().map(|path| path.metadata().unwrap().len()).sum::<u64>());
}

#[test]
fn a_read_takes_whole_batches_within_its_bound() {
    let (place, _) = filled();
    let log = place.open_clean();
    let one = log.read(0, 1, true, Isolation::ReadUncommitted).unwrap().records.len();
    assert!(log.read(0, one - 1, false, Isolation::ReadUncommitted).unwrap().records.is_empty());
    assert_eq!(log.read(0, one, false, Isolation::ReadUncommitted).unwrap().records.len(), one);
    assert_eq!(log.read(0, one * 2 + 1, true, Isolation::ReadUncommitted).unwrap().records.len(), one * 2);
    let available = log.available_bytes(0, Isolation::ReadUncommitted);
    assert_eq!(available, log.size());
    assert_eq!(log.available_bytes(60, Isolation::ReadUncommitted), 0);
}

#[test]
fn a_batch_larger_than_every_window_is_read_whole() {
    let place = Place::new(LogConfig { max_message_bytes: 4 << 20, ..LogConfig::default() });
    let log = place.open();
    append(&log, Batch::of(&["small"]));
    let big = "x".repeat(3 << 20);
    append(&log, Batch::of(&[&big, "tail"]));
    append(&log, Batch::of(&["after"]));
    let check = |log: &Log| {
        for from in [1, 2] {
            let read = log.read(from, 10, true, Isolation::ReadUncommitted).unwrap();
            assert!(read.records.len() > big.len());
        }
        assert_eq!(values(log, 3, Isolation::ReadUncommitted), ["after"]);
        assert!(log.read(1, 1 << 20, false, Isolation::ReadUncommitted).unwrap().records.is_empty());
    };
    check(&log);
    drop(log);
    check(&place.open_clean());
}
