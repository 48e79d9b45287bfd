//! Running roles in one process: what each is started with, what it waits for, and how it is watched.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use runtime::config::{Origin, Settings};
use runtime::weather::until_served;
use runtime::{Backoff, Ended, Health, HealthCheck, Metrics, OnFailure, Shutdown, Supervisor, admin, http};

use crate::broker_role::BrokerRole;
use crate::cli::Role;
use crate::config::names;
use crate::connect::Connections;
use crate::{BUILD, CliError, Global, Outcome, bootstrap};

/// Between two questions to broker and registry whether they serve.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// Between two returns of free memory to the system.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(10);
/// For blocking calls that are still under way when everything else has ended.
const LAST_CALLS: Duration = Duration::from_secs(1);
const RESTART: OnFailure = OnFailure::Restart(Backoff {
    first: Duration::from_millis(200),
    most: Duration::from_secs(30),
    calm_after: Duration::from_secs(60),
});

/// Runs these roles until the process is asked to stop.
///
/// # Errors
/// An address cannot be listened on, or a role failed that ends the process.
pub(crate) fn serve(global: &Global, roles: &BTreeSet<Role>) -> Result<Outcome, CliError> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: std::io::Error| CliError::Failed(format!("cannot {what}: {error}"))
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(failed("start the threads of the process"))?;
    // In the runtime's context: the broker's listener needs it.
    let _context = runtime.enter();
    let broker = roles.contains(&Role::Broker).then(|| BrokerRole::open(&global.settings)).transpose()?;
    let process = Process::prepare(global, roles, broker.as_ref().map(BrokerRole::address))?;
    // Before anybody is answered: whoever sees the process serve may ask it to stop.
    let signals = runtime::supervise::signals().map_err(failed("listen to signals"))?;
    let broker = broker.map(|broker| broker.start(process.shutdown.clone()));
    let grace = global.settings.duration(names::GRACE).unwrap_or(runtime::supervise::DEFAULT_GRACE);
    let ended = runtime.block_on(async {
        let supervisor = process.start(roles).map_err(failed("start a role"))?;
        let ended = supervisor.run_until(signals, grace).await;
        // The other roles end in order only while the broker answers.
        if let Some(broker) = broker {
            broker.stop().await?;
        }
        Ok::<_, CliError>(ended)
    });
    runtime.shutdown_timeout(LAST_CALLS);
    match ended? {
        Ended::Stopped => Ok(Outcome::Done),
        Ended::Failed { role, why } => Err(CliError::Failed(format!("the role {role} failed: {why}"))),
        Ended::Cut { running } => {
            Err(CliError::Failed(format!("ended before these had finished: {}", running.join(", "))))
        }
    }
}

/// The roles of `weir up`: a broker only where none is named.
pub(crate) fn of_up(settings: &Settings) -> BTreeSet<Role> {
    let named = !matches!(settings.origin(names::BOOTSTRAP), None | Some(Origin::Default));
    Role::ALL.into_iter().filter(|role| !(named && *role == Role::Broker)).collect()
}

/// What the roles of the process share.
struct Process {
    connections: Arc<Connections>,
    names: schemas::Names,
    slots: u16,
    replication: Option<u16>,
    instance: String,
    session_timeout: Duration,
    metrics: Metrics,
    health: Health,
    shutdown: Shutdown,
    admin: TcpListener,
    registry: Option<TcpListener>,
}

impl Process {
    /// Everything that can be wrong at once is found here: settings, and addresses that are taken.
    fn prepare(global: &Global, roles: &BTreeSet<Role>, own_broker: Option<SocketAddr>) -> Result<Self, CliError> {
        let settings = &global.settings;
        let admin = listen(settings.text(names::ADMIN_LISTEN), "admin end points")?;
        let registry = roles
            .contains(&Role::Registry)
            .then(|| listen(settings.text(names::REGISTRY_LISTEN), "registry"))
            .transpose()?;
        let mut connections = Connections::new(settings)?;
        let own = registry.as_ref().and_then(|listener| listener.local_addr().ok());
        if let (Some(own), Some(Origin::Default)) = (own, settings.origin(names::REGISTRY_URL)) {
            connections = connections.with_registry(format!("http://{}", reached_at(own)));
        }
        if let (Some(own), Some(Origin::Default)) = (own_broker, settings.origin(names::BOOTSTRAP)) {
            connections = connections.with_broker(reached_at(own));
        }
        let small = |name| settings.count(name).and_then(|count| u16::try_from(count).ok());
        Ok(Self {
            connections: Arc::new(connections),
            names: global.names.clone(),
            slots: small(names::SLOTS).unwrap_or(4),
            replication: small(names::REPLICATION),
            instance: settings.text(names::INSTANCE).map_or_else(instance, str::to_owned),
            session_timeout: settings.duration(names::SESSION_TIMEOUT).unwrap_or(Duration::from_secs(6)),
            metrics: Metrics::install(&BUILD).map_err(|error| CliError::Failed(error.to_string()))?,
            health: Health::new(),
            shutdown: Shutdown::new(),
            admin,
            registry,
        })
    }

    fn start(mut self, roles: &BTreeSet<Role>) -> std::io::Result<Supervisor> {
        let mut supervisor = Supervisor::new(self.shutdown.clone());
        let routes = admin::router(self.health.clone(), self.metrics.clone(), BUILD);
        let (metrics, shutdown) = (self.metrics.clone(), self.shutdown.clone());
        supervisor.task("upkeep", RESTART, move || {
            let upkeep = admin::upkeep(metrics.clone(), shutdown.clone());
            async move {
                upkeep.await;
                Ok::<(), std::io::Error>(())
            }
        });
        let shutdown = self.shutdown.clone();
        supervisor.task("memory", RESTART, move || {
            let shutdown = shutdown.clone();
            async move {
                while tokio::time::timeout(GIVE_BACK_EVERY, shutdown.stopped()).await.is_err() {
                    tokio::task::spawn_blocking(kafka::give_back_memory).await.map_err(|error| error.to_string())?;
                }
                Ok::<(), String>(())
            }
        });
        let registry = self.registry.take();
        let process = Arc::new(self);
        process.serve_http(&mut supervisor, "admin", process.admin.try_clone()?, move || Some(routes.clone()));
        process.probe(roles)?;
        if let Some(listener) = registry {
            process.start_registry(&mut supervisor, listener);
        }
        if roles.contains(&Role::Enforcer) {
            process.start_enforcer(&mut supervisor)?;
        }
        let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
        tracing::info!(
            roles = names.join(", "),
            version = BUILD.version,
            registry = process.connections.registry_url(),
            "started"
        );
        Ok(supervisor)
    }

    /// Serves what `open` brings; `None` where the process stops before. `open` may block, for as long as the weather lasts.
    fn serve_http(
        self: &Arc<Self>,
        supervisor: &mut Supervisor,
        name: &'static str,
        listener: TcpListener,
        open: impl Fn() -> Option<http::Router> + Clone + Send + 'static,
    ) {
        let shutdown = self.shutdown.clone();
        supervisor.task(name, RESTART, move || {
            let (listener, open, shutdown) = (listener.try_clone(), open.clone(), shutdown.clone());
            async move {
                let listener = tokio::net::TcpListener::from_std(listener.map_err(|e| e.to_string())?)
                    .map_err(|e| e.to_string())?;
                let opened = tokio::task::spawn_blocking(open).await.map_err(|e| e.to_string())?;
                let Some(router) = opened else { return Ok(()) };
                if let Ok(address) = listener.local_addr() {
                    tracing::info!(server = name, %address, "listening");
                }
                let mut limits = http::Limits::of(name);
                if name == Role::Registry.name() {
                    limits.body_bytes = registry::REQUEST_BYTES;
                }
                http::serve(listener, router, limits, shutdown).await.map_err(|e| e.to_string())
            }
        });
    }

    /// Asks broker and registry every few seconds whether they serve, for readiness. These threads only
    /// look, so nobody waits for them at the end.
    fn probe(self: &Arc<Self>, roles: &BTreeSet<Role>) -> std::io::Result<()> {
        self.ask("broker", |process| process.connections.broker()?.cluster().map(drop))?;
        if roles.contains(&Role::Enforcer) {
            self.ask("registry", |process| process.connections.registry()?.ping())?;
        }
        Ok(())
    }

    fn ask(self: &Arc<Self>, name: &str, question: fn(&Self) -> Result<(), broker::Weather>) -> std::io::Result<()> {
        let (process, check) = (Arc::clone(self), self.health.check(name));
        std::thread::Builder::new().name(format!("probe-{name}")).spawn(move || {
            loop {
                match question(&process) {
                    Ok(()) => check.ready(),
                    Err(weather) => check.not_ready(weather.to_string()),
                }
                if process.shutdown.wait(PROBE_EVERY) {
                    return;
                }
            }
        })?;
        Ok(())
    }

    fn start_registry(self: &Arc<Self>, supervisor: &mut Supervisor, listener: TcpListener) {
        let process = Arc::clone(self);
        let check = self.health.check("registry-role");
        self.serve_http(supervisor, Role::Registry.name(), listener, move || process.open_registry(&check));
    }

    /// Waits for the broker, makes the control topics, and reads the registry's topic to its end.
    fn open_registry(self: &Arc<Self>, check: &HealthCheck) -> Option<http::Router> {
        check.starting("making the control topics");
        let process = Arc::clone(self);
        let (broker, _) = until_served(&self.shutdown, check, move || process.bootstrap())?;
        check.starting("reading the registry's topic");
        let process = Arc::clone(self);
        let router =
            until_served(&self.shutdown, check, move || open_registry(Arc::clone(&broker), process.names.clone()))?;
        check.ready();
        Some(router)
    }

    fn bootstrap(&self) -> Result<(Arc<dyn broker::Broker>, u16), broker::Weather> {
        let broker = self.connections.broker()?;
        let slots = bootstrap::control_topics(&*broker, &self.names, self.slots, self.replication)?;
        Ok((broker, slots))
    }

    fn start_enforcer(self: &Arc<Self>, supervisor: &mut Supervisor) -> std::io::Result<()> {
        let process = Arc::clone(self);
        let check = self.health.check(Role::Enforcer.name());
        supervisor.thread(Role::Enforcer.name(), RESTART, move || process.enforce(&check))
    }

    /// One run of the enforcer, from the control topics to its end.
    fn enforce(self: &Arc<Self>, check: &HealthCheck) -> Result<(), enforcer::EnforcerError> {
        check.starting("making the control topics");
        let process = Arc::clone(self);
        let Some((broker, slots)) = until_served(&self.shutdown, check, move || process.bootstrap()) else {
            return Ok(());
        };
        check.starting("registering the backbone's schemas");
        let process = Arc::clone(self);
        let registered = until_served(&self.shutdown, check, move || {
            let registry = process.connections.registry()?;
            let codec = bootstrap::codec(&*registry)?;
            Ok((registry, codec))
        });
        let Some((registry, codec)) = registered else { return Ok(()) };
        let config = enforcer::Config {
            session_timeout: self.session_timeout,
            ..enforcer::Config::new(self.names.clone(), codec, slots, self.instance.clone())
        };
        // A part of the whole: when this run fails, its threads end and the process goes on.
        let ended = enforcer::run(config, broker, registry, self.shutdown.child(), check.clone());
        ended.inspect_err(|error| check.not_ready(error.to_string()))
    }
}

/// The registry over its topic.
fn open_registry(broker: Arc<dyn broker::Broker>, names: schemas::Names) -> Result<http::Router, broker::Weather> {
    let registry = registry::Registry::open(broker, names)?;
    if let Some(why) = registry.read_only() {
        tracing::warn!(why, "the registry only reads");
    }
    Ok(Arc::new(registry).router())
}

pub(crate) fn listen(address: Option<&str>, what: &str) -> Result<TcpListener, CliError> {
    let address = address.unwrap_or_default();
    TcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener)).map_err(|error| {
        CliError::Failed(format!(
            "cannot listen on {address} for the {what}: {error}; free it, or configure another address"
        ))
    })
}

/// Where this process reaches what it listens on itself.
pub(crate) fn reached_at(own: SocketAddr) -> String {
    match own {
        SocketAddr::V4(own) if own.ip().is_unspecified() => format!("127.0.0.1:{}", own.port()),
        SocketAddr::V6(own) if own.ip().is_unspecified() => format!("[::1]:{}", own.port()),
        own => own.to_string(),
    }
}

/// The static member id of a process that was given none: the same after a restart on the same host.
fn instance() -> String {
    let host = std::fs::read_to_string("/etc/hostname").ok().map(|name| name.trim().to_owned());
    host.filter(|name| !name.is_empty()).unwrap_or_else(|| "weir".to_owned())
}
