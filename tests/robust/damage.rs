//! Damage to a data directory, found by its name in the log and by `weir broker verify`; whatever is not damaged is
//! served.

use std::fs;
use std::path::{Path, PathBuf};

use super::wire::{CORRUPT_MESSAGE, Client, one};
use super::{Own, verify, verify_clean};
use crate::sandbox::scratch;

const BATCHES: usize = 60;

fn value(number: usize) -> String {
    format!("{number} {}", "d".repeat(100_000))
}

/// A directory with two partitions of six segments each, closed in order.
fn whole() -> PathBuf {
    let folder = scratch("damage");
    let data = folder.join("data");
    let broker = Own::start(&data, &folder.join("log"));
    let mut client = broker.client();
    assert_eq!(client.create("damaged", 2, &[("segment.bytes", "1048576"), ("retention.ms", "-1")]), 0);
    for number in 0..BATCHES {
        for partition in 0..2 {
            assert!(client.produce("damaged", partition, one(value(number))).is_ok());
        }
    }
    drop(client);
    broker.stop();
    verify_clean(&data);
    assert_eq!(files(&data.join("damaged-0"), "log").len(), 6);
    data
}

fn files(partition: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(partition).expect("it is there").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == extension)).collect();
    files.sort();
    files
}

fn copied(from: &Path) -> (PathBuf, PathBuf) {
    let folder = scratch("damaged");
    let (to, log) = (folder.join("data"), folder.join("log"));
    let mut command = std::process::Command::new("cp");
    command.arg("-r").arg(from).arg(&to);
    crate::sandbox::run(command, b"").ok();
    (to, log)
}

/// What is done to partition 0, what must be said of it, and which batches are there afterwards.
struct Case {
    name: &'static str,
    act: fn(&Path),
    /// In the broker's log, and by `verify`; part of it.
    said: &'static str,
    verified: &'static str,
    lost: std::ops::Range<usize>,
    /// A reader is told; otherwise it steps over what is not there.
    told: bool,
}

fn change(path: &Path, act: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("it is there");
    act(&mut bytes);
    fs::write(path, bytes).expect("room");
}

fn cut(path: &Path, to: u64) {
    let file = fs::OpenOptions::new().write(true).open(path).expect("it is there");
    file.set_len(to).expect("it can be cut");
}

/// The size of one batch here, all of which have numbers of two digits but the first ten.
fn batch() -> u64 {
    one(value(10)).len() as u64
}

const CASES: [Case; 10] = [
    Case {
        name: "a bit of a closed segment is flipped",
        act: |dir| change(&files(dir, "log")[1], |bytes| bytes[250_000] ^= 4),
        said: "",
        verified: "00000000000000000010.log",
        lost: 12..13,
        told: true,
    },
    Case {
        name: "a bit of the last segment is flipped",
        act: |dir| change(&files(dir, "log")[5], |bytes| bytes[250_000] ^= 4),
        said: "",
        verified: "00000000000000000050.log",
        lost: 52..53,
        told: true,
    },
    Case {
        name: "a closed segment is cut within a batch",
        act: |dir| cut(&files(dir, "log")[2], 350_000),
        said: "00000000000000000020.log is damaged",
        verified: "00000000000000000020.log",
        lost: 23..30,
        told: true,
    },
    Case {
        name: "the last segment is cut within a batch",
        act: |dir| cut(&files(dir, "log")[5], 350_000),
        said: "are lost",
        verified: "offsets 53 to 59 are missing",
        lost: 53..60,
        told: false,
    },
    Case {
        name: "the last segment is cut between two batches",
        act: |dir| cut(&files(dir, "log")[5], 3 * batch()),
        said: "offsets 53 to 59 are lost",
        verified: "offsets 53 to 59 are missing",
        lost: 53..60,
        told: false,
    },
    Case {
        name: "the first segment is gone",
        act: |dir| fs::remove_file(&files(dir, "log")[0]).expect("it was there"),
        said: "a segment is missing: offsets 0 to 9",
        verified: "offsets 0 to 9 are missing",
        lost: 0..10,
        told: false,
    },
    Case {
        name: "a segment in the middle is gone",
        act: |dir| fs::remove_file(&files(dir, "log")[3]).expect("it was there"),
        said: "a segment is missing: offsets 30 to 39",
        verified: "offsets 30 to 39 are missing",
        lost: 30..40,
        told: false,
    },
    Case {
        name: "the last segment is gone",
        act: |dir| fs::remove_file(&files(dir, "log")[5]).expect("it was there"),
        said: "offsets 50 to 59 are lost",
        verified: "offsets 50 to 59 are missing",
        lost: 50..60,
        told: false,
    },
    Case {
        name: "an index is gone",
        act: |dir| fs::remove_file(&files(dir, "index")[1]).expect("it was there"),
        said: "were rebuilt",
        verified: "00000000000000000010.index",
        lost: 0..0,
        told: false,
    },
    Case {
        name: "all indexes are spoilt",
        act: |dir| {
            for path in ["index", "timeindex"].into_iter().flat_map(|end| files(dir, end)) {
                change(&path, |bytes| bytes.reverse());
            }
        },
        said: "were rebuilt",
        verified: "index",
        lost: 0..0,
        told: false,
    },
];

fn check(client: &mut Client, case: &Case) {
    let name = case.name;
    let left: Vec<String> = (0..BATCHES).filter(|number| !case.lost.contains(number)).map(value).collect();
    let contents = client.read("damaged", 0, false);
    assert!(contents.texts() == left, "{name}: {:?}", contents.values.keys());
    assert!(contents.errors.values().all(|code| *code == CORRUPT_MESSAGE), "{name}: {:?}", contents.errors);
    assert_eq!(!contents.errors.is_empty(), case.told, "{name}: {:?}", contents.errors);
    assert_eq!(contents.end, 60, "{name}: offsets never go back");
    let beside = client.read("damaged", 1, false);
    assert!(beside.errors.is_empty() && beside.values.len() == BATCHES, "{name}");
}

#[test]
fn damage_is_said_by_name_and_the_rest_is_served() {
    let whole = whole();
    for case in &CASES {
        let name = case.name;
        let (data, log) = copied(&whole);
        (case.act)(&data.join("damaged-0"));
        let verified = verify(&data);
        assert!(verified.code == Some(1) && verified.stdout.contains(case.verified), "{name}: {verified:?}");
        assert!(!verified.stdout.contains("damaged-1"), "{name}: {verified:?}");
        let broker = Own::start(&data, &log);
        let mut client = broker.client();
        check(&mut client, case);
        let said = broker.said();
        assert!(said.contains(case.said), "{name}: {said}");
        let found = [case.said, "is damaged", "a consumer asks for what is damaged"];
        assert!(found.iter().any(|what| !what.is_empty() && said.contains(what)), "{name}: nothing is said: {said}");
        // Writes go on behind it, and are there after another start.
        assert_eq!(client.produce("damaged", 0, one("goes on")), Ok(60), "{name}");
        broker.kill();
        let broker = Own::start(&data, &log);
        let texts = broker.client().read("damaged", 0, false).texts();
        assert!(texts.last().is_some_and(|last| last == "goes on"), "{name}");
        broker.stop();
    }
}

#[test]
fn without_its_journal_or_a_partition_a_directory_says_so() {
    let whole = whole();
    let (data, log) = copied(&whole);
    fs::remove_dir_all(data.join("damaged-0")).expect("it was there");
    let verified = verify(&data);
    assert!(verified.code == Some(1) && verified.stdout.contains("damaged-0"), "{verified:?}");
    let broker = Own::start(&data, &log);
    assert!(broker.said().contains("damaged-0: its directory is gone"), "{}", broker.said());
    assert_eq!(broker.client().read("damaged", 1, false).values.len(), BATCHES);
    broker.stop();

    // The logs say nothing of topics, groups and settings: nothing begins anew over them.
    let (data, _) = copied(&whole);
    fs::remove_file(data.join("journal")).expect("it was there");
    let verified = verify(&data);
    assert!(verified.code == Some(1) && verified.stdout.contains("journal"), "{verified:?}");
    let mut command = crate::sandbox::weir();
    command.args(["broker", "--listen", &format!("127.0.0.1:{}", crate::sandbox::free_port()), "--data"]).arg(&data);
    let refused = crate::sandbox::run(command, b"");
    assert!(refused.code == Some(1) && refused.stderr.contains("journal"), "{refused:?}");
    assert_eq!(files(&data.join("damaged-0"), "log").len(), 6, "nothing was touched");
}
