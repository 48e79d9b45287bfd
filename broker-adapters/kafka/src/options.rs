//! How the cluster is reached: from Kafka's own `client.properties` to librdkafka's names.

use std::collections::BTreeMap;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

/// How to reach a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KafkaOptions {
    /// `host:port`, several by comma.
    pub bootstrap: String,
    /// librdkafka's properties, as from [`parse_client_properties`]; what the adapter must decide itself
    /// (isolation, commits, idempotence, …) wins over them.
    pub properties: BTreeMap<String, String>,
    /// The name that brokers see in their logs and quotas; also the start of the group names of readers, which
    /// nobody joins.
    pub client_id: String,
}

impl KafkaOptions {
    /// What every client of this cluster is made from.
    pub(crate) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("client.id", &self.client_id)
            .set("allow.auto.create.topics", "false")
            .set("topic.metadata.refresh.interval.ms", "30000")
            // A broker that is back is found within a second, not within ten.
            .set("reconnect.backoff.max.ms", "1000")
            .set_log_level(RDKafkaLogLevel::Warning);
        config
    }

    /// What every consumer is made from. `group` is never joined unless the caller subscribes.
    pub(crate) fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.config();
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true")
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.error.backoff.ms", "100")
            .set("check.crcs", "true");
        config
    }
}

/// Java's names that mean nothing to librdkafka and may be dropped: serialisers and tuning of the Java client.
const IGNORED: [&str; 6] = [
    "key.serializer",
    "value.serializer",
    "key.deserializer",
    "value.deserializer",
    "ssl.truststore.type",
    "ssl.keystore.type",
];

/// Reads Kafka's `client.properties` (the format of `--command-config`) into librdkafka's names.
///
/// # Errors
/// Every line that cannot be taken over, with what to do about it.
pub fn parse_client_properties(text: &str) -> Result<BTreeMap<String, String>, Vec<String>> {
    let mut java = BTreeMap::new();
    let mut mistakes = Vec::new();
    for (number, line) in logical_lines(text) {
        match line.split_once(['=', ':']) {
            Some((name, value)) => {
                java.insert(name.trim().to_owned(), (number, value.trim().to_owned()));
            }
            None => mistakes.push(format!("line {number}: {line:?} is no property; write name=value")),
        }
    }
    let mut native = BTreeMap::new();
    for (name, (number, value)) in &java {
        if let Err(mistake) = take_over(name, value, &java, &mut native) {
            mistakes.push(format!("line {number}: {mistake}"));
        }
    }
    if mistakes.is_empty() { Ok(native) } else { Err(mistakes) }
}

/// Lines without comments, with those that end in a backslash joined.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if !open && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        let (part, continues) = line.strip_suffix('\\').map_or((line, false), |part| (part, true));
        match lines.last_mut() {
            Some((_, last)) if open => last.push_str(part),
            _ => lines.push((index + 1, part.to_owned())),
        }
        open = continues;
    }
    lines
}

type JavaProperties = BTreeMap<String, (usize, String)>;

fn take_over(
    name: &str,
    value: &str,
    java: &JavaProperties,
    native: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    let mut set = |name: &str, value: &str| {
        native.insert(name.to_owned(), value.to_owned());
    };
    match name {
        "bootstrap.servers" => {}
        "sasl.mechanism" => set("sasl.mechanisms", value),
        "sasl.jaas.config" => {
            let (username, password) = login(value)?;
            set("sasl.username", &username);
            set("sasl.password", &password);
        }
        "ssl.truststore.location" => {
            pem("ssl.truststore", java)?;
            set("ssl.ca.location", value);
        }
        "ssl.truststore.certificates" => set("ssl.ca.pem", &value.replace("\\n", "\n")),
        "ssl.keystore.location" => {
            pem("ssl.keystore", java)?;
            set("ssl.certificate.location", value);
            set("ssl.key.location", value);
        }
        "ssl.keystore.certificate.chain" => set("ssl.certificate.pem", &value.replace("\\n", "\n")),
        "ssl.keystore.key" => set("ssl.key.pem", &value.replace("\\n", "\n")),
        "ssl.key.password" => set("ssl.key.password", value),
        "ssl.truststore.password" | "ssl.keystore.password" => {
            return Err(format!("{name} belongs to a JKS or PKCS12 store; use PEM files, which take no such password"));
        }
        "ssl.endpoint.identification.algorithm" => {
            set("ssl.endpoint.identification.algorithm", if value.is_empty() { "none" } else { value });
        }
        "sasl.login.callback.handler.class"
        | "sasl.client.callback.handler.class"
        | "ssl.engine.factory.class"
        | "ssl.provider" => return Err(format!("{name} names a Java class, which cannot run here; remove it")),
        name if IGNORED.contains(&name) => {}
        name => set(name, value),
    }
    Ok(())
}

/// A store can be read only as PEM.
fn pem(store: &str, java: &JavaProperties) -> Result<(), String> {
    let location = java.get(&format!("{store}.location")).map_or("", |(_, value)| value.as_str());
    let kind = java.get(&format!("{store}.type")).map_or("", |(_, value)| value.as_str());
    let ending = location.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    if kind.eq_ignore_ascii_case("PEM") || (kind.is_empty() && matches!(ending.as_str(), "pem" | "crt" | "cer" | "key"))
    {
        return Ok(());
    }
    Err(format!(
        "{store}.location={location} is not PEM; convert it (`keytool -importkeystore … -deststoretype PKCS12`, then \
         `openssl pkcs12 -in … -out store.pem`) and set {store}.type=PEM"
    ))
}

/// Username and password from a JAAS line of the PLAIN or SCRAM login module.
fn login(jaas: &str) -> Result<(String, String), String> {
    let module = jaas.split_whitespace().next().unwrap_or_default();
    if !module.ends_with(".PlainLoginModule") && !module.ends_with(".ScramLoginModule") {
        return Err(format!(
            "sasl.jaas.config names {module:?}; only PlainLoginModule and ScramLoginModule can be taken over"
        ));
    }
    match (jaas_option(jaas, "username"), jaas_option(jaas, "password")) {
        (Some(username), Some(password)) => Ok((username, password)),
        _ => Err("sasl.jaas.config has no username=\"…\" password=\"…\"".into()),
    }
}

fn jaas_option(jaas: &str, name: &str) -> Option<String> {
    let (_, rest) = jaas.split_once(&format!(" {name}="))?;
    let mut chars = rest.trim_start().chars();
    let quote = chars.next().filter(|first| matches!(first, '"' | '\''))?;
    let mut value = String::new();
    let mut escaped = false;
    for c in chars {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            c if c == quote => return Some(value),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scram_login_over_tls_is_taken_over() {
        let text = "# made by the operator\nsecurity.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\n\
            sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\\n  username=\"anna\" \
            password=\"a\\\"b;c\";\nssl.truststore.location=/etc/ca.pem\nssl.truststore.type=PEM\n";
        let native = parse_client_properties(text).expect("it is well formed");
        let expected = [
            ("sasl.mechanisms", "SCRAM-SHA-512"),
            ("sasl.password", "a\"b;c"),
            ("sasl.username", "anna"),
            ("security.protocol", "SASL_SSL"),
            ("ssl.ca.location", "/etc/ca.pem"),
        ];
        assert_eq!(native, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let text = "nonsense\nssl.truststore.location=/etc/ca.jks\nssl.truststore.password=x\n\
            sasl.jaas.config=com.sun.security.auth.module.Krb5LoginModule required;\n";
        let mistakes = parse_client_properties(text).expect_err("four mistakes");
        assert_eq!(mistakes.len(), 4, "{mistakes:?}");
        assert!(mistakes.iter().any(|mistake| mistake.starts_with("line 2:") && mistake.contains("openssl")));
    }
}
