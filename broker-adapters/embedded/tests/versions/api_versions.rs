//! Every API that a broker advertises, at every version that it advertises: each is sent on a connection of its own
//! and the answer decoded by the version's schema.
//!
//! Knows what must be there before a request makes sense, and which errors an answer may carry.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiKey, RequestHeader, RequestKind, ResponseHeader, ResponseKind, api_versions_response::ApiVersion,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use crate::requests::{World, request_for};

/// How long a broker may take to answer; a guard against hanging.
const PATIENCE: Duration = Duration::from_secs(20);

/// Errors that pass: the topic, the coordinator or the producer is not ready yet.
const PASSING: [i16; 9] = [3, 5, 6, 14, 15, 16, 51, 84, 100];

/// How one request went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Answered, decoded to its last byte, and free of errors that were not expected.
    Answered,
    /// Answered and decoded, but with these errors.
    Errors(BTreeSet<i16>),
    /// The connection was closed or no answer came.
    Closed(String),
    /// What came is not an answer of this version.
    Undecodable(String),
    /// The crate has no schema for this version, or this module no request: nothing was sent.
    Unasked(String),
}

/// Sends each advertised version of each API and tells how it went.
pub(crate) fn exercise(bootstrap: &str, prefix: &str) -> Result<Vec<(i16, i16, Outcome)>, String> {
    let caller = Caller::connect(bootstrap, prefix)?;
    let mut outcomes = Vec::new();
    for advertised in &caller.advertised {
        for version in advertised.min_version..=advertised.max_version {
            outcomes.push((advertised.api_key, version, caller.outcome(advertised.api_key, version)));
        }
    }
    Ok(outcomes)
}

/// Sends requests to one broker, at versions of its own choice where the version does not matter.
struct Caller<'a> {
    bootstrap: &'a str,
    advertised: Vec<ApiVersion>,
    world: World,
}

impl<'a> Caller<'a> {
    fn connect(bootstrap: &'a str, prefix: &str) -> Result<Self, String> {
        let world = World { topic: format!("{prefix}-topic"), prefix: prefix.to_owned(), ..World::default() };
        let mut caller = Self { bootstrap, advertised: Vec::new(), world };
        match caller.ask(ApiKey::ApiVersions, 0, &caller.world)? {
            ResponseKind::ApiVersions(answer) => caller.advertised = answer.api_keys,
            other => return Err(format!("asked for versions, answered {other:?}")),
        }
        caller.world.topic_id = caller.topic(&caller.world.topic)?;
        let world = World { group: format!("{prefix}-first"), ..caller.world.clone() };
        caller.call(ApiKey::Produce, &world)?;
        Ok(caller)
    }

    /// Creates a topic; its id, or zeros where the broker has none.
    fn topic(&self, name: &str) -> Result<uuid::Uuid, String> {
        use kafka_protocol::messages::{self as api, TopicName};
        let name = TopicName(StrBytes::from_string(name.to_owned()));
        let topic = api::create_topics_request::CreatableTopic::default().with_name(name.clone());
        let topic = topic.with_num_partitions(2).with_replication_factor(1);
        let request = api::CreateTopicsRequest::default().with_timeout_ms(10_000).with_topics(vec![topic]);
        let version = self.version(ApiKey::CreateTopics)?;
        self.send(ApiKey::CreateTopics, version, &RequestKind::CreateTopics(request)).map_err(|e| format!("{e:?}"))?;
        let world = World { topic: name.to_string(), ..self.world.clone() };
        match self.call(ApiKey::Metadata, &world)? {
            ResponseKind::Metadata(answer) => Ok(answer.topics.first().map(|topic| topic.topic_id).unwrap_or_default()),
            other => Err(format!("asked for metadata, answered {other:?}")),
        }
    }

    /// The newest version that the broker and the crate have in common.
    fn version(&self, api_key: ApiKey) -> Result<i16, String> {
        let theirs = self.advertised.iter().find(|api| api.api_key == api_key as i16);
        let theirs = theirs.ok_or_else(|| format!("{api_key:?} is not advertised"))?;
        // Version 3 of JoinGroup is the last that joins at once; others serve as well at their newest.
        let newest = match api_key {
            ApiKey::JoinGroup => 3,
            ApiKey::AddPartitionsToTxn => 3,
            // Their newest have a flaw in the crate: topics by id.
            ApiKey::OffsetCommit | ApiKey::OffsetFetch => 9,
            _ => i16::MAX,
        };
        Ok(theirs.max_version.min(api_key.valid_versions().max).min(newest))
    }

    /// A request at the newest version, which must be answered without an error, if need be in a while.
    fn call(&self, api_key: ApiKey, world: &World) -> Result<ResponseKind, String> {
        self.ask(api_key, self.version(api_key)?, world)
    }

    fn ask(&self, api_key: ApiKey, version: i16, world: &World) -> Result<ResponseKind, String> {
        let request = request_for(api_key, version, world).ok_or_else(|| format!("{api_key:?} has no request"))?;
        let (answer, errors) = self.settled(api_key, version, &request).map_err(|outcome| format!("{outcome:?}"))?;
        if errors.is_empty() {
            Ok(answer)
        } else {
            Err(format!("{api_key:?} {version}: errors {errors:?}: {answer:?}"))
        }
    }

    /// The answer once it carries no error that passes.
    fn settled(
        &self,
        api_key: ApiKey,
        version: i16,
        request: &RequestKind,
    ) -> Result<(ResponseKind, BTreeSet<i16>), Outcome> {
        let begun = Instant::now();
        loop {
            let answer = self.send(api_key, version, request)?;
            let errors: BTreeSet<i16> = errors(&answer).difference(&expected(api_key)).copied().collect();
            if !errors.iter().any(|code| PASSING.contains(code)) || begun.elapsed() > PATIENCE {
                return Ok((answer, errors));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// One request on a connection of its own.
    fn send(&self, api_key: ApiKey, version: i16, request: &RequestKind) -> Result<ResponseKind, Outcome> {
        let frame = encode(api_key, version, request).map_err(Outcome::Unasked)?;
        let mut answer = exchange(self.bootstrap, &frame).map_err(|error| Outcome::Closed(error.to_string()))?;
        decode(api_key, version, &mut answer).map_err(Outcome::Undecodable)
    }

    fn outcome(&self, api_key: i16, version: i16) -> Outcome {
        let Ok(api) = ApiKey::try_from(api_key) else { return Outcome::Unasked("unknown to the crate".into()) };
        let versions = api.valid_versions();
        if !(versions.min..=versions.max).contains(&version) {
            return Outcome::Unasked("a version unknown to the crate".into());
        }
        let world = match self.world_for(api, version) {
            Ok(world) => world,
            Err(why) => return Outcome::Unasked(why),
        };
        let Some(request) = request_for(api, version, &world) else { return Outcome::Unasked("no request".into()) };
        match self.settled(api, version, &request) {
            Ok((_, errors)) if errors.is_empty() => Outcome::Answered,
            Ok((_, errors)) => Outcome::Errors(errors),
            Err(outcome) => outcome,
        }
    }

    /// A world of its own for each request that changes it.
    fn world_for(&self, api_key: ApiKey, version: i16) -> Result<World, String> {
        let name = format!("{}-{}-{version}", self.world.prefix, api_key as i16);
        let mut world = World { group: format!("{name}-group"), ..self.world.clone() };
        match api_key {
            ApiKey::DeleteTopics => {
                world.topic = format!("{name}-topic");
                world.topic_id = self.topic(&world.topic)?;
            }
            ApiKey::SyncGroup | ApiKey::Heartbeat | ApiKey::LeaveGroup => {
                match self.call(ApiKey::JoinGroup, &world)? {
                    ResponseKind::JoinGroup(joined) => {
                        world.member = joined.member_id.to_string();
                        world.generation = joined.generation_id;
                    }
                    other => return Err(format!("asked to join, answered {other:?}")),
                }
                if api_key != ApiKey::SyncGroup {
                    self.call(ApiKey::SyncGroup, &world)?;
                }
            }
            ApiKey::OffsetFetch | ApiKey::DescribeGroups | ApiKey::DeleteGroups | ApiKey::OffsetDelete => {
                self.call(ApiKey::OffsetCommit, &world)?;
            }
            // One after the other with and without a transactional id.
            ApiKey::InitProducerId if version % 2 == 1 => world.transactional_id = format!("{name}-tx"),
            ApiKey::AddPartitionsToTxn
            | ApiKey::AddOffsetsToTxn
            | ApiKey::TxnOffsetCommit
            | ApiKey::EndTxn
            | ApiKey::DescribeTransactions => self.begin(&name, &mut world, api_key)?,
            ApiKey::ConsumerGroupHeartbeat => world.member = uuid::Uuid::from_u128(1).to_string(),
            _ => {}
        }
        Ok(world)
    }

    /// A transaction with what it takes before the call comes.
    fn begin(&self, name: &str, world: &mut World, api_key: ApiKey) -> Result<(), String> {
        world.transactional_id = format!("{name}-tx");
        match self.call(ApiKey::InitProducerId, world)? {
            ResponseKind::InitProducerId(answer) => {
                world.producer_id = answer.producer_id.0;
                world.producer_epoch = answer.producer_epoch;
            }
            other => return Err(format!("asked for a producer id, answered {other:?}")),
        }
        match api_key {
            ApiKey::EndTxn => self.call(ApiKey::AddPartitionsToTxn, world).map(drop),
            ApiKey::TxnOffsetCommit => self.call(ApiKey::AddOffsetsToTxn, world).map(drop),
            _ => Ok(()),
        }
    }
}

/// Errors that are the right answer: a member that must come back with the id it was given, mechanisms and access
/// control that are off, a leader that need not be elected, a telemetry that nobody configured.
fn expected(api_key: ApiKey) -> BTreeSet<i16> {
    let codes: &[i16] = match api_key {
        // There is nobody who could grant or refuse anything.
        ApiKey::CreateAcls | ApiKey::DeleteAcls => &[54],
        ApiKey::JoinGroup => &[79],
        ApiKey::SaslHandshake => &[33, 34],
        ApiKey::DescribeAcls => &[54],
        ApiKey::ElectLeaders => &[84],
        // The group is a classic one.
        ApiKey::ConsumerGroupDescribe => &[69],
        _ => &[],
    };
    codes.iter().copied().collect()
}

/// What a client of the future gets when it asks for versions: UNSUPPORTED_VERSION in the form of version 0, with the
/// versions of ApiVersions itself, so that it can ask again (KIP-511).
pub(crate) fn too_new_a_version_is_answered_in_the_oldest_form(bootstrap: &str) -> Result<(), String> {
    const UNSUPPORTED_VERSION: i16 = 35;
    let newest = ApiKey::ApiVersions.valid_versions().max;
    let request = request_for(ApiKey::ApiVersions, newest, &World::default()).ok_or("there is no request")?;
    let mut frame = BytesMut::from(&encode(ApiKey::ApiVersions, newest, &request)?[..]);
    // The length and the API come before the version.
    frame.get_mut(6..8).ok_or("a short frame")?.copy_from_slice(&i16::MAX.to_be_bytes());
    let mut answer = exchange(bootstrap, &frame).map_err(|error| error.to_string())?;
    ResponseHeader::decode(&mut answer, 0).map_err(|error| format!("header: {error}"))?;
    match ResponseKind::decode(ApiKey::ApiVersions, &mut answer, 0).map_err(|error| error.to_string())? {
        ResponseKind::ApiVersions(answer)
            if answer.error_code == UNSUPPORTED_VERSION
                && answer.api_keys.iter().any(|api| api.api_key == ApiKey::ApiVersions as i16) =>
        {
            Ok(())
        }
        other => Err(format!("answered {other:?}")),
    }
}

/// All error codes in an answer, wherever they stand. Nothing else in an answer prints like this.
fn errors(answer: &ResponseKind) -> BTreeSet<i16> {
    let printed = format!("{answer:?}");
    let after = printed.split("error_code: ").skip(1);
    let codes = after.filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(rest.len());
        rest.get(..end).and_then(|digits| digits.parse().ok())
    });
    codes.filter(|&code| code != 0).collect()
}

/// The frame of a request, with its length.
fn encode(api_key: ApiKey, version: i16, request: &RequestKind) -> Result<Bytes, String> {
    let header = RequestHeader::default()
        .with_request_api_key(api_key as i16)
        .with_request_api_version(version)
        .with_correlation_id(i32::from(version) + 1)
        .with_client_id(Some(StrBytes::from_static_str("api-versions")));
    let mut body = BytesMut::new();
    header.encode(&mut body, api_key.request_header_version(version)).map_err(|error| format!("header: {error}"))?;
    request.encode(&mut body, version).map_err(|error| error.to_string())?;
    let length = u32::try_from(body.len()).map_err(|error| error.to_string())?;
    let mut frame = BytesMut::from(&length.to_be_bytes()[..]);
    frame.extend_from_slice(&body);
    Ok(frame.freeze())
}

/// Sends a frame on a new connection and reads one.
fn exchange(bootstrap: &str, frame: &[u8]) -> std::io::Result<Bytes> {
    let mut stream = TcpStream::connect(bootstrap)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(frame)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut answer = Vec::new();
    let wanted = u64::from(u32::from_be_bytes(length));
    let read = stream.take(wanted).read_to_end(&mut answer)?;
    if u64::try_from(read).is_ok_and(|read| read == wanted) {
        Ok(Bytes::from(answer))
    } else {
        Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, format!("{read} of {wanted} bytes")))
    }
}

/// The answer, of which nothing may be left over.
fn decode(api_key: ApiKey, version: i16, bytes: &mut Bytes) -> Result<ResponseKind, String> {
    let header =
        ResponseHeader::decode(bytes, api_key.response_header_version(version)).map_err(|e| format!("header: {e}"))?;
    if header.correlation_id != i32::from(version) + 1 {
        return Err(format!("correlation id {}", header.correlation_id));
    }
    let answer = ResponseKind::decode(api_key, bytes, version).map_err(|error| error.to_string())?;
    if bytes.is_empty() { Ok(answer) } else { Err(format!("{} bytes are left over", bytes.len())) }
}

/// A batch behind another would be written under the name and in the transaction of the first: INVALID_RECORD, as
/// Apache Kafka says since there are transactions.
pub(crate) fn a_second_batch_in_a_request_is_refused(bootstrap: &str) -> Result<(), String> {
    let caller = Caller::connect(bootstrap, "second-batch")?;
    let Some(RequestKind::Produce(mut request)) = request_for(ApiKey::Produce, 9, &caller.world) else {
        return Err("no request".to_owned());
    };
    for data in request.topic_data.iter_mut().flat_map(|topic| &mut topic.partition_data) {
        data.records = data.records.as_ref().map(|records| Bytes::from([&records[..], &records[..]].concat()));
    }
    match caller.send(ApiKey::Produce, 9, &RequestKind::Produce(request)).map_err(|outcome| format!("{outcome:?}"))? {
        ResponseKind::Produce(answer) => match answer.responses[0].partition_responses[0].error_code {
            87 => Ok(()),
            other => Err(format!("error {other}")),
        },
        other => Err(format!("produced, answered {other:?}")),
    }
}
