//! OffsetCommit and TxnOffsetCommit, and the end of the transactions that the latter belong to (KIP-98, KIP-447). Knows
//! nothing of whether a transaction is open: that is for the transaction coordinator to check before it calls.

use std::collections::BTreeSet;
use std::io;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, ProducerId, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::events::{CommittedOffset, GroupEvent, TopicPartition};
use super::ids::{GroupId, InstanceId, MemberId};
use super::registry::Registry;
use super::state::{Group, Phase};
use super::{Groups, code};

/// From this version on OffsetCommit may say that the group does not exist.
const GROUP_NOT_FOUND: i16 = 9;

/// A retention time that leaves it to the broker.
const DEFAULT_RETENTION: i64 = -1;

/// Who commits, and how.
struct Committer<'a> {
    group: GroupId,
    generation: i32,
    member: &'a str,
    instance: Option<InstanceId>,
    /// The producer whose transaction the commit is part of.
    producer: Option<ProducerId>,
    /// What to answer a member of a group that does not exist.
    unknown_group: ResponseError,
    expire_timestamp: Option<i64>,
}

/// One partition of a commit.
struct PartitionCommit<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    leader_epoch: i32,
    metadata: Option<&'a StrBytes>,
}

impl Groups {
    /// Answers OffsetCommit, versions 2–9.
    pub fn offset_commit(&self, request: &OffsetCommitRequest, version: i16, now: i64) -> OffsetCommitResponse {
        let retention = request.retention_time_ms;
        let expire_timestamp = (version <= 4 && retention != DEFAULT_RETENTION).then(|| now.saturating_add(retention));
        let committer = Committer {
            group: GroupId::from(&request.group_id),
            generation: request.generation_id_or_member_epoch,
            member: &request.member_id,
            instance: request.group_instance_id.as_ref().map(|id| InstanceId::from(id.as_str())),
            producer: None,
            unknown_group: if version >= GROUP_NOT_FOUND {
                ResponseError::GroupIdNotFound
            } else {
                ResponseError::IllegalGeneration
            },
            expire_timestamp,
        };
        let commits = request.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|partition| PartitionCommit {
                topic: &topic.name,
                partition: partition.partition_index,
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: partition.committed_metadata.as_ref(),
            })
        });
        let mut outcomes = self.commit(&committer, commits, now).into_iter();
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let answered = topic.partitions.iter().zip(outcomes.by_ref()).map(|(partition, outcome)| {
                OffsetCommitResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(code(outcome))
            });
            let partitions = answered.collect();
            topics.push(OffsetCommitResponseTopic::default().with_name(topic.name.clone()).with_partitions(partitions));
        }
        OffsetCommitResponse::default().with_topics(topics)
    }

    /// Answers TxnOffsetCommit, versions 0–4. The offsets stay pending until [`Groups::end_transaction`]. That the
    /// producer has a transaction open, and its epoch, are for the caller to check.
    pub fn txn_offset_commit(
        &self,
        request: &TxnOffsetCommitRequest,
        _version: i16,
        now: i64,
    ) -> TxnOffsetCommitResponse {
        let committer = Committer {
            group: GroupId::from(&request.group_id),
            generation: request.generation_id,
            member: &request.member_id,
            instance: request.group_instance_id.as_ref().map(|id| InstanceId::from(id.as_str())),
            producer: Some(request.producer_id),
            unknown_group: ResponseError::IllegalGeneration,
            expire_timestamp: None,
        };
        let commits = request.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|partition| PartitionCommit {
                topic: &topic.name,
                partition: partition.partition_index,
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: partition.committed_metadata.as_ref(),
            })
        });
        let mut outcomes = self.commit(&committer, commits, now).into_iter();
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let answered = topic.partitions.iter().zip(outcomes.by_ref()).map(|(partition, outcome)| {
                TxnOffsetCommitResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(code(outcome))
            });
            let partitions = answered.collect();
            topics.push(
                TxnOffsetCommitResponseTopic::default().with_name(topic.name.clone()).with_partitions(partitions),
            );
        }
        TxnOffsetCommitResponse::default().with_topics(topics)
    }

    /// Ends the transaction of a producer: its pending offsets take effect in all groups, or are dropped. An offset that
    /// was committed without a transaction after the pending one stands. Ending a transaction that has no pending
    /// offsets changes nothing, so it may be repeated.
    ///
    /// # Errors
    /// The journal's error; the offsets then stay pending and the call must be repeated.
    pub fn end_transaction(&self, producer_id: ProducerId, committed: bool) -> io::Result<()> {
        let mut registry = self.lock();
        let producer_id = producer_id.0;
        if registry.groups.values().any(|group| group.pending_offsets.contains_key(&producer_id)) {
            let event = GroupEvent::TransactionEnded { producer_id, committed };
            self.store.record(std::slice::from_ref(&event))?;
            registry.apply(event);
        }
        Ok(())
    }

    /// The producers that have pending offsets. After a restart, whoever of them has no open transaction any more must
    /// be given its [`Groups::end_transaction`].
    pub fn pending_producers(&self) -> BTreeSet<ProducerId> {
        let registry = self.lock();
        registry.groups.values().flat_map(|group| group.pending_offsets.keys()).copied().map(ProducerId).collect()
    }

    /// Commits what can be committed; the outcomes are in the order of the partitions.
    fn commit<'a>(
        &self,
        committer: &Committer<'_>,
        commits: impl Iterator<Item = PartitionCommit<'a>>,
        now: i64,
    ) -> Vec<Result<(), ResponseError>> {
        let mut registry = self.lock();
        let sequence = registry.sequence.saturating_add(1);
        let mut accepted = Vec::new();
        let mut outcomes = Vec::new();
        for commit in commits {
            let outcome = if !self.partitions.exists(commit.topic, commit.partition) {
                Err(ResponseError::UnknownTopicOrPartition)
            } else if commit.metadata.is_some_and(|text| text.len() > self.settings.max_offset_metadata_bytes) {
                Err(ResponseError::OffsetMetadataTooLarge)
            } else {
                accepted.push(commit.stored(committer.expire_timestamp, sequence, now));
                Ok(())
            };
            outcomes.push(outcome);
        }
        if let Err(error) = self.commit_accepted(&mut registry, committer, accepted, now) {
            // A topic that does not exist is told whatever else is wrong.
            for outcome in
                outcomes.iter_mut().filter(|outcome| **outcome != Err(ResponseError::UnknownTopicOrPartition))
            {
                *outcome = Err(error);
            }
        }
        outcomes
    }

    fn commit_accepted(
        &self,
        registry: &mut Registry,
        committer: &Committer<'_>,
        offsets: Vec<(TopicPartition, CommittedOffset)>,
        now: i64,
    ) -> Result<(), ResponseError> {
        let id = &committer.group;
        if committer.producer.is_some() && id.as_str().is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        match registry.groups.get_mut(id) {
            Some(group) => group.check_commit(committer, now)?,
            None if committer.generation >= 0 => return Err(committer.unknown_group),
            // Whoever commits without a generation manages its members itself, or is an operator.
            None => registry.check_room(self.settings.max_groups)?,
        }
        if offsets.is_empty() {
            return Ok(());
        }
        let group = id.clone();
        let event = match committer.producer {
            Some(producer) => GroupEvent::OffsetsPending { group, producer_id: producer.0, offsets },
            None => GroupEvent::OffsetsCommitted { group, offsets },
        };
        self.context(now).record(std::slice::from_ref(&event))?;
        registry.apply(event);
        Ok(())
    }
}

impl PartitionCommit<'_> {
    fn stored(self, expire_timestamp: Option<i64>, sequence: u64, now: i64) -> (TopicPartition, CommittedOffset) {
        let partition = TopicPartition { topic: self.topic.to_owned(), partition: self.partition };
        let offset = CommittedOffset {
            offset: self.offset,
            leader_epoch: self.leader_epoch,
            metadata: self.metadata.map(StrBytes::to_string).unwrap_or_default(),
            commit_timestamp: now,
            expire_timestamp,
            sequence,
        };
        (partition, offset)
    }
}

impl Group {
    /// Checks that the committer may commit now. A commit shows that the member is alive.
    fn check_commit(&mut self, committer: &Committer<'_>, now: i64) -> Result<(), ResponseError> {
        let transactional = committer.producer.is_some();
        if committer.generation < 0 && self.phase == Phase::Empty {
            return Ok(());
        }
        if committer.generation < 0 && committer.member.is_empty() && committer.instance.is_none() {
            // Transactional commits did not name the member before KIP-447.
            return if transactional { Ok(()) } else { Err(ResponseError::UnknownMemberId) };
        }
        let id = MemberId::from(committer.member);
        self.check_member(&id, committer.instance.as_ref())?;
        if committer.generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        if transactional {
            return Ok(());
        }
        if self.phase == Phase::CompletingRebalance {
            // The member knows the generation but not yet its partitions, so these cannot be its own to commit.
            return Err(ResponseError::RebalanceInProgress);
        }
        if let Some(member) = self.members.get_mut(&id) {
            member.refresh(now);
        }
        Ok(())
    }
}
