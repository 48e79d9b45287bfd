//! A schema registry in memory, with an outage to switch on and followers that lag.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schemas::{SchemaId, Subject};

use crate::log::Weather;
use crate::registry::{CompatibilityLevel, Lookup, Registered, Registry, Standing};

/// Whether a subject with these versions (oldest first) takes a new schema at this level; `None` yes, else
/// why not. Not asked at [`CompatibilityLevel::None`].
pub type Compatibility = dyn Fn(CompatibilityLevel, &str, &[Arc<str>]) -> Option<String> + Send + Sync;

/// The level of a subject that has none of its own: Confluent's default.
const DEFAULT_LEVEL: CompatibilityLevel = CompatibilityLevel::Backward;

#[derive(Debug)]
struct Entry {
    lookup: Lookup,
    /// Asks that are still answered "unknown", as by a follower that has not caught up.
    hidden_for: u32,
}

#[derive(Debug, Default)]
struct Contents {
    entries: BTreeMap<SchemaId, Entry>,
    subjects: BTreeMap<Subject, Vec<SchemaId>>,
    levels: BTreeMap<Subject, CompatibilityLevel>,
    lag: u32,
    outage: bool,
}

impl Contents {
    fn insert(&mut self, lookup: Lookup) -> SchemaId {
        if let Some((id, _)) = self.entries.iter().find(|(_, entry)| entry.lookup == lookup) {
            return *id;
        }
        let last = self.entries.last_key_value().map_or(0, |(id, _)| id.0);
        let id = SchemaId(last + 1);
        self.entries.insert(id, Entry { lookup, hidden_for: self.lag });
        id
    }

    fn versions(&self, subject: &Subject) -> Vec<Arc<str>> {
        let ids = self.subjects.get(subject).map(Vec::as_slice).unwrap_or_default();
        ids.iter().filter_map(|id| self.text(*id)).collect()
    }

    fn text(&self, id: SchemaId) -> Option<Arc<str>> {
        match &self.entries.get(&id)?.lookup {
            Lookup::Avro(text) => Some(Arc::clone(text)),
            _ => None,
        }
    }
}

/// A registry in memory.
#[derive(Default)]
pub struct MemoryRegistry {
    contents: Mutex<Contents>,
    compatibility: Option<Box<Compatibility>>,
}

impl MemoryRegistry {
    /// An empty registry that takes every schema under every subject.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty registry that asks `compatibility` before it takes a schema.
    #[must_use]
    pub fn with_compatibility(
        compatibility: impl Fn(CompatibilityLevel, &str, &[Arc<str>]) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self { compatibility: Some(Box::new(compatibility)), ..Self::default() }
    }

    /// While `down`, every call fails with [`Weather`].
    pub fn set_outage(&self, down: bool) {
        self.lock().outage = down;
    }

    /// From now on a newly registered id is unknown to its first `asks` lookups.
    pub fn set_lag(&self, asks: u32) {
        self.lock().lag = asks;
    }

    /// Adds an Avro schema under no subject, past every check.
    pub fn insert(&self, schema: &str) -> SchemaId {
        self.lock().insert(Lookup::Avro(schema.into()))
    }

    /// Adds a schema of another kind ("JSON", "PROTOBUF") under no subject; each kind has one id.
    pub fn insert_other_kind(&self, kind: &str) -> SchemaId {
        self.lock().insert(Lookup::OtherKind(kind.to_owned()))
    }

    /// The ids under a subject, oldest first; empty where it does not exist.
    pub fn ids(&self, subject: &Subject) -> Vec<SchemaId> {
        self.lock().subjects.get(subject).cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, what: &str) -> Result<MutexGuard<'_, Contents>, Weather> {
        let contents = self.lock();
        if contents.outage {
            return Err(Weather::new(what, "the registry cannot be reached"));
        }
        Ok(contents)
    }

    fn refusal(&self, contents: &Contents, subject: &Subject, schema: &str) -> Option<String> {
        let level = contents.levels.get(subject).copied().unwrap_or(DEFAULT_LEVEL);
        let versions = contents.versions(subject);
        if level == CompatibilityLevel::None || versions.is_empty() {
            return None;
        }
        self.compatibility.as_ref().and_then(|check| check(level, schema, &versions))
    }
}

impl std::fmt::Debug for MemoryRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryRegistry").field("contents", &self.contents).finish_non_exhaustive()
    }
}

/// Why a text is no Avro schema at all, as far as this registry looks: JSON of a kind that can be one.
fn malformed(schema: &str) -> Option<String> {
    let text = schema.trim();
    let enclosed = [('{', '}'), ('[', ']'), ('"', '"')]
        .into_iter()
        .any(|(open, close)| text.len() >= 2 && text.starts_with(open) && text.ends_with(close));
    (!enclosed).then(|| format!("input schema is an invalid Avro schema: {text:?}"))
}

impl Registry for MemoryRegistry {
    fn schema(&self, id: SchemaId) -> Result<Lookup, Weather> {
        let mut contents = self.serve("look up a schema")?;
        let Some(entry) = contents.entries.get_mut(&id) else { return Ok(Lookup::Unknown) };
        if entry.hidden_for > 0 {
            entry.hidden_for -= 1;
            return Ok(Lookup::Unknown);
        }
        Ok(entry.lookup.clone())
    }

    fn register(&self, subject: &Subject, schema: &str) -> Result<Registered, Weather> {
        let mut contents = self.serve("register a schema")?;
        if let Some(why) = malformed(schema) {
            return Ok(Registered::Invalid(why));
        }
        let known = contents.versions(subject).iter().any(|version| **version == *schema);
        if !known && let Some(why) = self.refusal(&contents, subject, schema) {
            return Ok(Registered::Incompatible(why));
        }
        let id = contents.insert(Lookup::Avro(schema.into()));
        let ids = contents.subjects.entry(subject.clone()).or_default();
        if !ids.contains(&id) {
            ids.push(id);
        }
        Ok(Registered::Id(id))
    }

    fn standing(&self, subject: &Subject, schema: &str) -> Result<Standing, Weather> {
        let contents = self.serve("look up a schema under a subject")?;
        let Some(ids) = contents.subjects.get(subject) else { return Ok(Standing::NoSubject) };
        let found = ids.iter().find(|id| contents.text(**id).is_some_and(|text| *text == *schema));
        Ok(found.map_or(Standing::Other, |id| Standing::Registered(*id)))
    }

    fn latest(&self, subject: &Subject) -> Result<Option<(SchemaId, Arc<str>)>, Weather> {
        let contents = self.serve("read the latest version of a subject")?;
        let id = contents.subjects.get(subject).and_then(|ids| ids.last()).copied();
        Ok(id.and_then(|id| Some((id, contents.text(id)?))))
    }

    fn would_refuse(&self, subject: &Subject, schema: &str) -> Result<Option<String>, Weather> {
        let contents = self.serve("check the compatibility of a schema")?;
        Ok(malformed(schema).or_else(|| self.refusal(&contents, subject, schema)))
    }

    fn level(&self, subject: &Subject) -> Result<Option<CompatibilityLevel>, Weather> {
        Ok(self.serve("read a subject's level")?.levels.get(subject).copied())
    }

    fn set_level(&self, subject: &Subject, level: CompatibilityLevel) -> Result<(), Weather> {
        self.serve("set a subject's level")?.levels.insert(subject.clone(), level);
        Ok(())
    }

    fn ping(&self) -> Result<(), Weather> {
        self.serve("reach the registry").map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_schema_has_one_id_under_every_subject() {
        let registry = MemoryRegistry::new();
        let (inbox, product) = (Subject::existing("inbox.a-value"), Subject::existing("a-value"));
        let first = registry.register(&inbox, r#""long""#).unwrap();
        assert_eq!(first, Registered::Id(SchemaId(1)));
        assert_eq!(registry.register(&product, r#""long""#).unwrap(), first);
        assert_eq!(registry.register(&product, r#""int""#).unwrap(), Registered::Id(SchemaId(2)));
        assert_eq!(registry.latest(&product).unwrap(), Some((SchemaId(2), r#""int""#.into())));
        assert_eq!(registry.latest(&inbox).unwrap(), Some((SchemaId(1), r#""long""#.into())));
        assert_eq!(registry.standing(&inbox, r#""long""#).unwrap(), Standing::Registered(SchemaId(1)));
        assert_eq!(registry.standing(&inbox, r#""int""#).unwrap(), Standing::Other);
        assert_eq!(registry.standing(&Subject::existing("b-value"), r#""int""#).unwrap(), Standing::NoSubject);
    }

    #[test]
    fn levels_are_asked_for_and_none_lets_everything_in() {
        let registry = MemoryRegistry::with_compatibility(|level, _, _| Some(level.as_str().to_owned()));
        let subject = Subject::existing("a-value");
        assert_eq!(registry.would_refuse(&subject, r#""long""#).unwrap(), None);
        registry.register(&subject, r#""long""#).unwrap();
        assert_eq!(registry.register(&subject, r#""int""#).unwrap(), Registered::Incompatible("BACKWARD".into()));
        assert_eq!(registry.register(&subject, r#""long""#).unwrap(), Registered::Id(SchemaId(1)));
        registry.set_level(&subject, CompatibilityLevel::None).unwrap();
        assert_eq!(registry.register(&subject, r#""int""#).unwrap(), Registered::Id(SchemaId(2)));
        assert!(matches!(registry.register(&subject, "nonsense").unwrap(), Registered::Invalid(_)));
    }

    #[test]
    fn a_lagging_follower_does_not_know_at_first_and_an_outage_is_no_answer() {
        let registry = MemoryRegistry::new();
        registry.set_lag(2);
        let id = registry.insert(r#""long""#);
        assert_eq!(registry.schema(id).unwrap(), Lookup::Unknown);
        assert_eq!(registry.schema(id).unwrap(), Lookup::Unknown);
        assert_eq!(registry.schema(id).unwrap(), Lookup::Avro(r#""long""#.into()));
        registry.set_outage(true);
        assert!(registry.schema(id).is_err());
        assert!(registry.ping().is_err());
    }
}
