//! The compiled program: (writer schema, contract) becomes a flat array of small ops that one pass over a
//! record's bytes runs: structure, schema resolution, rules, conditions and statistics at once.
//!
//! `resolve` decides whether the schemas fit; `compile` makes the ops, `defaults` those of fields the writer
//! does not have; `run` is the loop over them, `cursor` reads the bytes, `checks` holds the rules, `key`
//! and `avro_key` judge the key and make it. [`statistics`] and [`sketch`] keep what is measured.

mod avro_key;
mod checks;
mod compile;
mod cursor;
mod defaults;
mod fast;
mod formats;
mod key;
mod layout;
mod ops;
mod resolve;
mod run;
mod scratch;
pub mod sketch;
pub mod statistics;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_keys;
mod value;

use std::sync::Arc;

use schemas::Timestamp;

use crate::avro;
use crate::cel::{Found, Rows};
use crate::model::{Contract, RuleId, Severity};
use compile::Code;
use fast::Fast;
use layout::Layout;
use run::Places;

pub use avro_key::{KeyProgram, KeySchema, key_schema};
pub use key::key_fault_of_tombstone;
pub use layout::RuleInfo;
pub use scratch::Scratch;
pub use statistics::Statistics;

/// Ids of the structural rules, in the order in which they lead [`Program::rules`].
pub const RULES_BUILT_IN: [&str; 7] = ["malformed", "undeclared-field", "type", "key", "wire", "schema", "tombstone"];

const RULE_MALFORMED: u32 = 0;
const RULE_UNDECLARED: u32 = 1;
const RULE_TYPE: u32 = 2;
const RULE_KEY: u32 = 3;

/// A program for records written with one schema, judged under one contract version. Immutable; shared
/// between lanes.
#[derive(Debug)]
pub struct Program {
    contract: Arc<Contract>,
    layout: Arc<Layout>,
    code: Code,
    /// Passes for records that keep the contract: of those that are only judged, of those that are measured.
    fast: [Option<Fast>; 2],
}

/// Why records written with a schema can never be read with the contract's, in a sentence, with the path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{why}", if path.is_empty() { String::new() } else { format!("{path}: ") })]
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
    pub key_schema: Option<KeySchema<'a>>,
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

impl Program {
    /// Compiles. A writer's field that the contract does not declare is no error here: every record that
    /// carries it violates `undeclared-field`, unless the contract allows such fields.
    ///
    /// # Errors
    /// [`Unresolvable`] where no record written with `writer` can be read with the contract's schema, or a
    /// rule names a path that is not there.
    pub fn compile(writer: &avro::Schema, contract: &Arc<Contract>) -> Result<Self, Unresolvable> {
        let layout = Layout::of(contract);
        let code = compile::compile(writer, contract, &layout)?;
        let fast = [false, true].map(|measuring| Fast::lower(&code, &layout, measuring));
        Ok(Self { contract: Arc::clone(contract), layout, code, fast })
    }

    /// The contract it judges by.
    pub fn contract(&self) -> &Arc<Contract> {
        &self.contract
    }

    /// Every rule that can be broken: [`RULES_BUILT_IN`], the contract's rules, its conditions, in this
    /// order; the same for all programs of one contract.
    pub fn rules(&self) -> &[RuleInfo] {
        &self.layout.rules
    }

    /// Judges one record body (the bytes behind the frame). What is broken stands in `scratch` until the
    /// next record; `statistics`, where given, take in the violations, and the values if the record conforms.
    ///
    /// A record that is `malformed` has no other violation, because nothing in it can be trusted. Where a
    /// value is not of the contract's `type`, conditions and the key's fields are not asked.
    pub fn judge(
        &self,
        body: &[u8],
        context: &Context<'_>,
        scratch: &mut Scratch,
        statistics: Option<&mut Statistics>,
    ) -> Verdict {
        scratch.begin(self, statistics.is_some());
        let mut rows = self.rows(scratch);
        // Slots live on the stack, because they borrow from the record.
        match self.code.slots {
            0 => self.judge_with(body, context, &mut [], &mut rows, scratch),
            1..=2 => self.judge_with(body, context, &mut [Found::Null; 2], &mut rows, scratch),
            3..=8 => self.judge_with(body, context, &mut [Found::Null; 8], &mut rows, scratch),
            9..=32 => self.judge_with(body, context, &mut [Found::Null; 32], &mut rows, scratch),
            many => self.judge_with(body, context, &mut vec![Found::Null; many], &mut rows, scratch),
        }
        self.give_back(rows, scratch);
        let verdict = if scratch.held() { Verdict::Violates } else { Verdict::Conforms };
        if let Some(statistics) = statistics {
            statistics.take_in(scratch, verdict, context.now);
        }
        verdict
    }

    /// The tables of items, empty; none where no condition looks into items.
    fn rows<'a>(&self, scratch: &mut Scratch) -> Rows<'a> {
        if self.code.tables_of_items.is_empty() {
            return Rows::default();
        }
        let mut rows: Rows<'a> = std::mem::take(&mut scratch.rows);
        rows.prepare(&self.code.tables_of_items);
        rows
    }

    /// Keeps the memory of the tables for the next record.
    fn give_back(&self, rows: Rows<'_>, scratch: &mut Scratch) {
        if !self.code.tables_of_items.is_empty() {
            scratch.rows = rows.recycle();
        }
    }

    /// Whether the fast pass has seen that all is well with the record's values.
    fn swiftly<'a>(&'a self, body: &'a [u8], places: &mut Places<'_, 'a>, scratch: &mut Scratch) -> bool {
        let done = match (&self.fast, scratch.measuring) {
            ([Some(fast), _], false) => fast.walk::<false>(self, body, places, scratch),
            ([_, Some(fast)], true) => fast.walk::<true>(self, body, places, scratch),
            _ => return false,
        };
        if !done {
            places.slots.fill(Found::Null);
            places.rows.clear();
            scratch.begin(self, scratch.measuring);
        }
        done
    }

    fn judge_with<'a>(
        &'a self,
        body: &'a [u8],
        context: &Context<'_>,
        slots: &mut [Found<'a>],
        rows: &mut Rows<'a>,
        scratch: &mut Scratch,
    ) {
        let mut places = Places { slots, rows };
        if !self.swiftly(body, &mut places, scratch)
            && let Err(broken) = self.run(body, &mut places, scratch)
        {
            scratch.forget();
            let message = format!("{}, at byte {}", broken.fault, broken.at);
            self.violates(body, broken.pc, RULE_MALFORMED, None, &message, scratch);
            return;
        }
        if scratch.unreadable {
            return;
        }
        let Places { slots, rows } = places;
        let parts = slots.get(self.code.key_slots..self.code.slots).unwrap_or_default();
        if let Some(message) = self.key_fault(context, parts) {
            self.violates(body, usize::MAX, RULE_KEY, self.key_shown(context.key), &message, scratch);
        }
        self.conditions(body, context.now, slots, rows, scratch);
    }

    fn conditions<'a>(
        &'a self,
        body: &[u8],
        now: Timestamp,
        slots: &[Found<'a>],
        rows: &Rows<'a>,
        scratch: &mut Scratch,
    ) {
        let first = RULES_BUILT_IN.len() + self.contract.rules.len();
        let mut base = 0;
        for (index, condition) in self.contract.conditions.iter().enumerate() {
            let end = base + condition.expression.inputs().len();
            let found = slots.get(base..end).unwrap_or_default();
            let message = match condition.expression.holds(found, rows, now, &mut scratch.texts) {
                Ok(true) => None,
                Ok(false) => Some(match &condition.description {
                    Some(description) => format!("must fulfil {} ({description})", condition.source),
                    None => format!("must fulfil {}", condition.source),
                }),
                Err(error) => Some(format!("must fulfil {}, which cannot be evaluated: {error}", condition.source)),
            };
            if let Some(message) = message {
                self.violates(body, usize::MAX, (first + index) as u32, None, &message, scratch);
            }
            base = end;
        }
    }
}
