//! Where to begin a partition that has no committed offset: a new one at its first record; one whose offset
//! was lost where its lineage ends.

use std::collections::BTreeMap;
use std::time::Duration;

use broker::{Isolation, Lane, LaneError, Lookup, Position, Weather};
use schemas::{BackboneSchema, Codec, DecodeError, LineageEvent, Offset, Partition, TopicPartition};

use crate::Shared;

/// How often the end of lineage is asked for anew while a transaction of another lane is open before it, and how long
/// each time; a lane that is told to wait asks again by itself.
const OPEN_TRANSACTION_POLLS: u32 = 5;
const OPEN_TRANSACTION_WAIT: Duration = Duration::from_millis(20);

/// The start of each of these partitions, none of which has a committed offset; one whose inbox cannot be
/// asked is left out.
pub(crate) fn starts_of(
    lane: &mut dyn Lane,
    shared: &Shared,
    partitions: &[TopicPartition],
) -> Result<BTreeMap<TopicPartition, Offset>, LaneError> {
    let mut starts = BTreeMap::new();
    let mut ends = BTreeMap::new();
    for inbox in partitions {
        let (first, next) = match lane.watermarks(inbox) {
            Ok(ends) => ends,
            Err(LaneError::Weather(weather)) => {
                tracing::warn!(%inbox, %weather, "it cannot be said where an inbox partition begins");
                continue;
            }
            Err(error) => return Err(error),
        };
        starts.insert(inbox.clone(), first);
        if next > Offset::ZERO {
            ends.insert(inbox.clone(), next);
        }
    }
    if ends.is_empty() {
        return Ok(starts);
    }
    for (inbox, to) in last_in_lineage(shared, ends.keys())? {
        if ends.get(&inbox).is_some_and(|next| to > *next) {
            tracing::warn!(%inbox, %to, "lineage is ahead of the inbox: the topic was made anew, and is read from its beginning");
            continue;
        }
        tracing::warn!(%inbox, %to, "the committed offset was lost; it is recovered from lineage");
        starts.insert(inbox, to);
    }
    Ok(starts)
}

/// The end of each partition's lineage, where it has one. One pass over all partitions of the topic, because
/// their number may have been raised since.
fn last_in_lineage<'a>(
    shared: &Shared,
    partitions: impl Iterator<Item = &'a TopicPartition>,
) -> Result<BTreeMap<TopicPartition, Offset>, Weather> {
    let topic = shared.config.names.lineage();
    let Some(description) = shared.broker.topic(&topic)? else { return Ok(BTreeMap::new()) };
    let from: Vec<_> = description
        .partitions
        .iter()
        .map(|(partition, _): &(Partition, bool)| (TopicPartition::new(topic.clone(), *partition), Position::Beginning))
        .collect();
    // What other lanes have open hides what was committed behind it, and may be this partition's last event.
    let at_end: Vec<_> = from.iter().map(|(partition, _)| (partition.clone(), Position::End)).collect();
    let mut at_end = shared.broker.reader(&at_end, Isolation::Uncommitted)?;
    at_end.poll(Duration::ZERO)?;
    let ends: BTreeMap<_, _> = at_end.positions().into_iter().collect();
    let mut reader = shared.broker.reader(&from, Isolation::Committed)?;
    let (mut patience, mut wait) = (OPEN_TRANSACTION_POLLS, Duration::from_secs(1));
    let wanted: BTreeMap<Vec<u8>, &TopicPartition> =
        partitions.map(|inbox| (format!("{}/{}", inbox.topic, inbox.partition).into_bytes(), inbox)).collect();
    let mut codec = shared.config.codec.clone();
    // By inbox and partition of lineage: a partition's events are in order, and the last one counts.
    let mut last: BTreeMap<(TopicPartition, Partition), Offset> = BTreeMap::new();
    loop {
        let chunk = reader.poll(wait)?;
        for record in &chunk.records {
            let inbox = record.key.as_ref().and_then(|key| wanted.get(key));
            let (Some(inbox), Some(value)) = (inbox, record.value.as_deref()) else { continue };
            let to = decode(shared, &mut codec, value)
                .map_err(|why| Weather::new(format!("recover the offset of {inbox} from lineage"), why))?;
            last.insert(((*inbox).clone(), record.source.partition), to);
        }
        let behind = |(partition, at): (TopicPartition, Offset)| ends.get(&partition).is_some_and(|end| at < *end);
        if chunk.at_end && !reader.positions().into_iter().any(behind) {
            break;
        }
        if chunk.at_end {
            let why = "another lane's transaction is open in it";
            wait = OPEN_TRANSACTION_WAIT;
            patience = patience.checked_sub(1).ok_or_else(|| Weather::new(format!("read {topic} to its end"), why))?;
        }
    }
    let mut furthest = BTreeMap::new();
    for ((inbox, _), to) in last {
        let known = furthest.entry(inbox).or_insert(to);
        *known = (*known).max(to);
    }
    Ok(furthest)
}

/// Where an event of lineage ends; one that another release wrote needs its schema first.
fn decode(shared: &Shared, codec: &mut Codec, value: &[u8]) -> Result<Offset, String> {
    loop {
        match codec.decode::<LineageEvent>(BackboneSchema::Lineage, value) {
            Ok(event) => return Ok(event.to),
            Err(DecodeError::UnknownSchema(id)) => {
                let text = match shared.registry.schema(id).map_err(|weather| weather.to_string())? {
                    Lookup::Avro(text) => text,
                    other => return Err(format!("the registry answered {other:?} about its schema {id}")),
                };
                codec.learn(BackboneSchema::Lineage, id, &text).map_err(|error| error.to_string())?;
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}
