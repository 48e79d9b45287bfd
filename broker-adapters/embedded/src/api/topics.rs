//! CreateTopics, DeleteTopics, CreatePartitions.

use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse,
};

use super::{configs, text, topic_name};
use crate::configs::Overrides;
use crate::parts::Parts;
use crate::topics::{Refused, Topic, Wanted, refused};

/// From this version on an answer says the topic's id, size and settings.
const TELLS_ALL: i16 = 5;

pub(super) fn create(shared: &Arc<Parts>, request: CreateTopicsRequest, version: i16) -> CreateTopicsResponse {
    let mut response = CreateTopicsResponse::default();
    let names: Vec<_> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    for topic in request.topics {
        let result = CreatableTopicResult::default().with_name(topic.name.clone());
        let twice = names.iter().filter(|name| **name == topic.name).count() > 1;
        let made = if twice {
            Err(refused(ResponseError::InvalidRequest, format!("Duplicate topic name: {}", topic.name.as_str())))
        } else {
            create_one(shared, topic, request.validate_only)
        };
        response.topics.push(match made {
            Ok((topic, partitions)) if version >= TELLS_ALL => tell(shared, result, &topic, partitions, version),
            Ok(_) => result,
            Err(Refused { error, why }) => {
                let result = result.with_error_code(error.code()).with_num_partitions(-1).with_replication_factor(-1);
                result.with_error_message(Some(text(why))).with_configs(None)
            }
        });
    }
    response
}

fn create_one(shared: &Arc<Parts>, topic: CreatableTopic, dry: bool) -> Result<(Arc<Topic>, u32), Refused> {
    let partitions = size(shared, &topic)?;
    let mut overrides = Overrides::new();
    for config in topic.configs {
        let name = config.name.to_string();
        let Some(value) = config.value else {
            let why = format!("Null value not supported for topic configs: {name}");
            return Err(refused(ResponseError::InvalidConfig, why));
        };
        overrides.insert(name, value.to_string());
    }
    let wanted = Wanted { name: topic.name.to_string(), partitions, configs: overrides };
    shared.topics.create(wanted, dry, shared.remembered.as_ref()).map(|topic| (topic, partitions))
}

/// How many partitions are asked for, by number or by a list of who keeps them: this broker, once.
fn size(shared: &Arc<Parts>, topic: &CreatableTopic) -> Result<u32, Refused> {
    if topic.assignments.is_empty() {
        let partitions = match topic.num_partitions {
            -1 => shared.settings.partitions,
            number => u32::try_from(number).unwrap_or(0),
        };
        if !matches!(topic.replication_factor, -1 | 1) {
            let why = match topic.replication_factor {
                ..=0 => "Replication factor must be larger than 0, or -1 to use the default value.".to_owned(),
                factor => format!(
                    "Unable to replicate the partition {factor} time(s): The target replication factor of {factor} cannot be reached because only 1 broker(s) are registered."
                ),
            };
            return Err(refused(ResponseError::InvalidReplicationFactor, why));
        }
        return Ok(partitions);
    }
    if topic.num_partitions != -1 || topic.replication_factor != -1 {
        let why =
            "A manual partition assignment was specified, but numPartitions or replicationFactor was not set to -1.";
        return Err(refused(ResponseError::InvalidRequest, why));
    }
    let mut indexes: Vec<i32> = topic.assignments.iter().map(|assignment| assignment.partition_index).collect();
    indexes.sort_unstable();
    let here = topic.assignments.iter().all(|assignment| assignment.broker_ids == [super::cluster::NODE]);
    if !here || indexes.iter().zip(0..).any(|(index, expected)| *index != expected) {
        let why = "Partitions are numbered from 0, and their only copy is on broker 1.";
        return Err(refused(ResponseError::InvalidReplicaAssignment, why));
    }
    u32::try_from(indexes.len()).map_err(|_| refused(ResponseError::InvalidPartitions, "too many partitions"))
}

fn tell(
    shared: &Arc<Parts>,
    result: CreatableTopicResult,
    topic: &Topic,
    partitions: u32,
    version: i16,
) -> CreatableTopicResult {
    let configs = configs::of_topic(&topic.configs, &shared.topics.broker_configs()).into_iter().map(|config| {
        CreatableTopicConfigs::default()
            .with_name(config.name)
            .with_value(config.value)
            .with_read_only(config.read_only)
            .with_config_source(config.config_source)
            .with_is_sensitive(false)
    });
    let result = result
        .with_num_partitions(i32::try_from(partitions).unwrap_or(i32::MAX))
        .with_replication_factor(1)
        .with_configs(Some(configs.collect()));
    if version >= 7 { result.with_topic_id(topic.id) } else { result }
}

pub(super) fn delete(shared: &Arc<Parts>, request: DeleteTopicsRequest, version: i16) -> DeleteTopicsResponse {
    let by_name = request.topic_names.into_iter().map(|name| DeleteTopicState::default().with_name(Some(name)));
    let asked: Vec<_> = if version >= 6 { request.topics } else { by_name.collect() };
    let mut response = DeleteTopicsResponse::default();
    for asked in asked {
        let (topic, missing) = match &asked.name {
            Some(name) => (shared.topics.get(name), ResponseError::UnknownTopicOrPartition),
            None => (shared.topics.by_id(&asked.topic_id), ResponseError::UnknownTopicId),
        };
        let mut result = DeletableTopicResult::default().with_name(asked.name);
        if version >= 6 {
            result.topic_id = topic.as_ref().map_or(asked.topic_id, |topic| topic.id);
        }
        let deleted = topic.ok_or_else(|| refused(missing, missing.to_string())).and_then(|topic| {
            shared.topics.delete(&topic, shared.remembered.as_ref())?;
            if let Err(error) = shared.groups.topic_deleted(&topic.name) {
                tracing::warn!(topic = topic.name, %error, "cannot forget the offsets of a deleted topic");
            }
            Ok(topic)
        });
        response.responses.push(match deleted {
            Ok(topic) => result.with_name(Some(topic_name(&topic.name))),
            Err(Refused { error, why }) => {
                let message = (version >= 5).then(|| text(why));
                result.with_error_code(error.code()).with_error_message(message)
            }
        });
    }
    response
}

pub(super) fn create_partitions(shared: &Arc<Parts>, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let mut response = CreatePartitionsResponse::default();
    for asked in request.topics {
        let result = CreatePartitionsTopicResult::default().with_name(asked.name.clone());
        let elsewhere = asked.assignments.iter().flatten().any(|copy| copy.broker_ids != [super::cluster::NODE]);
        let grown = if elsewhere {
            Err(refused(ResponseError::InvalidReplicaAssignment, "The only copy of a partition is on broker 1."))
        } else {
            shared.topics.grow(&asked.name, asked.count, request.validate_only, shared.remembered.as_ref())
        };
        response.results.push(match grown {
            Ok(()) => result,
            Err(Refused { error, why }) => result.with_error_code(error.code()).with_error_message(Some(text(why))),
        });
    }
    response
}
