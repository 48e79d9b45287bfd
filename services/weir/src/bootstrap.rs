//! What must be there before a role can work: the control topics, and the schemas of the backbone's own
//! events in the registry. Doing it twice is the same as once.

use std::collections::BTreeMap;

use broker::{AdminError, Broker, NewTopic, Registered, Registry, Weather};
use schemas::{BackboneSchema, Codec, Names, Subject, Topic};

/// The least time that a tombstone and the records of an old segment stay readable.
const DAY_MS: i64 = 86_400_000;
/// Lineage is asked about for as long as records are usually kept, and longer.
const LINEAGE_RETENTION_MS: i64 = 90 * DAY_MS;
/// Quality is looked at as a trend of weeks.
const QUALITY_RETENTION_MS: i64 = 30 * DAY_MS;
/// Decisions are kept for ever.
const AUDIT_RETENTION_MS: i64 = -1;
/// Partitions of the topics that are written at the pace of data.
const DATA_PACE_PARTITIONS: u32 = 4;

/// Makes the control topics that are missing, and says how many slots the backbone has: what the topic of
/// slots says, which wins over `slots` where it exists already, because every enforcer must agree.
///
/// # Errors
/// [`Weather`], also where the broker refuses a topic: it may be allowed to do so later.
pub(crate) fn control_topics(
    broker: &dyn Broker,
    names: &Names,
    slots: u16,
    replication: Option<u16>,
) -> Result<u16, Weather> {
    let mut missing = Vec::new();
    for wanted in wanted(names, slots, replication) {
        if broker.topic(&wanted.topic)?.is_none() {
            missing.push(wanted);
        }
    }
    if !missing.is_empty() {
        let results = broker.create_topics(&missing)?;
        for (wanted, result) in missing.iter().zip(results) {
            match result {
                Ok(()) => tracing::info!(topic = %wanted.topic, partitions = wanted.partitions, "made a control topic"),
                Err(AdminError::Exists(_)) => {}
                Err(AdminError::Weather(weather)) => return Err(weather),
                Err(refused) => return Err(Weather::new(format!("make the control topic {}", wanted.topic), refused)),
            }
        }
    }
    let topic = names.slots();
    let found = broker.topic(&topic)?.map(|description| description.partitions.len());
    let found = found.and_then(|count| u16::try_from(count).ok()).filter(|count| *count > 0);
    let found = found
        .ok_or_else(|| Weather::new(format!("find out the number of slots from {topic}"), "it is not there yet"))?;
    if found != slots {
        tracing::warn!(%topic, slots = found, configured = slots, "the backbone has another number of slots than is configured; its own number is used");
    }
    Ok(found)
}

fn wanted(names: &Names, slots: u16, replication: Option<u16>) -> Vec<NewTopic> {
    let topic = |topic: Topic, partitions: u32, settings: &[(&str, String)]| NewTopic {
        topic,
        partitions,
        replication,
        settings: settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
    };
    let kept =
        |retention_ms: i64| [("cleanup.policy", "delete".to_owned()), ("retention.ms", retention_ms.to_string())];
    vec![
        topic(names.catalog(), 1, &[("cleanup.policy", "compact".to_owned())]),
        topic(names.lineage(), DATA_PACE_PARTITIONS, &kept(LINEAGE_RETENTION_MS)),
        topic(names.quality(), DATA_PACE_PARTITIONS, &kept(QUALITY_RETENTION_MS)),
        // When something was decided is the broker's to say; `weir doctor` compares clocks by it.
        topic(names.audit(), 1, &{
            let [policy, retention] = kept(AUDIT_RETENTION_MS);
            [policy, retention, ("message.timestamp.type", "LogAppendTime".to_owned())]
        }),
        // Nothing is ever written to it: its partitions are what is shared.
        topic(names.slots(), u32::from(slots), &kept(DAY_MS)),
    ]
}

/// Registers the schemas of the backbone's events, each under its full name because one topic carries
/// several, and gives the codec that writes with their ids.
///
/// # Errors
/// [`Weather`], also where the registry refuses a schema: then a newer release was here before, and this
/// program has to be upgraded.
pub(crate) fn codec(registry: &dyn Registry) -> Result<Codec, Weather> {
    let mut ids = BTreeMap::new();
    for schema in BackboneSchema::ALL {
        let what = || format!("register the schema {}", schema.full_name());
        match registry.register(&Subject::existing(schema.full_name()), schema.text())? {
            Registered::Id(id) => {
                ids.insert(schema, id);
            }
            Registered::Incompatible(why) => {
                return Err(Weather::new(
                    what(),
                    format!(
                        "the registry holds an incompatible one, perhaps of a newer release: upgrade this program ({why})"
                    ),
                ));
            }
            Registered::Invalid(why) => return Err(Weather::new(what(), why)),
        }
    }
    Ok(Codec::new(ids))
}

#[cfg(test)]
mod tests {
    use broker::Admin;
    use broker::memory::{MemoryBroker, MemoryRegistry};

    use super::*;

    #[test]
    fn the_control_topics_are_made_once_and_kept_as_they_are() {
        let (broker, names) = (MemoryBroker::new(), Names::default());
        assert_eq!(control_topics(&*broker, &names, 4, None).unwrap(), 4);
        let partitions = |topic: Topic| broker.topic(&topic).unwrap().unwrap().partitions.len();
        let counts = [names.catalog(), names.lineage(), names.quality(), names.audit(), names.slots()].map(partitions);
        assert_eq!(counts, [1, 4, 4, 1, 4]);
        let policy =
            |topic: Topic| broker.settings(&topic).unwrap().get("cleanup.policy").and_then(|entry| entry.value.clone());
        assert_eq!(policy(names.catalog()).as_deref(), Some("compact"));
        assert_eq!(policy(names.lineage()).as_deref(), Some("delete"));
        assert_eq!(
            control_topics(&*broker, &names, 8, None).unwrap(),
            4,
            "the number of slots is the backbone's, not the configuration's"
        );
    }

    #[test]
    fn a_broker_that_is_away_is_weather() {
        let broker = MemoryBroker::new();
        broker.set_outage(Some("connection refused"));
        assert!(control_topics(&*broker, &Names::default(), 4, None).is_err());
    }

    #[test]
    fn the_schemas_of_the_backbone_are_registered_under_their_own_names() {
        let registry = MemoryRegistry::new();
        codec(&registry).unwrap();
        codec(&registry).unwrap();
        for schema in BackboneSchema::ALL {
            assert_eq!(registry.ids(&Subject::existing(schema.full_name())).len(), 1);
        }
        registry.set_outage(true);
        assert!(codec(&registry).is_err());
    }
}
