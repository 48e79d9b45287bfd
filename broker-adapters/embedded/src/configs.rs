//! The settings of topics, and of the broker as their default: names, types, bounds and defaults as in Kafka's
//! `TopicConfig` and `ServerLogConfigs`, and what they mean for a log.

use std::collections::BTreeMap;

use crate::log::{Cleanup, LogConfig, TimestampType};

/// Values that somebody set, by name.
pub(crate) type Overrides = BTreeMap<String, String>;

/// What a value is, for checking it and for telling clients (`ConfigDef.Type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean,
    Text,
    Int,
    Long,
    Double,
    List,
}

impl Kind {
    /// As DescribeConfigs says it (KIP-569).
    pub(crate) fn code(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::Text => 2,
            Self::Int => 3,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
        }
    }
}

/// What a value may be.
#[derive(Debug, Clone, Copy)]
enum Allowed {
    Any,
    /// At least.
    Least(i64),
    /// Between 0 and 1.
    Ratio,
    /// One of these, or for a list some of these.
    OneOf(&'static [&'static str]),
}

/// A setting of a topic.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) name: &'static str,
    /// The broker's setting that is its default.
    pub(crate) broker_name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: &'static str,
    allowed: Allowed,
    pub(crate) documentation: &'static str,
}

const fn definition(
    name: &'static str,
    broker_name: &'static str,
    kind: Kind,
    default: &'static str,
    allowed: Allowed,
    documentation: &'static str,
) -> Definition {
    Definition { name, broker_name, kind, default, allowed, documentation }
}

const LONGEST: &str = "9223372036854775807";

/// All settings of a topic, in the order of their names.
pub(crate) const TOPIC: &[Definition] = &[
    definition(
        "cleanup.policy",
        "log.cleanup.policy",
        Kind::List,
        "delete",
        Allowed::OneOf(&["delete", "compact"]),
        "What becomes of old records: delete removes them by time and size, compact keeps the last of each key.",
    ),
    definition(
        "compression.type",
        "compression.type",
        Kind::Text,
        "producer",
        Allowed::OneOf(&["producer"]),
        "Batches are kept as their producer compressed them; this broker has no other value.",
    ),
    definition(
        "delete.retention.ms",
        "log.cleaner.delete.retention.ms",
        Kind::Long,
        "86400000",
        Allowed::Least(0),
        "How long a compacted topic keeps what says that a key is gone.",
    ),
    definition(
        "file.delete.delay.ms",
        "log.segment.delete.delay.ms",
        Kind::Long,
        "60000",
        Allowed::Least(0),
        "Has no effect here: a removed segment stays readable for who reads it.",
    ),
    definition(
        "flush.messages",
        "log.flush.interval.messages",
        Kind::Long,
        LONGEST,
        Allowed::Least(1),
        "Has no effect here: the broker is started with --flush.",
    ),
    definition(
        "flush.ms",
        "log.flush.interval.ms",
        Kind::Long,
        LONGEST,
        Allowed::Least(0),
        "Has no effect here: the broker is started with --flush.",
    ),
    definition(
        "index.interval.bytes",
        "log.index.interval.bytes",
        Kind::Int,
        "4096",
        Allowed::Least(0),
        "Bytes between two entries of an index.",
    ),
    definition(
        "max.compaction.lag.ms",
        "log.cleaner.max.compaction.lag.ms",
        Kind::Long,
        LONGEST,
        Allowed::Least(1),
        "After this a record is compacted even if little else would be.",
    ),
    definition(
        "max.message.bytes",
        "message.max.bytes",
        Kind::Int,
        "1048588",
        Allowed::Least(0),
        "The largest record batch.",
    ),
    definition(
        "message.timestamp.after.max.ms",
        "log.message.timestamp.after.max.ms",
        Kind::Long,
        "3600000",
        Allowed::Least(0),
        "How far in the future a record's timestamp may be.",
    ),
    definition(
        "message.timestamp.before.max.ms",
        "log.message.timestamp.before.max.ms",
        Kind::Long,
        LONGEST,
        Allowed::Least(0),
        "How far in the past a record's timestamp may be.",
    ),
    definition(
        "message.timestamp.type",
        "log.message.timestamp.type",
        Kind::Text,
        "CreateTime",
        Allowed::OneOf(&["CreateTime", "LogAppendTime"]),
        "Whether timestamps are the producer's or the broker's.",
    ),
    definition(
        "min.cleanable.dirty.ratio",
        "log.cleaner.min.cleanable.ratio",
        Kind::Double,
        "0.5",
        Allowed::Ratio,
        "How much of a log is new before it is compacted again.",
    ),
    definition(
        "min.compaction.lag.ms",
        "log.cleaner.min.compaction.lag.ms",
        Kind::Long,
        "0",
        Allowed::Least(0),
        "A record younger than this is not compacted.",
    ),
    definition(
        "min.insync.replicas",
        "min.insync.replicas",
        Kind::Int,
        "1",
        Allowed::Least(1),
        "Has no effect here: there is one copy.",
    ),
    definition("preallocate", "log.preallocate", Kind::Boolean, "false", Allowed::Any, "Has no effect here."),
    definition(
        "retention.bytes",
        "log.retention.bytes",
        Kind::Long,
        "-1",
        Allowed::Least(-1),
        "The oldest segments are removed when a partition is larger; -1 for never.",
    ),
    definition(
        "retention.ms",
        "log.retention.ms",
        Kind::Long,
        "604800000",
        Allowed::Least(-1),
        "Segments are removed when all their records are older; -1 for never.",
    ),
    definition(
        "segment.bytes",
        "log.segment.bytes",
        Kind::Int,
        "1073741824",
        Allowed::Least(1_048_576),
        "A segment file is closed when it is this large.",
    ),
    definition(
        "segment.index.bytes",
        "log.index.size.max.bytes",
        Kind::Int,
        "10485760",
        Allowed::Least(4),
        "Has no effect here: an index is as large as its segment asks for.",
    ),
    definition("segment.jitter.ms", "log.roll.jitter.ms", Kind::Long, "0", Allowed::Least(0), "Has no effect here."),
    definition(
        "segment.ms",
        "log.roll.ms",
        Kind::Long,
        "604800000",
        Allowed::Least(1),
        "A segment file is closed when its first record is this old.",
    ),
    definition(
        "unclean.leader.election.enable",
        "unclean.leader.election.enable",
        Kind::Boolean,
        "false",
        Allowed::Any,
        "Has no effect here: there is one copy.",
    ),
];

impl Definition {
    /// # Errors
    /// What is wrong with the value, in Kafka's words.
    pub(crate) fn check(&self, value: &str) -> Result<(), String> {
        let wrong = |why: &str| Err(format!("Invalid value {value} for configuration {}: {why}", self.name));
        let number = match self.kind {
            Kind::Boolean if !matches!(value, "true" | "false") => {
                return wrong("Expected value to be either true or false");
            }
            Kind::Int => value.trim().parse::<i32>().ok().map(i64::from),
            Kind::Long => value.trim().parse::<i64>().ok(),
            Kind::Double => value.trim().parse::<f64>().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).map(|_| 0),
            Kind::Boolean | Kind::Text | Kind::List => Some(0),
        };
        match (self.allowed, number) {
            (Allowed::Ratio, None) => wrong("Value must be between 0 and 1"),
            (_, None) => wrong("Not a number of configuration's type"),
            (Allowed::Least(least), Some(number)) if number < least => {
                wrong(&format!("Value must be at least {least}"))
            }
            (Allowed::OneOf(allowed), _) => {
                let each: Vec<&str> = match self.kind {
                    // No policy at all is one too: nothing is removed.
                    Kind::List if value.trim().is_empty() => Vec::new(),
                    Kind::List => value.split(',').collect(),
                    _ => vec![value],
                };
                match each.iter().find(|part| !allowed.contains(&part.trim())) {
                    Some(_) => wrong(&format!("String must be one of: {}", allowed.join(", "))),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

/// The setting of this name.
pub(crate) fn of_topic(name: &str) -> Option<&'static Definition> {
    TOPIC.iter().find(|definition| definition.name == name)
}

/// The setting whose default the broker's setting of this name is.
pub(crate) fn of_broker(name: &str) -> Option<&'static Definition> {
    TOPIC.iter().find(|definition| definition.broker_name == name)
}

/// The value that holds for a topic.
pub(crate) fn effective<'a>(definition: &Definition, topic: &'a Overrides, broker: &'a Overrides) -> &'a str {
    topic.get(definition.name).or_else(|| broker.get(definition.broker_name)).map_or(definition.default, String::as_str)
}

/// What a log is to do, for a topic with these settings.
pub(crate) fn log_config(topic: &Overrides, broker: &Overrides) -> LogConfig {
    let text = |name: &str| of_topic(name).map(|definition| effective(definition, topic, broker)).unwrap_or_default();
    let number = |name: &str| text(name).trim().parse::<i64>().unwrap_or(-1);
    let limit = |name: &str| Some(number(name)).filter(|number| *number >= 0);
    let policy: Vec<&str> = text("cleanup.policy").split(',').map(str::trim).collect();
    let removes = policy.contains(&"delete");
    let retention = |name: &str| limit(name).filter(|_| removes || policy.contains(&"compact"));
    LogConfig {
        segment_bytes: number("segment.bytes").unsigned_abs(),
        segment_ms: number("segment.ms"),
        index_interval_bytes: number("index.interval.bytes").unsigned_abs(),
        retention_ms: retention("retention.ms"),
        retention_bytes: retention("retention.bytes").map(i64::unsigned_abs),
        cleanup: match (removes, policy.contains(&"compact")) {
            (true, true) => Cleanup::CompactAndDelete,
            (false, true) => Cleanup::Compact,
            _ => Cleanup::Delete,
        },
        min_compaction_lag_ms: number("min.compaction.lag.ms"),
        max_compaction_lag_ms: number("max.compaction.lag.ms"),
        delete_retention_ms: number("delete.retention.ms"),
        min_cleanable_dirty_ratio: text("min.cleanable.dirty.ratio").trim().parse().unwrap_or(0.5),
        max_message_bytes: usize::try_from(number("max.message.bytes")).unwrap_or(usize::MAX),
        timestamp_type: match text("message.timestamp.type") {
            "LogAppendTime" => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        },
        timestamp_before_max_ms: number("message.timestamp.before.max.ms"),
        timestamp_after_max_ms: number("message.timestamp.after.max.ms"),
        ..LogConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_that_may_be_set() {
        for definition in TOPIC {
            assert_eq!(definition.check(definition.default), Ok(()), "{}", definition.name);
        }
        assert!(TOPIC.is_sorted_by_key(|definition| definition.name));
    }

    #[test]
    fn what_cannot_be_set_is_said_in_kafkas_words() {
        let check = |name, value| of_topic(name).unwrap().check(value);
        assert!(check("cleanup.policy", "compact,delete").is_ok());
        let wrong = check("cleanup.policy", "shred").unwrap_err();
        assert_eq!(
            wrong,
            "Invalid value shred for configuration cleanup.policy: String must be one of: delete, compact"
        );
        assert!(check("retention.ms", "-1").is_ok());
        assert!(check("retention.ms", "-2").is_err());
        assert!(check("segment.bytes", "3000000000").is_err(), "an int");
        assert!(check("min.cleanable.dirty.ratio", "1.5").is_err());
        assert!(check("preallocate", "yes").is_err());
    }

    #[test]
    fn a_topics_value_hides_the_brokers_and_that_the_default() {
        let set = |name: &str, value: &str| Overrides::from([(name.to_owned(), value.to_owned())]);
        let none = Overrides::new();
        assert_eq!(log_config(&none, &none).retention_ms, Some(604_800_000));
        let broker = set("log.retention.ms", "1000");
        assert_eq!(log_config(&none, &broker).retention_ms, Some(1000));
        assert_eq!(log_config(&set("retention.ms", "-1"), &broker).retention_ms, None);
        assert_eq!(log_config(&set("cleanup.policy", "delete,compact"), &none).cleanup, Cleanup::CompactAndDelete);
    }
}
