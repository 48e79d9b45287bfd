//! Crashes and damage: what is torn is cut, what is damaged is said, the rest is served.

use super::*;

fn filled(config: LogConfig, batches: usize) -> (Place, Log) {
    let place = Place::new(config);
    let log = place.open();
    for n in 0..batches {
        append(&log, Batch::of(&[&format!("{n} a"), &format!("{n} b")]));
    }
    (place, log)
}

#[test]
fn a_torn_tail_is_cut_at_a_batch_boundary() {
    let (place, log) = filled(LogConfig::default(), 3);
    let before = log.size();
    append(&log, Batch::of(&["last", "of all"]));
    let whole = log.size();
    drop(log);
    for cut in before..whole {
        let copy = place.copy();
        OpenOptions::new().write(true).open(&copy.files("log")[0]).unwrap().set_len(cut).unwrap();
        let (log, recovery) = copy.recover();
        assert_eq!(recovery.cut_bytes, cut - before);
        assert_eq!(recovery.notes.is_empty(), cut == before);
        assert_eq!((log.offsets().end, log.size()), (6, before));
        assert_eq!(append(&log, Batch::of(&["anew"])).base_offset, 6);
        assert_eq!(all(&log).last().unwrap(), "anew");
    }
}

#[test]
fn garbage_behind_the_last_batch_is_cut() {
    for garbage in [vec![0; 5000], vec![2; 5000], b"\0\0\0\0\0\0\0\x09\0\0\0\x40\0\0\0\0\x02".to_vec()] {
        let (place, log) = filled(LogConfig::default(), 3);
        let size = log.size();
        drop(log);
        let file = OpenOptions::new().write(true).open(&place.files("log")[0]).unwrap();
        file.write_all_at(&garbage, size).unwrap();
        let (log, recovery) = place.recover();
        assert_eq!((recovery.cut_bytes, log.offsets().end), (garbage.len() as u64, 6));
        drop(log);
        assert_eq!(place.open_clean().size(), size);
    }
}

#[test]
fn a_log_truncated_after_a_clean_stop_does_not_go_back() {
    let (place, log) = filled(LogConfig::default(), 10);
    log.close().unwrap();
    let size = log.size();
    drop(log);
    OpenOptions::new().write(true).open(&place.files("log")[0]).unwrap().set_len(size / 2 + 10).unwrap();
    let (log, recovery) = place.recover();
    assert_eq!(log.offsets().end, 20);
    assert!(recovery.cut_bytes > 0);
    assert!(recovery.notes.iter().any(|note| note.contains("are lost")), "{:?}", recovery.notes);
    assert_eq!(all(&log).len(), 10);
    assert_eq!(append(&log, Batch::of(&["next"])).base_offset, 20);
    assert_eq!(all(&log).last().unwrap(), "next");
    drop(log);
    assert_eq!(place.open_clean().offsets().end, 21);
}

#[test]
fn every_flipped_bit_is_noticed_and_costs_its_batch_only() {
    let (place, log) = filled(small_segments(), 40);
    log.close().unwrap();
    let expected = all(&log);
    drop(log);
    let segment = place.files("log")[1].clone();
    let base: usize = segment.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let size = segment.metadata().unwrap().len();
    let batch = batch::BatchHeader::parse(&std::fs::read(&segment).unwrap()).unwrap().size;
    // The leader epoch means nothing here, and no CRC covers it.
    let positions = (0..size).filter(|position| match position % batch {
        12..16 => false,
        place => place < 61 || place % 7 == 5,
    });
    for (position, bit) in positions.flat_map(|position| [(position, 0x10), (position, 0x02)]) {
        let copy = place.copy();
        flip_bit(&copy.files("log")[1], position, bit);
        let verified = verify(copy.path()).unwrap();
        assert!(!verified.problems.is_empty(), "byte {position}");
        assert_eq!(verified.problems[0].file, copy.files("log")[1], "byte {position}");
        let log = copy.open();
        let (mut seen, mut lost, mut from) = (0, 0, 0);
        while from < log.offsets().end {
            match log.read(from, 1, true, Isolation::ReadUncommitted) {
                Ok(read) => {
                    let header = batch::BatchHeader::parse(&read.records).unwrap();
                    let sets = RecordBatchDecoder::decode_all(&mut read.records.clone()).unwrap();
                    for record in sets.iter().flat_map(|set| &set.records) {
                        assert_eq!(
                            text(&record.value).as_ref(),
                            expected.get(record.offset as usize),
                            "byte {position}"
                        );
                        seen += 1;
                    }
                    from = header.next_offset();
                }
                Err(ReadError::Corrupt { next_offset, .. }) => {
                    assert!((base..).contains(&(from as usize)), "byte {position}");
                    lost += next_offset - from;
                    from = next_offset;
                }
                Err(error) => panic!("byte {position}: {error}"),
            }
        }
        assert!(seen + 2 >= expected.len(), "byte {position}: {seen} seen, {lost} lost");
    }
}

#[test]
fn damage_in_the_middle_of_the_last_segment_does_not_cost_what_follows() {
    let (place, log) = filled(LogConfig::default(), 10);
    let batch = log.size() / 10;
    drop(log);
    flip(&place.files("log")[0], batch * 4 + 70);
    let (log, recovery) = place.recover();
    assert_eq!((recovery.cut_bytes, recovery.notes.len()), (0, 1));
    assert_eq!(log.offsets().end, 20);
    let error = log.read(9, 1000, true, Isolation::ReadUncommitted).unwrap_err();
    assert!(matches!(error, ReadError::Corrupt { next_offset: 10, .. }), "{error}");
    assert_eq!(values(&log, 10, Isolation::ReadUncommitted).len(), 10);
    let before = log.read(0, 100_000, true, Isolation::ReadUncommitted).unwrap();
    assert_eq!(before.records.len() as u64, batch * 4);
}

#[test]
fn a_flipped_offset_in_the_last_batch_does_not_lead_the_log_astray() {
    let (place, log) = filled(LogConfig::default(), 10);
    let batch = log.size() / 10;
    drop(log);
    for byte in 0..8 {
        let copy = place.copy();
        flip(&copy.files("log")[0], batch * 9 + byte);
        assert_eq!(verify(copy.path()).unwrap().problems.len(), 1, "byte {byte}");
        let (log, recovery) = copy.recover();
        assert_eq!((log.offsets().end, recovery.cut_bytes), (18, batch), "byte {byte}");
        let copy = place.copy();
        flip(&copy.files("log")[0], batch * 4 + byte);
        let (log, recovery) = copy.recover();
        assert_eq!((log.offsets().end, recovery.notes.len()), (20, 1), "byte {byte}");
        let error = log.read(8, 1, true, Isolation::ReadUncommitted).unwrap_err();
        assert!(matches!(error, ReadError::Corrupt { next_offset: 10, .. }), "{error}");
    }
}

#[test]
fn a_missing_segment_is_said_and_stepped_over() {
    let (place, log) = filled(small_segments(), 40);
    let expected = all(&log);
    log.close().unwrap();
    drop(log);
    let files = place.files("log");
    let base = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().parse::<usize>().unwrap();
    let (from, to) = (base(&files[1]), base(&files[2]));
    std::fs::remove_file(&files[1]).unwrap();
    let (log, recovery) = place.recover();
    assert!(recovery.notes.iter().any(|note| note.contains(&format!("offsets {from} to {}", to - 1))));
    let read = log.read(from as i64, 1000, true, Isolation::ReadUncommitted).unwrap();
    assert_eq!(batch::BatchHeader::parse(&read.records).unwrap().base_offset, to as i64);
    let rest: Vec<String> = [&expected[..from], &expected[to..]].concat();
    assert_eq!(all(&log), rest);
    drop(log);
    assert!(verify(place.path()).unwrap().problems.iter().any(|problem| problem.what.contains("missing")));
    // The first and the last one, too.
    let copy = place.copy();
    std::fs::remove_file(&copy.files("log")[0]).unwrap();
    let (log, recovery) = copy.recover();
    assert!(recovery.notes[0].contains("missing"), "{:?}", recovery.notes);
    assert_eq!(log.offsets().start, to as i64);
    drop(log);
    std::fs::remove_file(copy.files("log").last().unwrap()).unwrap();
    let (log, recovery) = copy.recover();
    assert!(!recovery.notes.is_empty());
    assert_eq!(log.offsets().end, 80);
    drop(log);
    copy.files("log").iter().for_each(|path| std::fs::remove_file(path).unwrap());
    assert_eq!(copy.open().offsets().end, 80);
}

#[test]
fn what_was_not_finished_is_dropped() {
    let (place, log) = filled(small_segments(), 20);
    log.close().unwrap();
    let expected = all(&log);
    drop(log);
    for name in ["00000000000000000000.cleaned", "log-start.tmp", "00000000000000000004.index", "notes.txt"] {
        std::fs::write(place.path().join(name), b"whatever").unwrap();
    }
    assert_eq!(all(&place.open_clean()), expected);
    assert!(place.files("cleaned").is_empty() && place.files("tmp").is_empty());
    assert!(place.path().join("notes.txt").exists());
}

#[test]
fn a_damaged_log_start_falls_back_to_the_first_segment() {
    let (place, log) = filled(LogConfig::default(), 5);
    log.delete_before(3).unwrap();
    drop(log);
    flip(&place.path().join("log-start"), 20);
    assert_eq!(verify(place.path()).unwrap().problems.len(), 1);
    let (log, recovery) = place.recover();
    assert_eq!((log.offsets().start, recovery.notes.len()), (0, 1));
}

#[test]
fn two_thousand_logs_open_one_after_the_other() {
    let place = Place::new(LogConfig::default());
    let dir = |n: usize| place.path().join(format!("topic-{n}"));
    for n in 0..2000 {
        let (log, _) = Log::open(&dir(n), LogConfig::default(), NOW).unwrap();
        append(&log, Batch::of(&["a"]).by_producer(1, 0, 0));
        if n % 10 == 0 {
            log.close().unwrap();
        }
    }
    for n in 0..2000 {
        let (log, recovery) = Log::open(&dir(n), LogConfig::default(), NOW).unwrap();
        assert_eq!((log.offsets().end, recovery), (1, Recovery::default()));
    }
}
