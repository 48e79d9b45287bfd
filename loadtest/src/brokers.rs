//! Our broker beside Apache Kafka: the same load on both, in turns, each as a process of its own that is alone on the
//! machine while it is measured, but for the clients.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::LoadError;
use crate::java::Jars;
use crate::latency::Latencies;
use crate::machine::{Machine, load_average};
use crate::nodes::{Node, Programs};
use crate::phases::{Counted, Moved, Paced, Shape, Target};
use crate::report::{Curve, Figure, Goal, Report};
use crate::rounds::{Round, Side, alternate};
use crate::schedule::Schedule;

/// Bytes of a record's value.
const SIZE: usize = 256;
/// Partitions of each topic.
const PARTITIONS: i32 = 6;
/// Records a second at which latency is measured.
const RATES: [u32; 2] = [1_000, 20_000];
/// Records of a transaction.
const TRANSACTION: u64 = 10;
/// Records that Java's load generator sends for each second that is asked for.
const JAVA_RATE: u64 = 200_000;
/// How long a broker may take to end when it is asked to.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// What is to be measured.
#[derive(Debug)]
pub struct Options {
    /// The `weir` program.
    pub weir: PathBuf,
    /// What it calls itself, for the report.
    pub version: String,
    /// A directory with the jars of Apache Kafka.
    pub kafka_jars: PathBuf,
    /// How long each part of the load runs.
    pub seconds: u32,
    /// How often each broker is measured.
    pub rounds: u32,
}

/// What one run on one broker gave.
#[derive(Debug)]
struct Run {
    ready_empty: Duration,
    ready_again: Duration,
    memory_idle: u64,
    memory_peak: u64,
    memory_after: u64,
    produced: Moved,
    java: Moved,
    consumed: Moved,
    paced: [Paced; 2],
    transactions: Moved,
    counted: Vec<Counted>,
}

/// What a run's figure is called, and how it is read off.
type Reading = (Figure, fn(&Run) -> f64);

/// Measures both; `tell` is told what is being done.
///
/// # Errors
/// A broker or a client cannot be run, or did not give back what was sent.
pub fn brokers(options: &Options, tell: &dyn Fn(&str)) -> Result<Report, LoadError> {
    let programs = Programs { weir: options.weir.clone(), kafka: Jars::in_folder(&options.kafka_jars)? };
    let mut report = Report::new("weir broker beside Apache Kafka", Machine::this());
    report.programs = [format!("weir {}", options.version), format!("Apache Kafka {}", programs.kafka.version())];
    report.conditions = conditions(options);
    let rounds = alternate(options.rounds.max(1), |round, side| {
        let load = load_average();
        tell(&format!("round {} of {}: {side}, load average {load:.2}", round + 1, options.rounds.max(1)));
        report.load_averages.push(load);
        let scratch = tempfile::Builder::new().prefix("weir-bench-").tempdir();
        let scratch = scratch.map_err(|error| LoadError::program("make a directory for a broker", error))?;
        run(side, &programs, scratch.path(), options.seconds.max(1))
    })?;
    for (figure, read) in readings() {
        let (weir, kafka) = rounds.iter().map(|round| (read(&round.weir), read(&round.kafka))).unzip();
        report.figures.push(Figure { weir, kafka, ..figure });
    }
    report.curves = curves(&rounds);
    report.counted =
        rounds.into_iter().flat_map(|Round { weir, kafka }| [weir, kafka]).flat_map(|run| run.counted).collect();
    Ok(report)
}

fn conditions(options: &Options) -> Vec<String> {
    vec![
        format!("{} s for each part of the load, {} rounds, who is first changes", options.seconds, options.rounds),
        format!("topics of {PARTITIONS} partitions, records of {SIZE} bytes without a key, not compressed"),
        "producers: idempotent, acks=all; else the clients' defaults, but linger.ms=0 where latency is measured".into(),
        format!("latency: from when a record was due until it was read; transactions: {TRANSACTION} records each, one after the other"),
        "weir broker: no settings, so that a loss of power takes the last second; Apache Kafka: its defaults (it leaves flushing to \
         the system), and the JVM options of its own start script"
            .into(),
    ]
}

/// One broker, from an empty directory through all parts of the load to a start on what it has on disk.
fn run(side: Side, programs: &Programs, scratch: &Path, seconds: u32) -> Result<Run, LoadError> {
    let mut node = Node::new(side, programs, scratch)?;
    let bootstrap = node.bootstrap();
    let running = node.start()?;
    let (process, ready_empty) = (running.process, running.ready);
    let idle = process.usage()?;
    let shape = Shape { size: SIZE, partitions: PARTITIONS };
    let target = Target { bootstrap: &bootstrap, process: &process, shape };
    let time = Duration::from_secs(seconds.into());
    let mut counted = Vec::new();

    let Fast { produced, java, consumed } = fast(&target, programs, scratch, seconds, &mut counted)?;

    let mut at = |rate: u32, what| -> Result<Paced, LoadError> {
        let topic = format!("at-{rate}");
        target.topic(&topic)?;
        let (paced, read) = target.paced(&topic, Schedule::new(rate, seconds))?;
        counted.push(Counted { what, sent: paced.moved.records, read }.whole()?);
        Ok(paced)
    };
    let paced = [at(RATES[0], "at 1,000/s")?, at(RATES[1], "at 20,000/s")?];

    target.topic("transactions")?;
    let (transactions, sent) = target.transactions("transactions", TRANSACTION, time)?;
    let (_, read) = target.consume("transactions", sent)?;
    counted.push(Counted { what: "transactions", sent, read }.whole()?);

    let after = process.usage()?;
    process.stop(STOP_LIMIT)?;
    let again = node.start()?;
    let ready_again = again.ready;
    again.process.stop(STOP_LIMIT)?;
    Ok(Run {
        ready_empty,
        ready_again,
        memory_idle: idle.memory,
        memory_peak: after.peak,
        memory_after: after.memory,
        produced,
        java,
        consumed,
        paced,
        transactions,
        counted,
    })
}

/// Records as fast as they go.
struct Fast {
    produced: Moved,
    java: Moved,
    consumed: Moved,
}

/// Produces with both clients, and reads it all, after a while of both that is not measured.
fn fast(
    target: &Target<'_>,
    programs: &Programs,
    scratch: &Path,
    seconds: u32,
    counted: &mut Vec<Counted>,
) -> Result<Fast, LoadError> {
    let time = Duration::from_secs(seconds.into());
    target.topic("warm")?;
    let warm = target.produce("warm", time / 2)?;
    let (_, read) = target.consume("warm", warm.records)?;
    counted.push(Counted { what: "warming up", sent: warm.records, read }.whole()?);

    target.topic("much")?;
    let produced = target.produce("much", time)?;
    let mut sent_by_java = Duration::ZERO;
    let mut java = target.measured(|| {
        let wanted = JAVA_RATE * u64::from(seconds);
        let performance = programs.kafka.produce(scratch, target.bootstrap, "much", wanted, SIZE)?;
        sent_by_java = performance.took;
        Ok(performance.records)
    })?;
    // Without the start of its JVM.
    java.seconds = sent_by_java.as_secs_f64();
    let sent = produced.records + java.records;
    let (consumed, read) = target.consume("much", sent)?;
    counted.push(Counted { what: "as fast as it goes", sent, read }.whole()?);
    Ok(Fast { produced, java, consumed })
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn bandwidth(moved: &Moved) -> f64 {
    moved.rate() * SIZE as f64 / 1e6
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Every figure, in the order of the report.
fn readings() -> Vec<Reading> {
    let figure = Figure::new;
    vec![
        (figure("produce, rdkafka", "records/s", Goal::AtLeast(1.0)), |run| run.produced.rate()),
        (figure("produce, rdkafka, bytes", "MB/s", Goal::None), |run| bandwidth(&run.produced)),
        (figure("produce, rdkafka, CPU of the broker", "µs/record", Goal::AtMost(0.5)), |run| {
            run.produced.cpu_micros()
        }),
        (figure("produce, Java", "records/s", Goal::AtLeast(1.0)), |run| run.java.rate()),
        (figure("produce, Java, bytes", "MB/s", Goal::None), |run| bandwidth(&run.java)),
        (figure("produce, Java, CPU of the broker", "µs/record", Goal::AtMost(0.5)), |run| run.java.cpu_micros()),
        (figure("consume, rdkafka", "records/s", Goal::AtLeast(1.0)), |run| run.consumed.rate()),
        (figure("consume, rdkafka, bytes", "MB/s", Goal::None), |run| bandwidth(&run.consumed)),
        (figure("consume, rdkafka, CPU of the broker", "µs/record", Goal::AtMost(0.5)), |run| {
            run.consumed.cpu_micros()
        }),
        (figure("end to end at 1,000/s, p50", "ms", Goal::None), |run| run.paced[0].latencies.quantile(0.5)),
        (figure("end to end at 1,000/s, p99", "ms", Goal::AtMost(0.5)), |run| run.paced[0].latencies.quantile(0.99)),
        (figure("end to end at 1,000/s, p99.9", "ms", Goal::None), |run| run.paced[0].latencies.quantile(0.999)),
        (figure("end to end at 1,000/s, CPU of the broker", "µs/record", Goal::AtMost(0.5)), |run| {
            run.paced[0].moved.cpu_micros()
        }),
        (figure("end to end at 20,000/s, p50", "ms", Goal::None), |run| run.paced[1].latencies.quantile(0.5)),
        (figure("end to end at 20,000/s, p99", "ms", Goal::AtMost(0.5)), |run| run.paced[1].latencies.quantile(0.99)),
        (figure("end to end at 20,000/s, p99.9", "ms", Goal::None), |run| run.paced[1].latencies.quantile(0.999)),
        (figure("end to end at 20,000/s, CPU of the broker", "µs/record", Goal::AtMost(0.5)), |run| {
            run.paced[1].moved.cpu_micros()
        }),
        (figure("transactions", "1/s", Goal::AtLeast(1.0)), |run| run.transactions.rate()),
        (figure("transactions, CPU of the broker", "µs each", Goal::AtMost(0.5)), |run| run.transactions.cpu_micros()),
        (figure("memory, idle", "MB", Goal::Below(60.0)), |run| megabytes(run.memory_idle)),
        (figure("memory, the most under load", "MB", Goal::Below(300.0)), |run| megabytes(run.memory_peak)),
        (figure("memory, after the load", "MB", Goal::None), |run| megabytes(run.memory_after)),
        (figure("ready, with nothing on disk", "ms", Goal::None), |run| millis(run.ready_empty)),
        (figure("ready, with the log of the load", "ms", Goal::None), |run| millis(run.ready_again)),
    ]
}

/// How the times of all rounds are spread, for each rate and side.
fn curves(rounds: &[Round<Run>]) -> Vec<Curve> {
    let mut curves = Vec::new();
    for (index, rate) in RATES.into_iter().enumerate() {
        for side in Side::BOTH {
            let mut all = Latencies::default();
            for paced in rounds.iter().filter_map(|round| round.of(side).paced.get(index)) {
                all.add(&paced.latencies);
            }
            curves.push(Curve::new(format!("end to end at {rate}/s"), side, &all));
        }
    }
    curves
}
