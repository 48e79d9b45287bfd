//! What the registry knows: a fold of its topic. Pure; no clock, no I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use broker::CompatibilityLevel;
use contract::avro::Schema;

use crate::records::{Event, SchemaValue};

/// One version of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    /// The schema's id.
    pub(crate) id: u32,
    /// Soft-deleted.
    pub(crate) deleted: bool,
}

/// A schema by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The text as the topic holds it.
    pub(crate) text: Arc<str>,
    /// The kind; `None` is Avro.
    pub(crate) kind: Option<String>,
    /// The versions that use it, soft-deleted ones too.
    pub(crate) used: BTreeSet<(String, u32)>,
}

/// The fold.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    /// Versions by subject.
    pub(crate) subjects: BTreeMap<String, BTreeMap<u32, Version>>,
    /// Schemas by id.
    pub(crate) schemas: BTreeMap<u32, Stored>,
    /// Ids by normalized text.
    ids: HashMap<Arc<str>, u32>,
    /// The highest id ever seen; ids are not used again.
    highest: u32,
    /// The level of all.
    pub(crate) level: Option<CompatibilityLevel>,
    /// Levels of subjects.
    pub(crate) levels: BTreeMap<String, CompatibilityLevel>,
    /// The mode of all.
    pub(crate) mode: Option<String>,
    /// Modes of subjects.
    pub(crate) modes: BTreeMap<String, String>,
    /// The first record that was not understood: where and why. While there is one nothing is written.
    pub(crate) foreign: Option<String>,
}

impl State {
    /// Folds one record. `place` names it in what is said about it.
    pub(crate) fn fold(&mut self, key: Option<&[u8]>, value: Option<&[u8]>, place: &str) {
        match Event::read(key, value) {
            Ok(event) => self.apply(event),
            Err(why) => {
                self.foreign.get_or_insert_with(|| format!("{place}: {why}"));
            }
        }
    }

    /// Applies what a record says, or what one that is to be written will say.
    pub(crate) fn apply(&mut self, event: Event) {
        match event {
            Event::Schema(value) => self.version(value),
            Event::SchemaGone { subject, version } => self.gone(&subject, version),
            Event::DeleteSubject { subject, version } => {
                for (_, known) in
                    self.subjects.get_mut(&subject).into_iter().flat_map(|versions| versions.range_mut(..=version))
                {
                    known.deleted = true;
                }
            }
            Event::Level { subject: None, level } => self.level = level,
            Event::Level { subject: Some(subject), level } => put(&mut self.levels, subject, level),
            Event::Mode { subject: None, mode } => self.mode = mode,
            Event::Mode { subject: Some(subject), mode } => put(&mut self.modes, subject, mode),
            Event::Noop => {}
        }
    }

    fn version(&mut self, value: SchemaValue) {
        let SchemaValue { subject, version, id, kind, schema, deleted } = value;
        let before = self.subjects.get(&subject).and_then(|versions| versions.get(&version)).map(|version| version.id);
        if before.is_some_and(|before| before != id) {
            self.gone(&subject, version);
        }
        self.highest = self.highest.max(id);
        let kind = kind.filter(|kind| kind != "AVRO");
        if !self.schemas.contains_key(&id) {
            let text: Arc<str> = schema.into();
            if kind.is_none() {
                let normal =
                    Schema::parse(&text).map_or_else(|_| Arc::clone(&text), |schema| schema.normalized().into());
                self.ids.entry(normal).or_insert(id);
            }
            self.schemas.insert(id, Stored { text, kind, used: BTreeSet::new() });
        }
        if let Some(stored) = self.schemas.get_mut(&id) {
            stored.used.insert((subject.clone(), version));
        }
        self.subjects.entry(subject).or_default().insert(version, Version { id, deleted });
    }

    fn gone(&mut self, subject: &str, version: u32) {
        let Some(versions) = self.subjects.get_mut(subject) else { return };
        let Some(gone) = versions.remove(&version) else { return };
        if versions.is_empty() {
            self.subjects.remove(subject);
        }
        if let Some(stored) = self.schemas.get_mut(&gone.id) {
            stored.used.remove(&(subject.to_owned(), version));
            if stored.used.is_empty() {
                self.schemas.remove(&gone.id);
                self.ids.retain(|_, id| *id != gone.id);
            }
        }
    }

    /// The id of this normalized text, if a version anywhere has it.
    pub(crate) fn id_of(&self, normal: &str) -> Option<u32> {
        self.ids.get(normal).copied()
    }

    /// The id that the next new schema gets; `None` where the numbers are used up.
    pub(crate) fn next_id(&self) -> Option<u32> {
        self.highest.checked_add(1).filter(|id| i32::try_from(*id).is_ok())
    }

    /// The versions of a subject, soft-deleted ones where `deleted`, in order.
    pub(crate) fn versions(&self, subject: &str, deleted: bool) -> Vec<(u32, &Version)> {
        let versions = self.subjects.get(subject).into_iter().flatten();
        versions
            .filter(|(_, version)| deleted || !version.deleted)
            .map(|(number, version)| (*number, version))
            .collect()
    }

    /// The level that holds for a subject.
    pub(crate) fn level_of(&self, subject: &str) -> CompatibilityLevel {
        self.levels.get(subject).copied().or(self.level).unwrap_or(CompatibilityLevel::Backward)
    }

    /// The mode that holds for a subject.
    pub(crate) fn mode_of(&self, subject: &str) -> &str {
        self.modes.get(subject).or(self.mode.as_ref()).map_or("READWRITE", String::as_str)
    }
}

fn put<T>(map: &mut BTreeMap<String, T>, key: String, value: Option<T>) {
    match value {
        Some(value) => {
            map.insert(key, value);
        }
        None => {
            map.remove(&key);
        }
    }
}
