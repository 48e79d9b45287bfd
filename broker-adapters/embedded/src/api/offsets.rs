//! ListOffsets, OffsetForLeaderEpoch, DeleteRecords: where a partition begins, ends, and was at a time.

use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
};

use super::fetch;
use crate::configs;
use crate::log::{Cleanup, DeleteError, Isolation, Log, ReadError};
use crate::partition::{LEADER_EPOCH, Partition};
use crate::parts::Parts;
use crate::topics::Topic;

/// The times that are questions of their own (`ListOffsetsRequest`), and the versions that know them.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: (i64, i16) = (-3, 7);
const EARLIEST_LOCAL: (i64, i16) = (-4, 8);
const LATEST_TIERED: (i64, i16) = (-5, 9);

pub(super) fn list(shared: &Arc<Parts>, request: ListOffsetsRequest, version: i16) -> ListOffsetsResponse {
    let isolation = if request.isolation_level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
    let mut response = ListOffsetsResponse::default();
    for asked in request.topics {
        let topic = shared.topics.get(&asked.name);
        let mut answer = ListOffsetsTopicResponse::default().with_name(asked.name);
        for asked in asked.partitions {
            let data = ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
            let partition = topic.as_ref().and_then(|topic| topic.partition(asked.partition_index));
            let found = partition.ok_or(ResponseError::UnknownTopicOrPartition).and_then(|partition| {
                fetch::epoch(asked.current_leader_epoch)?;
                at(partition.log(), asked.timestamp, isolation, version)
            });
            answer.partitions.push(match found {
                Ok((offset, timestamp)) => {
                    let epoch = if version >= 4 && offset >= 0 { LEADER_EPOCH } else { -1 };
                    data.with_offset(offset).with_timestamp(timestamp).with_leader_epoch(epoch)
                }
                Err(error) => data.with_error_code(error.code()).with_offset(-1).with_timestamp(-1),
            });
        }
        response.topics.push(answer);
    }
    response
}

/// The offset for a time and the time of its record; -1 for none.
fn at(log: &Log, time: i64, isolation: Isolation, version: i16) -> Result<(i64, i64), ResponseError> {
    let offsets = log.offsets();
    let special = |(_, since): (i64, i16), found: Result<(i64, i64), ResponseError>| {
        if version >= since { found } else { Err(ResponseError::UnsupportedVersion) }
    };
    let none = |found: Option<(i64, i64)>| found.unwrap_or((-1, -1));
    match time {
        LATEST if isolation == Isolation::ReadCommitted => Ok((offsets.last_stable, -1)),
        LATEST => Ok((offsets.end, -1)),
        EARLIEST => Ok((offsets.start, -1)),
        time if time == MAX_TIMESTAMP.0 => {
            // One that an open transaction still hides is none, though there may be others before it.
            let seen = |(offset, _): &(i64, i64)| *offset < offsets.limit(isolation);
            special(MAX_TIMESTAMP, log.max_timestamp().map(|found| none(found.filter(seen))).map_err(unreadable))
        }
        time if time == EARLIEST_LOCAL.0 => special(EARLIEST_LOCAL, Ok((offsets.start, -1))),
        time if time == LATEST_TIERED.0 => special(LATEST_TIERED, Ok((-1, -1))),
        ..0 => Err(ResponseError::UnsupportedVersion),
        time => log.offset_for_timestamp(time, isolation).map(none).map_err(unreadable),
    }
}

fn unreadable(error: ReadError) -> ResponseError {
    tracing::error!(%error, "cannot look up a time");
    match error {
        ReadError::Corrupt { .. } => ResponseError::CorruptMessage,
        _ => ResponseError::KafkaStorageError,
    }
}

pub(super) fn for_leader_epoch(
    shared: &Arc<Parts>,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let mut response = OffsetForLeaderEpochResponse::default();
    for asked in request.topics {
        let topic = shared.topics.get(&asked.topic);
        let mut answer = OffsetForLeaderTopicResult::default().with_topic(asked.topic);
        for asked in asked.partitions {
            let data = EpochEndOffset::default().with_partition(asked.partition);
            let partition = topic.as_ref().and_then(|topic| topic.partition(asked.partition));
            let found = partition.ok_or(ResponseError::UnknownTopicOrPartition);
            let found = found.and_then(|partition| fetch::epoch(asked.current_leader_epoch).map(|()| partition));
            answer.partitions.push(match found {
                Ok(partition) if asked.leader_epoch == LEADER_EPOCH => {
                    data.with_leader_epoch(LEADER_EPOCH).with_end_offset(partition.log().offsets().end)
                }
                Ok(_) => data.with_leader_epoch(-1).with_end_offset(-1),
                Err(error) => data.with_error_code(error.code()).with_leader_epoch(-1).with_end_offset(-1),
            });
        }
        response.topics.push(answer);
    }
    response
}

pub(super) fn delete_records(shared: &Arc<Parts>, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let mut response = DeleteRecordsResponse::default();
    for asked in request.topics {
        let topic = shared.topics.get(&asked.name);
        let mut answer = DeleteRecordsTopicResult::default().with_name(asked.name);
        for asked in asked.partitions {
            let data = DeleteRecordsPartitionResult::default().with_partition_index(asked.partition_index);
            let partition = topic.as_ref().and_then(|topic| topic.partition(asked.partition_index));
            let deleted = match partition {
                Some(_) if compacts_only(shared, topic.as_deref()) => Err(ResponseError::PolicyViolation),
                Some(partition) => delete_before(partition, asked.offset),
                None => Err(ResponseError::UnknownTopicOrPartition),
            };
            answer.partitions.push(match deleted {
                Ok(start) => data.with_low_watermark(start),
                Err(error) => data.with_low_watermark(-1).with_error_code(error.code()),
            });
        }
        response.topics.push(answer);
    }
    response
}

/// Of a topic that keeps the last of each key nothing is removed by offset, as in Kafka.
fn compacts_only(shared: &Arc<Parts>, topic: Option<&Topic>) -> bool {
    let broker = shared.topics.broker_configs();
    topic.is_some_and(|topic| configs::log_config(&topic.configs, &broker).cleanup == Cleanup::Compact)
}

fn delete_before(partition: &Partition, offset: i64) -> Result<i64, ResponseError> {
    let offset = match offset {
        -1 => partition.log().offsets().end,
        ..0 => return Err(ResponseError::OffsetOutOfRange),
        offset => offset,
    };
    partition.log().delete_before(offset).map_err(|error| match error {
        DeleteError::OffsetOutOfRange { .. } => ResponseError::OffsetOutOfRange,
        other => {
            tracing::warn!(%other, "cannot delete records");
            ResponseError::KafkaStorageError
        }
    })
}
