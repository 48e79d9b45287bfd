//! The fast pass: what a record that keeps the contract takes. Its ops are made from the exact program's
//! ([`lower`]): a read and what looks at it become one op where they can, texts are checked to be UTF-8 many
//! at a time, and nothing says where a record breaks. It either finds that a record keeps every rule on one
//! value, or knows nothing and leaves the record to the exact pass (`run`), which says what is wrong.
//!
//! There are two of them: one for records whose statistics nobody wants, one that stages those.
//!
//! **Texts.** [`walk`] does not look into a text when it reads it. It keeps a *mark*: from there to where it
//! stands, the bytes are texts and one-byte numbers below 0x80 (lengths, branches, symbols, counts), and
//! nothing else. A byte below 0x80 cannot stand within a character, so such a stretch is UTF-8 exactly if
//! each of its texts is; most are ASCII, which takes a few instructions to see. Whatever may hold other
//! bytes (floating point, longer numbers, bytes) is an op that moves the mark behind itself, and has
//! [`Op::Utf8`] before it.

mod lower;
mod rare;
mod read;
#[cfg(test)]
mod tests;
mod walk;

use super::ops as exact;

/// A step of the fast pass, eight bytes. A `leaf` is the measured field that the value is staged as;
/// [`UNMEASURED`] is none. Other numbers are indices into the tables of [`Fast`], or of its ops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    /// The bytes since the mark must be UTF-8.
    Utf8,
    /// Bytes that nothing looks at.
    Skip(u32),
    /// Both.
    Utf8Skip(u32),
    Text {
        leaf: u16,
    },
    /// Several, staged as this leaf and those that follow it.
    Texts {
        count: u8,
        leaf: u16,
    },
    /// [`Op::Text`] and [`Op::LengthIn`].
    TextIn {
        leaf: u16,
        bounds: u32,
    },
    /// A text in a union with null that must not be null.
    ThereText {
        null: u8,
        leaf: u16,
    },
    /// Several. `null`: the byte that says null; the other of 0 and 2 says text.
    NullableTexts {
        null: u8,
        leaf: u16,
        count: u16,
    },
    Boolean {
        leaf: u16,
    },
    /// An enum of which the symbols in the first of the bounds are allowed.
    Symbol {
        leaf: u16,
        mask: u32,
    },
    Int {
        leaf: u16,
    },
    Long {
        leaf: u16,
    },
    NullableLong {
        null: u8,
        leaf: u16,
    },
    /// A long that nothing looks at.
    Varint,
    NullableVarint {
        null: u8,
    },
    Double {
        leaf: u16,
    },
    /// [`Op::Utf8`], [`Op::Double`] and [`Op::FloatIn`].
    DoubleIn {
        leaf: u16,
        bounds: u32,
    },
    /// [`Op::Utf8`] and [`Op::Double`].
    Utf8Double {
        leaf: u16,
    },
    Bytes {
        leaf: u16,
    },
    /// Bytes that must be a decimal.
    Decimal {
        leaf: u16,
    },
    // Going elsewhere.
    Nullable {
        null: u8,
        to: u32,
    },
    /// A union of null and something, which must not be null.
    There {
        null: u8,
    },
    Union {
        branches: u8,
        table: u32,
    },
    Jump(u32),
    Loop {
        depth: u8,
        shape: u16,
        after: u32,
    },
    Again {
        depth: u8,
        shape: u16,
    },
    /// [`Op::Utf8Skip`] and [`Op::Again`].
    SkipAgain {
        depth: u8,
        shape: u16,
    },
    // Looking at the text, number or count of items that was read last.
    LengthIn(u32),
    NumberIn(u32),
    FloatIn(u32),
    ItemsIn(u32),
    Hash(u32),
    SlotOfInt(u32),
    // Whatever is rare takes the exact program's op, whose register is filled by reading or by `Load`.
    Load(Register),
    Read(u32),
    Look(u32),
    /// No record that comes here keeps the contract.
    Breaks,
    End,
}

const _: () = assert!(size_of::<Op>() == 8, "ops are small");

/// Which of the walk's registers a value is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Register {
    Boolean,
    Int,
    Float,
    Text,
    Bytes,
}

/// The leaf of what is not measured.
const UNMEASURED: u16 = u16::MAX;

/// How deep loops nest in a fast pass; programs that nest deeper have none.
const LOOPS: usize = 4;

/// What an array's or map's loop is.
#[derive(Debug, Clone, Copy)]
struct Shape {
    /// The fewest bytes of an item, never 0.
    least: u64,
    body: u32,
    /// What [`Op::SkipAgain`] skips.
    skip: u32,
}

/// A fast pass.
#[derive(Debug, Default)]
pub(super) struct Fast {
    ops: Vec<Op>,
    /// Least and greatest, both included, as the bits of what they bound; or allowed symbols, a bit each.
    bounds: Vec<[u64; 2]>,
    loops: Vec<Shape>,
    tables: Vec<u32>,
    exact: Vec<exact::Op>,
    /// Leaves that are staged by their length in bytes, which is right for ASCII.
    texts: Vec<u16>,
}
