//! Topics, their settings and their ends.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use broker::{
    Admin, AdminError, Cluster, CommittedOffset, ConfigChange, ConfigEntry, Isolation, NewTopic, NodeInfo, Operation,
    Resource, TopicDescription, TopicSetting, Weather,
};
use rdkafka::admin::{self as native, AdminOptions, ConfigSource, NewPartitions, ResourceSpecifier, TopicReplication};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use rdkafka::metadata::MetadataTopic;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use schemas::{GroupId, Offset, Partition, Topic, TopicPartition, TransactionalId};

use crate::{CALL_DEADLINE, Kafka, access, asking, closing, ffi, lane, offsets};

/// How often a new topic is asked for its leaders.
const LEADER_POLL: Duration = Duration::from_millis(20);

/// Codes that say something about the weather and nothing about what was asked.
pub(crate) fn is_weather(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::NotController
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::CoordinatorNotAvailable
            | Code::CoordinatorLoadInProgress
            | Code::NotCoordinator
            | Code::BrokerNotAvailable
            | Code::NetworkException
            | Code::MessageTimedOut
            | Code::Fail
            | Code::UnknownBroker
            | Code::TimedOutQueue
    )
}

fn admin_error(what: String, topic: &Topic, code: RDKafkaErrorCode, words: String) -> AdminError {
    match code {
        RDKafkaErrorCode::TopicAlreadyExists => AdminError::Exists(topic.clone()),
        RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => {
            AdminError::Missing(topic.clone())
        }
        code if is_weather(code) => Weather::new(what, words).into(),
        _ => AdminError::Refused { what, why: words },
    }
}

fn call_error(what: String, topic: &Topic, error: &KafkaError) -> AdminError {
    match error.rdkafka_error_code() {
        Some(code) => admin_error(what, topic, code, error.to_string()),
        None => AdminError::Refused { what, why: error.to_string() },
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for an answer of the admin client, which bounds it in time itself.
fn wait_for<F: Future>(answer: F) -> F::Output {
    let mut answer = pin!(answer);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match answer.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn admin_options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(CALL_DEADLINE)).operation_timeout(Some(CALL_DEADLINE / 2))
}

fn description(topic: &MetadataTopic) -> TopicDescription {
    TopicDescription {
        topic: Topic::existing(topic.name()),
        partitions: topic
            .partitions()
            .iter()
            .map(|partition| (Partition(partition.id()), partition.leader() < 0))
            .collect(),
        replication: topic
            .partitions()
            .first()
            .and_then(|first| u16::try_from(first.replicas().len()).ok())
            .unwrap_or(0),
    }
}

fn is_absent(topic: &MetadataTopic) -> bool {
    matches!(
        topic.error(),
        Some(
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART | RDKafkaRespErr::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
        )
    )
}

impl Kafka {
    /// Waits until every partition of a topic has a leader, and there are at least `partitions`.
    fn await_leaders(&self, topic: &Topic, partitions: u32, deadline: Instant) -> Result<(), Weather> {
        loop {
            let why = match self.topic(topic) {
                Ok(Some(found)) => {
                    let leaderless = found.partitions.iter().filter(|(_, leaderless)| *leaderless).count();
                    if leaderless == 0 && found.partitions.len() >= usize::try_from(partitions).unwrap_or(usize::MAX) {
                        return Ok(());
                    }
                    format!("{leaderless} of {} partitions have no leader yet", found.partitions.len())
                }
                Ok(None) => "no broker shows it yet".to_owned(),
                Err(weather) => weather.to_string(),
            };
            if Instant::now() >= deadline {
                return Err(Weather::new(format!("see the leaders of {topic}"), why));
            }
            std::thread::sleep(LEADER_POLL);
        }
    }
}

impl Admin for Kafka {
    fn cluster(&self) -> Result<Cluster, Weather> {
        let metadata = self
            .uncommitted
            .metadata(None, CALL_DEADLINE)
            .map_err(|error| Weather::new(format!("ask {} for its brokers", self.options.bootstrap), error))?;
        let nodes = metadata.brokers().iter();
        let nodes = nodes.map(|node| NodeInfo { id: node.id(), address: format!("{}:{}", node.host(), node.port()) });
        Ok(Cluster { nodes: nodes.collect(), id: self.uncommitted.cluster_id() })
    }

    fn topics(&self) -> Result<Vec<TopicDescription>, Weather> {
        let metadata = self.uncommitted.metadata(None, CALL_DEADLINE);
        let metadata = metadata.map_err(|error| Weather::new("list the topics", error))?;
        Ok(metadata.topics().iter().filter(|topic| !is_absent(topic)).map(description).collect())
    }

    fn topic(&self, topic: &Topic) -> Result<Option<TopicDescription>, Weather> {
        let what = || format!("describe topic {topic}");
        let metadata = self.uncommitted.metadata(Some(topic.as_str()), CALL_DEADLINE);
        let metadata = match metadata {
            Ok(metadata) => metadata,
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownTopicOrPartition) => {
                return Ok(None);
            }
            Err(error) => return Err(Weather::new(what(), error)),
        };
        match metadata.topics().first() {
            Some(found) if is_absent(found) => Ok(None),
            Some(found) => match found.error() {
                Some(error) if found.partitions().is_empty() => {
                    Err(Weather::new(what(), RDKafkaErrorCode::from(error)))
                }
                _ => Ok(Some(description(found))),
            },
            None => Ok(None),
        }
    }

    fn settings(&self, topic: &Topic) -> Result<TopicSetting, AdminError> {
        let what = || format!("read the settings of {topic}");
        let resource = [ResourceSpecifier::Topic(topic.as_str())];
        let answer = wait_for(self.admin.describe_configs(resource.iter(), &admin_options()));
        let mut resources = answer.map_err(|error| call_error(what(), topic, &error))?;
        let Some(resource) = resources.pop() else {
            return Err(Weather::new(what(), "the broker answered without them").into());
        };
        let resource = resource.map_err(|code| admin_error(what(), topic, code, code.to_string()))?;
        if resource.entries.is_empty() {
            // rdkafka drops the error of the resource; a topic that exists always has settings.
            let why = "the broker shows none: DescribeConfigs on the topic is not allowed".to_owned();
            return Err(match self.topic(topic)? {
                Some(_) => AdminError::Refused { what: what(), why },
                None => AdminError::Missing(topic.clone()),
            });
        }
        let entries = resource.entries.into_iter();
        Ok(entries
            .map(|entry| {
                let set_on_topic = entry.source == ConfigSource::DynamicTopic;
                (entry.name, ConfigEntry { value: entry.value, set_on_topic })
            })
            .collect())
    }

    fn create_topics(&self, topics: &[NewTopic]) -> Result<Vec<Result<(), AdminError>>, Weather> {
        let deadline = Instant::now() + CALL_DEADLINE;
        let native: Vec<native::NewTopic<'_>> = topics
            .iter()
            .map(|new| {
                let partitions = i32::try_from(new.partitions).unwrap_or(i32::MAX);
                let replication = new.replication.map_or(-1, i32::from);
                let native =
                    native::NewTopic::new(new.topic.as_str(), partitions, TopicReplication::Fixed(replication));
                new.settings.iter().fold(native, |native, (name, value)| native.set(name, value))
            })
            .collect();
        if native.is_empty() {
            return Ok(Vec::new());
        }
        let answer = wait_for(self.admin.create_topics(&native, &admin_options()));
        let answer = answer.map_err(|error| Weather::new("create topics", error))?;
        let outcomes: BTreeMap<String, Option<RDKafkaErrorCode>> = answer
            .into_iter()
            .map(|outcome| match outcome {
                Ok(name) => (name, None),
                Err((name, code)) => (name, Some(code)),
            })
            .collect();
        Ok(topics
            .iter()
            .map(|new| {
                let what = || format!("create topic {}", new.topic);
                match outcomes.get(new.topic.as_str()) {
                    Some(None) => Ok(self.await_leaders(&new.topic, new.partitions, deadline)?),
                    Some(Some(code)) => Err(admin_error(what(), &new.topic, *code, code.to_string())),
                    None => Err(Weather::new(what(), "the broker did not answer for it").into()),
                }
            })
            .collect())
    }

    fn add_partitions(&self, topic: &Topic, count: u32) -> Result<(), AdminError> {
        let what = || format!("raise {topic} to {count} partitions");
        let wanted = NewPartitions::new(topic.as_str(), usize::try_from(count).unwrap_or(usize::MAX));
        let answer = wait_for(self.admin.create_partitions([&wanted], &admin_options()));
        for outcome in answer.map_err(|error| call_error(what(), topic, &error))? {
            outcome.map_err(|(_, code)| admin_error(what(), topic, code, code.to_string()))?;
        }
        Ok(self.await_leaders(topic, count, Instant::now() + CALL_DEADLINE)?)
    }

    fn alter_settings(&self, topic: &Topic, changes: &BTreeMap<String, ConfigChange>) -> Result<(), AdminError> {
        if changes.is_empty() {
            return Ok(());
        }
        let changes = changes.iter().map(|(name, change)| match change {
            ConfigChange::Set(value) => (name.as_str(), Some(value.as_str())),
            ConfigChange::Unset => (name.as_str(), None),
        });
        ffi::alter_topic(self.admin.inner(), topic.as_str(), changes, CALL_DEADLINE).map_err(|failure| {
            admin_error(format!("change the settings of {topic}"), topic, failure.code, failure.text)
        })
    }

    fn delete_topic(&self, topic: &Topic) -> Result<(), AdminError> {
        let what = || format!("delete topic {topic}");
        let answer = wait_for(self.admin.delete_topics(&[topic.as_str()], &admin_options()));
        for outcome in answer.map_err(|error| call_error(what(), topic, &error))? {
            outcome.map_err(|(_, code)| admin_error(what(), topic, code, code.to_string()))?;
        }
        Ok(())
    }

    fn ends(
        &self,
        partitions: &[TopicPartition],
        committed: bool,
    ) -> Result<BTreeMap<TopicPartition, (Offset, Offset)>, Weather> {
        let isolation = if committed { Isolation::Committed } else { Isolation::Uncommitted };
        self.asker(isolation).ends(partitions)
    }

    fn group_offsets(
        &self,
        group: &GroupId,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, Weather> {
        let what = || format!("read the offsets of group {group}");
        let mut config = self.options.consumer(group.as_str());
        config.set("isolation.level", asking::isolation_name(Isolation::Committed));
        // What goes wrong is told by the call.
        config.set_log_level(RDKafkaLogLevel::Emerg);
        let consumer: BaseConsumer = config.create().map_err(|error| Weather::new(what(), error))?;
        let found =
            asking::committed_by_group(&consumer, partitions).map_err(|weather| Weather::new(what(), weather.why));
        closing::drop_apart(consumer);
        let found = found?.into_iter();
        Ok(found
            .map(|entry| {
                (
                    offsets::partition_of(&entry),
                    CommittedOffset { offset: Offset(entry.offset), metadata: lane::callers_part(entry.metadata) },
                )
            })
            .collect())
    }

    fn allowed(&self, resource: &Resource) -> Result<BTreeSet<Operation>, AdminError> {
        access::allowed(self, resource)
    }

    fn clock_ahead(&self, topic: &Topic, id: &TransactionalId) -> Result<Option<i64>, Weather> {
        access::clock_ahead(self, topic, id)
    }
}
