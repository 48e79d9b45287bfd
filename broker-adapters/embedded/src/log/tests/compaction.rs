//! Compaction: the latest of every key stays, whatever else goes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Compacts whenever there is something dirty.
fn eager() -> LogConfig {
    LogConfig {
        cleanup: Cleanup::Compact,
        min_cleanable_dirty_ratio: 0.0,
        delete_retention_ms: 1000,
        ..small_segments()
    }
}

/// Closes the active segment, so that all there is can be cleaned.
fn roll(log: &Log) {
    log.roll(&mut log.writer()).unwrap();
}

fn put(log: &Log, key: &str, value: Option<&str>) {
    append(log, Batch::new().with(Some(key), value, NOW));
}

fn latest(log: &Log, isolation: Isolation) -> BTreeMap<String, (i64, Option<String>, i64)> {
    let mut latest = BTreeMap::new();
    for (offset, key, value, timestamp) in records_from(log, log.offsets().start, isolation) {
        latest.insert(key.unwrap(), (offset, value, timestamp));
    }
    latest
}

#[test]
fn the_latest_record_of_every_key_stays_where_it_was() {
    for compression in [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd]
    {
        let place = Place::new(eager());
        let log = place.open();
        for n in 0..60 {
            let key = format!("key {}", n % 7);
            let batch = Batch::new()
                .with(Some(&key), Some(&format!("old {n}")), NOW + n)
                .with(Some(&format!("once {n}")), Some("kept"), NOW + n)
                .with(Some(&key), Some(&format!("value {n}")), NOW + n);
            append(&log, batch.compressed(compression));
        }
        let before = latest(&log, Isolation::ReadUncommitted);
        roll(&log);
        let done = log.compact(NOW).unwrap();
        assert!(done.ran && done.bytes_after < done.bytes_before);
        assert_eq!((done.records_before, done.records_after, done.clean_to), (180, 67, 180));
        let check = |log: &Log| {
            assert_eq!(latest(log, Isolation::ReadUncommitted), before);
            assert_eq!(records_from(log, 0, Isolation::ReadUncommitted).len(), 67);
            assert_eq!(log.offsets().end, 180);
            for offset in 0..180 {
                assert!(!log.read(offset, 1, true, Isolation::ReadUncommitted).unwrap().records.is_empty());
            }
        };
        check(&log);
        assert!(!log.compact(NOW).unwrap().ran, "all is clean");
        drop(log);
        let log = place.open_clean();
        check(&log);
        assert!(!log.compact(NOW).unwrap().ran, "still clean");
        assert_eq!(verify(place.path()).unwrap().problems, []);
    }
}

#[test]
fn tombstones_go_when_their_time_is_up_and_not_before() {
    let place = Place::new(eager());
    let log = place.open();
    put(&log, "a", Some("1"));
    put(&log, "b", Some("1"));
    append(&log, Batch::new().with(Some("a"), None, NOW - 5).with(Some("c"), Some("1"), NOW + 3));
    roll(&log);
    let clean_at = |now| {
        put(&log, "other", Some("1"));
        roll(&log);
        assert!(log.compact(now).unwrap().ran);
        latest(&log, Isolation::ReadUncommitted)
    };
    let first = clean_at(NOW);
    assert_eq!(first["a"], (2, None, NOW - 5));
    assert_eq!(first["c"], (3, Some("1".into()), NOW + 3));
    let bytes = log.read(2, 1, true, Isolation::ReadUncommitted).unwrap().records;
    assert_eq!(batch::BatchHeader::parse(&bytes).unwrap().delete_horizon(), Some(NOW + 1000));
    assert_eq!(clean_at(NOW + 999)["a"].1, None);
    let last = clean_at(NOW + 1000);
    assert!(!last.contains_key("a"));
    assert_eq!(last["c"], (3, Some("1".into()), NOW + 3));
    assert!(last.contains_key("b"));
}

#[test]
fn the_active_segment_and_open_transactions_are_left_alone() {
    let place = Place::new(eager());
    let log = place.open();
    put(&log, "a", Some("1"));
    put(&log, "a", Some("2"));
    assert!(!log.compact(NOW).unwrap().ran, "all of it is active");
    append(&log, Batch::new().with(Some("a"), Some("3"), NOW).by_producer(1, 0, 0).in_transaction());
    put(&log, "a", Some("4"));
    roll(&log);
    assert_eq!(log.compact(NOW).unwrap().clean_to, 2);
    assert_eq!(all(&log), ["2", "3", "4"]);
    log.append_marker(1, 0, 0, Marker::Commit, NOW).unwrap();
    roll(&log);
    log.compact(NOW).unwrap();
    // The batch of "3" is the producer's last one: it stays without its record.
    assert_eq!(all(&log), ["4"]);
    assert!(log.read(2, 1, true, Isolation::ReadUncommitted).unwrap().records.len() == 61);
}

#[test]
fn aborted_records_go_and_markers_as_long_as_they_are_needed_stay() {
    let place = Place::new(eager());
    let log = place.open();
    put(&log, "a", Some("good"));
    for sequence in 0..2 {
        append(&log, Batch::new().with(Some("a"), Some("bad"), NOW).by_producer(1, 0, sequence).in_transaction());
        log.append_marker(1, 0, 0, Marker::Abort, NOW).unwrap();
    }
    append(&log, Batch::new().with(Some("a"), Some("bad"), NOW).by_producer(1, 0, 2));
    append(&log, Batch::new().with(Some("a"), Some("good"), NOW));
    roll(&log);
    let markers = |log: &Log| {
        let bytes = log.read(0, 100_000, true, Isolation::ReadUncommitted).unwrap().records;
        let infos = RecordBatchDecoder::decode_batch_info(&mut bytes.clone()).unwrap();
        infos.iter().filter(|info| info.control).count()
    };
    log.compact(NOW).unwrap();
    assert_eq!(all(&log), ["good"]);
    assert_eq!(markers(&log), 2);
    let again = |now| {
        put(&log, "other", Some("good"));
        roll(&log);
        log.compact(now).unwrap();
    };
    // Now no batch of theirs is met, and their time begins to run.
    again(NOW);
    assert_eq!(markers(&log), 2);
    again(NOW + 999);
    assert_eq!(markers(&log), 2);
    again(NOW + 1000);
    assert_eq!(markers(&log), 0);
    drop(log);
    let log = place.open_clean();
    assert_eq!(values(&log, 0, Isolation::ReadCommitted), ["good", "good"]);
}

#[test]
fn producers_and_their_duplicates_are_known_after_compaction() {
    let place = Place::new(eager());
    let log = place.open();
    for n in 0..20 {
        append(&log, Batch::new().with(Some("same"), Some("v"), NOW).by_producer(n % 2, 0, (n / 2) as i32));
    }
    put(&log, "same", Some("last"));
    roll(&log);
    let known = log.producers();
    log.compact(NOW).unwrap();
    assert_eq!(all(&log), ["last"]);
    drop(log);
    let log = place.open_clean();
    assert_eq!(log.producers(), known);
    drop(log);
    place.files("snapshot").iter().for_each(|path| std::fs::remove_file(path).unwrap());
    let log = place.open();
    assert_eq!(log.producers(), known);
    let retry = Batch::new().with(Some("same"), Some("v"), NOW).by_producer(1, 0, 9);
    assert!(append(&log, retry).duplicate);
    assert_eq!(log.offsets().end, 21);
}

#[test]
fn few_bytes_for_keys_mean_several_passes() {
    let place = Place::new(eager());
    let log = place.open();
    for n in 0..200 {
        put(&log, &format!("key {}", n % 50), Some(&n.to_string()));
    }
    roll(&log);
    let before = latest(&log, Isolation::ReadUncommitted);
    let mut passes = 0;
    while log.compact_within(NOW, 500).unwrap().ran {
        passes += 1;
        assert_eq!(latest(&log, Isolation::ReadUncommitted), before);
        assert!(passes < 100);
    }
    assert!(passes > 5, "{passes}");
    // Kept are the latest of each pass, and the last pass saw few keys only.
    assert!(all(&log).len() <= 50 + 8);
}

#[test]
fn ratio_and_lags_decide_when_a_log_is_cleaned() {
    let lags = LogConfig {
        min_cleanable_dirty_ratio: 0.6,
        max_compaction_lag_ms: 10_000,
        min_compaction_lag_ms: 100,
        ..eager()
    };
    let place = Place::new(lags);
    let log = place.open();
    put(&log, "a", Some("1"));
    put(&log, "a", Some("2"));
    roll(&log);
    assert!(!log.compact(NOW + 99).unwrap().ran, "too young");
    assert!(log.compact(NOW + 100).unwrap().ran);
    put(&log, "a", Some("3"));
    roll(&log);
    assert!(!log.compact(NOW + 200).unwrap().ran, "not dirty enough");
    assert!(log.compact(NOW + 10_001).unwrap().ran, "waited too long");
    assert_eq!(all(&log), ["3"]);
    let log = Place::new(small_segments());
    assert!(!log.open().compact(NOW).unwrap().ran, "not compacted at all");
}

#[test]
fn readers_are_not_disturbed_and_segments_become_fewer() {
    let place = Place::new(eager());
    let log = place.open();
    (0..100).for_each(|n| put(&log, "same", Some(&n.to_string())));
    roll(&log);
    let (view, before) = (log.segments(), place.files("log").len());
    log.compact(NOW).unwrap();
    let mut bytes = Bytes::from(view[1].read_at(0, 100_000).unwrap());
    assert!(RecordBatchDecoder::decode_all(&mut bytes).unwrap().len() > 5);
    assert_eq!(all(&log), ["99"]);
    // Segments are joined by the size that they had, so it shows at the next pass.
    put(&log, "same", Some("100"));
    roll(&log);
    log.compact(NOW).unwrap();
    assert!(before > 6 && place.files("log").len() == 2);
    assert_eq!(all(&log), ["100"]);
}

#[test]
fn an_interrupted_swap_is_finished_at_the_next_opening() {
    let place = Place::new(eager());
    let log = place.open();
    (0..60).for_each(|n| put(&log, &format!("key {}", n % 5), Some(&n.to_string())));
    roll(&log);
    log.close().unwrap();
    let uncleaned = place.copy();
    log.compact(NOW).unwrap();
    drop(log);
    let cleaned = place.open_clean();
    let expected = records_from(&cleaned, 0, Isolation::ReadUncommitted);
    let segments: Vec<(i64, i64)> = {
        let segments = cleaned.segments();
        segments.iter().zip(segments.iter().skip(1)).map(|(segment, next)| (segment.base, next.base)).collect()
    };
    // After the rename that counts: some of the old files are gone, the new one has not got its name.
    for gone in 0..uncleaned.files("log").len() {
        let crashed = uncleaned.copy();
        let mut old: Vec<PathBuf> = crashed.files("log");
        old.pop();
        for &(base, upper) in &segments {
            let swap = crashed.path().join(format!("{base:020}-{upper:020}.swap"));
            std::fs::copy(place.path().join(format!("{base:020}.log")), swap).unwrap();
        }
        let not_first = |path: &&PathBuf| segments.iter().all(|(base, _)| !path.ends_with(format!("{base:020}.log")));
        old.iter().filter(not_first).take(gone).for_each(|path| std::fs::remove_file(path).unwrap());
        let (log, recovery) = crashed.recover();
        assert!(recovery.notes.iter().any(|note| note.contains("was completed")));
        assert_eq!(records_from(&log, 0, Isolation::ReadUncommitted), expected);
        assert_eq!(log.offsets().end, 60);
        drop(log);
        crashed.open_clean();
    }
}

#[test]
fn what_cannot_be_decoded_stops_the_cleaning_and_harms_nothing() {
    let place = Place::new(LogConfig { cleanup: Cleanup::Delete, ..eager() });
    let log = place.open();
    let mut lying = Batch::count(3).compressed(Compression::Lz4).encode();
    let last = lying.len() - 9;
    lying[last] ^= 0xff;
    reseal(&mut lying);
    log.append(&lying, NOW).unwrap();
    put(&log, "a", Some("1"));
    roll(&log);
    log.set_config(eager());
    let error = log.compact(NOW).unwrap_err();
    assert!(matches!(error, LogError::Uncleanable { position: 0, .. }), "{error}");
    assert_eq!(log.read(0, 10_000, true, Isolation::ReadUncommitted).unwrap().records.len() as u64, log.size());
    drop(log);
    place.open_clean();
}

/// What a random producer does.
#[derive(Clone, Debug)]
enum Act {
    Put { key: u8, tombstone: bool, compression: u8 },
    InTransaction { producer: u8, key: u8, tombstone: bool },
    End { producer: u8, commit: bool },
    Roll,
    Compact { later: u16 },
    Reopen { close: bool },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..8u8, any::<bool>(), 0..5u8)
            .prop_map(|(key, tombstone, compression)| Act::Put { key, tombstone, compression }),
        6 => (0..3u8, 0..8u8, any::<bool>())
            .prop_map(|(producer, key, tombstone)| Act::InTransaction { producer, key, tombstone }),
        4 => (0..3u8, any::<bool>()).prop_map(|(producer, commit)| Act::End { producer, commit }),
        2 => Just(Act::Roll),
        2 => (0..800u16).prop_map(|later| Act::Compact { later }),
        1 => any::<bool>().prop_map(|close| Act::Reopen { close }),
    ]
}

/// The latest committed value of every key; a tombstone is as good as nothing.
fn standing(log: &Log) -> BTreeMap<String, String> {
    let latest = latest(log, Isolation::ReadCommitted);
    latest.into_iter().filter_map(|(key, (_, value, _))| value.map(|value| (key, value))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn compaction_never_changes_what_stands(acts in prop::collection::vec(act(), 1..120)) {
        let place = Place::new(eager());
        let mut log = place.open();
        let (mut sequences, mut now, mut count) = ([0; 3], NOW, 0);
        let kinds = [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
        for act in acts {
            count += 1;
            let (key, value) = (|key: u8| format!("key {key}"), format!("value {count}"));
            match act {
                Act::Put { key: k, tombstone, compression } => {
                    let value = (!tombstone).then_some(value.as_str());
                    let batch = Batch::new().with(Some(&key(k)), value, NOW).with(Some(&key(k / 2)), value, NOW + 1);
                    append(&log, batch.compressed(kinds[compression as usize]));
                }
                Act::InTransaction { producer, key: k, tombstone } => {
                    let value = (!tombstone).then_some(value.as_str());
                    let sequence = &mut sequences[producer as usize];
                    let batch = Batch::new().with(Some(&key(k)), value, NOW);
                    append(&log, batch.by_producer(producer.into(), 0, *sequence).in_transaction());
                    *sequence += 1;
                }
                Act::End { producer, commit } => {
                    let marker = if commit { Marker::Commit } else { Marker::Abort };
                    log.append_marker(producer.into(), 0, 0, marker, NOW).unwrap();
                }
                Act::Roll => roll(&log),
                Act::Compact { later } => {
                    now += i64::from(later);
                    let (before, offsets) = (standing(&log), log.offsets());
                    let producers = log.producers();
                    log.compact(now).unwrap();
                    prop_assert_eq!(standing(&log), before);
                    prop_assert_eq!(log.offsets(), offsets);
                    prop_assert_eq!(log.producers(), producers);
                    prop_assert_eq!(verify(place.path()).unwrap().problems, vec![]);
                }
                Act::Reopen { close } => {
                    let (before, offsets, producers) = (standing(&log), log.offsets(), log.producers());
                    if close {
                        log.close().unwrap();
                    }
                    drop(log);
                    log = place.open_clean();
                    prop_assert_eq!(standing(&log), before);
                    prop_assert_eq!(log.offsets(), offsets);
                    prop_assert_eq!(log.producers(), producers);
                }
            }
        }
    }
}
