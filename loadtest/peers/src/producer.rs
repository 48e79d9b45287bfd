//! A producer that counts what the broker acknowledged. Idempotent, `acks=all`; the rest as librdkafka has it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};

use crate::PeerError;

/// The bound on waiting for what was sent, and on each step of a transaction.
const DEADLINE: Duration = Duration::from_secs(60);

/// What became of the records.
#[derive(Debug, Default)]
struct Deliveries {
    acknowledged: AtomicU64,
    failure: Mutex<Option<String>>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, _)) => {
                if let Ok(mut failure) = self.failure.lock() {
                    failure.get_or_insert_with(|| error.to_string());
                }
            }
        }
    }
}

/// A producer of records without keys to one topic.
pub struct Producer {
    inner: BaseProducer<Deliveries>,
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
        Ok(Self { inner, bootstrap: bootstrap.to_owned(), topic: topic.to_owned() })
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
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    self.inner.poll(Duration::from_millis(1));
                }
                Err((error, _)) => return Err(self.failed("send a record", &error)),
            }
        }
    }

    /// Takes in what the broker has answered. To be called now and then while records are sent.
    pub fn serve(&self) {
        self.inner.poll(Duration::ZERO);
    }

    /// Waits until every record is acknowledged.
    ///
    /// # Errors
    /// One was not, or not within a minute.
    pub fn flush(&self) -> Result<(), PeerError> {
        self.inner.flush(DEADLINE).map_err(|error| self.failed("flush", &error))?;
        self.whole()
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
        self.inner.commit_transaction(DEADLINE).map_err(|error| self.failed("commit a transaction", &error))?;
        self.whole()
    }

    fn whole(&self) -> Result<(), PeerError> {
        let failure = self.inner.context().failure.lock().ok().and_then(|failure| failure.clone());
        failure.map_or(Ok(()), |why| Err(self.failed("deliver every record", &why)))
    }

    /// How many records the broker has acknowledged, as far as was taken in.
    pub fn acknowledged(&self) -> u64 {
        self.inner.context().acknowledged.load(Ordering::Relaxed)
    }
}
