//! What a program is made of: small ops in a flat array, and the tables that they point into.

use std::sync::Arc;

use crate::cel::Want;

/// One step of a program. Numbers are indices into the tables of the same program, or of its ops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    // Reading: each leaves its value in the register.
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(u32),
    /// Index into `enums`.
    Enum(u32),
    /// An enum of so many symbols, not looked at.
    Ordinal(u32),
    /// Bytes that nothing looks at.
    Skip(u32),
    // Converting the register to the contract's representation.
    FloatOfInt,
    DoubleOfInt,
    TextOfBytes,
    BytesOfText,
    Decimal,
    /// A record has been read.
    Present,
    /// Index into `constants`.
    Constant(u32),
    /// An array or map of so many items that is no part of the record.
    Items(u32),
    // Going elsewhere.
    Nullable {
        null: u8,
        to: u32,
    },
    Union {
        table: u32,
        branches: u32,
    },
    Jump(u32),
    /// Index into `loops`.
    Loop(u32),
    Key,
    Again,
    /// Index into `calls`.
    Call(u32),
    Return,
    // Looking at the register.
    /// Index into `checks`.
    Check(u32),
    /// Index into `checks`: a rule that is broken whatever the record says.
    Broken(u32),
    Unique(u32),
    /// Remember the item just read.
    Collect,
    Slot {
        slot: u32,
        want: Want,
    },
    // Rows of items, for conditions.
    /// The items of an array or map come, as rows of a table.
    Table(u32),
    /// The next of them.
    Row(u32),
    /// A cell of the last row.
    Cell {
        table: u32,
        column: u16,
        want: Want,
    },
    /// The entry's key as a cell.
    KeyCell {
        table: u32,
        column: u16,
    },
    /// The rows that have come.
    SlotRows {
        slot: u32,
        table: u32,
    },
    CellRows {
        table: u32,
        column: u16,
        of: u16,
    },
    Stat {
        leaf: u32,
    },
    Distinct {
        sketch: u32,
    },
    /// Index into `refusals`.
    Refuse(u32),
    End,
}

/// A step of a concrete path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Field(Arc<str>),
    /// An item of a default.
    Index(usize),
    /// A value of a default.
    Key(Arc<str>),
}

/// What an array's or map's loop is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Loop {
    pub(super) map: bool,
    /// The fewest bytes of an item.
    pub(super) least: u64,
    /// The op behind the loop.
    pub(super) after: u32,
}

/// A reason to refuse that lies in the schemas.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    /// Its index in `Program::rules`.
    pub(super) rule: u32,
    pub(super) message: String,
}
