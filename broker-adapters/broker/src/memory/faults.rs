//! Failures on purpose: a plan that says at which step of which call what goes wrong. Deterministic: the
//! same seed and the same sequence of steps give the same failures.

use std::collections::VecDeque;
use std::time::Duration;

/// The steps of reading and of a transaction at which something can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Fetching, of a reader or a lane.
    Poll,
    /// Sending the records of a transaction.
    Produce,
    /// Waiting for their delivery reports.
    Flush,
    /// Adding the input offsets to the transaction.
    AddOffsets,
    /// Committing.
    Commit,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The step takes this much longer and succeeds.
    Delay(Duration),
    /// The step is not answered and had no effect: [`crate::Weather`] from a poll, an abort in a transaction.
    Disconnect,
    /// The commit's answer is lost; it did happen. At other steps a [`Fault::Disconnect`].
    UnknownCommitted,
    /// The commit's answer is lost; it was aborted. At other steps a [`Fault::Disconnect`].
    UnknownAborted,
    /// Another process takes the transactional id just before the step.
    Takeover,
    /// The process dies just before the step: the lane or writer answers nothing but [`crate::Weather`]
    /// from now on, and its open transaction stays open until it is fenced or times out.
    CrashBefore,
    /// The process dies just after the step took effect.
    CrashAfter,
}

/// A plan of failures. Faults of a script strike first, those of a seed at random.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    script: VecDeque<(Step, Fault)>,
    random: Option<Random>,
    /// Failures left; `None` without end.
    budget: Option<u32>,
    struck: Vec<(Step, Fault)>,
}

#[derive(Debug, Clone)]
struct Random {
    state: u64,
    per_mille: u32,
}

impl Random {
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }
}

impl Faults {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// About `per_mille` of a thousand steps fail, each in a way drawn from `seed`.
    pub fn seeded(seed: u64, per_mille: u32) -> Self {
        // Neighbouring seeds must not give neighbouring sequences, and zero is a fixed point of xorshift.
        let state = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut random = Random { state, per_mille };
        for _ in 0..8 {
            random.next();
        }
        Self { random: Some(random), ..Self::default() }
    }

    /// Each fault strikes once, in this order, the next time its step is reached and it is its turn.
    pub fn scripted(script: impl IntoIterator<Item = (Step, Fault)>) -> Self {
        Self { script: script.into_iter().collect(), ..Self::default() }
    }

    /// At most `count` failures; then nothing goes wrong any more.
    #[must_use]
    pub fn at_most(mut self, count: u32) -> Self {
        self.budget = Some(count);
        self
    }

    /// What went wrong so far, in order.
    pub fn struck(&self) -> &[(Step, Fault)] {
        &self.struck
    }

    /// What goes wrong at this step, now.
    pub(super) fn strike(&mut self, step: Step) -> Option<Fault> {
        if self.budget == Some(0) {
            return None;
        }
        let fault = self.draw(step)?;
        if let Some(budget) = &mut self.budget {
            *budget -= 1;
        }
        self.struck.push((step, fault));
        Some(fault)
    }

    fn draw(&mut self, step: Step) -> Option<Fault> {
        if self.script.front().is_some_and(|(due, _)| *due == step) {
            return self.script.pop_front().map(|(_, fault)| fault);
        }
        let random = self.random.as_mut()?;
        if random.next() % 1000 >= u64::from(random.per_mille) {
            return None;
        }
        Some(match random.next() % 7 {
            0 => Fault::Delay(Duration::from_micros(random.next() % 500)),
            1 => Fault::Disconnect,
            2 => Fault::UnknownCommitted,
            3 => Fault::UnknownAborted,
            4 => Fault::Takeover,
            5 => Fault::CrashBefore,
            _ => Fault::CrashAfter,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seed: u64) -> Vec<(Step, Fault)> {
        let mut faults = Faults::seeded(seed, 300);
        for _ in 0..200 {
            faults.strike(Step::Produce);
            faults.strike(Step::Commit);
        }
        faults.struck().to_vec()
    }

    #[test]
    fn the_same_seed_fails_the_same_way_and_another_does_not() {
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        assert!((60..180).contains(&run(7).len()), "{}", run(7).len());
    }

    #[test]
    fn a_script_strikes_in_order_and_within_its_budget() {
        let mut faults =
            Faults::scripted([(Step::Commit, Fault::Disconnect), (Step::Poll, Fault::Takeover)]).at_most(1);
        assert_eq!(faults.strike(Step::Poll), None);
        assert_eq!(faults.strike(Step::Commit), Some(Fault::Disconnect));
        assert_eq!(faults.strike(Step::Poll), None);
    }
}
