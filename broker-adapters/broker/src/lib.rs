//! The port: what Weir needs of a log ([`Broker`], [`Lane`]) and of a schema registry ([`Registry`]), said
//! in Weir's own words; the reference in memory, with seeded faults; and one conformance suite that every
//! adapter passes.
//!
//! The port is synchronous and speaks of batches. It knows nothing of contracts, verdicts' reasons, HTTP
//! or of any client library; what it hands out is bytes, offsets and outcomes.

mod access;
mod admin;
pub mod conformance;
mod lane;
mod log;
pub mod memory;
mod registry;

pub use access::{Operation, Resource};
pub use admin::{
    Admin, AdminError, Cluster, ConfigChange, ConfigEntry, NewTopic, NodeInfo, TopicDescription, TopicSetting,
};
pub use lane::{
    Batch, Committed, CommittedOffset, Control, Destination, Fate, Headers, InboxPartition, Incident, Lane, LaneError,
    LaneOptions, PartitionOutput, PollLimits, Reasons, Record, Route, SlotEvent, SlotMember, SlotOptions,
    TimestampType,
};
pub use log::{
    Broker, Chunk, Isolation, OutRecord, OwnedRecord, Position, Progress, Reader, Weather, WriteError, Writer, Written,
};
pub use registry::{CompatibilityLevel, Lookup, Registered, Registry, Standing};
