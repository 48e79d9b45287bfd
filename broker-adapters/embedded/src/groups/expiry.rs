//! Expiry of committed offsets (KIP-211) and removal of groups that have neither members nor offsets.

use std::collections::BTreeSet;

use super::events::{CommittedOffset, GroupEvent, TopicPartition};
use super::rebalance::Context;
use super::registry::Registry;
use super::state::{Group, Phase};

impl Registry {
    /// Drops what has expired by now. What cannot be recorded stays until the next look.
    pub(super) fn expire(&mut self, context: Context<'_>) {
        let mut events = Vec::new();
        for group in self.groups.values() {
            let expired = group.expired(context);
            let left = group.offsets.len() > expired.len() || !group.pending_offsets.is_empty();
            if group.phase == Phase::Empty && group.pending_members.is_empty() && !left {
                events.push(GroupEvent::GroupDeleted { group: group.id.clone() });
            } else if !expired.is_empty() {
                events.push(GroupEvent::OffsetsDeleted { group: group.id.clone(), partitions: expired });
            }
        }
        if events.is_empty() || context.record(&events).is_err() {
            return;
        }
        for event in events {
            tracing::debug!(?event, "expired");
            self.apply(event);
        }
    }
}

impl Group {
    fn expired(&self, context: Context<'_>) -> Vec<TopicPartition> {
        let in_use = match (self.phase, &self.protocol_type) {
            (Phase::Empty, _) => BTreeSet::new(),
            (Phase::Stable, _) => match self.subscribed_topics() {
                Some(topics) => topics,
                None => return Vec::new(),
            },
            _ => return Vec::new(),
        };
        let expired = |(partition, offset): &(&TopicPartition, &CommittedOffset)| {
            !in_use.contains(&partition.topic) && !self.is_pending(partition) && self.is_over(offset, context)
        };
        self.offsets.iter().filter(expired).map(|(partition, _)| partition.clone()).collect()
    }

    /// Whether the retention of an offset is over. It counts from when the group became empty, and from the commit for
    /// groups that never had members and for topics that the members have left.
    fn is_over(&self, offset: &CommittedOffset, context: Context<'_>) -> bool {
        if let Some(timestamp) = offset.expire_timestamp {
            return context.now >= timestamp;
        }
        let base = match (self.phase, &self.protocol_type) {
            (Phase::Empty, Some(_)) => self.state_timestamp,
            _ => offset.commit_timestamp,
        };
        context.now.saturating_sub(base) >= context.settings.offsets_retention_ms
    }
}
