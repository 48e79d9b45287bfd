//! `weir` processes on the sandbox: a backbone of its own (prefix, ports, instance) for each test, and the
//! command line pointed at it.
//!
//! Knows what a person knows: commands, settings, exit codes. Nothing of the services' types.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::{Enforcer, get};
use crate::sandbox::{Guarded, Output, Sandbox, free_port, run, scratch, unique, wait_for, weir};

/// A registry and enforcers under one prefix.
#[derive(Debug)]
pub(crate) struct Backbone {
    surroundings: Surroundings,
    scratch: PathBuf,
    registry: Guarded,
}

/// What every `weir` process of a backbone is told.
#[derive(Debug)]
struct Surroundings {
    brokers: String,
    prefix: String,
    registry_port: u16,
    /// Settings of the test's own.
    settings: Vec<(&'static str, String)>,
}

impl Backbone {
    /// Starts the registry of a new backbone on the shared Kafka and waits until it answers.
    pub(crate) fn start(name: &str) -> Self {
        Self::on(Sandbox::shared().brokers(), name, &[])
    }

    /// The same on a Kafka of the test's own, with settings (`WEIR_…`) of the test's own.
    pub(crate) fn on(brokers: &str, name: &str, settings: &[(&'static str, &str)]) -> Self {
        Self::with_prefix(brokers, name, unique(name), settings)
    }

    /// The backbone of this prefix on another Kafka.
    pub(crate) fn again(brokers: &str, prefix: &str) -> Self {
        Self::with_prefix(brokers, "again", prefix.to_owned(), &[])
    }

    fn with_prefix(brokers: &str, name: &str, prefix: String, settings: &[(&'static str, &str)]) -> Self {
        let surroundings = Surroundings {
            brokers: brokers.to_owned(),
            prefix,
            registry_port: free_port(),
            settings: settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
        };
        let scratch = scratch(name);
        let registry = start_registry(&surroundings, &scratch);
        Self { surroundings, scratch, registry }
    }

    /// The registry's process, to be stopped and woken.
    pub(crate) fn registry_process(&self) -> &Guarded {
        &self.registry
    }

    /// Kills the registry; nobody answers until [`Backbone::restart_registry`].
    pub(crate) fn kill_registry(&mut self) {
        self.registry.kill();
    }

    /// Starts the registry again and waits until it answers.
    pub(crate) fn restart_registry(&mut self) {
        self.registry = start_registry(&self.surroundings, &self.scratch);
    }

    /// Starts an enforcer; `instance` is its static member id, and the name of its log.
    pub(crate) fn enforcer(&self, instance: &str) -> Enforcer {
        self.enforcer_with(instance, &[])
    }

    /// Starts an enforcer with settings of its own, as environment variables.
    pub(crate) fn enforcer_with(&self, instance: &str, settings: &[(&str, &str)]) -> Enforcer {
        let mut command = weir();
        command.args(["serve", "enforcer"]);
        self.surroundings.tell(&mut command);
        let admin = free_port();
        command.env("WEIR_ADMIN_LISTEN", format!("127.0.0.1:{admin}"));
        command.env("WEIR_ENFORCER_INSTANCE", format!("{}-{instance}", self.prefix()));
        command.envs(settings.iter().copied());
        let log = self.scratch.join(format!("{}.log", unique(instance)));
        Enforcer::start(command, admin, log)
    }

    /// Runs `weir` with these arguments to its end, in the backbone's scratch directory.
    pub(crate) fn weir(&self, args: &[&str]) -> Output {
        run(self.command(args), b"")
    }

    /// The command that [`Backbone::weir`] runs.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = weir();
        command.args(args).current_dir(&self.scratch);
        self.surroundings.tell(&mut command);
        command
    }

    /// Applies the contracts below a directory; every partition must be judged by them in the end.
    pub(crate) fn apply(&self, contracts: &Path) -> Output {
        let path = contracts.to_str().expect("a path of ours is text");
        self.weir(&["apply", path, "--yes", "--timeout", "90s"]).ok()
    }

    /// What its names begin with.
    pub(crate) fn prefix(&self) -> &str {
        &self.surroundings.prefix
    }

    /// The name of a topic of this backbone.
    pub(crate) fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.surroundings.prefix)
    }

    /// `host:port` of the broker.
    pub(crate) fn brokers(&self) -> &str {
        &self.surroundings.brokers
    }

    /// The registry's address.
    pub(crate) fn registry(&self) -> String {
        format!("http://127.0.0.1:{}", self.surroundings.registry_port)
    }

    /// Where its processes log and its commands run; removed when the tests have ended.
    pub(crate) fn scratch(&self) -> &Path {
        &self.scratch
    }
}

/// What its processes logged last helps whoever looks for the reason of a failure, and is gone afterwards.
impl Drop for Backbone {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for entry in std::fs::read_dir(&self.scratch).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|ending| ending == "log") {
                let text = log(&path);
                let lines: Vec<&str> = text.lines().collect();
                let end = lines[lines.len().saturating_sub(40)..].join("\n");
                let _told = writeln!(std::io::stderr(), "== the end of {}\n{end}", path.display());
            }
        }
    }
}

impl Surroundings {
    fn tell(&self, command: &mut Command) {
        command
            .env("WEIR_BROKER_BOOTSTRAP", &self.brokers)
            .env("WEIR_BACKBONE_PREFIX", &self.prefix)
            .env("WEIR_REGISTRY_URL", format!("http://127.0.0.1:{}", self.registry_port))
            .env("WEIR_REGISTRY_LISTEN", format!("127.0.0.1:{}", self.registry_port))
            .env("WEIR_ADMIN_LISTEN", format!("127.0.0.1:{}", free_port()))
            .envs(self.settings.iter().map(|(name, value)| (name, value)));
    }
}

fn start_registry(surroundings: &Surroundings, scratch: &Path) -> Guarded {
    let mut command = weir();
    command.args(["serve", "registry"]);
    surroundings.tell(&mut command);
    let path = scratch.join(format!("{}.log", unique("registry")));
    let mut registry = Guarded::start(command, &path);
    wait_for("the registry answers", Duration::from_secs(90), || {
        if let Some(status) = registry.ended() {
            panic!("the registry ended with {status}:\n{}", log(&path));
        }
        get(surroundings.registry_port, "/subjects").filter(|(status, _)| *status == 200)
    });
    registry
}

fn log(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
