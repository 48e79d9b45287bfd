//! `weir` processes on the sandbox: a backbone of its own (prefix, ports, instance) for each test, and the
//! command line pointed at it.
//!
//! Knows what a person knows: commands, settings, exit codes. Nothing of the services' types.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::sandbox::{Guarded, Output, Sandbox, free_port, run, wait_for, weir_bin};

/// A registry and enforcers under one prefix.
#[derive(Debug)]
pub(crate) struct Backbone {
    sandbox: &'static Sandbox,
    prefix: String,
    scratch: PathBuf,
    registry_port: u16,
    _registry: Guarded,
}

impl Backbone {
    /// Starts the registry of a new backbone and waits until it answers.
    pub(crate) fn start(name: &str) -> Self {
        let sandbox = Sandbox::shared();
        let prefix = sandbox.unique(name);
        let scratch = sandbox.scratch(name);
        let registry_port = free_port();
        let mut command = Command::new(weir_bin());
        command.args(["serve", "registry"]);
        surroundings(&mut command, sandbox, &prefix, registry_port);
        let mut registry = Guarded::start(command, &scratch.join("registry.log"), None);
        wait_for("the registry answers", Duration::from_secs(60), || {
            if let Some(status) = registry.ended() {
                panic!("the registry ended with {status}:\n{}", log(&scratch.join("registry.log")));
            }
            answers(registry_port, "/subjects").then_some(())
        });
        Self { sandbox, prefix, scratch, registry_port, _registry: registry }
    }

    /// Starts an enforcer; `instance` is its static member id, and the name of its log.
    pub(crate) fn enforcer(&self, instance: &str) -> Guarded {
        self.enforcer_with(instance, &[]).0
    }

    /// Starts an enforcer with settings of its own, as environment variables; also gives where it logs.
    pub(crate) fn enforcer_with(&self, instance: &str, settings: &[(&str, &str)]) -> (Guarded, PathBuf) {
        let mut command = Command::new(weir_bin());
        command.args(["serve", "enforcer"]);
        surroundings(&mut command, self.sandbox, &self.prefix, self.registry_port);
        command.env("WEIR_ENFORCER_INSTANCE", format!("{}-{instance}", self.prefix));
        command.envs(settings.iter().copied());
        let log = self.scratch.join(format!("{instance}-{}.log", self.sandbox.unique("run")));
        (Guarded::start(command, &log, None), log)
    }

    /// Runs `weir` with these arguments to its end, in the backbone's scratch directory.
    pub(crate) fn weir(&self, args: &[&str]) -> Output {
        let mut command = Command::new(weir_bin());
        command.args(args).current_dir(&self.scratch);
        surroundings(&mut command, self.sandbox, &self.prefix, self.registry_port);
        run(command, b"")
    }

    /// Applies the contracts below a directory; every partition must be judged by them in the end.
    pub(crate) fn apply(&self, contracts: &Path) -> Output {
        let path = contracts.to_str().expect("a path of ours is text");
        self.weir(&["apply", path, "--yes", "--timeout", "90s"]).ok()
    }

    /// What its names begin with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The name of a topic of this backbone.
    pub(crate) fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    /// `host:port` of the broker.
    pub(crate) fn brokers(&self) -> &str {
        self.sandbox.brokers()
    }

    /// The registry's address.
    pub(crate) fn registry(&self) -> String {
        format!("http://127.0.0.1:{}", self.registry_port)
    }

    /// Where its processes log and its commands run; removed when the tests have ended.
    pub(crate) fn scratch(&self) -> &Path {
        &self.scratch
    }
}

fn surroundings(command: &mut Command, sandbox: &Sandbox, prefix: &str, registry_port: u16) {
    command
        .env("WEIR_BROKER_BOOTSTRAP", sandbox.brokers())
        .env("WEIR_BACKBONE_PREFIX", prefix)
        .env("WEIR_REGISTRY_URL", format!("http://127.0.0.1:{registry_port}"))
        .env("WEIR_REGISTRY_LISTEN", format!("127.0.0.1:{registry_port}"))
        .env("WEIR_ADMIN_LISTEN", format!("127.0.0.1:{}", free_port()))
        .env_remove("RUST_LOG");
}

fn log(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Whether a GET of this path is answered with 200.
fn answers(port: u16, path: &str) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        let mut head = [0; 16];
        stream.read_exact(&mut head)?;
        Ok(String::from_utf8_lossy(&head).into_owned())
    };
    ask().is_ok_and(|head| head.contains(" 200"))
}
