//! The settings of the coordinator, by Kafka's names and with Kafka's defaults unless said otherwise.

/// Settings of the group coordinator. All times are milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSettings {
    /// `group.min.session.timeout.ms`: a shorter session timeout is refused with `INVALID_SESSION_TIMEOUT`.
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`: a longer session timeout is refused with `INVALID_SESSION_TIMEOUT`.
    pub max_session_timeout_ms: i32,
    /// `group.initial.rebalance.delay.ms`: how long the first rebalance of an empty group waits for more members. The
    /// default is 0 and not Kafka's 3000: a single node is used by few members who want to start at once.
    pub initial_rebalance_delay_ms: i32,
    /// `group.max.size`: the most members of one group, and the most that may wait with a member id that they have not
    /// joined with yet. The default is 1000; Kafka has no bound.
    pub max_group_size: usize,
    /// The most groups that may exist. More are refused with `POLICY_VIOLATION`. Kafka has no such setting.
    pub max_groups: usize,
    /// `offset.metadata.max.bytes`: the longest note that may come with a committed offset.
    pub max_offset_metadata_bytes: usize,
    /// `offsets.retention.minutes`, in milliseconds: how long offsets are kept once nobody uses them.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`: how often offsets are expired and groups that are left with nothing are
    /// removed.
    pub offsets_retention_check_interval_ms: i64,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            min_session_timeout_ms: 6_000,
            max_session_timeout_ms: 1_800_000,
            initial_rebalance_delay_ms: 0,
            max_group_size: 1_000,
            max_groups: 10_000,
            max_offset_metadata_bytes: 4_096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1_000,
            offsets_retention_check_interval_ms: 600_000,
        }
    }
}
