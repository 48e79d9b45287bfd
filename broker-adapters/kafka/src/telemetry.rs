//! What the adapter measures. `role` is "lane" or "writer".

use std::time::Duration;

use metrics::{counter, histogram};

/// A transaction was committed.
pub(crate) fn committed(role: &'static str, flush: Duration, commit: Duration) {
    counter!("weir_kafka_commits_total", "role" => role).increment(1);
    histogram!("weir_kafka_flush_seconds", "role" => role).record(flush.as_secs_f64());
    histogram!("weir_kafka_commit_seconds", "role" => role).record(commit.as_secs_f64());
}

/// A transaction was not committed, or it is not known: `outcome` is "aborted", "unknown" or "fenced".
pub(crate) fn failed(role: &'static str, outcome: &'static str) {
    counter!("weir_kafka_failed_transactions_total", "role" => role, "outcome" => outcome).increment(1);
}

/// A producer was replaced because a hidden retry could not be ruled out.
pub(crate) fn tainted(role: &'static str) {
    counter!("weir_kafka_tainted_total", "role" => role).increment(1);
}
