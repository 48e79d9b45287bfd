//! Parts of times, by counting days.

use super::evaluate::Value;

/// The first four are of durations as well.
pub(super) const PARTS: [&str; 10] = [
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
    "getFullYear",
    "getMonth",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
];

const SECOND: i128 = 1_000_000_000;

/// The only zone that is written is `-05:30`.
pub(super) fn of_time(name: &str, nanos: i128, args: &[Value]) -> Option<Value> {
    let known = jiff::Timestamp::MIN.as_nanosecond()..=jiff::Timestamp::MAX.as_nanosecond();
    if !known.contains(&nanos) {
        return None;
    }
    let east = if args.is_empty() { 0 } else { -(5 * 3600 + 30 * 60) };
    let nanos = nanos + east * SECOND;
    let days = nanos.div_euclid(86_400 * SECOND);
    let within = nanos.rem_euclid(86_400 * SECOND);
    let (year, month, day, of_year) = civil(days);
    let part = match name {
        "getHours" => within / (3_600 * SECOND),
        "getMinutes" => within / (60 * SECOND) % 60,
        "getSeconds" => within / SECOND % 60,
        "getMilliseconds" => within / 1_000_000 % 1_000,
        "getFullYear" => year,
        "getMonth" => month,
        "getDate" => day + 1,
        "getDayOfMonth" => day,
        // The epoch was a Thursday.
        "getDayOfWeek" => (days + 4).rem_euclid(7),
        _ => of_year,
    };
    i64::try_from(part).ok().map(Value::Int)
}

/// Year, and month, day and day of the year from 0; month by month.
fn civil(days: i128) -> (i128, i128, i128, i128) {
    let leap = |year: i128| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    // Whole cycles of 400 years first.
    let (cycles, mut left) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let mut year = 1970;
    while left >= if leap(year) { 366 } else { 365 } {
        left -= if leap(year) { 366 } else { 365 };
        year += 1;
    }
    let of_year = left;
    let february = if leap(year) { 29 } else { 28 };
    for (month, length) in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].into_iter().enumerate() {
        if left < length {
            return (year + cycles * 400, month as i128, left, of_year);
        }
        left -= length;
    }
    panic!("{days} is in no month")
}

pub(super) fn of_span(name: &str, nanos: i128) -> Option<Value> {
    let unit = match name {
        "getHours" => 3_600 * SECOND,
        "getMinutes" => 60 * SECOND,
        "getSeconds" => SECOND,
        _ => 1_000_000,
    };
    i64::try_from(nanos / unit).ok().map(Value::Int)
}
