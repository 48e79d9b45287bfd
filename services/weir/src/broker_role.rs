//! The broker role: its settings, and its place in the life of the process. It starts before the other roles and
//! ends after them.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use embedded::{Broker, Flush};
use runtime::Shutdown;
use runtime::config::Settings;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::task::JoinHandle;

use crate::CliError;
use crate::config::names;
use crate::roles::{listen, reached_at};

/// A broker that has its data directory and its address, and serves nobody yet.
pub(crate) struct BrokerRole {
    broker: Broker,
    listener: TcpListener,
    address: SocketAddr,
}

impl BrokerRole {
    /// Takes the address and the data directory, and recovers what is in it.
    ///
    /// # Errors
    /// One of them is taken or cannot be used.
    pub(crate) fn open(settings: &Settings) -> Result<Self, CliError> {
        let failed = |error: &dyn std::fmt::Display| CliError::Failed(format!("cannot start the broker: {error}"));
        let listener = listen(settings.text(names::BROKER_LISTEN), "broker").map_err(|error| {
            CliError::Failed(format!("{error}; where it is a Kafka that runs there, name it with --bootstrap-server"))
        })?;
        let address = listener.local_addr().map_err(|error| failed(&error))?;
        let data = match settings.text(names::BROKER_DATA) {
            Some(data) => PathBuf::from(data),
            None => default_data().ok_or_else(|| {
                CliError::Usage("there is no home directory for the broker's data; name one with --data".to_owned())
            })?,
        };
        let reached = reached_at(address);
        let (host, _) = reached.rsplit_once(':').unwrap_or((&reached, ""));
        let mut own = embedded::Settings::new(data.clone(), host.trim_matches(['[', ']']), address.port());
        own.flush = match settings.text(names::BROKER_FLUSH) {
            Some("always") => Flush::Always,
            Some("os") => Flush::Os,
            _ => Flush::Interval(Duration::from_secs(1)),
        };
        own.auto_create_topics = settings.text(names::AUTO_CREATE_TOPICS) == Some("yes");
        raise_open_files();
        let broker = Broker::open(own).map_err(|error| failed(&error))?;
        let power = match broker.flush() {
            Flush::Always => "nothing",
            Flush::Interval(_) => "what was written in the last second",
            Flush::Os => "what the system has not written yet, usually up to 30 s",
        };
        tracing::info!(server = "broker", %address, data = %data.display(), loss_of_power_takes = power, "listening");
        Ok(Self { broker, listener, address })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves; the process is asked to stop when that fails. Within a tokio runtime.
    pub(crate) fn start(self, process: Shutdown) -> Running {
        let stop = Shutdown::new();
        let stopped = stop.clone();
        let Self { broker, listener, .. } = self;
        let serving = tokio::spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let ended = broker.serve(listener, async move { stopped.stopped().await }).await;
            process.stop();
            ended
        });
        Running { stop, serving }
    }
}

/// A broker that serves.
pub(crate) struct Running {
    stop: Shutdown,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Running {
    /// Has it close its logs, and waits until it has.
    ///
    /// # Errors
    /// It failed, now or before.
    pub(crate) async fn stop(self) -> Result<(), CliError> {
        self.stop.stop();
        let ended = self.serving.await.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
        ended.map_err(|error| CliError::Failed(format!("the broker failed: {error}; look at its disk")))
    }
}

/// A broker has a file open for each segment that is read or written: as many as the system allows this process.
fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot have more files open than by default");
    }
}

/// `weir/broker` in the user's data directory (XDG Base Directory Specification).
fn default_data() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = set("XDG_DATA_HOME").or_else(|| set("HOME").map(|home| home.join(".local/share")))?;
    Some(data.join("weir/broker"))
}
