//! Writes that wait share a transaction: who comes first decides for all who wait, each on what the ones
//! before it have decided. A transaction takes tens of milliseconds whatever it holds.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::decide::Decision;
use crate::records::Event;
use crate::refusal::Refusal;
use crate::state::State;

/// Most writes of one transaction.
const MOST: usize = 200;

/// A write that waits for its answer.
pub(crate) trait Waiting: Send + Sync {
    /// Decides on what is known. No events where that answers it.
    fn decide(&self, state: &State) -> Vec<Event>;
    /// What it decided is written.
    fn written(&self);
    /// It is not known whether what it decided is written.
    fn unknown(&self);
    /// It cannot be done.
    fn refuse(&self, refusal: Refusal);
    /// Whether it has its answer.
    fn is_answered(&self) -> bool;
}

/// See [`Waiting`].
pub(crate) struct Write<T, D> {
    decide: D,
    place: Mutex<Place<T>>,
}

struct Place<T> {
    decided: Option<T>,
    /// What was decided when the outcome was lost.
    perhaps: Option<T>,
    answer: Option<Result<T, Refusal>>,
}

impl<T, D: Fn(&State) -> Result<Decision<T>, Refusal>> Write<T, D> {
    pub(crate) fn new(decide: D) -> Self {
        Self { decide, place: Mutex::new(Place { decided: None, perhaps: None, answer: None }) }
    }

    fn place(&self) -> MutexGuard<'_, Place<T>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its answer, once.
    pub(crate) fn answer(&self) -> Option<Result<T, Refusal>> {
        self.place().answer.take()
    }
}

impl<T: Send, D: Fn(&State) -> Result<Decision<T>, Refusal> + Send + Sync> Waiting for Write<T, D> {
    fn decide(&self, state: &State) -> Vec<Event> {
        let decided = (self.decide)(state);
        let mut place = self.place();
        match decided {
            Ok(Decision { events, answer }) if !events.is_empty() => {
                place.decided = Some(answer);
                events
            }
            other => {
                place.answer = Some(match (other, place.perhaps.take()) {
                    // What an earlier attempt may have deleted, and is not there any more, is deleted.
                    (Err(refusal), Some(answer)) if refusal.status() == 404 => Ok(answer),
                    (other, _) => other.map(|decision| decision.answer),
                });
                Vec::new()
            }
        }
    }

    fn written(&self) {
        let mut place = self.place();
        place.answer = place.decided.take().map(Ok);
    }

    fn unknown(&self) {
        let mut place = self.place();
        place.perhaps = place.decided.take();
    }

    fn refuse(&self, refusal: Refusal) {
        self.place().answer = Some(Err(refusal));
    }

    fn is_answered(&self) -> bool {
        self.place().answer.is_some()
    }
}

/// The writes that wait, in the order in which they came.
#[derive(Default)]
pub(crate) struct Queue(Mutex<Vec<Arc<dyn Waiting>>>);

impl Queue {
    pub(crate) fn push(&self, write: Arc<dyn Waiting>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(write);
    }

    /// Those that have waited longest.
    pub(crate) fn take(&self) -> Vec<Arc<dyn Waiting>> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let most = waiting.len().min(MOST);
        waiting.drain(..most).collect()
    }
}

/// What the writes decide, one after the other: each event with the index of its write. Those that it answers
/// stay in their places and have no events.
pub(crate) fn decide(state: &Arc<State>, writes: &[Arc<dyn Waiting>]) -> Vec<(usize, Event)> {
    let mut known = Arc::clone(state);
    let mut decided = Vec::new();
    for (index, write) in writes.iter().enumerate() {
        let events = write.decide(&known);
        if index + 1 < writes.len() && !events.is_empty() {
            let known = Arc::make_mut(&mut known);
            events.iter().for_each(|event| known.apply(event.clone()));
        }
        decided.extend(events.into_iter().map(|event| (index, event)));
    }
    decided
}
