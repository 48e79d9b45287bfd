//! Lists of partitions as calls filled them in.

use rdkafka::TopicPartitionList;
use rdkafka::types::RDKafkaErrorCode;

use super::{bytes, error_code, text};

/// One entry of a partition list that a call filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedOffset {
    /// The topic.
    pub(crate) topic: String,
    /// The partition.
    pub(crate) partition: i32,
    /// The offset; negative where there is none.
    pub(crate) offset: i64,
    /// The metadata, which rdkafka reads as UTF-8 or panics.
    pub(crate) metadata: String,
    /// What went wrong for this partition.
    pub(crate) error: Option<RDKafkaErrorCode>,
}

/// The entries of a list.
pub(crate) fn listed(list: &TopicPartitionList) -> Vec<ListedOffset> {
    let raw = list.ptr();
    // SAFETY: a list holds `cnt` elements, each with a name that ends in NUL and metadata of the length said.
    unsafe {
        (0..usize::try_from((*raw).cnt).unwrap_or(0))
            .map(|index| {
                let element = &*(*raw).elems.add(index);
                ListedOffset {
                    topic: text(element.topic),
                    partition: element.partition,
                    offset: element.offset,
                    metadata: bytes(element.metadata, element.metadata_size)
                        .map(|data| String::from_utf8_lossy(data).into_owned())
                        .unwrap_or_default(),
                    error: error_code(element.err),
                }
            })
            .collect()
    }
}
