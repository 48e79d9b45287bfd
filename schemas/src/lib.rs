//! The language of Weir: the names of products, topics, groups and transactional ids; offsets, slots
//! and schema ids as types; the Confluent wire format; and the events that the backbone writes about
//! itself, with the Avro schemas they are written with.
//!
//! This crate does no I/O and knows nothing of brokers, registries, contracts' rules or services. Every
//! string that names something on a cluster is made here, in [`Names`], and nowhere else.

mod catalog;
mod events;
mod ids;
mod names;
mod product;
mod wire;

pub use catalog::{Catalog, CatalogError, ContractEntry, ProductEntry};
pub use events::{
    AuditEvent, BackboneSchema, Bucket, CatalogKey, CatalogRecord, CatalogValue, Codec, ContractVersion, CountByName,
    DecodeError, FieldQuality, LineageEvent, LineageKind, MajorState, ProductState, QualityEvent, Run, ViolationCount,
};
pub use ids::{
    GroupId, InvalidName, Offset, Partition, SchemaId, Slot, Subject, Timestamp, Topic, TopicPartition, TransactionalId,
};
pub use names::{Companion, Names, ParsedTopic, Prefix};
pub use product::{Domain, Major, ProductId, ProductName, Version};
pub use wire::{FRAME_LEN, Frame, NotFramed, frame};
