//! Bytes of a file with a bound on each record, and the lines that they fall on.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use crate::MAX_RECORD_BYTES;

/// What the reader and its owner both look at. Only one thread ever does; the lock lets rows move to
/// another.
#[derive(Debug, Default)]
struct State {
    /// Bytes read from the file.
    read: u64,
    /// The byte at which the record being read may start.
    from: u64,
    /// Newlines before `from`.
    passed: u64,
    /// Offsets of the newlines read since.
    newlines: VecDeque<u64>,
    /// Whether a record outgrew its bound.
    too_long: bool,
}

/// A reader that refuses to feed a record more than [`MAX_RECORD_BYTES`].
pub(crate) struct Source {
    inner: Box<dyn Read + Send>,
    state: Arc<Mutex<State>>,
}

/// What its owner asks it.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    state: Arc<Mutex<State>>,
}

impl Source {
    pub(crate) fn new(inner: Box<dyn Read + Send>) -> (Self, Lines) {
        let state = Arc::new(Mutex::new(State::default()));
        (Self { inner, state: Arc::clone(&state) }, Lines { state })
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let bound = u64::try_from(MAX_RECORD_BYTES).unwrap_or(u64::MAX);
            if state.read.saturating_sub(state.from) > bound {
                state.too_long = true;
                return Err(io::Error::other("the record is too long"));
            }
        }
        let count = self.inner.read(buffer)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let start = state.read;
        let read = buffer.get(..count).unwrap_or_default();
        state.newlines.extend(memchr::memchr_iter(b'\n', read).map(|at| start + at as u64));
        state.read += count as u64;
        Ok(count)
    }
}

impl Lines {
    /// Whether the reader stopped because of its bound.
    pub(crate) fn too_long(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).too_long
    }

    /// The line, from 1, of the byte that comes next.
    pub(crate) fn next_line(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).passed + 1
    }

    /// Moves behind a record that ends before byte `end` and has `inner` newlines in it, and says on which
    /// line it starts. Blank lines before it do not confuse it, nor do line ends of one or two bytes.
    pub(crate) fn advance(&self, end: u64, inner: u64) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last = None;
        while let Some(newline) = state.newlines.front().copied().filter(|newline| *newline < end) {
            last = Some(newline);
            state.newlines.pop_front();
            state.passed += 1;
        }
        state.from = end;
        let terminated = u64::from(end > 0 && last == Some(end - 1));
        (state.passed + 1).saturating_sub(terminated + inner)
    }
}
