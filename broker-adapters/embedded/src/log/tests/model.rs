//! Random appends, reads, deletions and crashes, against a plain list.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Act {
    Append {
        records: usize,
        length: usize,
    },
    Read {
        at: u16,
        max: usize,
    },
    DeleteBefore {
        at: u16,
    },
    Roll,
    Flush,
    Reopen {
        close: bool,
    },
    /// The files are copied as they are, and the copy is opened.
    Crash {
        cut: u16,
    },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (1..6usize, 0..300usize).prop_map(|(records, length)| Act::Append { records, length }),
        8 => (any::<u16>(), 0..2000usize).prop_map(|(at, max)| Act::Read { at, max }),
        1 => any::<u16>().prop_map(|at| Act::DeleteBefore { at }),
        1 => Just(Act::Roll),
        1 => Just(Act::Flush),
        1 => any::<bool>().prop_map(|close| Act::Reopen { close }),
        1 => (0..500u16).prop_map(|cut| Act::Crash { cut }),
    ]
}

/// What the log should hold.
#[derive(Default)]
struct Model {
    start: usize,
    records: Vec<String>,
    /// The base offset and the size of every batch.
    batches: Vec<(usize, u64)>,
}

impl Model {
    fn check(&self, log: &Log) -> Result<(), TestCaseError> {
        let offsets = log.offsets();
        prop_assert_eq!((offsets.start, offsets.end), (self.start as i64, self.records.len() as i64));
        prop_assert_eq!(offsets.last_stable, offsets.end);
        prop_assert_eq!(&all(log)[..], &self.records[self.start..]);
        Ok(())
    }

    fn check_read(&self, log: &Log, at: usize, max: usize) -> Result<(), TestCaseError> {
        if at < self.start {
            prop_assert!(log.read(at as i64, max, true, Isolation::ReadUncommitted).is_err());
            return Ok(());
        }
        let read = log.read(at as i64, max, true, Isolation::ReadUncommitted).unwrap().records;
        prop_assert_eq!(read.is_empty(), at == self.records.len());
        prop_assert_eq!(log.available_bytes(at as i64, Isolation::ReadUncommitted) == 0, read.is_empty());
        if let Some(header) = batch::BatchHeader::parse(&read) {
            prop_assert!((header.base_offset..=header.last_offset()).contains(&(at as i64)));
            prop_assert!(read.len() <= max || read.len() as u64 == header.size);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn a_log_is_a_list(acts in prop::collection::vec(act(), 1..100)) {
        let place = Place::new(small_segments());
        let mut log = place.open();
        let mut model = Model::default();
        for act in acts {
            match act {
                Act::Append { records, length } => {
                    let base = model.records.len();
                    let values: Vec<String> = (0..records).map(|n| format!("{}:{}", base + n, "x".repeat(length / records))).collect();
                    let bytes = Batch::of(&values.iter().map(String::as_str).collect::<Vec<_>>()).encode();
                    let appended = log.append(&bytes, NOW).unwrap();
                    prop_assert_eq!(appended.base_offset, base as i64);
                    prop_assert_eq!(appended.last_offset, (base + records - 1) as i64);
                    model.records.extend(values);
                    model.batches.push((base, bytes.len() as u64));
                }
                Act::Read { at, max } => {
                    model.check_read(&log, usize::from(at) % (model.records.len() + 1), max)?;
                }
                Act::DeleteBefore { at } => {
                    let at = usize::from(at) % (model.records.len() + 1);
                    model.start = model.start.max(at);
                    prop_assert_eq!(log.delete_before(at as i64).unwrap(), model.start as i64);
                }
                Act::Roll => log.roll(&mut log.writer()).unwrap(),
                Act::Flush => log.flush().unwrap(),
                Act::Reopen { close } => {
                    if close {
                        log.close().unwrap();
                    }
                    drop(log);
                    log = place.open_clean();
                    model.check(&log)?;
                }
                Act::Crash { cut } => crash(&place, &model, u64::from(cut))?,
            }
        }
        model.check(&log)?;
        prop_assert_eq!(verify(place.path()).unwrap().problems, vec![]);
    }
}

/// A copy of the files opens to the same log; with a part of the last segment lost, to a log that lacks the last
/// batches and no others.
fn crash(place: &Place, model: &Model, cut: u64) -> Result<(), TestCaseError> {
    let copy = place.copy();
    model.check(&copy.open_clean())?;
    let copy = place.copy();
    let path = copy.files("log").pop().unwrap();
    let base: usize = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let size = path.metadata().unwrap().len();
    let left = size.saturating_sub(cut);
    OpenOptions::new().write(true).open(&path).unwrap().set_len(left).unwrap();
    let log = copy.open();
    let mut kept = base;
    let mut bytes = 0;
    for (at, (first, size)) in model.batches.iter().enumerate().filter(|(_, (first, _))| *first >= base) {
        bytes += size;
        if bytes > left {
            break;
        }
        kept = model.batches.get(at + 1).map_or(model.records.len(), |(next, _)| *next);
        let _ = first;
    }
    let start = model.start;
    prop_assert_eq!(&all(&log)[..], &model.records[start.min(kept.max(start))..kept.max(start)]);
    prop_assert!(log.offsets().end >= kept.max(start) as i64);
    Ok(())
}
