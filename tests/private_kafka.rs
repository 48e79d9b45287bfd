//! A Kafka of a test's own, for listeners and settings that the shared one does not have: behind a proxy, with
//! TLS, passwords and access control, or of another version.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::sandbox::{Guarded, connects, free_port, root, run, tests_dir, wait_for};

/// The version that is run where a test does not ask for another: `WEIR_TEST_KAFKA`, or the newest.
pub(crate) fn kafka_version() -> String {
    std::env::var("WEIR_TEST_KAFKA").unwrap_or_else(|_| "4.3.1".to_owned())
}

/// A listener for clients: name, protocol, port, advertised port.
pub(crate) type Listener = (&'static str, &'static str, u16, u16);

/// What a broker is told besides what makes it a small one.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Its listeners; the first is the one it speaks to itself on.
    pub(crate) listeners: Vec<Listener>,
    /// Further lines of its properties.
    pub(crate) properties: Vec<String>,
    /// Further arguments of `StorageTool format`.
    pub(crate) format: Vec<String>,
}

/// One node, KRaft, on loopback.
#[derive(Debug)]
pub(crate) struct PrivateKafka {
    scratch: PathBuf,
    _kafka: Guarded,
}

/// A directory of this test's own, removed with its Kafka.
pub(crate) fn scratch(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("weir-tests-{}-{name}-{number}", std::process::id()));
    fs::create_dir_all(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    path
}

/// `java` with Kafka's jars.
fn java(version: &str) -> Command {
    let jars = tests_dir().join(format!("kafka-{version}"));
    assert!(jars.join(".complete").exists(), "no Apache Kafka in {}: tests/run fetches it", jars.display());
    let mut command = Command::new("java");
    command
        .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", &format!("{}/*", jars.display())])
        .arg(format!("-Dlog4j2.configurationFile={}", root().join("tests/kafka/log4j2.properties").display()));
    command
}

/// Runs one of Kafka's own tools by its script's name, like `kafka-acls`; it must end well.
pub(crate) fn tool(script: &str, args: &[&str]) {
    let version = kafka_version();
    let class = match script {
        "kafka-acls" if version.starts_with("3.") => "kafka.admin.AclCommand",
        "kafka-acls" => "org.apache.kafka.tools.AclCommand",
        other => panic!("no class is known for {other}"),
    };
    let mut command = java(&version);
    command.arg(class).args(args);
    run(command, b"").ok();
}

impl PrivateKafka {
    /// Starts one in `scratch`, and waits until it accepts connections on every listener.
    pub(crate) fn start(scratch: PathBuf, wanted: &Wanted) -> Self {
        let version = kafka_version();
        let config = scratch.join("kafka.properties");
        fs::write(&config, properties(wanted, &scratch)).expect("a file in a directory of ours");
        let mut format = java(&version);
        format
            .args(["kafka.tools.StorageTool", "format", "-t", "d2Vpci10ZXN0cy1vd24tMQ", "--standalone", "-c"])
            .arg(&config)
            .args(&wanted.format);
        run(format, b"").ok();
        let mut command = java(&version);
        command.args(["-Xmx384m", "kafka.Kafka"]).arg(&config);
        let log = scratch.join("kafka.log");
        let mut kafka = Guarded::start(command, &log, Some(&scratch));
        for (name, _, port, _) in &wanted.listeners {
            wait_for(&format!("Kafka listens as {name}"), Duration::from_secs(90), || {
                if let Some(status) = kafka.ended() {
                    panic!("Kafka ended with {status}:\n{}", fs::read_to_string(&log).unwrap_or_default());
                }
                connects(*port).then_some(())
            });
        }
        Self { scratch, _kafka: kafka }
    }

    /// Where its files are; removed when the test process has ended.
    pub(crate) fn scratch(&self) -> &Path {
        &self.scratch
    }
}

fn joined(listeners: &[Listener], make: fn(&Listener) -> String) -> String {
    listeners.iter().map(make).collect::<Vec<_>>().join(",")
}

fn properties(wanted: &Wanted, scratch: &Path) -> String {
    let controller = free_port();
    let each = |make| joined(&wanted.listeners, make);
    let own = wanted.listeners.first().map_or("", |(name, ..)| *name);
    let mut lines = vec![
        "process.roles=broker,controller".to_owned(),
        "node.id=1".to_owned(),
        format!(
            "listeners={},CONTROLLER://127.0.0.1:{controller}",
            each(|(name, _, port, _)| format!("{name}://127.0.0.1:{port}"))
        ),
        format!("advertised.listeners={}", each(|(name, _, _, port)| format!("{name}://127.0.0.1:{port}"))),
        format!(
            "listener.security.protocol.map={},CONTROLLER:PLAINTEXT",
            each(|(name, protocol, ..)| format!("{name}:{protocol}"))
        ),
        format!("inter.broker.listener.name={own}"),
        "controller.listener.names=CONTROLLER".to_owned(),
        format!("controller.quorum.bootstrap.servers=127.0.0.1:{controller}"),
        format!("log.dirs={}", scratch.join("data").display()),
    ];
    let small = [
        "offsets.topic.replication.factor=1",
        "transaction.state.log.replication.factor=1",
        "transaction.state.log.min.isr=1",
        "offsets.topic.num.partitions=4",
        "transaction.state.log.num.partitions=4",
        "group.initial.rebalance.delay.ms=0",
        "auto.create.topics.enable=false",
    ];
    lines.extend(small.map(str::to_owned));
    lines.extend(wanted.properties.iter().cloned());
    lines.join("\n") + "\n"
}
