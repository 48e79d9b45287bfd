//! Writer schemas: from an id on the wire to a program, without ever holding up a lane.
//!
//! A few threads ask the registry, each about one id at a time, since a registry may be far away; lanes look at
//! what is known and let a partition wait for what is not.
//! *Unknown* is believed only after two answers, a second apart and both asked after the record was first
//! seen: the registry's followers lag, and an id may be registered a moment after its first record is sent.
//! An id is asked for at most once a second, so garbage ids cost the registry little and other partitions
//! nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use broker::{Lookup, Registered, Registry, Weather};
use contract::received::{self, Refusal};
use contract::{KeyProgram, Program};
use schemas::{SchemaId, Subject, Topic, Version};

use crate::catalog::{Enforced, Snapshot};
use crate::clock::Clock;

/// Between two questions about one id.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Most ids and contract versions remembered together.
const REMEMBERED: usize = 10_000;
/// Questions on their way to the registry at the same time.
pub(crate) const ASKERS: usize = 4;
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

#[derive(Debug)]
enum State {
    /// To be asked for.
    Due {
        asked: Asked,
        said: Arc<str>,
    },
    /// Being asked for at this moment.
    Asking {
        unknown: Unknown,
        said: Arc<str>,
    },
    Unknown(Unknown),
    Known {
        resolution: Resolution,
        until: Option<Instant>,
    },
}

#[derive(Debug)]
struct Asked {
    enforced: Arc<Enforced>,
    not_before: Instant,
    unknown: Unknown,
}

/// When the registry was last asked about an id that it did not know, each time at least a second apart.
#[derive(Debug, Clone, Copy, Default)]
struct Unknown {
    before_last: Option<Instant>,
    last: Option<Instant>,
}

impl Unknown {
    /// Whether both answers count for a record that was seen then.
    fn counts_for(self, seen: Instant) -> bool {
        self.before_last.is_some_and(|asked| asked >= seen)
    }
}

#[derive(Default)]
struct Inner {
    states: BTreeMap<Key, State>,
    /// Those of `states` that are due, by when; with some that are gone meanwhile.
    due: BTreeSet<(Instant, Key)>,
    answers: u64,
}

impl Inner {
    fn ask_for(&mut self, key: Key, asked: Asked, said: Arc<str>) {
        self.due.insert((asked.not_before, key.clone()));
        self.states.insert(key, State::Due { asked, said });
    }

    /// The one that is due for longest, so that none waits for ever behind others.
    fn take_due(&mut self, now: Instant) -> Option<(Key, Asked, Arc<str>)> {
        while self.due.first().is_some_and(|(due, _)| *due <= now) {
            let (due, key) = self.due.pop_first()?;
            let Some(state) = self.states.get_mut(&key) else { continue };
            let State::Due { said, asked: Asked { unknown, not_before, .. } } = &*state else { continue };
            if *not_before != due {
                continue;
            }
            let asking = State::Asking { said: Arc::clone(said), unknown: *unknown };
            if let State::Due { asked, said } = std::mem::replace(state, asking) {
                return Some((key, asked, said));
            }
        }
        None
    }

    /// Whether there is room for one more, if need be by forgetting what nobody asks about any more.
    fn make_room(&mut self, now: Instant) -> bool {
        let states = &mut self.states;
        if states.len() >= REMEMBERED {
            let forgotten = |unknown: &Unknown| unknown.last.is_none_or(|last| last + UNKNOWN_KEPT < now);
            states.retain(|_, state| !matches!(state, State::Unknown(unknown) if forgotten(unknown)));
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
        let asked = |not_before, unknown| Asked { enforced: Arc::clone(enforced), not_before, unknown };
        let (asked, said) = match inner.states.get(&key) {
            Some(State::Known { resolution, until }) if until.is_none_or(|until| self.clock.now().instant < until) => {
                return resolution.clone();
            }
            // Also while it is asked for again, on behalf of records that came later.
            Some(
                State::Unknown(unknown)
                | State::Due { asked: Asked { unknown, .. }, .. }
                | State::Asking { unknown, .. },
            ) if unknown.counts_for(seen) => {
                return Resolution::Violates(Arc::new(Refusal::UnknownId));
            }
            Some(State::Due { said, .. } | State::Asking { said, .. }) => return Resolution::Wait(Arc::clone(said)),
            Some(State::Unknown(unknown)) => {
                let asked = asked(unknown.last.map_or(seen, |last| last + ASK_EVERY), *unknown);
                (asked, format!("schema {id} is unknown to the registry; asking again"))
            }
            Some(State::Known { .. }) | None => {
                (asked(seen, Unknown::default()), format!("schema {id} is being looked up"))
            }
        };
        if !inner.states.contains_key(&key) && !inner.make_room(self.clock.now().instant) {
            return Resolution::Wait("too many schemas are being looked up at once".into());
        }
        let said: Arc<str> = said.into();
        inner.ask_for(key, asked, Arc::clone(&said));
        self.changed.notify_all();
        Resolution::Wait(said)
    }

    /// Counts answers: where it has not moved, nothing that waits can go on.
    pub(crate) fn answers(&self) -> u64 {
        self.lock().answers
    }

    /// Forgets what belongs to contract versions that are no longer in force.
    pub(crate) fn keep(&self, snapshot: &Snapshot) {
        let in_force =
            |key: &Key| snapshot.inboxes.get(&key.inbox).is_some_and(|enforced| enforced.version == key.version);
        let mut inner = self.lock();
        inner.states.retain(|key, _| in_force(key));
        inner.due.retain(|(_, key)| in_force(key));
    }

    /// Asks about one id that is due; whether there was one.
    pub(crate) fn step(&self, registry: &dyn Registry) -> bool {
        let at = self.clock.now().instant;
        let Some((key, asked, said)) = self.lock().take_due(at) else { return false };
        let state = match ask(registry, &key, &asked.enforced) {
            Ok(Some(resolution)) => {
                let refused =
                    matches!(&resolution, Resolution::Violates(why) if matches!(**why, Refusal::Incompatible(_)));
                State::Known { resolution, until: refused.then_some(at + REFUSAL_BELIEVED) }
            }
            Ok(None) => State::Unknown(Unknown { before_last: asked.unknown.last, last: Some(at) }),
            // Weather says nothing about the id; what was said before it still holds.
            Err(weather) => {
                let said = if *said == *weather.to_string() { said } else { weather.to_string().into() };
                State::Due { asked: Asked { not_before: at + ASK_EVERY, ..asked }, said }
            }
        };
        let mut inner = self.lock();
        inner.answers += 1;
        let Inner { states, due, .. } = &mut *inner;
        // Dropped meanwhile where it is not there: its contract version is no longer in force.
        if let Some(known) = states.get_mut(&key) {
            *known = state;
            if let State::Due { asked, .. } = known {
                due.insert((asked.not_before, key));
            }
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

/// The registry's answer about a schema; `None` where it does not know it.
fn ask(registry: &dyn Registry, key: &Key, enforced: &Enforced) -> Result<Option<Resolution>, Weather> {
    let refused = |refusal| Ok(Some(Resolution::Violates(Arc::new(refusal))));
    let text = match registry.schema(key.id)? {
        Lookup::Avro(text) => text,
        Lookup::OtherKind(kind) => return refused(Refusal::NotAvro(format!("it is a {kind} schema"))),
        Lookup::TooLarge => return refused(Refusal::NotAvro("it is too large to be one".to_owned())),
        Lookup::Unknown => return Ok(None),
    };
    let contract = &enforced.contract;
    let compiled = received::readable(&text, |schema| match key.part {
        Part::Value => Program::compile(schema, contract).map(|program| Resolution::Value(Arc::new(program))),
        Part::Key => KeyProgram::compile(schema, contract).map(|program| Resolution::Key(Arc::new(program))),
    });
    let resolution = match compiled {
        Ok(resolution) => resolution,
        Err(refusal) => return refused(refusal),
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use broker::Destination;
    use broker::memory::MemoryRegistry;
    use contract::odcs::{self, Source};
    use contract::program::Statistics;
    use schemas::Timestamp;

    use super::*;
    use crate::clock::Now;

    fn enforced() -> Arc<Enforced> {
        let text = include_str!("../../../schemas/products/aviation/airlines/contract.odcs.yaml");
        let schema = include_str!("../../../schemas/products/aviation/airlines/airlines.avsc");
        let schema = Source { file: "airlines.avsc", text: schema };
        let contract = odcs::read(&Source { file: "contract.odcs.yaml", text }, Some(&schema)).unwrap().contract;
        Arc::new(Enforced {
            product: contract.product.clone(),
            version: contract.version,
            inbox: Topic::existing("inbox"),
            destination: Destination { product: Topic::existing("p"), quarantine: Topic::existing("q") },
            partitions: 1,
            schema_id: SchemaId(1),
            statistics: Statistics::for_contract(&contract),
            contract: Arc::new(contract),
            decided_at: Timestamp(0),
        })
    }

    #[test]
    fn an_unknown_id_is_believed_after_two_answers_however_many_records_have_it() {
        let start = Instant::now();
        let millis = Arc::new(AtomicU64::new(0));
        let at = Arc::clone(&millis);
        let clock = Clock::of(move || Now {
            wall: Timestamp(0),
            instant: start + Duration::from_millis(at.load(Ordering::Relaxed)),
        });
        let (resolver, registry, enforced) = (Resolver::new(clock.clone()), MemoryRegistry::new(), enforced());
        let resolve = |seen| resolver.resolve(SchemaId(7), Part::Value, &enforced, seen);
        let first = clock.now().instant;
        assert!(matches!(resolve(first), Resolution::Wait(_)));
        assert!(resolver.step(&registry), "it is asked for at once");
        // Records with the id go on coming, and one of them asks before the first one does.
        millis.store(100, Ordering::Relaxed);
        let later = clock.now().instant;
        assert!(matches!(resolve(later), Resolution::Wait(_)));
        assert!(!resolver.step(&registry), "not twice within a second");
        millis.store(1_000, Ordering::Relaxed);
        assert!(resolver.step(&registry));
        assert!(matches!(resolve(later), Resolution::Wait(_)), "one answer since it was seen");
        assert!(matches!(resolve(first), Resolution::Violates(_)), "two answers since it was seen");
    }
}
