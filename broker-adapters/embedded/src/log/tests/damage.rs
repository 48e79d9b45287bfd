//! Random damage to any file: the log opens, says so, reads come to an end, and appends go on.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Damage {
    Flip { file: u16, at: u16, bit: u8 },
    Cut { file: u16, at: u16 },
    Remove { file: u16 },
    Fill { file: u16, at: u16, byte: u8 },
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        6 => (any::<u16>(), any::<u16>(), 0..8u8).prop_map(|(file, at, bit)| Damage::Flip { file, at, bit }),
        2 => (any::<u16>(), any::<u16>()).prop_map(|(file, at)| Damage::Cut { file, at }),
        1 => any::<u16>().prop_map(|file| Damage::Remove { file }),
        2 => (any::<u16>(), any::<u16>(), any::<u8>()).prop_map(|(file, at, byte)| Damage::Fill { file, at, byte }),
    ]
}

fn apply(place: &Place, damage: &Damage) {
    let mut files: Vec<PathBuf> = std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (Damage::Flip { file, .. } | Damage::Cut { file, .. } | Damage::Remove { file } | Damage::Fill { file, .. }) =
        damage;
    if files.is_empty() {
        return;
    }
    let path = &files[usize::from(*file) % files.len()];
    let mut bytes = std::fs::read(path).unwrap();
    let place_of = |at: u16| usize::from(at) % bytes.len().max(1);
    match *damage {
        Damage::Remove { .. } => return std::fs::remove_file(path).unwrap(),
        _ if bytes.is_empty() => return,
        Damage::Flip { at, bit, .. } => {
            let at = place_of(at);
            bytes[at] ^= 1 << bit;
        }
        Damage::Cut { at, .. } => bytes.truncate(place_of(at)),
        Damage::Fill { at, byte, .. } => {
            let at = place_of(at);
            let end = bytes.len().min(at + 40);
            bytes[at..end].fill(byte);
        }
    }
    std::fs::write(path, bytes).unwrap();
}

/// Reads everything that can be read.
fn read_through(log: &Log) -> Result<(), TestCaseError> {
    let offsets = log.offsets();
    let mut from = offsets.start;
    while from < offsets.end {
        match log.read(from, 500, true, Isolation::ReadUncommitted) {
            Ok(read) => {
                let Some(header) = batch::BatchHeader::parse(&read.records) else { break };
                prop_assert!(header.last_offset() >= from && header.crc_holds(&read.records[..header.size as usize]));
                from = header.next_offset();
            }
            Err(ReadError::Corrupt { next_offset, .. }) => {
                prop_assert!(next_offset > from);
                from = next_offset;
            }
            Err(error) => prop_assert!(false, "{error}"),
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_damage_keeps_a_log_from_being_used(damages in prop::collection::vec(damage(), 1..6), close: bool) {
        let place = Place::new(LogConfig {
            cleanup: Cleanup::CompactAndDelete,
            min_cleanable_dirty_ratio: 0.0,
            ..small_segments()
        });
        let log = place.open();
        for n in 0..40 {
            let batch = Batch::new().with(Some(&format!("key {}", n % 9)), Some("value"), NOW + i64::from(n));
            append(&log, batch.by_producer(i64::from(n % 2), 0, n / 2).in_transaction());
            if n % 8 > 5 {
                log.append_marker(i64::from(n % 2), 0, 0, Marker::Abort, NOW).unwrap();
            }
        }
        log.delete_before(5).unwrap();
        if close {
            log.close().unwrap();
        }
        drop(log);
        damages.iter().for_each(|damage| apply(&place, damage));
        let verified = verify(place.path()).unwrap();
        let (log, _) = place.recover();
        read_through(&log)?;
        let offsets = log.offsets();
        prop_assert!(offsets.start <= offsets.end && offsets.last_stable <= offsets.end);
        let _ = log.offset_for_timestamp(NOW + 20, Isolation::ReadCommitted);
        let _ = log.max_timestamp();
        let _ = log.available_bytes(offsets.start, Isolation::ReadCommitted);
        let _ = log.compact(NOW);
        prop_assert_eq!(append(&log, Batch::count(2)).base_offset, offsets.end);
        log.maintain(NOW).unwrap();
        read_through(&log)?;
        log.close().unwrap();
        drop(log);
        let again = place.recover().0;
        prop_assert_eq!(again.offsets().end, offsets.end + 2, "problems: {:?}", verified.problems);
    }
}
