//! Every reader of what others write, given real inputs that were spoilt at random: none panics, none hangs,
//! and what one of them accepts the others accept.
//!
//! Runs on the stable toolchain, for seconds, and for minutes with `WEIR_LONG`. Each round has a seed of its
//! own; what fails says it, and `WEIR_PROOF_SEED` with that seed begins with that round.

mod corpus;
mod spoil;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::avro::{Random, seed};

/// The fewest rounds, however slow the machine.
const LEAST: u64 = 300;

/// No round takes longer; on a machine that does a dozen other things, too.
const SLOWEST: Duration = Duration::from_secs(30);

/// Gives a target one seed after another.
fn fuzz(name: &str, mut target: impl FnMut(&mut Random)) {
    let long = std::env::var_os("WEIR_LONG").is_some();
    let limit = Duration::from_secs(if long { 180 } else { 3 });
    let (first, started) = (seed(), Instant::now());
    let mut round = 0;
    while round < LEAST || started.elapsed() < limit {
        let this = first.wrapping_add(round.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let begun = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| target(&mut Random::new(this))));
        assert!(outcome.is_ok(), "{name}: round {round} panicked, see above; WEIR_PROOF_SEED={this} begins with it");
        let took = begun.elapsed();
        assert!(took < SLOWEST, "{name}: round {round} took {took:?}; WEIR_PROOF_SEED={this} begins with it");
        round += 1;
    }
}
