//! Rules on one value, compiled: what they demand in the cheapest form, whether a value keeps it, and the
//! sentence that says what was expected.

use std::cmp::Ordering;
use std::collections::HashSet;

use regex::bytes::Regex;

use super::cursor::ascii;
use super::formats;
use super::value::{Value, decimal_text};
use crate::model::{Check, Format, Native};

/// A rule on one value, bound to where it stands in the list of rules.
#[derive(Debug)]
pub(super) struct Bound {
    /// Its index in `Program::rules`.
    pub(super) rule: u32,
    pub(super) test: Test,
    /// "must be at least 1".
    pub(super) expected: String,
    /// Digits after the point, where the value is a decimal.
    pub(super) scale: u32,
}

/// A check in the cheapest form.
#[derive(Debug)]
pub(super) enum Test {
    NotNull,
    /// Both ends included.
    Int(i64, i64),
    Range {
        min: Option<(Native, bool)>,
        max: Option<(Native, bool)>,
    },
    MultipleOf(Native),
    Length(u64, u64),
    Pattern(Regex),
    Format(Format),
    OneOf(Set),
    NoneOf(Set),
    /// Decided by the array's own op.
    Unique,
}

/// A few values, to look one up in.
#[derive(Debug)]
pub(super) struct Set {
    few: Vec<Native>,
    /// Texts, where there are many.
    many: HashSet<Vec<u8>>,
}

impl Set {
    fn new(values: &[Native]) -> Self {
        let texts = || {
            values.iter().map(|value| match value {
                Native::Text(text) => Some(text.as_bytes().to_vec()),
                _ => None,
            })
        };
        match texts().collect::<Option<HashSet<_>>>() {
            Some(many) if many.len() > 8 => Self { few: Vec::new(), many },
            _ => Self { few: values.to_vec(), many: HashSet::new() },
        }
    }

    #[inline]
    fn holds(&self, value: Value<'_>) -> bool {
        if let Value::Text(text) = value
            && !self.many.is_empty()
        {
            return self.many.contains(text);
        }
        self.few.iter().any(|one| same(value, Value::of(one)))
    }
}

/// Whether two values are equal; numbers by their value.
pub(super) fn same(left: Value<'_>, right: Value<'_>) -> bool {
    match (left, right) {
        (Value::Text(a), Value::Text(b)) | (Value::Bytes(a), Value::Bytes(b)) => a == b,
        _ => compare(left, right) == Some(Ordering::Equal),
    }
}

fn compare(left: Value<'_>, right: Value<'_>) -> Option<Ordering> {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(&b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(&b),
        (Value::Decimal(a), Value::Decimal(b)) => Some(a.cmp(&b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(&b)),
        (Value::Text(a), Value::Text(b)) | (Value::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
        (Value::Int(a), Value::Float(b)) => (a as f64).partial_cmp(&b),
        (Value::Float(a), Value::Int(b)) => a.partial_cmp(&(b as f64)),
        _ => None,
    }
}

impl Test {
    /// Whether the value keeps the rule. A value of a type that the rule has nothing to say of keeps it; so
    /// does null, but for [`Test::NotNull`].
    #[inline]
    pub(super) fn holds(&self, value: Value<'_>, items: u64) -> bool {
        match (self, value) {
            (Self::NotNull, value) => !matches!(value, Value::Null),
            (_, Value::Null | Value::Foreign) | (Self::Unique, _) => true,
            (Self::Int(min, max), Value::Int(value)) => (*min..=*max).contains(&value),
            (Self::Int(..), _) => true,
            (Self::Length(min, max), value) => {
                let length = match value {
                    Value::Text(text) => scalars(text),
                    Value::Bytes(bytes) => bytes.len() as u64,
                    Value::Present => items,
                    _ => return true,
                };
                (*min..=*max).contains(&length)
            }
            (_, Value::Present) => true,
            (Self::Range { min, max }, value) => within(value, min.as_ref(), max.as_ref()),
            (Self::OneOf(set), value) => set.holds(value),
            (Self::NoneOf(set), value) => !set.holds(value),
            (Self::Pattern(regex), Value::Text(text)) => regex.is_match(text),
            (Self::Format(format), Value::Text(text)) => {
                std::str::from_utf8(text).is_ok_and(|text| formats::has(*format, text))
            }
            (Self::Pattern(_) | Self::Format(_), _) => true,
            (Self::MultipleOf(step), value) => multiple(value, step),
        }
    }
}

/// Unicode scalar values of text that is UTF-8: all bytes but continuations.
#[inline]
pub(super) fn scalars(text: &[u8]) -> u64 {
    if ascii(text) {
        return text.len() as u64;
    }
    text.iter().filter(|byte| (**byte as i8) >= -0x40).count() as u64
}

fn within(value: Value<'_>, min: Option<&(Native, bool)>, max: Option<&(Native, bool)>) -> bool {
    if let Value::Float(number) = value
        && number.is_nan()
    {
        return false;
    }
    let beyond = |bound: Option<&(Native, bool)>, wrong: Ordering| {
        bound.is_some_and(|(native, excluded)| {
            compare(value, Value::of(native))
                .is_some_and(|order| order == wrong || *excluded && order == Ordering::Equal)
        })
    };
    !beyond(min, Ordering::Less) && !beyond(max, Ordering::Greater)
}

fn multiple(value: Value<'_>, step: &Native) -> bool {
    match (value, step) {
        (Value::Int(value), Native::Int(step)) => value.checked_rem(*step) == Some(0),
        (Value::Decimal(value), Native::Decimal(step)) => value.checked_rem(*step) == Some(0),
        (Value::Float(value), Native::Float(step)) => whole(value / step),
        (Value::Int(value), Native::Float(step)) => whole(value as f64 / step),
        (Value::Float(value), Native::Int(step)) => whole(value / *step as f64),
        _ => true,
    }
}

/// Within three units in the last place of a whole number: what rounding the value, the step and their
/// quotient can make, so that 19.99 is a multiple of 0.01.
fn whole(quotient: f64) -> bool {
    if !quotient.is_finite() {
        return false;
    }
    let place = (quotient.abs().next_up() - quotient.abs()) * 3.0;
    (quotient - quotient.round()).abs() <= place
}

/// Compiles a check; `Err` holds why a pattern cannot be.
pub(super) fn compile(check: &Check) -> Result<Test, String> {
    Ok(match check {
        Check::NotNull => Test::NotNull,
        Check::Range { min, max } => range(min.as_ref(), max.as_ref()),
        Check::MultipleOf(step) => Test::MultipleOf(step.clone()),
        Check::Length { min, max } => Test::Length(min.unwrap_or(0), max.unwrap_or(u64::MAX)),
        Check::Pattern(pattern) => {
            Test::Pattern(Regex::new(pattern).map_err(|error| format!("the pattern cannot be compiled: {error}"))?)
        }
        Check::Format(format) => Test::Format(*format),
        Check::OneOf(values) => Test::OneOf(Set::new(values)),
        Check::NoneOf(values) => Test::NoneOf(Set::new(values)),
        Check::UniqueItems => Test::Unique,
    })
}

fn range(min: Option<&(Native, bool)>, max: Option<&(Native, bool)>) -> Test {
    let low = match min {
        None => Some(i64::MIN),
        Some((Native::Int(value), false)) => Some(*value),
        Some((Native::Int(value), true)) => value.checked_add(1),
        Some(_) => None,
    };
    let high = match max {
        None => Some(i64::MAX),
        Some((Native::Int(value), false)) => Some(*value),
        Some((Native::Int(value), true)) => value.checked_sub(1),
        Some(_) => None,
    };
    // Bounds of other types, and bounds that no integer lies within, take the general way.
    match (low, high) {
        (Some(low), Some(high)) if min.is_some() || max.is_some() => Test::Int(low, high),
        _ => Test::Range { min: min.cloned(), max: max.cloned() },
    }
}

/// What a check expects, as a sentence about the value.
pub(super) fn expected(check: &Check, scale: u32) -> String {
    let say = |native: &Native| text(native, scale);
    let list = |values: &[Native]| {
        let mut named: Vec<String> = values.iter().take(20).map(say).collect();
        if values.len() > 20 {
            named.push(format!("{} more", values.len() - 20));
        }
        named.join(", ")
    };
    match check {
        Check::NotNull => "must not be null".to_owned(),
        Check::Range { min, max } => {
            let min = min.as_ref().map(|(value, excluded)| {
                format!("{} {}", if *excluded { "more than" } else { "at least" }, say(value))
            });
            let max = max
                .as_ref()
                .map(|(value, excluded)| format!("{} {}", if *excluded { "less than" } else { "at most" }, say(value)));
            format!("must be {}", min.into_iter().chain(max).collect::<Vec<_>>().join(" and "))
        }
        Check::MultipleOf(step) => format!("must be a multiple of {}", say(step)),
        Check::Length { min: Some(min), max: Some(max) } => format!("must have a length of {min} to {max}"),
        Check::Length { min: Some(min), max: None } => format!("must have a length of at least {min}"),
        Check::Length { min: None, max } => format!("must have a length of at most {}", max.unwrap_or(u64::MAX)),
        Check::Pattern(pattern) => format!("must match the pattern {pattern}"),
        Check::Format(format) => format!("must be {}", formats::named(*format)),
        Check::OneOf(values) => format!("must be one of {}", list(values)),
        Check::NoneOf(values) => format!("must be none of {}", list(values)),
        Check::UniqueItems => "must hold no item twice".to_owned(),
    }
}

fn text(native: &Native, scale: u32) -> String {
    match native {
        Native::Decimal(value) => decimal_text(*value, scale),
        other => Value::of(other).shown(scale).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(value: i64) -> Option<(Native, bool)> {
        Some((Native::Int(value), true))
    }

    #[test]
    fn excluded_bounds_at_the_ends_of_the_numbers_admit_nothing() {
        let test = compile(&Check::Range { min: int(i64::MAX), max: None }).expect("compiles");
        assert!(!test.holds(Value::Int(i64::MAX), 0));
        let test = compile(&Check::Range { min: int(1), max: int(3) }).expect("compiles");
        assert!(test.holds(Value::Int(2), 0) && !test.holds(Value::Int(1), 0) && !test.holds(Value::Int(3), 0));
    }

    #[test]
    fn nothing_is_asked_of_null_but_not_to_be() {
        assert!(!Test::NotNull.holds(Value::Null, 0));
        assert!(Test::Length(1, 2).holds(Value::Null, 0));
    }

    #[test]
    fn nan_lies_within_no_bounds_and_is_no_multiple() {
        let test = compile(&Check::Range { min: Some((Native::Float(0.0), false)), max: None }).expect("compiles");
        assert!(!test.holds(Value::Float(f64::NAN), 0) && test.holds(Value::Float(0.0), 0));
        let test = compile(&Check::MultipleOf(Native::Float(0.1))).expect("compiles");
        assert!(
            test.holds(Value::Float(0.3), 0)
                && test.holds(Value::Float(19.9), 0)
                && !test.holds(Value::Float(0.25), 0)
                && !test.holds(Value::Float(f64::NAN), 0)
        );
    }

    #[test]
    fn text_is_as_long_as_its_scalar_values() {
        assert!(Test::Length(3, 3).holds(Value::Text("aé漢".as_bytes()), 0));
    }
}
