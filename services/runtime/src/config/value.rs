//! What a setting may hold, and how it is written.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

/// The kind of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text that is not empty.
    Text,
    /// The path of a file or folder.
    Path,
    /// What is logged, as `tracing-subscriber` reads it: `warn,enforcer=debug`.
    LogFilter,
    /// What names of the backbone begin with: [`schemas::Prefix`].
    Prefix,
    /// An `http://` or `https://` URL.
    Url,
    /// An address to listen on: `127.0.0.1:8081`.
    Listen,
    /// A whole number between these, both included.
    Count(u64, u64),
    /// A number of bytes up to this: `65536`, `64KiB`, `2MiB`, `1GiB`.
    Bytes(u64),
    /// A length of time up to this: `250ms`, `10s`, `5m`, `12h`, `7d`.
    Duration(Duration),
    /// `true` or `false`.
    Flag,
    /// One of these.
    Choice(&'static [&'static str]),
}

/// The value of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Of the kinds text, path, prefix, URL, listen and choice.
    Text(String),
    /// A whole number.
    Count(u64),
    /// Bytes.
    Bytes(u64),
    /// A length of time.
    Duration(Duration),
    /// Yes or no.
    Flag(bool),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Count(count) => count.fmt(f),
            Self::Bytes(bytes) => write_unit(f, *bytes, BYTE_UNITS, ""),
            Self::Duration(time) => {
                write_unit(f, u64::try_from(time.as_millis()).unwrap_or(u64::MAX), TIME_UNITS, "ms")
            }
            Self::Flag(flag) => flag.fmt(f),
        }
    }
}

/// Largest first; of each the unit before.
const BYTE_UNITS: &[(&str, u64)] = &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
const TIME_UNITS: &[(&str, u64)] = &[("ms", 1), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];

fn write_unit(f: &mut fmt::Formatter<'_>, amount: u64, units: &[(&str, u64)], least: &str) -> fmt::Result {
    let whole = units.iter().find(|(_, size)| *size > 1 && amount >= *size && amount.is_multiple_of(*size));
    match whole {
        Some((unit, size)) => write!(f, "{}{unit}", amount / size),
        None => write!(f, "{amount}{least}"),
    }
}

/// A number with one of the units; `None` where it is not that.
fn read_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, size) = units.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, *size)))?;
    number.trim().parse::<u64>().ok()?.checked_mul(size)
}

impl Kind {
    /// What is expected, as the end of a sentence.
    pub fn expects(self) -> String {
        match self {
            Self::Text => "give a text that is not empty".to_owned(),
            Self::Path => "give a path".to_owned(),
            Self::LogFilter => "give levels like \"info\" or \"warn,enforcer=debug\"".to_owned(),
            Self::Prefix => "give 1 to 30 of a-z, 0-9 and -".to_owned(),
            Self::Url => "give a URL like \"http://127.0.0.1:8081\"".to_owned(),
            Self::Listen => "give an address and a port like \"127.0.0.1:8081\"".to_owned(),
            Self::Count(least, most) => format!("give a whole number from {least} to {most}"),
            Self::Bytes(most) => format!("give bytes like \"64KiB\", at most {}", Value::Bytes(most)),
            Self::Duration(most) => {
                format!("give a length of time like \"250ms\", \"10s\" or \"5m\", at most {}", Value::Duration(most))
            }
            Self::Flag => "give true or false".to_owned(),
            Self::Choice(names) => format!("give one of {}", names.join(", ")),
        }
    }

    /// Reads a value of this kind.
    ///
    /// # Errors
    /// [`Kind::expects`].
    pub fn read(self, text: &str) -> Result<Value, String> {
        let read = match self {
            Self::Text | Self::Path => (!text.is_empty()).then(|| Value::Text(text.to_owned())),
            Self::LogFilter => EnvFilter::try_new(text).ok().map(|_| Value::Text(text.to_owned())),
            Self::Prefix => text.parse::<schemas::Prefix>().ok().map(|_| Value::Text(text.to_owned())),
            Self::Url => is_url(text).then(|| Value::Text(text.trim_end_matches('/').to_owned())),
            Self::Listen => text.parse::<SocketAddr>().ok().map(|_| Value::Text(text.to_owned())),
            Self::Count(least, most) => text.parse().ok().filter(|n| (least..=most).contains(n)).map(Value::Count),
            Self::Bytes(most) => {
                read_unit(text, BYTE_UNITS).or_else(|| text.parse().ok()).filter(|n| *n <= most).map(Value::Bytes)
            }
            Self::Duration(most) => {
                read_unit(text, TIME_UNITS).map(Duration::from_millis).filter(|time| *time <= most).map(Value::Duration)
            }
            Self::Flag => text.parse().ok().map(Value::Flag),
            Self::Choice(names) => names.contains(&text).then(|| Value::Text(text.to_owned())),
        };
        read.ok_or_else(|| self.expects())
    }
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_they_may_be_written() {
        let day = Duration::from_secs(86_400 * 365);
        for (kind, text) in [
            (Kind::Duration(day), "250ms"),
            (Kind::Duration(day), "10s"),
            (Kind::Duration(day), "90s"),
            (Kind::Duration(day), "5m"),
            (Kind::Duration(day), "7d"),
            (Kind::Bytes(1 << 30), "64KiB"),
            (Kind::Bytes(1 << 30), "1000"),
            (Kind::Flag, "true"),
            (Kind::Count(1, 9), "4"),
        ] {
            assert_eq!(kind.read(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        for (kind, text) in [
            (Kind::Count(1, 9), "10"),
            (Kind::Bytes(1024), "2KiB"),
            (Kind::Duration(Duration::from_secs(1)), "18446744073709551615d"),
            (Kind::Duration(Duration::from_secs(9)), "5"),
            (Kind::Url, "http://"),
            (Kind::Listen, "localhost:8081"),
            (Kind::Text, ""),
            (Kind::LogFilter, "enforcer=loud"),
            (Kind::Prefix, "Second_One"),
        ] {
            assert!(kind.read(text).is_err(), "{text}");
        }
    }
}
