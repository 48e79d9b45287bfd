//! Loss of power: of what the broker wrote, the disk keeps what it was told to keep, and of the rest anything or
//! nothing.
//!
//! `kept.c`, loaded into the broker's process, takes down what is in each file and directory when it is synced; a
//! directory as the disk would have it is made of that.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kafka_protocol::records::Compression;

use super::wire::{Producer, batch};
use super::{Own, long, verify_clean};
use crate::avro::Random;
use crate::sandbox::{root, run, say, scratch, wait_for, weir};

const PARTITIONS: i32 = 3;

/// A broker whose syncs are taken down.
struct Recorded {
    broker: Own,
    data: PathBuf,
    kept: PathBuf,
}

impl Recorded {
    fn start(flush: &str) -> Self {
        let folder = scratch("power");
        let (data, kept, library) = (folder.join("data"), folder.join("kept"), folder.join("kept.so"));
        fs::create_dir(&kept).expect("room for a directory");
        let mut compile = Command::new("cc");
        compile.args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"]).arg(&library);
        compile.arg(root().join("tests/robust/kept.c"));
        run(compile, b"").ok();
        let broker = Own::start_as(&data, &folder.join("log"), &["--flush", flush], |words| {
            let mut command = weir();
            command.args(&words[1..]).env("LD_PRELOAD", &library).env("KEPT_OF", &data).env("KEPT_IN", &kept);
            command
        });
        Self { broker, data, kept }
    }

    /// The directory as the disk has it, made at `to`.
    fn on_disk(&self, to: &Path, random: &mut Random) {
        restore(&self.kept, "root", &self.data, to, random);
    }
}

/// Makes the directory `to` of what was kept of `name`; `real` is where it was.
fn restore(kept: &Path, name: &str, real: &Path, to: &Path, random: &mut Random) {
    fs::create_dir(to).expect("room for a directory");
    let entries = fs::read_to_string(kept.join(name)).unwrap_or_default();
    for (inode, name) in entries.lines().filter_map(|line| line.split_once(' ')) {
        let (real, to) = (real.join(name), to.join(name));
        if real.is_dir() {
            restore(kept, inode, &real, &to, random);
        } else {
            // A name without a sync of its file: it is there and empty.
            let mut bytes = fs::read(kept.join(inode)).unwrap_or_default();
            if name == "journal" || name.ends_with(".log") {
                tail_at_risk(&mut bytes, &fs::read(&real).unwrap_or_default(), random);
            }
            fs::write(to, bytes).expect("room for a file");
        }
    }
}

/// What was appended since may be there in part, as zeros, or not at all.
fn tail_at_risk(kept: &mut Vec<u8>, real: &[u8], random: &mut Random) {
    let Some(since) = real.strip_prefix(&kept[..]) else { return };
    let length = random.below(since.len() + 1);
    match random.below(3) {
        0 => {}
        1 => kept.resize(kept.len() + length, 0),
        _ => kept.extend_from_slice(&since[..length]),
    }
}

/// What was acknowledged so far, by partition.
type Acknowledged = BTreeMap<i32, Vec<String>>;

/// Produces, as so many records as asked for; two topics come up on the way, and segments are closed.
fn load(recorded: &Recorded, topic: &str, records: usize, acknowledged: &mut Acknowledged) {
    let mut client = recorded.broker.client();
    assert_eq!(client.create(topic, PARTITIONS, &[("segment.bytes", "1048576"), ("retention.ms", "-1")]), 0);
    let of = client.producer(None);
    for number in 0..records {
        let partition = i32::try_from(number).expect("few records") % PARTITIONS;
        let sent = acknowledged.entry(partition).or_default();
        let sequence = i32::try_from(sent.len()).expect("few records");
        let value = format!("{number} {}", "p".repeat(number * 7919 % 60_000));
        let of = Producer { sequence, ..of };
        assert_eq!(client.produce(topic, partition, batch(&[&value], of, Compression::None)), Ok(i64::from(sequence)));
        sent.push(value);
    }
    assert_eq!(client.commit("group", topic, 0, i64::try_from(records).expect("few records"), 1 << 40), 0);
}

/// Starts a broker on what the disk has, and gives what is in the topic there; nothing may be torn or out of order.
fn found(recorded: &Recorded, topic: &str, acknowledged: &Acknowledged, random: &mut Random) -> (Acknowledged, i64) {
    let folder = scratch("after-power");
    recorded.on_disk(&folder.join("data"), random);
    let broker = Own::start(&folder.join("data"), &folder.join("log"));
    let mut client = broker.client();
    let mut all = Acknowledged::new();
    let committed = client.committed("group", topic, 0);
    let there = broker.said();
    assert!(!there.contains("is lost") && !there.contains("are lost"), "{there}");
    for (partition, sent) in acknowledged {
        // Of `os`, the topic itself may be gone; making it anew does no harm otherwise.
        client.create(topic, PARTITIONS, &[]);
        let contents = client.read(topic, *partition, false);
        assert!(contents.errors.is_empty(), "{:?}\n{there}", contents.errors);
        let texts = contents.texts();
        assert!(sent.starts_with(&texts) || texts.starts_with(sent), "partition {partition} has what was not sent");
        assert!(client.produce(topic, *partition, super::wire::one("goes on")).is_ok());
        all.insert(*partition, texts);
    }
    broker.stop();
    verify_clean(&folder.join("data"));
    fs::remove_dir_all(&folder).expect("a directory of ours");
    (all, committed)
}

fn count(of: &Acknowledged) -> usize {
    of.values().map(Vec::len).sum()
}

#[test]
fn with_flush_always_no_loss_of_power_takes_what_was_acknowledged() {
    let recorded = Recorded::start("always");
    let mut random = Random::new(1);
    let records = if long() { 3_000 } else { 300 };
    let mut cuts = 0;
    for round in 0..if long() { 20 } else { 3 } {
        let (topic, mut acknowledged) = (format!("kept-{round}"), Acknowledged::new());
        load(&recorded, &topic, records, &mut acknowledged);
        for _ in 0..2 {
            let (there, committed) = found(&recorded, &topic, &acknowledged, &mut random);
            assert!(there == acknowledged, "{} of {records} are there", count(&there));
            assert_eq!(committed, i64::try_from(records).expect("few records"));
            cuts += 1;
        }
    }
    say(&format!("flush always: power lost {cuts} times, {records} records each time, none lost"));
    recorded.broker.kill();
}

#[test]
fn with_flush_interval_power_takes_only_what_is_younger_than_the_last_flush() {
    let recorded = Recorded::start("interval");
    let (mut random, mut acknowledged) = (Random::new(2), Acknowledged::new());
    load(&recorded, "interval", 200, &mut acknowledged);
    let (there, _) = found(&recorded, "interval", &acknowledged, &mut random);
    say(&format!("flush interval: power lost at once, {} of 200 records are there", count(&there)));
    wait_for("a flush comes by itself", Duration::from_secs(30), || {
        let (there, committed) = found(&recorded, "interval", &acknowledged, &mut random);
        (there == acknowledged && committed == 200).then_some(())
    });
    recorded.broker.kill();
}

#[test]
fn with_flush_os_the_directory_opens_clean_and_an_orderly_end_keeps_everything() {
    let recorded = Recorded::start("os");
    let (mut random, mut acknowledged) = (Random::new(3), Acknowledged::new());
    load(&recorded, "os", 200, &mut acknowledged);
    let (there, _) = found(&recorded, "os", &acknowledged, &mut random);
    say(&format!("flush os: power lost at once, {} of 200 records are there", count(&there)));
    recorded.broker.process.signal("TERM");
    wait_for("the end keeps everything", Duration::from_secs(30), || {
        let (there, committed) = found(&recorded, "os", &acknowledged, &mut random);
        (there == acknowledged && committed == 200).then_some(())
    });
}
