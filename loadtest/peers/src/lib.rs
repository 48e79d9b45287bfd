//! Kafka clients to measure with: librdkafka as its users have it, with none of our own code between it and a
//! broker. Knows nothing of schedules, figures and reports.

mod consumer;
mod producer;
mod topics;

pub use consumer::Consumer;
pub use producer::Producer;
pub use topics::create_topic;

/// Why a client could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} at {bootstrap}: {why}; look at the broker's log")]
pub struct PeerError {
    what: String,
    bootstrap: String,
    why: String,
}

impl PeerError {
    fn new(what: impl Into<String>, bootstrap: &str, why: impl std::fmt::Display) -> Self {
        Self { what: what.into(), bootstrap: bootstrap.to_owned(), why: why.to_string() }
    }
}
