//! Dates and times as files write them: ISO 8601 without a detour, and patterns in the letters of Java's
//! `DateTimeFormatter`, as ODCS names them. Knows nothing of zones but their offsets.

/// Nanoseconds in a second.
const SECOND: i128 = 1_000_000_000;
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WHOLE_MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// What a text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) kind: MomentKind,
    /// Seconds since 1970-01-01T00:00:00, or since midnight, on the clock that the text was read from.
    pub(crate) seconds: i64,
    /// Below the second.
    pub(crate) nanos: u32,
    /// East of UTC, in seconds, where the text says it.
    pub(crate) offset: Option<i32>,
    /// Digits after the second.
    pub(crate) digits: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MomentKind {
    Date,
    Time,
    DateTime,
}

impl Moment {
    /// Nanoseconds since the epoch (or midnight); in UTC where there is an offset.
    pub(crate) fn nanoseconds(&self) -> i128 {
        (i128::from(self.seconds) - i128::from(self.offset.unwrap_or(0))) * SECOND + i128::from(self.nanos)
    }
}

/// Days since 1970-01-01 in the Gregorian calendar; `None` for a day that there is not. Source: H. Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms".
fn days(year: i64, month: u32, day: u32) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if !(1..=last).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * i64::from((month + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Year, month and day, the other way round.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days.saturating_add(719_468);
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, of_year - (153 * shifted + 2) / 5 + 1)
}

/// A count of days as ISO 8601.
pub(crate) fn date(days: i64) -> String {
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}")
}

/// A count since midnight as ISO 8601.
pub(crate) fn time(count: i64, per_second: i64) -> String {
    let seconds = count.div_euclid(per_second);
    let mut text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let rest = count.rem_euclid(per_second);
    if rest > 0 {
        let width = per_second.ilog10() as usize;
        text.push_str(format!(".{rest:0width$}").trim_end_matches('0'));
    }
    text
}

/// A count since the epoch as ISO 8601, with `Z` where it is UTC.
pub(crate) fn date_time(count: i64, per_second: i64, utc: bool) -> String {
    let day = per_second.saturating_mul(86_400);
    let zone = if utc { "Z" } else { "" };
    format!("{}T{}{zone}", date(count.div_euclid(day)), time(count.rem_euclid(day), per_second))
}

/// A text that is read from its front.
struct Scan<'a>(&'a [u8]);

impl Scan<'_> {
    fn digits(&mut self, least: usize, most: usize) -> Option<u32> {
        let count = self.0.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
        if count < least {
            return None;
        }
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0')))
    }

    fn byte(&mut self, wanted: u8) -> Option<()> {
        let (first, rest) = self.0.split_first()?;
        (*first == wanted).then(|| self.0 = rest)
    }

    fn one_of(&mut self, wanted: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        wanted.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    /// Nanoseconds and how many digits say them.
    fn fraction(&mut self) -> Option<(u32, u8)> {
        let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at_checked(count)?;
        if !(1..=9).contains(&count) {
            return None;
        }
        self.0 = rest;
        let number = digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
        let power = 10_u32.checked_pow(9 - u32::try_from(count).ok()?)?;
        Some((number * power, u8::try_from(count).ok()?))
    }

    fn offset(&mut self) -> Option<i32> {
        let sign = match self.one_of(b"Zz+-")? {
            b'Z' | b'z' => return Some(0),
            b'+' => 1,
            _ => -1,
        };
        let hours = self.digits(2, 2)?;
        let _colon = self.byte(b':');
        let minutes = if self.0.is_empty() { 0 } else { self.digits(2, 2)? };
        let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
        (hours < 24 && minutes < 60).then_some(sign * seconds)
    }

    /// `hh:mm`, `hh:mm:ss`, `hh:mm:ss.fff`: seconds, nanoseconds, digits.
    fn clock(&mut self) -> Option<(i64, u32, u8)> {
        let hour = self.digits(2, 2)?;
        self.byte(b':')?;
        let minute = self.digits(2, 2)?;
        let (mut second, mut nanos, mut digits) = (0, 0, 0);
        if self.byte(b':').is_some() {
            second = self.digits(2, 2)?;
            if self.one_of(b".,").is_some() {
                (nanos, digits) = self.fraction()?;
            }
        }
        (hour < 24 && minute < 60 && second < 60)
            .then(|| (i64::from(hour * 3600 + minute * 60 + second), nanos, digits))
    }

    fn name(&mut self) -> Option<u32> {
        let count = self.0.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let (word, rest) = self.0.split_at_checked(count)?;
        let index = MONTHS.iter().zip(WHOLE_MONTHS).position(|(short, long)| {
            word.eq_ignore_ascii_case(short.as_bytes()) || word.eq_ignore_ascii_case(long.as_bytes())
        })?;
        self.0 = rest;
        u32::try_from(index).ok().map(|index| index + 1)
    }
}

/// Reads ISO 8601 as files have it: a date, a time of day, or both with `T` or a blank between them, and then
/// perhaps an offset.
pub(crate) fn iso(text: &[u8]) -> Option<Moment> {
    let mut scan = Scan(text);
    let (kind, mut seconds) = match text.get(2) {
        Some(b':') => (MomentKind::Time, 0),
        _ => {
            let year = scan.digits(4, 4)?;
            scan.byte(b'-')?;
            let month = scan.digits(2, 2)?;
            scan.byte(b'-')?;
            let day = scan.digits(2, 2)?;
            (MomentKind::DateTime, days(i64::from(year), month, day)? * 86_400)
        }
    };
    if kind == MomentKind::DateTime {
        if scan.0.is_empty() {
            return Some(Moment { kind: MomentKind::Date, seconds, nanos: 0, offset: None, digits: 0 });
        }
        scan.one_of(b"Tt ")?;
    }
    let (clock, nanos, digits) = scan.clock()?;
    seconds += clock;
    let offset = if scan.0.is_empty() || kind == MomentKind::Time { None } else { Some(scan.offset()?) };
    scan.0.is_empty().then_some(Moment { kind, seconds, nanos, offset, digits })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Year,
    Month(usize),
    MonthName,
    Day(usize),
    Hour(usize),
    HalfDayHour(usize),
    HalfDay,
    Minute,
    Second,
    Fraction,
    Offset,
    Literal(u8),
}

/// A pattern such as `M/d/yyyy H:mm`, ready to read by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    parts: Vec<Part>,
    kind: MomentKind,
}

impl Pattern {
    /// Understands years of four digits, months as numbers and as English names, days, hours of 24 or 12,
    /// minutes, seconds, fractions, offsets and literals; `None` for a pattern with anything else.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text.as_bytes();
        while let Some(first) = rest.first() {
            let count = rest.iter().take_while(|byte| *byte == first).count();
            let part = match (first, count) {
                (b'y' | b'u', 4) => Part::Year,
                (b'M', 1 | 2) => Part::Month(count),
                (b'M', 3 | 4) => Part::MonthName,
                (b'd', 1 | 2) => Part::Day(count),
                (b'H', 1 | 2) => Part::Hour(count),
                (b'h', 1 | 2) => Part::HalfDayHour(count),
                (b'a', 1) => Part::HalfDay,
                (b'm', 2) => Part::Minute,
                (b's', 2) => Part::Second,
                (b'S', 1..=9) => Part::Fraction,
                (b'X', 1..=3) => Part::Offset,
                (b'\'', _) => {
                    let (inside, after) =
                        rest.get(1..)?.split_at_checked(rest.get(1..)?.iter().position(|b| *b == b'\'')?)?;
                    parts.extend(inside.iter().map(|byte| Part::Literal(*byte)));
                    rest = after.get(1..)?;
                    continue;
                }
                (byte, _) if !byte.is_ascii_alphanumeric() => {
                    parts.extend(std::iter::repeat_n(Part::Literal(*byte), count));
                    rest = rest.get(count..)?;
                    continue;
                }
                _ => return None,
            };
            parts.push(part);
            rest = rest.get(count..)?;
        }
        let has = |wanted: fn(&Part) -> bool| parts.iter().any(wanted);
        let date = has(|part| matches!(part, Part::Year))
            && has(|part| matches!(part, Part::Month(_) | Part::MonthName))
            && has(|part| matches!(part, Part::Day(_)));
        let time = has(|part| matches!(part, Part::Hour(_) | Part::HalfDayHour(_)));
        let kind = match (date, time) {
            (true, true) => MomentKind::DateTime,
            (true, false) => MomentKind::Date,
            (false, true) => MomentKind::Time,
            (false, false) => return None,
        };
        Some(Self { parts, kind })
    }

    /// Reads a whole text.
    pub(crate) fn read(&self, text: &[u8]) -> Option<Moment> {
        let mut scan = Scan(text);
        let (mut year, mut month, mut day) = (1970, 1, 1);
        let (mut hour, mut minute, mut second, mut nanos, mut digits) = (0, 0, 0, 0, 0);
        let (mut offset, mut afternoon, mut halved) = (None, false, false);
        for part in &self.parts {
            match part {
                Part::Year => year = scan.digits(4, 4)?,
                Part::Month(least) => month = scan.digits(*least, 2)?,
                Part::MonthName => month = scan.name()?,
                Part::Day(least) => day = scan.digits(*least, 2)?,
                Part::Hour(least) => hour = scan.digits(*least, 2)?,
                Part::HalfDayHour(least) => {
                    hour = scan.digits(*least, 2)?;
                    halved = true;
                    if !(1..=12).contains(&hour) {
                        return None;
                    }
                }
                Part::HalfDay => {
                    afternoon = matches!(scan.one_of(b"aApP")?, b'p' | b'P');
                    scan.one_of(b"mM")?;
                }
                Part::Minute => minute = scan.digits(2, 2)?,
                Part::Second => second = scan.digits(2, 2)?,
                Part::Fraction => (nanos, digits) = scan.fraction()?,
                Part::Offset => offset = Some(scan.offset()?),
                Part::Literal(byte) => scan.byte(*byte)?,
            }
        }
        if halved {
            hour = hour % 12 + if afternoon { 12 } else { 0 };
        }
        if !scan.0.is_empty() || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let date = if self.kind == MomentKind::Time { 0 } else { days(i64::from(year), month, day)? * 86_400 };
        let seconds = date + i64::from(hour * 3600 + minute * 60 + second);
        Some(Moment { kind: self.kind, seconds, nanos, offset, digits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_texts_are_what_jiff_reads() {
        for text in ["2013-01-31", "1969-12-31", "2000-02-29", "0001-01-01", "9998-12-31"] {
            let date: jiff::civil::Date = text.parse().expect("a date");
            let seconds = jiff::tz::TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).expect("a moment").as_second();
            assert_eq!(iso(text.as_bytes()).map(|moment| moment.seconds), Some(seconds), "{text}");
        }
        for text in ["2013-01-31T23:59:59.5Z", "2013-01-31 01:02:03.123456789+05:30", "2013-06-01T00:00:00-0800"] {
            let moment: jiff::Timestamp = text.parse().expect("a moment");
            assert_eq!(iso(text.as_bytes()).map(|moment| moment.nanoseconds()), Some(moment.as_nanosecond()), "{text}");
        }
        for text in ["2013-02-29", "2013-1-1", "2013-01-31T", "2013-01-31 24:00", "20130131", "", "12:60", "12:00Z"] {
            assert_eq!(iso(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn patterns_read_what_they_describe() {
        let seconds = |pattern: &str, text: &str| {
            Pattern::new(pattern).expect("a pattern").read(text.as_bytes()).map(|moment| moment.seconds)
        };
        let expected = iso(b"2000-03-04").map(|moment| moment.seconds);
        for (pattern, text) in [
            ("M/d/yyyy", "3/4/2000"),
            ("d.M.yyyy", "04.03.2000"),
            ("MMM d yyyy", "Mar 4 2000"),
            ("MMM d, yyyy", "March 4, 2000"),
            ("yyyyMMdd", "20000304"),
            ("d-MMM-yyyy", "4-MAR-2000"),
        ] {
            assert_eq!(seconds(pattern, text), expected, "{pattern}");
        }
        assert_eq!(seconds("M/d/yyyy h:mm a", "3/4/2000 12:05 AM"), expected.map(|start| start + 300));
        assert_eq!(seconds("M/d/yyyy", "13/4/2000"), None);
        assert_eq!(seconds("M/d/yyyy", "3/4/2000 "), None);
        assert!(["yy", "QQQ", "yyyy", "'open"].iter().all(|pattern| Pattern::new(pattern).is_none()));
    }
}
