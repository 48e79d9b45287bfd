//! Topics and their settings.

use std::collections::BTreeMap;

use schemas::{Companion, Offset, Partition, TopicPartition};

use super::World;
use super::bench::{Outcome, Said, create, eventually, holds, same, topic};
use crate::admin::{AdminError, ConfigChange, NewTopic};

pub(super) fn cluster(world: &World) -> Outcome {
    let cluster = world.broker.cluster().said("describe the cluster")?;
    holds(!cluster.nodes.is_empty(), || "the cluster has a node".to_owned())
}

pub(super) fn life(world: &World) -> Outcome {
    let name = topic(world, Companion::Product, "life")?;
    same("a topic that was not created", &world.broker.topic(&name).said("describe")?, &None)?;
    create(world, &[(&name, 3, &[])])?;
    let described = eventually("the topic", || world.broker.topic(&name).said("describe"))?;
    let partitions: Vec<_> = (0..3).map(|number| (Partition(number), false)).collect();
    same("partitions, all with leaders", &described.partitions, &partitions)?;
    let listed = world.broker.topics().said("list topics")?;
    holds(listed.iter().any(|topic| topic.topic == name), || format!("{name} is listed"))?;

    let at: Vec<_> = (0..3).map(|number| TopicPartition::new(name.clone(), Partition(number))).collect();
    let ends = world.broker.ends(&at, true).said("read ends")?;
    let empty: BTreeMap<_, _> = at.into_iter().map(|at| (at, (Offset::ZERO, Offset::ZERO))).collect();
    same("ends of an empty topic", &ends, &empty)?;

    let again = NewTopic { topic: name.clone(), partitions: 1, replication: None, settings: BTreeMap::new() };
    let results = world.broker.create_topics(&[again]).said("create again")?;
    same("creating it again", &results, &vec![Err(AdminError::Exists(name.clone()))])?;

    world.broker.delete_topic(&name).said("delete")?;
    eventually("the topic to be gone", || Ok(world.broker.topic(&name).said("describe")?.is_none().then_some(())))?;
    same("deleting it again", &world.broker.delete_topic(&name), &Err(AdminError::Missing(name)))
}

pub(super) fn settings(world: &World) -> Outcome {
    let name = topic(world, Companion::Product, "settings")?;
    create(world, &[(&name, 1, &[("retention.ms", "86400000"), ("max.message.bytes", "2000000")])])?;
    let own = |expected: &[(&str, &str)]| -> Outcome<Option<()>> {
        let settings = world.broker.settings(&name).said("read settings")?;
        let own: BTreeMap<&str, &str> = settings
            .iter()
            .filter(|(_, entry)| entry.set_on_topic)
            .filter_map(|(name, entry)| Some((name.as_str(), entry.value.as_deref()?)))
            .collect();
        Ok((own == expected.iter().copied().collect()).then_some(()))
    };
    eventually("the settings it was made with", || {
        own(&[("retention.ms", "86400000"), ("max.message.bytes", "2000000")])
    })?;
    let changes = [
        ("retention.ms".to_owned(), ConfigChange::Unset),
        ("cleanup.policy".to_owned(), ConfigChange::Set("compact".to_owned())),
    ];
    world.broker.alter_settings(&name, &changes.into_iter().collect()).said("alter settings")?;
    eventually("the changes, and nothing else", || {
        own(&[("cleanup.policy", "compact"), ("max.message.bytes", "2000000")])
    })?;
    let nonsense = [("max.message.bytes".to_owned(), ConfigChange::Set("much".to_owned()))];
    let refused = world.broker.alter_settings(&name, &nonsense.into_iter().collect());
    holds(matches!(refused, Err(AdminError::Refused { .. })), || format!("nonsense is refused, not {refused:?}"))
}

pub(super) fn partitions(world: &World) -> Outcome {
    let name = topic(world, Companion::Product, "partitions")?;
    create(world, &[(&name, 1, &[])])?;
    world.broker.add_partitions(&name, 3).said("add partitions")?;
    eventually("3 partitions", || {
        let described = world.broker.topic(&name).said("describe")?;
        Ok(described.filter(|topic| topic.partitions.len() == 3).map(drop))
    })?;
    let fewer = world.broker.add_partitions(&name, 2);
    holds(matches!(fewer, Err(AdminError::Refused { .. })), || format!("fewer are refused, not {fewer:?}"))
}
