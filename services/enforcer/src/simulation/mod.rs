//! Seeded simulations of whole enforcers over the cluster in memory: several processes, whose threads are
//! stepped one at a time by a die, under every failure the broker's plan knows, while slots move, contracts
//! change, schemas come late and registries go away. Time is a number that the die moves.
//!
//! `world` is everything outside (topics, contracts, the registry, producers), `inputs` what producers send
//! and what is true of it, `process` one enforcer, `checker` what must be true in the end, however it came
//! about: it is told nothing but the topics.

mod checker;
mod fairness;
mod inputs;
mod process;
mod quality;
mod real_time;
mod run;
mod upkeep;
mod world;

/// A die that falls the same way for the same seed.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// 0 to `sides` − 1.
    pub(super) fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % sides.max(1)
    }

    pub(super) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    pub(super) fn one_in(&mut self, sides: u64) -> bool {
        self.below(sides) == 0
    }
}
