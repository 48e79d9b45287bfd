//! The command line as its users meet it: a domain team from its contract to its quarantined records, a steward
//! who changes what is in force, and a run that is cut off. Looked at from outside: exit codes, standard output.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::backbone::Backbone;
use crate::sandbox::{Output, root, run, wait_for};

const READINGS: &str = "sensor,seq,value,note\n\
                        s1,0,12.5,\n\
                        s2,1,101,too much\n\
                        s3,two,1,\n\
                        s4,-1,5,\"one\ntwo\"\n\
                        s5,4,0,last\n";

/// The contract of the readings in a folder of its own, with these texts replaced.
fn contract(backbone: &Backbone, folder: &str, edits: &[(&str, &str)]) -> String {
    let (from, to) = (root().join("tests/products/meter/readings"), backbone.scratch().join(folder));
    fs::create_dir_all(&to).expect("a folder");
    fs::copy(from.join("readings.avsc"), to.join("readings.avsc")).expect("room for a copy");
    let mut text = fs::read_to_string(from.join("contract.odcs.yaml")).expect("a contract");
    for (old, new) in edits {
        assert!(text.contains(old), "{old}");
        text = text.replacen(old, new, 1);
    }
    fs::write(to.join("contract.odcs.yaml"), text).expect("room for a contract");
    folder.to_owned()
}

fn file(backbone: &Backbone, name: &str, text: &str) -> PathBuf {
    let path = backbone.scratch().join(name);
    fs::write(&path, text).expect("room for a file");
    path
}

/// Standard output as one JSON value for each line.
fn lines(output: &Output) -> Vec<Value> {
    output.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

fn array(output: &Output) -> Vec<Value> {
    serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
}

#[test]
fn a_domain_team_goes_from_its_contract_to_what_was_held_back() {
    let backbone = Backbone::start("path");
    let _enforcer = backbone.enforcer("enforcer");
    let weir = |words: &str| backbone.weir(&words.split_whitespace().collect::<Vec<_>>());
    contract(&backbone, "contracts/meter/readings", &[]);

    assert_eq!(weir("plan --detailed-exitcode").code, Some(3), "the folder `contracts` is the default");
    let applied = weir("apply").ok();
    assert_eq!(applied.stdout, "", "what is said on the way is no data");
    assert!(applied.stderr.contains("done; enforced after"), "{applied:?}");
    assert_eq!(weir("plan --detailed-exitcode").code, Some(0));

    file(&backbone, "readings.csv", READINGS);
    let produced = weir("produce meter.readings --file readings.csv");
    assert_eq!((produced.code, produced.stdout.as_str()), (Some(1), "2 published, 3 held back\n"));
    let rejected = fs::read_to_string(backbone.scratch().join("readings.csv.rejected.csv")).expect("a file");
    let mut rows: Vec<&str> = rejected.lines().collect();
    rows[1..].sort_unstable();
    assert_eq!(
        rows,
        [
            "line,record,field,rule,reason",
            "3,2,value,value:maximum,must be at most 100",
            "4,3,seq,type,two is not a whole number",
            "5,4,seq,seq:minimum,must be at least 0",
        ]
    );

    let consumed = weir("consume meter.readings --from beginning --until end -o ndjson").ok();
    let mut sequence: Vec<i64> = lines(&consumed).iter().filter_map(|line| line["value"]["seq"].as_i64()).collect();
    sequence.sort_unstable();
    assert_eq!(sequence, [0, 4]);
    assert_eq!(weir("consume meter.readings --from beginning -n 1").ok().stdout.lines().count(), 1);
    assert_eq!(array(&weir("consume meter.readings --from beginning --until end -o json").ok()).len(), 2);
    assert_eq!(weir("consume meter.readings --from 1000 --until end").ok().stdout, "", "beyond every end");
    assert_eq!(weir("consume meter.readings --from 2001-01-01T00:00:00Z --until end").ok().stdout.lines().count(), 2);
    assert_eq!(weir("consume meter.readings --from 2101-01-01T00:00:00Z --until end").ok().stdout, "");

    let listed = lines(&weir("quarantine list meter.readings -o ndjson").ok());
    let rules: Vec<_> = listed.iter().map(|row| (row["rule"].as_str(), row["records"].as_u64())).collect();
    assert_eq!(rules, [(Some("seq:minimum"), Some(1)), (Some("value:maximum"), Some(1))]);
    let shown = array(&weir("quarantine show meter.readings -o json").ok());
    let high = shown.iter().find(|record| record["key"] == "s2").expect("the record of s2");
    assert_eq!(high["value"]["note"], "too much");
    assert_eq!(high["violations"][0]["value"], "101");
    assert!(high["bytes"].as_str().is_some_and(|bytes| bytes.starts_with("00")), "{high}");
    let one = format!("quarantine show meter.readings {} {} -o json", high["partition"], high["offset"]);
    assert_eq!(array(&weir(&one).ok()), std::slice::from_ref(high));
    let nothing = weir("quarantine show meter.readings 0 4711");
    assert!(nothing.code == Some(1) && nothing.stderr.contains("holds no record at offset 4711"), "{nothing:?}");

    traced(&backbone, high, &lines(&consumed)[0]);
    assert!(weir("product show meter.readings").ok().stdout.contains(&backbone.topic("inbox.meter.readings.v1")));
    assert_eq!(lines(&weir("product list -o ndjson").ok())[0]["version"], "1.0.0");
    assert!(weir("product show meter.nothing").stderr.contains("the catalog holds meter.readings"));
}

/// From quarantine and from the product back to the inbox, and from there forward again.
fn traced(backbone: &Backbone, held_back: &Value, published: &Value) {
    let trace = |topic: &str, partition: &Value, offset: &Value| {
        let words = ["lineage", "record", topic, &partition.to_string(), &offset.to_string(), "-o", "ndjson"];
        lines(&backbone.weir(&words).ok())
    };
    for (name, record) in [("quarantine.meter.readings.v1", held_back), ("meter.readings.v1", published)] {
        let topic = backbone.topic(name);
        let back = trace(&topic, &record["partition"], &record["offset"]);
        assert_eq!(back[0]["topic"], backbone.topic("inbox.meter.readings.v1"), "{back:?}");
        let forward = trace(&backbone.topic("inbox.meter.readings.v1"), &back[0]["partition"], &back[0]["offset"]);
        assert_eq!(forward, back);
        assert_eq!((&forward[1]["topic"], &forward[1]["offset"]), (&Value::from(topic), &record["offset"]));
    }
    assert_eq!(held_back["source"]["topic"], backbone.topic("inbox.meter.readings.v1"));
}

#[test]
fn a_steward_changes_what_is_in_force_and_goes_back() {
    let backbone = Backbone::start("steward");
    let _enforcer = backbone.enforcer("enforcer");
    let weir = |words: &str| backbone.weir(&words.split_whitespace().collect::<Vec<_>>());
    let first = contract(
        &backbone,
        "first",
        &[("weir.partitions", "weir.retention\n    value: 2h\n  - property: weir.partitions")],
    );
    weir(&format!("apply {first}")).ok();
    file(&backbone, "readings.csv", "sensor,seq,value\ns1,0,1\ns1,1,2\ns1,2,3\n");
    assert_eq!(weir("produce meter.readings --file readings.csv").ok().stdout, "3 published, 0 held back\n");

    // Tighter, and it keeps less.
    let edits = [
        ("version: 1.0.0", "version: 1.1.0"),
        ("maximum: 100", "maximum: 2"),
        ("weir.partitions", "weir.retention\n    value: 1h\n  - property: weir.partitions"),
    ];
    let tighter = contract(&backbone, "tighter", &edits);
    let planned = weir(&format!("plan {tighter}")).ok();
    assert!(planned.stdout.contains("retention.ms 7200000 -> 3600000"), "{planned:?}");
    assert!(planned.stdout.contains("producers: rule value:maximum forbids what it did not"), "{planned:?}");
    assert!(planned.stdout.contains("1 of the latest 3 records would be held back"), "{planned:?}");
    let unasked = weir(&format!("apply {tighter}"));
    assert_eq!(unasked.code, Some(2), "nobody is there to be asked: {unasked:?}");
    assert!(unasked.stderr.contains("is done only with --yes"), "{unasked:?}");
    assert_eq!(weir(&format!("plan {tighter} --detailed-exitcode")).code, Some(3), "and nothing was done");
    weir(&format!("apply {tighter} --yes")).ok();
    file(&backbone, "more.csv", "sensor,seq,value\ns1,3,2\ns1,4,3\n");
    let produced = weir("produce meter.readings --file more.csv -o json");
    assert_eq!(produced.code, Some(1));
    let counts: Value = serde_json::from_str(&produced.stdout).expect("JSON");
    assert_eq!((&counts["published"], &counts["held_back"]), (&Value::from(1), &Value::from(1)));

    // Back again: consumers would be promised less, so it takes a reason.
    let refused = weir("rollback meter.readings --yes");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("--allow-breaking --reason TEXT"), "{refused:?}");
    let back = weir("rollback meter.readings --yes --allow-breaking --reason typo").ok();
    assert!(back.stderr.contains("meter.readings is at version 1.0.0"), "{back:?}");
    file(&backbone, "again.csv", "sensor,seq,value\ns1,5,3\n");
    assert_eq!(weir("produce meter.readings --file again.csv").ok().stdout, "1 published, 0 held back\n");
    let audited = audit(&backbone);
    assert_eq!(audited.len(), 3);
    assert!(audited[2].contains("rollback") && audited[2].contains("version 1.0.0: typo"), "{audited:?}");
}

/// What stands on `weir.audit`, as the text that is in its records.
fn audit(backbone: &Backbone) -> Vec<String> {
    let mut kcat = std::process::Command::new("kcat");
    kcat.args(["-b", backbone.brokers(), "-C", "-e", "-q", "-t", &backbone.topic("weir.audit")]);
    kcat.args(["-X", "isolation.level=read_committed", "-f", "%s|END|"]);
    run(kcat, b"").ok().stdout.split_terminator("|END|").map(str::to_owned).collect()
}

#[test]
fn a_produce_that_is_killed_goes_on_where_it_stopped_without_duplicates() {
    const ROWS: usize = 200_000;
    let backbone = Backbone::start("resume");
    let _enforcer = backbone.enforcer("enforcer");
    backbone.apply(&root().join("tests/products"));
    let mut text = String::from("sensor,seq,value\n");
    (0..ROWS).for_each(|row| text.push_str(&format!("s{},{row},1\n", row % 50)));
    file(&backbone, "many.csv", &text);
    let produce = ["produce", "meter.readings", "--file", "many.csv"];

    let mut command = backbone.command(&produce);
    let mut killed = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    wait_for("something is sent", Duration::from_secs(60), || sent(&backbone).then_some(()));
    killed.kill().expect("a child of ours");
    let status = killed.wait().expect("a child of ours");
    assert_eq!(status.code(), None, "it was killed before it had ended");

    let resumed = backbone.weir(&produce).ok();
    assert_eq!(resumed.stdout, "200,000 published, 0 held back\n");
    assert!(resumed.stderr.contains("going on after record "), "{resumed:?}");
    let consumed = backbone.weir(&["consume", "meter.readings", "--from", "beginning", "--until", "end"]).ok();
    let seqs: Vec<u64> = lines(&consumed).iter().filter_map(|value| value["seq"].as_u64()).collect();
    assert_eq!(seqs.len(), ROWS, "no record twice");
    assert_eq!(seqs.into_iter().collect::<BTreeSet<_>>().len(), ROWS, "no record lost");
    assert!(!Path::new(&backbone.scratch().join("many.csv.rejected.csv")).exists());
}

/// Whether the inbox holds anything.
fn sent(backbone: &Backbone) -> bool {
    let mut kcat = std::process::Command::new("kcat");
    kcat.args(["-b", backbone.brokers(), "-Q"]);
    (0..4).for_each(|partition| {
        kcat.args(["-t", &format!("{}:{partition}:-1", backbone.topic("inbox.meter.readings.v1"))]);
    });
    let ends = run(kcat, b"").ok().stdout;
    ends.lines().filter_map(|line| line.rsplit_once(' ')).any(|(_, end)| end != "0")
}
