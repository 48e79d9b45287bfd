//! Why an expression has no value, and the sentence that says so.

use super::super::{Input, MAX_CELLS, MAX_STEPS, MAX_TEXT_BYTES, Want};

/// Why there is no value. Small and without text, because `&&` and `||` may absorb it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cel) enum Fail {
    /// An input, or something computed, is null.
    Null(Option<usize>),
    Overflow(&'static str),
    DivisionByZero,
    /// An input was found in another type than the schema says.
    Mismatch(usize),
    /// Something of an item is null.
    NullCell(usize),
    /// An index, and what it was for.
    Range(&'static str, i64),
    NoKey,
    /// A text that is not what a function makes something of.
    Unreadable(&'static str),
    TooMuch,
    TooLong,
    TooMany,
    /// The tree is not what the checker makes; it cannot happen.
    Untyped,
}

impl Fail {
    /// The sentence.
    pub(in crate::cel) fn say(self, inputs: &[Input], cells: &[String]) -> String {
        let name =
            |index: usize| inputs.get(index).map_or_else(|| "a value".to_owned(), |input| input.path.to_string());
        match self {
            Self::Null(Some(index)) => format!("{} is null", name(index)),
            Self::Null(None) => "a value that the condition computes with is null".to_owned(),
            Self::Overflow(what) => format!("{what} leaves the range of its type"),
            Self::DivisionByZero => "a division by zero".to_owned(),
            Self::NullCell(name) => match cells.get(name) {
                Some(name) => format!("{name} is null"),
                None => "something of an item is null".to_owned(),
            },
            Self::Range(what, index) => format!("{what} {index} is out of range"),
            Self::NoKey => "the map has no such key".to_owned(),
            Self::Unreadable(what) => what.to_owned(),
            Self::TooMuch => format!("it takes more than {MAX_STEPS} steps"),
            Self::TooLong => format!("it makes more than {MAX_TEXT_BYTES} bytes of text"),
            Self::TooMany => {
                format!("there are more items than the {MAX_CELLS} values that conditions may keep of a record")
            }
            Self::Mismatch(index) => {
                let of = inputs.get(index).map_or(Want::Value, |input| input.want);
                let what = if of == Want::Items { "the number of items of " } else { "" };
                format!("{what}{} was found in another type than the contract's schema says", name(index))
            }
            Self::Untyped => "the condition cannot be computed".to_owned(),
        }
    }
}
