//! Roles that are watched: restarted with a growing pause when they fail, or ending the process; and an
//! orderly end within a grace period. A second signal ends at once.

use std::any::Any;
use std::collections::BTreeSet;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::shutdown::Shutdown;
use crate::telemetry;

/// How long an orderly end may take unless configured otherwise. Below Kubernetes' default of 30 s.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(25);

/// Pauses between restarts: doubling from `first` to `most`, and from `first` again after a run of
/// `calm_after` without failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The pause after the first failure.
    pub first: Duration,
    /// The longest pause.
    pub most: Duration,
    /// A run this long forgives what was before.
    pub calm_after: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(200), most: Duration::from_secs(30), calm_after: Duration::from_secs(60) }
    }
}

impl Backoff {
    /// The pause after this many failures in a row, counted from 1.
    pub fn pause(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        self.first.saturating_mul(1 << doublings).min(self.most)
    }
}

/// What happens when a role fails: returns an error, panics, or ends although nobody asked it to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// It is started again after a pause.
    Restart(Backoff),
    /// The process ends, in order: the other roles are drained first.
    EndProcess,
}

/// How a supervised process came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Everything stopped as asked.
    Stopped,
    /// A role that ends the process failed; the rest was drained.
    Failed {
        /// Which.
        role: String,
        /// Why.
        why: String,
    },
    /// Roles were still running when the grace period, or patience (a second signal), ended.
    Cut {
        /// Which.
        running: Vec<String>,
    },
}

enum Note {
    Done(String),
    Fatal { role: String, why: String },
}

/// Owns the roles of a process.
#[derive(Debug)]
pub struct Supervisor {
    shutdown: Shutdown,
    running: BTreeSet<String>,
    notes: mpsc::UnboundedSender<Note>,
    heard: mpsc::UnboundedReceiver<Note>,
}

impl Supervisor {
    /// Without roles yet; `shutdown` is what they watch.
    pub fn new(shutdown: Shutdown) -> Self {
        let (notes, heard) = mpsc::unbounded_channel();
        Self { shutdown, running: BTreeSet::new(), notes, heard }
    }

    /// Starts a role on its own thread. `run` blocks until the process is stopping; it is called again for
    /// each restart. Names must differ.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn thread<E: std::fmt::Display>(
        &mut self,
        name: &str,
        on_failure: OnFailure,
        mut run: impl FnMut() -> Result<(), E> + Send + 'static,
    ) -> std::io::Result<()> {
        let mut watch = Watch::new(name, on_failure, self.shutdown.clone());
        let notes = self.notes.clone();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            loop {
                watch.started();
                let outcome = match catch_unwind(AssertUnwindSafe(&mut run)) {
                    Ok(result) => result.map_err(|e| e.to_string()),
                    Err(panic) => Err(panic_text(&*panic)),
                };
                match watch.judge(outcome) {
                    Next::Pause(pause) if !watch.shutdown.wait(pause) => {}
                    Next::Pause(_) => return watch.end(&notes, None),
                    Next::End(why) => return watch.end(&notes, why),
                }
            }
        })?;
        self.running.insert(name.to_owned());
        Ok(())
    }

    /// Starts a role as a task of the current tokio runtime. `make` is called for each start. Names must
    /// differ.
    pub fn task<E, F>(&mut self, name: &str, on_failure: OnFailure, mut make: impl FnMut() -> F + Send + 'static)
    where
        E: std::fmt::Display + Send + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        let mut watch = Watch::new(name, on_failure, self.shutdown.clone());
        let notes = self.notes.clone();
        self.running.insert(name.to_owned());
        tokio::spawn(async move {
            loop {
                watch.started();
                let outcome = match tokio::spawn(make()).await {
                    Ok(result) => result.map_err(|e| e.to_string()),
                    Err(join) if join.is_panic() => Err(panic_text(&*join.into_panic())),
                    Err(_) => Ok(()),
                };
                match watch.judge(outcome) {
                    Next::Pause(pause) => {
                        let stopping = tokio::time::timeout(pause, watch.shutdown.stopped()).await.is_ok();
                        if stopping {
                            return watch.end(&notes, None);
                        }
                    }
                    Next::End(why) => return watch.end(&notes, why),
                }
            }
        });
    }

    /// Runs until a signal, a wish to stop from within, or a failure that ends the process; then gives the roles
    /// `grace` to finish. A second signal cuts that short. Every message of `signals` stands for one: see [`signals`].
    pub async fn run_until(mut self, mut signals: mpsc::Receiver<&'static str>, grace: Duration) -> Ended {
        let mut failed = None;
        while !self.running.is_empty() && !self.shutdown.is_stopping() {
            tokio::select! {
                Some(signal) = signals.recv() => {
                    tracing::info!(signal, grace_seconds = grace.as_secs(), "stopping; a second signal ends at once");
                    self.shutdown.stop();
                }
                () = self.shutdown.stopped() => {}
                Some(note) = self.heard.recv() => self.take(note, &mut failed),
            }
        }
        self.shutdown.stop();
        let deadline = tokio::time::Instant::now() + grace;
        while !self.running.is_empty() {
            tokio::select! {
                Some(note) = self.heard.recv() => self.take(note, &mut failed),
                Some(signal) = signals.recv() => {
                    tracing::warn!(signal, "ending at once");
                    break;
                }
                () = tokio::time::sleep_until(deadline) => {
                    tracing::warn!(running = ?self.running, "the grace period is over");
                    break;
                }
            }
        }
        match failed {
            Some((role, why)) => Ended::Failed { role, why },
            None if self.running.is_empty() => Ended::Stopped,
            None => Ended::Cut { running: self.running.into_iter().collect() },
        }
    }

    fn take(&mut self, note: Note, failed: &mut Option<(String, String)>) {
        match note {
            Note::Done(role) => {
                self.running.remove(&role);
            }
            Note::Fatal { role, why } => {
                self.running.remove(&role);
                self.shutdown.stop();
                failed.get_or_insert((role, why));
            }
        }
    }
}

/// SIGTERM and SIGINT as messages, from this call on: until then they end the process on the spot.
///
/// # Errors
/// The operating system lets nobody listen to signals.
pub fn signals() -> std::io::Result<mpsc::Receiver<&'static str>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (tell, told) = mpsc::channel(4);
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        loop {
            let name = tokio::select! {
                Some(()) = term.recv() => "SIGTERM",
                Some(()) = int.recv() => "SIGINT",
                else => return,
            };
            if tell.send(name).await.is_err() {
                return;
            }
        }
    });
    Ok(told)
}

enum Next {
    Pause(Duration),
    End(Option<String>),
}

/// The history of one role.
struct Watch {
    name: String,
    on_failure: OnFailure,
    shutdown: Shutdown,
    failures: u32,
    since: Instant,
}

impl Watch {
    fn new(name: &str, on_failure: OnFailure, shutdown: Shutdown) -> Self {
        Self { name: name.to_owned(), on_failure, shutdown, failures: 0, since: Instant::now() }
    }

    fn started(&mut self) {
        self.since = Instant::now();
        telemetry::role_up(&self.name, true);
    }

    fn judge(&mut self, outcome: Result<(), String>) -> Next {
        telemetry::role_up(&self.name, false);
        let why = match outcome {
            Ok(()) if self.shutdown.is_stopping() => return Next::End(None),
            Ok(()) => "it ended although nobody asked it to".to_owned(),
            Err(why) => why,
        };
        let OnFailure::Restart(backoff) = self.on_failure else {
            tracing::error!(role = self.name, why, "the role failed; the process ends");
            return Next::End(Some(why));
        };
        if self.shutdown.is_stopping() {
            tracing::warn!(role = self.name, why, "the role failed while stopping");
            return Next::End(None);
        }
        if self.since.elapsed() >= backoff.calm_after {
            self.failures = 0;
        }
        self.failures += 1;
        let pause = backoff.pause(self.failures);
        telemetry::role_restarted(&self.name);
        tracing::error!(
            role = self.name,
            why,
            pause_ms = pause.as_millis(),
            "the role failed; it is started again after a pause"
        );
        Next::Pause(pause)
    }

    fn end(self, notes: &mpsc::UnboundedSender<Note>, why: Option<String>) {
        let note = match why {
            Some(why) => Note::Fatal { role: self.name, why },
            None => Note::Done(self.name),
        };
        // Nobody listens only when the process is being cut short.
        drop(notes.send(note));
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("it panicked: {}", text.unwrap_or("without a message"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn quick() -> OnFailure {
        OnFailure::Restart(Backoff {
            first: Duration::from_millis(1),
            most: Duration::from_millis(4),
            ..Backoff::default()
        })
    }

    fn no_signals() -> (mpsc::Sender<&'static str>, mpsc::Receiver<&'static str>) {
        mpsc::channel(4)
    }

    #[test]
    fn pauses_double_up_to_thirty_seconds() {
        let pauses: Vec<u128> = (1..=10).map(|n| Backoff::default().pause(n).as_millis()).collect();
        assert_eq!(pauses, [200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]);
        assert_eq!(Backoff::default().pause(u32::MAX), Duration::from_secs(30));
    }

    #[tokio::test]
    async fn failing_and_panicking_roles_are_started_again() {
        let shutdown = Shutdown::new();
        let mut supervisor = Supervisor::new(shutdown.clone());
        let starts = Arc::new(AtomicU32::new(0));
        let (counted, stop) = (Arc::clone(&starts), shutdown.clone());
        supervisor
            .thread("lane", quick(), move || match counted.fetch_add(1, Ordering::SeqCst) {
                0 => Err("no broker".to_owned()),
                1 => panic!("a mistake"),
                2 => Ok(()),
                _ => {
                    stop.stop();
                    Ok(())
                }
            })
            .unwrap();
        let (_hold, signals) = no_signals();
        assert_eq!(supervisor.run_until(signals, Duration::from_secs(5)).await, Ended::Stopped);
        assert_eq!(starts.load(Ordering::SeqCst), 4);
    }

    #[tokio::test]
    async fn a_role_that_ends_the_process_drains_the_others() {
        let shutdown = Shutdown::new();
        let mut supervisor = Supervisor::new(shutdown.clone());
        let drained = Arc::new(AtomicU32::new(0));
        let (mark, watch) = (Arc::clone(&drained), shutdown.clone());
        supervisor.task("quiet", quick(), move || {
            let (mark, watch) = (Arc::clone(&mark), watch.clone());
            async move {
                watch.stopped().await;
                mark.fetch_add(1, Ordering::SeqCst);
                Ok::<(), String>(())
            }
        });
        supervisor.task("store", OnFailure::EndProcess, || async { Err::<(), _>("the disk is full".to_owned()) });
        let (_hold, signals) = no_signals();
        let ended = supervisor.run_until(signals, Duration::from_secs(5)).await;
        assert_eq!(ended, Ended::Failed { role: "store".to_owned(), why: "the disk is full".to_owned() });
        assert_eq!(drained.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_second_signal_ends_at_once() {
        let mut supervisor = Supervisor::new(Shutdown::new());
        supervisor.task("stubborn", OnFailure::EndProcess, || async {
            std::future::pending::<()>().await;
            Ok::<(), String>(())
        });
        let (signal, signals) = no_signals();
        signal.send("SIGTERM").await.unwrap();
        signal.send("SIGTERM").await.unwrap();
        let ended = supervisor.run_until(signals, Duration::from_secs(600)).await;
        assert_eq!(ended, Ended::Cut { running: vec!["stubborn".to_owned()] });
    }

    #[tokio::test]
    async fn the_grace_period_is_kept() {
        let shutdown = Shutdown::new();
        let mut supervisor = Supervisor::new(shutdown.clone());
        supervisor.task("stubborn", OnFailure::EndProcess, || async {
            std::future::pending::<()>().await;
            Ok::<(), String>(())
        });
        shutdown.stop();
        let (_hold, signals) = no_signals();
        let ended = supervisor.run_until(signals, Duration::from_millis(20)).await;
        assert_eq!(ended, Ended::Cut { running: vec!["stubborn".to_owned()] });
    }
}
