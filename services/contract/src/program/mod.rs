//! The compiled program: (writer schema, contract) becomes a flat array of small ops that one pass over a
//! record's bytes runs: structure, schema resolution, rules, conditions and statistics at once.

use std::sync::Arc;

use schemas::Timestamp;

use crate::avro;
use crate::model::{Contract, RuleId, Severity};

/// A program for records written with one schema, judged under one contract version. Immutable; shared
/// between lanes.
#[derive(Debug)]
pub struct Program {
    _contract: Arc<Contract>,
}

/// Why records written with a schema can never be read with the contract's, in a sentence, with the path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {why}")]
pub struct Unresolvable {
    /// The place in the contract's schema; empty for the record itself.
    pub path: String,
    /// What does not fit.
    pub why: String,
}

/// What a record is judged with besides its value.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The record's key as it stands in the log.
    pub key: Option<&'a [u8]>,
    /// The key's writer schema, where the contract's key is Avro and the caller has resolved its id.
    pub key_schema: Option<&'a avro::Schema>,
    /// `now` of the rules: the lane's clock, read once per batch.
    pub now: Timestamp,
}

/// The verdict on one record whose world was whole. (*Cannot tell* is the caller's: it arises before a
/// program exists.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It keeps the contract; warnings may have been counted.
    Conforms,
    /// It does not; [`Scratch::violations`] says why.
    Violates,
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which. Structural ones have fixed ids: `wire`, `schema`, `malformed`, `undeclared-field`, `key`,
    /// `tombstone`, `type`.
    pub rule: RuleId,
    /// Where, with indices: `lines[2].quantity`; empty for the record itself.
    pub path: String,
    /// The value, cut at a bound, masked where classified; `None` where there is none to show.
    pub value: Option<String>,
    /// One sentence a person understands.
    pub message: String,
    /// Whether it held the record back.
    pub severity: Severity,
}

/// Working memory of one thread, used again for every record.
#[derive(Debug, Default)]
pub struct Scratch {}

impl Scratch {
    /// The first violations of the record judged last (at most 16), errors and warnings.
    pub fn violations(&self) -> &[Violation] {
        &[]
    }
}

impl Program {
    /// Compiles.
    ///
    /// # Errors
    /// [`Unresolvable`] where no record written with `writer` can be read with the contract's schema.
    pub fn compile(_writer: &avro::Schema, contract: &Arc<Contract>) -> Result<Self, Unresolvable> {
        Ok(Self { _contract: Arc::clone(contract) })
    }

    /// Judges one record body (the bytes behind the frame).
    pub fn judge(&self, _body: &[u8], _context: &Context<'_>, _scratch: &mut Scratch) -> Verdict {
        Verdict::Violates
    }
}
