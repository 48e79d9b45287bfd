//! The adapter on Apache Kafka passes the scenarios that the reference in memory passes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use broker::conformance::{SCENARIOS, World};
use kafka::{Kafka, KafkaOptions};
use schemas::Names;

use crate::sandbox::Sandbox;

/// Scenarios wait more than they work.
const AT_ONCE: usize = 4;

#[test]
fn kafka_passes_every_scenario_of_the_port() {
    let sandbox = Sandbox::shared();
    let options = KafkaOptions {
        bootstrap: sandbox.brokers().to_owned(),
        client_id: "conformance".to_owned(),
        ..KafkaOptions::default()
    };
    let broker = Arc::new(Kafka::connect(options).expect("the sandbox serves"));
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((name, scenario)) = SCENARIOS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let prefix = sandbox.unique("conformance").parse().expect("fit for a prefix");
                    let world = World { broker: broker.clone(), names: Names::new(Some(prefix)) };
                    if let Err(why) = scenario(&world) {
                        failed.lock().expect("no scenario panics with it").push(format!("{name}: {why}"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("all threads have ended");
    assert!(failed.is_empty(), "{} of {} scenarios failed:\n{}", failed.len(), SCENARIOS.len(), failed.join("\n"));
}
