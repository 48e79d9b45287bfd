//! The topic: read by one thread into the fold, written in transactions that fence other registries.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use broker::{AdminError, Broker, Isolation, NewTopic, OutRecord, Position, Reader, Weather, WriteError, Writer};
use schemas::{Names, Offset, Partition, Topic, TopicPartition, TransactionalId};

use crate::decide::Decision;
use crate::refusal::Refusal;
use crate::round::{self, Queue, Waiting, Write};
use crate::state::State;

/// How long opening may take to read the topic.
const OPEN: Duration = Duration::from_secs(30);
/// How long a write waits for the fold to reach the end of the topic.
const CATCH_UP: Duration = Duration::from_secs(10);
/// How long the tailing thread waits for records, and so how long it takes to end.
const POLL: Duration = Duration::from_millis(200);
/// How often a decision is taken again when another registry wrote first.
const ATTEMPTS: usize = 5;

/// What is known, and up to where.
struct View {
    state: Arc<State>,
    position: Offset,
    stopped: bool,
}

struct Shared {
    view: Mutex<View>,
    moved: Condvar,
}

impl Shared {
    fn view(&self) -> MutexGuard<'_, View> {
        // A poisoned lock only says that a thread panicked; the fold is applied record by record.
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until everything before `end` is folded.
    fn reach(&self, end: Offset, patience: Duration) -> Result<Arc<State>, Weather> {
        let view = self.view();
        let (view, late) = self
            .moved
            .wait_timeout_while(view, patience, |view| view.position < end && !view.stopped)
            .unwrap_or_else(PoisonError::into_inner);
        if late.timed_out() || view.position < end {
            return Err(Weather::new(
                format!("read the registry's topic to {end}"),
                format!("it was read to {} after {patience:?}", view.position),
            ));
        }
        Ok(Arc::clone(&view.state))
    }
}

/// The fold of the topic and the one way to add to it.
pub(crate) struct Store {
    broker: Arc<dyn Broker>,
    partition: TopicPartition,
    id: TransactionalId,
    shared: Arc<Shared>,
    /// Writes that wait for the one that is under way.
    waiting: Queue,
    /// One transaction at a time; a writer lives until it is fenced or fails.
    writer: Mutex<Option<Box<dyn Writer>>>,
    tail: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shared.view().stopped = true;
        self.shared.moved.notify_all();
        if let Some(tail) = self.tail.take() {
            // A panic of the thread was reported where it happened.
            let _ = tail.join();
        }
    }
}

impl Store {
    /// Makes the topic where it is missing and reads it to its end.
    pub(crate) fn open(broker: Arc<dyn Broker>, names: &Names) -> Result<Self, Weather> {
        let topic = names.schemas();
        ensure(broker.as_ref(), &topic)?;
        let partition = TopicPartition::new(topic, Partition(0));
        let reader = broker.reader(&[(partition.clone(), Position::Beginning)], Isolation::Committed)?;
        let view = View { state: Arc::default(), position: Offset::ZERO, stopped: false };
        let shared = Arc::new(Shared { view: Mutex::new(view), moved: Condvar::new() });
        let tail = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("registry-tail".to_owned())
                .spawn(move || tail(reader, &shared))
                .map_err(|why| Weather::new("start the thread that reads the registry's topic", why))?
        };
        let store = Self {
            broker,
            partition,
            id: names.registry_producer(),
            shared,
            waiting: Queue::default(),
            writer: Mutex::new(None),
            tail: Some(tail),
        };
        let end = store.end()?;
        store.shared.reach(end, OPEN)?;
        Ok(store)
    }

    /// What is known now.
    pub(crate) fn state(&self) -> Arc<State> {
        Arc::clone(&self.shared.view().state)
    }

    /// The topic itself answers.
    pub(crate) fn end(&self) -> Result<Offset, Weather> {
        let ends = self.broker.ends(std::slice::from_ref(&self.partition), true)?;
        ends.get(&self.partition)
            .map(|(_, end)| *end)
            .ok_or_else(|| Weather::new(format!("find the end of {}", self.partition), "the broker did not name it"))
    }

    /// Decides on what is known to the end of the topic, writes, and returns once it is folded. Writes that
    /// come meanwhile wait, and go into one transaction together.
    pub(crate) fn write<T: Send + 'static>(
        &self,
        decide: impl Fn(&State) -> Result<Decision<T>, Refusal> + Send + Sync + 'static,
    ) -> Result<T, Refusal> {
        // What is there already needs no transaction: most registrations are repetitions.
        if let Ok(Decision { events, answer }) = decide(&self.state())
            && events.is_empty()
        {
            return Ok(answer);
        }
        let write = Arc::new(Write::new(decide));
        self.waiting.push(Arc::<Write<T, _>>::clone(&write));
        let mut slot = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(answer) = write.answer() {
                return answer;
            }
            let mut writes = self.waiting.take();
            if let Err(refusal) = self.round(&mut slot, &mut writes) {
                writes.iter().for_each(|write| write.refuse(refusal.clone()));
            }
        }
    }

    /// One transaction for these writes. After an error those that are left have no answer.
    fn round(&self, slot: &mut Option<Box<dyn Writer>>, writes: &mut Vec<Arc<dyn Waiting>>) -> Result<(), Refusal> {
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            // An unfenced writer proves that the end known here is the end that the decision is written at: who
            // writes in between fences it first. One that wrote before knows it, because nothing came after.
            let (mut writer, state) = match slot.take() {
                Some(writer) => (writer, self.state()),
                None => (self.broker.writer(&self.id)?, self.shared.reach(self.end()?, CATCH_UP)?),
            };
            if let Some(foreign) = &state.foreign {
                return Err(Refusal::new(
                    50001,
                    format!(
                        "{} holds a record that this registry does not understand ({foreign}); go on writing with the registry that wrote it, or give this one a backbone prefix of its own",
                        self.partition.topic
                    ),
                ));
            }
            let decided = round::decide(&state, writes);
            if decided.is_empty() {
                *slot = Some(writer);
                return Ok(());
            }
            match writer.commit(self.records(&decided)?, None) {
                Ok(written) => {
                    let next = written.iter().map(|written| written.offset.next()).max().unwrap_or(Offset::ZERO);
                    writes.retain(|write| !write.is_answered());
                    self.shared.reach(next, CATCH_UP)?;
                    writes.drain(..).for_each(|write| write.written());
                    *slot = Some(writer);
                    return Ok(());
                }
                Err(WriteError::Refused { index, reason }) => {
                    if let Some(write) = decided.get(index).and_then(|(write, _)| writes.get(*write)) {
                        write.refuse(Refusal::new(42209, format!("the broker refuses the record: {reason}")));
                    }
                    last = reason;
                }
                Err(why) => {
                    tracing::warn!(%why, "a decision of the registry is taken again");
                    last = why.to_string();
                    if matches!(why, WriteError::Unknown(_)) {
                        writes.iter().filter(|write| !write.is_answered()).for_each(|write| write.unknown());
                    }
                }
            }
            writes.retain(|write| !write.is_answered());
        }
        Err(Refusal::new(
            50001,
            format!("could not write to {} in {ATTEMPTS} attempts: {last}; try again", self.partition.topic),
        ))
    }

    fn records(&self, events: &[(usize, crate::records::Event)]) -> Result<Vec<OutRecord>, Refusal> {
        let record = |(_, event): &(usize, crate::records::Event)| {
            let (key, value) = event
                .write()
                .map_err(|why| Refusal::new(50001, format!("could not write the record as JSON: {why}")))?;
            Ok(OutRecord {
                topic: self.partition.topic.clone(),
                partition: Some(self.partition.partition),
                key: Some(key),
                value,
                headers: Vec::new(),
                timestamp: None,
            })
        };
        events.iter().map(record).collect()
    }
}

fn ensure(broker: &dyn Broker, topic: &Topic) -> Result<(), Weather> {
    let described = match broker.topic(topic)? {
        Some(described) => described,
        None => {
            let settings = BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
            let new = NewTopic { topic: topic.clone(), partitions: 1, replication: None, settings };
            for result in broker.create_topics(&[new])? {
                match result {
                    Ok(()) | Err(AdminError::Exists(_)) => {}
                    Err(why) => return Err(Weather::new(format!("create {topic}"), why)),
                }
            }
            return Ok(());
        }
    };
    if described.partitions.len() != 1 {
        let why = format!(
            "it has {} partitions, and the order of its records needs exactly one; give the backbone a prefix of its own",
            described.partitions.len()
        );
        return Err(Weather::new(format!("use {topic}"), why));
    }
    match broker.settings(topic) {
        Ok(settings) => {
            let policy = settings.get("cleanup.policy").and_then(|entry| entry.value.as_deref());
            if policy.is_some_and(|policy| policy != "compact") {
                tracing::warn!(%topic, ?policy, "schemas will be lost: set cleanup.policy=compact on this topic");
            }
        }
        Err(why) => tracing::warn!(%topic, %why, "could not see whether this topic is compacted"),
    }
    Ok(())
}

fn tail(mut reader: Box<dyn Reader>, shared: &Shared) {
    let mut pause = Duration::from_millis(50);
    loop {
        let polled = reader.poll(POLL);
        let mut view = shared.view();
        if view.stopped {
            return;
        }
        match polled {
            Ok(chunk) => {
                pause = Duration::from_millis(50);
                for record in &chunk.records {
                    let place = format!("{} offset {}", record.source, record.offset);
                    Arc::make_mut(&mut view.state).fold(record.key.as_deref(), record.value.as_deref(), &place);
                }
                if let Some((_, position)) = reader.positions().first() {
                    view.position = view.position.max(*position);
                }
                drop(view);
                shared.moved.notify_all();
            }
            Err(why) => {
                tracing::warn!(%why, "the registry's topic cannot be read for now");
                let until = Instant::now() + pause;
                pause = (pause * 2).min(Duration::from_secs(2));
                // Waits on the condition rather than sleeping, so that closing is not held up.
                while !view.stopped {
                    let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
                        break;
                    };
                    view = shared.moved.wait_timeout(view, left).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }
}
