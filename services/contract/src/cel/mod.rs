//! Conditions over several fields, in the Common Expression Language: parsed by the `cel` crate, checked
//! against the contract's schema, compiled to a small tree over *inputs*: values that the program finds on
//! its one pass over the record and puts where the expression looks.
//!
//! Where it departs from CEL, it refuses at compile time what CEL would find out per record, and has one
//! more type, `decimal`, whose comparisons and sums are exact. `==`, `!=` and `in` treat null as CEL does,
//! as a value that equals only null; every other use of a null is an [`EvaluationError`] that names the
//! field, which `&&` and `||` absorb as CEL demands. `has(a.b)` is true where `a.b` is not null. A date is
//! the timestamp of its midnight in UTC, a time of day is the duration since midnight. `now` is the time
//! at which the record is judged, unless the schema has a field of that name.
//!
//! `all`, `exists`, `exists_one`, `map` and `filter` go over arrays, maps (their keys), list literals and
//! `split`; a list is never a value of its own, so it costs no memory: it stands where something is asked of
//! it (`size`, `in`, `join`, an index, another of these). How much work an expression may be is bounded
//! twice: when it is compiled, by how many items the contract allows ([`MAX_STEPS`]), and for each record.
//!
//! Knows nothing of record bytes.

mod check;
mod eval;
mod functions;
mod lists;
mod number;
mod operators;
mod parse;
mod place;
mod rows;
#[cfg(test)]
mod tests;
mod time;

use schemas::Timestamp;

use crate::avro;
use crate::model::Path;

pub use eval::Texts;
pub use rows::{MAX_CELLS, RowRange, Rows};

/// The longest expression, in bytes.
pub const MAX_SOURCE_BYTES: usize = 4096;

/// How deep an expression may nest.
pub const MAX_DEPTH: usize = 64;

/// How many names, literals and brackets may follow each other between two `&&`, `||` or commas, summed
/// over the brackets around: it bounds the parser's recursion before the parser runs.
pub const MAX_CHAIN: usize = 192;

/// How large a compiled `matches` pattern may be, in bytes.
pub const MAX_PATTERN_BYTES: usize = 1 << 20;

/// How many steps an expression may take: an item that is looked at is one, and so are some bytes of a text.
/// What may take more, by the number of items that the contract allows (`maxItems`, else
/// [`ASSUMED_ITEMS`]), is refused; what takes more on one record, has no value there.
pub const MAX_STEPS: u64 = 4_000_000;

/// How many items an array or map is taken to have where the contract does not say.
pub const ASSUMED_ITEMS: u64 = 1_000;

/// How many bytes of text an expression may make for one record.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

/// What an expression needs of the record: one value at a path, the number of items there, or something of
/// each item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Where, from the record or, within `items`, from the item. Holds only fields, never items or values.
    pub path: Path,
    /// What of it.
    pub want: Want,
    /// With [`Want::Rows`] and [`Want::Entries`], what is needed of each item: the columns of its row, in order.
    pub items: Vec<Input>,
}

/// What of a path an expression needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Want {
    /// The value itself; also serves `has` and null tests.
    Value,
    /// The number of items of an array or map.
    Items,
    /// Only whether it is null (for records, arrays and maps).
    Presence,
    /// The items of an array, a row of [`Rows`] each.
    Rows,
    /// The entries of a map, likewise.
    Entries,
    /// The key of this entry of a map.
    Key,
}

/// A value that the program found for an [`Input`], borrowed from the record.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Found<'a> {
    /// Null, or a parent is null.
    #[default]
    Null,
    /// Boolean.
    Bool(bool),
    /// int, long, dates and times, in the unit of the contract's schema; a number of items.
    Int(i64),
    /// float, double.
    Float(f64),
    /// decimal, unscaled at the schema's scale.
    Decimal(i128),
    /// string, enum symbol, uuid.
    Text(&'a str),
    /// bytes, fixed.
    Bytes(&'a [u8]),
    /// A record, array or map that is there.
    Present,
    /// The items of an array or map.
    Rows(RowRange),
}

/// Why an expression cannot be a condition of this schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset} of the expression: {message}")]
pub struct CelError {
    /// Where in the source, in bytes from its start.
    pub offset: usize,
    /// What is wrong, and what to write instead.
    pub message: String,
}

/// Why an expression has no value for one record: a null was used, arithmetic left its range, an index or
/// a conversion fits nothing. The record does not keep the condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvaluationError {
    /// One sentence: `discount is null`.
    pub message: String,
}

/// A type-checked expression of type bool.
#[derive(Debug, Clone)]
pub struct Expression {
    inputs: Vec<Input>,
    /// What of an item each cell is, for messages.
    cells: Vec<String>,
    root: eval::Node,
}

impl Expression {
    /// What it needs, in the order in which [`Expression::holds`] takes it. No input stands twice.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Whether it is true of what was found, one value per input, in order; a missing one is null. `rows` has
    /// the items of inputs that want them. `now` is the lane's clock. Allocates only to say an error, and
    /// where `texts` grows.
    ///
    /// # Errors
    /// [`EvaluationError`] where it has no value: a null operand, an overflow, a division by zero, an index
    /// that is out of range, a text that cannot be converted, too much work.
    pub fn holds<'a>(
        &'a self,
        found: &[Found<'a>],
        rows: &Rows<'a>,
        now: Timestamp,
        texts: &mut Texts,
    ) -> Result<bool, EvaluationError> {
        eval::truth(&self.root, found, rows, now, texts)
            .map_err(|fail| EvaluationError { message: fail.say(&self.inputs, &self.cells) })
    }
}

/// Compiles an expression over the fields of `schema`, whose root must be a record. `most` says how many items
/// the contract allows at a path of the schema, where it says so.
///
/// # Errors
/// [`CelError`] with the place and what to write instead: a syntax error, an unknown field, types that do
/// not fit, a function or macro that is not supported, or a bound that is exceeded.
pub fn compile(
    source: &str,
    schema: &avro::Schema,
    most: &dyn Fn(&Path) -> Option<u64>,
) -> Result<Expression, CelError> {
    let parsed = parse::parse(source)?;
    check::check(&parsed, schema, most)
}
