//! The calls of librdkafka that rdkafka's safe surface lacks, behind a safe interface: consuming in batches,
//! producing with headers taken over natively, transactions without rdkafka's steps of 100 ms, offsets for a
//! group that nobody joined, incremental configuration, and what a principal may do.
//!
//! The only room with unsafe code; what makes each part sound is said at its head.

mod admin;
mod failure;
mod inlet;
mod lists;
mod outlet;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::time::Duration;

use rdkafka::bindings as native;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

pub(crate) use admin::{Operations, alter_topic, cluster_operations, group_operations, topic_operations};
pub(crate) use failure::Failure;
pub(crate) use inlet::{Inlet, Message};
pub(crate) use lists::{ListedOffset, listed};
pub(crate) use outlet::{Delivery, Outgoing, Outlet, TopicHandle};

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
