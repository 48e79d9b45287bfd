//! A Kafka of a test's own, for listeners and settings that the shared one does not have: behind a proxy, with
//! TLS, passwords and access control.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cluster::{java, kafka_version};
use crate::sandbox::{Guarded, connects, free_port, run, wait_for};

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

/// Runs one of Kafka's own tools by its script's name, like `kafka-acls`; it must end well.
pub(crate) fn tool(script: &str, args: &[&str]) {
    let version = kafka_version();
    let class = match script {
        "kafka-acls" if version.starts_with("3.") => "kafka.admin.AclCommand",
        "kafka-acls" => "org.apache.kafka.tools.AclCommand",
        other => panic!("no class is known for {other}"),
    };
    let mut command = java();
    command.arg(class).args(args);
    run(command, b"").ok();
}

impl PrivateKafka {
    /// Starts one in `scratch`, and waits until it accepts connections on every listener.
    pub(crate) fn start(scratch: PathBuf, wanted: &Wanted) -> Self {
        let config = scratch.join("kafka.properties");
        fs::write(&config, properties(wanted, &scratch)).expect("a file in a directory of ours");
        let mut format = java();
        format
            .args(["kafka.tools.StorageTool", "format", "-t", "d2Vpci10ZXN0cy1vd24tMQ", "--standalone", "-c"])
            .arg(&config)
            .args(&wanted.format);
        run(format, b"").ok();
        let mut command = java();
        command.args(["-Xmx384m", "kafka.Kafka"]).arg(&config);
        let log = scratch.join("kafka.log");
        let mut kafka = Guarded::start(command, &log);
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
