//! Values as a contract writes them, in the representation of the schema at a place: days, milliseconds,
//! unscaled decimals.

use std::sync::Arc;

use crate::avro::{Kind, Logical, Node, NodeId, Schema};
use crate::model::Native;

/// The node behind a nullable union, and whether there was one. `None` for unions of several types.
pub(super) fn present(schema: &Schema, id: NodeId) -> Option<(NodeId, bool)> {
    let Kind::Union(branches) = &schema.node(id).kind else { return Some((id, false)) };
    let mut others = branches.iter().filter(|branch| !matches!(schema.node(**branch).kind, Kind::Null));
    match (others.next(), others.next()) {
        (Some(only), None) => Some((*only, branches.len() == 2)),
        _ => None,
    }
}

/// A type as people call it: `long (timestamp-millis)`.
pub(super) fn called(node: &Node) -> String {
    let kind = match &node.kind {
        Kind::Null => "null",
        Kind::Boolean => "boolean",
        Kind::Int => "int",
        Kind::Long => "long",
        Kind::Float => "float",
        Kind::Double => "double",
        Kind::Bytes => "bytes",
        Kind::String => "string",
        Kind::Array(_) => "array",
        Kind::Map(_) => "map",
        Kind::Union(_) => "union of several types",
        Kind::Record(_) => "record",
        Kind::Enum(_) => "enum",
        Kind::Fixed(_) => "fixed",
    };
    let logical = match node.logical {
        None => return kind.to_owned(),
        Some(Logical::Decimal { precision, scale }) => return format!("{kind} (decimal {precision},{scale})"),
        Some(Logical::Uuid) => "uuid",
        Some(Logical::Date) => "date",
        Some(Logical::TimeMillis) => "time-millis",
        Some(Logical::TimeMicros) => "time-micros",
        Some(Logical::TimestampMillis) => "timestamp-millis",
        Some(Logical::TimestampMicros) => "timestamp-micros",
        Some(Logical::TimestampNanos) => "timestamp-nanos",
        Some(Logical::LocalTimestampMillis) => "local-timestamp-millis",
        Some(Logical::LocalTimestampMicros) => "local-timestamp-micros",
        Some(Logical::LocalTimestampNanos) => "local-timestamp-nanos",
        Some(Logical::Duration) => "duration",
    };
    format!("{kind} ({logical})")
}

/// The same with its article: `an array`, but `bytes (decimal 9,2)`.
pub(super) fn a(node: &Node) -> String {
    match node.kind {
        Kind::Null | Kind::Bytes => called(node),
        Kind::Int | Kind::Array(_) | Kind::Enum(_) => format!("an {}", called(node)),
        _ => format!("a {}", called(node)),
    }
}

/// Why a text is no value there, and what would be.
pub(super) struct Unfit {
    pub(super) why: String,
    pub(super) instead: String,
}

fn unfit(why: impl Into<String>, instead: impl Into<String>) -> Unfit {
    Unfit { why: why.into(), instead: instead.into() }
}

/// Reads `text` as a value of `node`.
pub(super) fn read(text: &str, node: &Node) -> Result<Native, Unfit> {
    match (&node.kind, node.logical) {
        (_, Some(Logical::Decimal { scale, precision })) => decimal(text, precision, scale).map(Native::Decimal),
        (_, Some(Logical::Date)) => date(text),
        (_, Some(Logical::TimeMillis)) => time(text, 1_000_000),
        (_, Some(Logical::TimeMicros)) => time(text, 1_000),
        (_, Some(Logical::TimestampMillis)) => instant(text, 1_000_000),
        (_, Some(Logical::TimestampMicros)) => instant(text, 1_000),
        (_, Some(Logical::TimestampNanos)) => instant(text, 1),
        (_, Some(Logical::LocalTimestampMillis)) => local(text, 1_000_000),
        (_, Some(Logical::LocalTimestampMicros)) => local(text, 1_000),
        (_, Some(Logical::LocalTimestampNanos)) => local(text, 1),
        (_, Some(Logical::Duration)) => Err(unfit("durations cannot be compared", "no rule there")),
        (Kind::Boolean, _) => match text {
            "true" => Ok(Native::Bool(true)),
            "false" => Ok(Native::Bool(false)),
            _ => Err(unfit("the field is a boolean", "`true` or `false`")),
        },
        (Kind::Int, _) => whole(text, i64::from(i32::MIN), i64::from(i32::MAX), "int"),
        (Kind::Long, _) => whole(text, i64::MIN, i64::MAX, "long"),
        // Rounded as the field's own values are, so that a float of 0.9 is not below a minimum of 0.9.
        (Kind::Float, _) => float(text.parse::<f32>().ok().map(f64::from)),
        (Kind::Double, _) => float(text.parse::<f64>().ok()),
        (Kind::Enum(symbols), _) => {
            if symbols.symbols.iter().any(|symbol| symbol == text) {
                return Ok(Native::Text(text.into()));
            }
            let known = symbols.symbols.iter().map(String::as_str);
            Err(unfit(format!("the enum `{}` has no such symbol", symbols.name), super::mistake::suggest(text, known)))
        }
        (Kind::String, _) => Ok(Native::Text(text.into())),
        (Kind::Fixed(_), Some(Logical::Uuid)) => uuid(text),
        (Kind::Bytes | Kind::Fixed(_), _) => Ok(Native::Bytes(Arc::from(text.as_bytes()))),
        _ => Err(unfit(format!("{} cannot be compared", a(node)), "no rule there")),
    }
}

fn float(number: Option<f64>) -> Result<Native, Unfit> {
    match number {
        Some(number) if number.is_finite() => Ok(Native::Float(number)),
        _ => Err(unfit("the field is a floating-point number", "a finite number such as `1.5`")),
    }
}

/// The 16 bytes of 8-4-4-4-12 hexadecimal digits.
fn uuid(text: &str) -> Result<Native, Unfit> {
    let digits: Option<Vec<u8>> =
        text.chars().filter(|c| *c != '-').map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    match digits {
        Some(digits) if digits.len() == 32 => Ok(Native::Bytes(
            digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect(),
        )),
        _ => Err(unfit("the field is a uuid", "one such as `\"123e4567-e89b-12d3-a456-426614174000\"`")),
    }
}

fn whole(text: &str, least: i64, most: i64, name: &str) -> Result<Native, Unfit> {
    let value = scaled(text, 0).map_err(|()| unfit(format!("the field is of type {name}"), "a whole number"))?;
    match i64::try_from(value) {
        Ok(value) if (least..=most).contains(&value) => Ok(Native::Int(value)),
        _ => Err(unfit(format!("no Avro {name} is that large"), format!("a number between {least} and {most}"))),
    }
}

fn decimal(text: &str, precision: u32, scale: u32) -> Result<i128, Unfit> {
    let value = scaled(text, scale).map_err(|()| {
        unfit(format!("the field is a decimal with {scale} digits after the point"), "a number with no more digits")
    })?;
    let bound = 10i128.checked_pow(precision).unwrap_or(i128::MAX);
    if value.abs() >= bound {
        return Err(unfit(format!("the field is a decimal of {precision} digits in all"), "a smaller number"));
    }
    Ok(value)
}

/// The decimal number `text` times 10^`scale`, exactly; an error where that is not whole or not in `i128`.
fn scaled(text: &str, scale: u32) -> Result<i128, ()> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| ())?),
        None => (text, 0),
    };
    let negative = mantissa.starts_with('-');
    let body = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let (whole, fraction) = body.split_once('.').unwrap_or((body, ""));
    let fraction = fraction.trim_end_matches('0');
    if whole.is_empty() && fraction.is_empty() && !body.contains('0') {
        return Err(());
    }
    let mut value: i128 = 0;
    for byte in whole.bytes().chain(fraction.bytes()) {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10).ok_or(())?;
        value = value.checked_mul(10).and_then(|value| value.checked_add(i128::from(digit))).ok_or(())?;
    }
    let places = i32::try_from(fraction.len()).map_err(|_| ())?;
    let shift = i32::try_from(scale).map_err(|_| ())?.checked_add(exponent).ok_or(())?.checked_sub(places).ok_or(())?;
    let power = if value == 0 { 1 } else { 10i128.checked_pow(shift.unsigned_abs()).ok_or(())? };
    let value = if shift >= 0 {
        value.checked_mul(power).ok_or(())?
    } else if value % power == 0 {
        value / power
    } else {
        return Err(());
    };
    Ok(if negative { -value } else { value })
}

fn date(text: &str) -> Result<Native, Unfit> {
    let date: jiff::civil::Date =
        text.parse().map_err(|_| unfit("the field is a date", "a date such as `\"2020-12-31\"`"))?;
    let epoch = jiff::civil::Date::constant(1970, 1, 1);
    let days = date.since((jiff::Unit::Day, epoch)).map_err(|_| unfit("the date is out of range", "a nearer date"))?;
    Ok(Native::Int(i64::from(days.get_days())))
}

fn time(text: &str, unit: i64) -> Result<Native, Unfit> {
    let time: jiff::civil::Time =
        text.parse().map_err(|_| unfit("the field is a time of day", "a time such as `\"09:30:00\"`"))?;
    let seconds = (i64::from(time.hour()) * 60 + i64::from(time.minute())) * 60 + i64::from(time.second());
    units(i128::from(seconds) * 1_000_000_000 + i128::from(time.subsec_nanosecond()), unit)
}

fn instant(text: &str, unit: i64) -> Result<Native, Unfit> {
    let instant: jiff::Timestamp = text.parse().map_err(|_| {
        unfit("the field is an instant", "a date, a time and a zone, such as `\"2020-12-31T00:00:00Z\"`")
    })?;
    units(instant.as_nanosecond(), unit)
}

fn local(text: &str, unit: i64) -> Result<Native, Unfit> {
    let refuse = || unfit("the field is a local date and time", "a date and a time, such as `\"2020-12-31T00:00:00\"`");
    let local: jiff::civil::DateTime = text.parse().map_err(|_| refuse())?;
    let utc = jiff::tz::TimeZone::UTC.to_timestamp(local).map_err(|_| refuse())?;
    units(utc.as_nanosecond(), unit)
}

fn units(nanos: i128, unit: i64) -> Result<Native, Unfit> {
    if nanos % i128::from(unit) != 0 {
        return Err(unfit("it is finer than the field's unit", "fewer digits after the seconds"));
    }
    let value =
        i64::try_from(nanos / i128::from(unit)).map_err(|_| unfit("it is out of the field's range", "a nearer one"))?;
    Ok(Native::Int(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(kind: Kind, logical: Option<Logical>) -> Node {
        Node { kind, logical }
    }

    fn ok(text: &str, node: &Node) -> Native {
        read(text, node).map_err(|unfit| unfit.why).unwrap()
    }

    #[test]
    fn values_take_the_schemas_own_unit() {
        assert_eq!(ok("1970-01-11", &node(Kind::Int, Some(Logical::Date))), Native::Int(10));
        assert_eq!(ok("1969-12-31", &node(Kind::Int, Some(Logical::Date))), Native::Int(-1));
        assert_eq!(ok("00:00:01.5", &node(Kind::Int, Some(Logical::TimeMillis))), Native::Int(1500));
        let millis = node(Kind::Long, Some(Logical::TimestampMillis));
        assert_eq!(ok("1970-01-01T01:00:00+01:00", &millis), Native::Int(0));
        assert!(read("1970-01-01T00:00:00", &millis).is_err());
        assert!(read("1970-01-01T00:00:00.0001Z", &millis).is_err());
        let local = node(Kind::Long, Some(Logical::LocalTimestampMicros));
        assert_eq!(ok("1970-01-01T00:00:01", &local), Native::Int(1_000_000));
    }

    #[test]
    fn floats_are_rounded_as_their_fields_values_are() {
        assert_eq!(ok("0.9", &node(Kind::Float, None)), Native::Float(f64::from(0.9_f32)));
        assert_eq!(ok("0.9", &node(Kind::Double, None)), Native::Float(0.9));
        assert!(read("1e39", &node(Kind::Float, None)).is_err());
        assert!(read(".nan", &node(Kind::Double, None)).is_err());
        assert!(read("nan", &node(Kind::Double, None)).is_err());
    }

    #[test]
    fn a_uuid_in_bytes_is_its_bytes() {
        let fixed = crate::avro::Fixed { name: "U".to_owned(), aliases: Vec::new(), size: 16 };
        let fixed = node(Kind::Fixed(fixed), Some(Logical::Uuid));
        let Native::Bytes(bytes) = ok("123e4567-e89b-12d3-a456-4266141740ff", &fixed) else { panic!("no bytes") };
        assert_eq!((bytes.len(), bytes[0], bytes[15]), (16, 0x12, 0xff));
        assert!(read("123e", &fixed).is_err());
    }

    #[test]
    fn decimals_are_exact() {
        let two = node(Kind::Bytes, Some(Logical::Decimal { precision: 6, scale: 2 }));
        assert_eq!(ok("0.10", &two), Native::Decimal(10));
        assert_eq!(ok("-1.5e1", &two), Native::Decimal(-1500));
        assert_eq!(ok("0.100", &two), Native::Decimal(10));
        assert!(read("0.005", &two).is_err());
        assert!(read("10000", &two).is_err());
        assert!(read("1e99999999", &two).is_err());
    }

    #[test]
    fn whole_numbers_are_whole_and_in_range() {
        let int = node(Kind::Int, None);
        assert_eq!(ok("1e3", &int), Native::Int(1000));
        assert_eq!(ok("0.0", &int), Native::Int(0));
        assert!(read("0.5", &int).is_err());
        assert!(read("2147483648", &int).is_err());
        assert!(read(".", &int).is_err());
        assert!(read("", &int).is_err());
    }
}
