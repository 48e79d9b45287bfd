//! Conditions over several fields, in the Common Expression Language: parsed by the `cel` crate, checked
//! against the contract's schema, compiled to a small tree over *inputs*: values that the program finds on
//! its one pass over the record and puts where the expression looks.
//!
//! Knows nothing of record bytes.

use crate::model::Path;

/// What an expression needs of the record: one value at a path, or the number of items there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Where. Holds only fields, never items or values.
    pub path: Path,
    /// What of it.
    pub want: Want,
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
}

/// A type-checked expression of type bool.
#[derive(Debug, Clone)]
pub struct Expression {
    inputs: Vec<Input>,
}

impl Expression {
    /// What it needs, in the order in which [`Expression::holds`] takes it.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }
}
