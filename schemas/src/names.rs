//! The one place that makes the names of topics, groups and transactional ids.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{GroupId, InvalidName, Slot, Topic, TransactionalId};
use crate::product::{Major, ProductId};

/// An optional prefix that keeps a second backbone on the same cluster apart: `[a-z0-9-]{1,30}`, written
/// before every name as `prefix.`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix(String);

impl FromStr for Prefix {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let plain = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if plain && !text.is_empty() && text.len() <= 30 {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidName { kind: "prefix", name: text.to_owned(), rule: "must be 1 to 30 of a-z, 0-9 and -" })
    }
}

impl TryFrom<String> for Prefix {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> String {
        prefix.0
    }
}

/// Which of a product's three topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Companion {
    /// Producers write here.
    Inbox,
    /// Consumers read here.
    Product,
    /// What was held back, byte for byte, with the reasons as headers.
    Quarantine,
}

impl fmt::Display for Companion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inbox => "inbox",
            Self::Product => "product",
            Self::Quarantine => "quarantine",
        })
    }
}

/// What a topic's name says when Weir made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedTopic {
    /// Which of the three.
    pub companion: Companion,
    /// Whose.
    pub product: ProductId,
    /// Of which major.
    pub major: Major,
}

/// Makes every name of one backbone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    prefix: Option<Prefix>,
}

impl Names {
    /// The names of a backbone with this prefix, or of the only one on its cluster.
    pub fn new(prefix: Option<Prefix>) -> Self {
        Self { prefix }
    }

    fn with_prefix(&self, name: impl fmt::Display) -> String {
        match &self.prefix {
            Some(Prefix(prefix)) => format!("{prefix}.{name}"),
            None => name.to_string(),
        }
    }

    /// One of a product's three topics.
    pub fn topic(&self, companion: Companion, product: &ProductId, major: Major) -> Topic {
        let name = match companion {
            Companion::Inbox => format!("inbox.{product}.{major}"),
            Companion::Product => format!("{product}.{major}"),
            Companion::Quarantine => format!("quarantine.{product}.{major}"),
        };
        Topic::existing(self.with_prefix(name))
    }

    /// Reads a topic's name back; `None` where Weir did not make it.
    pub fn parse(&self, topic: &Topic) -> Option<ParsedTopic> {
        let name = match &self.prefix {
            Some(Prefix(prefix)) => topic.as_str().strip_prefix(prefix.as_str())?.strip_prefix('.')?,
            None => topic.as_str(),
        };
        let (companion, rest) = if let Some(rest) = name.strip_prefix("inbox.") {
            (Companion::Inbox, rest)
        } else if let Some(rest) = name.strip_prefix("quarantine.") {
            (Companion::Quarantine, rest)
        } else {
            (Companion::Product, name)
        };
        let (product, major) = rest.rsplit_once(".v")?;
        let major = Major(major.parse().ok()?);
        Some(ParsedTopic { companion, product: product.parse().ok()?, major })
    }

    /// What exists: compacted; keys are [`crate::CatalogKey`].
    pub fn catalog(&self) -> Topic {
        Topic::existing(self.with_prefix("weir.catalog"))
    }

    /// Which inbox offsets became which product and quarantine offsets.
    pub fn lineage(&self) -> Topic {
        Topic::existing(self.with_prefix("weir.lineage"))
    }

    /// Statistics of each transaction's records.
    pub fn quality(&self) -> Topic {
        Topic::existing(self.with_prefix("weir.quality"))
    }

    /// Who decided what, and why.
    pub fn audit(&self) -> Topic {
        Topic::existing(self.with_prefix("weir.audit"))
    }

    /// The tiny topic whose partitions are the slots.
    pub fn slots(&self) -> Topic {
        Topic::existing(self.with_prefix("weir.slots"))
    }

    /// The registry's topic.
    pub fn schemas(&self) -> Topic {
        Topic::existing(self.with_prefix("_schemas"))
    }

    /// The group whose members share the slots; it commits nothing.
    pub fn slots_group(&self) -> GroupId {
        GroupId::existing(self.with_prefix("weir-slots"))
    }

    /// The group that inbox offsets are committed under, inside transactions; nobody joins it.
    pub fn offsets_group(&self) -> GroupId {
        GroupId::existing(self.with_prefix("weir-enforcer"))
    }

    /// The group under which an interrupted `weir produce` finds out how far it came.
    pub fn produce_group(&self, run: &str) -> GroupId {
        GroupId::existing(self.with_prefix(format!("weir-produce-{run}")))
    }

    /// The id that fences the previous owner of a slot.
    pub fn slot_producer(&self, slot: Slot) -> TransactionalId {
        TransactionalId::existing(self.with_prefix(format!("weir-slot-{slot}")))
    }

    /// The id under which the steward writes decisions.
    pub fn steward_producer(&self) -> TransactionalId {
        TransactionalId::existing(self.with_prefix("weir-steward"))
    }

    /// The id under which the registry writes decisions.
    pub fn registry_producer(&self) -> TransactionalId {
        TransactionalId::existing(self.with_prefix("weir-registry"))
    }

    /// The id under which `weir doctor` asks what is allowed; it never commits anything.
    pub fn doctor_producer(&self) -> TransactionalId {
        TransactionalId::existing(self.with_prefix("weir-doctor"))
    }

    /// What every transactional id of the backbone begins with, for grants.
    pub fn transactional_ids(&self) -> String {
        self.with_prefix("weir-")
    }

    /// The id under which one run of `weir produce` writes.
    pub fn produce_producer(&self, run: &str) -> TransactionalId {
        TransactionalId::existing(self.with_prefix(format!("weir-produce-{run}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product() -> ProductId {
        "orders.order-lines".parse().unwrap()
    }

    #[test]
    fn topics_read_back_as_they_were_made() {
        for prefix in [None, Some("blue".parse().unwrap())] {
            let names = Names::new(prefix);
            for companion in [Companion::Inbox, Companion::Product, Companion::Quarantine] {
                let topic = names.topic(companion, &product(), Major(2));
                assert_eq!(names.parse(&topic), Some(ParsedTopic { companion, product: product(), major: Major(2) }));
            }
        }
    }

    #[test]
    fn a_pattern_on_the_domain_meets_products_only() {
        let names = Names::default();
        assert_eq!(names.topic(Companion::Product, &product(), Major(1)).as_str(), "orders.order-lines.v1");
        assert_eq!(names.topic(Companion::Inbox, &product(), Major(1)).as_str(), "inbox.orders.order-lines.v1");
    }

    #[test]
    fn foreign_topics_are_nobodys() {
        let names = Names::default();
        for foreign in
            ["orders", "orders.lines", "weir.catalog.v1", "orders.lines.vx", "__consumer_offsets", "Orders.lines.v1"]
        {
            assert_eq!(names.parse(&Topic::existing(foreign)), None, "{foreign}");
        }
    }
}
