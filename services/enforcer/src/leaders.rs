//! Partitions that went away, and whether they have a leader again: asked by one thread, so that a lane
//! neither blocks on the question nor spends a transaction on finding out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use broker::{Broker, Weather};
use schemas::{Topic, TopicPartition};

use crate::Shared;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

struct Watch {
    /// All of these must have a leader.
    partitions: Vec<TopicPartition>,
    back: bool,
}

/// What lanes wait for, by the inbox partition that waits for it. At most one entry per inbox partition.
#[derive(Default)]
pub(crate) struct Leaders {
    watched: Mutex<BTreeMap<TopicPartition, Watch>>,
    changed: Condvar,
}

impl Leaders {
    /// `inbox` cannot go on until each of `partitions` has a leader.
    pub(crate) fn watch(&self, inbox: &TopicPartition, partitions: Vec<TopicPartition>) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.insert(inbox.clone(), Watch { partitions, back: false });
        self.changed.notify_all();
    }

    /// Whether each was seen with a leader since it is watched.
    pub(crate) fn back(&self, inbox: &TopicPartition) -> bool {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.get(inbox).is_none_or(|watch| watch.back)
    }

    /// It goes on, or is another lane's.
    pub(crate) fn forget(&self, inbox: &TopicPartition) {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).remove(inbox);
    }

    /// One look at everything that is away.
    pub(crate) fn look(&self, broker: &dyn Broker) {
        let topics: BTreeSet<Topic> = {
            let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
            let away = watched.values().filter(|watch| !watch.back);
            away.flat_map(|watch| watch.partitions.iter().map(|partition| partition.topic.clone())).collect()
        };
        let led: BTreeMap<Topic, BTreeSet<TopicPartition>> = topics
            .into_iter()
            .filter_map(|topic| match led(broker, &topic) {
                Ok(led) => Some((topic, led)),
                Err(weather) => {
                    tracing::debug!(%weather, "it cannot be said which partitions have leaders");
                    None
                }
            })
            .collect();
        let has_leader =
            |partition: &TopicPartition| led.get(&partition.topic).is_some_and(|led| led.contains(partition));
        for watch in self.watched.lock().unwrap_or_else(PoisonError::into_inner).values_mut() {
            watch.back |= watch.partitions.iter().all(has_leader);
        }
    }

    /// Looks again and again until told to stop; sleeps while nothing is away.
    pub(crate) fn follow(&self, shared: &Shared) {
        while !shared.shutdown.wait(LOOK_EVERY) {
            {
                let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
                if watched.values().all(|watch| watch.back) {
                    drop(self.changed.wait_timeout(watched, LOOK_EVERY));
                    continue;
                }
            }
            self.look(&*shared.broker);
        }
    }
}

/// The partitions of a topic that have a leader.
fn led(broker: &dyn Broker, topic: &Topic) -> Result<BTreeSet<TopicPartition>, Weather> {
    let partitions = broker.topic(topic)?.map(|description| description.partitions).unwrap_or_default();
    let led = partitions.into_iter().filter(|(_, leaderless)| !leaderless);
    Ok(led.map(|(partition, _)| TopicPartition::new(topic.clone(), partition)).collect())
}
