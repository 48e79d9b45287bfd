//! Writer schemas: from an id on the wire to a program, without ever holding up a lane.
//!
//! One thread asks the registry; lanes look at what is known and let a partition wait for what is not.
//! *Unknown* is believed only after two answers, a second apart and both asked after the record was first
//! seen: the registry's followers lag, and an id may be registered a moment after its first record is sent.
//! An id is asked for at most once a second, so garbage ids cost the registry little and other partitions
//! nothing.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use broker::{Lookup, Registered, Registry};
use contract::Program;
use contract::avro::Schema;
use runtime::Shutdown;
use schemas::{SchemaId, Subject, Topic, Version};

use crate::catalog::Enforced;

/// Between two questions about one id.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Most ids and contract versions remembered together; the oldest negative ones go first.
const REMEMBERED: usize = 10_000;

/// A writer schema under a contract version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    id: SchemaId,
    inbox: Topic,
    version: Version,
}

/// What is known of a writer schema under a contract version.
#[derive(Debug, Clone)]
pub(crate) enum Resolution {
    /// Records written with it can be judged.
    Program(Arc<Program>),
    /// Records written with it violate the contract, all of them.
    Violates(Arc<Refusal>),
    /// Not known yet: the record waits, for this reason.
    Wait(Arc<str>),
}

/// Why every record of a writer schema is a violation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The registry does not know the id.
    UnknownId,
    /// The schema is no Avro schema that can be read.
    NotAvro(String),
    /// It cannot be resolved to the contract's schema.
    Unresolvable(String),
    /// The registry refuses it under the product's subject.
    Incompatible(String),
}

#[derive(Debug)]
enum State {
    Asking { wanted: Option<Asked>, said: Arc<str> },
    Unknown { before_last: Option<Instant>, last: Instant },
    Known(Resolution),
}

#[derive(Debug)]
struct Asked {
    enforced: Arc<Enforced>,
    not_before: Instant,
    unknown_at: Option<Instant>,
}

#[derive(Default)]
struct Inner {
    states: HashMap<Key, State>,
}

/// Resolves writer schemas for every lane of the process.
pub(crate) struct Resolver {
    shared: Arc<(Mutex<Inner>, Condvar)>,
}

impl Resolver {
    pub(crate) fn start(registry: Arc<dyn Registry>, shutdown: Shutdown) -> Self {
        let shared = Arc::new((Mutex::new(Inner::default()), Condvar::new()));
        let worker = Arc::clone(&shared);
        std::thread::spawn(move || work(&worker, &*registry, &shutdown));
        Self { shared }
    }

    /// What is known now. `seen` is when the record was first polled.
    pub(crate) fn resolve(&self, id: SchemaId, enforced: &Arc<Enforced>, seen: Instant) -> Resolution {
        let key = Key { id, inbox: enforced.inbox.clone(), version: enforced.version };
        let (lock, changed) = &*self.shared;
        let mut inner = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let (state, said) = match inner.states.get(&key) {
            Some(State::Known(resolution)) => return resolution.clone(),
            Some(State::Asking { said, .. }) => return Resolution::Wait(Arc::clone(said)),
            Some(State::Unknown { before_last: Some(first), .. }) if *first >= seen => {
                return Resolution::Violates(Arc::new(Refusal::UnknownId));
            }
            Some(State::Unknown { last, .. }) => {
                let asked = Asked {
                    enforced: Arc::clone(enforced),
                    not_before: *last + ASK_EVERY,
                    unknown_at: (*last >= seen).then_some(*last),
                };
                (asked, format!("schema {id} is unknown to the registry; asking again"))
            }
            None => {
                let asked = Asked { enforced: Arc::clone(enforced), not_before: seen, unknown_at: None };
                (asked, format!("schema {id} is being looked up"))
            }
        };
        make_room(&mut inner.states);
        let said: Arc<str> = said.into();
        inner.states.insert(key, State::Asking { wanted: Some(state), said: Arc::clone(&said) });
        changed.notify_all();
        Resolution::Wait(said)
    }

    /// Waits until an answer arrives, at most `max_wait`.
    pub(crate) fn wait(&self, max_wait: Duration) {
        let (lock, changed) = &*self.shared;
        let inner = lock.lock().unwrap_or_else(PoisonError::into_inner);
        drop(changed.wait_timeout(inner, max_wait));
    }
}

fn make_room(states: &mut HashMap<Key, State>) {
    if states.len() < REMEMBERED {
        return;
    }
    states.retain(|_, state| !matches!(state, State::Unknown { .. }));
    if states.len() >= REMEMBERED {
        // Only programs are left: dropping them all costs one look-up each.
        states.retain(|_, state| matches!(state, State::Asking { .. }));
    }
}

fn work(shared: &(Mutex<Inner>, Condvar), registry: &dyn Registry, shutdown: &Shutdown) {
    let (lock, changed) = shared;
    while !shutdown.is_stopping() {
        let due = {
            let mut inner = lock.lock().unwrap_or_else(PoisonError::into_inner);
            let due = take_due(&mut inner, Instant::now());
            if due.is_none() {
                drop(changed.wait_timeout(inner, Duration::from_millis(20)));
            }
            due
        };
        let Some((key, asked)) = due else { continue };
        let at = Instant::now();
        let answer = ask(registry, key.id, &asked.enforced);
        let state = match answer {
            Answer::Known(resolution) => State::Known(resolution),
            Answer::Unknown => State::Unknown { before_last: asked.unknown_at, last: at },
            Answer::Away(why) => {
                // Weather says nothing about the id; what was said before it still holds.
                let wanted = Some(Asked { not_before: at + ASK_EVERY, ..asked });
                State::Asking { wanted, said: why.into() }
            }
        };
        let mut inner = lock.lock().unwrap_or_else(PoisonError::into_inner);
        inner.states.insert(key, state);
        changed.notify_all();
    }
}

fn take_due(inner: &mut Inner, now: Instant) -> Option<(Key, Asked)> {
    inner.states.iter_mut().find_map(|(key, state)| match state {
        State::Asking { wanted, .. } if wanted.as_ref().is_some_and(|asked| asked.not_before <= now) => {
            Some((key.clone(), wanted.take()?))
        }
        _ => None,
    })
}

enum Answer {
    Known(Resolution),
    Unknown,
    Away(String),
}

fn ask(registry: &dyn Registry, id: SchemaId, enforced: &Enforced) -> Answer {
    let refused = |refusal| Answer::Known(Resolution::Violates(Arc::new(refusal)));
    let text = match registry.schema(id) {
        Ok(Lookup::Avro(text)) => text,
        Ok(Lookup::OtherKind(kind)) => return refused(Refusal::NotAvro(format!("it is a {kind} schema"))),
        Ok(Lookup::Unknown) => return Answer::Unknown,
        Err(weather) => return Answer::Away(weather.to_string()),
    };
    let schema = match Schema::parse(&text) {
        Ok(schema) => schema,
        Err(error) => return refused(Refusal::NotAvro(error.to_string())),
    };
    let program = match Program::compile(&schema, &enforced.contract) {
        Ok(program) => Arc::new(program),
        Err(error) => return refused(Refusal::Unresolvable(error.to_string())),
    };
    if id != enforced.schema_id {
        // A schema that auto-registration brought to the inbox must be readable for the product's
        // consumers before its first record is.
        match registry.register(&Subject::value_of(&enforced.destination.product), &text) {
            Ok(Registered::Id(_)) => {}
            Ok(Registered::Incompatible(why)) => return refused(Refusal::Incompatible(why)),
            Ok(Registered::Invalid(why)) => return refused(Refusal::NotAvro(why)),
            Err(weather) => return Answer::Away(weather.to_string()),
        }
    }
    Answer::Known(Resolution::Program(program))
}
