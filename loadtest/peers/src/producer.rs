//! A producer that counts what the broker acknowledged. Idempotent, `acks=all`; the rest as librdkafka has it.

use std::cell::Cell;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};

use crate::PeerError;

/// The bound on waiting for what was sent, and on each step of a transaction.
const DEADLINE: Duration = Duration::from_secs(60);

/// What became of the records.
#[derive(Debug, Default)]
struct Settled {
    acknowledged: u64,
    failed: u64,
    first_failure: Option<String>,
}

/// Counts deliveries, and tells whoever waits for them.
#[derive(Debug, Default)]
struct Deliveries {
    settled: Mutex<Settled>,
    changed: Condvar,
}

impl Deliveries {
    fn settled(&self) -> MutexGuard<'_, Settled> {
        // Counting leaves nothing half done.
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until so many records are settled, or until `deadline`.
    fn wait(&self, count: u64, deadline: Instant) {
        let mut settled = self.settled();
        while settled.acknowledged + settled.failed < count {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            settled = self.changed.wait_timeout(settled, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut settled = self.settled();
        match result {
            Ok(_) => settled.acknowledged += 1,
            Err((error, _)) => {
                settled.failed += 1;
                settled.first_failure.get_or_insert_with(|| error.to_string());
            }
        }
        drop(settled);
        self.changed.notify_one();
    }
}

/// A producer of records without keys to one topic.
pub struct Producer {
    inner: ThreadedProducer<Deliveries>,
    /// Records handed over.
    sent: Cell<u64>,
    bootstrap: String,
    topic: String,
}

impl Producer {
    /// A producer that waits for `linger` for more records before it sends a batch; without one, for as long as
    /// librdkafka does by default.
    ///
    /// # Errors
    /// librdkafka makes no client of it.
    pub fn new(bootstrap: &str, topic: &str, linger: Option<Duration>) -> Result<Self, PeerError> {
        let mut config = ClientConfig::new();
        if let Some(linger) = linger {
            config.set("linger.ms", (linger.as_secs_f64() * 1000.0).to_string());
        }
        Self::create(config, bootstrap, topic)
    }

    /// A producer whose records are sent between [`begin`](Self::begin) and [`commit`](Self::commit).
    ///
    /// # Errors
    /// The broker does not give it the transactional id within a minute.
    pub fn transactional(bootstrap: &str, topic: &str, id: &str) -> Result<Self, PeerError> {
        let mut config = ClientConfig::new();
        config.set("transactional.id", id);
        let producer = Self::create(config, bootstrap, topic)?;
        let opened = producer.inner.init_transactions(DEADLINE);
        opened.map_err(|error| producer.failed("open the transactional id", &error))?;
        Ok(producer)
    }

    fn create(mut config: ClientConfig, bootstrap: &str, topic: &str) -> Result<Self, PeerError> {
        config.set("bootstrap.servers", bootstrap).set("acks", "all").set("enable.idempotence", "true");
        let inner = config
            .create_with_context(Deliveries::default())
            .map_err(|error| PeerError::new("make a producer", bootstrap, error))?;
        Ok(Self { inner, sent: Cell::new(0), bootstrap: bootstrap.to_owned(), topic: topic.to_owned() })
    }

    fn failed(&self, what: &str, why: &dyn std::fmt::Display) -> PeerError {
        PeerError::new(format!("{what} for {}", self.topic), &self.bootstrap, why)
    }

    /// Hands a record over; waits while librdkafka's queue is full.
    ///
    /// # Errors
    /// librdkafka refuses the record.
    pub fn send(&self, value: &[u8]) -> Result<(), PeerError> {
        loop {
            match self.inner.send(BaseRecord::<(), [u8]>::to(&self.topic).payload(value)) {
                Ok(()) => {
                    self.sent.set(self.sent.get() + 1);
                    return Ok(());
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    let more = self.acknowledged() + 1;
                    self.inner.context().wait(more, Instant::now() + Duration::from_millis(1));
                }
                Err((error, _)) => return Err(self.failed("send a record", &error)),
            }
        }
    }

    /// Waits until every record is acknowledged.
    ///
    /// # Errors
    /// One was not, or not within a minute.
    pub fn flush(&self) -> Result<(), PeerError> {
        self.settle();
        self.inner.flush(DEADLINE).map_err(|error| self.failed("flush", &error))?;
        self.whole()
    }

    /// Waits until every record is settled. The flush of the crate, which a commit begins with, would look for that
    /// every 100 ms only.
    fn settle(&self) {
        self.inner.context().wait(self.sent.get(), Instant::now() + DEADLINE);
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// This is no transactional producer, or the last transaction has not ended.
    pub fn begin(&self) -> Result<(), PeerError> {
        self.inner.begin_transaction().map_err(|error| self.failed("begin a transaction", &error))
    }

    /// Commits it, and waits until the broker has said so.
    ///
    /// # Errors
    /// A record was not acknowledged, or the commit not within a minute.
    pub fn commit(&self) -> Result<(), PeerError> {
        self.settle();
        self.inner.commit_transaction(DEADLINE).map_err(|error| self.failed("commit a transaction", &error))?;
        self.whole()
    }

    fn whole(&self) -> Result<(), PeerError> {
        let failure = self.inner.context().settled().first_failure.clone();
        failure.map_or(Ok(()), |why| Err(self.failed("deliver every record", &why)))
    }

    /// How many records the broker has acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.inner.context().settled().acknowledged
    }
}
