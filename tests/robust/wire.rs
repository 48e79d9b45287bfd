//! A client of a few requests, which sees what a broker answers and hides nothing: no retries, no threads.
//!
//! Knows Kafka's protocol. Knows nothing of what a test is about.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiKey, CreateTopicsRequest, FetchRequest, GroupId, InitProducerIdRequest, OffsetCommitRequest, OffsetFetchRequest,
    ProduceRequest, RequestHeader, ResponseHeader, TopicName, TransactionalId,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use kafka_protocol::records::{
    Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

/// Nothing that a test asks takes longer; a guard against hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// `KAFKA_STORAGE_ERROR`.
pub(super) const STORAGE_ERROR: i16 = 56;
/// `CORRUPT_MESSAGE`.
pub(super) const CORRUPT_MESSAGE: i16 = 2;

pub(super) fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

fn topic_name(value: &str) -> TopicName {
    TopicName(text(value))
}

/// Whose a batch is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Producer {
    pub(super) id: i64,
    pub(super) epoch: i16,
    /// The sequence of the batch's first record.
    pub(super) sequence: i32,
    pub(super) transactional: bool,
}

/// Nobody's in particular.
pub(super) const ANYBODY: Producer = Producer { id: -1, epoch: -1, sequence: -1, transactional: false };

/// A batch with a record for each value; the keys are the values up to the first blank, a few bytes at most.
pub(super) fn batch<V: AsRef<[u8]>>(values: &[V], of: Producer, compression: Compression) -> Bytes {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_millis();
    let record = |(number, value): (usize, &V)| {
        let value = Bytes::copy_from_slice(value.as_ref());
        let number = i32::try_from(number).expect("few records");
        Record {
            transactional: of.transactional,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id: of.id,
            producer_epoch: of.epoch,
            timestamp_type: TimestampType::Creation,
            offset: i64::from(number),
            sequence: of.sequence + number,
            timestamp: i64::try_from(now).expect("a clock of this age"),
            key: value[..value.len().min(16)].split(|byte| *byte == b' ').next().map(Bytes::copy_from_slice),
            value: Some(value),
            headers: Default::default(),
        }
    };
    let records: Vec<Record> = values.iter().enumerate().map(record).collect();
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression };
    RecordBatchEncoder::encode(&mut bytes, &records, &options).expect("records of ours can be encoded");
    bytes.freeze()
}

/// A batch of one record that belongs to nobody.
pub(super) fn one(value: impl AsRef<[u8]>) -> Bytes {
    batch(&[value], ANYBODY, Compression::None)
}

/// The frame of a request, with its length.
pub(super) fn frame<R: Request>(version: i16, correlation: i32, request: &R) -> Bytes {
    let header = RequestHeader::default().with_request_api_key(R::KEY).with_request_api_version(version);
    let header = header.with_correlation_id(correlation).with_client_id(Some(StrBytes::from_static_str("robust")));
    let mut bytes = BytesMut::from(&[0; 4][..]);
    header.encode(&mut bytes, R::header_version(version)).expect("a header of ours");
    request.encode(&mut bytes, version).expect("a request of ours");
    let length = u32::try_from(bytes.len() - 4).expect("a request of ours");
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes.freeze()
}

/// Asks a partition for everything behind an offset, up to a size.
pub(super) fn fetch_request(topic: &str, partition: i32, offset: i64, most: i32, committed: bool) -> FetchRequest {
    let asked = FetchPartition::default().with_partition(partition).with_fetch_offset(offset);
    let asked = asked.with_partition_max_bytes(most).with_current_leader_epoch(-1);
    let topic = FetchTopic::default().with_topic(topic_name(topic)).with_partitions(vec![asked]);
    let request = FetchRequest::default().with_max_wait_ms(0).with_min_bytes(0).with_max_bytes(most);
    request.with_session_epoch(-1).with_isolation_level(i8::from(committed)).with_topics(vec![topic])
}

/// Fetch in the last version that names topics.
pub(super) const FETCH: i16 = 12;
/// Produce in a version that any broker knows.
pub(super) const PRODUCE: i16 = 9;

/// Writes a batch to a partition, as part of a transaction where one is named.
pub(super) fn produce_request(topic: &str, partition: i32, batch: Bytes, transaction: Option<&str>) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch));
    let topic = TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![data]);
    let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic]);
    request.with_transactional_id(transaction.map(|id| TransactionalId(text(id))))
}

/// A connection.
#[derive(Debug)]
pub(super) struct Client {
    stream: TcpStream,
    correlation: i32,
}

/// What a partition gave: values by offset, of which none is a marker's, and the errors on the way by offset.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) values: BTreeMap<i64, Bytes>,
    pub(super) errors: BTreeMap<i64, i16>,
    /// Where it begins and ends.
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) last_stable: i64,
}

impl Contents {
    /// The values in their order, as text.
    pub(super) fn texts(&self) -> Vec<String> {
        self.values.values().map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    }
}

impl Client {
    pub(super) fn connect(address: &str) -> Self {
        Self::try_connect(address).unwrap_or_else(|e| panic!("{address}: {e}"))
    }

    pub(super) fn try_connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, correlation: 0 })
    }

    /// # Errors
    /// The connection broke, or what came is no answer.
    pub(super) fn try_ask<R: Request>(&mut self, version: i16, request: &R) -> io::Result<R::Response> {
        self.correlation += 1;
        self.stream.write_all(&frame(version, self.correlation, request))?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut answer)?;
        let mut answer = Bytes::from(answer);
        let header = ResponseHeader::decode(&mut answer, R::Response::header_version(version));
        assert_eq!(header.map_err(io::Error::other)?.correlation_id, self.correlation);
        R::Response::decode(&mut answer, version).map_err(io::Error::other)
    }

    pub(super) fn ask<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        let api = ApiKey::try_from(R::KEY);
        self.try_ask(version, request).unwrap_or_else(|e| panic!("{api:?} {version}: {e}"))
    }

    /// Makes a topic; gives the error's code.
    pub(super) fn create(&mut self, topic: &str, partitions: i32, configs: &[(&str, &str)]) -> i16 {
        let config = |(name, value): &(&str, &str)| {
            CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
        };
        let topic = CreatableTopic::default().with_name(topic_name(topic)).with_num_partitions(partitions);
        let topic = topic.with_replication_factor(1).with_configs(configs.iter().map(config).collect());
        let request = CreateTopicsRequest::default().with_timeout_ms(60_000).with_topics(vec![topic]);
        self.ask(5, &request).topics[0].error_code
    }

    /// Writes a batch; its base offset, or the error's code.
    pub(super) fn produce(&mut self, topic: &str, partition: i32, batch: Bytes) -> Result<i64, i16> {
        self.produce_in(topic, partition, batch, None)
    }

    pub(super) fn produce_in(
        &mut self,
        topic: &str,
        partition: i32,
        batch: Bytes,
        transaction: Option<&str>,
    ) -> Result<i64, i16> {
        let answer = self.ask(PRODUCE, &produce_request(topic, partition, batch, transaction));
        let answer = &answer.responses[0].partition_responses[0];
        if answer.error_code == 0 { Ok(answer.base_offset) } else { Err(answer.error_code) }
    }

    pub(super) fn fetch(&mut self, topic: &str, partition: i32, offset: i64, committed: bool) -> PartitionData {
        let mut answer = self.ask(FETCH, &fetch_request(topic, partition, offset, 8 << 20, committed));
        answer.responses.remove(0).partitions.remove(0)
    }

    /// Reads a partition from its beginning to its end, or to the last stable offset. Where an offset cannot be read,
    /// the next one is asked for.
    pub(super) fn read(&mut self, topic: &str, partition: i32, committed: bool) -> Contents {
        let (start, end) = self.bounds(topic, partition);
        let mut contents = Contents { start, end, ..Contents::default() };
        let mut aborted = BTreeSet::new();
        let mut offset = start;
        while offset < end {
            let data = self.fetch(topic, partition, offset, committed);
            contents.last_stable = data.last_stable_offset;
            if data.error_code != 0 {
                contents.errors.insert(offset, data.error_code);
                offset += 1;
                continue;
            }
            for one in data.aborted_transactions.unwrap_or_default() {
                aborted.insert((one.first_offset, one.producer_id.0));
            }
            let Some(records) = data.records.filter(|records| !records.is_empty()) else { break };
            offset = contents.take(records, offset, &mut aborted);
        }
        contents
    }

    /// Where a partition begins and ends.
    pub(super) fn bounds(&mut self, topic: &str, partition: i32) -> (i64, i64) {
        use kafka_protocol::messages::ListOffsetsRequest;
        use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
        let mut at = |timestamp| {
            let asked = ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(timestamp);
            let asked = ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions(vec![asked]);
            let answer =
                self.ask(5, &ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![asked]));
            let answer = &answer.topics[0].partitions[0];
            assert_eq!(answer.error_code, 0, "{topic}-{partition}");
            answer.offset
        };
        (at(-2), at(-1))
    }

    /// A producer's id and epoch.
    pub(super) fn producer(&mut self, transactional_id: Option<&str>) -> Producer {
        let id = transactional_id.map(|id| TransactionalId(text(id)));
        let request = InitProducerIdRequest::default().with_transactional_id(id).with_transaction_timeout_ms(60_000);
        let answer = self.ask(2, &request);
        assert_eq!(answer.error_code, 0);
        let transactional = transactional_id.is_some();
        Producer { id: answer.producer_id.0, epoch: answer.producer_epoch, sequence: 0, transactional }
    }

    /// Commits an offset of a group without members, to be kept for so many milliseconds; gives the error's code.
    pub(super) fn commit(&mut self, group: &str, topic: &str, partition: i32, offset: i64, keep: i64) -> i16 {
        let place = OffsetCommitRequestPartition::default().with_partition_index(partition);
        let place = place.with_committed_offset(offset).with_committed_metadata(Some(text("noted")));
        let topic = OffsetCommitRequestTopic::default().with_name(topic_name(topic)).with_partitions(vec![place]);
        let request = OffsetCommitRequest::default().with_group_id(GroupId(text(group))).with_topics(vec![topic]);
        let request = request.with_generation_id_or_member_epoch(-1).with_retention_time_ms(keep);
        self.ask(4, &request).topics[0].partitions[0].error_code
    }

    /// The offset that a group committed, or -1.
    pub(super) fn committed(&mut self, group: &str, topic: &str, partition: i32) -> i64 {
        let topic = OffsetFetchRequestTopic::default().with_name(topic_name(topic));
        let topic = topic.with_partition_indexes(vec![partition]);
        let request = OffsetFetchRequest::default().with_group_id(GroupId(text(group)));
        let answer = self.ask(5, &request.with_topics(Some(vec![topic])));
        answer.topics[0].partitions[0].committed_offset
    }
}

impl Contents {
    /// Takes in what a fetch gave, without what was aborted; gives the offset behind it.
    fn take(&mut self, records: Bytes, from: i64, aborted: &mut BTreeSet<(i64, i64)>) -> i64 {
        let mut next = from;
        let sets = RecordBatchDecoder::decode_all(&mut records.clone()).expect("whole batches");
        for record in sets.into_iter().flat_map(|set| set.records) {
            next = next.max(record.offset + 1);
            let begun = |(first, producer): &&(i64, i64)| {
                *producer == record.producer_id && *first <= record.offset && record.transactional
            };
            if record.control {
                // The marker of the earliest transaction of this producer that is known to be aborted.
                if let Some(ended) = aborted.iter().find(begun).copied() {
                    aborted.remove(&ended);
                }
            } else if record.offset >= from && !aborted.iter().any(|entry| begun(&entry)) {
                self.values.insert(record.offset, record.value.unwrap_or_default());
            }
        }
        next
    }
}
