//! The one wish to stop, heard by tasks and by threads.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// A handle on the wish to stop. Clones are the same wish; it is never taken back.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    wish: Mutex<Wish>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Wish {
    stopping: bool,
    children: Vec<Weak<Gate>>,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, Wish> {
        self.wish.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) {
        let mut wish = self.lock();
        wish.stopping = true;
        let children = std::mem::take(&mut wish.children);
        drop(wish);
        self.changed.notify_all();
        children.iter().filter_map(Weak::upgrade).for_each(|child| child.open());
    }
}

impl Shutdown {
    /// A wish that nobody has had yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wishes it. Wakes every waiter; wishing twice is the same as once.
    pub fn stop(&self) {
        self.token.cancel();
        self.gate.open();
    }

    /// A wish within this one: it is had when this one is, and may be had alone, which stops a part (one
    /// run of a role with its threads) and nothing else.
    #[must_use]
    pub fn child(&self) -> Self {
        let child = Self { token: self.token.child_token(), gate: Arc::default() };
        let mut wish = self.gate.lock();
        if wish.stopping {
            child.gate.open();
        } else {
            wish.children.retain(|gate| gate.strong_count() > 0);
            wish.children.push(Arc::downgrade(&child.gate));
        }
        drop(wish);
        child
    }

    /// Whether the process is stopping.
    pub fn is_stopping(&self) -> bool {
        self.token.is_cancelled()
    }

    /// For threads: waits up to `at_most` for the wish; `true` if the process is stopping. The interruptible
    /// replacement of a sleep.
    pub fn wait(&self, at_most: Duration) -> bool {
        let started = Instant::now();
        let mut wish = self.gate.lock();
        while !wish.stopping {
            let Some(left) = at_most.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) else {
                return false;
            };
            wish = self.gate.changed.wait_timeout(wish, left).unwrap_or_else(PoisonError::into_inner).0;
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

    #[test]
    fn a_part_stops_with_the_whole_but_not_the_whole_with_a_part() {
        let whole = Shutdown::new();
        let (first, second) = (whole.child(), whole.child());
        first.stop();
        assert!(first.is_stopping() && !whole.is_stopping() && !second.is_stopping());
        whole.stop();
        assert!(second.is_stopping() && second.wait(Duration::ZERO));
        let late = whole.child();
        assert!(late.is_stopping() && late.wait(Duration::ZERO));
    }
}
