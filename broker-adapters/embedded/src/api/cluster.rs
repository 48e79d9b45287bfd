//! Who the cluster is: ApiVersions, Metadata, DescribeCluster, FindCoordinator and their kind. There is one node,
//! which leads and coordinates everything.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::delete_acls_response::DeleteAclsFilterResult;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiVersionsResponse, BrokerId, CreateAclsRequest, CreateAclsResponse, DeleteAclsRequest, DeleteAclsResponse,
    DescribeAclsResponse, DescribeClusterRequest, DescribeClusterResponse, DescribeLogDirsRequest,
    DescribeLogDirsResponse, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, ListPartitionReassignmentsResponse, MetadataRequest, MetadataResponse,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::{VERSIONS, text, topic_name};
use crate::configs::Overrides;
use crate::partition::LEADER_EPOCH;
use crate::parts::Parts;
use crate::topics::{self, Topic, Wanted};

/// The number of the one node.
pub(super) const NODE: BrokerId = BrokerId(1);
/// What authorized operations are where nobody asked for them.
const NOT_ASKED: i32 = i32::MIN;
/// Without ACLs everybody may do everything: the bits of the operations of a topic and of a cluster
/// (`AclOperation`), as Kafka answers without an authorizer.
const ALL_OF_TOPIC: i32 = 0b0_1101_1111_1000;
const ALL_OF_CLUSTER: i32 = 0b1_1111_1010_0000;
/// More partitions than this need a second request.
const PARTITIONS_AT_ONCE: usize = 2_000;

pub(super) fn api_versions(error: Option<ResponseError>) -> ApiVersionsResponse {
    let spoken = VERSIONS.iter().map(|(api, least, most)| {
        ApiVersion::default().with_api_key(*api as i16).with_min_version(*least).with_max_version(*most)
    });
    ApiVersionsResponse::default()
        .with_error_code(error.map_or(0, |error| error.code()))
        .with_api_keys(spoken.collect())
}

pub(super) fn metadata(shared: &Arc<Parts>, request: MetadataRequest, version: i16) -> MetadataResponse {
    let (host, port) = address(shared);
    let broker = MetadataResponseBroker::default().with_node_id(NODE).with_host(host).with_port(port);
    let mut response = MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(text(shared.directory.cluster_id())))
        .with_controller_id(NODE);
    let operations = |asked: bool, all: i32| if asked && version >= 8 { all } else { NOT_ASKED };
    if (8..=10).contains(&version) {
        response.cluster_authorized_operations =
            operations(request.include_cluster_authorized_operations, ALL_OF_CLUSTER);
    }
    let of_topic = operations(request.include_topic_authorized_operations, ALL_OF_TOPIC);
    let may_make = request.allow_auto_topic_creation && shared.settings.auto_create_topics;
    let all = request.topics.is_none() || (version == 0 && request.topics.as_ref().is_some_and(Vec::is_empty));
    if all {
        response.topics = shared.topics.all().iter().map(|topic| known(topic, of_topic)).collect();
        return response;
    }
    for asked in request.topics.into_iter().flatten() {
        // Some clients name a topic by its id beside an empty name, others beside none.
        let by_id = !asked.topic_id.is_nil() || asked.name.is_none();
        let topic = match asked.name.as_ref().filter(|_| !by_id) {
            None => shared.topics.by_id(&asked.topic_id).ok_or(ResponseError::UnknownTopicId),
            Some(name) => match shared.topics.get(name) {
                Some(topic) => Ok(topic),
                None if topics::legal(name).is_err() => Err(ResponseError::InvalidTopicException),
                None if may_make => made(shared, name),
                None => Err(ResponseError::UnknownTopicOrPartition),
            },
        };
        response.topics.push(match topic {
            Ok(topic) => known(&topic, of_topic),
            Err(error) => {
                let missing = MetadataResponseTopic::default().with_error_code(error.code());
                let id = if by_id { asked.topic_id } else { Uuid::nil() };
                let name = if by_id && version < 12 { Some(topic_name("")) } else { asked.name };
                missing.with_name(name).with_topic_id(id).with_topic_authorized_operations(NOT_ASKED)
            }
        });
    }
    response
}

/// Makes a topic that a client asked for by name.
fn made(shared: &Arc<Parts>, name: &str) -> Result<Arc<Topic>, ResponseError> {
    let wanted = Wanted { name: name.to_owned(), partitions: shared.settings.partitions, configs: Overrides::new() };
    match shared.topics.create(wanted, false, shared.remembered.as_ref()) {
        Ok(topic) => Ok(topic),
        // Two clients asked at once.
        Err(refused) if refused.error == ResponseError::TopicAlreadyExists => {
            shared.topics.get(name).ok_or(ResponseError::UnknownTopicOrPartition)
        }
        Err(refused) => Err(refused.error),
    }
}

fn known(topic: &Topic, operations: i32) -> MetadataResponseTopic {
    let partitions = (0..).zip(&topic.partitions).map(|(index, _)| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(NODE)
            .with_leader_epoch(LEADER_EPOCH)
            .with_replica_nodes(vec![NODE])
            .with_isr_nodes(vec![NODE])
    });
    MetadataResponseTopic::default()
        .with_name(Some(topic_name(&topic.name)))
        .with_topic_id(topic.id)
        .with_partitions(partitions.collect())
        .with_topic_authorized_operations(operations)
}

fn address(shared: &Arc<Parts>) -> (StrBytes, i32) {
    let (host, port) = &shared.settings.advertised;
    (text(host.as_str()), i32::from(*port))
}

pub(super) fn describe(shared: &Arc<Parts>, request: &DescribeClusterRequest, version: i16) -> DescribeClusterResponse {
    let (host, port) = address(shared);
    let response = DescribeClusterResponse::default()
        .with_cluster_id(text(shared.directory.cluster_id()))
        .with_controller_id(NODE)
        .with_cluster_authorized_operations(NOT_ASKED);
    if version >= 1 && request.endpoint_type != 1 {
        let why = "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER";
        let error = ResponseError::MismatchedEndpointType.code();
        return response.with_error_code(error).with_error_message(Some(text(why))).with_controller_id((-1).into());
    }
    let asked = request.include_cluster_authorized_operations;
    response
        .with_brokers(vec![DescribeClusterBroker::default().with_broker_id(NODE).with_host(host).with_port(port)])
        .with_cluster_authorized_operations(if asked { ALL_OF_CLUSTER } else { NOT_ASKED })
}

pub(super) fn find_coordinator(
    shared: &Arc<Parts>,
    request: FindCoordinatorRequest,
    version: i16,
) -> FindCoordinatorResponse {
    let (host, port) = address(shared);
    // Groups and transactions; not the share groups of KIP-932.
    let error = if matches!(request.key_type, 0 | 1) { 0 } else { ResponseError::InvalidRequest.code() };
    if version < 4 {
        let response = FindCoordinatorResponse::default().with_error_code(error);
        return match error {
            0 => response.with_node_id(NODE).with_host(host).with_port(port),
            _ => response.with_node_id((-1).into()).with_port(-1),
        };
    }
    let one = |key| {
        let coordinator = Coordinator::default().with_key(key).with_error_code(error);
        match error {
            0 => coordinator.with_node_id(NODE).with_host(host.clone()).with_port(port),
            _ => coordinator.with_node_id((-1).into()).with_port(-1),
        }
    };
    FindCoordinatorResponse::default().with_coordinators(request.coordinator_keys.into_iter().map(one).collect())
}

pub(super) fn topic_partitions(
    shared: &Arc<Parts>,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let mut names: Vec<String> = if request.topics.is_empty() {
        shared.topics.all().iter().map(|topic| topic.name.clone()).collect()
    } else {
        request.topics.iter().map(|topic| topic.name.to_string()).collect()
    };
    names.sort_unstable();
    names.dedup();
    let from = request.cursor.map(|cursor| (cursor.topic_name.to_string(), cursor.partition_index));
    let mut left = usize::try_from(request.response_partition_limit).unwrap_or(0).clamp(1, PARTITIONS_AT_ONCE);
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names {
        let first = match &from {
            Some((topic, _)) if name < *topic => continue,
            Some((topic, partition)) if name == *topic => usize::try_from(*partition).unwrap_or(0),
            _ => 0,
        };
        if left == 0 {
            let cursor = Cursor::default().with_topic_name(topic_name(&name)).with_partition_index(0);
            response.next_cursor = Some(cursor);
            break;
        }
        let Some(topic) = shared.topics.get(&name) else {
            let missing = DescribeTopicPartitionsResponseTopic::default().with_name(Some(topic_name(&name)));
            let missing = missing.with_topic_authorized_operations(NOT_ASKED);
            response.topics.push(missing.with_error_code(ResponseError::UnknownTopicOrPartition.code()));
            continue;
        };
        let shown = topic.partitions.len().saturating_sub(first).min(left);
        response.topics.push(partitions_of(&topic, first, shown));
        left -= shown;
        if first + shown < topic.partitions.len() {
            let next = i32::try_from(first + shown).unwrap_or(i32::MAX);
            response.next_cursor =
                Some(Cursor::default().with_topic_name(topic_name(&name)).with_partition_index(next));
            break;
        }
    }
    response
}

fn partitions_of(topic: &Topic, first: usize, shown: usize) -> DescribeTopicPartitionsResponseTopic {
    let partitions = (0..).zip(&topic.partitions).skip(first).take(shown).map(|(index, _)| {
        DescribeTopicPartitionsResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(NODE)
            .with_leader_epoch(LEADER_EPOCH)
            .with_replica_nodes(vec![NODE])
            .with_isr_nodes(vec![NODE])
            .with_eligible_leader_replicas(Some(Vec::new()))
            .with_last_known_elr(Some(Vec::new()))
    });
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(topic_name(&topic.name)))
        .with_topic_id(topic.id)
        .with_partitions(partitions.collect())
        .with_topic_authorized_operations(ALL_OF_TOPIC)
}

pub(super) fn log_dirs(shared: &Arc<Parts>, request: DescribeLogDirsRequest, version: i16) -> DescribeLogDirsResponse {
    let asked: Option<BTreeMap<String, Vec<i32>>> = request
        .topics
        .map(|topics| topics.into_iter().map(|topic| (topic.topic.to_string(), topic.partitions)).collect());
    let mut result = DescribeLogDirsResult::default().with_log_dir(text(shared.directory.path().display().to_string()));
    for topic in shared.topics.all() {
        let Some(wanted) = asked.as_ref().map_or(Some(None), |asked| asked.get(&topic.name).map(Some)) else {
            continue;
        };
        let partitions =
            (0..).zip(&topic.partitions).filter(|(index, _)| wanted.is_none_or(|some| some.contains(index)));
        let sizes = partitions.map(|(index, partition)| {
            let size = i64::try_from(partition.log().size()).unwrap_or(i64::MAX);
            DescribeLogDirsPartition::default().with_partition_index(index).with_partition_size(size)
        });
        let sizes = sizes.collect();
        result.topics.push(DescribeLogDirsTopic::default().with_name(topic_name(&topic.name)).with_partitions(sizes));
    }
    if version >= 4 {
        // Not looked up: -1 says so.
        result = result.with_total_bytes(-1).with_usable_bytes(-1);
    }
    DescribeLogDirsResponse::default().with_results(vec![result])
}

/// A copy that is the only one is not moved.
pub(super) fn reassignments() -> ListPartitionReassignmentsResponse {
    ListPartitionReassignmentsResponse::default()
}

const NO_ACLS: &str = "No Authorizer is configured.";

pub(super) fn describe_acls() -> DescribeAclsResponse {
    let error = ResponseError::SecurityDisabled.code();
    DescribeAclsResponse::default().with_error_code(error).with_error_message(Some(text(NO_ACLS)))
}

pub(super) fn create_acls(request: &CreateAclsRequest) -> CreateAclsResponse {
    let error = ResponseError::SecurityDisabled.code();
    let one = AclCreationResult::default().with_error_code(error).with_error_message(Some(text(NO_ACLS)));
    CreateAclsResponse::default().with_results(vec![one; request.creations.len()])
}

pub(super) fn delete_acls(request: &DeleteAclsRequest) -> DeleteAclsResponse {
    let error = ResponseError::SecurityDisabled.code();
    let one = DeleteAclsFilterResult::default().with_error_code(error).with_error_message(Some(text(NO_ACLS)));
    DeleteAclsResponse::default().with_filter_results(vec![one; request.filters.len()])
}
