//! `weir consume`: a product's records, read committed, as one line of JSON each.

use std::collections::BTreeMap;
use std::time::Duration;

use broker::{Isolation, Position};
use schemas::{Offset, Timestamp, TopicPartition};
use serde_json::json;

use super::backbone::Backbone;
use super::shown::{Decoder, key, time};
use crate::cli::{ConsumeArgs, Until};
use crate::output::{Format, List};
use crate::{CliError, Global, Outcome};

type Ends = BTreeMap<TopicPartition, (Offset, Offset)>;

/// Consumes.
pub(crate) fn run(global: &Global, args: &ConsumeArgs) -> Result<Outcome, CliError> {
    let position = position(&args.from)?;
    let backbone = Backbone::connect(global)?;
    let (_, major) = backbone.product(&args.product)?;
    let partitions = backbone.partitions(&major.topic)?;
    let now = backbone.broker.ends(&partitions, true)?;
    let from: Vec<_> =
        partitions.iter().map(|partition| (partition.clone(), within(position, &now, partition))).collect();
    let ends = if args.until == Some(Until::End) { now } else { BTreeMap::new() };
    let mut reader = backbone.broker.reader(&from, Isolation::Committed)?;
    let mut decoder = Decoder::new(&*backbone.registry);
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut list = List::new(global.out);
    while left > 0 {
        let chunk = reader.poll(Duration::from_millis(500))?;
        for record in &chunk.records {
            let bounded = ends.get(&record.source).is_some_and(|(_, end)| record.offset >= *end);
            if bounded || left == 0 {
                continue;
            }
            left -= 1;
            let value = match decoder.value(record.value.as_deref())? {
                Ok(value) => value,
                Err(why) => json!({"weir.undecodable": why}),
            };
            let line = if global.out.format() == Format::Table {
                value
            } else {
                json!({
                    "partition": record.source.partition,
                    "offset": record.offset,
                    "timestamp": time(record.timestamp),
                    "key": key(record.key.as_deref()),
                    "value": value,
                })
            };
            list.push(&line);
        }
        list.flush()?;
        let done = |(partition, next): &(_, Offset)| ends.get(partition).is_none_or(|(_, end)| next >= end);
        if args.until.is_some() && reader.positions().iter().all(done) {
            break;
        }
    }
    list.end()?;
    Ok(Outcome::Done)
}

/// An offset is asked of every partition, and one that ends before it begins at its end.
fn within(position: Position, ends: &Ends, partition: &TopicPartition) -> Position {
    match (position, ends.get(partition)) {
        (Position::At(offset), Some((_, end))) => Position::At(offset.min(*end)),
        (position, _) => position,
    }
}

fn position(text: &str) -> Result<Position, CliError> {
    match text {
        "beginning" => return Ok(Position::Beginning),
        "end" => return Ok(Position::End),
        _ => {}
    }
    if let Ok(offset) = text.parse() {
        return Ok(Position::At(Offset(offset)));
    }
    let time: jiff::Timestamp = text.parse().map_err(|_| {
        CliError::Usage(format!(
            "--from {text:?} is not beginning, end, an offset, or a time such as 2026-01-31T08:00:00Z"
        ))
    })?;
    Ok(Position::Since(Timestamp(time.as_millisecond())))
}
