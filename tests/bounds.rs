//! What does not grow: the memory of an enforcer over millions of records.

use std::time::{Duration, Instant};

use crate::backbone::Backbone;
use crate::clients::readings;
use crate::process::Enforcer;
use crate::sandbox::{oracle_command, run, say, wait_for};

const FEW: u64 = 200_000;
const MANY: u64 = 2_000_000;

/// Sends readings, one in `wrong` out of range, until the inbox has `total`.
fn send(backbone: &Backbone, from: u64, total: u64, wrong: u64) {
    let inbox = backbone.topic("inbox.meter.readings.v1");
    let (first, count, wrong) = (from.to_string(), (total - from).to_string(), wrong.to_string());
    let args = [backbone.brokers(), &backbone.registry(), &inbox, &first, &count, &wrong, "230"];
    run(oracle_command("produce_many.py", &args), b"").ok();
}

/// The most memory that the enforcer ever took, once it has consumed as many.
fn memory_after(enforcer: &Enforcer, total: u64) -> u64 {
    let started = Instant::now();
    wait_for("every record is consumed", Duration::from_secs(300), || {
        (enforcer.metric("weir_enforcer_records_total", "meter.readings") >= Some(total as f64)).then_some(())
    });
    let (now, most) = (enforcer.memory(), enforcer.peak());
    let (waited, now_mib, most_mib) = (started.elapsed(), now >> 20, most >> 20);
    say(&format!("after {total} records, {waited:.1?} later: {now_mib} MiB, at most {most_mib} MiB"));
    most
}

#[test]
fn memory_is_after_two_million_records_what_it_was_after_two_hundred_thousand() {
    let backbone = readings("bounds");
    // What memory an enforcer takes hangs on how full its queues are. The first records are those that cost it
    // most, all to be held back, and wait when it starts: its queues are as full as they get. So are the last.
    // A busy machine may yet feed one enforcer too slowly to fill them; of three, one will have had them full.
    let fresh = |before: u64| {
        send(&backbone, before, before + FEW, 1);
        let enforcer = backbone.enforcer_with("enforcer", &[]);
        let most = memory_after(&enforcer, FEW);
        (enforcer, most)
    };
    let mut few = 0;
    for before in [0, FEW] {
        let (mut enforcer, most) = fresh(before);
        few = few.max(most);
        enforcer.assert_untroubled();
        enforcer.kill();
    }
    let (mut enforcer, most) = fresh(2 * FEW);
    few = few.max(most);
    send(&backbone, 3 * FEW, 3 * FEW + MANY - 2 * FEW, 10);
    memory_after(&enforcer, MANY - FEW);
    send(&backbone, MANY + FEW, MANY + 2 * FEW, 1);
    let many = memory_after(&enforcer, MANY);
    assert!(many <= few + few / 10, "{few} bytes after {FEW} records, {many} after {MANY}");
    enforcer.assert_untroubled();
}
