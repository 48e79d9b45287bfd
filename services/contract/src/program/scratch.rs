//! Working memory of one thread, and the violations of the record judged last.

use super::layout::RuleInfo;
use super::statistics;
use super::{Program, Violation};
use crate::cel::{Rows, Texts};
use crate::model::Severity;

/// How many violations of a record are kept; all are counted.
const KEPT: usize = 16;

/// Working memory of one thread, used again for every record.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) frames: Vec<Frame>,
    pub(super) seen: Vec<Seen>,
    /// A number per measured field, see `statistics::staged`.
    pub(super) staged: Vec<f64>,
    /// For each measured text, how many bytes of the record lie behind it: the fast pass's.
    pub(super) behind: Vec<u32>,
    /// A hash per sketch.
    pub(super) hashes: Vec<u64>,
    /// The items that conditions look into; its tables are taken out while a record is judged.
    pub(super) rows: Rows<'static>,
    /// What conditions make of texts.
    pub(super) texts: Texts,
    /// Violations per rule; zero but for those in `hits`.
    counts: Vec<u32>,
    hits: Vec<u32>,
    kept: Vec<Violation>,
    held: bool,
    /// A value could not be read as the contract's type: conditions are not asked.
    pub(super) unreadable: bool,
    /// Somebody wants the statistics of this record.
    pub(super) measuring: bool,
}

/// Whether a frame is a loop's or a call's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum FrameKind {
    #[default]
    Loop,
    Call,
}

/// A loop or call that was entered.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Frame {
    pub(super) kind: FrameKind,
    /// The op that entered it.
    pub(super) pc: usize,
    /// The first op of the body; where a call returns to.
    pub(super) body: usize,
    pub(super) shape: u32,
    /// Items left in this block, this one included.
    pub(super) left: u64,
    /// The index of this item.
    pub(super) index: u64,
    /// Where this item starts.
    pub(super) item: usize,
    /// Where the block says that it ends.
    pub(super) end: Option<usize>,
    /// Where this entry's key stands.
    pub(super) key: (usize, usize),
    /// Where the collected items start.
    pub(super) seen: usize,
}

/// An item of an array whose items must differ.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) tag: u8,
    pub(super) bits: u64,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Scratch {
    /// The first violations of the record judged last (at most 16), errors and warnings; a warning gives way to
    /// an error that comes when there is no more room.
    pub fn violations(&self) -> &[Violation] {
        &self.kept
    }

    /// For the record judged last: each broken rule's index in [`Program::rules`], and how often.
    pub fn hits(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        self.hits.iter().map(|rule| (*rule as usize, self.counts.get(*rule as usize).copied().unwrap_or(0)))
    }

    /// Whether a rule was broken that holds records back.
    pub(super) fn held(&self) -> bool {
        self.held
    }

    #[inline]
    pub(super) fn begin(&mut self, program: &Program, measuring: bool) {
        self.measuring = measuring;
        self.forget();
        let rules = program.layout.rules.len();
        if self.counts.len() < rules {
            self.counts.resize(rules, 0);
        }
        if measuring {
            self.stage(program);
        }
    }

    /// All measured fields are null, until they are found.
    #[inline]
    fn stage(&mut self, program: &Program) {
        let (leaves, sketches) = (program.layout.leaves.len(), program.layout.sketches);
        if self.staged.len() != leaves {
            self.staged.resize(leaves, statistics::NULL);
            self.behind.resize(leaves, 0);
        }
        self.staged.fill(statistics::NULL);
        if self.hashes.len() != sketches {
            self.hashes.resize(sketches, 0);
        }
        // Filling nothing is not free: there is an empty vector's address to fill it at.
        if sketches > 0 {
            self.hashes.fill(0);
        }
    }

    /// Forgets all violations: those of a record that turned out to be malformed mean nothing.
    #[inline]
    pub(super) fn forget(&mut self) {
        if !self.hits.is_empty() {
            for rule in self.hits.drain(..) {
                if let Some(count) = self.counts.get_mut(rule as usize) {
                    *count = 0;
                }
            }
            self.kept.clear();
        }
        self.held = false;
        self.unreadable = false;
    }

    /// Counts; whether there is room to keep it.
    pub(super) fn count(&mut self, rule: u32, severity: Severity) -> bool {
        self.held |= severity == Severity::Error;
        if let Some(count) = self.counts.get_mut(rule as usize) {
            if *count == 0 {
                self.hits.push(rule);
            }
            *count = count.saturating_add(1);
        }
        self.kept.len() < KEPT || severity == Severity::Error && self.spare().is_some()
    }

    /// A warning that makes room for what held the record back.
    fn spare(&self) -> Option<usize> {
        self.kept.iter().rposition(|violation| violation.severity == Severity::Warning)
    }

    pub(super) fn keep(&mut self, rule: &RuleInfo, path: String, value: Option<String>, message: String) {
        if self.kept.len() >= KEPT
            && let Some(spare) = self.spare()
        {
            self.kept.remove(spare);
        }
        self.kept.push(Violation { rule: rule.id.clone(), path, value, message, severity: rule.severity });
    }

    /// Whether two of the items collected since `base` are equal; forgets them.
    pub(super) fn twice(&mut self, base: usize, body: &[u8]) -> bool {
        let key = |seen: &Seen| (seen.tag, seen.bits, body.get(seen.start..seen.end).unwrap_or_default());
        let Some(items) = self.seen.get_mut(base..) else { return false };
        items.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        let twice = items.windows(2).any(|pair| matches!(pair, [a, b] if key(a) == key(b)));
        self.seen.truncate(base);
        twice
    }
}
