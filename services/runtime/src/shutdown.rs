//! The one wish to stop, heard by tasks and by threads.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// A handle on the process's wish to stop. Clones are the same wish; it is never taken back.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    stopping: Mutex<bool>,
    changed: Condvar,
}

impl Shutdown {
    /// A wish that nobody has had yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wishes it. Wakes every waiter; wishing twice is the same as once.
    pub fn stop(&self) {
        *self.gate.stopping.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.gate.changed.notify_all();
        self.token.cancel();
    }

    /// Whether the process is stopping.
    pub fn is_stopping(&self) -> bool {
        self.token.is_cancelled()
    }

    /// For threads: waits up to `at_most` for the wish; `true` if the process is stopping. The interruptible
    /// replacement of a sleep.
    pub fn wait(&self, at_most: Duration) -> bool {
        let started = Instant::now();
        let mut stopping = self.gate.stopping.lock().unwrap_or_else(PoisonError::into_inner);
        while !*stopping {
            let Some(left) = at_most.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) else {
                return false;
            };
            stopping = self.gate.changed.wait_timeout(stopping, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// For tasks: completes when the process is stopping.
    pub async fn stopped(&self) {
        self.token.cancelled().await;
    }

    /// The same wish as a token, for code that takes one.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_thread_wakes_at_once() {
        let shutdown = Shutdown::new();
        assert!(!shutdown.wait(Duration::from_millis(1)));
        let waiting = std::thread::spawn({
            let shutdown = shutdown.clone();
            move || {
                let started = Instant::now();
                (shutdown.wait(Duration::from_secs(60)), started.elapsed())
            }
        });
        shutdown.stop();
        let (stopping, after) = waiting.join().unwrap();
        assert!(stopping && after < Duration::from_secs(30));
        assert!(shutdown.is_stopping());
    }
}
