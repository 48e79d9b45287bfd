//! A disk without room: writes are refused with Kafka's error and may be sent again, reads go on, nothing is damaged,
//! and writes go on when there is room.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::{AddPartitionsToTxnRequest, EndTxnRequest, TopicName, TransactionalId};
use kafka_protocol::records::Compression;

use super::wire::{Client, Producer, STORAGE_ERROR, batch, one, text};
use super::{Own, verify_clean};
use crate::sandbox::{Guarded, run, say, scratch, wait_for, weir};

/// Room for the broker, without what `BALLAST` holds.
const ROOM: u64 = 16 << 20;
const BALLAST: u64 = 16 << 20;

/// Where the broker keeps its data, and how room is made there.
enum Disk {
    /// A file system in memory of its own, which only its holder's mount namespace has.
    Small { _holder: Guarded, path: PathBuf },
    /// No file grows beyond a limit of the process (`RLIMIT_FSIZE`); works wherever nothing may be mounted.
    Limited { path: PathBuf },
}

impl Disk {
    fn small() -> Option<Self> {
        let folder = scratch("small-disk");
        let (place, ready) = (folder.join("disk"), folder.join("ready"));
        fs::create_dir(&place).expect("room for a directory");
        let script = format!(
            "mount -t tmpfs -o size={} none \"$1\" && mkdir \"$1/data\" && head -c {BALLAST} /dev/zero >\"$1/ballast\" \
             && touch \"$2\" && exec tail -f /dev/null",
            ROOM + BALLAST
        );
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", &script, "disk"]).arg(&place).arg(&ready);
        let mut holder = Guarded::start(command, &folder.join("holder.log"));
        let mounted = wait_for("the disk is there, or cannot be", Duration::from_secs(20), || {
            holder.ended().map(|_| false).or_else(|| ready.exists().then_some(true))
        });
        let seen_from_here = format!("/proc/{}/root{}", holder.id(), place.display());
        mounted.then(|| Self::Small { _holder: holder, path: seen_from_here.into() })
    }

    fn limited() -> Self {
        Self::Limited { path: scratch("limited-disk") }
    }

    fn data(&self) -> PathBuf {
        let (Self::Small { path, .. } | Self::Limited { path }) = self;
        path.join("data")
    }

    /// A broker on it.
    fn broker(&self, log: &Path) -> Own {
        match self {
            Self::Small { .. } => Own::start(&self.data(), log),
            Self::Limited { .. } => Own::start_as(&self.data(), log, &[], limited_to(ROOM / 32)),
        }
    }

    fn make_room(&self, broker: &Own) {
        match self {
            Self::Small { path, .. } => fs::remove_file(path.join("ballast")).expect("it was there"),
            Self::Limited { .. } => {
                let mut command = Command::new("prlimit");
                command.args(["--fsize=unlimited:unlimited", "--pid", &broker.process.id().to_string()]);
                run(command, b"").ok();
            }
        }
    }
}

/// Started so that no file of it grows beyond this; the signal for that is ignored, so that the write fails instead.
fn limited_to(bytes: u64) -> impl Fn(&[OsString]) -> Command {
    move |words| {
        let script = format!("trap '' XFSZ; exec prlimit --fsize={bytes}: \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh"]).args(words);
        for (name, _) in weir().get_envs() {
            command.env_remove(name);
        }
        command
    }
}

/// What was acknowledged, and by whom.
struct Written {
    plain: Vec<String>,
    producer: Producer,
    sent: i32,
}

impl Written {
    /// Writes batches of this size until one is refused.
    fn fill(&mut self, client: &mut Client, bytes: usize) {
        for _ in 0..10_000 {
            let value = format!("{} {}", self.plain.len(), "x".repeat(bytes));
            match client.produce("plain", 0, one(&value)) {
                Ok(offset) => assert_eq!(usize::try_from(offset), Ok(self.plain.len())),
                Err(code) => return assert_eq!(code, STORAGE_ERROR),
            }
            self.plain.push(value);
        }
        panic!("the disk is not full");
    }

    /// The next batch of the idempotent producer, which counts only once it is acknowledged.
    fn next(&self) -> bytes::Bytes {
        let of = Producer { sequence: self.sent, ..self.producer };
        batch(&[format!("once {} {}", self.sent, "y".repeat(300_000))], of, Compression::None)
    }

    fn check(&self, client: &mut Client) {
        let plain = client.read("plain", 0, false);
        assert!(
            plain.errors.is_empty() && plain.texts() == self.plain,
            "{} of {}",
            plain.values.len(),
            self.plain.len()
        );
        let once = client.read("once", 0, false).texts();
        assert_eq!(once.len(), usize::try_from(self.sent).expect("few"));
    }
}

const TRANSACTION: &str = "full-disk";

/// A transaction with a record in `whole`, left open.
fn begin(client: &mut Client) -> Producer {
    let of = client.producer(Some(TRANSACTION));
    let topic = AddPartitionsToTxnTopic::default().with_name(TopicName(text("whole"))).with_partitions(vec![0]);
    let request = AddPartitionsToTxnRequest::default().with_v3_and_below_transactional_id(id());
    let request = request.with_v3_and_below_producer_id(of.id.into()).with_v3_and_below_producer_epoch(of.epoch);
    let answer = client.ask(2, &request.with_v3_and_below_topics(vec![topic]));
    assert_eq!(answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code, 0);
    let written = client.produce_in("whole", 0, batch(&["all or nothing"], of, Compression::None), Some(TRANSACTION));
    assert_eq!(written, Ok(0));
    of
}

fn id() -> TransactionalId {
    TransactionalId(text(TRANSACTION))
}

fn end(client: &mut Client, of: Producer) -> i16 {
    let request = EndTxnRequest::default().with_transactional_id(id()).with_producer_id(of.id.into());
    client.ask(2, &request.with_producer_epoch(of.epoch).with_committed(true)).error_code
}

fn goes_through(disk: &Disk) {
    let log = scratch("full-disk").join("log");
    let broker = disk.broker(&log);
    let mut client = broker.client();
    // Segments are closed often, so that the disk is full at such a moment as well.
    let small = [("segment.bytes", "1048576"), ("retention.ms", "-1")];
    for topic in ["plain", "once", "whole"] {
        assert_eq!(client.create(topic, 1, &small), 0);
    }
    let mut written = Written { plain: Vec::new(), producer: client.producer(None), sent: 0 };
    assert!(client.produce("once", 0, written.next()).is_ok());
    written.sent += 1;
    let transaction = begin(&mut client);
    assert_eq!(client.commit("group", "plain", 0, 1, 1 << 40), 0);

    for bytes in [300_000, 30_000, 3_000, 300, 10] {
        written.fill(&mut client, bytes);
    }
    // While it is full, by the same connection and by new ones: reads go on, writes are refused, nobody is hung up on.
    for _ in 0..3 {
        let mut another = broker.client();
        written.check(&mut another);
        assert_eq!(another.produce("once", 0, written.next()), Err(STORAGE_ERROR));
        assert_eq!(another.committed("group", "plain", 0), 1);
    }
    let ended = end(&mut client, transaction);
    let read = client.read("whole", 0, true);
    assert!(ended == 0 || read.values.is_empty(), "{ended}: {read:?}");
    // Empty files may have room where nothing else has.
    let made = client.create("meanwhile", 30, &[]);
    assert!(made == 0 || made == STORAGE_ERROR, "{made}");

    // Killed on the full disk it starts there again, and serves what it has.
    broker.kill();
    let broker = disk.broker(&log);
    let mut client = broker.client();
    written.check(&mut client);
    assert_eq!(client.produce("once", 0, written.next()), Err(STORAGE_ERROR));

    // With room the same batch is taken, and everything else too.
    disk.make_room(&broker);
    assert_eq!(client.produce("once", 0, written.next()), Ok(i64::from(written.sent)));
    written.sent += 1;
    let ended = wait_for("the transaction ends", Duration::from_secs(30), || {
        // COORDINATOR_NOT_AVAILABLE, COORDINATOR_LOAD_IN_PROGRESS, CONCURRENT_TRANSACTIONS: ask again, as clients do.
        Some(end(&mut client, transaction)).filter(|code| ![15, 14, 51].contains(code))
    });
    assert_eq!(ended, 0);
    assert_eq!(client.read("whole", 0, true).texts(), ["all or nothing"]);
    assert_eq!(client.commit("group", "plain", 0, 2, 1 << 40), 0);
    assert_eq!(client.create("afterwards", 3, &[]), 0);
    assert!(made == 0 || client.create("meanwhile", 30, &[]) == 0);
    assert_eq!(client.produce("meanwhile", 29, one("there")), Ok(0));
    for _ in 0..10 {
        let value = format!("{} {}", written.plain.len(), "z".repeat(300_000));
        assert!(client.produce("plain", 0, one(&value)).is_ok());
        written.plain.push(value);
    }
    written.check(&mut client);
    broker.stop();
    verify_clean(&disk.data());
    let broker = Own::start(&disk.data(), &log);
    let mut client = broker.client();
    written.check(&mut client);
    assert_eq!(client.committed("group", "plain", 0), 2);
    assert_eq!(client.read("whole", 0, true).texts(), ["all or nothing"]);
    say(&format!("full disk: {} batches before and after, all there", written.plain.len()));
}

#[test]
fn a_full_disk_refuses_writes_serves_reads_and_damages_nothing() {
    goes_through(&Disk::small().unwrap_or_else(Disk::limited));
}

#[test]
fn a_file_that_may_not_grow_is_the_same() {
    goes_through(&Disk::limited());
}
