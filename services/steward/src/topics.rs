//! The topics that a contract asks for, and their settings.

use std::collections::BTreeMap;

use broker::NewTopic;
use contract::Contract;
use schemas::{Companion, Names, Topic};

/// Kafka's own default of `max.message.bytes`.
const MAX_MESSAGE_BYTES: u32 = 1_048_588;
/// What the product topic has room for beyond the inbox: record batches are made anew.
const PRODUCT_ROOM: u32 = 16 * 1024;
/// What quarantine has room for beyond the inbox: the reasons.
const QUARANTINE_ROOM: u32 = 64 * 1024;
/// How long quarantine keeps what was held back unless the contract says otherwise: 30 days.
const QUARANTINE_RETENTION_MS: i64 = 30 * 24 * 3_600_000;

/// A topic as the contract wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) companion: Companion,
    pub(crate) topic: NewTopic,
    /// It is an existing topic of the team's own: never made, its settings never changed.
    pub(crate) foreign: bool,
}

/// The three topics of a contract's major.
pub(crate) fn wanted(names: &Names, contract: &Contract) -> [Wanted; 3] {
    [Companion::Inbox, Companion::Product, Companion::Quarantine].map(|companion| {
        let own = names.topic(companion, &contract.product, contract.version.major());
        let foreign = match companion {
            Companion::Inbox => contract.settings.inbox_topic.clone(),
            Companion::Product | Companion::Quarantine => None,
        };
        Wanted {
            companion,
            foreign: foreign.is_some(),
            topic: NewTopic {
                topic: foreign.unwrap_or(own),
                partitions: contract.settings.partitions,
                replication: contract.settings.replication,
                settings: settings(companion, contract),
            },
        }
    })
}

/// The inbox that a contract reads from.
pub(crate) fn inbox(names: &Names, contract: &Contract) -> Topic {
    let own = || names.topic(Companion::Inbox, &contract.product, contract.version.major());
    contract.settings.inbox_topic.clone().unwrap_or_else(own)
}

fn settings(companion: Companion, contract: &Contract) -> BTreeMap<String, String> {
    let asked = &contract.settings;
    let limit = asked.max_record_bytes.unwrap_or(MAX_MESSAGE_BYTES);
    // The broker holds a batch of records against this, and the enforcer's have many: a small limit of the inbox
    // is kept there, and would only refuse good company here.
    let batch = limit.max(MAX_MESSAGE_BYTES);
    let mut settings = BTreeMap::new();
    let mut set = |name: &str, value: String| {
        settings.insert(name.to_owned(), value);
    };
    match companion {
        Companion::Inbox => {
            set("max.message.bytes", limit.to_string());
            if let Some(retention) = asked.inbox_retention_ms {
                set("retention.ms", retention.to_string());
            }
        }
        Companion::Product => {
            set("max.message.bytes", batch.saturating_add(PRODUCT_ROOM).to_string());
            set("message.timestamp.type", "CreateTime".to_owned());
            set("cleanup.policy", if asked.compaction { "compact" } else { "delete" }.to_owned());
            if let Some(retention) = asked.retention_ms {
                set("retention.ms", retention.to_string());
            }
        }
        Companion::Quarantine => {
            set("max.message.bytes", batch.saturating_add(QUARANTINE_ROOM).to_string());
            set("message.timestamp.type", "LogAppendTime".to_owned());
            set("retention.ms", asked.quarantine_retention_ms.unwrap_or(QUARANTINE_RETENTION_MS).to_string());
        }
    }
    settings
}
