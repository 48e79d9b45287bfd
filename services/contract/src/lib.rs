//! Data contracts: an ODCS document and an Avro schema become a [`Contract`]; a contract and a writer's
//! schema become a compiled [`Program`]; a record's bytes become a verdict, with every violation named,
//! and statistics that merge.
//!
//! ```text
//! contract.odcs.yaml ─┐ odcs::read                program::compile        Program::judge
//! *.avsc ─────────────┴──────────► Contract ─────────────────► Program ──────────────► Verdict
//!                                              writer schema ──┘             bytes ──┘   + statistics
//! ```
//!
//! This crate is pure. It has no async, does no I/O, reads no clock and knows nothing of topics,
//! registries or transactions; on a record that conforms it allocates nothing.

pub mod avro;
pub mod cel;
mod dialect;
mod model;
pub mod odcs;
pub mod program;
pub mod received;
mod stored;

pub use dialect::{Dialect, Written};
pub use model::{
    Check, Condition, Contract, Deletes, Format, KeyKind, KeySpec, Measure, Native, Objective, Path, Product, Rule,
    RuleId, Segment, Settings, Severity, Status, Team, UndeclaredFields,
};
pub use program::{
    Context, KeyProgram, KeySchema, Program, RuleInfo, Scratch, Statistics, Unresolvable, Verdict, Violation,
};
pub use stored::{Unreadable, read_back};
