//! How the cluster is reached, and what every client of it is made from.

use std::collections::BTreeMap;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

/// How to reach a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KafkaOptions {
    /// `host:port`, several by comma.
    pub bootstrap: String,
    /// librdkafka's properties, as from [`crate::parse_client_properties`]; what the adapter must decide itself
    /// (isolation, commits, idempotence, …) wins over them.
    pub properties: BTreeMap<String, String>,
    /// The name that brokers see in their logs and quotas; also the start of the group names of readers, which
    /// nobody joins.
    pub client_id: String,
    /// Leaves out the guard against requests that were retried in the dark (KIP-890): a producer is kept although a
    /// late copy of its last request may end its next transaction or move offsets back. Only for the test that
    /// shows what the guard is for; no setting leads here.
    #[doc(hidden)]
    pub unguarded: bool,
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
