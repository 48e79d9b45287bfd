//! What does not grow: the memory of an enforcer over millions of records.

use std::time::{Duration, Instant};

use crate::backbone::Backbone;
use crate::clients::readings;
use crate::process::Enforcer;
use crate::sandbox::{oracle_command, run, say, wait_for};

const FEW: u64 = 200_000;
const MANY: u64 = 2_000_000;
const SETTLED: Duration = Duration::from_secs(13);

/// Sends readings, every tenth out of range, until the inbox has `total`.
fn send(backbone: &Backbone, from: u64, total: u64) {
    let inbox = backbone.topic("inbox.meter.readings.v1");
    let (first, count) = (from.to_string(), (total - from).to_string());
    let args = [backbone.brokers(), &backbone.registry(), &inbox, &first, &count];
    run(oracle_command("produce_many.py", &args), b"").ok();
}

/// The enforcer's memory when it has consumed as many and has given back what its queues took on the way: the
/// least that is seen within a little more than the ten seconds between two returns.
fn memory_after(enforcer: &Enforcer, total: u64) -> u64 {
    wait_for("every record is consumed", Duration::from_secs(300), || {
        (enforcer.metric("weir_enforcer_records_total", "meter.readings") >= Some(total as f64)).then_some(())
    });
    let (consumed, at_once) = (Instant::now(), enforcer.memory());
    let mut least = at_once;
    wait_for("memory is given back", SETTLED * 2, || {
        least = least.min(enforcer.memory());
        (consumed.elapsed() > SETTLED).then_some(())
    });
    let mib = |bytes: u64| bytes >> 20;
    say(&format!("after {total} records {} MiB, then {}, at most {}", mib(at_once), mib(least), mib(enforcer.peak())));
    least
}

#[test]
fn memory_is_after_two_million_records_what_it_was_after_two_hundred_thousand() {
    let backbone = readings("bounds");
    // The first of them wait when the enforcer starts, so that its queues are full once.
    send(&backbone, 0, FEW);
    let mut enforcer = backbone.enforcer_with("enforcer", &[]);
    let few = memory_after(&enforcer, FEW);
    send(&backbone, FEW, MANY);
    let many = memory_after(&enforcer, MANY);
    assert!(many.abs_diff(few) <= few / 10, "{few} bytes after {FEW} records, {many} after {MANY}");
    enforcer.assert_untroubled();
}
