//! Producing with headers taken over natively, and transactions without rdkafka's steps of 100 ms.
//!
//! Payloads are copied into the producer (`F_COPY`), so nothing that is produced borrows from us; the delivery
//! callback reaches its context through the `Arc` that the client holds for as long as callbacks can run.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::bindings as native;
use rdkafka::client::Client;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaType};
use rdkafka::{ClientContext, TopicPartitionList};

use super::{Failure, Message, error_code, log_line, millis};

/// Flags of `rd_kafka_produceva` and `rd_kafka_purge` that bindgen does not bring (macros of rdkafka.h).
const F_COPY: c_int = 0x2;
const PURGE_QUEUE_AND_INFLIGHT: c_int = 0x1 | 0x2;

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
    /// When the broker says it appended it, where the topic's records carry that; in milliseconds.
    pub(crate) appended_at: Option<i64>,
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
    let mut kind = native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    // SAFETY: rdkafka sets the context's address as the client's opaque and keeps its Arc while the client
    // lives; the message is valid for the call.
    let (context, time, message) = unsafe {
        let time = native::rd_kafka_message_timestamp(message, &raw mut kind);
        (&*opaque.cast::<Deliveries>(), time, &*message)
    };
    let by_broker = kind == native::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME;
    let delivery = Delivery {
        index: message._private.addr(),
        partition: message.partition,
        offset: message.offset,
        error: error_code(message.err),
        appended_at: (by_broker && time >= 0).then_some(time),
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

fn unmade(error: KafkaError) -> Failure {
    Failure::local(RDKafkaErrorCode::InvalidArgument, error.to_string())
}

impl Outlet {
    /// A producer with this configuration.
    pub(crate) fn new(config: &ClientConfig) -> Result<Self, Failure> {
        let conf = config.create_native_config().map_err(unmade)?;
        // SAFETY: the configuration is live, and the callback is static.
        unsafe { native::rd_kafka_conf_set_dr_msg_cb(conf.ptr(), Some(delivered)) };
        let context = Deliveries { reports: Mutex::default(), disturbed: AtomicBool::new(true) };
        let client = Client::new(config, conf, RDKafkaType::RD_KAFKA_PRODUCER, context);
        let client = client.map_err(unmade)?;
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
