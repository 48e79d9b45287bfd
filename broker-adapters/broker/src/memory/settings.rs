//! The topic settings that a Kafka broker knows, with its defaults, and which values it takes.

/// Name and default of every topic setting.
pub(super) const KNOWN: [(&str, &str); 27] = [
    ("cleanup.policy", "delete"),
    ("compression.gzip.level", "-1"),
    ("compression.lz4.level", "9"),
    ("compression.type", "producer"),
    ("compression.zstd.level", "3"),
    ("delete.retention.ms", "86400000"),
    ("file.delete.delay.ms", "60000"),
    ("flush.messages", "9223372036854775807"),
    ("flush.ms", "9223372036854775807"),
    ("index.interval.bytes", "4096"),
    ("local.retention.bytes", "-2"),
    ("local.retention.ms", "-2"),
    ("max.compaction.lag.ms", "9223372036854775807"),
    ("max.message.bytes", "1048588"),
    ("message.timestamp.after.max.ms", "3600000"),
    ("message.timestamp.before.max.ms", "9223372036854775807"),
    ("message.timestamp.type", "CreateTime"),
    ("min.cleanable.dirty.ratio", "0.5"),
    ("min.compaction.lag.ms", "0"),
    ("min.insync.replicas", "1"),
    ("preallocate", "false"),
    ("retention.bytes", "-1"),
    ("retention.ms", "604800000"),
    ("segment.bytes", "1073741824"),
    ("segment.index.bytes", "10485760"),
    ("segment.jitter.ms", "0"),
    ("segment.ms", "604800000"),
];

/// The default of a setting; `None` where there is no such setting.
pub(super) fn default_of(name: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(known, _)| *known == name).map(|(_, default)| *default)
}

/// Why a broker would not take this value, if it would not.
pub(super) fn refuses(name: &str, value: &str) -> Option<String> {
    let Some(default) = default_of(name) else {
        return Some(format!("unknown topic config name: {name}"));
    };
    let fits = match name {
        "cleanup.policy" => value.split(',').all(|policy| matches!(policy.trim(), "compact" | "delete")),
        "message.timestamp.type" => matches!(value, "CreateTime" | "LogAppendTime"),
        "compression.type" => matches!(value, "producer" | "uncompressed" | "gzip" | "snappy" | "lz4" | "zstd"),
        _ if default.parse::<i64>().is_ok() => value.parse::<i64>().is_ok(),
        _ if default.parse::<f64>().is_ok() => value.parse::<f64>().is_ok(),
        _ => value.parse::<bool>().is_ok(),
    };
    (!fits).then(|| format!("invalid value {value} for configuration {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_that_is_taken() {
        for (name, default) in KNOWN {
            assert_eq!(refuses(name, default), None);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for (name, value) in [("retention.hours", "1"), ("max.message.bytes", "1MB"), ("cleanup.policy", "keep")] {
            assert!(refuses(name, value).is_some(), "{name}={value}");
        }
    }
}
