//! Which values there are: all of them counted where they are few, whether any comes twice, and sketches
//! where they are many.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use contract::program::sketch::{Distinct, Histogram, hash};

/// Most values that are counted one by one.
const MAX_COUNTED: usize = 64;
/// Longest value that is counted, in bytes.
const MAX_BYTES: usize = 80;
/// Most hashes that are kept of all columns together, to know whether a value comes twice.
pub(crate) const MAX_HASHES: usize = 3_000_000;

/// Hands on what is a hash already.
#[derive(Debug, Default)]
struct Given(u64);

impl Hasher for Given {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash(bytes);
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// How often each value occurs, as long as they are few.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counted {
    /// By hash: the value and its count.
    values: HashMap<u64, (Box<str>, u64), BuildHasherDefault<Given>>,
    many: bool,
}

impl Counted {
    pub(crate) fn is_alive(&self) -> bool {
        !self.many
    }

    pub(crate) fn give_up(&mut self) {
        self.many = true;
        self.values = HashMap::default();
    }

    pub(crate) fn take(&mut self, value: &str, hash: u64) {
        self.take_many(value, hash, 1);
    }

    pub(crate) fn take_many(&mut self, value: &str, hash: u64, count: u64) {
        if self.many {
            return;
        }
        if let Some((_, counted)) = self.values.get_mut(&hash) {
            *counted += count;
            return;
        }
        if self.values.len() >= MAX_COUNTED || value.len() > MAX_BYTES {
            return self.give_up();
        }
        self.values.insert(hash, (value.into(), count));
    }

    /// All values, the most frequent first; `None` where there are too many of them.
    pub(crate) fn all(&self) -> Option<Vec<(&str, u64)>> {
        if self.many {
            return None;
        }
        let mut all: Vec<(&str, u64)> = self.values.values().map(|(value, count)| (&**value, *count)).collect();
        all.sort_by(|(a, more), (b, less)| less.cmp(more).then(a.cmp(b)));
        Some(all)
    }
}

/// Whether all values differ, by their hashes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unique {
    seen: HashSet<u64, BuildHasherDefault<Given>>,
    state: State,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Unique,
    Repeats,
    Unknown,
}

impl Unique {
    pub(crate) fn is_alive(&self) -> bool {
        self.state == State::Unique
    }

    /// `room` is for how many hashes there is still room in all columns.
    pub(crate) fn take(&mut self, hash: u64, room: &mut usize) {
        if !self.is_alive() {
            return;
        }
        if *room == 0 {
            return self.end(State::Unknown, room);
        }
        if self.seen.insert(hash) {
            *room -= 1;
        } else {
            self.end(State::Repeats, room);
        }
    }

    /// Nobody wants to know.
    pub(crate) fn give_up(&mut self, room: &mut usize) {
        if self.is_alive() {
            self.end(State::Unknown, room);
        }
    }

    fn end(&mut self, state: State, room: &mut usize) {
        *room += self.seen.len();
        self.seen = HashSet::default();
        self.state = state;
    }

    /// Whether every value is there once.
    pub(crate) fn is_unique(&self) -> bool {
        self.is_alive() && !self.seen.is_empty()
    }
}

/// Most values that may be the most frequent ones.
const MAX_TOP: usize = 256;

/// What a profile says beyond what a draft needs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deep {
    pub(crate) distinct: Distinct,
    pub(crate) histogram: Histogram,
    /// Candidates for the most frequent values (Misra and Gries, 1982): each count is at most by the number
    /// of values divided by [`MAX_TOP`] too low.
    top: HashMap<u64, (Box<str>, u64), BuildHasherDefault<Given>>,
    lost: u64,
}

impl Deep {
    pub(crate) fn take(&mut self, value: &str, hash: u64) {
        self.distinct.insert(hash);
        if let Some((_, count)) = self.top.get_mut(&hash) {
            *count += 1;
        } else if self.top.len() < MAX_TOP {
            let cut: String = value.chars().take(MAX_BYTES).collect();
            self.top.insert(hash, (cut.into(), 1));
        } else {
            self.lost += 1;
            self.top.retain(|_, (_, count)| {
                *count -= 1;
                *count > 0
            });
        }
    }

    /// The most frequent values with their counts, and whether these are exact.
    pub(crate) fn top(&self, most: usize) -> (Vec<(&str, u64)>, bool) {
        let mut top: Vec<(&str, u64)> = self.top.values().map(|(value, count)| (&**value, *count)).collect();
        top.sort_by(|(a, more), (b, less)| less.cmp(more).then(a.cmp(b)));
        top.truncate(most);
        (top, self.lost == 0)
    }
}
