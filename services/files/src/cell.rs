//! One cell of a table, written as Avro without a detour over JSON where its type is plain.

use std::collections::HashMap;

use contract::avro::{self, Kind, Logical, NodeId, Schema};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::moment::{self, Moment, MomentKind, Pattern};
use crate::numerals::Numerals;
use crate::{FieldProblem, shown};

/// The most digits that fit 128 bits.
const MAX_PRECISION: u32 = 38;

/// How the cells of one column are written.
#[derive(Debug)]
pub(crate) struct Cell {
    /// The field's own type, union and all.
    node: NodeId,
    /// The union branches of null and of the value, already written; `None` where it may not be null.
    null: Option<(Vec<u8>, Vec<u8>)>,
    /// Texts that mean null besides the empty one.
    nulls: Vec<String>,
    numerals: Numerals,
    /// How a date or time is written, where not as ISO 8601.
    pattern: Option<Pattern>,
    plain: Plain,
}

/// How the file writes what the schema holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Writing {
    /// Texts that mean null besides the empty one.
    pub(crate) nulls: Vec<String>,
    pub(crate) numerals: Numerals,
    pub(crate) pattern: Option<Pattern>,
}

/// What is written without the general encoder.
#[derive(Debug)]
enum Plain {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Text,
    Uuid,
    Bytes,
    Symbols(HashMap<String, i64>, String),
    Date,
    /// Units in a nanosecond count, and what the unit is called.
    Instant(i128, &'static str),
    /// A zone left open.
    Local(i128, &'static str),
    Decimal {
        precision: u32,
        scale: u32,
        node: NodeId,
    },
    /// JSON text: arrays, maps, records.
    Json(NodeId),
    /// Text that the general encoder understands: times of day, decimals and UUIDs on fixed.
    Given(NodeId),
    /// A union of several types: JSON where it is JSON, else text.
    Either,
}

impl Cell {
    /// For a field of this type.
    pub(crate) fn of(schema: &Schema, node: NodeId, writing: Writing) -> Self {
        let Writing { nulls, numerals, pattern } = writing;
        let Kind::Union(branches) = &schema.node(node).kind else {
            // A field of type null has no bytes at all.
            let null = matches!(schema.node(node).kind, Kind::Null).then(Default::default);
            return Self { node, null, nulls, numerals, pattern, plain: plain(schema, node) };
        };
        let tag = |index: usize| {
            let mut bytes = Vec::new();
            number(i64::try_from(index).unwrap_or(i64::MAX), &mut bytes);
            bytes
        };
        let null = branches.iter().position(|branch| matches!(schema.node(*branch).kind, Kind::Null)).map(tag);
        let others: Vec<_> = branches
            .iter()
            .enumerate()
            .filter(|(_, branch)| !matches!(schema.node(**branch).kind, Kind::Null))
            .collect();
        match (null, others.as_slice()) {
            (Some(null), [(index, value)]) => {
                let plain = plain(schema, **value);
                Self { node, null: Some((null, tag(*index))), nulls, numerals, pattern, plain }
            }
            // The general encoder chooses the branch and writes its number.
            (null, _) => {
                let null = null.map(|null| (null, Vec::new()));
                Self { node, null, nulls, numerals, pattern, plain: Plain::Either }
            }
        }
    }

    /// Appends the cell; says what is wrong with it in `problems` instead.
    pub(crate) fn write(
        &self,
        schema: &Schema,
        field: &str,
        bytes: &[u8],
        out: &mut Vec<u8>,
        problems: &mut Vec<FieldProblem>,
    ) {
        if let Some((null, value)) = &self.null {
            // Blanks around a number or a date say as little as those around nothing.
            let bytes = if matches!(self.plain, Plain::Text | Plain::Bytes) { bytes } else { bytes.trim_ascii() };
            if bytes.is_empty() || self.nulls.iter().any(|text| text.as_bytes() == bytes) {
                out.extend_from_slice(null);
                return;
            }
            out.extend_from_slice(value);
        }
        let refuse =
            |value: &str, message: String| FieldProblem { path: field.to_owned(), value: shown(value), message };
        if let Plain::Bytes = self.plain {
            return text(bytes, out);
        }
        let Ok(cell) = std::str::from_utf8(bytes) else {
            problems.push(refuse(&String::from_utf8_lossy(bytes), "is not UTF-8 text; save the file as UTF-8".into()));
            return;
        };
        if bytes.is_empty() && !matches!(self.plain, Plain::Text) {
            problems.push(refuse("", "is empty, and the field must have a value".into()));
            return;
        }
        let mut room = String::new();
        let cell = if self.numerals.is_plain() || !self.is_number() {
            cell
        } else {
            // What is not written so is no number either: its own text says what is wrong.
            match self.numerals.plain(cell.trim(), &mut room) {
                Some(plain) => plain,
                None => {
                    problems.push(refuse(cell, "is not a number as this file writes them (weir.file)".into()));
                    return;
                }
            }
        };
        match self.general(cell) {
            Some((node, value)) => {
                if let Err(errors) = avro::encode_at(schema, node, &value, out) {
                    problems.extend(errors.into_iter().map(|error| FieldProblem {
                        path: join(field, &error.path),
                        value: error.value,
                        message: error.message,
                    }));
                }
            }
            None => {
                if let Err(message) = self.plain(cell, out) {
                    let message = if self.nulls.iter().any(|text| text == cell) {
                        "means null, and the field must have a value".to_owned()
                    } else {
                        message
                    };
                    problems.push(refuse(cell, message));
                }
            }
        }
    }

    /// The JSON value for the general encoder, where the cell needs it.
    fn general(&self, cell: &str) -> Option<(NodeId, Value)> {
        match &self.plain {
            Plain::Json(node) => serde_json::from_str(cell).ok().map(|value| (*node, value)),
            // With an exponent, as 1e-05: rare enough for the long way.
            Plain::Decimal { node, .. } if cell.contains(['e', 'E']) => {
                Some((*node, Value::String(cell.trim().to_owned())))
            }
            Plain::Given(node) => Some((*node, Value::String(self.given(cell.trim())))),
            Plain::Either => {
                Some((self.node, serde_json::from_str(cell).unwrap_or_else(|_| Value::String(cell.to_owned()))))
            }
            _ => None,
        }
    }

    /// A time of day by the field's own pattern as ISO 8601 has it.
    fn given(&self, text: &str) -> String {
        let moment = self.pattern.as_ref().and_then(|pattern| pattern.read(text.as_bytes()));
        let Some(moment) = moment.filter(|moment| moment.kind == MomentKind::Time) else { return text.to_owned() };
        let seconds = moment.seconds;
        format!("{:02}:{:02}:{:02}.{:09}", seconds / 3600, seconds / 60 % 60, seconds % 60, moment.nanos)
    }

    fn is_number(&self) -> bool {
        matches!(self.plain, Plain::Int | Plain::Long | Plain::Float | Plain::Double | Plain::Decimal { .. })
    }

    /// What the text says by the field's own pattern, or by ISO 8601.
    fn moment(&self, text: &str, kind: MomentKind) -> Option<Moment> {
        let moment = match &self.pattern {
            Some(pattern) => pattern.read(text.as_bytes()),
            None => moment::iso(text.as_bytes()),
        };
        moment.filter(|moment| moment.kind == kind)
    }

    fn plain(&self, cell: &str, out: &mut Vec<u8>) -> Result<(), String> {
        let trimmed = cell.trim();
        match &self.plain {
            Plain::Boolean => out.push(match trimmed {
                "true" | "True" | "TRUE" | "1" => 1,
                "false" | "False" | "FALSE" | "0" => 0,
                _ => return Err("is not a boolean; write true or false".into()),
            }),
            Plain::Int => {
                let value = whole(trimmed)?;
                let value = i32::try_from(value).map_err(|_| "does not fit an int of 32 bits")?;
                number(i64::from(value), out);
            }
            Plain::Long => number(whole(trimmed)?, out),
            Plain::Float => {
                let value: f32 = trimmed.parse().map_err(|_| "is not a number like 12.5")?;
                out.extend_from_slice(&value.to_le_bytes());
            }
            Plain::Double => {
                let value: f64 = trimmed.parse().map_err(|_| "is not a number like 12.5")?;
                out.extend_from_slice(&value.to_le_bytes());
            }
            Plain::Text => text(cell.as_bytes(), out),
            Plain::Uuid => {
                let right = trimmed.len() == 36
                    && trimmed.bytes().enumerate().all(|(index, byte)| match index {
                        8 | 13 | 18 | 23 => byte == b'-',
                        _ => byte.is_ascii_hexdigit(),
                    });
                if !right {
                    return Err("is not a UUID like 123e4567-e89b-12d3-a456-426614174000".into());
                }
                text(trimmed.as_bytes(), out);
            }
            Plain::Symbols(symbols, some) => match symbols.get(cell).or_else(|| symbols.get(trimmed)) {
                Some(index) => number(*index, out),
                None => return Err(format!("is none of {some}")),
            },
            Plain::Date => {
                if let Some(moment) = self.moment(trimmed, MomentKind::Date) {
                    number(moment.seconds / 86_400, out);
                    return Ok(());
                }
                let date = date(trimmed).ok_or("is not a date like 2026-01-31")?;
                let days = nanoseconds(date.at(0, 0, 0, 0))? / 86_400_000_000_000;
                number(i64::try_from(days).map_err(|_| "is beyond what a date can hold")?, out);
            }
            Plain::Instant(unit, name) => match self.moment(trimmed, MomentKind::DateTime) {
                Some(moment) => count(moment.nanoseconds(), *unit, name, out)?,
                None => instant(trimmed, *unit, name, out)?,
            },
            Plain::Local(unit, name) => {
                if let Some(moment) = self.moment(trimmed, MomentKind::DateTime).filter(|m| m.offset.is_none()) {
                    return count(moment.nanoseconds(), *unit, name, out);
                }
                let moment: DateTime =
                    trimmed.parse().map_err(|_| "is not a local timestamp like 2026-01-31 23:59:59")?;
                count(nanoseconds(moment)?, *unit, name, out)?;
            }
            Plain::Decimal { precision, scale, .. } => decimal(trimmed, *precision, *scale, out)?,
            Plain::Json(_) => return Err("is not JSON, which a cell of this type holds".into()),
            Plain::Bytes | Plain::Given(_) | Plain::Either => return Err("cannot be written".into()),
        }
        Ok(())
    }
}

fn plain(schema: &Schema, id: NodeId) -> Plain {
    let node = schema.node(id);
    match (&node.kind, node.logical) {
        (Kind::Int, Some(Logical::Date)) => Plain::Date,
        (_, Some(Logical::TimestampMillis)) => Plain::Instant(1_000_000, "milliseconds"),
        (_, Some(Logical::TimestampMicros)) => Plain::Instant(1_000, "microseconds"),
        (_, Some(Logical::TimestampNanos)) => Plain::Instant(1, "nanoseconds"),
        (_, Some(Logical::LocalTimestampMillis)) => Plain::Local(1_000_000, "milliseconds"),
        (_, Some(Logical::LocalTimestampMicros)) => Plain::Local(1_000, "microseconds"),
        (_, Some(Logical::LocalTimestampNanos)) => Plain::Local(1, "nanoseconds"),
        (Kind::Bytes, Some(Logical::Decimal { precision, scale })) if precision <= MAX_PRECISION => {
            Plain::Decimal { precision, scale, node: id }
        }
        (Kind::String, Some(Logical::Uuid)) => Plain::Uuid,
        (Kind::Fixed(_), Some(Logical::Duration)) | (Kind::Array(_) | Kind::Map(_) | Kind::Record(_), _) => {
            Plain::Json(id)
        }
        (_, Some(_)) | (Kind::Fixed(_), None) => Plain::Given(id),
        (Kind::Boolean, None) => Plain::Boolean,
        (Kind::Int, None) => Plain::Int,
        (Kind::Long, None) => Plain::Long,
        (Kind::Float, None) => Plain::Float,
        (Kind::Double, None) => Plain::Double,
        (Kind::String, None) => Plain::Text,
        (Kind::Bytes, None) => Plain::Bytes,
        (Kind::Enum(enumeration), None) => {
            let symbols = enumeration.symbols.iter().zip(0..).map(|(symbol, index)| (symbol.clone(), index)).collect();
            let some: Vec<&str> = enumeration.symbols.iter().take(12).map(String::as_str).collect();
            let more = if enumeration.symbols.len() > some.len() { ", …" } else { "" };
            Plain::Symbols(symbols, format!("{}{more}", some.join(", ")))
        }
        (Kind::Null | Kind::Union(_), None) => Plain::Either,
    }
}

/// The place of a nested problem.
fn join(field: &str, path: &str) -> String {
    match path.chars().next() {
        None => field.to_owned(),
        Some('[') => format!("{field}{path}"),
        Some(_) => format!("{field}.{path}"),
    }
}

/// A whole number; `5.0` is one, because pandas writes integers beside nulls as floats.
fn whole(text: &str) -> Result<i64, String> {
    const NOT: &str = "is not a whole number";
    const BEYOND: &str = "does not fit a long of 64 bits";
    let digits = match text.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|digit| digit == b'0') => whole,
        Some(_) => return Err(NOT.into()),
        None => text,
    };
    digits.parse().map_err(|error: std::num::ParseIntError| match error.kind() {
        std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => BEYOND.to_owned(),
        _ => NOT.to_owned(),
    })
}

/// A date alone; jiff would read one out of a longer text.
fn date(text: &str) -> Option<Date> {
    let alone = text.len() >= 10 && !text.contains(['T', 't', ' ']);
    text.parse().ok().filter(|_| alone)
}

fn nanoseconds(moment: DateTime) -> Result<i128, String> {
    let moment = TimeZone::UTC.to_timestamp(moment).map_err(|_| "is beyond the years that can be counted")?;
    Ok(moment.as_nanosecond())
}

fn instant(text: &str, unit: i128, name: &str, out: &mut Vec<u8>) -> Result<(), String> {
    let nanos = match text.parse::<jiff::Timestamp>() {
        Ok(moment) => moment.as_nanosecond(),
        Err(_) => {
            let moment: DateTime = text
                .parse()
                .ok()
                .filter(|_| !text.bytes().all(|byte| byte.is_ascii_digit()))
                .ok_or("is not a timestamp like 2026-01-31T23:59:59Z or 2026-01-31 23:59:59 (UTC)")?;
            nanoseconds(moment)?
        }
    };
    count(nanos, unit, name, out)
}

fn count(nanos: i128, unit: i128, name: &str, out: &mut Vec<u8>) -> Result<(), String> {
    if nanos % unit != 0 {
        return Err(format!("is finer than the {name} that the schema holds; round it"));
    }
    number(i64::try_from(nanos / unit).map_err(|_| format!("is beyond what {name} can hold"))?, out);
    Ok(())
}

/// Digits to the shortest two's complement; nothing is rounded.
fn decimal(text: &str, precision: u32, scale: u32, out: &mut Vec<u8>) -> Result<(), String> {
    const NOT: &str = "is not a decimal number like 12.50";
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    let digits_only = whole.bytes().chain(fraction.bytes()).all(|digit| digit.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !digits_only {
        return Err(NOT.into());
    }
    let fraction = fraction.trim_end_matches('0');
    let scale_digits = usize::try_from(scale).unwrap_or(usize::MAX);
    if fraction.len() > scale_digits {
        return Err(format!("has more than {scale} digits after the point"));
    }
    let whole = whole.trim_start_matches('0');
    let too_many = || format!("has more than {precision} digits, {scale} of them after the point");
    if whole.len().saturating_add(scale_digits) > usize::try_from(precision).unwrap_or(usize::MAX) && !whole.is_empty()
    {
        return Err(too_many());
    }
    let mut unscaled: i128 = 0;
    let zeros = scale_digits - fraction.len();
    for digit in whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', zeros)) {
        unscaled = unscaled
            .checked_mul(10)
            .and_then(|value| value.checked_add(i128::from(digit - b'0')))
            .ok_or_else(too_many)?;
    }
    let unscaled = if negative { -unscaled } else { unscaled };
    let bytes = unscaled.to_be_bytes();
    let sign = if unscaled < 0 { 0xff } else { 0 };
    // Leading bytes that only repeat the sign go, as long as the next one still carries it.
    let spare = bytes
        .windows(2)
        .take_while(|pair| matches!(pair, [first, second] if *first == sign && (second ^ sign) & 0x80 == 0))
        .count();
    self::text(bytes.get(spare..).unwrap_or(&bytes), out);
    Ok(())
}

/// Appends a zig-zag varint.
fn number(number: i64, out: &mut Vec<u8>) {
    let mut rest = (number.wrapping_shl(1) ^ (number >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends bytes behind their length.
fn text(bytes: &[u8], out: &mut Vec<u8>) {
    number(i64::try_from(bytes.len()).unwrap_or(i64::MAX), out);
    out.extend_from_slice(bytes);
}
