//! The log of one partition: records, markers, the last stable offset. Knows no producers and no time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use schemas::Timestamp;

use crate::lane::TimestampType;
use crate::log::Isolation;

/// A record as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) timestamp: Timestamp,
    pub(super) timestamp_type: TimestampType,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Stored {
    /// Bytes of key and value: what a poll's limit counts.
    pub(super) fn payload(&self) -> usize {
        self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len)
    }

    /// Bytes of a Kafka batch that holds only this record, about: what `max.message.bytes` bounds.
    pub(super) fn on_the_wire(&self) -> usize {
        const BATCH_AND_RECORD: usize = 61 + 10;
        let headers: usize =
            self.headers.iter().map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len) + 2).sum();
        BATCH_AND_RECORD + self.payload() + headers
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Committed,
    Open(u64),
    Aborted,
}

#[derive(Debug)]
struct Entry {
    offset: i64,
    status: Status,
    /// `None` is a transaction marker: it has an offset and is never handed out.
    record: Option<Arc<Stored>>,
}

/// The log of one partition.
#[derive(Debug, Default)]
pub(super) struct PartitionLog {
    start: i64,
    next: i64,
    entries: VecDeque<Entry>,
    /// Open transactions by serial number, with their first offset here.
    open: BTreeMap<u64, i64>,
    /// The partition has no leader for now.
    pub(super) away: bool,
}

impl PartitionLog {
    /// The first offset that is still there.
    pub(super) fn start(&self) -> i64 {
        self.start
    }

    /// The high watermark.
    pub(super) fn next(&self) -> i64 {
        self.next
    }

    /// Where reading ends: the last stable offset or the high watermark.
    pub(super) fn end(&self, isolation: Isolation) -> i64 {
        match isolation {
            Isolation::Uncommitted => self.next,
            Isolation::Committed => self.open.values().min().copied().unwrap_or(self.next),
        }
    }

    /// Appends a record of the open transaction `serial`.
    pub(super) fn append(&mut self, serial: u64, record: Arc<Stored>) -> i64 {
        let offset = self.next;
        self.open.entry(serial).or_insert(offset);
        self.entries.push_back(Entry { offset, status: Status::Open(serial), record: Some(record) });
        self.next += 1;
        offset
    }

    /// Ends a transaction here with a marker. Nothing happens where it wrote nothing here.
    pub(super) fn end_transaction(&mut self, serial: u64, commit: bool) {
        let Some(first) = self.open.remove(&serial) else { return };
        let from = self.index_of(first);
        for entry in self.entries.range_mut(from..) {
            if entry.status == Status::Open(serial) {
                entry.status = if commit { Status::Committed } else { Status::Aborted };
            }
        }
        self.entries.push_back(Entry { offset: self.next, status: Status::Committed, record: None });
        self.next += 1;
    }

    /// The records from `from` on that a reader of this isolation sees.
    pub(super) fn visible(&self, from: i64, isolation: Isolation) -> impl Iterator<Item = (i64, &Arc<Stored>)> {
        let end = self.end(isolation);
        self.entries
            .range(self.index_of(from)..)
            .take_while(move |entry| entry.offset < end)
            .filter(move |entry| isolation == Isolation::Uncommitted || entry.status == Status::Committed)
            .filter_map(|entry| entry.record.as_ref().map(|record| (entry.offset, record)))
    }

    /// Removes everything before `offset`, as retention does.
    pub(super) fn delete_before(&mut self, offset: i64) {
        self.start = offset.clamp(self.start, self.next);
        let gone = self.index_of(self.start);
        self.entries.drain(..gone);
    }

    /// Keeps only the last committed record of each key below the last stable offset, and neither aborted
    /// records nor markers there; offsets stay. Tombstones are kept.
    pub(super) fn compact(&mut self) {
        let stable = self.end(Isolation::Committed);
        let mut seen: BTreeSet<Vec<u8>> = BTreeSet::new();
        let mut kept = VecDeque::with_capacity(self.entries.len());
        for entry in self.entries.drain(..).rev() {
            let keep = entry.offset >= stable
                || match (&entry.record, entry.status) {
                    (Some(record), Status::Committed) => match &record.key {
                        Some(key) => seen.insert(key.clone()),
                        None => true,
                    },
                    _ => false,
                };
            if keep {
                kept.push_front(entry);
            }
        }
        self.entries = kept;
    }

    fn index_of(&self, offset: i64) -> usize {
        self.entries.partition_point(|entry| entry.offset < offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &str) -> Arc<Stored> {
        Arc::new(Stored {
            timestamp: Timestamp(1),
            timestamp_type: TimestampType::CreateTime,
            key: Some(key.into()),
            value: Some(value.into()),
            headers: Vec::new(),
        })
    }

    fn offsets(log: &PartitionLog, isolation: Isolation) -> Vec<i64> {
        log.visible(0, isolation).map(|(offset, _)| offset).collect()
    }

    #[test]
    fn an_open_transaction_holds_back_later_ones_until_it_ends() {
        let mut log = PartitionLog::default();
        log.append(1, record("a", "1"));
        log.append(2, record("b", "2"));
        log.end_transaction(2, true);
        assert_eq!(offsets(&log, Isolation::Committed), [0i64; 0]);
        assert_eq!(offsets(&log, Isolation::Uncommitted), [0, 1]);
        log.end_transaction(1, false);
        assert_eq!(offsets(&log, Isolation::Committed), [1]);
        assert_eq!(log.end(Isolation::Committed), 4);
    }

    #[test]
    fn compaction_keeps_the_last_of_each_key_and_the_offsets() {
        let mut log = PartitionLog::default();
        for (serial, key, commit) in [(1, "a", true), (2, "a", true), (3, "a", false), (4, "b", true)] {
            log.append(serial, record(key, "x"));
            log.end_transaction(serial, commit);
        }
        log.compact();
        assert_eq!(offsets(&log, Isolation::Committed), [2, 6]);
        assert_eq!(log.next(), 8);
    }

    #[test]
    fn deleting_moves_the_start_and_never_beyond_the_end() {
        let mut log = PartitionLog::default();
        log.append(1, record("a", "1"));
        log.append(1, record("b", "2"));
        log.end_transaction(1, true);
        log.delete_before(1);
        assert_eq!((log.start(), offsets(&log, Isolation::Committed)), (1, vec![1]));
        log.delete_before(99);
        assert_eq!((log.start(), log.next()), (3, 3));
    }
}
