//! A Confluent-compatible schema registry over the `_schemas` topic: Avro schemas, seven compatibility
//! levels, soft and permanent deletion.
//!
//! ```text
//! HTTP ──► decide(state) ──► transaction on _schemas ──► tail ──► state ──► HTTP
//! ```
//!
//! The topic is the truth; several registries may serve it. A write fences the others' writers, reads the
//! topic to its end and decides on that, so that two registries never give one id to two schemas. The
//! formats on the topic are Confluent's, and so are the error codes. Not here: other kinds of schema than
//! Avro, references, contexts, modes other than as another registry set them. Knows nothing of contracts
//! beyond the reading and comparing of Avro.

mod body;
mod decide;
mod http;
mod records;
mod refusal;
mod round;
mod state;
mod store;

use std::sync::Arc;

use broker::{Broker, Weather};
use schemas::Names;

pub use refusal::Refusal;
use store::Store;

/// The bound that a server should put on bodies of [`Registry::router`]: what is larger than a schema may be, but
/// not than this, is told so in the API's own words.
pub const REQUEST_BYTES: usize = 32 * 1024 * 1024;

/// A registry: the fold of its topic, and the writer of it.
pub struct Registry {
    store: Store,
}

impl Registry {
    /// Makes the topic where it is missing (compacted, one partition) and reads it to its end, for at most
    /// 30 s. Blocks; a thread goes on reading until the registry is dropped.
    ///
    /// # Errors
    /// [`Weather`] where the broker cannot serve, or the topic has more than one partition.
    pub fn open(broker: Arc<dyn Broker>, names: Names) -> Result<Self, Weather> {
        Ok(Self { store: Store::open(broker, &names)? })
    }

    /// The Confluent API. Bodies are bounded at 1 MiB, and larger ones refused once they are read; limits of time and concurrency are the server's.
    pub fn router(self: Arc<Self>) -> axum::Router {
        http::router(self)
    }

    /// Whether the topic can be reached now. Blocks, for at most 30 s.
    ///
    /// # Errors
    /// [`Weather`] where it cannot.
    pub fn ready(&self) -> Result<(), Weather> {
        self.store.end().map(|_| ())
    }

    /// Why this registry only reads, where the topic holds records that it does not understand.
    pub fn read_only(&self) -> Option<String> {
        self.store.state().foreign.clone()
    }
}

#[cfg(test)]
mod tests;
