//! Weir's positions as librdkafka's lists, and back.

use broker::Weather;
use rdkafka::{Offset as RawOffset, TopicPartitionList};
use schemas::{Offset, Partition, Topic, TopicPartition};

use crate::ffi::ListedOffset;

/// The partition of a list's entry.
pub(crate) fn partition_of(entry: &ListedOffset) -> TopicPartition {
    TopicPartition::new(Topic::existing(entry.topic.as_str()), Partition(entry.partition))
}

/// A list without positions.
pub(crate) fn unpositioned<'a>(partitions: impl Iterator<Item = &'a TopicPartition>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(partition.topic.as_str(), partition.partition.0);
    }
    list
}

/// A list with positions.
pub(crate) fn positioned<'a>(
    partitions: impl Iterator<Item = (&'a TopicPartition, Offset)>,
) -> Result<TopicPartitionList, Weather> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in partitions {
        list.add_partition_offset(partition.topic.as_str(), partition.partition.0, RawOffset::Offset(offset.0))
            .map_err(|error| Weather::new(format!("take the position {offset} of {partition}"), error))?;
    }
    Ok(list)
}

/// A list with positions and the metadata that is committed with them.
pub(crate) fn annotated<'a>(
    partitions: impl Iterator<Item = (&'a TopicPartition, Offset, &'a str)>,
) -> Result<TopicPartitionList, Weather> {
    let mut list = TopicPartitionList::new();
    for (partition, offset, metadata) in partitions {
        let mut entry = list.add_partition(partition.topic.as_str(), partition.partition.0);
        entry
            .set_offset(RawOffset::Offset(offset.0))
            .map_err(|error| Weather::new(format!("commit the position {offset} of {partition}"), error))?;
        entry.set_metadata(metadata);
    }
    Ok(list)
}
