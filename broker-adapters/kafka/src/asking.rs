//! Questions about topics and offsets, asked through a consumer that consumes nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use broker::{Isolation, Weather};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use rdkafka::{Offset as RawOffset, TopicPartitionList};
use schemas::{Offset, TopicPartition};

use crate::ffi::ListedOffset;
use crate::options::KafkaOptions;
use crate::{CALL_DEADLINE, ffi};

/// How long a leader is waited for, and between two questions.
const LEADER_DEADLINE: Duration = Duration::from_secs(10);
const LEADER_PAUSE: Duration = Duration::from_millis(50);

/// How long the coordinator of a group is waited for: a lane holds up the membership of its process meanwhile.
const COMMITTED_DEADLINE: Duration = Duration::from_secs(10);
/// How long one question of a first contact may take, before it is looked why there is no answer.
const REACH_STEP: Duration = Duration::from_secs(1);

/// Keeps what the client said last about its connections: no call tells why it was not answered.
#[derive(Default)]
struct Witness(Mutex<Option<(RDKafkaErrorCode, String)>>);

impl ClientContext for Witness {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, line: &str) {
        // What matters of it is told by the calls.
        tracing::debug!(target: "librdkafka", %facility, "{line}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // That all brokers are down follows from what was said before it, which says more.
        if code != RDKafkaErrorCode::AllBrokersDown || said.is_none() {
            *said = Some((code, reason.to_owned()));
        }
    }
}

impl ConsumerContext for Witness {}

/// Why waiting longer does not help, in words for whoever configured this.
fn hopeless(code: RDKafkaErrorCode, reason: &str) -> Option<String> {
    match code {
        RDKafkaErrorCode::Authentication => {
            Some(format!("the broker refuses the login: {reason}; check mechanism, user name and password"))
        }
        RDKafkaErrorCode::SSL => Some(format!(
            "TLS cannot be agreed on: {reason}; check security.protocol, the certificates that are trusted \
             (ssl.truststore…) and the name that the broker is reached by"
        )),
        _ => None,
    }
}

/// A consumer of an isolation level: the level decides which end of a partition it is told.
pub(crate) struct Asker {
    consumer: BaseConsumer<Witness>,
}

/// The name of an isolation level in librdkafka's configuration.
pub(crate) fn isolation_name(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::Committed => "read_committed",
        Isolation::Uncommitted => "read_uncommitted",
    }
}

impl Asker {
    /// Makes the client; nothing is asked yet.
    pub(crate) fn new(options: &KafkaOptions, isolation: Isolation) -> Result<Self, Weather> {
        let mut config = options.config();
        config.set("isolation.level", isolation_name(isolation)).set("enable.auto.commit", "false");
        let consumer = config.create_with_context(Witness::default());
        let consumer = consumer.map_err(|error| Weather::new("make a Kafka client", error))?;
        Ok(Self { consumer })
    }

    /// Serves what waits in the client's queue (log lines, broken connections), so that it does not grow.
    fn drain(&self) {
        while self.consumer.poll(Duration::ZERO).is_some() {}
    }

    /// The first contact: asks until a broker answers, or one says what makes that hopeless.
    pub(crate) fn reach(&self, wait: Duration) -> Result<(), String> {
        let deadline = Instant::now() + wait;
        loop {
            let outcome = self.metadata(None, REACH_STEP);
            let Err(error) = outcome else { return Ok(()) };
            self.drain();
            let said = self.consumer.context().0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(why) = said.as_ref().and_then(|(code, reason)| hopeless(*code, reason)) {
                return Err(why);
            }
            if Instant::now() >= deadline {
                return Err(said.map_or_else(|| error.to_string(), |(_, reason)| format!("{error}; {reason}")));
            }
        }
    }

    /// Metadata of one topic, or of all.
    pub(crate) fn metadata(&self, topic: Option<&str>, wait: Duration) -> KafkaResult<Metadata> {
        self.drain();
        self.consumer.fetch_metadata(topic, wait)
    }

    /// The cluster's id.
    pub(crate) fn cluster_id(&self) -> Option<String> {
        self.consumer.client().fetch_cluster_id(CALL_DEADLINE)
    }

    /// The first offset and the end of each partition, as this isolation level sees it.
    pub(crate) fn ends(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, (Offset, Offset)>, Weather> {
        let first = self.offsets_at(partitions.iter().map(|partition| (partition, RawOffset::Beginning)))?;
        let end = self.offsets_at(partitions.iter().map(|partition| (partition, RawOffset::End)))?;
        Ok(first
            .into_iter()
            .filter_map(|(partition, first)| {
                let end = *end.get(&partition)?;
                Some((partition, (first, end)))
            })
            .collect())
    }

    /// The first offset at or after a timestamp, or the first or last one where that is asked instead.
    /// Partitions without such an offset are left out.
    pub(crate) fn offsets_at<'a>(
        &self,
        wanted: impl Iterator<Item = (&'a TopicPartition, RawOffset)>,
    ) -> Result<BTreeMap<TopicPartition, Offset>, Weather> {
        self.drain();
        let what = "find offsets of partitions";
        let mut list = TopicPartitionList::new();
        for (partition, time) in wanted {
            list.add_partition_offset(partition.topic.as_str(), partition.partition.0, time)
                .map_err(|error| Weather::new(what, error))?;
        }
        if list.count() == 0 {
            return Ok(BTreeMap::new());
        }
        let list = self.settled(&list).map_err(|error| Weather::new(what, error))?;
        let mut found = BTreeMap::new();
        for entry in ffi::listed(&list) {
            let partition = crate::offsets::partition_of(&entry);
            if let Some(code) = entry.error {
                return Err(Weather::new(format!("find an offset of {partition}"), code));
            }
            if entry.offset >= 0 {
                found.insert(partition, Offset(entry.offset));
            }
        }
        Ok(found)
    }

    /// Asks until leaders are known: right after a topic was made, brokers point to each other for a moment,
    /// and librdkafka hands that answer on instead of asking again.
    fn settled(&self, list: &TopicPartitionList) -> KafkaResult<TopicPartitionList> {
        let started = Instant::now();
        loop {
            let answer = self.consumer.offsets_for_times(list.clone(), CALL_DEADLINE);
            let moving = match &answer {
                Err(error) => error.rdkafka_error_code().is_some_and(leader_moves),
                Ok(list) => ffi::listed(list).iter().any(|entry| entry.error.is_some_and(leader_moves)),
            };
            if !moving || started.elapsed() >= LEADER_DEADLINE {
                return answer;
            }
            thread::sleep(LEADER_PAUSE);
        }
    }
}

/// The partition has a leader soon, or another one.
fn leader_moves(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::NotLeaderForPartition | Code::LeaderNotAvailable | Code::FencedLeaderEpoch | Code::UnknownLeaderEpoch
    )
}

/// The group has a coordinator soon, or another one.
fn coordinator_moves(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(code, Code::NotCoordinator | Code::CoordinatorNotAvailable | Code::CoordinatorLoadInProgress)
}

/// What a group has committed, asked through any consumer whose `group.id` it is. Partitions without a
/// committed offset are left out.
pub(crate) fn committed_by_group(
    consumer: &BaseConsumer,
    partitions: &[TopicPartition],
) -> Result<Vec<ListedOffset>, Weather> {
    let what = "read the committed offsets";
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let list = crate::offsets::unpositioned(partitions.iter());
    let started = Instant::now();
    let entries = loop {
        let answer = consumer.committed_offsets(list.clone(), COMMITTED_DEADLINE);
        let moving = match &answer {
            Err(error) => error.rdkafka_error_code().is_some_and(coordinator_moves),
            Ok(list) => ffi::listed(list).iter().any(|entry| entry.error.is_some_and(coordinator_moves)),
        };
        // The first question about a group of a young cluster (Kafka 3.9), or one while a coordinator moves.
        if moving && started.elapsed() < LEADER_DEADLINE {
            thread::sleep(LEADER_PAUSE);
            continue;
        }
        break ffi::listed(&answer.map_err(|error: KafkaError| Weather::new(what, error))?);
    };
    if let Some((entry, code)) = entries.iter().find_map(|entry| entry.error.map(|code| (entry, code))) {
        return Err(Weather::new(format!("{what} of {}", crate::offsets::partition_of(entry)), code));
    }
    Ok(entries.into_iter().filter(|entry| entry.offset >= 0).collect())
}
