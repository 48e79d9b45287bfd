//! Clients that nobody here wrote, unchanged, against our registry and enforcer: Confluent's Python serialisers,
//! Kafka's Java clients with Confluent's Java registry client, kafkajs with its registry package, and kcat.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::backbone::Backbone;
use crate::cluster::KAFKA_VERSION;
use crate::sandbox::{Output, oracle, python, root, run, tests_dir};

/// A backbone with the readings of `tests/products`.
pub(crate) fn readings(name: &str) -> Backbone {
    let backbone = Backbone::start(name);
    let _until_applied = backbone.enforcer("first");
    backbone.apply(&root().join("tests/products"));
    backbone
}

/// What tests/run fetched into this directory.
fn fetched(name: &str) -> PathBuf {
    let path = tests_dir().join(name);
    assert!(path.exists(), "there is no {}: run tests/run, which fetches it", path.display());
    path
}

/// Runs a Java program of one file with Kafka's and the clients' jars; it must end well.
pub(crate) fn java(source: &std::path::Path, args: &[&str]) -> Output {
    let kafka = format!("kafka-{KAFKA_VERSION}");
    let jars = format!("{}/*:{}/*", fetched(&kafka).display(), fetched("java-clients").display());
    let mut command = Command::new("java");
    command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-cp", &jars]);
    command.arg(format!("-Dlog4j2.configurationFile={}", root().join("tests/kafka/log4j2.properties").display()));
    command.arg(source).args(args);
    run(command, b"").ok()
}

/// The readings' contract in its next version: one more field, with a default.
fn with_a_unit(backbone: &Backbone) -> PathBuf {
    let from = root().join("tests/products/meter/readings");
    let to = backbone.scratch().join("evolved/meter/readings");
    fs::create_dir_all(&to).expect("room for a directory");
    let change = |file: &str, old: &str, new: &str| {
        let text = fs::read_to_string(from.join(file)).expect("a file of ours");
        assert!(text.contains(old), "{file} has no {old:?}");
        fs::write(to.join(file), text.replacen(old, new, 1)).expect("room for a file");
    };
    change(
        "readings.avsc",
        "\"default\": null}",
        "\"default\": null},\n    {\"name\": \"unit\", \"type\": \"string\", \"default\": \"m\"}",
    );
    let text = fs::read_to_string(from.join("contract.odcs.yaml")).expect("a file of ours");
    let text = text.replacen("version: 1.0.0", "version: 1.1.0", 1).replacen(
        "customProperties:",
        "      - name: unit\n        logicalType: string\ncustomProperties:",
        1,
    );
    fs::write(to.join("contract.odcs.yaml"), text).expect("room for a file");
    backbone.scratch().join("evolved")
}

#[test]
fn confluents_python_serialisers_work_unchanged_and_through_evolution() {
    let backbone = readings("python");
    let _enforcer = backbone.enforcer("enforcer");
    let (brokers, registry) = (backbone.brokers(), backbone.registry());
    oracle("check_serializers.py", &[brokers, &registry, backbone.prefix(), "before"]);
    backbone.apply(&with_a_unit(&backbone));
    oracle("check_serializers.py", &[brokers, &registry, backbone.prefix(), "after"]);
}

#[test]
fn confluents_python_registry_client_works_unchanged() {
    let backbone = Backbone::start("registry");
    oracle("check_registry.py", &[backbone.brokers(), &backbone.registry(), backbone.prefix()]);
}

#[test]
fn javas_clients_work_unchanged() {
    let backbone = readings("java");
    let _enforcer = backbone.enforcer("enforcer");
    let source = root().join("tests/java/clients/JavaClients.java");
    let output = java(&source, &[backbone.brokers(), &backbone.registry(), backbone.prefix()]);
    assert!(output.stdout.contains("300 records sent and read"), "{output:?}");
}

#[test]
fn nodes_clients_work_unchanged() {
    let backbone = readings("node");
    let _enforcer = backbone.enforcer("enforcer");
    let mut command = Command::new("node");
    command.env("NODE_PATH", fetched("node/node_modules")).env("KAFKAJS_NO_PARTITIONER_WARNING", "1");
    command.arg(root().join("tests/node/clients.cjs"));
    command.args([backbone.brokers(), &backbone.registry(), backbone.prefix()]);
    let output = run(command, b"").ok();
    assert!(output.stdout.contains("200 records sent and read, 2 held back"), "{output:?}");
}

#[test]
fn kcat_works_unchanged() {
    let backbone = readings("kcat");
    let _enforcer = backbone.enforcer("enforcer");
    // kcat sends files as they are; what is in them Python's fastavro has written.
    let write = r#"
import sys
sys.path.insert(0, sys.argv[1])
import topics
id, schema = topics.latest(sys.argv[2], sys.argv[3] + "-value")
for seq in range(3):
    reading = {"sensor": "s1", "seq": seq, "value": 1.0, "note": None}
    open(f"{sys.argv[4]}/{seq}", "wb").write(topics.encode(id, schema, reading))
print(id)
"#;
    let (inbox, oracles) = (backbone.topic("inbox.meter.readings.v1"), root().join("tests/oracle"));
    let scratch = backbone.scratch().to_str().expect("a path of ours is text");
    let oracles = oracles.to_str().expect("a path of ours is text");
    let id = python(write, &[oracles, &backbone.registry(), &inbox, scratch]).stdout;
    let kcat = |args: &[&str], input: &[u8]| {
        let mut command = Command::new("kcat");
        command.args(["-q", "-b", backbone.brokers()]).args(args).current_dir(scratch);
        run(command, input).ok().stdout
    };
    kcat(&["-P", "-t", &inbox, "-p", "0", "-k", "s1", "0", "1", "2"], b"");
    kcat(&["-P", "-t", &inbox, "-p", "0", "-K", ":"], b"s1:{\"sensor\": \"s1\"}\n");
    let (product, quarantine) = (backbone.topic("meter.readings.v1"), backbone.topic("quarantine.meter.readings.v1"));
    let read = |topic: &str, count: &str, format: &str| {
        let args =
            ["-C", "-t", topic, "-p", "0", "-o", "beginning", "-c", count, "-X", "isolation.level=read_committed"];
        kcat(&[&args[..], &["-f", format]].concat(), b"")
    };
    let length = fs::metadata(backbone.scratch().join("0")).expect("it was written").len();
    assert_eq!(read(&product, "3", "%k %S\\n"), format!("s1 {length}\n").repeat(3));
    // The frame, as kcat unpacks it: the magic byte and the id. (Debian's kcat is built without Avro.)
    let args = ["-C", "-t", &product, "-p", "0", "-o", "beginning", "-c", "1", "-s", "value=>bIs", "-f", "%s"];
    let unpacked = kcat(&args, b"");
    assert!(unpacked.starts_with(&format!("0{}", id.trim())), "{unpacked:?} begins with 0 and {id}");
    let held = read(&quarantine, "1", "%s %h");
    assert!(held.starts_with("{\"sensor\": \"s1\"} "), "{held}");
    assert!(held.contains("weir.reason=the value is JSON"), "{held}");
}
