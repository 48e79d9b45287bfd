//! Clients that nobody here wrote, unchanged, on Weir's own broker: each program goes through what its users do, at
//! the API versions that it chooses itself. The same programs passed on Apache Kafka before there was a broker of ours.

use std::process::Command;
use std::sync::OnceLock;

use crate::cluster::{Cluster, KAFKA_VERSION};
use crate::sandbox::{Sandbox, python_bin, root, run, say, scratch, tests_dir, unique};

fn broker() -> &'static str {
    static SHARED: OnceLock<(Cluster, String)> = OnceLock::new();
    let start = || {
        let broker = Cluster::own_node();
        let address = broker.brokers();
        (broker, address)
    };
    &SHARED.get_or_init(start).1
}

fn programs() -> std::path::PathBuf {
    root().join("tests/brokers")
}

fn jars(name: &str) -> String {
    let path = tests_dir().join(name);
    assert!(path.join(".complete").exists(), "there is no {}: run tests/run, which fetches it", path.display());
    format!("{}/*", path.display())
}

/// Runs a program that says `ok NAME` or `FAILED NAME: why` for each of its scenarios; none may fail.
fn passes(name: &str, mut command: Command, least: usize) {
    command.arg(broker()).arg(unique(name)).env("PYTHONDONTWRITEBYTECODE", "1");
    holds(name, command, least);
}

fn holds(name: &str, command: Command, least: usize) {
    let output = run(command, b"");
    let failed: Vec<&str> = output.stdout.split("\nFAILED").skip(1).collect();
    let passed = output.stdout.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(
        output.code == Some(0) && failed.is_empty() && passed >= least,
        "{name}: {passed} of at least {least} passed, exit code {:?}\n{}\n{}",
        output.code,
        output.stdout,
        output.stderr
    );
    say(&format!("{name} on our own broker: {passed} scenarios"));
}

fn script(name: &str) -> Command {
    let mut command = Command::new(python_bin());
    command.arg(programs().join("python").join(name));
    command
}

#[test]
fn confluents_python_client() {
    passes("confluent-kafka", script("confluent_clients.py"), 70);
}

#[test]
fn kafka_python() {
    passes("kafka-python", script("kafka_python_clients.py"), 11);
}

#[test]
fn aiokafka() {
    passes("aiokafka", script("aiokafka_clients.py"), 12);
}

#[test]
fn kcat() {
    passes("kcat", script("kcat_clients.py"), 13);
}

#[test]
fn kafkas_own_tools() {
    let mut command = script("kafka_tools.py");
    let path = tests_dir().join(format!("kafka-{KAFKA_VERSION}"));
    command.arg(broker()).arg(unique("tools")).arg("--jars").arg(path).env("PYTHONDONTWRITEBYTECODE", "1");
    holds("Kafka's tools", command, 14);
}

#[test]
fn javas_clients_of_both_release_lines() {
    for release in [format!("kafka-{KAFKA_VERSION}"), "kafka-clients-3.9.2".to_owned()] {
        let (jars, classes) = (jars(&release), scratch("classes"));
        let mut compile = Command::new("javac");
        compile.args(["-nowarn", "-cp", &jars, "-d"]).arg(&classes);
        let sources = std::fs::read_dir(programs().join("java/broker-clients")).expect("the sources");
        compile.args(sources.map(|entry| entry.expect("a source").path()));
        run(compile, b"").ok();
        let mut command = Command::new("java");
        command.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", &format!("{}:{jars}", classes.display())]);
        command.arg("BrokerClients");
        passes(&release, command, 18);
    }
}

#[test]
fn kafka_streams_exactly_once() {
    let mut command = Command::new("java");
    command.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", &jars("streams-4.2.2")]);
    command.arg(programs().join("java/StreamsApp.java"));
    passes("streams", command, 1);
}

#[test]
fn franz_go() {
    let go = tests_dir().join("venv/bin/go");
    assert!(go.exists(), "there is no {}: run tests/run, which installs it", go.display());
    let program = scratch("franz-go").join("clients");
    let mut build = Command::new(go);
    build.args(["build", "-o"]).arg(&program).arg(".").current_dir(programs().join("go")).env("GOTOOLCHAIN", "local");
    run(build, b"").ok();
    passes("franz-go", Command::new(program), 12);
}

#[test]
fn kafkajs() {
    let mut command = Command::new("node");
    command.arg(programs().join("node/kafkajs_clients.cjs"));
    command.env("NODE_PATH", tests_dir().join("node/node_modules"));
    passes("kafkajs", command, 12);
}

/// Random calls from a seed, to Apache Kafka and to ours: what a client sees is the same.
#[test]
fn what_a_client_sees_is_what_it_sees_of_kafka() {
    // Kafka makes its own topics for groups and transactions when a client first asks for their coordinator.
    let kafka = Sandbox::shared().brokers();
    let mut first = script("confluent_clients.py");
    first.args(["--only", "offsets_are_committed_with_the_transaction"]).arg(kafka).arg(unique("first"));
    let _it_is_asked_for_its_effect = run(first, b"");
    let seeds = if std::env::var_os("WEIR_LONG").is_some() { 40 } else { 4 };
    for seed in 1..=seeds {
        let mut command = script("differential.py");
        command.args([kafka, broker(), &unique("differential"), "--seed", &seed.to_string()]);
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        holds("the same calls to Apache Kafka and", command, 1);
    }
}
