//! The random schemas, records and slow reader of the contract crate's own proof.

#[path = "../../services/contract/tests/proof/evolve.rs"]
pub(crate) mod evolve;
#[path = "../../services/contract/tests/proof/generate.rs"]
pub(crate) mod generate;
#[path = "../../services/contract/tests/proof/random.rs"]
pub(crate) mod random;
#[path = "../../services/contract/tests/proof/read.rs"]
pub(crate) mod read;
#[path = "../../services/contract/tests/proof/schema.rs"]
pub(crate) mod schema;
#[path = "../../services/contract/tests/proof/write.rs"]
pub(crate) mod write;

/// `now` of the records, in seconds.
pub(crate) const NOW_SECONDS: i64 = 1_709_208_000;
