//! One answer for every request: which APIs are spoken in which versions, and who answers them.
//!
//! A request is refused with the protocol's own error where there is one; where there is none (an unknown API, a
//! version that is not spoken, bytes that are no request) the connection is closed, as Kafka does.

mod cluster;
mod configs;
mod fetch;
mod groups;
mod offsets;
mod produce;
mod shape;
mod topics;
mod transactions;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{ApiKey, RequestHeader, RequestKind, ResponseHeader, ResponseKind, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use crate::memory::{Memory, Permit};
use crate::parts::Parts;
use crate::telemetry;

/// Bytes that an answer without records usually fits into.
const USUAL: usize = 512;

/// The versions that are spoken, lowest and highest, by API.
///
/// The lowest are those of Apache Kafka 4 (KIP-896) where a supported client needs no older one. Left out at the
/// upper end: versions that name topics by id in Produce, and those of KIP-848 and KIP-890 part 2.
pub(crate) const VERSIONS: &[(ApiKey, i16, i16)] = &[
    (ApiKey::Produce, 3, 11),
    (ApiKey::Fetch, 4, 17),
    (ApiKey::ListOffsets, 1, 10),
    (ApiKey::Metadata, 0, 13),
    (ApiKey::OffsetCommit, 2, 9),
    (ApiKey::OffsetFetch, 1, 9),
    (ApiKey::FindCoordinator, 0, 6),
    (ApiKey::JoinGroup, 2, 9),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 5),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::DescribeGroups, 0, 5),
    (ApiKey::ListGroups, 0, 5),
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::DeleteTopics, 1, 6),
    (ApiKey::DeleteRecords, 0, 2),
    (ApiKey::InitProducerId, 0, 5),
    (ApiKey::OffsetForLeaderEpoch, 2, 4),
    (ApiKey::AddPartitionsToTxn, 0, 3),
    (ApiKey::AddOffsetsToTxn, 0, 4),
    (ApiKey::EndTxn, 0, 4),
    (ApiKey::TxnOffsetCommit, 0, 4),
    (ApiKey::DescribeAcls, 1, 3),
    (ApiKey::CreateAcls, 1, 3),
    (ApiKey::DeleteAcls, 1, 3),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::AlterConfigs, 0, 2),
    (ApiKey::DescribeLogDirs, 1, 4),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::DeleteGroups, 0, 2),
    (ApiKey::IncrementalAlterConfigs, 0, 1),
    (ApiKey::ListPartitionReassignments, 0, 0),
    (ApiKey::OffsetDelete, 0, 0),
    (ApiKey::DescribeCluster, 0, 2),
    (ApiKey::DescribeProducers, 0, 0),
    (ApiKey::DescribeTransactions, 0, 0),
    (ApiKey::ListTransactions, 0, 2),
    (ApiKey::DescribeTopicPartitions, 0, 0),
];

/// Who asks.
pub(crate) struct Client {
    /// As it names itself.
    pub(crate) id: String,
    /// Where it is, as Kafka writes hosts.
    pub(crate) host: String,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { id: String::new(), host: format!("/{}", address.ip()) }
    }
}

/// What goes back, and the memory that it holds.
pub(crate) struct Answer {
    pub(crate) bytes: BytesMut,
    pub(crate) permit: Permit,
}

/// Why a connection is closed instead of answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    #[error("a request for the unknown API {0}")]
    UnknownApi(i16),
    #[error("a request {api:?} of version {version}, which is not spoken")]
    UnknownVersion { api: ApiKey, version: i16 },
    #[error("a request {api:?} of version {version} that cannot be read: {why}")]
    Malformed { api: ApiKey, version: i16, why: String },
    #[error("an answer to {api:?} of version {version} cannot be written: {why}")]
    Unwritable { api: ApiKey, version: i16, why: String },
}

/// What an API answers with; `None` where the client wants none.
pub(crate) struct Reply {
    pub(crate) response: ResponseKind,
    pub(crate) permit: Permit,
}

impl From<ResponseKind> for Reply {
    fn from(response: ResponseKind) -> Self {
        Self { response, permit: None }
    }
}

/// Answers a request; `None` where its client wants no answer.
///
/// # Errors
/// There is no answer in the protocol; the connection is to be closed.
pub(crate) async fn answer(
    shared: &Arc<Parts>,
    client: &mut Client,
    mut request: Bytes,
    memory: &Memory,
) -> Result<Option<Answer>, Unanswered> {
    let mut peek = request.clone();
    let (key, version, correlation_id) = match peek.remaining() {
        8.. => (peek.get_i16(), peek.get_i16(), peek.get_i32()),
        _ => (-1, -1, -1),
    };
    let api = ApiKey::try_from(key).map_err(|_| Unanswered::UnknownApi(key))?;
    let spoken = VERSIONS.iter().find(|(spoken, ..)| *spoken == api).ok_or(Unanswered::UnknownApi(key))?;
    if !(spoken.1..=spoken.2).contains(&version) {
        if api == ApiKey::ApiVersions {
            // A client that is newer than this broker finds out in version 0 (KIP-511).
            let response = cluster::api_versions(Some(ResponseError::UnsupportedVersion));
            return encode(api, 0, correlation_id, &response.into(), None).map(Some);
        }
        return Err(Unanswered::UnknownVersion { api, version });
    }
    let timer = telemetry::request(api);
    let malformed = |why: String| Unanswered::Malformed { api, version, why };
    shape::check(api, version, &request).map_err(|why| malformed(why.to_owned()))?;
    let header = RequestHeader::decode(&mut request, api.request_header_version(version));
    let header = header.map_err(|error| malformed(error.to_string()))?;
    let body = RequestKind::decode(api, &mut request, version).map_err(|error| malformed(format!("{error:#}")))?;
    if let Some(id) = &header.client_id
        && *id.as_str() != *client.id
    {
        client.id = id.to_string();
    }
    let reply = respond(shared, client, body, version, memory).await;
    let Some(reply) = reply else { return Ok(None) };
    if changes(api) {
        shared.flusher.kept().await;
    }
    drop(timer);
    encode(api, version, correlation_id, &reply.response, reply.permit).map(Some)
}

/// Whether an answer says that something is kept.
fn changes(api: ApiKey) -> bool {
    !matches!(
        api,
        ApiKey::Fetch
            | ApiKey::Metadata
            | ApiKey::ListOffsets
            | ApiKey::ApiVersions
            | ApiKey::Heartbeat
            | ApiKey::FindCoordinator
            | ApiKey::OffsetFetch
    )
}

fn encode(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    response: &ResponseKind,
    permit: Permit,
) -> Result<Answer, Unanswered> {
    let unwritable = |why: String| {
        tracing::error!(?api, version, why, "an answer cannot be written");
        Unanswered::Unwritable { api, version, why }
    };
    // A large answer that grows by doubling would be copied as often.
    let size = match response {
        ResponseKind::Fetch(fetch) => fetch.compute_size(version).unwrap_or_default(),
        _ => 0,
    };
    let mut bytes = BytesMut::with_capacity(size + USUAL);
    bytes.extend_from_slice(&[0; 4]);
    let header = ResponseHeader::default().with_correlation_id(correlation_id);
    let encoded = header.encode(&mut bytes, api.response_header_version(version));
    encoded.and_then(|()| response.encode(&mut bytes, version)).map_err(|error| unwritable(format!("{error:#}")))?;
    let length = i32::try_from(bytes.len() - 4).map_err(|error| unwritable(error.to_string()))?;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    Ok(Answer { bytes, permit })
}

async fn respond(
    shared: &Arc<Parts>,
    client: &Client,
    request: RequestKind,
    version: i16,
    memory: &Memory,
) -> Option<Reply> {
    let response: ResponseKind = match request {
        RequestKind::Produce(request) => return produce::produce(shared, request).map(Reply::from),
        RequestKind::Fetch(request) => return Some(fetch::fetch(shared, request, version, memory).await),
        RequestKind::ListOffsets(request) => offsets::list(shared, request, version).into(),
        RequestKind::OffsetForLeaderEpoch(request) => offsets::for_leader_epoch(shared, request).into(),
        RequestKind::DeleteRecords(request) => offsets::delete_records(shared, request).into(),
        RequestKind::Metadata(request) => cluster::metadata(shared, request, version).into(),
        RequestKind::ApiVersions(_) => cluster::api_versions(None).into(),
        RequestKind::FindCoordinator(request) => cluster::find_coordinator(shared, request, version).into(),
        RequestKind::DescribeCluster(request) => cluster::describe(shared, &request, version).into(),
        RequestKind::DescribeTopicPartitions(request) => cluster::topic_partitions(shared, request).into(),
        RequestKind::DescribeLogDirs(request) => cluster::log_dirs(shared, request, version).into(),
        RequestKind::ListPartitionReassignments(_) => cluster::reassignments().into(),
        RequestKind::DescribeAcls(_) => cluster::describe_acls().into(),
        RequestKind::CreateAcls(request) => cluster::create_acls(&request).into(),
        RequestKind::DeleteAcls(request) => cluster::delete_acls(&request).into(),
        RequestKind::CreateTopics(request) => topics::create(shared, request, version).into(),
        RequestKind::DeleteTopics(request) => topics::delete(shared, request, version).into(),
        RequestKind::CreatePartitions(request) => topics::create_partitions(shared, request).into(),
        RequestKind::DescribeConfigs(request) => configs::describe(shared, request).into(),
        RequestKind::AlterConfigs(request) => configs::alter(shared, request).into(),
        RequestKind::IncrementalAlterConfigs(request) => configs::alter_incrementally(shared, request).into(),
        RequestKind::InitProducerId(request) => transactions::init_producer_id(shared, &request, version).into(),
        RequestKind::AddPartitionsToTxn(request) => transactions::add_partitions(shared, request, version).into(),
        RequestKind::AddOffsetsToTxn(request) => transactions::add_offsets(shared, &request, version).into(),
        RequestKind::EndTxn(request) => transactions::end(shared, &request, version).into(),
        RequestKind::TxnOffsetCommit(request) => transactions::commit_offsets(shared, &request, version).into(),
        RequestKind::DescribeProducers(request) => transactions::describe_producers(shared, request).into(),
        RequestKind::DescribeTransactions(request) => transactions::describe(shared, request).into(),
        RequestKind::ListTransactions(request) => transactions::list(shared, &request).into(),
        group => return groups::respond(shared, client, group, version).await.map(Reply::from),
    };
    Some(response.into())
}

/// An error's number, and 0 for none.
pub(crate) fn code(result: Result<(), ResponseError>) -> i16 {
    result.err().map_or(0, |error| error.code())
}

/// Text of ours as the protocol crate wants it.
pub(crate) fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

/// A topic's name as the protocol crate wants it.
pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}
