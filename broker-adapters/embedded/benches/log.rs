//! What a log costs beside the least it could: appending and reading, in one run with plain writes of the same bytes,
//! and how long opening takes.
//!
//! ```sh
//! cargo bench -p embedded --bench log
//! ```

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use embedded::log::{Isolation, Log, LogConfig};
use kafka_protocol::records::{
    Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, Record, RecordBatchEncoder,
    RecordEncodeOptions, TimestampType,
};

const NOW: i64 = 1_700_000_000_000;
const RECORDS: usize = 100;
const ALL: u64 = 2 << 30;

/// A batch of 100 records of 200 bytes.
fn batch() -> Vec<u8> {
    let record = |offset: usize| Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
        producer_id: NO_PRODUCER_ID,
        producer_epoch: NO_PRODUCER_EPOCH,
        timestamp_type: TimestampType::Creation,
        offset: offset as i64,
        sequence: NO_SEQUENCE,
        timestamp: NOW,
        key: Some("key".into()),
        value: Some(vec![b'v'; 190].into()),
        headers: Default::default(),
    };
    let records: Vec<Record> = (0..RECORDS).map(record).collect();
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut bytes, &records, &options).expect("a batch");
    bytes.to_vec()
}

fn said(what: &str, bytes: u64, plain: Option<Duration>, took: Duration) {
    let ratio = plain.map_or_else(String::new, |plain| {
        format!(", {:.2} x the time of plain writes", took.as_secs_f64() / plain.as_secs_f64())
    });
    let speed = bytes as f64 / 1e9 / took.as_secs_f64();
    let _told = writeln!(std::io::stdout(), "{what:<28} {speed:6.2} GB/s{ratio}");
}

fn timed(act: impl FnOnce()) -> Duration {
    let began = Instant::now();
    act();
    began.elapsed()
}

fn main() {
    let place = tempfile::tempdir().expect("room for a directory");
    let config = LogConfig { retention_ms: None, ..LogConfig::default() };
    let open = || Log::open(&place.path().join("log"), config.clone(), NOW).expect("a log").0;
    let batch = batch();
    let rounds = ALL / batch.len() as u64;
    let bytes = rounds * batch.len() as u64;
    let plain = {
        let path = place.path().join("plain");
        let mut file = File::create(&path).expect("a file");
        let took = timed(|| (0..rounds).for_each(|_| file.write_all(&batch).expect("room")));
        std::fs::remove_file(path).expect("a file of ours");
        took
    };
    said("plain writes", bytes, None, plain);
    let log = open();
    let append = timed(|| {
        for _ in 0..rounds {
            log.append(&batch, NOW).expect("room");
        }
    });
    said("append, with all checks", bytes, Some(plain), append);
    let read = timed(|| {
        let mut from = 0;
        while from < log.offsets().end {
            let read = log.read(from, 1 << 20, true, Isolation::ReadUncommitted).expect("what was written");
            from += (read.records.len() / batch.len() * RECORDS) as i64;
        }
    });
    said("read, 1 MiB at a time", bytes, Some(plain), read);
    log.close().expect("room");
    drop(log);
    let reopened = timed(|| drop(open()));
    let _told =
        writeln!(std::io::stdout(), "opening {:.1} GB after an orderly end: {reopened:.1?}", bytes as f64 / 1e9);
}
