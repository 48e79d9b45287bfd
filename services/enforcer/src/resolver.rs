//! Writer schemas: from an id on the wire to a program, without ever holding up a lane.
//!
//! One thread asks the registry; lanes look at what is known and let a partition wait for what is not.
//! *Unknown* is believed only after two answers, a second apart and both asked after the record was first
//! seen: the registry's followers lag, and an id may be registered a moment after its first record is sent.
//! An id is asked for at most once a second, so garbage ids cost the registry little and other partitions
//! nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use broker::{Lookup, Registered, Registry, Weather};
use contract::avro::Schema;
use contract::{KeyProgram, Program};
use schemas::{SchemaId, Subject, Topic, Version};

use crate::catalog::{Enforced, Snapshot};
use crate::clock::Clock;

/// Between two questions about one id.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Most ids and contract versions remembered together.
const REMEMBERED: usize = 10_000;
/// How long an *unknown* is kept that nobody asks about any more.
const UNKNOWN_KEPT: Duration = Duration::from_secs(10);
/// How long a registry's refusal is believed: compatibility levels change, and versions are deleted.
const REFUSAL_BELIEVED: Duration = Duration::from_secs(30);

/// Which part of a record a schema wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Value,
    Key,
}

/// A writer schema under a contract version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    id: SchemaId,
    part: Part,
    inbox: Topic,
    version: Version,
}

/// What is known of a writer schema under a contract version.
#[derive(Debug, Clone)]
pub(crate) enum Resolution {
    /// Values written with it can be judged.
    Value(Arc<Program>),
    /// Keys written with it can be read.
    Key(Arc<KeyProgram>),
    /// What was written with it violates the contract, all of it.
    Violates(Arc<Refusal>),
    /// Not known yet: the record waits, for this reason.
    Wait(Arc<str>),
}

/// Why everything written with a schema is a violation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The registry does not know the id.
    UnknownId,
    /// The schema is no Avro schema that can be read.
    NotAvro(String),
    /// It cannot be resolved to the contract's.
    Unresolvable(String),
    /// The registry refuses it under the product's subject.
    Incompatible(String),
}

#[derive(Debug)]
enum State {
    /// To be asked for.
    Due {
        asked: Asked,
        said: Arc<str>,
    },
    /// Being asked for at this moment.
    Asking {
        said: Arc<str>,
    },
    Unknown {
        before_last: Option<Instant>,
        last: Instant,
    },
    Known {
        resolution: Resolution,
        until: Option<Instant>,
    },
}

#[derive(Debug)]
struct Asked {
    enforced: Arc<Enforced>,
    not_before: Instant,
    unknown_at: Option<Instant>,
}

#[derive(Default)]
struct Inner {
    states: BTreeMap<Key, State>,
    answers: u64,
}

/// Resolves writer schemas for every lane of the process.
pub(crate) struct Resolver {
    inner: Mutex<Inner>,
    changed: Condvar,
    clock: Clock,
}

impl Resolver {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { inner: Mutex::default(), changed: Condvar::new(), clock }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known now. `seen` is when the record was first polled.
    pub(crate) fn resolve(&self, id: SchemaId, part: Part, enforced: &Arc<Enforced>, seen: Instant) -> Resolution {
        let key = Key { id, part, inbox: enforced.inbox.clone(), version: enforced.version };
        let mut inner = self.lock();
        let asked = |not_before, unknown_at| Asked { enforced: Arc::clone(enforced), not_before, unknown_at };
        let (asked, said) = match inner.states.get(&key) {
            Some(State::Known { resolution, until }) if until.is_none_or(|until| self.clock.now().instant < until) => {
                return resolution.clone();
            }
            Some(State::Due { said, .. } | State::Asking { said }) => return Resolution::Wait(Arc::clone(said)),
            Some(State::Unknown { before_last: Some(first), .. }) if *first >= seen => {
                return Resolution::Violates(Arc::new(Refusal::UnknownId));
            }
            Some(State::Unknown { last, .. }) => {
                let asked = asked(*last + ASK_EVERY, (*last >= seen).then_some(*last));
                (asked, format!("schema {id} is unknown to the registry; asking again"))
            }
            Some(State::Known { .. }) | None => (asked(seen, None), format!("schema {id} is being looked up")),
        };
        if !inner.states.contains_key(&key) && !make_room(&mut inner.states, self.clock.now().instant) {
            return Resolution::Wait("too many schemas are being looked up at once".into());
        }
        let said: Arc<str> = said.into();
        inner.states.insert(key, State::Due { asked, said: Arc::clone(&said) });
        self.changed.notify_all();
        Resolution::Wait(said)
    }

    /// Counts answers: where it has not moved, nothing that waits can go on.
    pub(crate) fn answers(&self) -> u64 {
        self.lock().answers
    }

    /// Forgets what belongs to contract versions that are no longer in force.
    pub(crate) fn keep(&self, snapshot: &Snapshot) {
        self.lock()
            .states
            .retain(|key, _| snapshot.inboxes.get(&key.inbox).is_some_and(|enforced| enforced.version == key.version));
    }

    /// Asks about one id that is due; whether there was one.
    pub(crate) fn step(&self, registry: &dyn Registry) -> bool {
        let at = self.clock.now().instant;
        let Some((key, asked, said)) = take_due(&mut self.lock().states, at) else { return false };
        let state = match ask(registry, &key, &asked.enforced) {
            Ok(Some(resolution)) => {
                let refused =
                    matches!(&resolution, Resolution::Violates(why) if matches!(**why, Refusal::Incompatible(_)));
                State::Known { resolution, until: refused.then_some(at + REFUSAL_BELIEVED) }
            }
            Ok(None) => State::Unknown { before_last: asked.unknown_at, last: at },
            // Weather says nothing about the id; what was said before it still holds.
            Err(weather) => {
                let said = if *said == *weather.to_string() { said } else { weather.to_string().into() };
                State::Due { asked: Asked { not_before: at + ASK_EVERY, ..asked }, said }
            }
        };
        let mut inner = self.lock();
        inner.answers += 1;
        // Dropped meanwhile: its contract version is no longer in force.
        if let Some(known) = inner.states.get_mut(&key) {
            *known = state;
        }
        self.changed.notify_all();
        true
    }

    /// Asks again and again until told to stop.
    pub(crate) fn follow(&self, registry: &dyn Registry, stopping: &dyn Fn() -> bool) {
        while !stopping() {
            if !self.step(registry) {
                drop(self.changed.wait_timeout(self.lock(), Duration::from_millis(20)));
            }
        }
    }
}

/// Whether there is room for one more, if need be by forgetting what nobody asks about any more.
fn make_room(states: &mut BTreeMap<Key, State>, now: Instant) -> bool {
    if states.len() >= REMEMBERED {
        states.retain(|_, state| !matches!(state, State::Unknown { last, .. } if *last + UNKNOWN_KEPT < now));
    }
    if states.len() >= REMEMBERED {
        let programs = states.values().filter(|state| matches!(state, State::Known { .. })).count();
        if programs > REMEMBERED / 2 {
            // Each that is still needed costs one look-up.
            states.retain(|_, state| !matches!(state, State::Known { .. }));
        }
    }
    states.len() < REMEMBERED
}

/// The one that is due for longest, so that none waits for ever behind others.
fn take_due(states: &mut BTreeMap<Key, State>, now: Instant) -> Option<(Key, Asked, Arc<str>)> {
    let due = |(key, state): (&Key, &State)| match state {
        State::Due { asked, .. } if asked.not_before <= now => Some((asked.not_before, key.clone())),
        _ => None,
    };
    let (_, key) = states.iter().filter_map(due).min()?;
    let state = states.get_mut(&key)?;
    let State::Due { said, .. } = &*state else { return None };
    let said = Arc::clone(said);
    match std::mem::replace(state, State::Asking { said: Arc::clone(&said) }) {
        State::Due { asked, .. } => Some((key, asked, said)),
        _ => None,
    }
}

/// The registry's answer about a schema; `None` where it does not know it.
fn ask(registry: &dyn Registry, key: &Key, enforced: &Enforced) -> Result<Option<Resolution>, Weather> {
    let refused = |refusal| Ok(Some(Resolution::Violates(Arc::new(refusal))));
    let text = match registry.schema(key.id)? {
        Lookup::Avro(text) => text,
        Lookup::OtherKind(kind) => return refused(Refusal::NotAvro(format!("it is a {kind} schema"))),
        Lookup::TooLarge => return refused(Refusal::NotAvro("it is too large to be one".to_owned())),
        Lookup::Unknown => return Ok(None),
    };
    let schema = match Schema::parse(&text) {
        Ok(schema) => schema,
        Err(error) => return refused(Refusal::NotAvro(error.to_string())),
    };
    if let Some(why) = schema.broken_decimal() {
        return refused(Refusal::NotAvro(why.to_string()));
    }
    let compiled = match key.part {
        Part::Value => {
            Program::compile(&schema, &enforced.contract).map(|program| Resolution::Value(Arc::new(program)))
        }
        Part::Key => KeyProgram::compile(&schema, &enforced.contract).map(|program| Resolution::Key(Arc::new(program))),
    };
    let resolution = match compiled {
        Ok(resolution) => resolution,
        Err(error) => return refused(Refusal::Unresolvable(error.to_string())),
    };
    // A schema that auto-registration brought to the inbox must be readable for the product's consumers
    // before its first record is; some ask by subject.
    let product = &enforced.destination.product;
    let subject = match key.part {
        Part::Value if key.id == enforced.schema_id => return Ok(Some(resolution)),
        Part::Value => Subject::value_of(product),
        Part::Key => Subject::key_of(product),
    };
    match registry.register(&subject, &text)? {
        Registered::Id(_) => Ok(Some(resolution)),
        Registered::Incompatible(why) => refused(Refusal::Incompatible(why)),
        Registered::Invalid(why) => refused(Refusal::NotAvro(why)),
    }
}
