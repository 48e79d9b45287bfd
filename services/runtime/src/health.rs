//! What a process says about itself: named checks, each starting, ready, or not ready and why.
//!
//! Readiness is honest and liveness is not about others: a broker that is away makes a process not ready,
//! never not alive.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;

/// At most this many waiting partitions are listed by name; the number is always whole.
pub const WAITING_SHOWN: usize = 50;

/// The state of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It has not come so far yet; what it is doing.
    Starting(String),
    /// It serves.
    Ready,
    /// It does not serve, and why.
    NotReady(String),
}

#[derive(Debug)]
struct Entry {
    state: State,
    since: Instant,
    started: bool,
    waiting: Vec<String>,
}

/// All checks of a process. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Health {
    checks: Arc<Mutex<BTreeMap<String, Entry>>>,
}

impl Health {
    /// Without checks: ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check, which is starting; one that exists is taken up as it is.
    pub fn check(&self, name: &str) -> HealthCheck {
        self.lock().entry(name.to_owned()).or_insert_with(|| Entry {
            state: State::Starting("starting".to_owned()),
            since: Instant::now(),
            started: false,
            waiting: Vec::new(),
        });
        HealthCheck { health: self.clone(), name: name.to_owned() }
    }

    /// Whether every check is ready.
    pub fn is_ready(&self) -> bool {
        self.lock().values().all(|entry| entry.state == State::Ready)
    }

    /// Whether every check has been ready once: the process has started.
    pub fn has_started(&self) -> bool {
        self.lock().values().all(|entry| entry.started)
    }

    /// Everything, as `/readyz` shows it.
    pub fn report(&self) -> Report {
        let checks = self.lock();
        Report {
            ready: checks.values().all(|entry| entry.state == State::Ready),
            checks: checks.iter().map(|(name, entry)| (name.clone(), CheckReport::of(entry))).collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One check, held by the one who knows.
#[derive(Debug, Clone)]
pub struct HealthCheck {
    health: Health,
    name: String,
}

impl HealthCheck {
    /// It is on its way: "reading the catalog".
    pub fn starting(&self, doing: impl Into<String>) {
        self.set(State::Starting(doing.into()));
    }

    /// It serves.
    pub fn ready(&self) {
        self.set(State::Ready);
    }

    /// It does not serve, because of `why`.
    pub fn not_ready(&self, why: impl Into<String>) {
        self.set(State::NotReady(why.into()));
    }

    /// What waits while the check as a whole may well be ready: partitions that are held by weather.
    pub fn waiting(&self, partitions: Vec<String>) {
        if let Some(entry) = self.health.lock().get_mut(&self.name) {
            entry.waiting = partitions;
        }
    }

    /// Its state now.
    pub fn state(&self) -> State {
        self.health.lock().get(&self.name).map_or(State::Ready, |entry| entry.state.clone())
    }

    fn set(&self, state: State) {
        let mut checks = self.health.lock();
        let Some(entry) = checks.get_mut(&self.name) else { return };
        entry.started |= state == State::Ready;
        if std::mem::discriminant(&entry.state) != std::mem::discriminant(&state) {
            entry.since = Instant::now();
        }
        entry.state = state;
    }
}

/// The health of a process, for people and probes.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Every check is ready.
    pub ready: bool,
    /// Each check by name.
    pub checks: BTreeMap<String, CheckReport>,
}

/// One check of a [`Report`].
#[derive(Debug, Clone, Serialize)]
pub struct CheckReport {
    /// `starting`, `ready` or `not ready`.
    pub state: &'static str,
    /// What it is doing, or why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Seconds in this state.
    pub for_seconds: u64,
    /// How many partitions wait.
    #[serde(skip_serializing_if = "is_zero")]
    pub waiting_count: usize,
    /// The first [`WAITING_SHOWN`] of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl CheckReport {
    fn of(entry: &Entry) -> Self {
        let (state, detail) = match &entry.state {
            State::Starting(doing) => ("starting", Some(doing.clone())),
            State::Ready => ("ready", None),
            State::NotReady(why) => ("not ready", Some(why.clone())),
        };
        Self {
            state,
            detail,
            for_seconds: entry.since.elapsed().as_secs(),
            waiting_count: entry.waiting.len(),
            waiting: entry.waiting.iter().take(WAITING_SHOWN).cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_only_when_every_check_is() {
        let health = Health::new();
        assert!(health.is_ready());
        let (broker, store) = (health.check("broker"), health.check("store"));
        broker.ready();
        assert!(!health.is_ready() && !health.has_started());
        store.ready();
        assert!(health.is_ready() && health.has_started());
        broker.not_ready("cannot reach 127.0.0.1:9092");
        assert!(!health.is_ready() && health.has_started(), "a process that has started stays started");
    }

    #[test]
    fn waiting_partitions_are_listed_up_to_a_bound() {
        let health = Health::new();
        let lanes = health.check("enforcer");
        lanes.ready();
        lanes.waiting((0..200).map(|n| format!("inbox.orders.lines.v1/{n}")).collect());
        let report = health.report();
        assert!(report.ready);
        assert_eq!(
            (report.checks["enforcer"].waiting_count, report.checks["enforcer"].waiting.len()),
            (200, WAITING_SHOWN)
        );
    }
}
