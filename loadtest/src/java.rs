//! Apache Kafka's jars: the broker's command lines, and Java's own load generator. Knows how Kafka is set up and
//! started, and nothing of what is measured.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::LoadError;

/// What Kafka's own start script gives the JVM (`bin/kafka-server-start.sh`, `bin/kafka-run-class.sh`).
const BROKER_OPTIONS: [&str; 7] = [
    "-Xmx1G",
    "-Xms1G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-Djava.awt.headless=true",
];

const LOG4J: &str = "status = error\n\
    appender.console.type = Console\n\
    appender.console.name = console\n\
    appender.console.layout.type = PatternLayout\n\
    appender.console.layout.pattern = %d{ISO8601} %p %c{1} %m%n\n\
    rootLogger.level = warn\n\
    rootLogger.appenderRef.console.ref = console\n";

/// A directory with Kafka's jars.
#[derive(Debug, Clone)]
pub(crate) struct Jars {
    folder: PathBuf,
    version: String,
}

/// What the load generator says at its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Performance {
    pub(crate) records: u64,
    pub(crate) took: Duration,
}

impl Jars {
    /// The jars in `folder`.
    pub(crate) fn in_folder(folder: &Path) -> Result<Self, LoadError> {
        let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let version = names
            .filter_map(|name| Some(name.to_str()?.strip_prefix("kafka-tools-")?.strip_suffix(".jar")?.to_owned()))
            .find(|version| version.starts_with(|first: char| first.is_ascii_digit()));
        let version = version.ok_or_else(|| LoadError::NoKafka(folder.to_owned()))?;
        Ok(Self { folder: folder.to_owned(), version })
    }

    /// Kafka's version, by the name of a jar.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    fn java(&self, scratch: &Path, options: &[&str]) -> Result<Command, LoadError> {
        let log4j = scratch.join("log4j2.properties");
        fs::write(&log4j, LOG4J).map_err(|error| LoadError::program(format!("write {}", log4j.display()), error))?;
        let mut command = Command::new("java");
        command.args(options).arg("-cp").arg(self.folder.join("*"));
        command.arg(format!("-Dlog4j2.configurationFile={}", log4j.display()));
        Ok(command)
    }

    /// A command that ends by itself; gives what it wrote.
    fn run(mut command: Command, what: &str) -> Result<String, LoadError> {
        let output = command
            .output()
            .map_err(|error| LoadError::program(what, format!("{error}; is Java installed (default-jre-headless)?")))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        Err(LoadError::program(what, format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))))
    }

    /// Makes an empty log directory for one node, and gives the command that runs it.
    pub(crate) fn broker(&self, scratch: &Path, port: u16, controller: u16) -> Result<Command, LoadError> {
        let config = scratch.join("kafka.properties");
        let text = format!(
            "process.roles=broker,controller\n\
             node.id=1\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             controller.listener.names=CONTROLLER\n\
             controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n\
             log.dirs={}\n\
             offsets.topic.replication.factor=1\n\
             transaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\n\
             auto.create.topics.enable=false\n",
            scratch.join("data").display()
        );
        fs::write(&config, text).map_err(|error| LoadError::program(format!("write {}", config.display()), error))?;
        let mut format = self.java(scratch, &["-XX:TieredStopAtLevel=1"])?;
        format.args(["kafka.tools.StorageTool", "format", "-t", "d2Vpci1sb2FkdGVzdHMtMQ", "--standalone", "-c"]);
        format.arg(&config);
        Self::run(format, "format Kafka's log directory")?;
        let mut command = self.java(scratch, &BROKER_OPTIONS)?;
        command.arg("kafka.Kafka").arg(&config);
        Ok(command)
    }

    /// Runs Kafka's `ProducerPerformance` as fast as it goes.
    pub(crate) fn produce(
        &self,
        scratch: &Path,
        bootstrap: &str,
        topic: &str,
        records: u64,
        size: usize,
    ) -> Result<Performance, LoadError> {
        let mut command = self.java(scratch, &["-Xmx512m"])?;
        command
            .args(["org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--throughput", "-1"])
            .args(["--num-records", &records.to_string(), "--record-size", &size.to_string()])
            .args(["--producer-props", &format!("bootstrap.servers={bootstrap}"), "acks=all"]);
        let said = Self::run(command, "run ProducerPerformance")?;
        performance(&said).ok_or_else(|| LoadError::program("read what ProducerPerformance wrote", said))
    }
}

/// Reads its last line: `500000 records sent, 250000.0 records/sec (61.04 MB/sec), 42.00 ms avg latency, …`.
fn performance(said: &str) -> Option<Performance> {
    let line = said.lines().rfind(|line| line.contains(" records sent, ") && line.contains(" 99th"))?;
    let (records, rest) = line.split_once(" records sent, ")?;
    let rate: f64 = rest.split_once(" records/sec")?.0.parse().ok()?;
    let records: u64 = records.trim().parse().ok()?;
    Some(Performance { records, took: Duration::try_from_secs_f64(records as f64 / rate).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_the_load_generator_is_read() {
        let said = "9 records sent, 4.5 records/sec (0.00 MB/sec), 3.2 ms avg latency, 9.0 ms max latency.\n\
            500000 records sent, 250000.0 records/sec (61.04 MB/sec), 42.00 ms avg latency, 310.00 ms max latency, \
            18 ms 50th, 170 ms 95th, 250 ms 99th, 305 ms 99.9th.\n";
        assert_eq!(performance(said), Some(Performance { records: 500_000, took: Duration::from_secs(2) }));
        assert_eq!(performance("org.apache.kafka.common.errors.TimeoutException"), None);
    }

    #[test]
    fn without_jars_it_is_said_how_to_get_them() {
        let folder = tempfile::tempdir().unwrap();
        let error = Jars::in_folder(folder.path()).unwrap_err().to_string();
        assert!(error.contains("tests/kafka/pom.xml") && error.contains(&folder.path().display().to_string()));
        fs::write(folder.path().join("kafka-tools-api-4.2.2.jar"), "").unwrap();
        fs::write(folder.path().join("kafka-tools-4.2.2.jar"), "").unwrap();
        assert_eq!(Jars::in_folder(folder.path()).unwrap().version(), "4.2.2");
    }
}
