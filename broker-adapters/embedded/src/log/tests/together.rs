//! Appends, reads, compaction, retention and flushes at once.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// Sets a flag when it goes, so that a failed thread does not keep the others going.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn readers_see_rising_offsets_while_the_log_is_compacted_and_cut() {
    const BATCHES: i64 = 1500;
    let config = LogConfig {
        cleanup: Cleanup::CompactAndDelete,
        min_cleanable_dirty_ratio: 0.0,
        retention_ms: None,
        retention_bytes: Some(20_000),
        ..small_segments()
    };
    let place = Place::new(config);
    let log = place.open();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _done = Done(&done);
            for n in 0..BATCHES {
                let (key, value) = (format!("key {}", n % 40), n.to_string());
                assert_eq!(append(&log, Batch::new().with(Some(&key), Some(&value), NOW)).base_offset, n);
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                let mut from = 0;
                while !done.load(Ordering::Acquire) || from < log.offsets().end {
                    match log.read(from, 500, true, Isolation::ReadCommitted) {
                        Ok(read) => {
                            let mut bytes = read.records;
                            for record in
                                RecordBatchDecoder::decode_all(&mut bytes).unwrap().iter().flat_map(|s| &s.records)
                            {
                                assert!(record.offset >= from);
                                assert_eq!(text(&record.value).unwrap(), record.offset.to_string());
                                from = record.offset + 1;
                            }
                        }
                        Err(ReadError::OffsetOutOfRange(offsets)) => {
                            assert!(offsets.start > from);
                            from = offsets.start;
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                log.compact(NOW).unwrap();
                log.flush().unwrap();
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                log.maintain(NOW).unwrap();
                log.delete_before((log.offsets().end - 300).max(0)).unwrap();
                std::thread::yield_now();
            }
        });
    });
    assert_eq!(log.offsets().end, BATCHES);
    let seen = all(&log);
    assert_eq!(seen.last().unwrap(), &(BATCHES - 1).to_string());
    drop(log);
    assert_eq!(all(&place.open_clean()), seen);
    assert_eq!(verify(place.path()).unwrap().problems, []);
}
