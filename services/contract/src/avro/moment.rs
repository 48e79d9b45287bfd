//! Dates and times as people write them, and as Avro counts them. Knows nothing of time zones: what has
//! one is UTC.

use jiff::civil::{Date, DateTime, Time};
use jiff::{Timestamp, tz::TimeZone};

use super::schema::Logical;

const DAY: i128 = 86_400_000_000_000;

/// Nanoseconds in one unit of a logical type that counts time; `None` for the others.
fn unit(logical: Logical) -> Option<i128> {
    Some(match logical {
        Logical::Date => DAY,
        Logical::TimeMillis | Logical::TimestampMillis | Logical::LocalTimestampMillis => 1_000_000,
        Logical::TimeMicros | Logical::TimestampMicros | Logical::LocalTimestampMicros => 1_000,
        Logical::TimestampNanos | Logical::LocalTimestampNanos => 1,
        Logical::Decimal { .. } | Logical::Uuid | Logical::Duration => return None,
    })
}

/// ISO 8601 text of a count; `None` where it is no time or beyond the years −9999 to 9999.
pub(super) fn text(logical: Logical, count: i64) -> Option<String> {
    let nanoseconds = i128::from(count) * unit(logical)?;
    match logical {
        Logical::TimeMillis | Logical::TimeMicros => {
            if !(0..DAY).contains(&nanoseconds) {
                return None;
            }
            let moment = Timestamp::from_nanosecond(nanoseconds).ok()?;
            Some(TimeZone::UTC.to_datetime(moment).time().to_string())
        }
        Logical::TimestampMillis | Logical::TimestampMicros | Logical::TimestampNanos => {
            Timestamp::from_nanosecond(nanoseconds).ok().map(|moment| moment.to_string())
        }
        _ => {
            let moment = TimeZone::UTC.to_datetime(Timestamp::from_nanosecond(nanoseconds).ok()?);
            Some(if logical == Logical::Date { moment.date().to_string() } else { moment.to_string() })
        }
    }
}

/// The count that an ISO 8601 text stands for.
///
/// # Errors
/// A sentence, where the text is none or is finer than the type can hold.
pub(super) fn count(logical: Logical, text: &str) -> Result<i64, String> {
    let (unit, nanoseconds) =
        unit(logical).zip(nanoseconds(logical, text)).ok_or_else(|| format!("is not {}", example(logical)))?;
    if nanoseconds % unit != 0 {
        return Err(format!("is finer than {} can hold", name(logical)));
    }
    i64::try_from(nanoseconds / unit).map_err(|_| format!("is beyond what {} can hold", name(logical)))
}

fn nanoseconds(logical: Logical, text: &str) -> Option<i128> {
    // jiff reads a date out of a longer text; here a date is a date.
    let utc = |moment: DateTime| TimeZone::UTC.to_timestamp(moment).ok().map(Timestamp::as_nanosecond);
    match logical {
        Logical::Date if text.len() <= 13 && !text.contains(['T', 't', ' ']) => {
            utc(text.parse::<Date>().ok()?.to_datetime(Time::midnight()))
        }
        Logical::TimeMillis | Logical::TimeMicros if text.contains(':') && !text.contains('-') => {
            utc(Date::constant(1970, 1, 1).to_datetime(text.parse::<Time>().ok()?))
        }
        Logical::TimestampMillis | Logical::TimestampMicros | Logical::TimestampNanos => {
            text.parse::<Timestamp>().ok().map(Timestamp::as_nanosecond)
        }
        Logical::LocalTimestampMillis | Logical::LocalTimestampMicros | Logical::LocalTimestampNanos => {
            utc(text.parse::<DateTime>().ok()?)
        }
        _ => None,
    }
}

fn name(logical: Logical) -> &'static str {
    match logical {
        Logical::Date => "a date",
        Logical::TimeMillis => "a time in milliseconds",
        Logical::TimeMicros => "a time in microseconds",
        Logical::TimestampMillis | Logical::LocalTimestampMillis => "a timestamp in milliseconds",
        Logical::TimestampMicros | Logical::LocalTimestampMicros => "a timestamp in microseconds",
        _ => "a timestamp in nanoseconds",
    }
}

fn example(logical: Logical) -> &'static str {
    match logical {
        Logical::Date => "a date like 2026-01-31",
        Logical::TimeMillis | Logical::TimeMicros => "a time like 23:59:59.5",
        Logical::TimestampMillis | Logical::TimestampMicros | Logical::TimestampNanos => {
            "a timestamp like 2026-01-31T23:59:59.5Z, with its offset or Z"
        }
        _ => "a local timestamp like 2026-01-31T23:59:59.5, without an offset",
    }
}
