//! Apache Kafka nodes on loopback, one or several that form a cluster, with properties of the test's own; or, with
//! `WEIR_TEST_BROKER=own`, Weir's own broker in the place of a single node.
//!
//! Knows how Kafka is set up and started. A cluster ends with the value that holds it, or with the test process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::sandbox::{Guarded, connects, free_port, root, scratch, tests_dir, wait_for, weir};

/// The Kafka that is run unless `WEIR_KAFKA_VERSION` names another one that `tests/run` fetched. Not 4.3 or 4.4: when
/// the only copy of a partition comes back, these may leave out what ends its transactions (KAFKA-20734).
pub(crate) const KAFKA_VERSION: &str = "4.2.2";

/// How long a node may take to accept connections; several test processes may share the machine.
const START_LIMIT: Duration = Duration::from_secs(120);

/// What any node behaves by: small, quick, and nothing made by itself.
const COMMON: &str = "process.roles=broker,controller\n\
    controller.listener.names=CONTROLLER\n\
    offsets.topic.num.partitions=8\n\
    transaction.state.log.num.partitions=8\n\
    group.initial.rebalance.delay.ms=0\n\
    auto.create.topics.enable=false\n\
    log.cleaner.backoff.ms=1000\n\
    log.retention.check.interval.ms=2000\n";

/// The version of Kafka under test.
pub(crate) fn kafka_version() -> String {
    std::env::var("WEIR_KAFKA_VERSION").unwrap_or_else(|_| KAFKA_VERSION.to_owned())
}

/// `java` with the jars of that version.
pub(crate) fn java() -> Command {
    let jars = tests_dir().join(format!("kafka-{}", kafka_version()));
    let complete = jars.join(".complete").exists();
    assert!(complete, "no Apache Kafka in {}: run tests/run, which fetches it", jars.display());
    let logs = |name: &str| root().join("tests/kafka").join(name).display().to_string();
    let mut command = Command::new("java");
    command
        .args(["-XX:+UseSerialGC", "-cp", &format!("{}/*", jars.display())])
        .arg(format!("-Dlog4j2.configurationFile={}", logs("log4j2.properties")))
        .arg(format!("-Dlog4j.configuration=file:{}", logs("log4j.properties")));
    command
}

/// Whether single nodes are Weir's own brokers.
pub(crate) fn own_broker() -> bool {
    std::env::var("WEIR_TEST_BROKER").is_ok_and(|broker| broker == "own")
}

#[derive(Debug)]
struct Node {
    port: u16,
    /// Kafka's properties; `None` for a broker of ours.
    config: Option<PathBuf>,
    data: PathBuf,
    log: PathBuf,
    /// `None` while it is stopped.
    process: Option<Guarded>,
}

/// Nodes that form one cluster, numbered from 1; each is broker and controller.
#[derive(Debug)]
pub(crate) struct Cluster {
    nodes: Vec<Node>,
    /// For Java: small where several nodes share the machine.
    options: &'static [&'static str],
    folder: PathBuf,
}

impl Cluster {
    /// Starts `count` nodes with these properties beside the usual ones, and waits until all accept
    /// connections. Of three or more, one may be away: what the cluster keeps for itself has three copies.
    pub(crate) fn start(count: usize, properties: &[(&str, &str)]) -> Self {
        let folder = scratch("kafka");
        if count == 1 && own_broker() {
            assert!(properties.is_empty(), "our broker has no {properties:?}");
            return Self::own_node();
        }
        let ports: Vec<(u16, u16)> = (0..count).map(|_| (free_port(), free_port())).collect();
        let nodes = (1..=count).map(|id| node(id, &ports, properties, &folder)).collect();
        // Thousands of partitions, which only the long tests make, take more than half a gigabyte.
        let long = std::env::var_os("WEIR_LONG").is_some();
        let options: &[&str] = if count == 1 {
            if long { &["-Xmx2g"] } else { &["-Xmx512m"] }
        } else {
            &["-Xmx256m", "-XX:TieredStopAtLevel=1"]
        };
        let mut cluster = Self { nodes, options, folder };
        std::thread::scope(|scope| {
            for node in &cluster.nodes {
                scope.spawn(|| format(node, count == 1));
            }
        });
        for id in 1..=count {
            cluster.launch(id);
        }
        for id in 1..=count {
            cluster.accepts(id);
        }
        cluster
    }

    /// A single node that is a broker of ours.
    pub(crate) fn own_node() -> Self {
        let folder = scratch("own-broker");
        let data = data(&folder, 1);
        Self::own_node_in(folder, data)
    }

    /// The same on a data directory that is there.
    pub(crate) fn own_node_on(data: PathBuf) -> Self {
        Self::own_node_in(scratch("own-broker"), data)
    }

    fn own_node_in(folder: PathBuf, data: PathBuf) -> Self {
        let log = folder.join("node-1.log");
        let node = Node { port: free_port(), config: None, data, log, process: None };
        let mut cluster = Self { nodes: vec![node], options: &[], folder };
        cluster.restart(1);
        cluster
    }

    /// `host:port` of every node, whether it runs or not.
    pub(crate) fn brokers(&self) -> String {
        self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect::<Vec<_>>().join(",")
    }

    /// Where a node keeps its logs, numbered from 1.
    pub(crate) fn data(&self, id: usize) -> PathBuf {
        self.nodes.get(id - 1).expect("nodes are numbered from 1").data.clone()
    }

    fn node(&mut self, id: usize) -> &mut Node {
        self.nodes.get_mut(id - 1).expect("nodes are numbered from 1")
    }

    /// Asks a node to shut down, as an operator does: it hands over what others can lead. Waits for its end.
    pub(crate) fn stop(&mut self, id: usize) {
        let mut process = self.node(id).process.take().expect("the node runs");
        process.signal("TERM");
        wait_for("the node shuts down", Duration::from_secs(60), || process.ended());
    }

    /// Kills a node, as a power cut does.
    pub(crate) fn kill(&mut self, id: usize) {
        self.node(id).process.take().expect("the node runs").kill();
    }

    /// Starts a node that was stopped or killed, with what it has on disk, and waits until it accepts connections.
    pub(crate) fn restart(&mut self, id: usize) {
        self.launch(id);
        self.accepts(id);
    }

    fn launch(&mut self, id: usize) {
        let options = self.options;
        let node = self.node(id);
        let command = match &node.config {
            Some(config) => {
                let mut command = java();
                command.args(options).arg("kafka.Kafka").arg(config);
                command
            }
            None => {
                let mut command = weir();
                command.args(["broker", "--listen", &format!("127.0.0.1:{}", node.port), "--data"]).arg(&node.data);
                command.args(["--admin-listen", &format!("127.0.0.1:{}", free_port())]);
                command
            }
        };
        node.process = Some(Guarded::start(command, &node.log));
    }

    fn accepts(&mut self, id: usize) {
        let node = self.node(id);
        wait_for("Kafka accepts connections", START_LIMIT, || {
            if let Some(status) = node.process.as_mut().and_then(Guarded::ended) {
                panic!("Kafka ended with {status}:\n{}", fs::read_to_string(&node.log).unwrap_or_default());
            }
            connects(node.port).then_some(())
        });
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            node.process = None;
        }
        let _removed = fs::remove_dir_all(&self.folder);
    }
}

fn data(folder: &Path, id: usize) -> PathBuf {
    folder.join(format!("data-{id}"))
}

fn node(id: usize, ports: &[(u16, u16)], properties: &[(&str, &str)], folder: &Path) -> Node {
    let (port, controller) = ports[id - 1];
    let copies = ports.len().min(3);
    let mut text = format!(
        "{COMMON}node.id={id}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         log.dirs={}\n\
         default.replication.factor={copies}\n\
         offsets.topic.replication.factor={copies}\n\
         transaction.state.log.replication.factor={copies}\n\
         transaction.state.log.min.isr={least}\n\
         min.insync.replicas={least}\n",
        data(folder, id).display(),
        least = copies.div_ceil(2),
    );
    if ports.len() == 1 {
        text.push_str(&format!("controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n"));
    } else {
        let voters = ports.iter().zip(1..).map(|((_, port), id)| format!("{id}@127.0.0.1:{port}"));
        text.push_str(&format!("controller.quorum.voters={}\n", voters.collect::<Vec<_>>().join(",")));
    }
    for (name, value) in properties {
        text.push_str(&format!("{name}={value}\n"));
    }
    let config = folder.join(format!("node-{id}.properties"));
    fs::write(&config, text).expect("a file in a directory of ours");
    Node {
        port,
        config: Some(config),
        data: data(folder, id),
        log: folder.join(format!("node-{id}.log")),
        process: None,
    }
}

fn format(node: &Node, alone: bool) {
    let formatted = java()
        .args(["-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format"])
        .args(["-t", "d2Vpci10ZXN0cy1rYWZrYQ"])
        .args(alone.then_some("--standalone"))
        .arg("-c")
        .args(&node.config)
        .output()
        .expect("java starts; tests/run installs it");
    assert!(formatted.status.success(), "cannot format Kafka's log directory: {formatted:?}");
}
