//! What Weir asks of a schema registry.

use std::sync::Arc;

use schemas::{SchemaId, Subject};

use crate::log::Weather;

/// A registry's answer about an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// An Avro schema, as the registry holds its text.
    Avro(Arc<str>),
    /// A schema of another kind ("JSON", "PROTOBUF").
    OtherKind(String),
    /// The registry knows the id, and its schema is larger than any that is read (megabytes).
    TooLarge,
    /// The registry says in so many words that it does not know the id (404 with 40403), now.
    Unknown,
}

/// A registry's answer to a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registered {
    /// It has this id, new or from before.
    Id(SchemaId),
    /// The subject's compatibility level forbids it (409); in the registry's words.
    Incompatible(String),
    /// It is not a schema (422); in the registry's words.
    Invalid(String),
}

/// What a subject says about a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The subject does not exist.
    NoSubject,
    /// It exists, without this schema.
    Other,
    /// It has this schema, in one of its versions.
    Registered(SchemaId),
}

/// The compatibility levels of the Confluent API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CompatibilityLevel {
    /// Anything goes.
    None,
    /// The new schema reads what the latest wrote.
    Backward,
    /// The new schema reads what every version wrote.
    BackwardTransitive,
    /// The latest schema reads what the new one writes.
    Forward,
    /// Every version reads what the new one writes.
    ForwardTransitive,
    /// Both, for the latest.
    Full,
    /// Both, for every version.
    FullTransitive,
}

impl CompatibilityLevel {
    /// All seven.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Backward,
        Self::BackwardTransitive,
        Self::Forward,
        Self::ForwardTransitive,
        Self::Full,
        Self::FullTransitive,
    ];

    /// The name the API uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Backward => "BACKWARD",
            Self::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Self::Forward => "FORWARD",
            Self::ForwardTransitive => "FORWARD_TRANSITIVE",
            Self::Full => "FULL",
            Self::FullTransitive => "FULL_TRANSITIVE",
        }
    }
}

impl std::str::FromStr for CompatibilityLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(text)).ok_or_else(|| {
            format!("{text:?} is no compatibility level; there are {}", Self::ALL.map(Self::as_str).join(", "))
        })
    }
}

/// A Confluent-compatible schema registry. Blocking, each call bounded in time (10 s).
pub trait Registry: Send + Sync {
    /// The schema with this id. Asked of the registry each time, except that a known schema never changes
    /// and may come from a cache.
    ///
    /// # Errors
    /// [`Weather`] for everything that is not an answer about this id.
    fn schema(&self, id: SchemaId) -> Result<Lookup, Weather>;

    /// Registers an Avro schema under a subject; idempotent.
    ///
    /// # Errors
    /// [`Weather`].
    fn register(&self, subject: &Subject, schema: &str) -> Result<Registered, Weather>;

    /// Whether a subject has this schema in any version. Registers nothing.
    ///
    /// # Errors
    /// [`Weather`].
    fn standing(&self, subject: &Subject, schema: &str) -> Result<Standing, Weather>;

    /// The latest version under a subject: its id and text; `None` where the subject does not exist.
    ///
    /// # Errors
    /// [`Weather`].
    fn latest(&self, subject: &Subject) -> Result<Option<(SchemaId, Arc<str>)>, Weather>;

    /// Whether the registry would take this schema under this subject, without registering it: `None`
    /// yes, else why not. A subject that does not exist takes anything well-formed.
    ///
    /// # Errors
    /// [`Weather`].
    fn would_refuse(&self, subject: &Subject, schema: &str) -> Result<Option<String>, Weather>;

    /// The level set on the subject itself, if any.
    ///
    /// # Errors
    /// [`Weather`].
    fn level(&self, subject: &Subject) -> Result<Option<CompatibilityLevel>, Weather>;

    /// Sets the level of one subject; never the global one.
    ///
    /// # Errors
    /// [`Weather`].
    fn set_level(&self, subject: &Subject, level: CompatibilityLevel) -> Result<(), Weather>;

    /// The cheapest question that proves the registry serves.
    ///
    /// # Errors
    /// [`Weather`].
    fn ping(&self) -> Result<(), Weather>;
}
