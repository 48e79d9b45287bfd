//! What may enter the log, and as what.

use super::*;

fn refused(config: LogConfig, bytes: &[u8]) -> AppendError {
    let place = Place::new(config);
    let log = place.open();
    let error = log.append(bytes, NOW).unwrap_err();
    assert_eq!(log.offsets().end, 0);
    assert_eq!(log.size(), 0);
    error
}

fn changed(change: impl Fn(&mut Vec<u8>)) -> AppendError {
    let mut bytes = Batch::of(&["a", "b"]).encode();
    change(&mut bytes);
    reseal(&mut bytes);
    refused(LogConfig::default(), &bytes)
}

#[test]
fn batches_are_stored_as_they_came_with_offset_and_epoch_set() {
    let place = Place::new(LogConfig::default());
    let log = place.open();
    append(&log, Batch::of(&["first"]));
    let sent = Batch::of(&["a", "b"]).encode();
    let appended = log.append(&sent, NOW).unwrap();
    assert_eq!((appended.base_offset, appended.last_offset, appended.log_append_time), (1, 2, -1));
    let stored = log.read(1, 10_000, true, Isolation::ReadUncommitted).unwrap().records;
    assert_eq!(stored[..8], 1i64.to_be_bytes());
    assert_eq!(stored[8..12], sent[8..12]);
    assert_eq!(stored[12..16], 0i32.to_be_bytes());
    assert_eq!(stored[16..], sent[16..]);
}

#[test]
fn several_batches_enter_together_or_not_at_all() {
    let place = Place::new(LogConfig::default());
    let log = place.open();
    let mut bytes = Batch::of(&["a"]).encode();
    bytes.extend(Batch::of(&["b", "c"]).encode());
    assert_eq!(log.append(&bytes, NOW).unwrap().last_offset, 2);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert!(matches!(log.append(&bytes, NOW), Err(AppendError::CorruptMessage(_))));
    assert_eq!(all(&log), ["a", "b", "c"]);
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let good = Batch::count(3).encode();
    let place = Place::new(LogConfig::default());
    let log = place.open();
    for at in 0..good.len() {
        assert!(log.append(&good[..at], NOW).is_err(), "cut at {at}");
        // The base offset and the leader epoch are the broker's, whatever the client says.
        if (0..8).contains(&at) || (12..16).contains(&at) {
            continue;
        }
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            assert!(log.append(&bad, NOW).is_err(), "bit {bit} of byte {at}");
        }
    }
    assert_eq!(log.offsets().end, 0);
}

#[test]
fn old_formats_control_bits_and_wrong_counts_are_named() {
    assert!(matches!(changed(|b| b[16] = 1), AppendError::UnsupportedForMessageFormat(1)));
    assert!(matches!(changed(|b| b[16] = 3), AppendError::CorruptMessage(_)));
    assert!(matches!(changed(|b| b[22] |= 0x20), AppendError::InvalidRecord(_)));
    assert!(matches!(changed(|b| b[22] |= 0x40), AppendError::InvalidRecord(_)));
    assert!(matches!(changed(|b| b[22] |= 0x07), AppendError::InvalidRecord(_)));
    assert!(matches!(changed(|b| b[60] = 3), AppendError::InvalidRecord(_)));
    assert!(matches!(changed(|b| (b[60], b[26]) = (3, 2)), AppendError::InvalidRecord(_)));
    assert!(matches!(changed(|b| b[22] |= 0x10), AppendError::InvalidRecord(_)));
    assert!(matches!(changed(|b| b.push(0)), AppendError::CorruptMessage(_)));
    assert!(matches!(refused(LogConfig::default(), &[]), AppendError::InvalidRecord(_)));
}

#[test]
fn a_batch_beyond_the_bound_is_too_large() {
    let config = LogConfig { max_message_bytes: 100, segment_bytes: 200, ..LogConfig::default() };
    let big = Batch::of(&["x".repeat(100).as_str()]).encode();
    assert!(matches!(refused(config.clone(), &big), AppendError::RecordTooLarge { max: 100, .. }));
    let mut many = Vec::new();
    (0..3).for_each(|_| many.extend(Batch::of(&["y"]).encode()));
    assert!(matches!(refused(config, &many), AppendError::RecordListTooLarge { max: 200, .. }));
}

#[test]
fn timestamps_must_lie_within_the_bounds() {
    let config = LogConfig { timestamp_before_max_ms: 1000, timestamp_after_max_ms: 10, ..LogConfig::default() };
    let at = |timestamp| Batch::new().with(None, Some("v"), timestamp).encode();
    for timestamp in [NOW - 1001, NOW + 11, i64::MIN, i64::MAX, -2] {
        assert!(matches!(refused(config.clone(), &at(timestamp)), AppendError::InvalidTimestamp { .. }));
    }
    let log = Place::new(config);
    let log = log.open();
    for timestamp in [NOW - 1000, NOW + 10, -1] {
        log.append(&at(timestamp), NOW).unwrap();
    }
}

#[test]
fn log_append_time_replaces_the_producers_clock() {
    let place = Place::new(LogConfig { timestamp_type: TimestampType::LogAppendTime, ..LogConfig::default() });
    let log = place.open();
    let sent = Batch::new().with(None, Some("v"), 5).encode();
    assert_eq!(log.append(&sent, NOW).unwrap().log_append_time, NOW);
    let mut stored = log.read(0, 1000, true, Isolation::ReadUncommitted).unwrap().records;
    let header = batch::BatchHeader::parse(&stored).unwrap();
    assert!(header.crc_holds(&stored) && header.is_log_append_time());
    assert_eq!((header.base_timestamp, header.max_timestamp), (5, NOW));
    let sets = RecordBatchDecoder::decode_all(&mut stored).unwrap();
    assert_eq!(sets[0].records[0].timestamp_type, RecordTime::LogAppend);
    drop(log);
    assert_eq!(place.open_clean().max_timestamp().unwrap(), Some((0, NOW)));
}

#[test]
fn a_compacted_log_takes_no_record_without_key() {
    let config = LogConfig { cleanup: Cleanup::Compact, ..LogConfig::default() };
    let mixed = Batch::new().with(Some("k"), Some("v"), NOW).with(None, Some("v"), NOW);
    let kinds = [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    for compression in kinds {
        let bytes = mixed.clone().compressed(compression).encode();
        assert!(matches!(refused(config.clone(), &bytes), AppendError::InvalidRecord(_)));
        let place = Place::new(config.clone());
        append(&place.open(), Batch::count(20).compressed(compression));
    }
}

#[test]
fn a_batch_that_unpacks_beyond_the_bound_is_refused() {
    let zeros = vec![0; 1 << 20];
    for code in 1..=4 {
        let packed = compression::pack(code, zeros.clone()).unwrap();
        assert_eq!(compression::unpack(code, &packed, zeros.len()).unwrap(), zeros);
        let error = compression::unpack(code, &packed, zeros.len() - 1).unwrap_err();
        assert_eq!(error, "decompresses to more than is allowed");
    }
}
