//! A single-node broker that speaks the Kafka protocol and keeps its log on local disk: what Weir runs on where
//! nobody has installed a Kafka. Every Kafka client connects to it; where one machine is outgrown, Apache Kafka
//! takes its place and nothing else changes.
//!
//! It knows the protocol, record batches, consumer groups and transactions. It knows nothing of Weir: not of
//! contracts, not of Weir's topics, and nothing of Weir knows that it is there.
//!
//! | room | what it does |
//! |---|---|
//! | [`log`] | one partition on disk: record batches as they came, read back by offset and time |
//! | [`groups`] | classic consumer groups and their committed offsets |
//! | `transactions` | who may write under a transactional id, and how its transactions end |
//! | `topics` | which topics there are, their partitions and settings |
//! | `journal`, `remembered` | what must be remembered beside the logs, in one file |
//! | `flush` | when the disk keeps what was written |
//! | `api` | one answer for every request |
//! | `net`, `memory` | frames, connections, bounds |
//!
//! Not spoken yet, and therefore not advertised: SASL, TLS and ACLs (`net` is where a connection would be
//! authenticated, `api::answer` where a principal would be asked for its rights), the consumer groups of KIP-848
//! (beside `groups`), and version 2 of transactions (KIP-890, in `transactions`).

pub mod groups;
pub mod log;

mod api;
mod backup;
mod broker;
mod clock;
mod configs;
mod directory;
mod flush;
mod journal;
mod memory;
mod net;
mod partition;
mod parts;
mod remembered;
mod settings;
mod telemetry;
mod topics;
mod transactions;
mod upkeep;
mod verify;

pub use backup::{BackupError, Copied, backup};
pub use broker::{Broker, OpenError};
pub use directory::{DirectoryError, FORMAT_VERSION};
pub use settings::{Bounds, Flush, Settings};
pub use verify::{Checked, Finding, VerifyError, verify};
