//! Avro schemas as an arena of nodes: read with bounds and exact positions of named types, written in
//! canonical form, compared as Avro Java compares them, and used to render and to encode values.
//!
//! Source: Apache Avro 1.12 specification.

mod canonical;
mod compat;
mod decimal;
mod defaults;
mod encode;
mod moment;
mod normal;
mod parse;
mod render;
mod schema;
mod strict;

pub use canonical::crc64;
pub use compat::{Incompatibility, IncompatibilityKind, can_read};
pub use encode::{EncodeError, encode, encode_at, encode_default};
pub use parse::{MAX_DEPTH, MAX_NODES, MAX_TEXT, SchemaError};
pub use render::{Malformed, render, render_first};
pub use schema::{Enumeration, Field, Fixed, Kind, Logical, Node, NodeId, Record, Schema};

#[cfg(test)]
mod tests;
