//! OffsetFetch, in the shape for one group and in the one for several. Offsets are told whatever state the group is in,
//! and for groups that do not exist there simply are none.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::Groups;
use super::events::{CommittedOffset, TopicPartition};
use super::ids::GroupId;
use super::state::Group;

/// From this version on a request asks for several groups.
const MANY_GROUPS: i16 = 8;

/// What there is for one partition.
struct Fetched {
    partition: i32,
    offset: i64,
    leader_epoch: i32,
    metadata: StrBytes,
    error_code: i16,
}

/// What is asked of a topic: its name and partitions.
type Asked<'a> = (&'a TopicName, &'a [i32]);

/// What there is for a topic.
type Found = (TopicName, Vec<Fetched>);

impl Groups {
    /// Answers OffsetFetch, versions 1–9. Without topics all offsets of the group are meant.
    pub fn offset_fetch(&self, request: &OffsetFetchRequest, version: i16, _now: i64) -> OffsetFetchResponse {
        let registry = self.lock();
        let fetch = |id: &kafka_protocol::messages::GroupId, asked: Option<Vec<Asked<'_>>>| {
            find(registry.groups.get(&GroupId::from(id)), asked.as_deref(), request.require_stable)
        };
        if version < MANY_GROUPS {
            let asked = request
                .topics
                .as_ref()
                .map(|topics| topics.iter().map(|topic| (&topic.name, topic.partition_indexes.as_slice())).collect());
            let topics = fetch(&request.group_id, asked).into_iter().map(|(name, partitions)| {
                let partitions = partitions.into_iter().map(Fetched::single).collect();
                OffsetFetchResponseTopic::default().with_name(name).with_partitions(partitions)
            });
            return OffsetFetchResponse::default().with_topics(topics.collect());
        }
        let groups = request.groups.iter().map(|group| {
            let asked = group
                .topics
                .as_ref()
                .map(|topics| topics.iter().map(|topic| (&topic.name, topic.partition_indexes.as_slice())).collect());
            let topics = fetch(&group.group_id, asked).into_iter().map(|(name, partitions)| {
                let partitions = partitions.into_iter().map(Fetched::grouped).collect();
                OffsetFetchResponseTopics::default().with_name(name).with_partitions(partitions)
            });
            OffsetFetchResponseGroup::default().with_group_id(group.group_id.clone()).with_topics(topics.collect())
        });
        OffsetFetchResponse::default().with_groups(groups.collect())
    }
}

fn find(group: Option<&Group>, asked: Option<&[Asked<'_>]>, require_stable: bool) -> Vec<Found> {
    let Some(asked) = asked else {
        return group.map(|group| all(group, require_stable)).unwrap_or_default();
    };
    let partition = |topic: &TopicName, partition: i32| {
        let key = TopicPartition { topic: topic.to_string(), partition };
        Fetched::new(group, &key, group.and_then(|group| group.offsets.get(&key)), require_stable)
    };
    let topic = |(name, partitions): &Asked<'_>| {
        ((*name).clone(), partitions.iter().map(|index| partition(name, *index)).collect())
    };
    asked.iter().map(topic).collect()
}

fn all(group: &Group, require_stable: bool) -> Vec<Found> {
    let mut topics: BTreeMap<&str, Vec<Fetched>> = BTreeMap::new();
    for (key, offset) in &group.offsets {
        let fetched = Fetched::new(Some(group), key, Some(offset), require_stable);
        topics.entry(&key.topic).or_default().push(fetched);
    }
    let named = |(name, partitions): (&str, _)| (TopicName(StrBytes::from_string(name.to_owned())), partitions);
    topics.into_iter().map(named).collect()
}

impl Fetched {
    fn new(
        group: Option<&Group>,
        key: &TopicPartition,
        offset: Option<&CommittedOffset>,
        require_stable: bool,
    ) -> Self {
        let none =
            Self { partition: key.partition, offset: -1, leader_epoch: -1, metadata: StrBytes::new(), error_code: 0 };
        if require_stable && group.is_some_and(|group| group.is_pending(key)) {
            return Self { error_code: ResponseError::UnstableOffsetCommit.code(), ..none };
        }
        match offset {
            None => none,
            Some(offset) => Self {
                offset: offset.offset,
                leader_epoch: offset.leader_epoch,
                metadata: StrBytes::from_string(offset.metadata.clone()),
                ..none
            },
        }
    }

    fn single(self) -> OffsetFetchResponsePartition {
        OffsetFetchResponsePartition::default()
            .with_partition_index(self.partition)
            .with_committed_offset(self.offset)
            .with_committed_leader_epoch(self.leader_epoch)
            .with_metadata(Some(self.metadata))
            .with_error_code(self.error_code)
    }

    fn grouped(self) -> OffsetFetchResponsePartitions {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(self.partition)
            .with_committed_offset(self.offset)
            .with_committed_leader_epoch(self.leader_epoch)
            .with_metadata(Some(self.metadata))
            .with_error_code(self.error_code)
    }
}
