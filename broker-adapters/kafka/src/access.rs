//! What whoever is connected may do, asked of the broker in its own words, and what time the broker has.

use std::collections::BTreeSet;
use std::time::Duration;

use broker::{AdminError, Operation, Resource, Weather};
use rdkafka::types::RDKafkaErrorCode;
use schemas::{Timestamp, Topic, TransactionalId};

use crate::admin::is_weather;
use crate::ffi::{self, Failure, Outgoing};
use crate::transactor::{Transactor, TransactorOptions};
use crate::{CALL_DEADLINE, Kafka};

/// How long one of these questions may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// Kafka's numbers (AclOperation).
fn operation(number: u32) -> Option<Operation> {
    Some(match number {
        3 => Operation::Read,
        4 => Operation::Write,
        5 => Operation::Create,
        6 => Operation::Delete,
        7 => Operation::Alter,
        8 => Operation::Describe,
        9 => Operation::ClusterAction,
        10 => Operation::DescribeConfigs,
        11 => Operation::AlterConfigs,
        12 => Operation::IdempotentWrite,
        _ => return None,
    })
}

fn is_denial(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
    )
}

/// Who may not even see a resource may do nothing with it.
fn read(answer: Result<ffi::Operations, Failure>) -> Result<BTreeSet<Operation>, Failure> {
    match answer {
        Ok(numbers) => Ok(numbers.into_iter().filter_map(operation).collect()),
        Err(failure) if is_denial(failure.code) => Ok(BTreeSet::new()),
        Err(failure) => Err(failure),
    }
}

/// [`broker::Admin::allowed`].
pub(crate) fn allowed(kafka: &Kafka, resource: &Resource) -> Result<BTreeSet<Operation>, AdminError> {
    let client = kafka.admin.inner();
    let answer = match resource {
        Resource::Cluster => ffi::cluster_operations(client, CALL_DEADLINE),
        Resource::Topic(topic) => ffi::topic_operations(client, topic.as_str(), CALL_DEADLINE),
        Resource::Group(group) => ffi::group_operations(client, group.as_str(), CALL_DEADLINE),
        Resource::TransactionalId(id) => return transactional(kafka, id),
    };
    let what = || format!("ask what may be done with {}", named(resource));
    read(answer).map_err(|failure| match (failure.code, resource) {
        (RDKafkaErrorCode::UnknownTopicOrPartition, Resource::Topic(topic)) => AdminError::Missing(topic.clone()),
        (code, _) if is_weather(code) => Weather::new(what(), failure.text).into(),
        _ => AdminError::Refused { what: what(), why: failure.text },
    })
}

fn named(resource: &Resource) -> String {
    match resource {
        Resource::Cluster => "the cluster".to_owned(),
        Resource::Topic(topic) => format!("topic {topic}"),
        Resource::Group(group) => format!("group {group}"),
        Resource::TransactionalId(id) => format!("transactional id {id}"),
    }
}

/// No broker tells this, so it is tried.
fn transactional(kafka: &Kafka, id: &TransactionalId) -> Result<BTreeSet<Operation>, AdminError> {
    match Transactor::try_open(&kafka.options, id, probe()) {
        Ok(_) => Ok([Operation::Write, Operation::Describe].into()),
        Err(failure) if is_denial(failure.code) => Ok(BTreeSet::new()),
        Err(failure) => Err(Weather::new(format!("take over the transactional id {id}"), failure.text).into()),
    }
}

fn probe() -> TransactorOptions {
    TransactorOptions {
        role: "probe",
        transaction_timeout: PROBE_TIMEOUT,
        delivery_timeout: PROBE_TIMEOUT,
        quiet: true,
    }
}

/// [`broker::Admin::clock_ahead`].
pub(crate) fn clock_ahead(kafka: &Kafka, topic: &Topic, id: &TransactionalId) -> Result<Option<i64>, Weather> {
    let what = || format!("ask the broker for its time by a record to {topic} that is taken back");
    let failed = |failure: Failure| Weather::new(what(), failure.text);
    let mut transactor = Transactor::try_open(&kafka.options, id, probe()).map_err(failed)?;
    let outcome = stamped(&mut transactor, topic).map_err(|why| Weather::new(what(), why));
    // Whatever came of it: nothing of it is ever visible to a committed reader.
    transactor.abandon("it was a probe".to_owned());
    outcome
}

/// How far the time that the broker gives a record lies outside of when it can have done so.
fn stamped(transactor: &mut Transactor, topic: &Topic) -> Result<Option<i64>, String> {
    transactor.begin().map_err(|broken| broken.to_string())?;
    let topic = transactor.topic(topic.as_str()).map_err(|failure| failure.text)?;
    let record =
        Outgoing { topic, partition: 0, key: None, value: Some(b"probe"), timestamp: 0, headers_of: None, index: 0 };
    let before = Timestamp::now();
    transactor.produce(&record, std::iter::empty).map_err(|failure| failure.text)?;
    let (reports, _) = transactor.settle().map_err(|broken| broken.to_string())?;
    let after = Timestamp::now();
    let report = reports.first().ok_or("its delivery was not reported")?;
    if let Some(code) = report.error {
        return Err(code.to_string());
    }
    Ok(report.appended_at.map(|at| at - at.clamp(before.0, after.0)))
}
