//! The formats that a rule can demand of a string.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::model::Format;

/// Whether the text has the format.
pub(super) fn has(format: Format, text: &str) -> bool {
    match format {
        Format::Email => email(text),
        Format::Uuid => uuid(text),
        Format::Uri => uri(text),
        Format::Hostname => hostname(text),
        Format::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
        Format::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
        Format::Date => date(text),
        Format::DateTime => {
            text.split_once(['T', 't']).is_some_and(|(day, rest)| date(day) && time(rest).is_some_and(|zoned| zoned))
        }
        Format::Time => time(text).is_some(),
    }
}

/// What the format is, as the end of "must be …".
pub(super) fn named(format: Format) -> &'static str {
    match format {
        Format::Email => "an e-mail address",
        Format::Uuid => "a UUID",
        Format::Uri => "an absolute URI",
        Format::Hostname => "a host name",
        Format::Ipv4 => "an IPv4 address",
        Format::Ipv6 => "an IPv6 address",
        Format::Date => "a date (YYYY-MM-DD)",
        Format::DateTime => "a date and time with a zone (RFC 3339)",
        Format::Time => "a time of day (hh:mm:ss)",
    }
}

fn email(text: &str) -> bool {
    let Some((local, host)) = text.rsplit_once('@') else { return false };
    let atom = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| c.is_ascii_alphanumeric() || !c.is_ascii() || "!#$%&'*+/=?^_`{|}~-".contains(c))
    };
    local.len() <= 64 && local.split('.').all(atom) && host.contains('.') && hostname(host)
}

fn uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let mut letters = scheme.bytes();
    if !letters.next().is_some_and(|b| b.is_ascii_alphabetic())
        || !letters.all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    {
        return false;
    }
    let mut bytes = rest.bytes();
    while let Some(byte) = bytes.next() {
        let fine = match byte {
            b'%' => {
                bytes.next().is_some_and(|b| b.is_ascii_hexdigit())
                    && bytes.next().is_some_and(|b| b.is_ascii_hexdigit())
            }
            _ => byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(&byte),
        };
        if !fine {
            return false;
        }
    }
    !rest.is_empty()
}

fn hostname(text: &str) -> bool {
    let label = |part: &str| {
        (1..=63).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// A number of exactly `digits` digits at the start, and what follows.
fn number(text: &str, digits: usize) -> Option<(u32, &str)> {
    let (number, rest) = text.split_at_checked(digits)?;
    number.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
    Some((number.parse().ok()?, rest))
}

fn date(text: &str) -> bool {
    let parsed = || {
        let (year, rest) = number(text, 4)?;
        let (month, rest) = number(rest.strip_prefix('-')?, 2)?;
        let (day, rest) = number(rest.strip_prefix('-')?, 2)?;
        rest.is_empty().then_some((year, month, day))
    };
    let Some((year, month, day)) = parsed() else { return false };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    };
    (1..=days).contains(&day)
}

/// `None` where it is no time, else whether it has a zone.
fn time(text: &str) -> Option<bool> {
    let (hour, rest) = number(text, 2)?;
    let (minute, rest) = number(rest.strip_prefix(':')?, 2)?;
    let (second, mut rest) = number(rest.strip_prefix(':')?, 2)?;
    // 60 is a leap second.
    (hour < 24 && minute < 60 && second <= 60).then_some(())?;
    if let Some(fraction) = rest.strip_prefix('.') {
        let end = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
        (end > 0).then_some(())?;
        rest = fraction.get(end..)?;
    }
    if rest.is_empty() {
        return Some(false);
    }
    if rest.eq_ignore_ascii_case("z") {
        return Some(true);
    }
    let (hour, rest) = number(rest.strip_prefix(['+', '-'])?, 2)?;
    let (minute, rest) = number(rest.strip_prefix(':')?, 2)?;
    (rest.is_empty() && hour < 24 && minute < 60).then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_from_what_only_looks_like_them() {
        let cases = [
            (Format::Email, "a.b+c@example.org", "a@b"),
            (Format::Email, "x@mail.example.org", "a..b@example.org"),
            (Format::Uuid, "123e4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-42661417400"),
            (Format::Uri, "https://example.org/a?b=%20", "example.org/a"),
            (Format::Uri, "urn:isbn:1", "http://a b"),
            (Format::Hostname, "a.example.org", "-a.example.org"),
            (Format::Ipv4, "127.0.0.1", "127.0.0.256"),
            (Format::Ipv6, "::1", ":1"),
            (Format::Date, "2024-02-29", "2023-02-29"),
            (Format::DateTime, "2024-02-29T12:00:00.5Z", "2024-02-29T12:00:00"),
            (Format::Time, "23:59:60", "24:00:00"),
        ];
        for (format, good, bad) in cases {
            assert!(has(format, good), "{format:?} {good}");
            assert!(!has(format, bad), "{format:?} {bad}");
        }
    }
}
