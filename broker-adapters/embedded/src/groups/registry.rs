//! All groups in memory, and how durable events change them: the same code runs when an event has just been recorded
//! and when it is replayed. Knows nothing of requests and timers.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::error::ResponseError;

use super::events::{CommittedOffset, GroupEvent, TopicPartition};
use super::ids::GroupId;
use super::state::Group;

/// All groups.
#[derive(Debug, Default)]
pub(super) struct Registry {
    pub(super) groups: BTreeMap<GroupId, Group>,
    /// The sequence of the latest commit.
    pub(super) sequence: u64,
    /// When offsets are next looked through for expired ones, epoch milliseconds.
    pub(super) next_expiry: i64,
}

impl Registry {
    /// Applies an event that the journal holds. Whatever it names need not exist: events are facts about what is left.
    pub(super) fn apply(&mut self, event: GroupEvent) {
        match event {
            GroupEvent::Membership(record) => {
                let id = record.group.clone();
                self.group(&id).restore(record);
            }
            GroupEvent::OffsetsCommitted { group, offsets } => {
                self.sequence = self.sequence.max(latest(&offsets));
                self.group(&group).offsets.extend(offsets);
            }
            GroupEvent::OffsetsPending { group, producer_id, offsets } => {
                self.sequence = self.sequence.max(latest(&offsets));
                self.group(&group).pending_offsets.entry(producer_id).or_default().extend(offsets);
            }
            GroupEvent::TransactionEnded { producer_id, committed } => {
                for group in self.groups.values_mut() {
                    group.end_transaction(producer_id, committed);
                }
                self.drop_blank();
            }
            GroupEvent::OffsetsDeleted { group, partitions } => {
                if let Some(group) = self.groups.get_mut(&group) {
                    let partitions: BTreeSet<_> = partitions.into_iter().collect();
                    group.drop_offsets(|offset| partitions.contains(offset));
                }
                self.drop_blank_group(&group);
            }
            GroupEvent::TopicDeleted { topic } => {
                for group in self.groups.values_mut() {
                    group.drop_offsets(|offset| offset.topic == topic);
                }
                self.drop_blank();
            }
            GroupEvent::GroupDeleted { group } => {
                self.groups.remove(&group);
            }
        }
    }

    /// Forgets the groups that nobody is in and of which nothing is recorded.
    pub(super) fn drop_blank(&mut self) {
        self.groups.retain(|_, group| !group.is_blank());
    }

    /// The same for one group.
    pub(super) fn drop_blank_group(&mut self, id: &GroupId) {
        if self.groups.get(id).is_some_and(Group::is_blank) {
            self.groups.remove(id);
        }
    }

    /// Makes sure that one more group may exist.
    ///
    /// # Errors
    /// `POLICY_VIOLATION` when there are as many groups as there may be.
    pub(super) fn check_room(&self, max: usize) -> Result<(), ResponseError> {
        if self.groups.len() < max { Ok(()) } else { Err(ResponseError::PolicyViolation) }
    }

    /// The group, made if there is none.
    pub(super) fn group(&mut self, id: &GroupId) -> &mut Group {
        self.groups.entry(id.clone()).or_insert_with(|| Group::new(id.clone()))
    }

    /// The fewest events that lead to the recorded state.
    pub(super) fn snapshot(&self) -> Vec<GroupEvent> {
        self.groups.values().flat_map(Group::snapshot).collect()
    }
}

fn latest(offsets: &[(TopicPartition, CommittedOffset)]) -> u64 {
    offsets.iter().map(|(_, offset)| offset.sequence).max().unwrap_or(0)
}

impl Group {
    fn end_transaction(&mut self, producer_id: i64, committed: bool) {
        let pending = self.pending_offsets.remove(&producer_id).unwrap_or_default();
        for (partition, offset) in pending.into_iter().filter(|_| committed) {
            if self.offsets.get(&partition).is_none_or(|present| present.sequence < offset.sequence) {
                self.offsets.insert(partition, offset);
            }
        }
    }

    fn drop_offsets(&mut self, gone: impl Fn(&TopicPartition) -> bool) {
        self.offsets.retain(|partition, _| !gone(partition));
        for offsets in self.pending_offsets.values_mut() {
            offsets.retain(|partition, _| !gone(partition));
        }
        self.pending_offsets.retain(|_, offsets| !offsets.is_empty());
    }

    fn snapshot(&self) -> Vec<GroupEvent> {
        let list = |offsets: &BTreeMap<TopicPartition, CommittedOffset>| {
            offsets.iter().map(|(partition, offset)| (partition.clone(), offset.clone())).collect()
        };
        let mut events: Vec<GroupEvent> = self.record.iter().cloned().map(GroupEvent::Membership).collect();
        if !self.offsets.is_empty() {
            events.push(GroupEvent::OffsetsCommitted { group: self.id.clone(), offsets: list(&self.offsets) });
        }
        events.extend(self.pending_offsets.iter().map(|(producer_id, offsets)| GroupEvent::OffsetsPending {
            group: self.id.clone(),
            producer_id: *producer_id,
            offsets: list(offsets),
        }));
        events
    }
}
