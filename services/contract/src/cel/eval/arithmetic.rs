//! Comparison, arithmetic and the conversions between numbers.

use std::cmp::Ordering;

use super::super::number;
use super::{Fail, Operator, Value};

pub(super) fn equal(a: Value<'_>, b: Value<'_>) -> bool {
    matches!((a, b), (Value::Null, Value::Null)) || order(a, b) == Some(Ordering::Equal)
}

/// Their order; `None` for NaN, and for kinds that do not compare.
pub(super) fn order(a: Value<'_>, b: Value<'_>) -> Option<Ordering> {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(&b)),
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(&b)),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(&b),
        (Value::Int(a), Value::Double(b)) => number::int_with_double(a, b),
        (Value::Double(a), Value::Int(b)) => number::int_with_double(b, a).map(Ordering::reverse),
        (Value::Decimal(a, scale), Value::Decimal(b, other)) => Some(number::decimals((a, scale), (b, other))),
        (Value::Decimal(a, scale), Value::Int(b)) => Some(number::decimals((a, scale), (i128::from(b), 0))),
        (Value::Int(a), Value::Decimal(b, scale)) => Some(number::decimals((i128::from(a), 0), (b, scale))),
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (Value::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
        (Value::Time(a), Value::Time(b)) | (Value::Span(a), Value::Span(b)) => Some(a.cmp(&b)),
        _ => None,
    }
}

pub(super) fn negate(value: Value<'_>) -> Result<Value<'_>, Fail> {
    const WHAT: &str = "a negation";
    Ok(match value {
        Value::Int(value) => Value::Int(value.checked_neg().ok_or(Fail::Overflow(WHAT))?),
        Value::Double(value) => Value::Double(-value),
        Value::Decimal(value, scale) => Value::Decimal(value.checked_neg().ok_or(Fail::Overflow(WHAT))?, scale),
        Value::Span(value) => Value::Span(value.checked_neg().ok_or(Fail::Overflow(WHAT))?),
        _ => return Err(Fail::Untyped),
    })
}

pub(super) fn arithmetic<'a>(operator: Operator, a: Value<'a>, b: Value<'a>) -> Result<Value<'a>, Fail> {
    let overflow = Fail::Overflow(match operator {
        Operator::Add => "a sum",
        Operator::Subtract => "a difference",
        Operator::Multiply => "a product",
        Operator::Divide | Operator::Remainder => "a quotient",
    });
    let wide = |a: i128, b: i128| match operator {
        Operator::Add => a.checked_add(b).ok_or(overflow),
        Operator::Subtract => a.checked_sub(b).ok_or(overflow),
        _ => Err(Fail::Untyped),
    };
    Ok(match (a, b) {
        (Value::Int(a), Value::Int(b)) => Value::Int(integers(operator, a, b, overflow)?),
        (Value::Double(a), Value::Double(b)) => Value::Double(match operator {
            Operator::Add => a + b,
            Operator::Subtract => a - b,
            Operator::Multiply => a * b,
            Operator::Divide => a / b,
            Operator::Remainder => return Err(Fail::Untyped),
        }),
        (Value::Decimal(a, scale), Value::Int(b)) => decimals(operator, (a, scale), (i128::from(b), 0), overflow)?,
        (Value::Int(a), Value::Decimal(b, scale)) => decimals(operator, (i128::from(a), 0), (b, scale), overflow)?,
        (Value::Decimal(a, scale), Value::Decimal(b, other)) => decimals(operator, (a, scale), (b, other), overflow)?,
        (Value::Time(a), Value::Time(b)) | (Value::Span(a), Value::Span(b)) => Value::Span(wide(a, b)?),
        (Value::Time(a), Value::Span(b)) | (Value::Span(a), Value::Time(b)) => Value::Time(wide(a, b)?),
        _ => return Err(Fail::Untyped),
    })
}

fn integers(operator: Operator, a: i64, b: i64, overflow: Fail) -> Result<i64, Fail> {
    match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Divide | Operator::Remainder if b == 0 => return Err(Fail::DivisionByZero),
        Operator::Divide => a.checked_div(b),
        Operator::Remainder => a.checked_rem(b),
    }
    .ok_or(overflow)
}

fn decimals<'a>(operator: Operator, a: (i128, u32), b: (i128, u32), overflow: Fail) -> Result<Value<'a>, Fail> {
    if operator == Operator::Multiply {
        let scale = a.1.checked_add(b.1).ok_or(overflow)?;
        return Ok(Value::Decimal(a.0.checked_mul(b.0).ok_or(overflow)?, scale));
    }
    let scale = a.1.max(b.1);
    let left = number::rescale(a, scale).ok_or(overflow)?;
    let right = number::rescale(b, scale).ok_or(overflow)?;
    let sum = match operator {
        Operator::Add => left.checked_add(right),
        Operator::Subtract => left.checked_sub(right),
        _ => return Err(Fail::Untyped),
    };
    Ok(Value::Decimal(sum.ok_or(overflow)?, scale))
}

pub(super) fn size(value: Value<'_>) -> Result<i64, Fail> {
    let size = match value {
        Value::Text(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Int(items) => return Ok(items),
        _ => return Err(Fail::Untyped),
    };
    i64::try_from(size).map_err(|_| Fail::Overflow("a size"))
}

#[expect(clippy::cast_precision_loss, reason = "double() rounds to the nearest double, as CEL defines it")]
pub(super) fn to_double(value: Value<'_>) -> Result<f64, Fail> {
    match value {
        Value::Int(value) => Ok(value as f64),
        Value::Double(value) => Ok(value),
        Value::Decimal(value, scale) => Ok(value as f64 / 10_f64.powi(i32::try_from(scale).unwrap_or(i32::MAX))),
        Value::Text(text) => text.parse().map_err(|_| Fail::Unreadable("a text is no number that double() can read")),
        _ => Err(Fail::Untyped),
    }
}

pub(super) fn to_int(value: Value<'_>) -> Result<i64, Fail> {
    const OUT: Fail = Fail::Overflow("int()");
    match value {
        Value::Int(value) => Ok(value),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "int() rounds toward zero, as CEL defines it; the range is checked"
        )]
        Value::Double(value) if value > -9_223_372_036_854_775_808.0 && value < 9_223_372_036_854_775_808.0 => {
            Ok(value as i64)
        }
        Value::Double(_) => Err(OUT),
        Value::Decimal(value, scale) => {
            let whole = 10_i128.checked_pow(scale).map_or(0, |one| value / one);
            i64::try_from(whole).map_err(|_| OUT)
        }
        Value::Time(nanos) => i64::try_from(nanos.div_euclid(1_000_000_000)).map_err(|_| OUT),
        Value::Text(text) => text.parse().map_err(|_| Fail::Unreadable("a text is no number that int() can read")),
        _ => Err(Fail::Untyped),
    }
}
