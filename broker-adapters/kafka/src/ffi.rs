//! The calls of librdkafka that rdkafka's safe surface lacks, behind a safe interface: consuming in batches,
//! producing with headers taken over natively, transactions without rdkafka's steps of 100 ms, offsets for a
//! group that nobody joined, and incremental configuration.
//!
//! The only module with unsafe code. What makes it sound: a [`Message`] owns its native message and holds its
//! [`Inlet`] alive, so messages are destroyed before their consumer; payloads are copied into the producer
//! (`F_COPY`), so nothing that is produced borrows from us; the delivery callback reaches its context through
//! the `Arc` that the client holds for as long as callbacks can run.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::bindings as native;
use rdkafka::client::Client;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr, RDKafkaType};
use rdkafka::{ClientContext, TopicPartitionList};

/// How long closing a consumer may take before its thread is left behind: rdkafka's drop can loop for ever.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// Flags of `rd_kafka_produceva` and `rd_kafka_purge` that bindgen does not bring (macros of rdkafka.h).
const F_COPY: c_int = 0x2;
const PURGE_QUEUE_AND_INFLIGHT: c_int = 0x1 | 0x2;

fn millis(duration: Duration) -> c_int {
    c_int::try_from(duration.as_millis()).unwrap_or(c_int::MAX)
}

/// Sends librdkafka's log lines to `tracing` instead of to stderr.
unsafe extern "C" fn log_line(
    _: *const native::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    line: *const c_char,
) {
    // SAFETY: librdkafka passes two strings that end in NUL and live for the call.
    let (facility, line) =
        unsafe { (CStr::from_ptr(facility).to_string_lossy(), CStr::from_ptr(line).to_string_lossy()) };
    if level <= 4 {
        tracing::warn!(target: "librdkafka", %facility, "{line}");
    } else {
        tracing::debug!(target: "librdkafka", %facility, "{line}");
    }
}

fn log_to_tracing(client: *mut native::rd_kafka_t) {
    // SAFETY: the pointer comes from a live client, and the function is static.
    unsafe { native::rd_kafka_set_logger(client, Some(log_line)) }
}

/// Gives memory that is free, but still held by the allocator, back to the system. librdkafka's threads each have
/// an arena of glibc's, which otherwise keeps what the fullest queues ever took. Takes milliseconds; for a thread
/// that may block. Does nothing where the allocator is another.
pub fn give_back_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> c_int;
        }
        // SAFETY: it takes a number, may be called from any thread, and touches free memory only.
        unsafe { malloc_trim(0) };
    }
}

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

/// Drops what may never return from being dropped, on a thread of its own, and waits no longer than a deadline.
pub(crate) fn drop_apart<T: Send + 'static>(value: T) {
    let (done, closed) = std::sync::mpsc::channel::<()>();
    let spawned = std::thread::Builder::new().name("kafka-close".into()).spawn(move || {
        drop(value);
        drop(done);
    });
    if spawned.is_ok() && closed.recv_timeout(CLOSE_DEADLINE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
        tracing::warn!("a Kafka client did not close within {CLOSE_DEADLINE:?}; its thread is left behind");
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

    fn native_headers(&self) -> Option<*mut native::rd_kafka_headers_t> {
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

/// # Safety
/// `data` is null or points to `len` bytes that live for `'a`.
unsafe fn bytes<'a>(data: *mut c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: promised by the caller.
    (!data.is_null()).then(|| unsafe { std::slice::from_raw_parts(data.cast::<u8>(), len) })
}

/// # Safety
/// `data` is null or a string that ends in NUL.
unsafe fn text(data: *const c_char) -> String {
    if data.is_null() {
        return String::new();
    }
    // SAFETY: promised by the caller.
    unsafe { CStr::from_ptr(data) }.to_string_lossy().into_owned()
}

fn error_code(err: RDKafkaRespErr) -> Option<RDKafkaErrorCode> {
    (err != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| err.into())
}

/// What librdkafka says of a call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The code.
    pub(crate) code: RDKafkaErrorCode,
    /// The words.
    pub(crate) text: String,
    /// The client is of no more use.
    pub(crate) fatal: bool,
    /// The same call may be made again.
    pub(crate) retriable: bool,
    /// The transaction must be aborted.
    pub(crate) requires_abort: bool,
}

impl Failure {
    /// Takes over an error object; null is success.
    fn check(error: *mut native::rd_kafka_error_t) -> Result<(), Self> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: an error object that is ours until it is destroyed below.
        unsafe {
            let failure = Self {
                code: native::rd_kafka_error_code(error).into(),
                text: text(native::rd_kafka_error_string(error)),
                fatal: native::rd_kafka_error_is_fatal(error) != 0,
                retriable: native::rd_kafka_error_is_retriable(error) != 0,
                requires_abort: native::rd_kafka_error_txn_requires_abort(error) != 0,
            };
            native::rd_kafka_error_destroy(error);
            Err(failure)
        }
    }

    fn local(code: RDKafkaErrorCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), fatal: false, retriable: false, requires_abort: false }
    }
}

/// What became of one produced record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// The number given with it.
    pub(crate) index: usize,
    /// The partition that it was sent to.
    pub(crate) partition: i32,
    /// Its offset, where it was delivered.
    pub(crate) offset: i64,
    /// Why it was not.
    pub(crate) error: Option<RDKafkaErrorCode>,
}

struct Deliveries {
    reports: Mutex<Vec<Delivery>>,
    /// A connection broke, or none has been asked about yet.
    disturbed: AtomicBool,
}

impl ClientContext for Deliveries {}

/// Log lines of a producer; broken connections are told nowhere else while nothing is under way on them.
unsafe extern "C" fn outlet_log_line(
    client: *const native::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    line: *const c_char,
) {
    // SAFETY: as for `delivered`; the facility is a string that ends in NUL.
    unsafe {
        let context = native::rd_kafka_opaque(client).cast::<Deliveries>();
        if CStr::from_ptr(facility) == c"FAIL" && !context.is_null() {
            (*context).disturbed.store(true, Ordering::Relaxed);
        }
        log_line(client, level, facility, line);
    }
}

/// Runs within flush, commit, abort and poll, on the thread that calls them.
unsafe extern "C" fn delivered(
    _: *mut native::rd_kafka_t,
    message: *const native::rd_kafka_message_t,
    opaque: *mut c_void,
) {
    // SAFETY: rdkafka sets the context's address as the client's opaque and keeps its Arc while the client
    // lives; the message is valid for the call.
    let (context, message) = unsafe { (&*opaque.cast::<Deliveries>(), &*message) };
    let delivery = Delivery {
        index: message._private.addr(),
        partition: message.partition,
        offset: message.offset,
        error: error_code(message.err),
    };
    context.reports.lock().unwrap_or_else(PoisonError::into_inner).push(delivery);
}

/// A topic of an [`Outlet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TopicHandle(usize);

/// A record to be produced; everything is copied.
pub(crate) struct Outgoing<'a> {
    /// The topic.
    pub(crate) topic: TopicHandle,
    /// The partition; −1 lets the partitioner choose.
    pub(crate) partition: i32,
    /// The key.
    pub(crate) key: Option<&'a [u8]>,
    /// The value.
    pub(crate) value: Option<&'a [u8]>,
    /// Milliseconds; 0 takes the time of sending.
    pub(crate) timestamp: i64,
    /// The message whose headers come first.
    pub(crate) headers_of: Option<&'a Message>,
    /// Given back with the delivery.
    pub(crate) index: usize,
}

/// A transactional producer that reports deliveries on the thread that flushes.
pub(crate) struct Outlet {
    topics: Vec<NonNull<native::rd_kafka_topic_t>>,
    by_name: HashMap<String, TopicHandle>,
    client: Client<Deliveries>,
}

// SAFETY: librdkafka's clients and topic handles may be used from any thread.
unsafe impl Send for Outlet {}

impl Outlet {
    /// A producer with this configuration.
    pub(crate) fn new(config: &ClientConfig) -> KafkaResult<Self> {
        let conf = config.create_native_config()?;
        // SAFETY: the configuration is live, and the callback is static.
        unsafe { native::rd_kafka_conf_set_dr_msg_cb(conf.ptr(), Some(delivered)) };
        let context = Deliveries { reports: Mutex::default(), disturbed: AtomicBool::new(true) };
        let client = Client::new(config, conf, RDKafkaType::RD_KAFKA_PRODUCER, context)?;
        // SAFETY: the client is live, the function is static, and the context lives as long as the client.
        unsafe { native::rd_kafka_set_logger(client.native_ptr(), Some(outlet_log_line)) };
        Ok(Self { topics: Vec::new(), by_name: HashMap::new(), client })
    }

    /// The handle of a topic.
    pub(crate) fn topic(&mut self, name: &str) -> Result<TopicHandle, Failure> {
        if let Some(handle) = self.by_name.get(name) {
            return Ok(*handle);
        }
        let refused = || Failure::local(RDKafkaErrorCode::InvalidTopic, format!("{name:?} cannot be a topic"));
        let c_name = CString::new(name).map_err(|_| refused())?;
        // SAFETY: the client is live and the name ends in NUL; the handle is destroyed in Drop.
        let topic = unsafe { native::rd_kafka_topic_new(self.client.native_ptr(), c_name.as_ptr(), ptr::null_mut()) };
        self.topics.push(NonNull::new(topic).ok_or_else(refused)?);
        let handle = TopicHandle(self.topics.len() - 1);
        self.by_name.insert(name.to_owned(), handle);
        Ok(handle)
    }

    /// Puts a record into the producer's queue, with `more` headers after those of `headers_of`.
    pub(crate) fn produce<'a>(
        &self,
        record: &Outgoing<'_>,
        more: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    ) -> Result<(), Failure> {
        let Some(topic) = self.topics.get(record.topic.0) else {
            return Err(Failure::local(RDKafkaErrorCode::InvalidTopic, "the topic handle is another producer's"));
        };
        let headers = headers_for(record.headers_of, more);
        use native::rd_kafka_vtype_t as Kind;
        let mut fields = [
            field(Kind::RD_KAFKA_VTYPE_RKT, |u| u.rkt = topic.as_ptr()),
            field(Kind::RD_KAFKA_VTYPE_PARTITION, |u| u.i32_ = record.partition),
            field(Kind::RD_KAFKA_VTYPE_MSGFLAGS, |u| u.i = F_COPY),
            field(Kind::RD_KAFKA_VTYPE_TIMESTAMP, |u| u.i64_ = record.timestamp),
            field(Kind::RD_KAFKA_VTYPE_OPAQUE, |u| u.ptr = ptr::without_provenance_mut(record.index)),
            field(Kind::RD_KAFKA_VTYPE_KEY, |u| u.mem = memory(record.key)),
            field(Kind::RD_KAFKA_VTYPE_VALUE, |u| u.mem = memory(record.value)),
            field(Kind::RD_KAFKA_VTYPE_HEADERS, |u| u.headers = headers),
        ];
        let count = if headers.is_null() { fields.len() - 1 } else { fields.len() };
        // SAFETY: `count` fields are initialised; key and value are copied within the call (F_COPY); the
        // headers become the producer's on success and stay ours on failure.
        let failed =
            Failure::check(unsafe { native::rd_kafka_produceva(self.client.native_ptr(), fields.as_mut_ptr(), count) });
        if failed.is_err() && !headers.is_null() {
            // SAFETY: still ours, destroyed once.
            unsafe { native::rd_kafka_headers_destroy(headers) };
        }
        failed
    }

    /// What was reported since the last call.
    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        std::mem::take(&mut *self.client.context().reports.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a connection to a broker broke since the last call; true at the first one. Needs the client's log
    /// level to be `Info`.
    pub(crate) fn disturbed(&self) -> bool {
        self.client.context().disturbed.swap(false, Ordering::Relaxed)
    }

    /// Serves reports for up to `wait`.
    pub(crate) fn poll(&self, wait: Duration) {
        // SAFETY: the client is live.
        unsafe { native::rd_kafka_poll(self.client.native_ptr(), millis(wait)) };
    }

    /// Waits until everything is reported.
    pub(crate) fn flush(&self, wait: Duration) -> Result<(), Failure> {
        // SAFETY: the client is live.
        let err = unsafe { native::rd_kafka_flush(self.client.native_ptr(), millis(wait)) };
        error_code(err).map_or(Ok(()), |code| Err(Failure::local(code, code.to_string())))
    }

    /// Fences earlier producers with the same id.
    pub(crate) fn init_transactions(&self, wait: Duration) -> Result<(), Failure> {
        // SAFETY: the client is live.
        Failure::check(unsafe { native::rd_kafka_init_transactions(self.client.native_ptr(), millis(wait)) })
    }

    /// Begins a transaction.
    pub(crate) fn begin(&self) -> Result<(), Failure> {
        // SAFETY: the client is live.
        Failure::check(unsafe { native::rd_kafka_begin_transaction(self.client.native_ptr()) })
    }

    /// Adds offsets of a group that nobody joined.
    pub(crate) fn send_offsets(
        &self,
        offsets: &TopicPartitionList,
        group: &str,
        wait: Duration,
    ) -> Result<(), Failure> {
        let group = CString::new(group)
            .map_err(|_| Failure::local(RDKafkaErrorCode::InvalidGroupId, "the group's name holds a zero byte"))?;
        // SAFETY: all pointers are live for the call; the metadata is destroyed once, after it.
        unsafe {
            let metadata = native::rd_kafka_consumer_group_metadata_new(group.as_ptr());
            let error = native::rd_kafka_send_offsets_to_transaction(
                self.client.native_ptr(),
                offsets.ptr(),
                metadata,
                millis(wait),
            );
            native::rd_kafka_consumer_group_metadata_destroy(metadata);
            Failure::check(error)
        }
    }

    /// Commits. rdkafka's own call waits in steps of 100 ms, this one does not.
    pub(crate) fn commit(&self, wait: Duration) -> Result<(), Failure> {
        // SAFETY: the client is live.
        Failure::check(unsafe { native::rd_kafka_commit_transaction(self.client.native_ptr(), millis(wait)) })
    }

    /// Aborts; what is still queued is purged.
    pub(crate) fn abort(&self, wait: Duration) -> Result<(), Failure> {
        // SAFETY: the client is live.
        Failure::check(unsafe { native::rd_kafka_abort_transaction(self.client.native_ptr(), millis(wait)) })
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        // SAFETY: the client is live until after this; each handle is destroyed once.
        unsafe {
            native::rd_kafka_purge(self.client.native_ptr(), PURGE_QUEUE_AND_INFLIGHT);
            native::rd_kafka_flush(self.client.native_ptr(), 500);
            for topic in &self.topics {
                native::rd_kafka_topic_destroy(topic.as_ptr());
            }
        }
    }
}

fn field(
    kind: native::rd_kafka_vtype_t,
    fill: impl FnOnce(&mut native::rd_kafka_vu_s__bindgen_ty_1),
) -> native::rd_kafka_vu_t {
    let mut u = native::rd_kafka_vu_s__bindgen_ty_1 { _pad: [0; 64] };
    fill(&mut u);
    native::rd_kafka_vu_t { vtype: kind, u }
}

/// Pointer and length of what the producer copies. An empty slice keeps a pointer that is not null: null means
/// null to Kafka.
fn memory(data: Option<&[u8]>) -> native::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
    native::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
        ptr: data.map_or(ptr::null_mut(), |data| data.as_ptr().cast_mut().cast()),
        size: data.map_or(0, <[u8]>::len),
    }
}

/// A copy of a message's headers with more after them; null where there would be none.
fn headers_for<'a>(
    of: Option<&Message>,
    more: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
) -> *mut native::rd_kafka_headers_t {
    let mut headers = match of.and_then(Message::native_headers) {
        // SAFETY: the source lives for the call; the copy is ours.
        Some(source) => unsafe { native::rd_kafka_headers_copy(source) },
        None => ptr::null_mut(),
    };
    for (name, value) in more {
        // SAFETY: name and value are copied within the call, with the lengths given.
        unsafe {
            if headers.is_null() {
                headers = native::rd_kafka_headers_new(4);
            }
            native::rd_kafka_header_add(
                headers,
                name.as_ptr().cast(),
                isize::try_from(name.len()).unwrap_or(0),
                value.map_or(ptr::null(), |value| value.as_ptr().cast()),
                value.map_or(0, |value| isize::try_from(value.len()).unwrap_or(0)),
            );
        }
    }
    headers
}

/// One entry of a partition list that a call filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedOffset {
    /// The topic.
    pub(crate) topic: String,
    /// The partition.
    pub(crate) partition: i32,
    /// The offset; negative where there is none.
    pub(crate) offset: i64,
    /// The metadata, which rdkafka reads as UTF-8 or panics.
    pub(crate) metadata: String,
    /// What went wrong for this partition.
    pub(crate) error: Option<RDKafkaErrorCode>,
}

/// The entries of a list.
pub(crate) fn listed(list: &TopicPartitionList) -> Vec<ListedOffset> {
    let raw = list.ptr();
    // SAFETY: a list holds `cnt` elements, each with a name that ends in NUL and metadata of the length said.
    unsafe {
        (0..usize::try_from((*raw).cnt).unwrap_or(0))
            .map(|index| {
                let element = &*(*raw).elems.add(index);
                ListedOffset {
                    topic: text(element.topic),
                    partition: element.partition,
                    offset: element.offset,
                    metadata: bytes(element.metadata, element.metadata_size)
                        .map(|data| String::from_utf8_lossy(data).into_owned())
                        .unwrap_or_default(),
                    error: error_code(element.err),
                }
            })
            .collect()
    }
}

/// Changes settings of a topic and no others (IncrementalAlterConfigs). `None` goes back to what is inherited.
pub(crate) fn alter_topic<'a, C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    changes: impl Iterator<Item = (&'a str, Option<&'a str>)>,
    wait: Duration,
) -> Result<(), Failure> {
    let zero_byte = |_| Failure::local(RDKafkaErrorCode::InvalidArgument, "a name or a value holds a zero byte");
    let topic = CString::new(topic).map_err(zero_byte)?;
    let changes = changes
        .map(|(name, value)| {
            Ok((CString::new(name).map_err(zero_byte)?, value.map(CString::new).transpose().map_err(zero_byte)?))
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    use native::rd_kafka_AlterConfigOpType_t as Op;
    // SAFETY: every object is created here, handed on while it lives, and destroyed once; the result belongs to
    // the event and is read before that is destroyed.
    unsafe {
        let mut resource = native::rd_kafka_ConfigResource_new(
            native::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC,
            topic.as_ptr(),
        );
        let mut outcome = Ok(());
        for (name, value) in &changes {
            let (op, value) = match value {
                Some(value) => (Op::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET, value.as_ptr()),
                None => (Op::RD_KAFKA_ALTER_CONFIG_OP_TYPE_DELETE, ptr::null()),
            };
            outcome = outcome.and(Failure::check(native::rd_kafka_ConfigResource_add_incremental_config(
                resource,
                name.as_ptr(),
                op,
                value,
            )));
        }
        if outcome.is_ok() {
            outcome = send_alteration(client.native_ptr(), &mut resource, wait);
        }
        native::rd_kafka_ConfigResource_destroy(resource);
        outcome
    }
}

/// # Safety
/// The client and the resource are live.
unsafe fn send_alteration(
    client: *mut native::rd_kafka_t,
    resource: &mut *mut native::rd_kafka_ConfigResource_t,
    wait: Duration,
) -> Result<(), Failure> {
    // SAFETY: promised by the caller; queue, options and event are created here and destroyed once.
    unsafe {
        let queue = native::rd_kafka_queue_new(client);
        let options = native::rd_kafka_AdminOptions_new(
            client,
            native::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS,
        );
        native::rd_kafka_AdminOptions_set_request_timeout(options, millis(wait), ptr::null_mut(), 0);
        native::rd_kafka_IncrementalAlterConfigs(client, resource, 1, options, queue);
        let event = native::rd_kafka_queue_poll(queue, millis(wait + Duration::from_secs(2)));
        let outcome = if event.is_null() {
            Err(Failure::local(RDKafkaErrorCode::OperationTimedOut, "no answer in time"))
        } else {
            let outcome = alteration_outcome(event);
            native::rd_kafka_event_destroy(event);
            outcome
        };
        native::rd_kafka_AdminOptions_destroy(options);
        native::rd_kafka_queue_destroy(queue);
        outcome
    }
}

/// # Safety
/// The event is live.
unsafe fn alteration_outcome(event: *mut native::rd_kafka_event_t) -> Result<(), Failure> {
    // SAFETY: promised by the caller; what is read belongs to the event.
    unsafe {
        if let Some(code) = error_code(native::rd_kafka_event_error(event)) {
            return Err(Failure::local(code, text(native::rd_kafka_event_error_string(event))));
        }
        let result = native::rd_kafka_event_IncrementalAlterConfigs_result(event);
        if result.is_null() {
            return Err(Failure::local(RDKafkaErrorCode::Fail, "the answer was to another question"));
        }
        let mut count = 0;
        let resources = native::rd_kafka_IncrementalAlterConfigs_result_resources(result, &raw mut count);
        for index in 0..count {
            let resource = *resources.add(index);
            if let Some(code) = error_code(native::rd_kafka_ConfigResource_error(resource)) {
                return Err(Failure::local(code, text(native::rd_kafka_ConfigResource_error_string(resource))));
            }
        }
        Ok(())
    }
}
