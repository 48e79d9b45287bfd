//! The time, passed in: lanes and the resolver ask for it here, so that a simulation can step them.

use std::sync::Arc;
use std::time::Instant;

use schemas::Timestamp;

/// One reading of the clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// For people and rules.
    pub(crate) wall: Timestamp,
    /// For waiting.
    pub(crate) instant: Instant,
}

/// Where readings come from.
#[derive(Clone)]
pub(crate) struct Clock(Arc<dyn Fn() -> Now + Send + Sync>);

impl Clock {
    /// The machine's.
    pub(crate) fn real() -> Self {
        Self(Arc::new(|| Now { wall: Timestamp::now(), instant: Instant::now() }))
    }

    /// One that a test moves.
    #[cfg(test)]
    pub(crate) fn of(read: impl Fn() -> Now + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// Reads it.
    pub(crate) fn now(&self) -> Now {
        (self.0)()
    }
}
