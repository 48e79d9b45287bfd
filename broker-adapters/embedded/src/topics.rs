//! Which topics there are, with their ids, partitions and settings; made, changed and deleted one change at a time,
//! each in the journal before anybody sees it.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use kafka_protocol::error::ResponseError;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock;
use crate::configs::{self, Overrides};
use crate::log::{Log, LogError};
use crate::partition::Partition;

/// A topic as the journal remembers it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TopicRecord {
    pub(crate) name: String,
    pub(crate) id: [u8; 16],
    pub(crate) partitions: u32,
    pub(crate) configs: Overrides,
}

/// A change of topics or settings, as the journal remembers it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum TopicChange {
    /// A topic was made, or got partitions or settings.
    Put(TopicRecord),
    /// A topic was deleted.
    Deleted { name: String },
    /// Settings of the broker, all of them.
    Broker(Overrides),
}

/// One topic. A change makes a new value; who holds the old one sees the old one.
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) id: Uuid,
    pub(crate) partitions: Vec<Arc<Partition>>,
    pub(crate) configs: Overrides,
}

impl Topic {
    /// The partition of this number, as requests write it.
    pub(crate) fn partition(&self, index: i32) -> Option<&Arc<Partition>> {
        self.partitions.get(usize::try_from(index).ok()?)
    }

    fn record(&self) -> TopicRecord {
        TopicRecord {
            name: self.name.clone(),
            id: *self.id.as_bytes(),
            partitions: u32::try_from(self.partitions.len()).unwrap_or(u32::MAX),
            configs: self.configs.clone(),
        }
    }
}

/// Where changes are remembered.
pub(crate) trait ChangeStore: Send + Sync {
    /// # Errors
    /// The change is not written.
    fn remember(&self, change: TopicChange) -> io::Result<()>;
}

/// Why a change was refused: Kafka's error, and a sentence.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) error: ResponseError,
    pub(crate) why: String,
}

/// A refusal.
pub(crate) fn refused(error: ResponseError, why: impl Into<String>) -> Refused {
    Refused { error, why: why.into() }
}

/// A topic to be made.
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) partitions: u32,
    pub(crate) configs: Overrides,
}

/// How many there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) topics: usize,
    pub(crate) partitions: usize,
}

#[derive(Default)]
struct Known {
    by_name: BTreeMap<String, Arc<Topic>>,
    by_id: HashMap<Uuid, Arc<Topic>>,
    broker: Arc<Overrides>,
    partitions: usize,
}

/// All topics.
pub(crate) struct Topics {
    data: PathBuf,
    room: Room,
    known: RwLock<Known>,
    /// One change at a time.
    changes: Mutex<()>,
}

impl Topics {
    /// The topics that the journal remembers, with their logs opened; and what was mended on the way.
    ///
    /// # Errors
    /// A log cannot be opened.
    pub(crate) fn open(data: &Path, room: Room, changes: Vec<TopicChange>) -> Result<(Self, Vec<String>), LogError> {
        let (records, broker) = replayed(changes);
        let (mut notes, mut known) = (Vec::new(), Known { broker: Arc::new(broker), ..Known::default() });
        sweep(data, &mut notes);
        for record in records.into_values() {
            let mut partitions = Vec::new();
            for index in 0..record.partitions {
                let path = data.join(directory(&record.name, index));
                if !path.exists() {
                    let name = &record.name;
                    notes.push(format!(
                        "{name}-{index}: its directory is gone, and its records with it; it begins anew"
                    ));
                }
                let (partition, said) = open_log(&path, &record.configs, &known.broker)?;
                notes.extend(said.into_iter().map(|note| format!("{}-{index}: {note}", record.name)));
                partitions.push(partition);
            }
            let (id, name, configs) = (Uuid::from_bytes(record.id), record.name, record.configs);
            known.put(Topic { name, id, partitions, configs });
        }
        Ok((Self { data: data.to_owned(), room, known: RwLock::new(known), changes: Mutex::default() }, notes))
    }

    /// The least changes that say the same.
    pub(crate) fn snapshot(&self) -> Vec<TopicChange> {
        let known = self.known();
        let broker = TopicChange::Broker(known.broker.as_ref().clone());
        let topics = known.by_name.values().map(|topic| TopicChange::Put(topic.record()));
        std::iter::once(broker).chain(topics).collect()
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.known().by_name.get(name).cloned()
    }

    pub(crate) fn by_id(&self, id: &Uuid) -> Option<Arc<Topic>> {
        self.known().by_id.get(id).cloned()
    }

    /// All, in the order of their names.
    pub(crate) fn all(&self) -> Vec<Arc<Topic>> {
        self.known().by_name.values().cloned().collect()
    }

    /// The settings of the broker that topics fall back to.
    pub(crate) fn broker_configs(&self) -> Arc<Overrides> {
        Arc::clone(&self.known().broker)
    }

    /// Makes a topic, or only looks whether it could be made.
    ///
    /// # Errors
    /// It is refused, or cannot be kept.
    pub(crate) fn create(&self, wanted: Wanted, dry: bool, store: &dyn ChangeStore) -> Result<Arc<Topic>, Refused> {
        let _one = self.one_change();
        self.may_be_made(&wanted)?;
        let (id, broker) = (Uuid::new_v4(), self.broker_configs());
        let mut topic = Topic { name: wanted.name, id, partitions: Vec::new(), configs: wanted.configs };
        if dry {
            return Ok(Arc::new(topic));
        }
        for index in 0..wanted.partitions {
            topic.partitions.push(self.make_log(&topic, index, &broker)?);
        }
        let kept = store.remember(TopicChange::Put(topic.record()));
        kept.map_err(|error| refused(ResponseError::KafkaStorageError, cannot_keep(&error)))?;
        Ok(self.write().put(topic))
    }

    fn may_be_made(&self, wanted: &Wanted) -> Result<(), Refused> {
        legal(&wanted.name).map_err(|why| refused(ResponseError::InvalidTopicException, why))?;
        if self.get(&wanted.name).is_some() {
            let why = format!("Topic '{}' already exists.", wanted.name);
            return Err(refused(ResponseError::TopicAlreadyExists, why));
        }
        let alike = |name: &str| name.replace('.', "_");
        let same = alike(&wanted.name);
        let known = self.known();
        if let Some(other) = known.by_name.keys().find(|name| alike(name) == same) {
            let why = format!("Topic '{}' collides with existing topic: {other}", wanted.name);
            return Err(refused(ResponseError::InvalidTopicException, why));
        }
        check(&wanted.configs)?;
        if wanted.partitions == 0 {
            let why = "Number of partitions must be larger than 0.";
            return Err(refused(ResponseError::InvalidPartitions, why));
        }
        if known.by_name.len() >= self.room.topics {
            return Err(refused(
                ResponseError::PolicyViolation,
                format!("this broker has its {} topics", self.room.topics),
            ));
        }
        self.room_for(&known, wanted.partitions as usize)
    }

    fn room_for(&self, known: &Known, more: usize) -> Result<(), Refused> {
        if known.partitions.saturating_add(more) <= self.room.partitions {
            return Ok(());
        }
        let why = format!("this broker has room for {} partitions, and has {}", self.room.partitions, known.partitions);
        Err(refused(ResponseError::InvalidPartitions, why))
    }

    /// Gives a topic more partitions.
    ///
    /// # Errors
    /// It is refused, or cannot be kept.
    pub(crate) fn grow(&self, name: &str, count: i32, dry: bool, store: &dyn ChangeStore) -> Result<(), Refused> {
        let _one = self.one_change();
        let unknown =
            || refused(ResponseError::UnknownTopicOrPartition, "This server does not host this topic-partition.");
        let topic = self.get(name).ok_or_else(unknown)?;
        let has = topic.partitions.len();
        let Some(count) = u32::try_from(count).ok().filter(|count| *count as usize > has) else {
            let why = if usize::try_from(count) == Ok(has) {
                format!("Topic already has {has} partition(s).")
            } else {
                format!("The topic {name} currently has {has} partition(s); {count} would not be an increase.")
            };
            return Err(refused(ResponseError::InvalidPartitions, why));
        };
        self.room_for(&self.known(), count as usize - has)?;
        if dry {
            return Ok(());
        }
        let broker = self.broker_configs();
        let mut grown = topic.with_configs(topic.configs.clone());
        for index in u32::try_from(has).unwrap_or(count)..count {
            grown.partitions.push(self.make_log(&topic, index, &broker)?);
        }
        self.replace(grown, store)
    }

    /// Gives a topic these settings in the place of those it has.
    ///
    /// # Errors
    /// They are refused, or cannot be kept.
    pub(crate) fn configure(
        &self,
        name: &str,
        change: impl FnOnce(&Overrides) -> Result<Overrides, Refused>,
        dry: bool,
        store: &dyn ChangeStore,
    ) -> Result<(), Refused> {
        let _one = self.one_change();
        let unknown = || refused(ResponseError::UnknownTopicOrPartition, format!("The topic '{name}' does not exist."));
        let topic = self.get(name).ok_or_else(unknown)?;
        let configs = change(&topic.configs)?;
        check(&configs)?;
        if dry {
            return Ok(());
        }
        self.replace(topic.with_configs(configs), store)?;
        self.reconfigure_logs(Some(name));
        Ok(())
    }

    /// The same for the settings of the broker.
    ///
    /// # Errors
    /// They are refused, or cannot be kept.
    pub(crate) fn configure_broker(
        &self,
        change: impl FnOnce(&Overrides) -> Result<Overrides, Refused>,
        dry: bool,
        store: &dyn ChangeStore,
    ) -> Result<(), Refused> {
        let _one = self.one_change();
        let configs = change(&self.broker_configs())?;
        for (name, value) in &configs {
            let definition = configs::of_broker(name).ok_or_else(|| {
                refused(ResponseError::InvalidRequest, format!("Cannot update these configs dynamically: [{name}]"))
            })?;
            definition.check(value).map_err(|why| refused(ResponseError::InvalidConfig, why))?;
        }
        if dry {
            return Ok(());
        }
        let kept = store.remember(TopicChange::Broker(configs.clone()));
        kept.map_err(|error| refused(ResponseError::KafkaStorageError, cannot_keep(&error)))?;
        self.write().broker = Arc::new(configs);
        self.reconfigure_logs(None);
        Ok(())
    }

    /// Deletes a topic: nobody finds it any more, and its files go.
    ///
    /// # Errors
    /// That it is gone cannot be kept.
    pub(crate) fn delete(&self, topic: &Topic, store: &dyn ChangeStore) -> Result<(), Refused> {
        let _one = self.one_change();
        let kept = store.remember(TopicChange::Deleted { name: topic.name.clone() });
        kept.map_err(|error| refused(ResponseError::KafkaStorageError, cannot_keep(&error)))?;
        self.write().remove(topic);
        topic.partitions.iter().for_each(|partition| partition.let_go());
        for index in 0..topic.partitions.len() {
            let path = self.data.join(directory(&topic.name, u32::try_from(index).unwrap_or(u32::MAX)));
            if let Err(error) = remove(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove a deleted topic's files; the next start tries again");
            }
        }
        Ok(())
    }

    fn make_log(&self, topic: &Topic, index: u32, broker: &Overrides) -> Result<Arc<Partition>, Refused> {
        let path = self.data.join(directory(&topic.name, index));
        let cannot = |why: String| refused(ResponseError::KafkaStorageError, why);
        if path.exists() {
            // A creation that was cut short, or a deletion whose files are still there.
            remove(&path).map_err(|error| cannot(cannot_keep(&error)))?;
        }
        open_log(&path, &topic.configs, broker)
            .map(|(partition, _)| partition)
            .map_err(|error| cannot(error.to_string()))
    }

    fn replace(&self, topic: Topic, store: &dyn ChangeStore) -> Result<(), Refused> {
        let kept = store.remember(TopicChange::Put(topic.record()));
        kept.map_err(|error| refused(ResponseError::KafkaStorageError, cannot_keep(&error)))?;
        self.write().put(topic);
        Ok(())
    }

    fn reconfigure_logs(&self, only: Option<&str>) {
        let broker = self.broker_configs();
        for topic in self.all().iter().filter(|topic| only.is_none_or(|name| name == topic.name)) {
            for partition in &topic.partitions {
                partition.log().set_config(configs::log_config(&topic.configs, &broker));
            }
        }
    }

    fn one_change(&self) -> MutexGuard<'_, ()> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Topic {
    fn with_configs(&self, configs: Overrides) -> Self {
        Self { name: self.name.clone(), id: self.id, partitions: self.partitions.clone(), configs }
    }
}

impl Known {
    fn put(&mut self, topic: Topic) -> Arc<Topic> {
        let topic = Arc::new(topic);
        self.partitions += topic.partitions.len();
        self.by_id.insert(topic.id, Arc::clone(&topic));
        if let Some(before) = self.by_name.insert(topic.name.clone(), Arc::clone(&topic)) {
            self.partitions -= before.partitions.len();
        }
        topic
    }

    fn remove(&mut self, topic: &Topic) {
        self.by_id.remove(&topic.id);
        if let Some(before) = self.by_name.remove(&topic.name) {
            self.partitions -= before.partitions.len();
        }
    }
}

/// As Kafka's `Topic.validate`.
pub(crate) fn legal(name: &str) -> Result<(), String> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    if name.is_empty() {
        return Err("the empty string is not allowed".to_owned());
    }
    if matches!(name, "." | "..") {
        return Err(format!("Topic name is invalid: '{name}' is not allowed"));
    }
    if name.len() > 249 {
        return Err(format!("Topic name is invalid: the length of '{name}' is longer than the max allowed length 249"));
    }
    if !name.chars().all(fits) {
        return Err(format!(
            "Topic name is invalid: '{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        ));
    }
    Ok(())
}

fn check(configs: &Overrides) -> Result<(), Refused> {
    for (name, value) in configs {
        let unknown = || refused(ResponseError::InvalidConfig, format!("Unknown topic config name: {name}"));
        let definition = configs::of_topic(name).ok_or_else(unknown)?;
        definition.check(value).map_err(|why| refused(ResponseError::InvalidConfig, why))?;
    }
    Ok(())
}

fn cannot_keep(error: &io::Error) -> String {
    format!("cannot write to the data directory: {error}")
}

/// The topics and the broker's settings after these changes.
fn replayed(changes: impl IntoIterator<Item = TopicChange>) -> (BTreeMap<String, TopicRecord>, Overrides) {
    let (mut records, mut broker) = (BTreeMap::new(), Overrides::new());
    for change in changes {
        match change {
            TopicChange::Put(record) => drop(records.insert(record.name.clone(), record)),
            TopicChange::Deleted { name } => drop(records.remove(&name)),
            TopicChange::Broker(overrides) => broker = overrides,
        }
    }
    (records, broker)
}

/// The directories of all partitions that there are after these changes.
pub(crate) fn directories(changes: impl IntoIterator<Item = TopicChange>) -> Vec<String> {
    let (records, _) = replayed(changes);
    let of = |record: &TopicRecord| (0..record.partitions).map(|index| directory(&record.name, index)).collect();
    records.values().flat_map(|record| -> Vec<String> { of(record) }).collect()
}

/// The directory of a partition's log.
pub(crate) fn directory(topic: &str, partition: u32) -> String {
    format!("{topic}-{partition}")
}

/// What a directory is named on its way out: no topic's partition ends so.
const LEAVING: &str = ".leaving";

/// Renames first, so that a directory is there whole or not at all.
fn remove(path: &Path) -> io::Result<()> {
    // A name of its own: the topic's may be as long as names may be.
    let leaving = path.with_file_name(format!(".{}{LEAVING}", Uuid::new_v4().simple()));
    fs::rename(path, &leaving)?;
    fs::remove_dir_all(&leaving)
}

/// Removes what was on its way out when the broker before ended.
fn sweep(data: &Path, notes: &mut Vec<String>) {
    for entry in fs::read_dir(data).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.to_string_lossy().ends_with(LEAVING)
            && let Err(error) = fs::remove_dir_all(&path)
        {
            notes.push(format!("cannot remove {}: {error}", path.display()));
        }
    }
}

fn open_log(path: &Path, configs: &Overrides, broker: &Overrides) -> Result<(Arc<Partition>, Vec<String>), LogError> {
    let (log, recovery) = Log::open(path, configs::log_config(configs, broker), clock::now())?;
    Ok((Arc::new(Partition::new(log)), recovery.notes))
}
