//! Administration of the cluster in memory.

use std::collections::BTreeMap;

use schemas::{GroupId, Offset, Partition, Topic, TopicPartition};

use super::state::{State, TopicState};
use super::{MemoryBroker, settings};
use crate::admin::{
    Admin, AdminError, Cluster, ConfigChange, ConfigEntry, NewTopic, NodeInfo, TopicDescription, TopicSetting,
};
use crate::lane::CommittedOffset;
use crate::log::{Isolation, Weather};

/// Kafka's bound on a topic's name.
const NAME_MAX: usize = 249;

impl MemoryBroker {
    /// Takes one administrative step, unless there is an outage.
    fn administer<T, E: From<Weather>>(
        &self,
        what: &str,
        act: impl FnOnce(&mut State) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut state = self.shared.lock();
        if let Some(why) = &state.outage {
            return Err(Weather::new(what, why).into());
        }
        let done = act(&mut state);
        drop(state);
        self.shared.changed.notify_all();
        done
    }
}

impl Admin for MemoryBroker {
    fn cluster(&self) -> Result<Cluster, Weather> {
        self.administer("describe the cluster", |_| {
            let node = NodeInfo { id: 1, address: "memory:0".to_owned() };
            Ok(Cluster { id: Some("memory".to_owned()), nodes: vec![node] })
        })
    }

    fn topics(&self) -> Result<Vec<TopicDescription>, Weather> {
        self.administer("list topics", |state| {
            Ok(state.topics.iter().map(|(topic, state)| describe(topic, state)).collect())
        })
    }

    fn topic(&self, topic: &Topic) -> Result<Option<TopicDescription>, Weather> {
        self.administer("describe a topic", |state| Ok(state.topics.get(topic).map(|state| describe(topic, state))))
    }

    fn settings(&self, topic: &Topic) -> Result<TopicSetting, AdminError> {
        self.administer("describe a topic's settings", |state| {
            let state = state.topics.get(topic).ok_or_else(|| AdminError::Missing(topic.clone()))?;
            let entry = |(name, default): (&str, &str)| {
                let own = state.settings.get(name);
                let value = Some(own.cloned().unwrap_or_else(|| default.to_owned()));
                (name.to_owned(), ConfigEntry { value, set_on_topic: own.is_some() })
            };
            Ok(settings::KNOWN.into_iter().map(entry).collect())
        })
    }

    fn create_topics(&self, topics: &[NewTopic]) -> Result<Vec<Result<(), AdminError>>, Weather> {
        self.administer("create topics", |state| Ok(topics.iter().map(|new| create(state, new)).collect()))
    }

    fn add_partitions(&self, topic: &Topic, count: u32) -> Result<(), AdminError> {
        self.administer("add partitions", |state| {
            let state = state.topics.get_mut(topic).ok_or_else(|| AdminError::Missing(topic.clone()))?;
            let wanted = usize::try_from(count).unwrap_or(usize::MAX);
            let have = state.partitions.len();
            if wanted <= have {
                let why = format!("it has {have} partitions already");
                return Err(AdminError::Refused { what: format!("raise the partitions of {topic} to {count}"), why });
            }
            state.partitions.resize_with(wanted, Default::default);
            Ok(())
        })
    }

    fn alter_settings(&self, topic: &Topic, changes: &BTreeMap<String, ConfigChange>) -> Result<(), AdminError> {
        self.administer("alter a topic's settings", |state| {
            let state = state.topics.get_mut(topic).ok_or_else(|| AdminError::Missing(topic.clone()))?;
            let refused = |why| AdminError::Refused { what: format!("alter the settings of {topic}"), why };
            for (name, change) in changes {
                let value = match change {
                    ConfigChange::Set(value) => value.as_str(),
                    ConfigChange::Unset => settings::default_of(name).unwrap_or_default(),
                };
                if let Some(why) = settings::refuses(name, value) {
                    return Err(refused(why));
                }
            }
            for (name, change) in changes {
                match change {
                    ConfigChange::Set(value) => state.settings.insert(name.clone(), value.clone()),
                    ConfigChange::Unset => state.settings.remove(name),
                };
            }
            Ok(())
        })
    }

    fn delete_topic(&self, topic: &Topic) -> Result<(), AdminError> {
        self.administer("delete a topic", |state| {
            state.topics.remove(topic).ok_or_else(|| AdminError::Missing(topic.clone()))?;
            // The group coordinator forgets what was committed for partitions that are no more.
            state.offsets.retain(|(_, partition), _| partition.topic != *topic);
            Ok(())
        })
    }

    fn ends(
        &self,
        partitions: &[TopicPartition],
        committed: bool,
    ) -> Result<BTreeMap<TopicPartition, (Offset, Offset)>, Weather> {
        let isolation = if committed { Isolation::Committed } else { Isolation::Uncommitted };
        self.administer("read the ends of partitions", |state| {
            partitions
                .iter()
                .map(|partition| {
                    let log = state
                        .log(partition)
                        .map_err(|why| Weather::new(format!("read the end of {partition}"), why))?;
                    Ok((partition.clone(), (Offset(log.start()), Offset(log.end(isolation)))))
                })
                .collect()
        })
    }

    fn group_offsets(
        &self,
        group: &GroupId,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, Weather> {
        self.administer("read a group's offsets", |state| Ok(offsets_of(state, group, partitions)))
    }
}

/// What a group has committed for these partitions.
pub(super) fn offsets_of(
    state: &State,
    group: &GroupId,
    partitions: &[TopicPartition],
) -> BTreeMap<TopicPartition, CommittedOffset> {
    partitions
        .iter()
        .filter_map(|partition| {
            let committed = state.offsets.get(&(group.clone(), partition.clone()))?;
            Some((partition.clone(), committed.clone()))
        })
        .collect()
}

fn describe(topic: &Topic, state: &TopicState) -> TopicDescription {
    let partitions = (0i32..).zip(&state.partitions).map(|(number, log)| (Partition(number), log.away)).collect();
    TopicDescription { topic: topic.clone(), partitions, replication: state.replication }
}

fn create(state: &mut State, new: &NewTopic) -> Result<(), AdminError> {
    let name = new.topic.as_str();
    let refused = |why: String| AdminError::Refused { what: format!("create topic {name}"), why };
    if state.topics.contains_key(&new.topic) {
        return Err(AdminError::Exists(new.topic.clone()));
    }
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > NAME_MAX || matches!(name, "." | "..") || !name.bytes().all(legal) {
        return Err(refused(format!("a name is 1 to {NAME_MAX} of a-z, A-Z, 0-9, '.', '_' and '-'")));
    }
    let flat = name.replace('.', "_");
    if let Some(other) = state.topics.keys().find(|other| other.as_str().replace('.', "_") == flat) {
        return Err(refused(format!("it collides with {other}: '.' and '_' count as the same")));
    }
    if new.partitions == 0 {
        return Err(refused("the number of partitions must be larger than 0".to_owned()));
    }
    let replication = new.replication.unwrap_or(1);
    if replication != 1 {
        return Err(refused(format!("replication factor is {replication} and there is 1 broker")));
    }
    if let Some(why) = new.settings.iter().find_map(|(name, value)| settings::refuses(name, value)) {
        return Err(refused(why));
    }
    state.topics.insert(new.topic.clone(), TopicState::new(new.partitions, replication, new.settings.clone()));
    Ok(())
}
