//! Holding slots: joins the group, and runs one lane per slot on a thread of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use broker::{SlotEvent, SlotOptions};
use schemas::Slot;

use crate::lane::SlotLane;
use crate::{EnforcerError, Shared, telemetry};

struct Held {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// Joins the group and holds what it is given until told to stop.
pub(crate) fn hold(shared: &Arc<Shared>) -> Result<(), EnforcerError> {
    let options = SlotOptions {
        topic: shared.config.names.slots(),
        group: shared.config.names.slots_group(),
        instance: shared.config.instance.clone(),
        session_timeout: shared.config.session_timeout,
    };
    let mut member = shared.broker.join_slots(&options)?;
    let joined = Instant::now();
    let mut lanes: BTreeMap<Slot, Held> = BTreeMap::new();
    while !shared.shutdown.is_stopping() {
        match member.poll(Duration::from_millis(200)) {
            // More processes than slots: one that was given none stands by, and is as it should be.
            Ok(None) if lanes.is_empty() && joined.elapsed() > 2 * options.session_timeout => shared.waiting.ready(),
            Ok(None) => {}
            Ok(Some(SlotEvent::Taken(slots))) => {
                tracing::info!(?slots, "slots taken");
                for slot in slots {
                    // A lane that a newer owner fenced has ended; the slot came back to us.
                    if let Some(ended) = lanes.remove(&slot) {
                        end(vec![ended]);
                    }
                    lanes.insert(slot, begin(shared, slot));
                }
            }
            Ok(Some(SlotEvent::Revoked(slots) | SlotEvent::Lost(slots))) => {
                tracing::info!(?slots, "slots given up");
                end(slots.iter().filter_map(|slot| lanes.remove(slot)).collect());
                if let Err(weather) = member.released() {
                    tracing::warn!(%weather, "the group could not be told that slots are released");
                }
            }
            Err(weather) => {
                tracing::warn!(%weather, "the group of the slots cannot be reached");
                shared.shutdown.wait(Duration::from_millis(500));
            }
        }
        for slot in
            lanes.iter().filter(|(_, held)| held.thread.is_finished()).map(|(slot, _)| *slot).collect::<Vec<_>>()
        {
            // A lane ends only when told; this one did not, so it panicked. The slot is still ours.
            end(lanes.remove(&slot).into_iter().collect());
            lanes.insert(slot, begin(shared, slot));
        }
        telemetry::slots(lanes.len());
    }
    end(lanes.into_values().collect());
    member.leave();
    Ok(())
}

fn begin(shared: &Arc<Shared>, slot: Slot) -> Held {
    let stop = Arc::new(AtomicBool::new(false));
    let (shared, stopped) = (Arc::clone(shared), Arc::clone(&stop));
    let thread = std::thread::spawn(move || {
        let stopping = shared.shutdown.clone();
        let told = || stopped.load(Ordering::Relaxed) || stopping.is_stopping();
        SlotLane::run(shared, slot, &told);
    });
    Held { stop, thread }
}

/// Tells all first, then waits for each: they finish their transactions side by side.
fn end(lanes: Vec<Held>) {
    for lane in &lanes {
        lane.stop.store(true, Ordering::Relaxed);
    }
    for lane in lanes {
        if lane.thread.join().is_err() {
            tracing::error!("a lane ended in a panic; its slot is taken again");
        }
    }
}
