//! `weir lineage record`: from a product or quarantine record back to the inbox, and forward again.

use schemas::{Companion, LineageEvent, LineageKind, Offset, Partition, Topic};
use serde_json::json;

use super::backbone::Backbone;
use super::shown::time;
use crate::output::Rows;
use crate::{CliError, Global, Outcome};

/// Where a record stands in its life.
struct Found {
    event: LineageEvent,
    inbox: Offset,
    became: Option<(Companion, Offset)>,
}

/// Traces one record.
pub(crate) fn record(global: &Global, topic: &str, partition: i32, offset: i64) -> Result<Outcome, CliError> {
    let backbone = Backbone::connect(global)?;
    let (topic, partition, offset) = (Topic::existing(topic), Partition(partition), Offset(offset));
    let mut found = None;
    let mut known = false;
    backbone.lineage(&mut |event| {
        known |= [&event.inbox, &event.topic, &event.quarantine].contains(&&topic);
        if event.partition == partition
            && event.kind == LineageKind::Enforced
            && let Some(trace) = trace(&event, &topic, offset)
        {
            found = Some(Found { inbox: trace.0, became: trace.1, event });
        }
    })?;
    let Some(found) = found else {
        let why = if known {
            "lineage has no record there: it is not judged yet, it is a transaction marker, or lineage is older than its retention"
        } else {
            "lineage knows no such topic; name an inbox, product or quarantine topic (weir product show)"
        };
        return Err(CliError::Failed(format!("cannot trace {topic}/{partition} offset {offset}: {why}")));
    };
    let Found { event, inbox, became } = &found;
    let mut rows = Rows::new(&["where", "topic", "partition", "offset", "product", "version", "judged_at"]);
    let mut row = |place: String, topic: Option<&Topic>, offset: Option<Offset>| {
        rows.push([
            json!(place),
            json!(topic),
            json!(event.partition),
            json!(offset),
            json!(event.product),
            json!(event.version),
            time(event.judged_at),
        ]);
    };
    row("inbox".to_owned(), Some(&event.inbox), Some(*inbox));
    match became {
        Some((companion, offset)) => {
            let topic = if *companion == Companion::Product { &event.topic } else { &event.quarantine };
            row(companion.to_string(), Some(topic), Some(*offset));
        }
        None => row("withheld".to_owned(), None, None),
    }
    global.out.rows(&rows)?;
    Ok(Outcome::Done)
}

/// The inbox offset, and what it became, where the event covers `offset` of `topic`.
fn trace(event: &LineageEvent, topic: &Topic, offset: Offset) -> Option<(Offset, Option<(Companion, Offset)>)> {
    let sides = [
        (Companion::Product, &event.topic, &event.forwarded),
        (Companion::Quarantine, &event.quarantine, &event.quarantined),
    ];
    if *topic == event.inbox {
        for (companion, _, runs) in sides {
            if let Some(output) = runs.iter().find_map(|run| run.output_of(offset)) {
                return Some((offset, Some((companion, output))));
            }
        }
        return event.withheld.iter().any(|run| run.covers(offset)).then_some((offset, None));
    }
    sides.into_iter().filter(|(_, name, _)| *name == topic).find_map(|(companion, _, runs)| {
        runs.iter().find_map(|run| run.input_of(offset)).map(|input| (input, Some((companion, offset))))
    })
}
