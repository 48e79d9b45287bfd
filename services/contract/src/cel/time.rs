//! Parts of times and durations, and how durations are written.

use std::fmt::{self, Write as _};

/// A part of a time or duration, as CEL's accessors name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    FullYear,
    /// From 0.
    Month,
    /// The day of the month, from 1.
    Date,
    /// The day of the month, from 0.
    DayOfMonth,
    /// From 0, which is Sunday.
    DayOfWeek,
    /// From 0.
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

/// Their names.
pub(super) const PARTS: [(&str, Part); 10] = [
    ("getFullYear", Part::FullYear),
    ("getMonth", Part::Month),
    ("getDate", Part::Date),
    ("getDayOfMonth", Part::DayOfMonth),
    ("getDayOfWeek", Part::DayOfWeek),
    ("getDayOfYear", Part::DayOfYear),
    ("getHours", Part::Hours),
    ("getMinutes", Part::Minutes),
    ("getSeconds", Part::Seconds),
    ("getMilliseconds", Part::Milliseconds),
];

/// The part of a time (nanoseconds since the epoch) so many seconds east of UTC; `None` where the time is
/// beyond the years -9999 to 9999.
pub(super) fn of_time(part: Part, nanos: i128, east: i32) -> Option<i64> {
    let time = jiff::Timestamp::from_nanosecond(nanos).ok()?;
    let here = jiff::tz::Offset::from_seconds(east).ok()?.to_datetime(time);
    Some(match part {
        Part::FullYear => i64::from(here.year()),
        Part::Month => i64::from(here.month()) - 1,
        Part::Date => i64::from(here.day()),
        Part::DayOfMonth => i64::from(here.day()) - 1,
        Part::DayOfWeek => i64::from(here.weekday().to_sunday_zero_offset()),
        Part::DayOfYear => i64::from(here.day_of_year()) - 1,
        Part::Hours => i64::from(here.hour()),
        Part::Minutes => i64::from(here.minute()),
        Part::Seconds => i64::from(here.second()),
        Part::Milliseconds => i64::from(here.millisecond()),
    })
}

/// A duration (in nanoseconds) in whole hours, minutes, seconds or milliseconds, toward zero.
pub(super) fn of_span(part: Part, nanos: i128) -> Option<i64> {
    let unit = match part {
        Part::Hours => 3_600_000_000_000,
        Part::Minutes => 60_000_000_000,
        Part::Seconds => 1_000_000_000,
        Part::Milliseconds => 1_000_000,
        _ => return None,
    };
    i64::try_from(nanos / unit).ok()
}

/// The seconds east of UTC of a zone such as `+02:00`, `-05:30`, `02:00` or `UTC`.
pub(super) fn zone(text: &str) -> Option<i32> {
    if matches!(text, "UTC" | "Z") {
        return Some(0);
    }
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (hours, minutes) = rest.split_once(':')?;
    let two = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i32>().ok().filter(|_| digits)
    };
    let (hours, minutes) = (two(hours).filter(|hours| *hours < 24)?, two(minutes).filter(|minutes| *minutes < 60)?);
    Some(sign * (hours * 3600 + minutes * 60))
}

/// Writes a duration as CEL does: in seconds, with as many decimals as it needs.
pub(super) fn write_span(nanos: i128, out: &mut String) -> fmt::Result {
    const SECOND: u128 = 1_000_000_000;
    let (sign, size) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    write!(out, "{sign}{}", size / SECOND)?;
    let rest = size % SECOND;
    if rest > 0 {
        write!(out, ".{rest:09}")?;
        out.truncate(out.trim_end_matches('0').len());
    }
    out.write_char('s')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_in_seconds() {
        for (nanos, text) in [(0, "0s"), (1_500_000_000, "1.5s"), (-500_000_000, "-0.5s"), (1, "0.000000001s")] {
            let mut out = String::new();
            assert!(write_span(nanos, &mut out).is_ok());
            assert_eq!(out, text);
        }
    }

    #[test]
    fn zones_are_offsets() {
        assert_eq!(zone("+02:00"), Some(7200));
        assert_eq!(zone("-05:30"), Some(-19_800));
        assert_eq!(zone("UTC"), Some(0));
        for wrong in ["Europe/Berlin", "2:00", "+24:00", "+02:60", "", "+é0:00"] {
            assert_eq!(zone(wrong), None, "{wrong}");
        }
    }
}
