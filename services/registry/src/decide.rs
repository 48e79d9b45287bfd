//! Decisions: from what is known to what is to be written, or to why not. Pure, so that a decision can be
//! taken again when another registry wrote first.

use std::sync::Arc;

use broker::CompatibilityLevel;
use contract::avro::{Schema, can_read};

use crate::records::{Event, SchemaValue};
use crate::refusal::Refusal;
use crate::state::{State, Version};

/// What a decision writes, and what it answers once that is written.
#[derive(Debug)]
pub(crate) struct Decision<T> {
    pub(crate) events: Vec<Event>,
    pub(crate) answer: T,
}

/// A schema that was asked about, read once for any number of decisions.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    schema: Schema,
    normal: Arc<str>,
}

impl Asked {
    /// Reads the text.
    ///
    /// # Errors
    /// 42201 where it is no Avro schema.
    pub(crate) fn read(text: &str) -> Result<Self, Refusal> {
        let schema = Schema::parse(text).map_err(Refusal::bad_schema)?;
        let normal = schema.normalized().into();
        Ok(Self { schema, normal })
    }
}

/// Which version of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// The last that is not deleted.
    Latest,
    /// This one.
    Number(u32),
}

impl std::str::FromStr for Which {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        match text {
            "latest" | "-1" => Ok(Self::Latest),
            _ => text
                .parse()
                .ok()
                .filter(|number| (1..=i32::MAX as u32).contains(number))
                .map(Self::Number)
                .ok_or_else(|| {
                    Refusal::new(
                        42202,
                        format!("the version '{text}' is invalid; it is a number from 1 to 2147483647, or 'latest'"),
                    )
                }),
        }
    }
}

/// The version asked for.
///
/// # Errors
/// 40401 where the subject has none at all, 40402 where it has not this one.
pub(crate) fn find<'a>(
    state: &'a State,
    subject: &str,
    which: Which,
    deleted: bool,
) -> Result<(u32, &'a Version), Refusal> {
    let versions = state.versions(subject, deleted);
    let last = versions.last().copied().ok_or_else(|| Refusal::no_subject(subject))?;
    match which {
        Which::Latest => Ok(last),
        Which::Number(number) => {
            versions.into_iter().find(|(known, _)| *known == number).ok_or_else(|| Refusal::no_version(number))
        }
    }
}

/// The version of a subject that has this schema.
///
/// # Errors
/// 40401, 40403.
pub(crate) fn look_up(state: &State, subject: &str, asked: &Asked, deleted: bool) -> Result<(u32, u32), Refusal> {
    let versions = state.versions(subject, deleted);
    if versions.is_empty() {
        return Err(Refusal::no_subject(subject));
    }
    let id = state.id_of(&asked.normal);
    let found = versions.iter().rev().find(|(_, version)| Some(version.id) == id);
    found.map(|(number, version)| (*number, version.id)).ok_or_else(|| Refusal::new(40403, "schema not found"))
}

fn writable(state: &State, subject: &str) -> Result<(), Refusal> {
    let mode = state.mode_of(subject);
    if mode != "READWRITE" {
        return Err(Refusal::new(
            42205,
            format!("subject '{subject}' is in mode {mode}; only READWRITE takes changes"),
        ));
    }
    let odd =
        subject.is_empty() || subject.len() > 512 || subject.starts_with(":.") || subject.chars().any(char::is_control);
    if odd {
        return Err(Refusal::new(
            42208,
            format!("the subject {subject:?} is invalid; it has 1 to 512 printable characters and no context"),
        ));
    }
    Ok(())
}

/// Registers a schema under a subject; answers its id.
///
/// # Errors
/// 409, 42201, 42205, 42208, 50001.
pub(crate) fn register(state: &State, subject: &str, asked: &Asked) -> Result<Decision<u32>, Refusal> {
    if let Ok((_, id)) = look_up(state, subject, asked, false) {
        return Ok(Decision { events: Vec::new(), answer: id });
    }
    writable(state, subject)?;
    let reasons = incompatibilities(state, subject, asked, None)?;
    if let Some(first) = reasons.first() {
        let more = if reasons.len() > 1 { format!(" (and {} more)", reasons.len() - 1) } else { String::new() };
        let level = state.level_of(subject).as_str();
        return Err(Refusal::new(
            409,
            format!(
                "schema being registered is incompatible with an earlier schema for subject \"{subject}\" at level {level}: {first}{more}"
            ),
        ));
    }
    let id = match state.id_of(&asked.normal) {
        Some(id) => id,
        None => state.next_id().ok_or_else(|| Refusal::new(50001, "the registry has no id left"))?,
    };
    let last = state.versions(subject, true).last().map_or(0, |(number, _)| *number);
    let version = last
        .checked_add(1)
        .ok_or_else(|| Refusal::new(50001, format!("subject '{subject}' has no version number left")))?;
    let value = SchemaValue {
        subject: subject.to_owned(),
        version,
        id,
        kind: None,
        schema: asked.normal.to_string(),
        deleted: false,
    };
    Ok(Decision { events: vec![Event::Schema(value)], answer: id })
}

/// A new schema must mean what it says; one that a registry took long ago is known all the same.
fn well_meant(asked: &Asked) -> Result<(), Refusal> {
    asked.schema.broken_decimal().map_or(Ok(()), |why| Err(Refusal::bad_schema(why)))
}

/// Why a schema does not fit a subject at its level: against one version, or those that the level names.
///
/// # Errors
/// 40401, 40402 for a version that is not there; 42201.
pub(crate) fn incompatibilities(
    state: &State,
    subject: &str,
    asked: &Asked,
    against: Option<Which>,
) -> Result<Vec<String>, Refusal> {
    well_meant(asked)?;
    let level = state.level_of(subject);
    let (backward, forward, transitive) = match level {
        CompatibilityLevel::None => (false, false, false),
        CompatibilityLevel::Backward => (true, false, false),
        CompatibilityLevel::BackwardTransitive => (true, false, true),
        CompatibilityLevel::Forward => (false, true, false),
        CompatibilityLevel::ForwardTransitive => (false, true, true),
        CompatibilityLevel::Full => (true, true, false),
        CompatibilityLevel::FullTransitive => (true, true, true),
    };
    let versions = match against {
        // Anything fits a subject that has nothing yet.
        Some(Which::Latest) if state.versions(subject, false).is_empty() => Vec::new(),
        Some(which) => vec![find(state, subject, which, false)?],
        None => {
            let all = state.versions(subject, false);
            if transitive { all } else { all.last().copied().into_iter().collect() }
        }
    };
    let mut reasons = Vec::new();
    if !backward && !forward {
        return Ok(reasons);
    }
    for (number, version) in versions.into_iter().rev() {
        let Some(stored) = state.schemas.get(&version.id) else { continue };
        let old = match (&stored.kind, Schema::parse(&stored.text)) {
            (None, Ok(old)) => old,
            (Some(kind), _) => {
                reasons.push(format!("version {number} is a {kind} schema, the new one is AVRO"));
                continue;
            }
            (None, Err(why)) => {
                reasons.push(format!("version {number} cannot be compared: {why}"));
                continue;
            }
        };
        if backward {
            tell(&mut reasons, "the new schema does not read what was written", number, &asked.schema, &old);
        }
        if forward {
            tell(&mut reasons, "what the new schema writes is not read", number, &old, &asked.schema);
        }
    }
    Ok(reasons)
}

fn tell(reasons: &mut Vec<String>, what: &str, number: u32, reader: &Schema, writer: &Schema) {
    for found in can_read(reader, writer) {
        reasons.push(format!(
            "{what} with version {number}: {} at {}: {}",
            found.kind.as_str(),
            found.path,
            found.message
        ));
    }
}

/// Deletes a subject's versions; answers their numbers.
///
/// # Errors
/// 40401, 40404, 40405, 42205.
pub(crate) fn delete_subject(state: &State, subject: &str, permanent: bool) -> Result<Decision<Vec<u32>>, Refusal> {
    let all = state.versions(subject, true);
    if all.is_empty() {
        return Err(Refusal::no_subject(subject));
    }
    writable(state, subject)?;
    let live = state.versions(subject, false);
    if permanent && !live.is_empty() {
        return Err(Refusal::new(
            40405,
            format!("subject '{subject}' was not deleted first before being permanently deleted"),
        ));
    }
    if !permanent && live.is_empty() {
        return Err(Refusal::new(
            40404,
            format!("subject '{subject}' was soft deleted; set permanent=true to delete permanently"),
        ));
    }
    let chosen = if permanent { all } else { live };
    let mut events: Vec<Event> =
        chosen.iter().filter_map(|(number, version)| removal(state, subject, *number, version, permanent)).collect();
    // A subject of the same name that is made later starts at the global level.
    if state.levels.contains_key(subject) {
        events.push(Event::Level { subject: Some(subject.to_owned()), level: None });
    }
    Ok(Decision { events, answer: chosen.into_iter().map(|(number, _)| number).collect() })
}

/// Deletes one version; answers its number.
///
/// # Errors
/// 40401, 40402, 40406, 40407, 42205.
pub(crate) fn delete_version(
    state: &State,
    subject: &str,
    which: Which,
    permanent: bool,
) -> Result<Decision<u32>, Refusal> {
    let (number, version) = match which {
        Which::Latest => find(state, subject, which, false)?,
        Which::Number(_) => find(state, subject, which, true)?,
    };
    writable(state, subject)?;
    match (permanent, version.deleted) {
        (true, false) => Err(Refusal::new(
            40407,
            format!("subject '{subject}' version {number} was not deleted first before being permanently deleted"),
        )),
        (false, true) => Err(Refusal::new(
            40406,
            format!("subject '{subject}' version {number} was soft deleted; set permanent=true to delete permanently"),
        )),
        _ => Ok(Decision {
            events: removal(state, subject, number, version, permanent).into_iter().collect(),
            answer: number,
        }),
    }
}

fn removal(state: &State, subject: &str, number: u32, version: &Version, permanent: bool) -> Option<Event> {
    if permanent {
        return Some(Event::SchemaGone { subject: subject.to_owned(), version: number });
    }
    let stored = state.schemas.get(&version.id)?;
    Some(Event::Schema(SchemaValue {
        subject: subject.to_owned(),
        version: number,
        id: version.id,
        kind: stored.kind.clone(),
        schema: stored.text.to_string(),
        deleted: true,
    }))
}

/// Sets or takes back a level; answers the one that was set on exactly this before.
///
/// # Errors
/// 40401 where a level is taken back that was never set; 42205, 42208.
pub(crate) fn set_level(
    state: &State,
    subject: Option<&str>,
    level: Option<CompatibilityLevel>,
) -> Result<Decision<Option<CompatibilityLevel>>, Refusal> {
    let before = match subject {
        Some(subject) => {
            let before = state.levels.get(subject).copied();
            if level.is_none() && before.is_none() {
                return Err(Refusal::new(40408, format!("subject '{subject}' has no compatibility level of its own")));
            }
            writable(state, subject)?;
            before
        }
        None => state.level,
    };
    let events =
        if before == level { Vec::new() } else { vec![Event::Level { subject: subject.map(str::to_owned), level }] };
    Ok(Decision { events, answer: before })
}
