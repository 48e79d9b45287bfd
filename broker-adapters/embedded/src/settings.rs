//! What the broker is told when it starts, and the bound of everything that a client could make grow.

use std::path::PathBuf;
use std::time::Duration;

/// What a loss of power may take. A killed process loses nothing that was acknowledged, whatever is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// Acknowledged is on the disk. Requests that come together share one flush.
    Always,
    /// What was acknowledged within this time before may be lost with the power.
    Interval(Duration),
    /// The operating system decides; usually within 30 s.
    Os,
}

/// What a client may ask for at most.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Connections at once; one more is closed at once.
    pub connections: usize,
    /// Bytes of one Produce request, as Kafka's `socket.request.max.bytes`.
    pub request_bytes: usize,
    /// Bytes of any other request.
    pub control_request_bytes: usize,
    /// Bytes of all requests and answers in memory; who comes when it is used up waits.
    pub memory_bytes: usize,
    /// Bytes of records in one Fetch answer, whatever the client allows.
    pub fetch_bytes: usize,
    /// A request that has begun is here within this time, and an answer is read within this time, or the
    /// connection is closed; so it is where the first request does not begin within it.
    pub transfer: Duration,
    /// A connection without requests is closed after this, as Kafka's `connections.max.idle.ms`.
    pub idle: Duration,
    /// Topics.
    pub topics: usize,
    /// Partitions of all topics.
    pub partitions: usize,
    /// Longest time a client may let a transaction stay open, as Kafka's `transaction.max.timeout.ms`.
    pub transaction_timeout: Duration,
    /// Transactional ids that are remembered.
    pub transactional_ids: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 2_000,
            request_bytes: 100 * 1024 * 1024,
            control_request_bytes: 16 * 1024 * 1024,
            memory_bytes: 256 * 1024 * 1024,
            fetch_bytes: 2 * 1024 * 1024,
            transfer: Duration::from_secs(60),
            idle: Duration::from_secs(600),
            topics: 20_000,
            partitions: 50_000,
            transaction_timeout: Duration::from_secs(900),
            transactional_ids: 100_000,
        }
    }
}

/// How a broker is started.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory that holds everything; one process at a time.
    pub data: PathBuf,
    /// Host and port that clients are told to connect to.
    pub advertised: (String, u16),
    /// What a loss of power may take.
    pub flush: Flush,
    /// Make a topic when a client asks for one that does not exist, as Kafka's `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// Partitions of a topic that does not say how many.
    pub partitions: u32,
    /// How long a new group waits for more members before its first rebalance.
    pub initial_rebalance_delay: Duration,
    /// Bounds.
    pub bounds: Bounds,
}

impl Settings {
    /// The usual settings for this directory and address.
    pub fn new(data: PathBuf, host: &str, port: u16) -> Self {
        Self {
            data,
            advertised: (host.to_owned(), port),
            flush: Flush::Interval(Duration::from_secs(1)),
            auto_create_topics: false,
            partitions: 1,
            initial_rebalance_delay: Duration::ZERO,
            bounds: Bounds::default(),
        }
    }
}
