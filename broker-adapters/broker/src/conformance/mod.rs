//! Scenarios that every adapter passes, in memory or against a real cluster.
//!
//! Each scenario makes its own topics under the names it is given, waits for conditions instead of
//! sleeping, and gives up after [`PATIENCE`]. It uses the port and nothing else, so it knows of no adapter.

mod bench;
mod lanes;
mod reading;
mod slots;
mod takeover;
mod topics;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use schemas::Names;

use crate::log::Broker;

/// How long a scenario waits for something that should happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What a scenario runs on.
#[derive(Clone)]
pub struct World {
    /// The log.
    pub broker: Arc<dyn Broker>,
    /// Names that nobody used before on this cluster: a fresh prefix for each scenario.
    pub names: Names,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("names", &self.names).finish_non_exhaustive()
    }
}

/// A scenario: what it expected and did not find, as text.
pub type Scenario = fn(&World) -> Result<(), String>;

/// Every scenario by what it shows.
pub const SCENARIOS: &[(&str, Scenario)] = &[
    ("the cluster says who it is", topics::cluster),
    ("topics are created, described and deleted", topics::life),
    ("settings change one at a time", topics::settings),
    ("partitions are added and never taken", topics::partitions),
    ("a reader begins at the beginning, the end, an offset or a time", reading::positions),
    ("a reader tells when it is at the end, and goes on when there is more", reading::tailing),
    ("records keep null keys, tombstones, headers and times", reading::fidelity),
    ("a topic may set the time itself", reading::append_time),
    ("a writer's records and progress are one transaction", writing::atomic),
    ("a second writer fences the first", writing::fencing),
    ("a refused record is named and nothing is written", writing::refused),
    ("keys spread as the Java client spreads them", writing::spread),
    ("a lane routes records byte for byte", lanes::routes),
    ("a lane's runs say which offset became which", lanes::runs),
    ("offsets and metadata are committed with the outputs", lanes::offsets),
    ("outputs are not visible before the commit", lanes::isolation),
    ("records that were not committed come again", lanes::again),
    ("ranges of successive transactions leave no gap", lanes::gapless),
    ("a record that waits pauses its partition until it is resumed", lanes::waiting),
    ("a record that the broker refuses is named", lanes::refused),
    ("a position that is gone is reported once", lanes::out_of_range),
    ("assigning again keeps positions", lanes::assigning),
    ("control records alone are written with offsets", lanes::annotate),
    ("limits bound a batch", lanes::limits),
    ("taking a slot fences its owner and ends its transaction", takeover::fences),
    ("a new owner goes on where the old one committed", takeover::goes_on),
    ("slots are shared by two and taken over from one that leaves", slots::shared),
];

/// Runs every scenario, each on a world of its own.
pub fn run(make: &dyn Fn() -> World) -> Vec<(&'static str, Result<(), String>)> {
    SCENARIOS.iter().map(|(name, scenario)| (*name, scenario(&make()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryBroker;

    #[test]
    fn the_reference_passes_every_scenario() {
        let make = || World { broker: MemoryBroker::new(), names: Names::default() };
        let failed: Vec<_> = run(&make).into_iter().filter(|(_, result)| result.is_err()).collect();
        assert!(failed.is_empty(), "{failed:#?}");
    }

    #[test]
    fn scenarios_do_not_meet_under_different_prefixes() {
        let broker = MemoryBroker::new();
        for (number, (name, scenario)) in SCENARIOS.iter().enumerate() {
            let names = Names::new(format!("s{number}").parse().ok());
            assert_eq!(scenario(&World { broker: broker.clone(), names }), Ok(()), "{name}");
        }
    }
}
