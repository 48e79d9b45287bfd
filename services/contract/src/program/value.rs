//! The register of a running program: the value read last, in the representation of the contract's schema.

use crate::cel::Found;
use crate::model::Native;

/// One value, borrowed from the record or from the program.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Decimal(i128),
    /// Checked to be UTF-8; bytes, so that it need not be checked again to be looked at.
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    /// A record, array or map.
    Present,
    /// A value that the contract's schema has no place for: it breaks `type`, and no other rule.
    Foreign,
}

impl<'a> Value<'a> {
    pub(super) fn of(native: &'a Native) -> Self {
        match native {
            Native::Bool(value) => Self::Bool(*value),
            Native::Int(value) => Self::Int(*value),
            Native::Float(value) => Self::Float(*value),
            Native::Decimal(value) => Self::Decimal(*value),
            Native::Text(value) => Self::Text(value.as_bytes()),
            Native::Bytes(value) => Self::Bytes(value),
        }
    }

    #[inline]
    pub(super) fn found(self) -> Found<'a> {
        match self {
            Self::Null => Found::Null,
            Self::Bool(value) => Found::Bool(value),
            Self::Int(value) => Found::Int(value),
            Self::Float(value) => Found::Float(value),
            Self::Decimal(value) => Found::Decimal(value),
            Self::Text(value) => std::str::from_utf8(value).map_or(Found::Bytes(value), Found::Text),
            Self::Bytes(value) => Found::Bytes(value),
            Self::Present | Self::Foreign => Found::Present,
        }
    }

    /// As people see it, cut at 120 characters; `None` where there is nothing to show.
    pub(super) fn shown(self, scale: u32) -> Option<String> {
        let text = match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Decimal(value) => decimal_text(value, scale),
            Self::Text(value) => return Some(cut(value)),
            Self::Bytes(value) => {
                let mut text = String::from("0x");
                for byte in value.iter().take(SHOWN / 2) {
                    text.push_str(&format!("{byte:02x}"));
                }
                text
            }
            Self::Present | Self::Foreign => return None,
        };
        Some(cut(text.as_bytes()))
    }
}

/// How many characters of a value are shown.
const SHOWN: usize = 120;

/// The first 120 characters.
pub(super) fn cut(bytes: &[u8]) -> String {
    let head = bytes.get(..bytes.len().min(SHOWN * 4)).unwrap_or_default();
    let text = String::from_utf8_lossy(head);
    if text.chars().count() <= SHOWN && head.len() == bytes.len() {
        return text.into_owned();
    }
    text.chars().take(SHOWN - 1).chain(['…']).collect()
}

/// A decimal as people write it.
pub(super) fn decimal_text(unscaled: i128, scale: u32) -> String {
    let digits = unscaled.unsigned_abs().to_string();
    let sign = if unscaled < 0 { "-" } else { "" };
    let scale = scale as usize;
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let padded = format!("{digits:0>width$}", width = scale.saturating_add(1).min(1_000));
    let (whole, part) = padded.split_at(padded.len().saturating_sub(scale));
    format!("{sign}{whole}.{part}")
}

/// A two's-complement big-endian integer; `None` where it does not fit in 128 bits. No bytes are no number:
/// Avro Java, for one, fails on them.
#[inline]
pub(super) fn decimal(bytes: &[u8]) -> Option<i128> {
    let negative = *bytes.first()? >= 0x80;
    let filler = if negative { 0xff } else { 0 };
    let excess = bytes.len().saturating_sub(16);
    let (head, tail) = bytes.split_at_checked(excess)?;
    if head.iter().any(|byte| *byte != filler) {
        return None;
    }
    let start: i128 = if negative { -1 } else { 0 };
    let value = tail.iter().fold(start, |value, byte| value << 8 | i128::from(*byte));
    // With a head, the sign has to survive its removal.
    (excess == 0 || (value < 0) == negative).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_and_shown() {
        assert_eq!(decimal(&[]), None);
        assert_eq!(decimal(&[0xff]), Some(-1));
        assert_eq!(decimal(&[0x01, 0x00]), Some(256));
        assert_eq!(decimal(&[0; 17]), Some(0));
        assert_eq!(decimal(&[1; 17]), None);
        assert_eq!(decimal_text(-5, 2), "-0.05");
        assert_eq!(decimal_text(12_345, 2), "123.45");
        assert_eq!(decimal_text(7, 0), "7");
    }

    #[test]
    fn long_values_are_cut() {
        let shown = Value::Text("é".repeat(500).as_bytes()).shown(0).unwrap_or_default();
        assert_eq!(shown.chars().count(), 120);
    }
}
