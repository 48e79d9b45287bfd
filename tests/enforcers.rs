//! What becomes of records when enforcers die, when records are poison, and when other people's serialisers
//! write them. Looked at from outside: the checks are Python, with clients that nobody here wrote.

use std::time::Duration;

use crate::backbone::Backbone;
use crate::sandbox::{oracle, oracle_command, root, run, wait_for};

fn readings(name: &str) -> Backbone {
    let backbone = Backbone::start(name);
    let _until_applied = backbone.enforcer("first");
    backbone.apply(&root().join("tests/products"));
    backbone
}

#[test]
fn no_record_is_lost_or_doubled_when_enforcers_are_killed() {
    let backbone = readings("kills");
    let long = std::env::var_os("WEIR_LONG").is_some();
    let (kills, count) = if long { (50, "400000") } else { (5, "40000") };
    let inbox = backbone.topic("inbox.meter.readings.v1");
    let registry = backbone.registry();
    std::thread::scope(|scope| {
        let producing = scope.spawn(|| {
            let command =
                oracle_command("produce_readings.py", &[backbone.brokers(), &registry, &inbox, count, "2000"]);
            run(command, b"").ok()
        });
        let mut enforcer = backbone.enforcer("enforcer");
        for _ in 0..kills {
            // Killed at another moment of its work each time: progress, then the blow.
            let before = forwarded(&backbone);
            wait_for("the enforcer makes progress", Duration::from_secs(60), || {
                (forwarded(&backbone) > before || producing.is_finished()).then_some(())
            });
            enforcer.kill();
            enforcer = backbone.enforcer("enforcer");
        }
        producing.join().expect("the producer ends well");
        let checked = oracle(
            "check_conservation.py",
            &[backbone.brokers(), &registry, backbone.prefix(), "meter.readings", count],
        );
        assert!(checked.stdout.contains("inputs once"), "{checked:?}");
        drop(enforcer);
    });
}

/// How far the product topic has grown, by any record or marker.
fn forwarded(backbone: &Backbone) -> u64 {
    let mut command = std::process::Command::new("kcat");
    command.args(["-b", backbone.brokers(), "-Q"]);
    for partition in 0..4 {
        command.args(["-t", &format!("{}:{partition}:-1", backbone.topic("meter.readings.v1"))]);
    }
    let output = run(command, b"").ok();
    output.stdout.lines().filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}

#[test]
fn an_enforcer_that_stalls_and_wakes_again_is_fenced() {
    let backbone = readings("stall");
    let inbox = backbone.topic("inbox.meter.readings.v1");
    let registry = backbone.registry();
    let count = "20000";
    std::thread::scope(|scope| {
        let producing = scope.spawn(|| {
            let command =
                oracle_command("produce_readings.py", &[backbone.brokers(), &registry, &inbox, count, "1000"]);
            run(command, b"").ok()
        });
        let stalling = backbone.enforcer("stalling");
        let progress = |what: &str| {
            let before = forwarded(&backbone);
            wait_for(what, Duration::from_secs(60), || (forwarded(&backbone) > before).then_some(()));
        };
        progress("the first enforcer makes progress");
        stalling.signal("STOP");
        let _second = backbone.enforcer("second");
        progress("the second enforcer takes over");
        stalling.signal("CONT");
        producing.join().expect("the producer ends well");
        oracle("check_conservation.py", &[backbone.brokers(), &registry, backbone.prefix(), "meter.readings", count]);
    });
}
