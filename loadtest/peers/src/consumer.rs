//! A consumer of every partition of a topic, from its beginning, `read_committed`, without a group.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use crate::PeerError;

/// A consumer of one topic.
pub struct Consumer {
    inner: BaseConsumer,
    bootstrap: String,
    topic: String,
}

impl Consumer {
    /// A consumer of partitions 0 to `partitions` of a topic.
    ///
    /// # Errors
    /// librdkafka makes no client of it.
    pub fn of(bootstrap: &str, topic: &str, partitions: i32) -> Result<Self, PeerError> {
        let failed = |why| PeerError::new(format!("read {topic}"), bootstrap, why);
        // librdkafka wants a name for a group that it never joins.
        let inner: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("group.id", "load")
            .set("enable.auto.commit", "false")
            // By default a client whose queue is full asks for nothing for a second, and its application has emptied
            // the queue long before: what is measured then is how often a broker is fast enough to fill it.
            .set("fetch.queue.backoff.ms", "5")
            .create()
            .map_err(failed)?;
        let mut all = TopicPartitionList::new();
        for partition in 0..partitions {
            all.add_partition_offset(topic, partition, Offset::Beginning).map_err(failed)?;
        }
        inner.assign(&all).map_err(failed)?;
        Ok(Self { inner, bootstrap: bootstrap.to_owned(), topic: topic.to_owned() })
    }

    /// Waits for a record for at most `wait`; gives what `read` makes of its value.
    ///
    /// # Errors
    /// The broker cannot be read.
    pub fn next<T>(&self, wait: Duration, read: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, PeerError> {
        match self.inner.poll(wait) {
            None => Ok(None),
            Some(Ok(record)) => Ok(Some(read(record.payload().unwrap_or_default()))),
            Some(Err(error)) => Err(PeerError::new(format!("read {}", self.topic), &self.bootstrap, error)),
        }
    }
}
