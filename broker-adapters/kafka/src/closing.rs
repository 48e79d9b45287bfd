//! Closing what may never finish closing.

use std::time::Duration;

/// How long closing a client may take before its thread is left behind: rdkafka's drop can loop for ever.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

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
