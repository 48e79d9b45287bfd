//! Consuming in batches.
//!
//! A [`Message`] owns its native message and holds its [`Inlet`] alive, so messages are destroyed before their
//! consumer.

use std::ffi::CStr;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings as native;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

use super::{bytes, error_code, listed, log_to_tracing, millis, text};
use crate::closing::drop_apart;

/// A consumer whose queue is read in batches.
pub(crate) struct Inlet {
    consumer: Option<BaseConsumer>,
    queue: NonNull<native::rd_kafka_queue_t>,
}

// SAFETY: librdkafka's clients and queues may be used from any thread; `BaseConsumer` is Send and Sync itself.
unsafe impl Send for Inlet {}
// SAFETY: as above; the queue is only handed to functions that lock it.
unsafe impl Sync for Inlet {}

impl Inlet {
    /// A consumer with this configuration, which must name a `group.id` (nobody joins it).
    pub(crate) fn new(config: &ClientConfig) -> KafkaResult<Arc<Self>> {
        let consumer: BaseConsumer = config.create()?;
        let client = consumer.client().native_ptr();
        log_to_tracing(client);
        // SAFETY: the client is live; the queue it returns is ours to destroy, which Drop does first.
        let queue = unsafe { native::rd_kafka_queue_get_consumer(client) };
        let queue = NonNull::new(queue).ok_or_else(|| KafkaError::ClientCreation("it has no consumer queue".into()))?;
        Ok(Arc::new(Self { consumer: Some(consumer), queue }))
    }

    /// The consumer, for everything but consuming.
    pub(crate) fn consumer(&self) -> Option<&BaseConsumer> {
        self.consumer.as_ref()
    }

    /// Appends up to `most` messages (and partition events, which are messages with an error) to `into`.
    /// With a timeout it waits until `most` are there, so ask for one when waiting.
    pub(crate) fn take(self: &Arc<Self>, most: usize, wait: Duration, into: &mut impl Extend<Message>) -> usize {
        const CHUNK: usize = 128;
        let mut raw: [*mut native::rd_kafka_message_t; CHUNK] = [ptr::null_mut(); CHUNK];
        // SAFETY: the array holds at least as many pointers as it is said to.
        let taken = unsafe {
            native::rd_kafka_consume_batch_queue(self.queue.as_ptr(), millis(wait), raw.as_mut_ptr(), most.min(CHUNK))
        };
        let taken = usize::try_from(taken).unwrap_or(0);
        into.extend(
            raw.into_iter().take(taken).filter_map(NonNull::new).map(|raw| Message { raw, _inlet: Arc::clone(self) }),
        );
        taken
    }

    /// Where the client's own position of a partition is, if anywhere: after the last message that was taken,
    /// transaction markers included. An event taken from the queue moves it one too far (librdkafka 2.12).
    pub(crate) fn client_position(&self, topic: &str, partition: i32) -> Option<i64> {
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        let client = self.consumer.as_ref()?.client().native_ptr();
        // SAFETY: client and list are live for the call.
        let err = unsafe { native::rd_kafka_position(client, list.ptr()) };
        let entry = listed(&list).pop()?;
        (error_code(err).is_none() && entry.error.is_none() && entry.offset >= 0).then_some(entry.offset)
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        // SAFETY: obtained in `new`, destroyed once, before its client.
        unsafe { native::rd_kafka_queue_destroy(self.queue.as_ptr()) };
        let Some(consumer) = self.consumer.take() else { return };
        drop_apart(consumer);
    }
}

/// A consumed message, or an event of a partition ([`Message::error`]).
pub(crate) struct Message {
    raw: NonNull<native::rd_kafka_message_t>,
    // Keeps the consumer alive: messages are destroyed before it.
    _inlet: Arc<Inlet>,
}

// SAFETY: a message is owned by one value, and librdkafka allows it to be read and destroyed on any thread.
unsafe impl Send for Message {}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: owned, destroyed once; its consumer is still alive.
        unsafe { native::rd_kafka_message_destroy(self.raw.as_ptr()) }
    }
}

impl Message {
    fn raw(&self) -> &native::rd_kafka_message_t {
        // SAFETY: valid until Drop.
        unsafe { self.raw.as_ref() }
    }

    /// What makes this an event and not a record.
    pub(crate) fn error(&self) -> Option<RDKafkaErrorCode> {
        error_code(self.raw().err)
    }

    /// The words that come with [`Message::error`].
    pub(crate) fn error_text(&self) -> String {
        // SAFETY: the message is live; the string it returns lives as long as it.
        unsafe { text(native::rd_kafka_message_errstr(self.raw.as_ptr())) }
    }

    /// The topic; `None` for an event of the client as a whole.
    pub(crate) fn topic(&self) -> Option<&str> {
        if self.raw().rkt.is_null() {
            return None;
        }
        // SAFETY: the topic handle lives as long as the message, and its name is a string that ends in NUL.
        unsafe { CStr::from_ptr(native::rd_kafka_topic_name(self.raw().rkt)) }.to_str().ok()
    }

    /// A number that is equal for messages of one topic and different for different ones, while both live.
    pub(crate) fn topic_number(&self) -> usize {
        self.raw().rkt.addr()
    }

    /// The partition.
    pub(crate) fn partition(&self) -> i32 {
        self.raw().partition
    }

    /// The offset; for the end-of-partition event the next one to be read.
    pub(crate) fn offset(&self) -> i64 {
        self.raw().offset
    }

    /// The key.
    pub(crate) fn key(&self) -> Option<&[u8]> {
        // SAFETY: librdkafka says pointer and length of memory that the message owns.
        unsafe { bytes(self.raw().key, self.raw().key_len) }
    }

    /// The value.
    pub(crate) fn value(&self) -> Option<&[u8]> {
        // SAFETY: as for the key.
        unsafe { bytes(self.raw().payload, self.raw().len) }
    }

    /// Bytes of key and value.
    pub(crate) fn size(&self) -> usize {
        self.key().map_or(0, <[u8]>::len) + self.value().map_or(0, <[u8]>::len)
    }

    /// Milliseconds and whether the broker set them.
    pub(crate) fn timestamp(&self) -> (i64, bool) {
        let mut kind = native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: both pointers are valid for the call.
        let time = unsafe { native::rd_kafka_message_timestamp(self.raw.as_ptr(), &raw mut kind) };
        (time, kind == native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME)
    }

    pub(super) fn native_headers(&self) -> Option<*mut native::rd_kafka_headers_t> {
        let mut headers = ptr::null_mut();
        // SAFETY: both pointers are valid for the call; the headers stay the message's.
        let found = unsafe { native::rd_kafka_message_headers(self.raw.as_ptr(), &raw mut headers) };
        (found == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR && !headers.is_null()).then_some(headers)
    }

    /// Names and values of the headers, in order.
    pub(crate) fn headers(&self) -> Vec<(&[u8], Option<&[u8]>)> {
        let Some(headers) = self.native_headers() else { return Vec::new() };
        let mut found = Vec::new();
        loop {
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            // SAFETY: the headers live as long as the message; an index past the end is answered by an error.
            let answer = unsafe {
                native::rd_kafka_header_get_all(headers, found.len(), &raw mut name, &raw mut value, &raw mut size)
            };
            if answer != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                return found;
            }
            // SAFETY: a string that ends in NUL and a value of `size` bytes, both owned by the message.
            found.push(unsafe { (CStr::from_ptr(name).to_bytes(), bytes(value.cast_mut(), size)) });
        }
    }
}
