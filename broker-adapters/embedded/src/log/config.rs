//! What a log may be told: the topic settings that matter to storage, with Kafka's defaults.
//!
//! Knows nothing of setting names, of topics or of where a setting came from.

/// What happens to old records (`cleanup.policy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Cleanup {
    /// Whole segments go when they are too old or the log is too big.
    #[default]
    Delete,
    /// The latest record of every key stays.
    Compact,
    /// Both.
    CompactAndDelete,
}

impl Cleanup {
    /// Whether records are compacted by key.
    pub fn compacts(self) -> bool {
        !matches!(self, Cleanup::Delete)
    }

    /// Whether segments go by age and size.
    pub fn deletes(self) -> bool {
        !matches!(self, Cleanup::Compact)
    }
}

/// Whose clock stamps a record (`message.timestamp.type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TimestampType {
    /// The producer's.
    #[default]
    CreateTime,
    /// The broker's, at the moment of the append.
    LogAppendTime,
}

/// The settings of one log. Times are milliseconds, sizes bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment is closed before it grows beyond this; at most 2 GiB count.
    pub segment_bytes: u64,
    /// `segment.ms`: a segment is closed this long after its first append.
    pub segment_ms: i64,
    /// `index.interval.bytes`: how many bytes of batches lie between two index entries.
    pub index_interval_bytes: u64,
    /// `retention.ms`; `None` keeps for ever.
    pub retention_ms: Option<i64>,
    /// `retention.bytes`; `None` is without bound.
    pub retention_bytes: Option<u64>,
    /// `cleanup.policy`.
    pub cleanup: Cleanup,
    /// `min.compaction.lag.ms`: younger records are not compacted.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: older records are compacted whatever the ratio says.
    pub max_compaction_lag_ms: i64,
    /// `delete.retention.ms`: how long a tombstone stays after it was first cleaned.
    pub delete_retention_ms: i64,
    /// `min.cleanable.dirty.ratio`: the part of the log that must be dirty before it is compacted.
    pub min_cleanable_dirty_ratio: f64,
    /// `max.message.bytes`: the largest batch, with its header.
    pub max_message_bytes: usize,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`: how far a producer's timestamp may lie in the past.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: how far a producer's timestamp may lie in the future.
    pub timestamp_after_max_ms: i64,
    /// `producer.id.expiration.ms`: a producer without open transaction is forgotten after this much silence.
    pub producer_expiry_ms: i64,
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3_600_000,
            index_interval_bytes: 4096,
            retention_ms: Some(7 * 24 * 3_600_000),
            retention_bytes: None,
            cleanup: Cleanup::Delete,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            delete_retention_ms: 24 * 3_600_000,
            min_cleanable_dirty_ratio: 0.5,
            max_message_bytes: 1_048_588,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            producer_expiry_ms: 86_400_000,
        }
    }
}
