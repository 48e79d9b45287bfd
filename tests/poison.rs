//! Records and schemas that are poison: each is held back with the reason that is its own, its neighbours go
//! through, and nothing restarts, waits or grows. Sent and checked by Python, with clients that nobody here wrote.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use crate::backbone::Backbone;
use crate::clients::readings;
use crate::sandbox::{Guarded, free_port, oracle, oracle_command, root, say, wait_for};

/// What an enforcer may grow by while it works on poison; what is sent comes in batches of some megabytes.
const GROWTH: u64 = 96 << 20;

/// A backbone with the parcels of `tests/hostile`, after these changes to their contract.
fn parcels(name: &str, changes: &[(&str, &str)]) -> Backbone {
    let backbone = Backbone::start(name);
    let _until_applied = backbone.enforcer("first");
    let (from, to) = (root().join("tests/hostile/depot/parcels"), backbone.scratch().join("contracts/depot/parcels"));
    fs::create_dir_all(&to).expect("room for a directory");
    let mut text = fs::read_to_string(from.join("contract.odcs.yaml")).expect("a file of ours");
    for (old, new) in changes {
        assert!(text.contains(old), "the contract has no {old:?}");
        text = text.replacen(old, new, 1);
    }
    fs::write(to.join("contract.odcs.yaml"), text).expect("room for a file");
    fs::copy(from.join("parcels.avsc"), to.join("parcels.avsc")).expect("room for a file");
    backbone.apply(&backbone.scratch().join("contracts"));
    backbone
}

fn check(script: &str, backbone: &Backbone, more: &[&str]) {
    let registry = backbone.registry();
    let output = oracle(script, &[&[backbone.brokers(), &registry, backbone.prefix()], more].concat());
    output.stdout.lines().for_each(say);
}

#[test]
fn poison_is_held_back_with_its_reason_and_neighbours_go_through() {
    let backbone = readings("poison");
    let mut enforcer = backbone.enforcer_with("enforcer", &[]);
    check("check_poison.py", &backbone, &[]);
    enforcer.assert_untroubled();
}

#[test]
fn every_kind_of_poison_for_every_type_is_held_back() {
    let backbone = parcels("parcels", &[]);
    let mut enforcer = backbone.enforcer_with("enforcer", &[]);
    wait_for("the enforcer is ready", Duration::from_secs(30), || enforcer.readyz().filter(|(ready, _)| *ready));
    let before = enforcer.memory();
    check("check_parcels.py", &backbone, &[]);
    enforcer.assert_untroubled();
    let peak = enforcer.peak();
    say(&format!("memory: {} MiB before the poison, at most {} MiB", before >> 20, peak >> 20));
    assert!(peak < before + GROWTH, "the enforcer grew from {before} to {peak} bytes");
}

#[test]
fn ids_that_nobody_registered_stall_no_partition() {
    let backbone = readings("ids");
    let mut enforcer = backbone.enforcer_with("enforcer", &[]);
    let ids = if std::env::var_os("WEIR_LONG").is_some() { "30000" } else { "3000" };
    check("check_ids.py", &backbone, &[ids]);
    enforcer.assert_untroubled();
}

#[test]
fn what_only_the_product_topic_refuses_is_a_verdict() {
    let backbone = parcels("limits", &[("value: 1200000", "value: 60000")]);
    // Sent before the enforcer starts, so that it meets all of it in few batches.
    check("check_limits.py", &backbone, &["send"]);
    let mut enforcer = backbone.enforcer_with("enforcer", &[]);
    check("check_limits.py", &backbone, &["check"]);
    enforcer.assert_untroubled();
    check("check_limits.py", &backbone, &["refused"]);
    enforcer.assert_untroubled();
    let refused = enforcer.metric("weir_enforcer_transactions_total", "refused").unwrap_or(0.0);
    assert!(refused >= 1.0, "no transaction was refused:\n{}", enforcer.log());
}

#[test]
fn hostile_schemas_are_refused_by_our_registry() {
    let backbone = Backbone::start("texts");
    check("check_hostile_schemas.py", &backbone, &["refused"]);
}

#[test]
fn hostile_schemas_of_another_registry_are_violations() {
    let backbone = parcels("served", &[]);
    let port = free_port();
    let command = oracle_command("hostile_schemas.py", &[&port.to_string(), &backbone.registry()]);
    let log: PathBuf = backbone.scratch().join("registry-of-others.log");
    let _registry = Guarded::start(command, &log);
    wait_for("the other registry answers", Duration::from_secs(30), || {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()
    });
    let url = format!("http://127.0.0.1:{port}");
    let mut enforcer = backbone.enforcer_with("enforcer", &[("WEIR_REGISTRY_URL", &url)]);
    check("check_hostile_schemas.py", &backbone, &["served"]);
    enforcer.assert_untroubled();
}
