//! Apache Avro for Java as the judge: of what a schema reads, of the registry's levels, and of the records on
//! which the program and `apache-avro` do not agree.
//!
//! `WEIR_PROOF_SEED` says where the random schemas start.

mod judge;
mod levels;
mod mutate;
mod pairs;
mod proof;
mod values;

use std::sync::Arc;

use contract::avro::Schema;
use contract::{Contract, Settings, UndeclaredFields};

pub(crate) use proof::random::Random;

/// Where random schemas start.
pub(crate) fn seed() -> u64 {
    std::env::var("WEIR_PROOF_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0x5eed)
}

/// How many of something: ten times as many in the long run.
pub(crate) fn many(count: usize) -> usize {
    if std::env::var_os("WEIR_LONG").is_some() { count * 10 } else { count }
}

/// The text of a random schema.
pub(crate) fn generated(random: &mut Random) -> String {
    proof::generate::schema(random).text(true)
}

/// A schema's text, changed as people change schemas.
pub(crate) fn mutated(text: &str, random: &mut Random) -> String {
    let mut json = serde_json::from_str(text).expect("JSON");
    mutate::mutate(&mut json, random);
    json.to_string()
}

/// A contract of a schema, without rules.
pub(crate) fn plain_contract(schema: Schema) -> Arc<Contract> {
    let (product, version) = ("proof.proof".parse().expect("a product"), "1.0.0".parse().expect("a version"));
    let settings = Settings { undeclared_fields: UndeclaredFields::Allow, ..Settings::default() };
    Arc::new(Contract { settings, ..Contract::plain(product, version, Arc::new(schema)) })
}
