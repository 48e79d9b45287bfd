//! A steward's process that dies at a step: broker and registry as they are, but the process takes its last
//! step at a number that is given, and nothing it asks after that is ever answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use broker::memory::{MemoryBroker, MemoryRegistry};
use broker::{
    Admin, AdminError, Broker, Chunk, Cluster, CommittedOffset, CompatibilityLevel, ConfigChange, Isolation, Lane,
    LaneOptions, Lookup, NewTopic, OutRecord, Position, Progress, Reader, Registered, Registry, SlotMember,
    SlotOptions, Standing, TopicDescription, TopicSetting, Weather, WriteError, Writer, Written,
};
use schemas::{GroupId, Offset, SchemaId, Slot, Subject, Topic, TopicPartition, TransactionalId};
use steward::Steward;

use crate::world::World;

/// When the process dies.
#[derive(Debug)]
pub(crate) struct Death {
    at: usize,
    after: bool,
    taken: AtomicUsize,
    dead: AtomicBool,
}

impl Death {
    /// Just before the step, or just after it took effect.
    pub(crate) fn at(step: usize, after: bool) -> Arc<Self> {
        Arc::new(Self { at: step, after, taken: AtomicUsize::new(0), dead: AtomicBool::new(false) })
    }

    /// Whether it came to that.
    pub(crate) fn came(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    fn step<T, E: From<Weather>>(&self, act: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let weather = || E::from(Weather::new("go on", "the process died"));
        if self.came() {
            return Err(weather());
        }
        if self.taken.fetch_add(1, Ordering::SeqCst) == self.at {
            self.dead.store(true, Ordering::SeqCst);
            if self.after {
                act()?;
            }
            return Err(weather());
        }
        act()
    }
}

#[derive(Debug)]
struct Mortal<T> {
    inner: Arc<T>,
    death: Arc<Death>,
}

/// A steward in such a process.
pub(crate) fn steward(world: &World, death: &Arc<Death>) -> Steward {
    let broker: Mortal<MemoryBroker> = Mortal { inner: Arc::clone(&world.broker), death: Arc::clone(death) };
    let registry: Mortal<MemoryRegistry> = Mortal { inner: Arc::clone(&world.registry), death: Arc::clone(death) };
    Steward::new(Arc::new(broker), Arc::new(registry), world.names.clone(), world.codec.clone(), "a")
}

impl Admin for Mortal<MemoryBroker> {
    fn cluster(&self) -> Result<Cluster, Weather> {
        self.death.step(|| self.inner.cluster())
    }

    fn topics(&self) -> Result<Vec<TopicDescription>, Weather> {
        self.death.step(|| self.inner.topics())
    }

    fn topic(&self, topic: &Topic) -> Result<Option<TopicDescription>, Weather> {
        self.death.step(|| self.inner.topic(topic))
    }

    fn settings(&self, topic: &Topic) -> Result<TopicSetting, AdminError> {
        self.death.step(|| self.inner.settings(topic))
    }

    /// Each topic is a step of its own: a request may be carried out in part.
    fn create_topics(&self, topics: &[NewTopic]) -> Result<Vec<Result<(), AdminError>>, Weather> {
        let one = |new| self.death.step(|| self.inner.create_topics(std::slice::from_ref(new)));
        topics.iter().map(|new| Ok(one(new)?.remove(0))).collect()
    }

    fn add_partitions(&self, topic: &Topic, count: u32) -> Result<(), AdminError> {
        self.death.step(|| self.inner.add_partitions(topic, count))
    }

    fn alter_settings(&self, topic: &Topic, changes: &BTreeMap<String, ConfigChange>) -> Result<(), AdminError> {
        self.death.step(|| self.inner.alter_settings(topic, changes))
    }

    fn delete_topic(&self, topic: &Topic) -> Result<(), AdminError> {
        self.death.step(|| self.inner.delete_topic(topic))
    }

    fn ends(
        &self,
        partitions: &[TopicPartition],
        committed: bool,
    ) -> Result<BTreeMap<TopicPartition, (Offset, Offset)>, Weather> {
        self.death.step(|| self.inner.ends(partitions, committed))
    }

    fn group_offsets(
        &self,
        group: &GroupId,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, Weather> {
        self.death.step(|| self.inner.group_offsets(group, partitions))
    }
}

impl Broker for Mortal<MemoryBroker> {
    fn reader(&self, from: &[(TopicPartition, Position)], isolation: Isolation) -> Result<Box<dyn Reader>, Weather> {
        let inner = self.death.step(|| self.inner.reader(from, isolation))?;
        Ok(Box::new(MortalReader { inner, death: Arc::clone(&self.death) }))
    }

    fn writer(&self, id: &TransactionalId) -> Result<Box<dyn Writer>, Weather> {
        let inner = self.death.step(|| self.inner.writer(id))?;
        Ok(Box::new(MortalWriter { inner, death: Arc::clone(&self.death) }))
    }

    fn join_slots(&self, options: &SlotOptions) -> Result<Box<dyn SlotMember>, Weather> {
        self.inner.join_slots(options)
    }

    fn lane(&self, slot: Slot, options: &LaneOptions) -> Result<Box<dyn Lane>, Weather> {
        self.inner.lane(slot, options)
    }
}

struct MortalReader {
    inner: Box<dyn Reader>,
    death: Arc<Death>,
}

impl Reader for MortalReader {
    fn poll(&mut self, max_wait: Duration) -> Result<Chunk, Weather> {
        self.death.step(|| self.inner.poll(max_wait))
    }

    fn positions(&self) -> Vec<(TopicPartition, Offset)> {
        self.inner.positions()
    }
}

struct MortalWriter {
    inner: Box<dyn Writer>,
    death: Arc<Death>,
}

struct Outcome(WriteError);

impl From<Weather> for Outcome {
    fn from(weather: Weather) -> Self {
        Self(WriteError::Unknown(weather))
    }
}

impl Writer for MortalWriter {
    fn commit(&mut self, records: Vec<OutRecord>, progress: Option<&Progress>) -> Result<Vec<Written>, WriteError> {
        self.death.step(|| self.inner.commit(records, progress).map_err(Outcome)).map_err(|Outcome(error)| error)
    }
}

impl Registry for Mortal<MemoryRegistry> {
    fn schema(&self, id: SchemaId) -> Result<Lookup, Weather> {
        self.death.step(|| self.inner.schema(id))
    }

    fn register(&self, subject: &Subject, schema: &str) -> Result<Registered, Weather> {
        self.death.step(|| self.inner.register(subject, schema))
    }

    fn standing(&self, subject: &Subject, schema: &str) -> Result<Standing, Weather> {
        self.death.step(|| self.inner.standing(subject, schema))
    }

    fn latest(&self, subject: &Subject) -> Result<Option<(SchemaId, Arc<str>)>, Weather> {
        self.death.step(|| self.inner.latest(subject))
    }

    fn would_refuse(&self, subject: &Subject, schema: &str) -> Result<Option<String>, Weather> {
        self.death.step(|| self.inner.would_refuse(subject, schema))
    }

    fn level(&self, subject: &Subject) -> Result<Option<CompatibilityLevel>, Weather> {
        self.death.step(|| self.inner.level(subject))
    }

    fn set_level(&self, subject: &Subject, level: CompatibilityLevel) -> Result<(), Weather> {
        self.death.step(|| self.inner.set_level(subject, level))
    }

    fn ping(&self) -> Result<(), Weather> {
        self.death.step(|| self.inner.ping())
    }
}
