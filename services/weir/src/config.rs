//! Every setting of Weir, declared once, and the layers that they are read from.

use std::path::{Path, PathBuf};
use std::time::Duration;

use runtime::config::{FlagValue, Key, Kind, Mistake, Mistakes, Settings, Sources};

use crate::cli::{BrokerArgs, BrokerOptions, Cli, Command, GlobalArgs, ServeArgs, ServeOptions};
use crate::connect;

const DAY: Duration = Duration::from_secs(86_400);

/// Names of settings, so that no other file spells one.
pub(crate) mod names {
    /// Kafka brokers to begin with.
    pub(crate) const BOOTSTRAP: &str = "broker.bootstrap";
    /// The file with Kafka client properties.
    pub(crate) const CLIENT_PROPERTIES: &str = "broker.client_properties";
    /// Copies of the topics that Weir makes.
    pub(crate) const REPLICATION: &str = "broker.replication";
    /// Where the broker role listens.
    pub(crate) const BROKER_LISTEN: &str = "broker.listen";
    /// The data directory of the broker role.
    pub(crate) const BROKER_DATA: &str = "broker.data";
    /// What a loss of power may take of the broker role.
    pub(crate) const BROKER_FLUSH: &str = "broker.flush";
    /// Whether the broker role makes topics that are asked for.
    pub(crate) const AUTO_CREATE_TOPICS: &str = "broker.auto_create_topics";
    /// The registry that is used.
    pub(crate) const REGISTRY_URL: &str = "registry.url";
    /// How the registry is entered.
    pub(crate) const REGISTRY_AUTHORIZATION: &str = "registry.authorization";
    /// Where the registry role listens.
    pub(crate) const REGISTRY_LISTEN: &str = "registry.listen";
    /// The prefix of every name.
    pub(crate) const PREFIX: &str = "backbone.prefix";
    /// The number of slots.
    pub(crate) const SLOTS: &str = "backbone.slots";
    /// The static member id of this enforcer.
    pub(crate) const INSTANCE: &str = "enforcer.instance";
    /// How long an enforcer may be silent.
    pub(crate) const SESSION_TIMEOUT: &str = "enforcer.session_timeout";
    /// Where contracts are.
    pub(crate) const CONTRACTS: &str = "contracts.dir";
    /// Where health and metrics are served.
    pub(crate) const ADMIN_LISTEN: &str = "admin.listen";
    /// How long an orderly end may take.
    pub(crate) const GRACE: &str = "process.grace";
    /// What is logged.
    pub(crate) const LOG: &str = "log.filter";
    /// How log lines look.
    pub(crate) const LOG_FORMAT: &str = "log.format";
}

/// Every setting.
pub(crate) const KEYS: &[Key] = &[
    key(
        names::BOOTSTRAP,
        "WEIR_BROKER_BOOTSTRAP",
        Some("127.0.0.1:9092"),
        Kind::Text,
        "Kafka brokers to begin with: host:port, with commas between several",
    ),
    key(
        names::CLIENT_PROPERTIES,
        "WEIR_BROKER_CLIENT_PROPERTIES",
        None,
        Kind::Path,
        "file of Kafka client properties (security.protocol, sasl.…)",
    ),
    key(
        names::REPLICATION,
        "WEIR_BROKER_REPLICATION",
        None,
        Kind::Count(1, 15),
        "copies of the control topics; without it the broker's default",
    ),
    key(
        names::BROKER_LISTEN,
        "WEIR_BROKER_LISTEN",
        Some("127.0.0.1:9092"),
        Kind::Listen,
        "where the broker role listens",
    ),
    key(
        names::BROKER_DATA,
        "WEIR_BROKER_DATA",
        None,
        Kind::Path,
        "data directory of the broker role; without it weir/broker in the user's data directory",
    ),
    key(
        names::BROKER_FLUSH,
        "WEIR_BROKER_FLUSH",
        Some("interval"),
        Kind::Choice(&["always", "interval", "os"]),
        "what a loss of power may take of the broker role: nothing, a second, or what the system has not written yet; a killed process loses nothing",
    ),
    key(
        names::AUTO_CREATE_TOPICS,
        "WEIR_BROKER_AUTO_CREATE_TOPICS",
        Some("no"),
        Kind::Choice(&["no", "yes"]),
        "whether the broker role makes topics that clients ask for; no, so that a mistyped product stays a mistake",
    ),
    key(
        names::REGISTRY_URL,
        "WEIR_REGISTRY_URL",
        Some("http://127.0.0.1:8081"),
        Kind::Url,
        "schema registry that is used",
    ),
    Key {
        secret: true,
        ..key(
            names::REGISTRY_AUTHORIZATION,
            "WEIR_REGISTRY_AUTHORIZATION",
            None,
            Kind::Text,
            "value of the Authorization header for the registry, like \"Basic …\"; also from the file $WEIR_REGISTRY_AUTHORIZATION_FILE",
        )
    },
    key(
        names::REGISTRY_LISTEN,
        "WEIR_REGISTRY_LISTEN",
        Some("127.0.0.1:8081"),
        Kind::Listen,
        "where the registry role listens",
    ),
    key(
        names::PREFIX,
        "WEIR_BACKBONE_PREFIX",
        None,
        Kind::Prefix,
        "prefix of every topic, group and id, for a second backbone on the same cluster",
    ),
    key(
        names::SLOTS,
        "WEIR_BACKBONE_SLOTS",
        Some("4"),
        Kind::Count(1, 1024),
        "slots that inbox partitions hash onto; set once per backbone",
    ),
    key(
        names::INSTANCE,
        "WEIR_ENFORCER_INSTANCE",
        None,
        Kind::Text,
        "static member id of this enforcer, the same after a restart; without it made of the host's name",
    ),
    key(
        names::SESSION_TIMEOUT,
        "WEIR_ENFORCER_SESSION_TIMEOUT",
        Some("6s"),
        Kind::Duration(Duration::from_secs(300)),
        "an enforcer silent for this long loses its slots",
    ),
    key(names::CONTRACTS, "WEIR_CONTRACTS_DIR", Some("contracts"), Kind::Path, "folder with contracts"),
    key(
        names::ADMIN_LISTEN,
        "WEIR_ADMIN_LISTEN",
        Some("127.0.0.1:9640"),
        Kind::Listen,
        "where health and metrics are served",
    ),
    key(names::GRACE, "WEIR_PROCESS_GRACE", Some("25s"), Kind::Duration(DAY), "how long an orderly end may take"),
    key(
        names::LOG,
        "WEIR_LOG",
        None,
        Kind::LogFilter,
        "what is logged, like \"info\" or \"warn,enforcer=debug\"; without it $RUST_LOG, else info for roles and warn for commands",
    ),
    key(
        names::LOG_FORMAT,
        "WEIR_LOG_FORMAT",
        Some("auto"),
        Kind::Choice(&["auto", "json", "human"]),
        "how log lines look; auto is human on a terminal and json elsewhere",
    ),
];

const fn key(
    name: &'static str,
    env: &'static str,
    default: Option<&'static str>,
    kind: Kind,
    doc: &'static str,
) -> Key {
    Key { name, env, default, secret: false, kind, doc }
}

/// Reads every layer for what was typed.
///
/// # Errors
/// Every mistake at once.
pub(crate) fn read(cli: &Cli) -> Result<Settings, Mistakes> {
    let path = cli.global.config.clone().or_else(|| std::env::var_os("WEIR_CONFIG").map(PathBuf::from));
    let file = path.map(|path| read_file(&path).map(|text| (path, text))).transpose()?;
    let sources = Sources { file, known_env: &["WEIR_CONFIG"], flags: flags(cli), ..Sources::default() };
    let (settings, mut mistakes) = Settings::gather(KEYS, &sources.with_process_env());
    // What that file says wrong is told with the rest.
    if let Some(path) = settings.text(names::CLIENT_PROPERTIES)
        && let Err(Mistakes(more)) = connect::client_properties(Path::new(path))
    {
        mistakes.extend(more);
    }
    if mistakes.is_empty() { Ok(settings) } else { Err(Mistakes(mistakes)) }
}

fn read_file(path: &Path) -> Result<String, Mistakes> {
    std::fs::read_to_string(path).map_err(|error| {
        Mistakes(vec![Mistake {
            place: path.display().to_string(),
            text: format!("cannot read the configuration file: {error}"),
        }])
    })
}

fn flags(cli: &Cli) -> Vec<FlagValue> {
    let GlobalArgs { bootstrap_server, command_config, registry, prefix, contracts, log, .. } = &cli.global;
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let mut given = vec![
        (names::BOOTSTRAP, "--bootstrap-server", bootstrap_server.clone()),
        (names::CLIENT_PROPERTIES, "--command-config", path(command_config)),
        (names::REGISTRY_URL, "--registry", registry.clone()),
        (names::PREFIX, "--prefix", prefix.clone()),
        (names::CONTRACTS, "--contracts", path(contracts)),
        (names::LOG, "--log", log.clone()),
    ];
    let (broker, admin_listen) = match &cli.command {
        Command::Up(options) | Command::Serve(ServeArgs { options, .. }) => {
            let ServeOptions { broker, registry_listen, admin_listen } = options;
            given.push((names::REGISTRY_LISTEN, "--registry-listen", registry_listen.clone()));
            (Some(broker), admin_listen)
        }
        Command::Broker(BrokerArgs { options, admin_listen, .. }) => (Some(options), admin_listen),
        _ => (None, &None),
    };
    given.push((names::ADMIN_LISTEN, "--admin-listen", admin_listen.clone()));
    if let Some(BrokerOptions { broker_listen, broker_data, flush }) = broker {
        given.push((names::BROKER_LISTEN, "--listen", broker_listen.clone()));
        given.push((names::BROKER_DATA, "--data", path(broker_data)));
        given.push((names::BROKER_FLUSH, "--flush", flush.clone()));
    }
    given.into_iter().filter_map(|(key, flag, value)| Some(FlagValue { key, flag, value: value? })).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_setting_is_declared_once_and_named_after_its_section() {
        let names: BTreeSet<&str> = KEYS.iter().map(|key| key.name).collect();
        let env: BTreeSet<&str> = KEYS.iter().map(|key| key.env).collect();
        assert_eq!((names.len(), env.len()), (KEYS.len(), KEYS.len()));
        for key in KEYS.iter().filter(|key| key.env != "WEIR_LOG") {
            assert_eq!(key.env, format!("WEIR_{}", key.name.replace('.', "_").to_uppercase()));
        }
    }

    #[test]
    fn the_defaults_are_values_of_their_kinds() {
        assert!(Settings::read(KEYS, &Sources::default()).is_ok());
    }
}
