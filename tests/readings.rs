//! Readings of sensors under way: a producer that writes them at a steady pace, a reader that sees how soon
//! they arrive, and the check of everything that became of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use broker::{Broker, Isolation, Position};
use kafka::{Kafka, KafkaOptions};
use schemas::{Partition, Topic, TopicPartition};

use crate::backbone::Backbone;
use crate::sandbox::{oracle, oracle_command, root, say, wait_for};

/// Whether the tests run at full size.
pub(crate) fn long() -> bool {
    std::env::var_os("WEIR_LONG").is_some()
}

/// Milliseconds since the epoch: the clock of records' timestamps.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(since.as_millis()).expect("not for ages")
}

/// Applies the contract of the readings with this many partitions and, if given, copies, as the product
/// `domain`.readings.
pub(crate) fn apply(backbone: &Backbone, domain: &str, partitions: u32, copies: Option<u32>) {
    let source = root().join("tests/products/meter/readings");
    let folder = backbone.scratch().join(format!("contracts-{domain}/{domain}/readings"));
    fs::create_dir_all(&folder).expect("a directory in a directory of ours");
    let text = fs::read_to_string(source.join("contract.odcs.yaml")).expect("the contract is there");
    let asked = "property: weir.partitions\n    value: ";
    assert!(text.contains(&format!("{asked}4")) && text.contains("domain: meter"), "the contract has changed");
    let mut text = text.replace(&format!("{asked}4"), &format!("{asked}{partitions}"));
    text = text.replace("domain: meter", &format!("domain: {domain}"));
    text = text.replace("id: meter.readings", &format!("id: {domain}.readings"));
    if let Some(copies) = copies {
        write!(text, "  - property: weir.replication\n    value: {copies}\n").expect("into a string");
    }
    fs::write(folder.join("contract.odcs.yaml"), text).expect("room for a contract");
    let schema = fs::read_to_string(source.join("readings.avsc")).expect("the schema is there");
    let schema = schema.replace("\"namespace\": \"meter\"", &format!("\"namespace\": \"{domain}\""));
    fs::write(folder.join("readings.avsc"), schema).expect("room for a schema");
    backbone.apply(&backbone.scratch().join(format!("contracts-{domain}")));
}

/// Holds everything that became of `count` readings against what may have; waits until they are enforced.
pub(crate) fn check(backbone: &Backbone, domain: &str, count: u64) {
    let (registry, count) = (backbone.registry(), count.to_string());
    let product = format!("{domain}.readings");
    let arguments = [backbone.brokers(), &registry, backbone.prefix(), &product, &count];
    let checked = oracle("check_conservation.py", &arguments);
    assert!(checked.stdout.contains("inputs once"), "{checked:?}");
    say(&format!("{} {product}: {}", backbone.prefix(), checked.stdout.trim()));
}

/// A producer of readings that writes until it is stopped.
#[derive(Debug)]
pub(crate) struct Load {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Load {
    /// Begins: at least `count` records, `per_second`; `more` are further arguments of `produce_readings.py`.
    pub(crate) fn start(backbone: &Backbone, domain: &str, count: u64, per_second: u32, more: &[&str]) -> Self {
        let inbox = backbone.topic(&format!("inbox.{domain}.readings.v1"));
        let (registry, count, per_second) = (backbone.registry(), count.to_string(), per_second.to_string());
        let arguments = [backbone.brokers(), &registry, &inbox, &count, &per_second, "--until-told"];
        let mut command = oracle_command("produce_readings.py", &[&arguments, more].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("Python starts");
        let stdin = child.stdin.take();
        Self { child, stdin }
    }

    /// Whether it has ended, which before [`Load::stop`] only a failure does.
    pub(crate) fn failed(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours can be waited for").is_some()
    }

    /// Ends it, once it has written its least number of records, and says how many it wrote.
    pub(crate) fn stop(mut self) -> u64 {
        drop(self.stdin.take());
        let mut text = String::new();
        self.child.stdout.take().expect("piped").read_to_string(&mut text).expect("the producer speaks UTF-8");
        let status = self.child.wait().expect("a child of ours can be waited for");
        assert!(status.success(), "the producer ended with {status}");
        text.trim().parse().expect("the producer says how many it wrote")
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// An arrival: when, and the record's own time. Milliseconds since the epoch.
type Arrival = (i64, i64);

/// Reads a product topic as a consumer does, and remembers when what arrived.
pub(crate) struct Watch {
    partitions: i32,
    arrivals: Arc<Mutex<BTreeMap<i32, Vec<Arrival>>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins at the end of the topic.
    pub(crate) fn start(backbone: &Backbone, domain: &str, partitions: u32) -> Self {
        let bootstrap = backbone.brokers().to_owned();
        let options = KafkaOptions { bootstrap, client_id: "watch".to_owned(), ..KafkaOptions::default() };
        let topic = Topic::existing(backbone.topic(&format!("{domain}.readings.v1")));
        let partitions = i32::try_from(partitions).expect("few");
        let from: Vec<_> = (0..partitions)
            .map(|partition| (TopicPartition::new(topic.clone(), Partition(partition)), Position::End))
            .collect();
        let broker = Kafka::connect(options).expect("Kafka serves");
        let mut reader = broker.reader(&from, Isolation::Committed).expect("the product topic can be read");
        let arrivals: Arc<Mutex<BTreeMap<i32, Vec<Arrival>>>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (arrived, stopped) = (Arc::clone(&arrivals), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                // Weather is what these tests make; the reader goes on by itself.
                let Ok(chunk) = reader.poll(Duration::from_millis(100)) else { continue };
                let now = now_ms();
                let mut arrived = arrived.lock().expect("nobody panics with it");
                for record in chunk.records {
                    arrived.entry(record.source.partition.0).or_default().push((now, record.timestamp.0));
                }
            }
        });
        Self { partitions, arrivals, stop, thread: Some(thread) }
    }

    /// How long after `since` each of these partitions had a record that was produced after `since`; waits for it.
    pub(crate) fn readable_again(&self, which: &[i32], since: i64, limit: Duration) -> Duration {
        let arrived = wait_for("the product is readable again", limit, || {
            let arrivals = self.arrivals.lock().expect("nobody panics with it");
            which.iter().map(|partition| first_since(arrivals.get(partition)?, since)).collect::<Option<Vec<i64>>>()
        });
        let last = arrived.into_iter().max().unwrap_or(since);
        Duration::from_millis(u64::try_from(last - since).unwrap_or(0))
    }

    /// Every partition of the topic.
    pub(crate) fn all(&self) -> Vec<i32> {
        (0..self.partitions).collect()
    }

    /// The longest time since `since` that a partition had nothing new to read, for each of them.
    pub(crate) fn longest_gaps(&self, since: i64) -> BTreeMap<i32, Duration> {
        let arrivals = self.arrivals.lock().expect("nobody panics with it");
        let now = now_ms();
        let gap = |partition: &i32| {
            let times = arrivals.get(partition).into_iter().flatten().map(|(at, _)| *at).filter(|at| *at >= since);
            let mut last = since;
            let mut longest = 0;
            for at in times.chain([now]) {
                longest = longest.max(at - last);
                last = at;
            }
            (*partition, Duration::from_millis(u64::try_from(longest).unwrap_or(0)))
        };
        self.all().iter().map(gap).collect()
    }
}

/// When the first record arrived that was produced after `since`.
fn first_since(arrivals: &[Arrival], since: i64) -> Option<i64> {
    arrivals.iter().find(|(_, produced)| *produced > since).map(|(at, _)| *at)
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

/// The value below which 95 of 100 lie; of few values the greatest.
pub(crate) fn p95(values: &[Duration]) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort();
    let at = (sorted.len() * 95).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}
