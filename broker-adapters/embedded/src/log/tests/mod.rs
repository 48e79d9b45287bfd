//! Tests of the log on real files, with batches as a client's library encodes them.

mod compaction;
mod damage;
mod disk;
mod entry;
mod indexes;
mod model;
mod producers;
mod recovery;
mod retention;
mod times;
mod together;
mod transactions;

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::records::{
    Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType as RecordTime,
};

use super::*;

/// The time of most tests.
const NOW: i64 = 1_700_000_000_000;

/// A batch to be encoded.
#[derive(Clone)]
struct Batch {
    records: Vec<(Option<Bytes>, Option<Bytes>, i64)>,
    producer: (i64, i16, i32),
    transactional: bool,
    compression: Compression,
}

impl Batch {
    fn new() -> Batch {
        Batch { records: Vec::new(), producer: (-1, -1, -1), transactional: false, compression: Compression::None }
    }

    /// Records with a value each.
    fn of(values: &[&str]) -> Batch {
        values.iter().fold(Batch::new(), |batch, value| batch.with(None, Some(value), NOW))
    }

    /// So many records that name their number.
    fn count(records: usize) -> Batch {
        (0..records).fold(Batch::new(), |batch, n| batch.with(Some("key"), Some(&format!("value {n}")), NOW))
    }

    fn with(mut self, key: Option<&str>, value: Option<&str>, timestamp: i64) -> Batch {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        self.records.push((key.map(bytes), value.map(bytes), timestamp));
        self
    }

    fn by_producer(mut self, id: i64, epoch: i16, sequence: i32) -> Batch {
        self.producer = (id, epoch, sequence);
        self
    }

    fn in_transaction(mut self) -> Batch {
        self.transactional = true;
        self
    }

    fn compressed(mut self, compression: Compression) -> Batch {
        self.compression = compression;
        self
    }

    fn encode(&self) -> Vec<u8> {
        let (producer_id, producer_epoch, sequence) = self.producer;
        let records: Vec<Record> = (0..)
            .zip(&self.records)
            .map(|(n, (key, value, timestamp))| Record {
                transactional: self.transactional,
                control: false,
                delete_horizon: false,
                partition_leader_epoch: -1,
                producer_id,
                producer_epoch,
                timestamp_type: RecordTime::Creation,
                offset: n,
                sequence: sequence + n as i32,
                timestamp: *timestamp,
                key: key.clone(),
                value: value.clone(),
                headers: IndexMap::new(),
            })
            .collect();
        let mut out = BytesMut::new();
        let options = RecordEncodeOptions { version: 2, compression: self.compression };
        RecordBatchEncoder::encode(&mut out, &records, &options).unwrap();
        let mut out = out.to_vec();
        if producer_id < 0 {
            // The encoder reckons a sequence for every record; without a producer there is none.
            out[53..57].copy_from_slice(&(-1i32).to_be_bytes());
            reseal(&mut out);
        }
        out
    }
}

/// Makes the CRC of a changed batch hold.
fn reseal(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

fn text(bytes: &Option<Bytes>) -> Option<String> {
    bytes.as_ref().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

/// A log in a directory of its own.
struct Place {
    dir: tempfile::TempDir,
    config: LogConfig,
}

impl Place {
    fn new(config: LogConfig) -> Place {
        Place { dir: tempfile::tempdir().unwrap(), config }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn open(&self) -> Log {
        self.recover().0
    }

    fn recover(&self) -> (Log, Recovery) {
        Log::open(self.path(), self.config.clone(), NOW).unwrap()
    }

    /// Opens, and expects that there was nothing to say.
    fn open_clean(&self) -> Log {
        let (log, recovery) = self.recover();
        assert_eq!(recovery, Recovery::default());
        log
    }

    /// The same files elsewhere, as a crash would leave them.
    fn copy(&self) -> Place {
        let copy = Place::new(self.config.clone());
        for entry in std::fs::read_dir(self.path()).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
        copy
    }

    /// The files with an extension, in order.
    fn files(&self, extension: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
        files.sort();
        files
    }
}

/// Segments that hold a few small batches each.
fn small_segments() -> LogConfig {
    LogConfig { segment_bytes: 1000, index_interval_bytes: 200, ..LogConfig::default() }
}

fn append(log: &Log, batch: Batch) -> Appended {
    log.append(&batch.encode(), NOW).unwrap()
}

/// Offsets, keys, values and timestamps of all data records from an offset on, as a reader would see them.
fn records_from(log: &Log, mut from: i64, isolation: Isolation) -> Vec<(i64, Option<String>, Option<String>, i64)> {
    let mut out = Vec::new();
    loop {
        let read = log.read(from, 700, true, isolation).unwrap();
        if read.records.is_empty() {
            return out;
        }
        let mut aborted = read.aborted.clone();
        let mut skipped = std::collections::HashSet::new();
        let mut bytes = read.records.clone();
        let mut rest = &read.records[..];
        let mut next = from;
        for set in RecordBatchDecoder::decode_all(&mut bytes).unwrap() {
            let header = super::batch::BatchHeader::parse(rest).unwrap();
            rest = &rest[header.size as usize..];
            next = header.next_offset();
            aborted.retain(|transaction| {
                let begins = transaction.first_offset <= header.last_offset();
                if begins {
                    skipped.insert(transaction.producer_id);
                }
                !begins
            });
            if header.is_control() {
                skipped.remove(&header.producer_id);
                continue;
            }
            if isolation == Isolation::ReadCommitted
                && header.is_transactional()
                && skipped.contains(&header.producer_id)
            {
                continue;
            }
            for record in set.records.iter().filter(|record| record.offset >= from) {
                out.push((record.offset, text(&record.key), text(&record.value), record.timestamp));
            }
        }
        assert!(next > from, "a read must go on");
        from = next;
    }
}

fn values(log: &Log, from: i64, isolation: Isolation) -> Vec<String> {
    records_from(log, from, isolation).into_iter().map(|(_, _, value, _)| value.unwrap_or_default()).collect()
}

/// All values that a plain reader sees.
fn all(log: &Log) -> Vec<String> {
    values(log, log.offsets().start, Isolation::ReadUncommitted)
}

fn flip(path: &Path, position: u64) {
    flip_bit(path, position, 0x10);
}

fn flip_bit(path: &Path, position: u64, bit: u8) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, position).unwrap();
    file.write_all_at(&[byte[0] ^ bit], position).unwrap();
}
