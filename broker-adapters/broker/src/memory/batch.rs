//! The batch of a lane in memory: records shared with the log, and where their partitions stand after them.

use std::borrow::Cow;
use std::sync::Arc;

use schemas::{Offset, TopicPartition};

use super::partition::Stored;
use crate::lane::{Batch, Headers, Record};

/// One record of the batch.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) partition: usize,
    pub(super) offset: i64,
    pub(super) record: Arc<Stored>,
}

/// What was polled.
#[derive(Debug, Default)]
pub(super) struct MemoryBatch {
    pub(super) items: Vec<Item>,
    pub(super) partitions: Vec<TopicPartition>,
    /// Per partition: where it stands once all its records here are consumed.
    pub(super) after: Vec<i64>,
}

impl MemoryBatch {
    /// The item at `index`, below the batch's length.
    pub(super) fn item(&self, index: usize) -> &Item {
        &self.items[index]
    }
}

impl Batch for MemoryBatch {
    fn len(&self) -> usize {
        self.items.len()
    }

    fn record(&self, index: usize) -> Record<'_> {
        let Item { partition, offset, record } = self.item(index);
        Record {
            partition: *partition,
            offset: Offset(*offset),
            timestamp: record.timestamp,
            timestamp_type: record.timestamp_type,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
        }
    }

    fn headers(&self, index: usize) -> Headers<'_> {
        let headers = &self.item(index).record.headers;
        headers.iter().map(|(name, value)| (Cow::from(name), value.as_deref().map(Cow::from))).collect()
    }

    fn partitions(&self) -> &[TopicPartition] {
        &self.partitions
    }
}
