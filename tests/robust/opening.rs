//! How long it takes until a broker with much on its disk answers, after an orderly end and after a kill.

use std::time::Instant;

use super::wire::{Client, one};
use super::{Own, long};
use crate::sandbox::{say, scratch};

/// Topics of a hundred partitions each.
const TOPICS: usize = 20;

fn fill(client: &mut Client, gibibytes: u64) {
    for topic in 0..TOPICS {
        assert_eq!(client.create(&format!("many-{topic}"), 100, &[]), 0);
    }
    for partition in 0..100 {
        assert!(client.produce("many-0", partition, one("something")).is_ok());
    }
    // What keeps a log of this size in a few segments, as the default of a gibibyte does for ten times as much.
    let segment = if long() { "1073741824" } else { "268435456" };
    assert_eq!(client.create("large", 1, &[("segment.bytes", segment), ("retention.ms", "-1")]), 0);
    let batch = one(vec![b'l'; 1_000_000]);
    for _ in 0..gibibytes * 1074 {
        assert!(client.produce("large", 0, batch.clone()).is_ok());
    }
}

#[test]
fn two_thousand_partitions_and_a_large_log_open() {
    let gibibytes = if long() { 10 } else { 1 };
    let folder = scratch("opening");
    let (data, log) = (folder.join("data"), folder.join("log"));
    let broker = Own::start(&data, &log);
    let begun = Instant::now();
    fill(&mut broker.client(), gibibytes);
    let filled = begun.elapsed();
    let opened = |after: &str| {
        let begun = Instant::now();
        let broker = Own::start(&data, &log);
        let took = begun.elapsed();
        let mut client = broker.client();
        assert_eq!(client.bounds("large", 0), (0, i64::try_from(gibibytes * 1074).expect("few")));
        assert_eq!(client.read("many-0", 99, false).texts(), ["something"]);
        say(&format!("2,000 partitions and {gibibytes} GiB open after {after} in {took:.2?}"));
        broker
    };
    broker.kill();
    let broker = opened("a kill");
    let begun = Instant::now();
    broker.stop();
    say(&format!("and end in order in {:.2?}", begun.elapsed()));
    let broker = opened("an orderly end");
    // Whoever is killed without a word has done nothing since.
    broker.kill();
    opened("a kill right after the start").stop();
    say(&format!("2,000 partitions were made and {gibibytes} GiB written in {filled:.1?}"));
    std::fs::remove_dir_all(&folder).expect("a directory of ours");
}
