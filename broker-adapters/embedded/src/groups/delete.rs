//! DeleteGroups and OffsetDelete, and what a deleted topic leaves behind in groups.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use kafka_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse, OffsetDeleteRequest, OffsetDeleteResponse};

use super::events::{GroupEvent, TopicPartition};
use super::ids::GroupId;
use super::registry::Registry;
use super::state::{Group, Phase};
use super::{Groups, code};

impl Groups {
    /// Answers DeleteGroups, versions 0–2. Only a group without members can be deleted, and its offsets go with it.
    pub fn delete_groups(&self, request: &DeleteGroupsRequest, _version: i16, now: i64) -> DeleteGroupsResponse {
        let mut registry = self.lock();
        let named: BTreeMap<GroupId, _> = request.groups_names.iter().map(|id| (GroupId::from(id), id)).collect();
        let result = |(id, name): (GroupId, &kafka_protocol::messages::GroupId)| {
            let outcome = self.delete_group(&mut registry, id, now);
            DeletableGroupResult::default().with_group_id(name.clone()).with_error_code(code(outcome))
        };
        DeleteGroupsResponse::default().with_results(named.into_iter().map(result).collect())
    }

    fn delete_group(&self, registry: &mut Registry, id: GroupId, now: i64) -> Result<(), ResponseError> {
        let group = registry.groups.get(&id).ok_or(ResponseError::GroupIdNotFound)?;
        if group.phase != Phase::Empty {
            return Err(ResponseError::NonEmptyGroup);
        }
        let event = GroupEvent::GroupDeleted { group: id };
        self.context(now).record(std::slice::from_ref(&event))?;
        registry.apply(event);
        Ok(())
    }

    /// Answers OffsetDelete, version 0 (KIP-496). Offsets of topics that members consume are not deleted.
    pub fn offset_delete(&self, request: &OffsetDeleteRequest, _version: i16, now: i64) -> OffsetDeleteResponse {
        let refuse = |error: ResponseError| OffsetDeleteResponse::default().with_error_code(error.code());
        if request.group_id.is_empty() {
            return refuse(ResponseError::InvalidGroupId);
        }
        let id = GroupId::from(&request.group_id);
        let mut registry = self.lock();
        let Some(group) = registry.groups.get(&id) else { return refuse(ResponseError::GroupIdNotFound) };
        if group.phase != Phase::Empty && !group.is_consumer_group() {
            return refuse(ResponseError::NonEmptyGroup);
        }
        let mut partitions = Vec::new();
        let mut topics = Vec::with_capacity(request.topics.len());
        let subscribed = Subscribed::of(group);
        for topic in &request.topics {
            let answered = topic.partitions.iter().map(|partition| {
                let key = TopicPartition { topic: topic.name.to_string(), partition: partition.partition_index };
                let outcome = if !self.partitions.exists(&key.topic, key.partition) {
                    Err(ResponseError::UnknownTopicOrPartition)
                } else if subscribed.contains(&key.topic) {
                    Err(ResponseError::GroupSubscribedToTopic)
                } else {
                    partitions.extend(group.holds(&key).then_some(key));
                    Ok(())
                };
                OffsetDeleteResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(code(outcome))
            });
            let answered = answered.collect();
            topics.push(OffsetDeleteResponseTopic::default().with_name(topic.name.clone()).with_partitions(answered));
        }
        if !partitions.is_empty() {
            let event = GroupEvent::OffsetsDeleted { group: id, partitions };
            if let Err(error) = self.context(now).record(std::slice::from_ref(&event)) {
                return refuse(error);
            }
            registry.apply(event);
        }
        OffsetDeleteResponse::default().with_topics(topics)
    }

    /// Drops the offsets of a topic, pending ones too, from all groups. To be called when the topic has been deleted.
    ///
    /// # Errors
    /// The journal's error; nothing is dropped then and the call must be repeated.
    pub fn topic_deleted(&self, topic: &str) -> io::Result<()> {
        let mut registry = self.lock();
        if registry.groups.values().any(|group| group.holds_topic(topic)) {
            let event = GroupEvent::TopicDeleted { topic: topic.to_owned() };
            self.store.record(std::slice::from_ref(&event))?;
            registry.apply(event);
        }
        Ok(())
    }
}

/// The topics that a group's members consume.
enum Subscribed {
    Topics(BTreeSet<String>),
    /// It cannot be told, so every topic must be taken for consumed.
    Unknown,
}

impl Subscribed {
    fn of(group: &Group) -> Self {
        if group.phase == Phase::Empty {
            return Self::Topics(BTreeSet::new());
        }
        group.subscribed_topics().map_or(Self::Unknown, Self::Topics)
    }

    fn contains(&self, topic: &str) -> bool {
        match self {
            Self::Topics(topics) => topics.contains(topic),
            Self::Unknown => true,
        }
    }
}

impl Group {
    fn holds(&self, partition: &TopicPartition) -> bool {
        self.offsets.contains_key(partition) || self.is_pending(partition)
    }

    fn holds_topic(&self, topic: &str) -> bool {
        let pending = self.pending_offsets.values().flat_map(BTreeMap::keys);
        self.offsets.keys().chain(pending).any(|partition| partition.topic == topic)
    }
}
