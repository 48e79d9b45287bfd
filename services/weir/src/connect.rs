//! From settings to connections: the broker and the registry that commands and roles work on.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use broker::{Broker, Registry, Weather};
use kafka::{HttpRegistry, Kafka, KafkaOptions, RegistryAccess};
use runtime::config::{Mistake, Mistakes, Settings};
use schemas::Timestamp;

use crate::config::names;

/// How brokers know this program in their logs and quotas.
const CLIENT_ID: &str = "weir";

/// How to reach the cluster and the registry. The broker is connected to once, when it is first asked for.
pub(crate) struct Connections {
    options: KafkaOptions,
    registry_url: String,
    authorization: Option<String>,
    broker: Mutex<Option<Arc<dyn Broker>>>,
    registry: Mutex<Option<Arc<dyn Registry>>>,
}

impl Connections {
    /// As the settings say.
    ///
    /// # Errors
    /// The file of client properties has mistakes; all of them.
    pub(crate) fn new(settings: &Settings) -> Result<Self, Mistakes> {
        let properties =
            settings.text(names::CLIENT_PROPERTIES).map(|path| client_properties(Path::new(path))).transpose()?;
        Ok(Self {
            options: KafkaOptions {
                bootstrap: settings.text(names::BOOTSTRAP).unwrap_or_default().to_owned(),
                properties: properties.unwrap_or_default(),
                client_id: CLIENT_ID.to_owned(),
                ..KafkaOptions::default()
            },
            registry_url: settings.text(names::REGISTRY_URL).unwrap_or_default().to_owned(),
            authorization: settings.text(names::REGISTRY_AUTHORIZATION).map(str::to_owned),
            broker: Mutex::new(None),
            registry: Mutex::new(None),
        })
    }

    /// The same with another registry.
    #[must_use]
    pub(crate) fn with_registry(mut self, url: String) -> Self {
        self.registry_url = url;
        self
    }

    /// The same with another broker.
    #[must_use]
    pub(crate) fn with_broker(mut self, address: String) -> Self {
        self.options.bootstrap = address;
        self
    }

    /// Where the registry is.
    pub(crate) fn registry_url(&self) -> &str {
        &self.registry_url
    }

    /// Who brokers take this program for, as their access control names it.
    pub(crate) fn principal(&self) -> String {
        let property = |name: &str| self.options.properties.get(name);
        if let Some(user) = property("sasl.username") {
            return format!("User:{user}");
        }
        let certified = ["ssl.certificate.location", "ssl.certificate.pem", "ssl.keystore.location"];
        if certified.into_iter().any(|name| property(name).is_some()) {
            return "User:(the subject of the client's certificate)".to_owned();
        }
        "User:ANONYMOUS".to_owned()
    }

    /// What time the registry's machine has, where its answers say so.
    ///
    /// # Errors
    /// [`Weather`].
    pub(crate) fn registry_clock(&self) -> Result<Option<Timestamp>, Weather> {
        HttpRegistry::new(self.access())?.clock()
    }

    fn access(&self) -> RegistryAccess {
        RegistryAccess { urls: vec![self.registry_url.clone()], authorization: self.authorization.clone() }
    }

    /// The broker; everyone gets the same connection.
    ///
    /// # Errors
    /// [`Weather`].
    pub(crate) fn broker(&self) -> Result<Arc<dyn Broker>, Weather> {
        let mut connected = self.broker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(broker) = &*connected {
            return Ok(Arc::clone(broker));
        }
        let broker: Arc<dyn Broker> = Arc::new(Kafka::connect(self.options.clone())?);
        *connected = Some(Arc::clone(&broker));
        Ok(broker)
    }

    /// The registry; everyone gets the same, with one cache of schemas. Nothing is asked of it yet.
    ///
    /// # Errors
    /// [`Weather`].
    pub(crate) fn registry(&self) -> Result<Arc<dyn Registry>, Weather> {
        let mut connected = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(registry) = &*connected {
            return Ok(Arc::clone(registry));
        }
        let registry: Arc<dyn Registry> = Arc::new(HttpRegistry::new(self.access())?);
        *connected = Some(Arc::clone(&registry));
        Ok(registry)
    }
}

/// The properties of a file as Kafka's own tools read it.
///
/// # Errors
/// All its mistakes, by line.
pub(crate) fn client_properties(path: &Path) -> Result<BTreeMap<String, String>, Mistakes> {
    let file = path.display();
    let mistake = |text: String| match text.strip_prefix("line ").and_then(|rest| rest.split_once(": ")) {
        Some((line, why)) => Mistake { place: format!("{file}:{line}"), text: why.to_owned() },
        None => Mistake { place: file.to_string(), text },
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| Mistakes(vec![mistake(format!("cannot read the client properties: {error}"))]))?;
    kafka::parse_client_properties(&text).map_err(|mistakes| Mistakes(mistakes.into_iter().map(mistake).collect()))
}
