//! The port on Apache Kafka (rdkafka) and on a registry that speaks the Confluent API.
//!
//! Translates, and decides nothing: what a record means, which offset a lane starts at and what happens after
//! an outcome is the caller's. The rules of exactly-once with librdkafka live here: a commit that may have been
//! retried in the dark taints its producer, and after every abort the truth about offsets is the broker's.

mod access;
mod admin;
mod asking;
mod client_properties;
mod closing;
#[expect(unsafe_code, reason = "librdkafka's batch and transaction calls have no safe form in rdkafka")]
mod ffi;
mod lane;
mod offsets;
mod options;
mod reader;
mod registry;
mod slots;
mod telemetry;
mod transactor;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use broker::{Broker, Isolation, Lane, LaneOptions, Position, Reader, SlotMember, SlotOptions, Weather, Writer};
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::config::RDKafkaLogLevel;
use schemas::{Slot, TopicPartition, TransactionalId};

pub use client_properties::parse_client_properties;
pub use ffi::give_back_memory;
pub use options::KafkaOptions;
pub use registry::{HttpRegistry, RegistryAccess};

use asking::Asker;

/// The bound on every call that has no bound of its own.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(30);

/// A directive for log filters: the client library reports every end of a partition as an error of its own.
/// What went wrong comes back from the calls.
pub const LOG_FILTER: &str = "rdkafka::client=off";

/// A connection to a Kafka cluster.
pub struct Kafka {
    options: KafkaOptions,
    /// Asks what a committed reader would see.
    committed: Arc<Asker>,
    /// Asks what the log holds.
    uncommitted: Arc<Asker>,
    admin: AdminClient<DefaultClientContext>,
}

impl Kafka {
    /// Connects, and asks the cluster once, so that what cannot work is said now.
    ///
    /// # Errors
    /// [`Weather`] where the options make no client or no broker answers within 30 s.
    pub fn connect(options: KafkaOptions) -> Result<Self, Weather> {
        let what = format!("connect to {}", options.bootstrap);
        let mut admin_config = options.config();
        admin_config.set_log_level(RDKafkaLogLevel::Emerg);
        let admin = admin_config.create().map_err(|error| Weather::new(what.clone(), error))?;
        let kafka = Self {
            committed: Arc::new(Asker::new(&options, Isolation::Committed)?),
            uncommitted: Arc::new(Asker::new(&options, Isolation::Uncommitted)?),
            admin,
            options,
        };
        kafka.uncommitted.reach(CALL_DEADLINE).map_err(|why| Weather::new(what, why))?;
        Ok(kafka)
    }

    fn asker(&self, isolation: Isolation) -> &Asker {
        match isolation {
            Isolation::Committed => &self.committed,
            Isolation::Uncommitted => &self.uncommitted,
        }
    }
}

impl Broker for Kafka {
    fn reader(&self, from: &[(TopicPartition, Position)], isolation: Isolation) -> Result<Box<dyn Reader>, Weather> {
        Ok(Box::new(reader::KafkaReader::open(&self.options, self.asker(isolation), from, isolation)?))
    }

    fn writer(&self, id: &TransactionalId) -> Result<Box<dyn Writer>, Weather> {
        Ok(Box::new(writer::KafkaWriter::open(&self.options, id)?))
    }

    fn join_slots(&self, options: &SlotOptions) -> Result<Box<dyn SlotMember>, Weather> {
        Ok(Box::new(slots::Membership::join(&self.options, options)?))
    }

    fn lane(&self, slot: Slot, options: &LaneOptions) -> Result<Box<dyn Lane>, Weather> {
        let askers = [Arc::clone(&self.uncommitted), Arc::clone(&self.committed)];
        Ok(Box::new(lane::KafkaLane::take(&self.options, askers, slot, options)?))
    }
}
