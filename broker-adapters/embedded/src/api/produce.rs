//! Produce: batches into partitions, each judged by its log, transactional ones within their transaction.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, ResponseKind};

use super::text;
use crate::clock;
use crate::log::{AppendError, Appended, BatchHeader};
use crate::partition::Partition;
use crate::parts::Parts;
use crate::telemetry;
use crate::topics::Topic;
use crate::transactions::Producer;

/// `None` where the client asked for no answer.
pub(super) fn produce(shared: &Arc<Parts>, request: ProduceRequest) -> Option<ResponseKind> {
    let acks_known = matches!(request.acks, -1..=1);
    let transactional_id = request.transactional_id.as_ref().map(|id| id.to_string());
    let mut response = ProduceResponse::default();
    for data in request.topic_data {
        let topic = shared.topics.get(&data.name);
        let partitions = data.partition_data.into_iter().map(|partition| {
            if acks_known {
                into_partition(shared, topic.as_deref(), transactional_id.as_deref(), partition)
            } else {
                failed(partition.index, ResponseError::InvalidRequiredAcks, None)
            }
        });
        let partitions = partitions.collect();
        response
            .responses
            .push(TopicProduceResponse::default().with_name(data.name).with_partition_responses(partitions));
    }
    (request.acks != 0).then(|| response.into())
}

fn into_partition(
    shared: &Arc<Parts>,
    topic: Option<&Topic>,
    transactional_id: Option<&str>,
    data: PartitionProduceData,
) -> PartitionProduceResponse {
    let index = data.index;
    let Some((topic, partition)) = topic.and_then(|topic| Some((topic, topic.partition(index)?))) else {
        return failed(index, ResponseError::UnknownTopicOrPartition, None);
    };
    let Some(records) = data.records.filter(|records| !records.is_empty()) else {
        return failed(index, ResponseError::InvalidRecord, Some("the request has no record batch".to_owned()));
    };
    let batch = BatchHeader::parse(&records);
    if batch.is_some_and(|batch| batch.size < records.len() as u64) {
        // The first would speak for the others: whose they are, and that their transaction is open.
        let why = "Produce requests are only allowed to contain exactly one record batch per partition";
        return failed(index, ResponseError::InvalidRecord, Some(why.to_owned()));
    }
    let appended = match batch.filter(BatchHeader::is_transactional) {
        None => partition.append(&records, clock::now()),
        Some(batch) => {
            let of = Producer { id: batch.producer_id, epoch: batch.producer_epoch };
            match in_transaction(shared, topic, (partition, index), transactional_id, of, &records) {
                Ok(appended) => appended,
                Err(error) => return failed(index, error, None),
            }
        }
    };
    match appended {
        Ok(appended) => {
            telemetry::produced(records.len());
            shared.flusher.written(partition);
            PartitionProduceResponse::default()
                .with_index(index)
                .with_base_offset(appended.base_offset)
                .with_log_append_time_ms(appended.log_append_time)
                .with_log_start_offset(appended.log_start_offset)
        }
        Err(error) => refused(index, error, partition),
    }
}

/// A transactional batch is written only while its transaction is open and has this partition (KIP-890 part 1).
fn in_transaction(
    shared: &Arc<Parts>,
    topic: &Topic,
    (partition, index): (&Arc<Partition>, i32),
    transactional_id: Option<&str>,
    producer: Producer,
    records: &Bytes,
) -> Result<Result<Appended, AppendError>, ResponseError> {
    let transactional_id = transactional_id.ok_or(ResponseError::InvalidRequest)?;
    let append = || partition.append(records, clock::now());
    let has = |transaction: &crate::transactions::Transaction| transaction.has_partition(&topic.name, index);
    shared.transactions.within(transactional_id, producer, has, append)
}

fn refused(index: i32, error: AppendError, partition: &Arc<Partition>) -> PartitionProduceResponse {
    let message = error.to_string();
    let start = partition.log().offsets().start;
    let (code, by_record) = match error {
        AppendError::CorruptMessage(_) => (ResponseError::CorruptMessage, false),
        AppendError::InvalidRecord(_) => (ResponseError::InvalidRecord, true),
        AppendError::UnsupportedForMessageFormat(_) => (ResponseError::UnsupportedForMessageFormat, false),
        AppendError::RecordTooLarge { .. } => (ResponseError::MessageTooLarge, false),
        AppendError::InvalidTimestamp { .. } => (ResponseError::InvalidTimestamp, true),
        AppendError::OutOfOrderSequence { .. } => (ResponseError::OutOfOrderSequenceNumber, false),
        AppendError::InvalidProducerEpoch { .. } => (ResponseError::InvalidProducerEpoch, false),
        AppendError::InvalidTxnState { .. } => (ResponseError::InvalidTxnState, false),
        AppendError::RecordListTooLarge { .. } => (ResponseError::RecordListTooLarge, false),
        AppendError::TransactionCoordinatorFenced { .. } => (ResponseError::TransactionCoordinatorFenced, false),
        AppendError::Storage(error) => {
            tracing::warn!(%error, "a batch cannot be written");
            (ResponseError::KafkaStorageError, false)
        }
    };
    // Where Kafka says where the log begins, and where not (`ReplicaManager.appendToLocalLog`).
    let told = !matches!(
        code,
        ResponseError::MessageTooLarge
            | ResponseError::RecordListTooLarge
            | ResponseError::CorruptMessage
            | ResponseError::KafkaStorageError
    );
    let mut response = failed(index, code, Some(message.clone())).with_log_start_offset(if told { start } else { -1 });
    if by_record {
        let first = BatchIndexAndErrorMessage::default().with_batch_index_error_message(Some(text(message)));
        response.record_errors.push(first);
    }
    response
}

fn failed(index: i32, error: ResponseError, message: Option<String>) -> PartitionProduceResponse {
    PartitionProduceResponse::default()
        .with_index(index)
        .with_error_code(error.code())
        .with_base_offset(-1)
        .with_log_append_time_ms(-1)
        .with_log_start_offset(-1)
        .with_error_message(message.map(text))
}
