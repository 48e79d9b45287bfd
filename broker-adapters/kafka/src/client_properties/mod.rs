//! Kafka's own `client.properties` (the format of `--command-config`) in librdkafka's words.
//!
//! What librdkafka calls the same is handed on, and librdkafka itself says whether it knows name and value. What it
//! calls otherwise is renamed. What only tunes a Java client, or is Weir's to decide, is left out. Everything else
//! is named, with what to write instead: a setting of security is never dropped.

mod java;

use std::collections::BTreeMap;

use rdkafka::config::ClientConfig;

use self::java::{Property, login, properties};

/// Reads Kafka's `client.properties` into librdkafka's names.
///
/// # Errors
/// Every line that cannot be taken over, with what to do about it.
pub fn parse_client_properties(text: &str) -> Result<BTreeMap<String, String>, Vec<String>> {
    let read = properties(text);
    let java = Java(read.iter().map(|found| (found.name.as_str(), found)).collect());
    let (mut native, mut mistakes) = (BTreeMap::new(), Vec::new());
    for found in java.0.values() {
        if let Err(mistake) = take_over(found, &java, &mut native) {
            mistakes.push((found.line, mistake));
        }
    }
    mistakes.extend(java.missing());
    mistakes.sort();
    if mistakes.is_empty() {
        return Ok(native);
    }
    Err(mistakes.into_iter().map(|(line, mistake)| format!("line {line}: {mistake}")).collect())
}

/// The file's properties; of several with one name the last counts.
struct Java<'a>(BTreeMap<&'a str, &'a Property>);

impl Java<'_> {
    fn value(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |found| found.value.as_str())
    }

    /// What a login lacks. Java would fall back to Kerberos.
    fn missing(&self) -> Option<(usize, String)> {
        let protocol = self.0.get("security.protocol")?;
        if !protocol.value.to_ascii_uppercase().starts_with("SASL") {
            return None;
        }
        let lacks = ["sasl.mechanism", "sasl.jaas.config"].into_iter().filter(|name| !self.0.contains_key(name));
        let lacks = lacks.collect::<Vec<_>>().join(" and ");
        let example = "sasl.mechanism=SCRAM-SHA-512 and sasl.jaas.config=org.apache.kafka.common.security.scram.\
                       ScramLoginModule required username=\"…\" password=\"…\";";
        (!lacks.is_empty()).then(|| {
            (protocol.line, format!("security.protocol={} needs {lacks} too; write {example}", protocol.value))
        })
    }
}

/// Names that librdkafka has another word for.
const RENAMED: [(&str, &str); 4] = [
    ("sasl.mechanism", "sasl.mechanisms"),
    ("send.buffer.bytes", "socket.send.buffer.bytes"),
    ("receive.buffer.bytes", "socket.receive.buffer.bytes"),
    ("ssl.truststore.certificates", "ssl.ca.pem"),
];

/// What may stand in such a file and says nothing about how a cluster is reached: what Weir decides for each of its
/// clients, and what tunes a Java client.
const LEFT_OUT: &[&str] = &[
    "acks",
    "allow.auto.create.topics",
    "auto.commit.interval.ms",
    "auto.include.jmx.reporter",
    "auto.offset.reset",
    "batch.size",
    "bootstrap.servers",
    "buffer.memory",
    "check.crcs",
    "client.id",
    "default.api.timeout.ms",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "enable.idempotence",
    "enable.metrics.push",
    "exclude.internal.topics",
    "fetch.max.bytes",
    "fetch.max.wait.ms",
    "fetch.min.bytes",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "heartbeat.interval.ms",
    "interceptor.classes",
    "isolation.level",
    "key.deserializer",
    "key.serializer",
    "linger.ms",
    "max.block.ms",
    "max.in.flight.requests.per.connection",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "max.poll.records",
    "max.request.size",
    "metadata.max.idle.ms",
    "metric.reporters",
    "metrics.num.samples",
    "metrics.recording.level",
    "metrics.sample.window.ms",
    "partition.assignment.strategy",
    "partitioner.class",
    "partitioner.ignore.keys",
    "request.timeout.ms",
    "retries",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "session.timeout.ms",
    "socket.connection.setup.timeout.max.ms",
    "transaction.timeout.ms",
    "transactional.id",
    "value.deserializer",
    "value.serializer",
];

/// What librdkafka has no word for, and what to write instead. A name that ends in `.` stands for all that begin so.
const INSTEAD: &[(&str, &str)] = &[
    ("basic.auth.", "it is for a registry: give its Authorization header as WEIR_REGISTRY_AUTHORIZATION"),
    ("bearer.auth.", "it is for a registry: give its Authorization header as WEIR_REGISTRY_AUTHORIZATION"),
    ("schema.registry.", "it is for a registry: give --registry URL"),
    ("bootstrap.controllers", "Weir speaks to brokers: give their addresses with --bootstrap-server"),
    ("config.providers", "values cannot be looked up by Java classes: write them here, in a file only you can read"),
    ("sasl.client.callback.handler.class", "it names a Java class, which cannot run here: remove it"),
    ("sasl.kerberos.", "Kerberos is not built in: use SCRAM-SHA-512 or PLAIN over TLS, or a client certificate"),
    ("sasl.login.", "it is about logins by Java classes or tokens: remove it"),
    ("sasl.oauthbearer.", "OAUTHBEARER is not built in: use SCRAM-SHA-512 or PLAIN over TLS, or a client certificate"),
    ("security.providers", "it names Java classes, which cannot run here: remove it"),
    ("ssl.enabled.protocols", "TLS 1.2 and 1.3 are always offered and nothing older: remove it"),
    ("ssl.engine.factory.class", "it names a Java class, which cannot run here: remove it"),
    ("ssl.keymanager.algorithm", "it belongs to Java: remove it"),
    ("ssl.protocol", "TLS 1.2 and 1.3 are always offered and nothing older: remove it"),
    ("ssl.provider", "it belongs to Java: remove it"),
    ("ssl.secure.random.implementation", "it belongs to Java: remove it"),
    ("ssl.trustmanager.algorithm", "it belongs to Java: remove it"),
    (
        "ssl.truststore.password",
        "it belongs to a JKS or PKCS12 store: certificates to trust are read as PEM, which takes no password",
    ),
];

fn instead(name: &str) -> Option<&'static str> {
    let is = |word: &str| name == word || word.ends_with('.') && name.starts_with(word);
    INSTEAD.iter().find(|(word, _)| is(word)).map(|(_, instead)| *instead)
}

type Native = BTreeMap<String, String>;

fn take_over(found: &Property, java: &Java<'_>, native: &mut Native) -> Result<(), String> {
    let (name, value) = (found.name.as_str(), found.value.as_str());
    if LEFT_OUT.contains(&name) {
        return Ok(());
    }
    if let Some(instead) = instead(name) {
        return Err(format!("{name}: {instead}"));
    }
    if value.starts_with("${") {
        return Err(format!("{name}={value} asks a Java class for its value; write the value itself"));
    }
    match name {
        "sasl.mechanism" if !is_mechanism(value) => Err(format!(
            "sasl.mechanism={value} is not built in; use SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN over TLS, or a client \
             certificate"
        )),
        "sasl.jaas.config" => credentials(value, native),
        "ssl.truststore.type" | "ssl.keystore.type" => store_type(name, value),
        "ssl.truststore.location" => trusted(value, java, native),
        "ssl.keystore.location" | "ssl.keystore.password" | "ssl.key.password" => identity(name, value, java, native),
        "ssl.keystore.certificate.chain" => set(name, "ssl.certificate.pem", value, native),
        "ssl.keystore.key" => set(name, "ssl.key.pem", value, native),
        "ssl.endpoint.identification.algorithm" if value.is_empty() => set(name, name, "none", native),
        "ssl.cipher.suites" if value.contains("_WITH_") => Err(format!(
            "{name}={value} has Java's names; write OpenSSL's, with : between them, like ECDHE-RSA-AES256-GCM-SHA384"
        )),
        _ => {
            let word = RENAMED.iter().find(|(word, _)| *word == name).map_or(name, |(_, word)| word);
            set(name, word, value, native)
        }
    }
}

/// Sets a property under librdkafka's name where librdkafka takes it.
fn set(name: &str, word: &str, value: &str, native: &mut Native) -> Result<(), String> {
    // Certificates and passwords are looked at when a client is made; no message shows them.
    if !word.ends_with(".pem") && !word.ends_with("password") {
        let known = ClientConfig::new().set(word, value).create_native_config();
        known.map_err(|error| match error {
            rdkafka::error::KafkaError::ClientConfig(_, why, ..) => {
                format!("{name}={value} is no setting of this client ({why}); correct it, or remove it")
            }
            other => format!("{name}={value} cannot be set ({other}); correct it, or remove it"),
        })?;
    }
    native.insert(word.to_owned(), value.to_owned());
    Ok(())
}

fn is_mechanism(value: &str) -> bool {
    matches!(value, "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512")
}

/// Username and password from a line of JAAS.
fn credentials(jaas: &str, native: &mut Native) -> Result<(), String> {
    let login = login(jaas).map_err(|why| format!("sasl.jaas.config cannot be read: {why}"))?;
    if !login.module.ends_with(".PlainLoginModule") && !login.module.ends_with(".ScramLoginModule") {
        return Err(format!(
            "sasl.jaas.config names {}; only PlainLoginModule and ScramLoginModule can be taken over",
            login.module
        ));
    }
    let (Some(username), Some(password)) = (login.options.get("username"), login.options.get("password")) else {
        return Err("sasl.jaas.config has no username=\"…\" password=\"…\"".to_owned());
    };
    native.insert("sasl.username".to_owned(), username.clone());
    native.insert("sasl.password".to_owned(), password.clone());
    Ok(())
}

fn store_type(name: &str, value: &str) -> Result<(), String> {
    match (name, value.to_ascii_uppercase().as_str()) {
        (_, "PEM") | ("ssl.keystore.type", "PKCS12") => Ok(()),
        // What the store holds is told once, where it is named.
        (_, "JKS" | "PKCS12") => Ok(()),
        _ => Err(format!("{name}={value} is no type of store that can be read; there is PEM")),
    }
}

/// The type that a store is said to have, or that its name says.
fn store(kind: &str, location: &str, java: &Java<'_>) -> String {
    let said = java.value(&format!("ssl.{kind}.type"));
    if !said.is_empty() {
        return said.to_ascii_uppercase();
    }
    match location.rsplit('.').next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "pem" | "crt" | "cer" | "key" => "PEM".to_owned(),
        "p12" | "pfx" => "PKCS12".to_owned(),
        _ => "JKS".to_owned(),
    }
}

fn trusted(location: &str, java: &Java<'_>, native: &mut Native) -> Result<(), String> {
    match store("truststore", location, java).as_str() {
        "PEM" => set("ssl.truststore.location", "ssl.ca.location", location, native),
        kind => Err(format!(
            "ssl.truststore.location={location} is {kind}, and certificates to trust are read as PEM; convert it \
             (keytool -exportcert -rfc -keystore {location} -alias … > trusted.pem), write \
             ssl.truststore.location=trusted.pem and ssl.truststore.type=PEM, and remove ssl.truststore.password"
        )),
    }
}

/// The client's own certificate and key: PEM or PKCS12.
fn identity(name: &str, value: &str, java: &Java<'_>, native: &mut Native) -> Result<(), String> {
    let location = java.value("ssl.keystore.location");
    let kind = store("keystore", location, java);
    match (name, kind.as_str()) {
        ("ssl.keystore.location", "PEM") => {
            set(name, "ssl.certificate.location", value, native)?;
            set(name, "ssl.key.location", value, native)
        }
        ("ssl.keystore.location", "PKCS12") => set(name, "ssl.keystore.location", value, native),
        ("ssl.keystore.location", _) => Err(format!(
            "ssl.keystore.location={value} is {kind}, which cannot be read; convert it (keytool -importkeystore \
             -srckeystore {value} -destkeystore store.p12 -deststoretype PKCS12), and write \
             ssl.keystore.location=store.p12 and ssl.keystore.type=PKCS12"
        )),
        ("ssl.keystore.password", "PKCS12") => set(name, "ssl.keystore.password", value, native),
        ("ssl.keystore.password", "PEM") => {
            Err("ssl.keystore.password: a PEM file has none; where its key is encrypted write ssl.key.password"
                .to_owned())
        }
        ("ssl.key.password", "PEM") => set(name, "ssl.key.password", value, native),
        // In a PKCS12 store it is the store's, and what is wrong with JKS is told at its location.
        ("ssl.key.password" | "ssl.keystore.password", _) => Ok(()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
