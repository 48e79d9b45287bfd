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

#[test]
fn keys_are_deleted_as_the_contract_writes_them() {
    let backbone = Backbone::start("deletes");
    let _enforcer = backbone.enforcer("enforcer");
    // The visits with Avro keys of two fields, once with deletes and once without.
    let contracts = backbone.scratch().join("contracts");
    for (name, deletes) in [("visits", "tombstone"), ("calls", "none")] {
        let folder = contracts.join("meter").join(name);
        std::fs::create_dir_all(&folder).expect("room for a directory");
        let read =
            |file: &str| std::fs::read_to_string(root().join("tests/keyed/meter/visits").join(file)).expect(file);
        let text = read("contract.odcs.yaml").replace("visits", name);
        let text = text + &format!("  - property: weir.deletes\n    value: {deletes}\n");
        std::fs::write(folder.join("contract.odcs.yaml"), text).expect("room for a file");
        std::fs::write(folder.join(format!("{name}.avsc")), read("visits.avsc")).expect("room for a file");
    }
    backbone.apply(&contracts);
    std::fs::write(backbone.scratch().join("one.ndjson"), "{\"site\":\"a\",\"number\":7,\"visitor\":\"v\"}\n")
        .expect("room for a file");
    backbone.weir(&["produce", "meter.visits", "--file", "one.ndjson"]).ok();
    let key = r#"{"site":"a","number":7}"#;
    let deleted =
        backbone.weir(&["produce", "meter.visits", "--tombstone", key, "--tombstone", r#"{"site":"b","number":1}"#]);
    assert_eq!((deleted.code, deleted.stdout.as_str()), (Some(0), "2 deleted, 0 held back\n"), "{deleted:?}");
    let words = ["consume", "meter.visits", "--from", "beginning", "--until", "end", "-o", "ndjson"];
    let records: Vec<serde_json::Value> =
        backbone.weir(&words).ok().stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |null: bool| {
        records.iter().filter(|one| one["value"].is_null() == null).map(|one| &one["key"]).collect::<Vec<_>>()
    };
    assert_eq!((of(true).len(), of(false).len()), (2, 1), "{records:?}");
    assert!(of(true).contains(&of(false)[0]), "the same key, to the byte: {records:?}");

    let wrong = backbone.weir(&["produce", "meter.visits", "--tombstone", r#"{"site":"a"}"#]);
    assert!(wrong.code == Some(1) && wrong.stderr.contains("is no key of meter.visits"), "{wrong:?}");
    let none = backbone.weir(&["produce", "meter.calls", "--tombstone", key]);
    assert!(none.code == Some(1) && none.stderr.contains("set weir.deletes to tombstone"), "{none:?}");
}

fn get(url: &str) -> String {
    let script = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())";
    crate::sandbox::python(script, &[url]).stdout
}
