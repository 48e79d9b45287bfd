//! The metrics of the enforcer; the only file here that names the metrics macros.

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use broker::{Committed, PartitionOutput};
use schemas::{Timestamp, TopicPartition};

use crate::catalog::Enforced;

/// Says what each metric means; once, at the start.
pub(crate) fn describe() {
    describe_counter!("weir_enforcer_records_total", "Records consumed, by product and outcome.");
    describe_counter!("weir_enforcer_transactions_total", "Transactions, by how they ended.");
    describe_counter!(
        "weir_enforcer_expired_records_total",
        "Inbox offsets removed before they were read, by product."
    );
    describe_histogram!(
        "weir_enforcer_activation_seconds",
        "Time from the decision on a contract version until an inbox partition was judged by it."
    );
    describe_gauge!("weir_enforcer_waiting_partitions", "Inbox partitions that cannot be enforced for now.");
    describe_gauge!(
        "weir_enforcer_partition_waits",
        "1 while this inbox partition cannot be enforced, 0 after; for the first 200 that ever waited."
    );
    describe_gauge!("weir_enforcer_slots", "Slots that this process owns.");
    describe_histogram!("weir_enforcer_flush_seconds", "Time until every output of a transaction was delivered.");
    describe_histogram!("weir_enforcer_commit_seconds", "Time that commits took.");
}

/// How a transaction ended.
#[derive(Clone, Copy)]
pub(crate) enum Ended {
    Committed,
    Aborted,
    Unknown,
    Fenced,
    Refused,
}

impl Ended {
    fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Aborted => "aborted",
            Self::Unknown => "unknown",
            Self::Fenced => "fenced",
            Self::Refused => "refused",
        }
    }
}

/// A transaction ended.
pub(crate) fn transaction(ended: Ended) {
    counter!("weir_enforcer_transactions_total", "outcome" => ended.as_str()).increment(1);
}

/// A transaction was committed in these times.
pub(crate) fn times(committed: &Committed) {
    histogram!("weir_enforcer_flush_seconds").record(committed.flush.as_secs_f64());
    histogram!("weir_enforcer_commit_seconds").record(committed.commit.as_secs_f64());
}

/// A partition's records were committed.
pub(crate) fn records(enforced: &Enforced, output: &PartitionOutput) {
    let product = enforced.product.to_string();
    for (outcome, runs) in
        [("forwarded", &output.product), ("quarantined", &output.quarantine), ("withheld", &output.withheld)]
    {
        let records = runs.iter().map(|run| u64::try_from(run.count).unwrap_or(0)).sum();
        if records > 0 {
            counter!("weir_enforcer_records_total", "product" => product.clone(), "outcome" => outcome)
                .increment(records);
        }
    }
}

/// A partition is judged by a version from now on. Clocks of other machines may differ: never less than 0.
pub(crate) fn activated(enforced: &Enforced, now: Timestamp) {
    let millis = now.0.saturating_sub(enforced.decided_at.0).max(0);
    histogram!("weir_enforcer_activation_seconds").record(millis as f64 / 1000.0);
}

/// Records were removed unread.
pub(crate) fn expired(enforced: &Enforced, offsets: i64) {
    counter!("weir_enforcer_expired_records_total", "product" => enforced.product.to_string())
        .increment(u64::try_from(offsets).unwrap_or(0));
}

/// So many partitions wait.
pub(crate) fn waiting(partitions: usize) {
    gauge!("weir_enforcer_waiting_partitions").set(partitions as f64);
}

/// This partition waits, or no more.
pub(crate) fn partition_waits(partition: &TopicPartition, waits: bool) {
    let (inbox, number) = (partition.topic.to_string(), partition.partition.to_string());
    gauge!("weir_enforcer_partition_waits", "inbox" => inbox, "partition" => number).set(if waits { 1.0 } else { 0.0 });
}

/// So many slots are ours.
pub(crate) fn slots(owned: usize) {
    gauge!("weir_enforcer_slots").set(owned as f64);
}
