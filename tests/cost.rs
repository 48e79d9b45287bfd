//! What a record costs the backbone itself: bytes of lineage, quality and offsets, as Kafka keeps them on
//! disk, at three rates. The figures stand in the enforcer's README.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::backbone::Backbone;
use crate::cluster::Cluster;
use crate::process::Enforcer;
use crate::sandbox::{oracle_command, root, run, say, wait_for};

/// Bytes of the log segments of every partition of a topic.
fn on_disk(data: &Path, topic: &str) -> u64 {
    let partitions = fs::read_dir(data).expect("Kafka's log directory").flatten().filter(|entry| {
        let name = entry.file_name().into_string().unwrap_or_default();
        name.rsplit_once('-').is_some_and(|(of, number)| of == topic && number.bytes().all(|b| b.is_ascii_digit()))
    });
    let segments = partitions.filter_map(|partition| fs::read_dir(partition.path()).ok()).flatten().flatten();
    let logs = segments.filter(|file| file.path().extension().is_some_and(|end| end == "log"));
    logs.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}

#[derive(Debug, Clone, Copy)]
struct Bytes {
    lineage: u64,
    quality: u64,
    offsets: u64,
}

impl Bytes {
    fn now(kafka: &Cluster, backbone: &Backbone) -> Self {
        let data = kafka.data(1);
        Self {
            lineage: on_disk(&data, &backbone.topic("weir.lineage")),
            quality: on_disk(&data, &backbone.topic("weir.quality")),
            offsets: on_disk(&data, "__consumer_offsets"),
        }
    }
}

/// Runs a script some times that sends records; gives what the backbone wrote about each, in bytes.
fn cost(on: (&Cluster, &Backbone, &Enforcer), script: (&str, [&str; 2]), runs: u64, count: u64) -> f64 {
    let (kafka, backbone, enforcer) = on;
    let consumed = || enforcer.metric("weir_enforcer_records_total", "meter.readings").unwrap_or(0.0);
    let transactions = || enforcer.metric("weir_enforcer_transactions_total", "committed").unwrap_or(0.0);
    let (before, had, made) = (Bytes::now(kafka, backbone), consumed(), transactions());
    let inbox = backbone.topic("inbox.meter.readings.v1");
    let (registry, (script, [first, second])) = (backbone.registry(), script);
    let started = Instant::now();
    for _ in 0..runs {
        run(oracle_command(script, &[backbone.brokers(), &registry, &inbox, first, second]), b"").ok();
    }
    wait_for("every record is consumed", Duration::from_secs(120), || (consumed() >= had + count as f64).then_some(()));
    let (after, took) = (Bytes::now(kafka, backbone), started.elapsed().as_secs_f64());
    let each = |before: u64, after: u64| (after - before) as f64 / count as f64;
    let (lineage, quality, offsets) =
        (each(before.lineage, after.lineage), each(before.quality, after.quality), each(before.offsets, after.offsets));
    let all = lineage + quality + offsets;
    say(&format!(
        "{count} records at {:.0}/s in {} transactions: {lineage:.1} + {quality:.1} + {offsets:.1} = {all:.1} bytes a record (lineage, quality, offsets)",
        count as f64 / took,
        transactions() - made,
    ));
    all
}

#[test]
fn what_the_backbone_writes_about_a_record_shrinks_with_the_rate() {
    // A Kafka of its own, whose disk nobody else writes to.
    let kafka = Cluster::start(1, &[]);
    let backbone = Backbone::on(&kafka.brokers(), "cost", &[]);
    let enforcer = backbone.enforcer("enforcer");
    backbone.apply(&root().join("tests/products"));
    let on = (&kafka, &backbone, &enforcer);
    // A process for each record: no two of them come together.
    let seldom = cost(on, ("produce_readings.py", ["1", "1"]), 12, 12);
    let often = cost(on, ("produce_readings.py", ["10000", "1000"]), 1, 10_000);
    let much = cost(on, ("produce_many.py", ["0", "200000"]), 1, 200_000);
    assert!(seldom < 3_000.0, "{seldom} bytes for a record alone");
    assert!(often <= seldom && much <= often && much < 100.0, "{seldom}, {often}, {much}");
}
