//! Whether outputs can be written, asked before a transaction holds them.
//!
//! The coordinator cannot end a transaction, not even abort it, while a partition of it has no leader: its slot
//! would wait until that broker is back, and every other partition of the slot with it. So a partition that was
//! not written to for a while, and every one after a connection broke, is asked about first.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use broker::Weather;
use rdkafka::metadata::Metadata;
use schemas::{Topic, TopicPartition};

use crate::asking::Asker;

/// For this long after it was used a partition is not asked about again while no connection breaks. Below what
/// brokers and client take a connection for idle, which they close without a word.
const TRUSTED: Duration = Duration::from_secs(30);

/// The bound on one question.
const ASK_DEADLINE: Duration = Duration::from_secs(5);

/// How long a leader may take to accept a connection. Its broker may be gone and the cluster not know it yet.
const CONNECT_DEADLINE: Duration = Duration::from_millis(500);

/// From so many topics on all are asked about at once.
const MANY: usize = 16;

/// An output partition; its number is that of the inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Output<'a> {
    pub(super) inbox: &'a TopicPartition,
    pub(super) topic: &'a Topic,
    /// It is the quarantine's, not the product's.
    pub(super) quarantine: bool,
}

/// An output partition that was asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Doubtful {
    pub(super) partition: TopicPartition,
    pub(super) inbox: TopicPartition,
    pub(super) quarantine: bool,
}

/// What was found out.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Inbox partitions of which an output cannot be written now, and why.
    pub(super) away: BTreeMap<TopicPartition, String>,
    /// Outputs that can be written, and were in doubt.
    pub(super) serve: Vec<Doubtful>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Leaders {
    /// By output partition, when it was last used.
    used: BTreeMap<TopicPartition, Instant>,
}

impl Leaders {
    /// Something broke: every partition is to be asked about again.
    pub(super) fn forget(&mut self) {
        self.used.clear();
    }

    /// Asks about the outputs that are in doubt.
    ///
    /// # Errors
    /// Nobody can be asked.
    pub(super) fn ask(&mut self, asker: &Asker, outputs: &BTreeSet<Output<'_>>) -> Result<Found, Weather> {
        let now = Instant::now();
        let mut doubtful = Vec::new();
        for Output { inbox, topic, quarantine } in outputs.iter().copied() {
            let partition = TopicPartition::new(topic.clone(), inbox.partition);
            match self.used.get_mut(&partition) {
                Some(used) if now.duration_since(*used) < TRUSTED => *used = now,
                _ => doubtful.push(Doubtful { partition, inbox: inbox.clone(), quarantine }),
            }
        }
        let mut found = Found::default();
        if doubtful.is_empty() {
            return Ok(found);
        }
        let topics: BTreeSet<&Topic> = doubtful.iter().map(|doubtful| &doubtful.partition.topic).collect();
        let mut known = Known::default();
        if topics.len() > MANY {
            known.learn(&ask(asker, None)?);
        } else {
            for topic in topics {
                known.learn(&ask(asker, Some(topic.as_str()))?);
            }
        }
        for doubtful in doubtful {
            match known.serves(&doubtful.partition) {
                Ok(()) => found.serve.push(doubtful),
                Err(why) => {
                    found.away.insert(doubtful.inbox, why);
                }
            }
        }
        Ok(found)
    }

    /// These are not in doubt any more.
    pub(super) fn trust(&mut self, partitions: impl Iterator<Item = TopicPartition>) {
        let now = Instant::now();
        self.used.extend(partitions.map(|partition| (partition, now)));
    }
}

fn ask(asker: &Asker, topic: Option<&str>) -> Result<Metadata, Weather> {
    asker.metadata(topic, ASK_DEADLINE).map_err(|error| Weather::new("ask who leads the output partitions", error))
}

/// What the cluster says, and what was tried.
#[derive(Default)]
struct Known {
    leaders: BTreeMap<TopicPartition, i32>,
    addresses: BTreeMap<i32, (String, u16)>,
    /// Per broker, whether it accepts connections.
    reached: BTreeMap<i32, Result<(), String>>,
}

impl Known {
    fn learn(&mut self, metadata: &Metadata) {
        for broker in metadata.brokers() {
            if let Ok(port) = u16::try_from(broker.port()) {
                self.addresses.insert(broker.id(), (broker.host().to_owned(), port));
            }
        }
        for topic in metadata.topics() {
            for partition in topic.partitions() {
                let name = TopicPartition::new(Topic::existing(topic.name()), schemas::Partition(partition.id()));
                self.leaders.insert(name, partition.leader());
            }
        }
    }

    fn serves(&mut self, partition: &TopicPartition) -> Result<(), String> {
        let leader = self.leaders.get(partition).copied().unwrap_or(-1);
        let Some((host, port)) = self.addresses.get(&leader) else {
            return Err(format!("{partition} has no leader"));
        };
        let reached = self.reached.entry(leader).or_insert_with(|| connect(host, *port));
        reached.clone().map_err(|why| format!("the leader of {partition} at {host}:{port} cannot be reached: {why}"))
    }
}

fn connect(host: &str, port: u16) -> Result<(), String> {
    let mut last = "its name has no address".to_owned();
    for address in (host, port).to_socket_addrs().map_err(|error| error.to_string())? {
        match TcpStream::connect_timeout(&address, CONNECT_DEADLINE) {
            Ok(_) => return Ok(()),
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}
