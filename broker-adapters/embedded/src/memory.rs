//! The memory that requests and answers of all connections hold together: a bound, and who gives way where it is short.
//!
//! Counts what it is told of, and knows nothing of connections.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Memory is counted in this.
const UNIT: usize = 1024;
/// A connection may have this without asking.
pub(crate) const FREE: usize = 64 * 1024;
/// The memory of a large request is asked for in steps of this: who waits for a second one holds the first, so that the usual
/// request of a producer, of a megabyte at most, needs one.
pub(crate) const GRANT: usize = 1280 * 1024;
/// How often a transfer is looked at while memory is short,
pub(crate) const LOOK: Duration = Duration::from_secs(1);
/// and how much of it must have moved meanwhile, or the connection is closed for those who wait.
const LEAST_MOVED: usize = 16 * 1024;

/// What requests and answers of all connections may hold together.
#[derive(Clone)]
pub(crate) struct Memory {
    units: Arc<Semaphore>,
    all: usize,
    waiting: Arc<AtomicUsize>,
}

/// One who waits for memory, until the value is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Memory that is given back when the value is dropped.
pub(crate) type Permit = Option<OwnedSemaphorePermit>;

impl Memory {
    pub(crate) fn new(bytes: usize) -> Self {
        let all = (bytes / UNIT).min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        Self { units: Arc::new(Semaphore::new(all)), all, waiting: Arc::default() }
    }

    /// Whether somebody waits for it.
    pub(crate) fn is_short(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// How much an answer may take of so much that there is to say: less where little is free, so that a few who do
    /// not read their answers leave something for others.
    pub(crate) fn share(&self, wanted: usize) -> usize {
        wanted.min((self.units.available_permits() * UNIT / 4).max(GRANT))
    }

    /// Waits until there is room for an answer of so many bytes; a small one does not wait.
    pub(crate) async fn take_for_answer(&self, bytes: usize) -> Permit {
        if bytes <= FREE { None } else { self.take(bytes).await }
    }

    /// Waits until there is room for so many bytes; for more than all there is, until everything is free.
    pub(crate) async fn take(&self, bytes: usize) -> Permit {
        let units = u32::try_from(bytes.div_ceil(UNIT).min(self.all)).unwrap_or(u32::MAX);
        if let Ok(permit) = Arc::clone(&self.units).try_acquire_many_owned(units) {
            return Some(permit);
        }
        let _waiting = Waiting::new(&self.waiting);
        Arc::clone(&self.units).acquire_many_owned(units).await.ok()
    }
}

/// How quickly a transfer goes that holds memory.
pub(crate) struct Pace {
    since: Instant,
    moved: usize,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { since: Instant::now(), moved: 0 }
    }

    /// Takes note of what moved.
    ///
    /// # Errors
    /// It goes so slowly that others need not wait for it any longer.
    pub(crate) fn moved(&mut self, bytes: usize, memory: &Memory) -> io::Result<()> {
        self.moved += bytes;
        if self.since.elapsed() < LOOK {
            return Ok(());
        }
        let slow = self.moved < LEAST_MOVED;
        *self = Self::new();
        if slow && memory.is_short() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it is slow, holds memory, and others wait for that"));
        }
        Ok(())
    }
}
