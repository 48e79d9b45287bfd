//! What becomes of records when enforcers die or stall, and how soon others see the next ones. Looked at from
//! outside: the check is Python, with a client and a decoder that nobody here wrote.

use std::thread;
use std::time::{Duration, Instant};

use crate::backbone::Backbone;
use crate::process::Enforcer;
use crate::readings::{Load, Watch, apply, check, long, now_ms, p95};
use crate::sandbox::{say, wait_for};

/// Enough that every slot has some.
const PARTITIONS: u32 = 12;

/// Far above what is aimed at: the machine is shared, and the figures are printed.
const GENEROUS: Duration = Duration::from_secs(30);

fn prepared(name: &str) -> Backbone {
    let backbone = Backbone::start(name);
    let _until_applied = backbone.enforcer("first").started();
    apply(&backbone, "meter", PARTITIONS, None);
    backbone
}

/// A number below `most` that is another one each time, and the same ones in every run.
fn dice(state: &mut u64, most: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % most
}

/// Both have slots, so that killing either takes something away.
fn share(enforcers: &[Enforcer; 2]) {
    wait_for("both enforcers own slots", Duration::from_secs(60), || {
        let owned = enforcers.each_ref().map(|enforcer| enforcer.metric("weir_enforcer_slots", "").unwrap_or(0.0));
        (owned[0] > 0.0 && owned[1] > 0.0 && owned[0] + owned[1] == 4.0).then_some(())
    });
}

fn seconds(times: &[Duration]) -> String {
    times.iter().map(|time| format!("{:.1}", time.as_secs_f64())).collect::<Vec<_>>().join(" ")
}

#[test]
fn no_record_is_lost_or_doubled_when_enforcers_are_killed() {
    let started = Instant::now();
    let backbone = prepared("kills");
    let (kills, count, per_second) = if long() { (20, 200_000, 1_500) } else { (5, 30_000, 1_000) };
    let names = ["left", "right"];
    let mut enforcers = names.map(|name| backbone.enforcer(name));
    share(&enforcers);
    let watch = Watch::start(&backbone, "meter", PARTITIONS);
    let mut load = Load::start(&backbone, "meter", count, per_second, &[]);
    let (mut restarted, mut taken_over, mut moments) = (Vec::new(), Vec::new(), 7);
    watch.readable_again(&watch.all(), now_ms(), GENEROUS);
    for kill in 0..kills {
        // At another moment of a transaction, of either process.
        thread::sleep(Duration::from_millis(dice(&mut moments, 400)));
        let victim = usize::try_from(dice(&mut moments, 2)).expect("0 or 1");
        let since = now_ms();
        enforcers[victim].kill();
        if kill % 5 == 1 || kill % 5 == 4 {
            // Nobody starts it again until the other one has taken its slots.
            taken_over.push(watch.readable_again(&watch.all(), since, GENEROUS));
            enforcers[victim] = backbone.enforcer(names[victim]);
        } else {
            enforcers[victim] = backbone.enforcer(names[victim]);
            restarted.push(watch.readable_again(&watch.all(), since, GENEROUS));
        }
        // Slots move back to the one that came anew.
        share(&enforcers);
        assert!(!load.failed(), "the producer ends well");
    }
    let count = load.stop();
    check(&backbone, "meter", count);
    say(&format!(
        "killed and restarted, readable again after {} s, p95 {:.1} s (aim 5); not restarted, after {} s, p95 {:.1} s \
         (aim 15)",
        seconds(&restarted),
        p95(&restarted).as_secs_f64(),
        seconds(&taken_over),
        p95(&taken_over).as_secs_f64(),
    ));
    say(&format!("{kills} kills took {:.0} s", started.elapsed().as_secs_f64()));
}

#[test]
fn an_enforcer_that_stalls_and_wakes_again_is_fenced() {
    let started = Instant::now();
    let backbone = prepared("stall");
    let stalling = backbone.enforcer("stalling");
    let watch = Watch::start(&backbone, "meter", PARTITIONS);
    let load = Load::start(&backbone, "meter", 10_000, 1_000, &[]);
    watch.readable_again(&watch.all(), now_ms(), GENEROUS);
    stalling.signal("STOP");
    let since = now_ms();
    let _second = backbone.enforcer("second");
    let taken = watch.readable_again(&watch.all(), since, GENEROUS);
    stalling.signal("CONT");
    let woken = now_ms();
    watch.readable_again(&watch.all(), woken, GENEROUS);
    check(&backbone, "meter", load.stop());
    say(&format!(
        "stalled, readable again after {:.1} s; the whole took {:.0} s",
        taken.as_secs_f64(),
        started.elapsed().as_secs_f64()
    ));
}
