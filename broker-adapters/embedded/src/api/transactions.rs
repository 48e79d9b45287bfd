//! InitProducerId and the requests of transactions, and what they look like from outside.

use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState as Described};
use kafka_protocol::messages::list_transactions_response::TransactionState as Listed;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    DescribeProducersRequest, DescribeProducersResponse, DescribeTransactionsRequest, DescribeTransactionsResponse,
    EndTxnRequest, EndTxnResponse, InitProducerIdRequest, InitProducerIdResponse, ListTransactionsRequest,
    ListTransactionsResponse, TransactionalId, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};

use super::{code, text, topic_name};
use crate::clock;
use crate::log::Marker;
use crate::parts::Parts;
use crate::transactions::{Producer, State, Transaction, partitions};

pub(super) fn init_producer_id(
    shared: &Arc<Parts>,
    request: &InitProducerIdRequest,
    version: i16,
) -> InitProducerIdResponse {
    let said = Producer { id: request.producer_id.0, epoch: request.producer_epoch };
    let transactional_id = request.transactional_id.as_ref().map(|id| id.as_str());
    let timeout = request.transaction_timeout_ms;
    match shared.transactions.init(transactional_id, timeout, said, clock::now()) {
        Ok(producer) => {
            InitProducerIdResponse::default().with_producer_id(producer.id.into()).with_producer_epoch(producer.epoch)
        }
        Err(error) => {
            let old = error == ResponseError::ProducerFenced && version < 4;
            let error = if old { ResponseError::InvalidProducerEpoch } else { error };
            InitProducerIdResponse::default()
                .with_error_code(error.code())
                .with_producer_id(Producer::NONE.id.into())
                .with_producer_epoch(Producer::NONE.epoch)
        }
    }
}

pub(super) fn add_partitions(
    shared: &Arc<Parts>,
    request: AddPartitionsToTxnRequest,
    version: i16,
) -> AddPartitionsToTxnResponse {
    let producer = Producer { id: request.v3_and_below_producer_id.0, epoch: request.v3_and_below_producer_epoch };
    let asked = request.v3_and_below_topics;
    let named = || asked.iter().flat_map(|topic| topic.partitions.iter().map(|index| (topic.name.to_string(), *index)));
    let is_there = |(topic, index): &(String, i32)| {
        shared.topics.get(topic).is_some_and(|topic| topic.partition(*index).is_some())
    };
    let all_there = named().all(|partition| is_there(&partition));
    let added = if all_there {
        let transactional_id = request.v3_and_below_transactional_id.as_str();
        let added = partitions(named());
        shared.transactions.add_partitions(transactional_id, producer, added, version >= 2, clock::now())
    } else {
        // All or none (KafkaApis): what is there is not tried.
        Err(ResponseError::OperationNotAttempted)
    };
    let mut response = AddPartitionsToTxnResponse::default();
    for topic in &asked {
        let results = topic.partitions.iter().map(|index| {
            let missing = !is_there(&(topic.name.to_string(), *index));
            let error = if missing { ResponseError::UnknownTopicOrPartition.code() } else { code(added) };
            AddPartitionsToTxnPartitionResult::default().with_partition_index(*index).with_partition_error_code(error)
        });
        let result = AddPartitionsToTxnTopicResult::default().with_name(topic.name.clone());
        response.results_by_topic_v3_and_below.push(result.with_results_by_partition(results.collect()));
    }
    response
}

pub(super) fn add_offsets(
    shared: &Arc<Parts>,
    request: &AddOffsetsToTxnRequest,
    version: i16,
) -> AddOffsetsToTxnResponse {
    let producer = Producer { id: request.producer_id.0, epoch: request.producer_epoch };
    let (id, group) = (request.transactional_id.as_str(), request.group_id.as_str());
    let added = shared.transactions.add_group(id, producer, group, version >= 2, clock::now());
    AddOffsetsToTxnResponse::default().with_error_code(code(added))
}

pub(super) fn end(shared: &Arc<Parts>, request: &EndTxnRequest, version: i16) -> EndTxnResponse {
    let producer = Producer { id: request.producer_id.0, epoch: request.producer_epoch };
    let marker = if request.committed { Marker::Commit } else { Marker::Abort };
    let id = request.transactional_id.as_str();
    let ended = shared.transactions.end(id, producer, marker, version >= 2, clock::now());
    EndTxnResponse::default().with_error_code(code(ended))
}

pub(super) fn commit_offsets(
    shared: &Arc<Parts>,
    request: &TxnOffsetCommitRequest,
    version: i16,
) -> TxnOffsetCommitResponse {
    let producer = Producer { id: request.producer_id.0, epoch: request.producer_epoch };
    let (id, group) = (request.transactional_id.to_string(), request.group_id.to_string());
    let commit = || shared.groups.txn_offset_commit(request, version, clock::now());
    let has = |transaction: &Transaction| transaction.groups.contains(&group);
    shared.transactions.within(&id, producer, has, commit).unwrap_or_else(|error| {
        let mut response = TxnOffsetCommitResponse::default();
        for topic in &request.topics {
            let results = topic.partitions.iter().map(|partition| {
                TxnOffsetCommitResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(error.code())
            });
            let result = TxnOffsetCommitResponseTopic::default().with_name(topic.name.clone());
            response.topics.push(result.with_partitions(results.collect()));
        }
        response
    })
}

pub(super) fn describe_producers(shared: &Arc<Parts>, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let mut response = DescribeProducersResponse::default();
    for asked in request.topics {
        let topic = shared.topics.get(&asked.name);
        let mut answer = TopicResponse::default().with_name(asked.name);
        for index in asked.partition_indexes {
            let data = PartitionResponse::default().with_partition_index(index);
            let partition = topic.as_ref().and_then(|topic| topic.partition(index));
            answer.partitions.push(match partition {
                None => data.with_error_code(ResponseError::UnknownTopicOrPartition.code()),
                Some(partition) => {
                    let producers = partition.log().producers().into_iter().map(|producer| {
                        ProducerState::default()
                            .with_producer_id(producer.id.into())
                            .with_producer_epoch(producer.epoch.into())
                            .with_last_sequence(producer.last_sequence)
                            .with_last_timestamp(producer.last_timestamp)
                            .with_coordinator_epoch(producer.coordinator_epoch)
                            .with_current_txn_start_offset(producer.transaction_start.unwrap_or(-1))
                    });
                    data.with_active_producers(producers.collect())
                }
            });
        }
        response.topics.push(answer);
    }
    response
}

pub(super) fn describe(shared: &Arc<Parts>, request: DescribeTransactionsRequest) -> DescribeTransactionsResponse {
    let one = |id: TransactionalId| match shared.transactions.describe(&id) {
        None => Described::default()
            .with_transactional_id(id)
            .with_error_code(ResponseError::TransactionalIdNotFound.code()),
        Some(transaction) => described(id, &transaction),
    };
    DescribeTransactionsResponse::default()
        .with_transaction_states(request.transactional_ids.into_iter().map(one).collect())
}

fn described(id: TransactionalId, transaction: &Transaction) -> Described {
    let topics = transaction.partitions.iter().map(|(topic, indexes)| {
        TopicData::default().with_topic(topic_name(topic)).with_partitions(indexes.iter().copied().collect())
    });
    let open = transaction.state == State::Ongoing;
    Described::default()
        .with_transactional_id(id)
        .with_transaction_state(text(transaction.state.name()))
        .with_transaction_timeout_ms(transaction.timeout_ms)
        .with_transaction_start_time_ms(if open { transaction.started } else { -1 })
        .with_producer_id(transaction.producer_id.into())
        .with_producer_epoch(transaction.epoch)
        .with_topics(topics.collect())
}

pub(super) fn list(shared: &Arc<Parts>, request: &ListTransactionsRequest) -> ListTransactionsResponse {
    let known = |name: &str| State::ALL.iter().any(|state| state.name() == name);
    let unknown = request.state_filters.iter().filter(|name| !known(name)).cloned().collect();
    let response = ListTransactionsResponse::default().with_unknown_state_filters(unknown);
    let pattern = match request.transactional_id_pattern.as_ref().filter(|pattern| !pattern.is_empty()) {
        None => None,
        Some(pattern) => match regex::Regex::new(&format!("^(?:{})$", pattern.as_str())) {
            Ok(pattern) => Some(pattern),
            Err(_) => return response.with_error_code(ResponseError::InvalidRegularExpression.code()),
        },
    };
    let now = clock::now();
    let wanted = |transaction: &Transaction| {
        let states = &request.state_filters;
        let producers = &request.producer_id_filters;
        let open_for = if transaction.state == State::Ongoing { now - transaction.started } else { -1 };
        (states.is_empty() || states.iter().any(|state| state.as_str() == transaction.state.name()))
            && (producers.is_empty() || producers.iter().any(|id| id.0 == transaction.producer_id))
            && (request.duration_filter < 0 || open_for > request.duration_filter)
            && pattern.as_ref().is_none_or(|pattern| pattern.is_match(&transaction.transactional_id))
    };
    let listed = shared.transactions.snapshot().into_iter().filter(wanted).map(|transaction| {
        Listed::default()
            .with_transactional_id(TransactionalId(text(transaction.transactional_id.as_str())))
            .with_producer_id(transaction.producer_id.into())
            .with_transaction_state(text(transaction.state.name()))
    });
    response.with_transaction_states(listed.collect())
}
