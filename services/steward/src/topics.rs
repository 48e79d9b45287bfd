//! The topics that a contract asks for, and their settings.

use std::collections::BTreeMap;

use broker::NewTopic;
use contract::Contract;
use schemas::{Companion, Names, Topic};

/// The setting that bounds what a topic takes.
pub(crate) const LIMIT: &str = "max.message.bytes";
/// Kafka's own default of it.
const MAX_MESSAGE_BYTES: u64 = 1_048_588;
/// What the product topic has room for beyond the inbox: record batches are made anew.
const PRODUCT_ROOM: u64 = 16 * 1024;
/// What quarantine has room for beyond the inbox: the reasons.
const QUARANTINE_ROOM: u64 = 64 * 1024;
/// How long quarantine keeps what was held back unless the contract says otherwise: 30 days.
const QUARANTINE_RETENTION_MS: i64 = 30 * 24 * 3_600_000;

/// What is asked of one setting of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Demand {
    /// This value: the contract says so, or what is built on the topic would be wrong without it.
    Exactly(String),
    /// This number or more.
    AtLeast(u64),
    /// This value where the topic is made. What a topic that exists has is left alone.
    AtFirst(String),
}

impl Demand {
    /// What the topic is made with.
    pub(crate) fn first(&self) -> String {
        match self {
            Self::Exactly(value) | Self::AtFirst(value) => value.clone(),
            Self::AtLeast(least) => least.to_string(),
        }
    }

    /// What to set instead of the value that an existing topic has; `None` where that may stay.
    pub(crate) fn instead_of(&self, now: Option<&str>) -> Option<String> {
        let satisfied = match self {
            Self::Exactly(value) => now == Some(value),
            Self::AtLeast(least) => now.and_then(|now| now.parse().ok()).is_some_and(|now: u64| now >= *least),
            Self::AtFirst(_) => true,
        };
        (!satisfied).then(|| self.first())
    }
}

/// A topic as the contract wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) companion: Companion,
    pub(crate) topic: Topic,
    pub(crate) partitions: u32,
    pub(crate) replication: Option<u16>,
    pub(crate) settings: BTreeMap<&'static str, Demand>,
    /// It is an existing topic of the team's own: never made, its settings never changed.
    pub(crate) foreign: bool,
}

impl Wanted {
    /// The topic to be made.
    pub(crate) fn new_topic(&self) -> NewTopic {
        NewTopic {
            topic: self.topic.clone(),
            partitions: self.partitions,
            replication: self.replication,
            settings: self.settings.iter().map(|(name, demand)| ((*name).to_owned(), demand.first())).collect(),
        }
    }
}

/// What the topics of a major are like already, as far as it decides what is asked of them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Before {
    /// The limit of an inbox that exists.
    pub(crate) inbox_limit: Option<u64>,
    /// The version in force has the product topic compacted.
    pub(crate) compacted: bool,
}

/// The three topics of a contract's major.
pub(crate) fn wanted(names: &Names, contract: &Contract, before: Before) -> [Wanted; 3] {
    [Companion::Inbox, Companion::Product, Companion::Quarantine].map(|companion| {
        let foreign = companion == Companion::Inbox && contract.settings.inbox_topic.is_some();
        Wanted {
            companion,
            topic: match companion {
                Companion::Inbox => inbox(names, contract),
                other => names.topic(other, &contract.product, contract.version.major()),
            },
            partitions: contract.settings.partitions,
            replication: contract.settings.replication,
            settings: settings(companion, contract, before),
            foreign,
        }
    })
}

/// The inbox that a contract reads from.
pub(crate) fn inbox(names: &Names, contract: &Contract) -> Topic {
    let own = || names.topic(Companion::Inbox, &contract.product, contract.version.major());
    contract.settings.inbox_topic.clone().unwrap_or_else(own)
}

/// The topic that a contract's consumers read.
pub(crate) fn product(names: &Names, contract: &Contract) -> Topic {
    names.topic(Companion::Product, &contract.product, contract.version.major())
}

fn settings(companion: Companion, contract: &Contract, before: Before) -> BTreeMap<&'static str, Demand> {
    let asked = &contract.settings;
    // A team's own inbox keeps its limit, whatever the contract says.
    let said = asked.max_record_bytes.filter(|_| asked.inbox_topic.is_none()).map(u64::from);
    let limit = said.or(before.inbox_limit).unwrap_or(MAX_MESSAGE_BYTES);
    // The broker holds a batch of records against this, and the enforcer's have many: a small limit of the inbox
    // is kept there, and would only refuse good company here.
    let batch = limit.max(MAX_MESSAGE_BYTES);
    let exactly = |value: i64| Demand::Exactly(value.to_string());
    let mut settings = BTreeMap::new();
    match companion {
        Companion::Inbox => {
            let text = limit.to_string();
            settings.insert(LIMIT, if said.is_some() { Demand::Exactly(text) } else { Demand::AtFirst(text) });
            settings.extend(asked.inbox_retention_ms.map(|retention| ("retention.ms", exactly(retention))));
        }
        Companion::Product => {
            settings.insert(LIMIT, Demand::AtLeast(batch.saturating_add(PRODUCT_ROOM)));
            settings.insert("message.timestamp.type", Demand::Exactly("CreateTime".to_owned()));
            let policy = match (asked.compaction, before.compacted) {
                (true, _) => Demand::Exactly("compact".to_owned()),
                (false, true) => Demand::Exactly("delete".to_owned()),
                (false, false) => Demand::AtFirst("delete".to_owned()),
            };
            settings.insert("cleanup.policy", policy);
            settings.extend(asked.retention_ms.map(|retention| ("retention.ms", exactly(retention))));
        }
        Companion::Quarantine => {
            settings.insert(LIMIT, Demand::AtLeast(batch.saturating_add(QUARANTINE_ROOM)));
            settings.insert("message.timestamp.type", Demand::Exactly("LogAppendTime".to_owned()));
            let by_default = || Demand::AtFirst(QUARANTINE_RETENTION_MS.to_string());
            settings.insert("retention.ms", asked.quarantine_retention_ms.map_or_else(by_default, exactly));
        }
    }
    settings
}
