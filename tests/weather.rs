//! Brokers and registry go away and come back: what is touched waits and says so, the rest goes on, and in the
//! end every record is where it belongs, once. Checked by `oracle/check_conservation.py`.

use std::thread;
use std::time::{Duration, Instant};

use crate::backbone::Backbone;
use crate::cluster::Cluster;
use crate::process::Enforcer;
use crate::readings::{Load, Watch, apply, check, now_ms};
use crate::sandbox::{oracle, say, wait_for};

const GENEROUS: Duration = Duration::from_secs(60);

fn prepared(name: &str) -> Backbone {
    let backbone = Backbone::start(name);
    let _until_applied = backbone.enforcer("first").started();
    apply(&backbone, "meter", 4, None);
    backbone
}

fn took(what: &str, started: Instant) {
    say(&format!("{what}: the whole took {:.0} s", started.elapsed().as_secs_f64()));
}

/// Waits until readiness and the metric name as waiting what has `name` in it.
fn named(enforcers: &[&Enforcer], name: &str) {
    wait_for(&format!("{name} is named as waiting"), GENEROUS, || {
        enforcers.iter().any(|enforcer| names(enforcer, name)).then_some(())
    });
}

fn names(enforcer: &Enforcer, name: &str) -> bool {
    let waits = enforcer.metric("weir_enforcer_waiting_partitions", "").unwrap_or(0.0) > 0.0;
    enforcer.readyz().is_some_and(|(ready, text)| !ready && waits && text.contains(name))
}

/// Waits until everything serves and nothing waits.
fn calm(enforcers: &[&Enforcer]) {
    wait_for("the enforcers are ready again", GENEROUS, || {
        enforcers.iter().all(|enforcer| enforcer.readyz().is_some_and(|(ready, _)| ready)).then_some(())
    });
}

/// Makes the topics of a product so that its product topic is on these nodes and the others on the first two.
fn place(backbone: &Backbone, domain: &str, partitions: u32, product_on: &[&str]) {
    let partitions = partitions.to_string();
    let arguments = [backbone.brokers(), backbone.prefix(), domain, &partitions];
    oracle("place_topics.py", &[&arguments, product_on].concat());
}

fn longest(watch: &Watch, since: i64) -> f64 {
    watch.longest_gaps(since).into_values().max().unwrap_or_default().as_secs_f64()
}

#[test]
fn what_one_broker_of_three_takes_away_waits_and_the_rest_goes_on() {
    let started = Instant::now();
    let mut cluster = Cluster::start(3, &[]);
    let backbone = Backbone::on(&cluster.brokers(), "three", &[("WEIR_BROKER_REPLICATION", "3")]);
    // `meter` can do without the third node, `spare` cannot.
    place(&backbone, "meter", 12, &["1", "2"]);
    place(&backbone, "spare", 4, &["3"]);
    let enforcers = ["left", "right"].map(|name| backbone.enforcer(name).started());
    let enforcers: Vec<&Enforcer> = enforcers.iter().collect();
    apply(&backbone, "meter", 12, Some(1));
    apply(&backbone, "spare", 4, Some(1));
    let (meter, spare) = (Watch::start(&backbone, "meter", 12), Watch::start(&backbone, "spare", 4));
    let busy = Load::start(&backbone, "meter", 1_000, 400, &[]);
    meter.readable_again(&meter.all(), now_ms(), GENEROUS);
    say(&format!("three brokers: under load after {:.0} s", started.elapsed().as_secs_f64()));

    // Nothing is sent to `spare` while its broker is shut down: no open transaction holds a lost partition.
    let since = now_ms();
    cluster.stop(3);
    meter.readable_again(&meter.all(), now_ms() + 2_000, GENEROUS);
    say(&format!("one of three brokers stopped: longest pause of the others {:.1} s (aim 1)", longest(&meter, since)));
    let since = now_ms();
    let lost = Load::start(&backbone, "spare", 200, 100, &[]);
    named(&enforcers, "inbox.spare.readings.v1/");
    meter.readable_again(&meter.all(), now_ms() + 3_000, GENEROUS);
    let pause = longest(&meter, since);
    say(&format!("records for a lost partition: longest pause of the others {pause:.1} s (aim 1)"));
    assert!(pause < 10.0, "what is not touched must go on; it paused {pause:.1} s");
    cluster.restart(3);
    let back = spare.readable_again(&spare.all(), now_ms(), GENEROUS);
    calm(&enforcers);
    say(&format!("the broker is back: lost partitions readable again after {:.1} s", back.as_secs_f64()));

    // Now transactions are open with what is lost: their slots wait until the coordinator can end them.
    let since = now_ms();
    cluster.kill(3);
    named(&enforcers, "inbox.spare.readings.v1/");
    thread::sleep(Duration::from_secs(12));
    let mut gaps: Vec<f64> = meter.longest_gaps(since).into_values().map(|gap| gap.as_secs_f64()).collect();
    gaps.sort_by(f64::total_cmp);
    say(&format!("one of three brokers killed in mid-transaction: pauses by partition {gaps:.1?} s in the first 12 s"));
    cluster.restart(3);
    let since = now_ms();
    meter.readable_again(&meter.all(), since, GENEROUS);
    let back = spare.readable_again(&spare.all(), since, GENEROUS);
    say(&format!("the killed broker is back: readable again after {:.1} s", back.as_secs_f64()));
    calm(&enforcers);
    let (meter_count, spare_count) = (busy.stop(), lost.stop());
    check(&backbone, "meter", meter_count);
    check(&backbone, "spare", spare_count);
    took("three brokers", started);
}

#[test]
fn a_broker_that_restarts_under_load_costs_no_record() {
    let started = Instant::now();
    let mut cluster = Cluster::start(1, &[]);
    let backbone = Backbone::on(&cluster.brokers(), "restart", &[]);
    let enforcer = backbone.enforcer("enforcer").started();
    apply(&backbone, "meter", 4, None);
    let watch = Watch::start(&backbone, "meter", 4);
    let load = Load::start(&backbone, "meter", 5_000, 500, &[]);
    watch.readable_again(&watch.all(), now_ms(), GENEROUS);
    let mut back = Vec::new();
    for shut_down in [true, false] {
        if shut_down {
            cluster.stop(1);
        } else {
            cluster.kill(1);
        }
        cluster.restart(1);
        back.push(watch.readable_again(&watch.all(), now_ms(), GENEROUS).as_secs_f64());
    }
    calm(&[&enforcer]);
    check(&backbone, "meter", load.stop());
    say(&format!(
        "the only broker restarted: readable again {:.1} s, after a kill {:.1} s after it listens",
        back[0], back[1]
    ));
    took("broker restarted", started);
}

#[test]
fn new_schema_ids_wait_for_a_registry_that_is_away() {
    let started = Instant::now();
    let mut backbone = prepared("registry");
    let enforcer = backbone.enforcer("enforcer");
    let watch = Watch::start(&backbone, "meter", 4);
    // Every two seconds records come with an id that nobody has asked for yet.
    let load = Load::start(&backbone, "meter", 5_000, 400, &["--new-id-every", "800"]);
    watch.readable_again(&watch.all(), now_ms(), GENEROUS);
    backbone.registry_process().signal("STOP");
    let away = Instant::now();
    named(&[&enforcer], "inbox.meter.readings.v1/");
    thread::sleep(Duration::from_secs(15).saturating_sub(away.elapsed()));
    backbone.kill_registry();
    thread::sleep(Duration::from_secs(30).saturating_sub(away.elapsed()));
    backbone.restart_registry();
    let back = watch.readable_again(&watch.all(), now_ms(), GENEROUS);
    calm(&[&enforcer]);
    check(&backbone, "meter", load.stop());
    say(&format!("registry back after 30 s: readable again after {:.1} s", back.as_secs_f64()));
    took("registry away", started);
}

#[test]
fn what_waited_while_no_enforcer_ran_is_enforced() {
    let started = Instant::now();
    let backbone = prepared("waiting");
    let count = Load::start(&backbone, "meter", 20_000, 20_000, &[]).stop();
    let began = Instant::now();
    let _enforcer = backbone.enforcer("enforcer");
    check(&backbone, "meter", count);
    say(&format!("{count} records that waited: enforced and checked after {:.1} s", began.elapsed().as_secs_f64()));
    took("no enforcer", started);
}

#[test]
fn garbage_ids_stall_nothing_and_a_late_registration_costs_no_record() {
    let started = Instant::now();
    let backbone = prepared("garbage");
    let _enforcer = backbone.enforcer("enforcer");
    let watch = Watch::start(&backbone, "meter", 4);
    let load = Load::start(&backbone, "meter", 2_000, 300, &[]);
    let since = now_ms();
    watch.readable_again(&watch.all(), since, GENEROUS);
    let inbox = backbone.topic("inbox.meter.readings.v1");
    let since = now_ms();
    let strange = oracle("produce_strange_ids.py", &[backbone.brokers(), &backbone.registry(), &inbox, "15"]);
    watch.readable_again(&watch.all(), now_ms(), GENEROUS);
    let pause = longest(&watch, since);
    let count: u64 = strange.stdout.trim().parse().expect("it says how many it wrote");
    check(&backbone, "meter", load.stop() + count);
    say(&format!("garbage ids under traffic: longest pause of a partition {pause:.1} s"));
    assert!(pause < 15.0, "garbage must not stall a partition; it paused {pause:.1} s");
    took("garbage ids", started);
}
