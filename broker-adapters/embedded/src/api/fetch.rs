//! Fetch: batches as they lie in the log; waits until there are enough of them, and wakes when some come.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{FetchRequest, FetchResponse, ResponseKind, TopicName};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::Reply;
use crate::log::{Isolation, Read, ReadError};
use crate::memory::{Memory, Permit};
use crate::partition::{LEADER_EPOCH, Partition};
use crate::parts::Parts;
use crate::telemetry;

/// From this version on topics are named by their ids (KIP-516).
const TOPICS_BY_ID: i16 = 13;
/// What is said of how much there is may be off by so much.
const INACCURACY: usize = 8 * 1024;
/// So much is read without giving way to others.
const AT_ONCE: usize = 512 * 1024;
/// The longest wait that a client may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What is asked of one partition.
struct Asked {
    partition: Result<Arc<Partition>, ResponseError>,
    index: i32,
    offset: i64,
    most: usize,
}

/// What is asked of one topic.
struct AskedTopic {
    name: TopicName,
    id: Uuid,
    partitions: Vec<Asked>,
}

pub(super) async fn fetch(shared: &Arc<Parts>, request: FetchRequest, version: i16, memory: &Memory) -> Reply {
    if request.session_id != 0 {
        // Sessions (KIP-227) are not kept; the client then asks for everything each time.
        return answer(FetchResponse::default().with_error_code(ResponseError::FetchSessionIdNotFound.code()), None);
    }
    let isolation = if request.isolation_level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
    let most = usize::try_from(request.max_bytes).unwrap_or(0).min(shared.settings.bounds.fetch_bytes);
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(LONGEST_WAIT);
    let least = u64::try_from(request.min_bytes).unwrap_or(0).min(most as u64);
    let asked = asked(shared, request, version);

    let there = wait_for(&asked, isolation, least, Instant::now() + wait).await;
    // Somewhat more than there seems to be, which is an estimate.
    let most = memory.share(usize::try_from(there).map_or(most, |there| there.saturating_add(INACCURACY).min(most)));
    let permit = memory.take_for_answer(most).await;
    if most <= AT_ONCE {
        return answer(read(asked, isolation, most), permit);
    }
    // Beside the threads that answer everybody: it takes milliseconds.
    let read = tokio::task::spawn_blocking(move || read(asked, isolation, most)).await;
    let response = read.unwrap_or_else(|error| {
        tracing::error!(%error, "a read failed");
        FetchResponse::default().with_error_code(ResponseError::UnknownServerError.code())
    });
    answer(response, permit)
}

fn answer(response: FetchResponse, permit: Permit) -> Reply {
    Reply { response: ResponseKind::Fetch(response), permit }
}

fn asked(shared: &Arc<Parts>, request: FetchRequest, version: i16) -> Vec<AskedTopic> {
    let topics = request.topics.into_iter().map(|asked| {
        let (topic, missing) = if version >= TOPICS_BY_ID {
            (shared.topics.by_id(&asked.topic_id), ResponseError::UnknownTopicId)
        } else {
            (shared.topics.get(&asked.topic), ResponseError::UnknownTopicOrPartition)
        };
        let one = |part: FetchPartition| {
            let found = topic.as_ref().ok_or(missing);
            let found = found.and_then(|topic| {
                topic.partition(part.partition).cloned().ok_or(ResponseError::UnknownTopicOrPartition)
            });
            let partition = found.and_then(|partition| epoch(part.current_leader_epoch).map(|()| partition));
            let most = usize::try_from(part.partition_max_bytes).unwrap_or(0);
            Asked { partition, index: part.partition, offset: part.fetch_offset, most }
        };
        AskedTopic {
            name: asked.topic,
            id: asked.topic_id,
            partitions: asked.partitions.into_iter().map(one).collect(),
        }
    });
    topics.collect()
}

/// What a client believes of the leader's epoch (KIP-320); -1 for nothing.
pub(super) fn epoch(believed: i32) -> Result<(), ResponseError> {
    match believed {
        ..0 => Ok(()),
        LEADER_EPOCH => Ok(()),
        _ => Err(ResponseError::UnknownLeaderEpoch),
    }
}

/// Waits until so many bytes are there, or an error is; gives back about how many there are.
async fn wait_for(asked: &[AskedTopic], isolation: Isolation, least: u64, deadline: Instant) -> u64 {
    let there = available(asked, isolation);
    if there.is_enough(least) || deadline <= Instant::now() {
        return there.bytes;
    }
    let notify = Arc::new(Notify::new());
    loop {
        each(asked, |partition| partition.wait_for_change(&notify));
        let there = available(asked, isolation);
        let over = there.is_enough(least) || timeout_at(deadline, notify.notified()).await.is_err();
        each(asked, |partition| partition.forget(&notify));
        if over {
            return available(asked, isolation).bytes;
        }
    }
}

/// What there is behind the offsets that are asked for.
#[derive(Default)]
struct There {
    bytes: u64,
    /// One of the partitions has an error to tell.
    error: bool,
}

impl There {
    /// An error is always enough.
    fn is_enough(&self, least: u64) -> bool {
        self.error || self.bytes >= least
    }
}

fn each(asked: &[AskedTopic], act: impl FnMut(&Arc<Partition>)) {
    asked.iter().flat_map(|topic| &topic.partitions).filter_map(|asked| asked.partition.as_ref().ok()).for_each(act);
}

fn available(asked: &[AskedTopic], isolation: Isolation) -> There {
    let mut there = There::default();
    for asked in asked.iter().flat_map(|topic| &topic.partitions) {
        let log = asked.partition.as_ref().ok().map(|partition| partition.log());
        match log.filter(|log| (log.offsets().start..=log.offsets().end).contains(&asked.offset)) {
            Some(log) => there.bytes += log.available_bytes(asked.offset, isolation),
            None => there.error = true,
        }
    }
    there
}

fn read(asked: Vec<AskedTopic>, isolation: Isolation, most: usize) -> FetchResponse {
    let (mut left, mut nothing_yet) = (most, true);
    let mut response = FetchResponse::default();
    for topic in asked {
        let mut answer = FetchableTopicResponse::default().with_topic(topic.name).with_topic_id(topic.id);
        for asked in topic.partitions {
            let data = match &asked.partition {
                Err(error) => failed(*error),
                // The first batch is sent whatever its size, or a client would never get past it (KIP-74).
                Ok(partition) => {
                    match partition.log().read(asked.offset, asked.most.min(left), nothing_yet, isolation) {
                        Ok(read) => found(read, isolation),
                        Err(error) => unreadable(error),
                    }
                }
            };
            let bytes = data.records.as_ref().map_or(0, bytes::Bytes::len);
            nothing_yet &= bytes == 0;
            left = left.saturating_sub(bytes);
            telemetry::fetched(bytes);
            answer.partitions.push(data.with_partition_index(asked.index));
        }
        response.responses.push(answer);
    }
    response
}

fn found(read: Read, isolation: Isolation) -> PartitionData {
    let aborted = (isolation == Isolation::ReadCommitted).then(|| {
        let one = |aborted: &crate::log::AbortedTransaction| {
            AbortedTransaction::default()
                .with_producer_id(aborted.producer_id.into())
                .with_first_offset(aborted.first_offset)
        };
        read.aborted.iter().map(one).collect()
    });
    PartitionData::default()
        .with_high_watermark(read.offsets.end)
        .with_last_stable_offset(read.offsets.last_stable)
        .with_log_start_offset(read.offsets.start)
        .with_aborted_transactions(aborted)
        .with_records(Some(read.records))
}

fn unreadable(error: ReadError) -> PartitionData {
    match error {
        ReadError::OffsetOutOfRange(_) => failed(ResponseError::OffsetOutOfRange),
        ReadError::Corrupt { .. } => {
            tracing::error!(%error, "a consumer asks for what is damaged");
            failed(ResponseError::CorruptMessage)
        }
        ReadError::Storage(error) => {
            tracing::error!(%error, "cannot read a log");
            failed(ResponseError::KafkaStorageError)
        }
    }
}

fn failed(error: ResponseError) -> PartitionData {
    let data = PartitionData::default().with_high_watermark(-1).with_aborted_transactions(None);
    data.with_error_code(error.code())
}
