//! Avro keys, as Confluent's serialiser writes them and as `weir produce` makes them. Looked at from
//! outside: the checks are Python, with clients that nobody here wrote.

use crate::backbone::Backbone;
use crate::sandbox::{oracle, root};

#[test]
fn avro_keys_are_judged_and_made() {
    let backbone = Backbone::start("keys");
    let _enforcer = backbone.enforcer("enforcer");
    backbone.apply(&root().join("tests/keyed"));
    oracle("check_keys.py", &[backbone.brokers(), &backbone.registry(), backbone.prefix()]);

    let visits = backbone.scratch().join("visits.ndjson");
    let lines: String = (100..150)
        .map(|number| format!("{{\"site\":\"site {}\",\"number\":{number},\"visitor\":\"v\"}}\n", number % 5))
        .collect();
    std::fs::write(&visits, lines + "{\"site\":\"site 1\",\"number\":-1,\"visitor\":null}\n").expect("a file of ours");
    let path = visits.to_str().expect("a path of ours is text");
    let contract = root().join("tests/keyed/meter/visits");
    let contract = contract.to_str().expect("a path of ours is text");
    let checked = backbone.weir(&["check", "--contract", contract, "--file", path]);
    assert!(checked.stderr.contains("51 records: 50 conform, 1 violate"), "{checked:?}");
    let produced = backbone.weir(&["produce", "meter.visits", "--file", path]);
    assert!(produced.stdout.contains("50 published, 1 held back"), "{produced:?}");
    // One key schema for both producers: another id would make another key of the same visit.
    let registry = backbone.registry();
    let subject = format!("{}-key", backbone.topic("inbox.meter.visits.v1"));
    let versions = get(&format!("{registry}/subjects/{subject}/versions"));
    assert_eq!(versions.trim(), "[1]");
}

fn get(url: &str) -> String {
    let script = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())";
    crate::sandbox::python(script, &[url]).stdout
}
