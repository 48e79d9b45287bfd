//! DescribeConfigs, AlterConfigs, IncrementalAlterConfigs: settings of topics, and of the broker as their default.

use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse as Altered;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::incremental_alter_configs_request::AlterableConfig;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse as AlteredPartly;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::{cluster, text};
use crate::configs::{self, Definition, Kind, Overrides};
use crate::parts::Parts;
use crate::topics::{Refused, refused};

/// `ConfigResource.Type`.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// Where a value comes from (`ConfigEntry.ConfigSource`).
const FROM_TOPIC: i8 = 1;
const FROM_BROKER: i8 = 3;
const FROM_DEFAULT: i8 = 5;

pub(super) fn describe(shared: &Arc<Parts>, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let mut response = DescribeConfigsResponse::default();
    for asked in request.resources {
        let result = DescribeConfigsResult::default()
            .with_resource_type(asked.resource_type)
            .with_resource_name(asked.resource_name.clone());
        response.results.push(match described(shared, &asked) {
            Ok(mut configs) => {
                configs.retain(|config| wanted(&asked, &config.name));
                for config in &mut configs {
                    if !request.include_synonyms {
                        config.synonyms.clear();
                    }
                    if !request.include_documentation {
                        config.documentation = None;
                    }
                }
                result.with_configs(configs)
            }
            Err(Refused { error, why }) => result.with_error_code(error.code()).with_error_message(Some(text(why))),
        });
    }
    response
}

/// No names at all, and in old clients an empty list, stand for every setting.
fn wanted(asked: &DescribeConfigsResource, name: &StrBytes) -> bool {
    asked.configuration_keys.as_ref().is_none_or(|names| names.is_empty() || names.contains(name))
}

fn described(
    shared: &Arc<Parts>,
    asked: &DescribeConfigsResource,
) -> Result<Vec<DescribeConfigsResourceResult>, Refused> {
    let broker = shared.topics.broker_configs();
    match asked.resource_type {
        TOPIC => {
            let missing =
                || refused(ResponseError::UnknownTopicOrPartition, "This server does not host this topic-partition.");
            let topic = shared.topics.get(&asked.resource_name).ok_or_else(missing)?;
            Ok(of_topic(&topic.configs, &broker))
        }
        BROKER => {
            is_this_broker(&asked.resource_name)?;
            Ok(of_broker(shared, &broker))
        }
        other => Err(refused(
            ResponseError::InvalidRequest,
            format!("this broker keeps no settings of resource type {other}"),
        )),
    }
}

/// The settings of a topic, as clients see them.
pub(super) fn of_topic(topic: &Overrides, broker: &Overrides) -> Vec<DescribeConfigsResourceResult> {
    let one = |definition: &Definition| {
        let mut synonyms = Vec::new();
        synonyms.extend(topic.get(definition.name).map(|value| synonym(definition.name, value, FROM_TOPIC)));
        synonyms.extend(
            broker.get(definition.broker_name).map(|value| synonym(definition.broker_name, value, FROM_BROKER)),
        );
        synonyms.push(synonym(definition.broker_name, definition.default, FROM_DEFAULT));
        entry(definition.name, definition, synonyms, false)
    };
    configs::TOPIC.iter().map(one).collect()
}

fn of_broker(shared: &Arc<Parts>, broker: &Overrides) -> Vec<DescribeConfigsResourceResult> {
    let one = |definition: &Definition| {
        let mut synonyms = Vec::new();
        synonyms.extend(
            broker.get(definition.broker_name).map(|value| synonym(definition.broker_name, value, FROM_BROKER)),
        );
        synonyms.push(synonym(definition.broker_name, definition.default, FROM_DEFAULT));
        entry(definition.broker_name, definition, synonyms, false)
    };
    let settings = &shared.settings;
    let fixed = [
        ("auto.create.topics.enable", settings.auto_create_topics.to_string(), Kind::Boolean),
        ("broker.id", cluster::NODE.0.to_string(), Kind::Int),
        ("default.replication.factor", "1".to_owned(), Kind::Int),
        ("log.dirs", settings.data.display().to_string(), Kind::Text),
        ("node.id", cluster::NODE.0.to_string(), Kind::Int),
        ("num.partitions", settings.partitions.to_string(), Kind::Int),
        ("offsets.retention.minutes", "10080".to_owned(), Kind::Int),
        ("socket.request.max.bytes", settings.bounds.request_bytes.to_string(), Kind::Int),
        ("transaction.max.timeout.ms", settings.bounds.transaction_timeout.as_millis().to_string(), Kind::Int),
    ];
    let fixed = fixed.into_iter().map(|(name, value, kind)| {
        DescribeConfigsResourceResult::default()
            .with_name(text(name))
            .with_value(Some(text(value)))
            .with_read_only(true)
            .with_config_source(FROM_DEFAULT)
            .with_config_type(kind.code())
    });
    let mut all: Vec<_> = configs::TOPIC.iter().map(one).chain(fixed).collect();
    all.sort_by(|one, other| one.name.as_str().cmp(other.name.as_str()));
    all
}

fn synonym(name: &str, value: &str, source: i8) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym::default().with_name(text(name)).with_value(Some(text(value))).with_source(source)
}

/// An entry whose value is that of the first synonym.
fn entry(
    name: &str,
    definition: &Definition,
    synonyms: Vec<DescribeConfigsSynonym>,
    read_only: bool,
) -> DescribeConfigsResourceResult {
    let first = synonyms.first();
    DescribeConfigsResourceResult::default()
        .with_name(text(name))
        .with_value(first.and_then(|first| first.value.clone()))
        .with_config_source(first.map_or(FROM_DEFAULT, |first| first.source))
        .with_read_only(read_only)
        .with_config_type(definition.kind.code())
        .with_documentation(Some(text(definition.documentation)))
        .with_synonyms(synonyms)
}

/// The broker by its number, or by nothing for all brokers.
fn is_this_broker(name: &str) -> Result<(), Refused> {
    if name.is_empty() || name.parse() == Ok(cluster::NODE.0) {
        return Ok(());
    }
    let why = format!("Unexpected broker id, expected {} or empty string, but received {name}", cluster::NODE.0);
    Err(refused(ResponseError::InvalidRequest, why))
}

pub(super) fn alter(shared: &Arc<Parts>, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let mut response = AlterConfigsResponse::default();
    for asked in request.resources {
        let mut overrides = Overrides::new();
        for config in &asked.configs {
            if let Some(value) = &config.value {
                overrides.insert(config.name.to_string(), value.to_string());
            }
        }
        let altered =
            change(shared, asked.resource_type, &asked.resource_name, request.validate_only, |_| Ok(overrides));
        let (code, why) = outcome(altered);
        response.responses.push(
            Altered::default()
                .with_resource_type(asked.resource_type)
                .with_resource_name(asked.resource_name)
                .with_error_code(code)
                .with_error_message(why),
        );
    }
    response
}

pub(super) fn alter_incrementally(
    shared: &Arc<Parts>,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let mut response = IncrementalAlterConfigsResponse::default();
    for asked in request.resources {
        let changes = asked.configs;
        let change_all = |now: &Overrides| step_by_step(now, &changes, asked.resource_type);
        let altered = change(shared, asked.resource_type, &asked.resource_name, request.validate_only, change_all);
        let (code, why) = outcome(altered);
        response.responses.push(
            AlteredPartly::default()
                .with_resource_type(asked.resource_type)
                .with_resource_name(asked.resource_name)
                .with_error_code(code)
                .with_error_message(why),
        );
    }
    response
}

fn change(
    shared: &Arc<Parts>,
    resource: i8,
    name: &str,
    dry: bool,
    change: impl FnOnce(&Overrides) -> Result<Overrides, Refused>,
) -> Result<(), Refused> {
    match resource {
        TOPIC => shared.topics.configure(name, change, dry, shared.remembered.as_ref()),
        BROKER => {
            is_this_broker(name)?;
            shared.topics.configure_broker(change, dry, shared.remembered.as_ref())
        }
        other => Err(refused(
            ResponseError::InvalidRequest,
            format!("this broker keeps no settings of resource type {other}"),
        )),
    }
}

/// Set, delete, append and subtract (KIP-339), one after the other.
fn step_by_step(now: &Overrides, changes: &[AlterableConfig], resource: i8) -> Result<Overrides, Refused> {
    let mut next = now.clone();
    for change in changes {
        let name = change.name.as_str();
        let definition = if resource == TOPIC { configs::of_topic(name) } else { configs::of_broker(name) };
        let unknown = || refused(ResponseError::InvalidConfig, format!("Unknown topic config name: {name}"));
        let definition = definition.ok_or_else(unknown)?;
        let value = change.value.as_ref().map(|value| value.to_string());
        match (change.config_operation, value) {
            (0, Some(value)) => drop(next.insert(name.to_owned(), value)),
            (1, _) => drop(next.remove(name)),
            (2 | 3, Some(value)) if definition.kind == Kind::List => {
                let current = next.get(name).map_or(definition.default, String::as_str);
                let mut parts: Vec<String> = current.split(',').map(|part| part.trim().to_owned()).collect();
                let named: Vec<String> = value.split(',').map(|part| part.trim().to_owned()).collect();
                parts.retain(|part| !part.is_empty() && !named.contains(part));
                if change.config_operation == 2 {
                    parts.extend(named);
                }
                next.insert(name.to_owned(), parts.join(","));
            }
            (2 | 3, Some(_)) => {
                let why = format!("Can't append or subtract to config {name} because its type is not LIST.");
                return Err(refused(ResponseError::InvalidConfig, why));
            }
            (_, None) => {
                return Err(refused(ResponseError::InvalidRequest, format!("Null value not supported for : {name}")));
            }
            (other, _) => {
                return Err(refused(ResponseError::InvalidRequest, format!("unknown operation {other} for {name}")));
            }
        }
    }
    Ok(next)
}

fn outcome(altered: Result<(), Refused>) -> (i16, Option<StrBytes>) {
    match altered {
        Ok(()) => (0, None),
        Err(Refused { error, why }) => (error.code(), Some(text(why))),
    }
}
