//! A broker of one node, ours or Apache Kafka: started on a directory of its own, and asked until it answers.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::LoadError;
use crate::java::Jars;
use crate::process::Process;
use crate::rounds::Side;

/// How long a broker may take until it answers; it is read from a cold disk, perhaps.
const START_LIMIT: Duration = Duration::from_secs(120);

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Programs {
    /// The `weir` program.
    pub(crate) weir: PathBuf,
    pub(crate) kafka: Jars,
}

/// A broker that can be started, and again on what it has on disk.
#[derive(Debug)]
pub(crate) struct Node {
    name: &'static str,
    scratch: PathBuf,
    port: u16,
    command: Command,
    starts: u32,
}

/// One that answers.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) process: Process,
    /// From its start until its first answer that it can serve.
    pub(crate) ready: Duration,
}

impl Node {
    /// A node whose files are in `scratch`, without any yet.
    pub(crate) fn new(side: Side, programs: &Programs, scratch: &Path) -> Result<Self, LoadError> {
        let [port, other] = free_ports()?;
        let (name, command) = match side {
            Side::Weir => ("weir broker", weir(&programs.weir, scratch, port, other)),
            Side::Kafka => ("Apache Kafka", programs.kafka.broker(scratch, port, other)?),
        };
        Ok(Self { name, scratch: scratch.to_owned(), port, command, starts: 0 })
    }

    /// `host:port`.
    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it, and waits until it says that there is a broker.
    pub(crate) fn start(&mut self) -> Result<Running, LoadError> {
        self.starts += 1;
        let began = Instant::now();
        let log = self.scratch.join(format!("log-{}", self.starts));
        let mut process = Process::start(self.name, &mut self.command, &log)?;
        while !serves(self.port) {
            process.still_runs()?;
            if began.elapsed() > START_LIMIT {
                return Err(LoadError::program(format!("start {}", self.name), format!("not within {START_LIMIT:?}")));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Running { process, ready: began.elapsed() })
    }
}

/// Our broker, with nothing set but where it is.
fn weir(program: &Path, scratch: &Path, port: u16, admin: u16) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WEIR_")) {
        command.env_remove(name);
    }
    command.args(["broker", "--listen", &format!("127.0.0.1:{port}")]);
    command.args(["--admin-listen", &format!("127.0.0.1:{admin}"), "--data"]).arg(scratch.join("data"));
    command
}

/// Two ports that nobody listens on now.
fn free_ports() -> Result<[u16; 2], LoadError> {
    let failed = |error| LoadError::program("find a free port on 127.0.0.1", error);
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed);
    let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port()).map_err(failed);
    // Both are held until both are known, so that they differ.
    let (one, other) = (listen()?, listen()?);
    Ok([port(&one)?, port(&other)?])
}

/// Whether a broker answers at this port, and names itself: Metadata version 1, of no topic.
fn serves(port: u16) -> bool {
    brokers(port).is_ok_and(|brokers| brokers > 0)
}

/// How many brokers the one at this port knows of.
fn brokers(port: u16) -> std::io::Result<i32> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), START_LIMIT)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    // Length 14; API 3, version 1, correlation 1, a client without a name, an empty list of topics.
    stream.write_all(&[0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0])?;
    // Length, correlation, and the number of brokers, which the answer begins with.
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    let [.., a, b, c, d] = answer;
    Ok(i32::from_be_bytes([a, b, c, d]))
}
