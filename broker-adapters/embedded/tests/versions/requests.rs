//! For every API a request that a broker of one node answers without an error, at any version that the crate can
//! encode.
//!
//! Knows in which version which field exists. Knows nothing of connections, nor of how what it names came to be.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{self as api, ApiKey, BrokerId, GroupId, ProducerId, RequestKind, TopicName};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use uuid::Uuid;

/// What a request may name: all of it exists on the broker when the request is sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    /// A topic of two partitions with some records.
    pub(crate) topic: String,
    pub(crate) topic_id: Uuid,
    /// Begins the names of what is created.
    pub(crate) prefix: String,
    /// A group with a committed offset for partition 0 of the topic.
    pub(crate) group: String,
    /// A member of `group`, where the API is about members; otherwise nobody.
    pub(crate) member: String,
    pub(crate) generation: i32,
    /// A transactional producer that has begun a transaction, where the API is about transactions.
    pub(crate) transactional_id: String,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
}

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

impl World {
    fn topic(&self) -> TopicName {
        TopicName(text(&self.topic))
    }

    fn group(&self) -> GroupId {
        GroupId(text(&self.group))
    }

    fn transactional_id(&self) -> api::TransactionalId {
        api::TransactionalId(text(&self.transactional_id))
    }
}

/// The request for this API at this version; `None` for an API that is not exercised.
pub(crate) fn request_for(api_key: ApiKey, version: i16, world: &World) -> Option<RequestKind> {
    records(api_key, version, world)
        .or_else(|| members(api_key, version, world))
        .or_else(|| groups(api_key, version, world))
        .or_else(|| topics(api_key, version, world))
        .or_else(|| configs(api_key, world))
        .or_else(|| transactions(api_key, version, world))
        .or_else(|| cluster(api_key, version, world))
}

/// A batch of two records, as an idempotent producer without an id sends it.
fn batch() -> Bytes {
    let record = |offset: i64| Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset,
        sequence: if offset == 0 { -1 } else { offset as i32 - 1 },
        timestamp: now(),
        key: Some(Bytes::from_static(b"key")),
        value: Some(Bytes::from_static(b"value")),
        headers: Default::default(),
    };
    let mut buffer = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut buffer, &[record(0), record(1)], &options).expect("records of ours can be encoded");
    buffer.freeze()
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock after 1970");
    i64::try_from(since.as_millis()).expect("a clock before the year 292278994")
}

fn records(api_key: ApiKey, version: i16, world: &World) -> Option<RequestKind> {
    Some(match api_key {
        ApiKey::Produce => {
            let data = api::produce_request::PartitionProduceData::default().with_index(0).with_records(Some(batch()));
            let topic = api::produce_request::TopicProduceData::default().with_partition_data(vec![data]);
            let topic =
                if version >= 13 { topic.with_topic_id(world.topic_id) } else { topic.with_name(world.topic()) };
            let request = api::ProduceRequest::default().with_acks(-1).with_timeout_ms(10_000);
            RequestKind::Produce(request.with_topic_data(vec![topic]))
        }
        ApiKey::Fetch => {
            let partition = api::fetch_request::FetchPartition::default().with_partition_max_bytes(1 << 20);
            let topic = api::fetch_request::FetchTopic::default().with_partitions(vec![partition]);
            let topic =
                if version >= 13 { topic.with_topic_id(world.topic_id) } else { topic.with_topic(world.topic()) };
            let request = api::FetchRequest::default().with_max_wait_ms(100).with_min_bytes(1).with_max_bytes(1 << 20);
            let request = request.with_isolation_level(1).with_topics(vec![topic]);
            // As a consumer asks that wants no session.
            RequestKind::Fetch(if version >= 7 { request.with_session_epoch(-1) } else { request })
        }
        ApiKey::ListOffsets => {
            // The newest kind of offset that the version knows, beside those that all know.
            let special = if version >= 7 { -3 } else { now() - 60_000 };
            let ask = |timestamp| api::list_offsets_request::ListOffsetsPartition::default().with_timestamp(timestamp);
            let partitions = vec![ask(special), ask(-1).with_partition_index(1)];
            let topic = api::list_offsets_request::ListOffsetsTopic::default().with_name(world.topic());
            let request = api::ListOffsetsRequest::default().with_replica_id(BrokerId(-1));
            RequestKind::ListOffsets(request.with_topics(vec![topic.with_partitions(partitions)]))
        }
        ApiKey::OffsetForLeaderEpoch => {
            let partition = api::offset_for_leader_epoch_request::OffsetForLeaderPartition::default();
            let topic = api::offset_for_leader_epoch_request::OffsetForLeaderTopic::default().with_topic(world.topic());
            let topic = topic.with_partitions(vec![partition.with_leader_epoch(0)]);
            let request = api::OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
            RequestKind::OffsetForLeaderEpoch(if version >= 3 {
                request.with_replica_id(BrokerId(-1))
            } else {
                request
            })
        }
        ApiKey::DeleteRecords => {
            let partition = api::delete_records_request::DeleteRecordsPartition::default().with_offset(0);
            let topic = api::delete_records_request::DeleteRecordsTopic::default().with_name(world.topic());
            let request = api::DeleteRecordsRequest::default().with_timeout_ms(10_000);
            RequestKind::DeleteRecords(request.with_topics(vec![topic.with_partitions(vec![partition])]))
        }
        ApiKey::DescribeProducers => {
            let topic = api::describe_producers_request::TopicRequest::default().with_name(world.topic());
            let topic = topic.with_partition_indexes(vec![0]);
            RequestKind::DescribeProducers(api::DescribeProducersRequest::default().with_topics(vec![topic]))
        }
        _ => return None,
    })
}

/// The member's own calls.
fn members(api_key: ApiKey, version: i16, world: &World) -> Option<RequestKind> {
    let member = || text(&world.member);
    Some(match api_key {
        ApiKey::JoinGroup => {
            let protocol = api::join_group_request::JoinGroupRequestProtocol::default().with_name(text("range"));
            let protocol = protocol.with_metadata(Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
            let request = api::JoinGroupRequest::default().with_group_id(world.group()).with_session_timeout_ms(30_000);
            let request = request.with_rebalance_timeout_ms(if version >= 1 { 30_000 } else { -1 });
            let request = request.with_member_id(member()).with_protocol_type(text("consumer"));
            let request = if version >= 8 { request.with_reason(Some(text("a test"))) } else { request };
            RequestKind::JoinGroup(request.with_protocols(vec![protocol]))
        }
        ApiKey::SyncGroup => {
            let share = api::sync_group_request::SyncGroupRequestAssignment::default().with_member_id(member());
            let request = api::SyncGroupRequest::default().with_group_id(world.group());
            let request = request.with_generation_id(world.generation).with_member_id(member());
            let request = if version >= 5 {
                request.with_protocol_type(Some(text("consumer"))).with_protocol_name(Some(text("range")))
            } else {
                request
            };
            RequestKind::SyncGroup(request.with_assignments(vec![share.with_assignment(Bytes::from_static(b"share"))]))
        }
        ApiKey::Heartbeat => {
            let request = api::HeartbeatRequest::default().with_group_id(world.group()).with_member_id(member());
            RequestKind::Heartbeat(request.with_generation_id(world.generation))
        }
        ApiKey::LeaveGroup => {
            let request = api::LeaveGroupRequest::default().with_group_id(world.group());
            let leaver = api::leave_group_request::MemberIdentity::default().with_member_id(member());
            RequestKind::LeaveGroup(if version >= 3 {
                request.with_members(vec![leaver])
            } else {
                request.with_member_id(member())
            })
        }
        _ => return None,
    })
}

fn groups(api_key: ApiKey, version: i16, world: &World) -> Option<RequestKind> {
    Some(match api_key {
        ApiKey::OffsetCommit => {
            let partition = api::offset_commit_request::OffsetCommitRequestPartition::default();
            let partition = partition.with_committed_offset(1).with_committed_metadata(Some(text("notes")));
            let topic =
                api::offset_commit_request::OffsetCommitRequestTopic::default().with_partitions(vec![partition]);
            let topic =
                if version >= 10 { topic.with_topic_id(world.topic_id) } else { topic.with_name(world.topic()) };
            let request = api::OffsetCommitRequest::default().with_group_id(world.group());
            RequestKind::OffsetCommit(request.with_generation_id_or_member_epoch(-1).with_topics(vec![topic]))
        }
        ApiKey::OffsetFetch if version >= 8 => {
            let topic =
                api::offset_fetch_request::OffsetFetchRequestTopics::default().with_partition_indexes(vec![0, 1]);
            let topic =
                if version >= 10 { topic.with_topic_id(world.topic_id) } else { topic.with_name(world.topic()) };
            let group = api::offset_fetch_request::OffsetFetchRequestGroup::default().with_group_id(world.group());
            let request = api::OffsetFetchRequest::default().with_require_stable(true);
            RequestKind::OffsetFetch(request.with_groups(vec![group.with_topics(Some(vec![topic]))]))
        }
        ApiKey::OffsetFetch => {
            let topic = api::offset_fetch_request::OffsetFetchRequestTopic::default().with_name(world.topic());
            let topics = Some(vec![topic.with_partition_indexes(vec![0, 1])]);
            let request = api::OffsetFetchRequest::default().with_group_id(world.group()).with_topics(topics);
            RequestKind::OffsetFetch(request.with_require_stable(version >= 7))
        }
        ApiKey::FindCoordinator => {
            let request = api::FindCoordinatorRequest::default();
            RequestKind::FindCoordinator(if version >= 4 {
                request.with_coordinator_keys(vec![text(&world.group)])
            } else {
                request.with_key(text(&world.group))
            })
        }
        ApiKey::DescribeGroups => {
            let request = api::DescribeGroupsRequest::default().with_groups(vec![world.group()]);
            RequestKind::DescribeGroups(request.with_include_authorized_operations(version >= 3))
        }
        ApiKey::ListGroups => {
            let states = if version >= 4 { vec![text("Empty")] } else { vec![] };
            RequestKind::ListGroups(api::ListGroupsRequest::default().with_states_filter(states))
        }
        ApiKey::DeleteGroups => {
            RequestKind::DeleteGroups(api::DeleteGroupsRequest::default().with_groups_names(vec![world.group()]))
        }
        ApiKey::OffsetDelete => {
            let partition = api::offset_delete_request::OffsetDeleteRequestPartition::default();
            let topic = api::offset_delete_request::OffsetDeleteRequestTopic::default().with_name(world.topic());
            let request = api::OffsetDeleteRequest::default().with_group_id(world.group());
            RequestKind::OffsetDelete(request.with_topics(vec![topic.with_partitions(vec![partition])]))
        }
        _ => return None,
    })
}

fn topics(api_key: ApiKey, version: i16, world: &World) -> Option<RequestKind> {
    let new_name = || TopicName(text(&format!("{}-{}-{version}", world.prefix, api_key as i16)));
    Some(match api_key {
        ApiKey::Metadata => {
            let topic = api::metadata_request::MetadataRequestTopic::default().with_name(Some(world.topic()));
            let request = api::MetadataRequest::default().with_topics(Some(vec![topic]));
            // Versions before 4 know no other way than to allow it.
            let request = request.with_allow_auto_topic_creation(version < 4);
            RequestKind::Metadata(request.with_include_topic_authorized_operations(version >= 8))
        }
        ApiKey::CreateTopics => {
            let config = api::create_topics_request::CreatableTopicConfig::default().with_name(text("retention.ms"));
            let topic = api::create_topics_request::CreatableTopic::default().with_name(new_name());
            let topic = topic.with_num_partitions(1).with_replication_factor(1);
            let topic = topic.with_configs(vec![config.with_value(Some(text("1000000")))]);
            let request = api::CreateTopicsRequest::default().with_timeout_ms(10_000);
            RequestKind::CreateTopics(request.with_topics(vec![topic]))
        }
        ApiKey::DeleteTopics => {
            let request = api::DeleteTopicsRequest::default().with_timeout_ms(10_000);
            let state = api::delete_topics_request::DeleteTopicState::default().with_name(Some(world.topic()));
            RequestKind::DeleteTopics(if version >= 6 {
                request.with_topics(vec![state])
            } else {
                request.with_topic_names(vec![world.topic()])
            })
        }
        ApiKey::CreatePartitions => {
            let topic = api::create_partitions_request::CreatePartitionsTopic::default().with_name(world.topic());
            let request = api::CreatePartitionsRequest::default().with_timeout_ms(10_000).with_validate_only(true);
            RequestKind::CreatePartitions(request.with_topics(vec![topic.with_count(5).with_assignments(None)]))
        }
        ApiKey::DescribeTopicPartitions => {
            let topic = api::describe_topic_partitions_request::TopicRequest::default().with_name(world.topic());
            let request = api::DescribeTopicPartitionsRequest::default().with_topics(vec![topic]);
            RequestKind::DescribeTopicPartitions(request.with_response_partition_limit(100))
        }
        ApiKey::DescribeLogDirs => {
            let topic = api::describe_log_dirs_request::DescribableLogDirTopic::default().with_topic(world.topic());
            let topics = Some(vec![topic.with_partitions(vec![0])]);
            RequestKind::DescribeLogDirs(api::DescribeLogDirsRequest::default().with_topics(topics))
        }
        ApiKey::ElectLeaders => {
            let topic = api::elect_leaders_request::TopicPartitions::default().with_topic(world.topic());
            let topics = Some(vec![topic.with_partitions(vec![0])]);
            RequestKind::ElectLeaders(api::ElectLeadersRequest::default().with_topic_partitions(topics))
        }
        ApiKey::ListPartitionReassignments => {
            RequestKind::ListPartitionReassignments(api::ListPartitionReassignmentsRequest::default().with_topics(None))
        }
        _ => return None,
    })
}

fn configs(api_key: ApiKey, world: &World) -> Option<RequestKind> {
    const TOPIC: i8 = 2;
    let name = || text(&world.topic);
    Some(match api_key {
        ApiKey::DescribeConfigs => {
            let resource = api::describe_configs_request::DescribeConfigsResource::default().with_resource_type(TOPIC);
            let resource = resource.with_resource_name(name()).with_configuration_keys(None);
            let request = api::DescribeConfigsRequest::default().with_include_synonyms(true);
            RequestKind::DescribeConfigs(request.with_resources(vec![resource]))
        }
        ApiKey::AlterConfigs => {
            let config = api::alter_configs_request::AlterableConfig::default().with_name(text("segment.ms"));
            let config = config.with_value(Some(text("7000000")));
            let resource = api::alter_configs_request::AlterConfigsResource::default().with_resource_type(TOPIC);
            let resource = resource.with_resource_name(name()).with_configs(vec![config]);
            RequestKind::AlterConfigs(api::AlterConfigsRequest::default().with_resources(vec![resource]))
        }
        ApiKey::IncrementalAlterConfigs => {
            let config =
                api::incremental_alter_configs_request::AlterableConfig::default().with_name(text("segment.ms"));
            let config = config.with_config_operation(0).with_value(Some(text("7000000")));
            let resource = api::incremental_alter_configs_request::AlterConfigsResource::default();
            let resource = resource.with_resource_type(TOPIC).with_resource_name(name()).with_configs(vec![config]);
            let request = api::IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
            RequestKind::IncrementalAlterConfigs(request)
        }
        ApiKey::ListConfigResources => RequestKind::ListConfigResources(api::ListConfigResourcesRequest::default()),
        _ => return None,
    })
}

fn transactions(api_key: ApiKey, version: i16, world: &World) -> Option<RequestKind> {
    let producer = ProducerId(world.producer_id);
    Some(match api_key {
        ApiKey::InitProducerId => {
            let request = api::InitProducerIdRequest::default().with_transaction_timeout_ms(60_000);
            let id = (!world.transactional_id.is_empty()).then(|| world.transactional_id());
            RequestKind::InitProducerId(
                request.with_transactional_id(id).with_producer_id(ProducerId(-1)).with_producer_epoch(-1),
            )
        }
        ApiKey::AddPartitionsToTxn => {
            let topic = api::add_partitions_to_txn_request::AddPartitionsToTxnTopic::default().with_name(world.topic());
            let topics = vec![topic.with_partitions(vec![0])];
            let request = api::AddPartitionsToTxnRequest::default();
            RequestKind::AddPartitionsToTxn(if version >= 4 {
                let transaction = api::add_partitions_to_txn_request::AddPartitionsToTxnTransaction::default();
                let transaction =
                    transaction.with_transactional_id(world.transactional_id()).with_producer_id(producer);
                let transaction = transaction.with_producer_epoch(world.producer_epoch).with_topics(topics);
                request.with_transactions(vec![transaction])
            } else {
                let request = request.with_v3_and_below_transactional_id(world.transactional_id());
                let request = request.with_v3_and_below_producer_id(producer);
                request.with_v3_and_below_producer_epoch(world.producer_epoch).with_v3_and_below_topics(topics)
            })
        }
        ApiKey::AddOffsetsToTxn => {
            let request = api::AddOffsetsToTxnRequest::default().with_transactional_id(world.transactional_id());
            let request = request.with_producer_id(producer).with_producer_epoch(world.producer_epoch);
            RequestKind::AddOffsetsToTxn(request.with_group_id(world.group()))
        }
        ApiKey::TxnOffsetCommit => {
            let partition = api::txn_offset_commit_request::TxnOffsetCommitRequestPartition::default();
            let topic = api::txn_offset_commit_request::TxnOffsetCommitRequestTopic::default().with_name(world.topic());
            let topic = topic.with_partitions(vec![partition.with_committed_offset(2)]);
            let request = api::TxnOffsetCommitRequest::default().with_transactional_id(world.transactional_id());
            let request = request.with_producer_id(producer).with_producer_epoch(world.producer_epoch);
            RequestKind::TxnOffsetCommit(request.with_group_id(world.group()).with_topics(vec![topic]))
        }
        ApiKey::EndTxn => {
            let request = api::EndTxnRequest::default().with_transactional_id(world.transactional_id());
            let request = request.with_producer_id(producer).with_producer_epoch(world.producer_epoch);
            RequestKind::EndTxn(request.with_committed(true))
        }
        ApiKey::DescribeTransactions => {
            let request = api::DescribeTransactionsRequest::default();
            RequestKind::DescribeTransactions(request.with_transactional_ids(vec![world.transactional_id()]))
        }
        ApiKey::ListTransactions => {
            let request = api::ListTransactionsRequest::default().with_state_filters(vec![text("Ongoing")]);
            RequestKind::ListTransactions(if version >= 1 { request.with_duration_filter(0) } else { request })
        }
        _ => return None,
    })
}

fn cluster(api_key: ApiKey, version: i16, world: &World) -> Option<RequestKind> {
    Some(match api_key {
        ApiKey::ApiVersions => {
            let request = api::ApiVersionsRequest::default();
            RequestKind::ApiVersions(if version >= 3 {
                request.with_client_software_name(text("weir-tests")).with_client_software_version(text("1"))
            } else {
                request
            })
        }
        ApiKey::SaslHandshake => {
            RequestKind::SaslHandshake(api::SaslHandshakeRequest::default().with_mechanism(text("PLAIN")))
        }
        ApiKey::DescribeCluster => {
            let request = api::DescribeClusterRequest::default().with_include_cluster_authorized_operations(true);
            RequestKind::DescribeCluster(request)
        }
        ApiKey::ConsumerGroupHeartbeat => {
            let request = api::ConsumerGroupHeartbeatRequest::default().with_group_id(world.group());
            let request = request.with_member_id(text(&world.member)).with_rebalance_timeout_ms(30_000);
            let request = request.with_subscribed_topic_names(Some(vec![world.topic()]));
            RequestKind::ConsumerGroupHeartbeat(request.with_topic_partitions(Some(vec![])))
        }
        ApiKey::ConsumerGroupDescribe => RequestKind::ConsumerGroupDescribe(
            api::ConsumerGroupDescribeRequest::default().with_group_ids(vec![world.group()]),
        ),
        ApiKey::CreateAcls => {
            let one = api::create_acls_request::AclCreation::default().with_resource_name(text("t"));
            RequestKind::CreateAcls(api::CreateAclsRequest::default().with_creations(vec![one]))
        }
        ApiKey::DeleteAcls => {
            let one = api::delete_acls_request::DeleteAclsFilter::default();
            RequestKind::DeleteAcls(api::DeleteAclsRequest::default().with_filters(vec![one]))
        }
        ApiKey::DescribeAcls => {
            let request = api::DescribeAclsRequest::default().with_resource_type_filter(1).with_pattern_type_filter(1);
            RequestKind::DescribeAcls(request.with_operation(1).with_permission_type(1))
        }
        ApiKey::DescribeClientQuotas => RequestKind::DescribeClientQuotas(api::DescribeClientQuotasRequest::default()),
        ApiKey::DescribeUserScramCredentials => {
            RequestKind::DescribeUserScramCredentials(api::DescribeUserScramCredentialsRequest::default())
        }
        ApiKey::GetTelemetrySubscriptions => {
            RequestKind::GetTelemetrySubscriptions(api::GetTelemetrySubscriptionsRequest::default())
        }
        ApiKey::DescribeQuorum => {
            let partition = api::describe_quorum_request::PartitionData::default();
            let topic = api::describe_quorum_request::TopicData::default().with_partitions(vec![partition]);
            let topic = topic.with_topic_name(TopicName(text("__cluster_metadata")));
            RequestKind::DescribeQuorum(api::DescribeQuorumRequest::default().with_topics(vec![topic]))
        }
        _ => return None,
    })
}
