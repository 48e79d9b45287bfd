//! A transactional producer's side of the conversation: the steps of one transaction, each of which may be
//! made to fail. Used by the writer and by the lane; knows nothing of what they write.

use std::sync::Arc;
use std::time::Duration;

use schemas::{GroupId, Offset, Partition, Topic, TopicPartition, TransactionalId};

use super::Shared;
use super::faults::{Fault, Step};
use super::partition::Stored;
use super::state::{State, StepError};
use crate::lane::CommittedOffset;
use crate::log::Weather;

/// Why a step of a transaction ended it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// A newer owner has the id.
    Fenced,
    /// Not answered, no effect.
    Disconnected(String),
    /// Not answered; the transaction is over, one way or the other.
    Unknown(String),
    /// This process is dead: nothing is ever answered again.
    Crashed(Weather),
    /// A record, or metadata, is refused for what it is.
    Refused(String),
    /// A partition that was to be written is away.
    Away(String),
}

impl From<StepError> for Stop {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Fenced => Self::Fenced,
            StepError::Refused(reason) => Self::Refused(reason),
            StepError::Away(why) => Self::Away(why),
        }
    }
}

/// One epoch of one transactional id.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) id: TransactionalId,
    epoch: u32,
    timeout: Duration,
    crashed: bool,
}

impl Session {
    /// Fences the earlier epochs of `id`.
    pub(super) fn open(shared: &Arc<Shared>, id: &TransactionalId, timeout: Duration) -> Result<Self, Weather> {
        let mut state = shared.lock();
        if let Some(why) = &state.outage {
            return Err(Weather::new(format!("initialise transactions of {id}"), why));
        }
        let epoch = state.init_producer(id);
        drop(state);
        shared.changed.notify_all();
        Ok(Self { shared: Arc::clone(shared), id: id.clone(), epoch, timeout, crashed: false })
    }

    /// Whether the process is still alive and the cluster within reach.
    pub(super) fn alive(&self, what: &str) -> Result<(), Weather> {
        if self.crashed {
            return Err(Weather::new(what, "the process died"));
        }
        match &self.shared.lock().outage {
            Some(why) => Err(Weather::new(what, why)),
            None => Ok(()),
        }
    }

    /// Whether this epoch is still the newest.
    pub(super) fn check(&self) -> Result<(), Stop> {
        Ok(self.shared.lock().check(&self.id, self.epoch)?)
    }

    /// Begins a transaction.
    pub(super) fn begin(&mut self) -> Result<(), Stop> {
        let (id, epoch, timeout) = (self.id.clone(), self.epoch, self.timeout);
        self.act(|state| state.begin(&id, epoch, timeout))
    }

    /// Lets the plan of failures have its say before records are sent.
    pub(super) fn produce_step(&mut self) -> Result<(), Stop> {
        self.step(Step::Produce, |_| Ok(()))
    }

    /// Sends one record of the transaction.
    pub(super) fn append(
        &mut self,
        topic: &Topic,
        partition: Option<Partition>,
        record: &Arc<Stored>,
    ) -> Result<(TopicPartition, Offset), Stop> {
        Ok(self.shared.lock().append(&self.id, self.epoch, topic, partition, record)?)
    }

    /// Waits for the delivery reports.
    pub(super) fn flush(&mut self) -> Result<(), Stop> {
        let (id, epoch) = (self.id.clone(), self.epoch);
        self.step(Step::Flush, |state| state.check(&id, epoch))
    }

    /// Adds offsets.
    pub(super) fn add_offsets(
        &mut self,
        group: &GroupId,
        offsets: &[(TopicPartition, CommittedOffset)],
    ) -> Result<(), Stop> {
        let (id, epoch) = (self.id.clone(), self.epoch);
        self.step(Step::AddOffsets, |state| state.add_offsets(&id, epoch, group, offsets))
    }

    /// Commits.
    pub(super) fn commit(&mut self) -> Result<(), Stop> {
        let (id, epoch) = (self.id.clone(), self.epoch);
        self.step(Step::Commit, |state| state.end(&id, epoch, true))
    }

    /// Aborts what is open, unless the process is dead or fenced: then that is another's work.
    pub(super) fn abort(&mut self) {
        if !self.crashed {
            let (id, epoch) = (self.id.clone(), self.epoch);
            // A fenced epoch has nothing open any more, so there is nothing to do about the refusal.
            let _ = self.act(|state| state.end(&id, epoch, false));
        }
    }

    /// Lets the plan of failures have its say about a fetch.
    pub(super) fn poll_step(&mut self) -> Result<(), Weather> {
        self.step(Step::Poll, |_| Ok(())).map_err(|stop| match stop {
            Stop::Crashed(weather) => weather,
            Stop::Fenced => Weather::new("poll", "a newer owner has taken over"),
            Stop::Disconnected(why) | Stop::Unknown(why) | Stop::Refused(why) | Stop::Away(why) => {
                Weather::new("poll", why)
            }
        })
    }

    fn step(&mut self, step: Step, act: impl FnOnce(&mut State) -> Result<(), StepError>) -> Result<(), Stop> {
        let fault = self.shared.lock().faults.strike(step);
        let lost = || format!("the connection was lost at {step:?}");
        match fault {
            None => self.act(act),
            Some(Fault::Delay(duration)) => {
                self.shared.pause(duration);
                self.act(act)
            }
            Some(Fault::UnknownCommitted) if step == Step::Commit => {
                self.act(act)?;
                Err(Stop::Unknown(lost()))
            }
            Some(Fault::UnknownAborted) if step == Step::Commit => {
                self.abort();
                Err(Stop::Unknown(lost()))
            }
            Some(Fault::Disconnect | Fault::UnknownCommitted | Fault::UnknownAborted) => {
                Err(Stop::Disconnected(lost()))
            }
            Some(Fault::Takeover) => {
                self.shared.lock().init_producer(&self.id);
                self.act(act)
            }
            Some(Fault::CrashBefore) => Err(self.crash(step)),
            Some(Fault::CrashAfter) => {
                self.act(act)?;
                Err(self.crash(step))
            }
        }
    }

    fn crash(&mut self, step: Step) -> Stop {
        self.crashed = true;
        Stop::Crashed(Weather::new("go on", format!("the process died at {step:?}")))
    }

    fn act(&mut self, act: impl FnOnce(&mut State) -> Result<(), StepError>) -> Result<(), Stop> {
        let mut state = self.shared.lock();
        if let Some(why) = &state.outage {
            return Err(Stop::Disconnected(why.clone()));
        }
        let done = act(&mut state);
        drop(state);
        self.shared.changed.notify_all();
        Ok(done?)
    }
}
