//! `weir quarantine list` and `show`: what was held back, and why.

use std::collections::BTreeMap;

use broker::{Isolation, OwnedRecord, Position};
use schemas::{MajorState, Offset, Partition, TopicPartition};
use serde_json::{Value, json};

use super::backbone::Backbone;
use super::shown::{Decoder, header, hex, key, text_or_hex, time};
use crate::output::{Format, List, Rows, printable};
use crate::{CliError, Global, Outcome};

/// How much was held back, by product and rule.
pub(crate) fn list(global: &Global, product: Option<&str>) -> Result<Outcome, CliError> {
    let backbone = Backbone::connect(global)?;
    let majors: Vec<(String, MajorState)> = match product {
        Some(product) => {
            let (state, major) = backbone.product(product)?;
            vec![(state.product.to_string(), major)]
        }
        None => backbone
            .catalog()?
            .products()
            .flat_map(|(id, state)| state.majors.iter().map(move |major| (id.to_string(), major.clone())))
            .collect(),
    };
    let mut rows =
        Rows::new(&["product", "version", "rule", "path", "records", "example", "latest_partition", "latest_offset"]);
    for (product, major) in majors {
        let mut found: BTreeMap<(String, String), (u64, String, Partition, Offset)> = BTreeMap::new();
        let from: Vec<_> =
            backbone.partitions(&major.quarantine)?.into_iter().map(|p| (p, Position::Beginning)).collect();
        backbone.read_to_end(&from, &mut |chunk| {
            for record in &chunk.records {
                for violation in violations(record) {
                    let text = |name: &str| violation[name].as_str().unwrap_or_default().to_owned();
                    let path = without_indices(&text("path"));
                    let entry =
                        found.entry((text("rule"), path)).or_insert((0, String::new(), Partition(0), Offset(0)));
                    *entry = (entry.0 + 1, text("message"), record.source.partition, record.offset);
                }
            }
            Ok(true)
        })?;
        for ((rule, path), (count, example, partition, offset)) in found {
            rows.push([
                json!(product),
                json!(major.version),
                json!(rule),
                json!(path),
                json!(count),
                json!(example),
                json!(partition),
                json!(offset),
            ]);
        }
    }
    global.out.rows(&rows)?;
    Ok(Outcome::Done)
}

fn violations(record: &OwnedRecord) -> Vec<Value> {
    let text = header(record, "weir.violations").unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// `lines[2].quantity` becomes `lines[].quantity`, so that one rule is one row.
fn without_indices(path: &str) -> String {
    let mut inside = false;
    path.chars()
        .filter(|c| {
            match c {
                '[' => {
                    inside = true;
                    return true;
                }
                ']' => inside = false,
                _ => {}
            }
            !inside
        })
        .collect()
}

/// Records that were held back, one or the latest.
pub(crate) fn show(global: &Global, product: &str, at: Option<(i32, i64)>, count: u64) -> Result<Outcome, CliError> {
    let backbone = Backbone::connect(global)?;
    let (_, major) = backbone.product(product)?;
    let mut decoder = Decoder::new(&*backbone.registry);
    let records = match at {
        Some((partition, offset)) => {
            let partition = TopicPartition::new(major.quarantine.clone(), Partition(partition));
            one(&backbone, &partition, Offset(offset))?.into_iter().collect()
        }
        None => latest(&backbone, &major, count)?,
    };
    if let (true, Some((partition, offset))) = (records.is_empty(), at) {
        return Err(CliError::Failed(format!("{}/{partition} holds no record at offset {offset}", major.quarantine)));
    }
    if records.is_empty() {
        global.out.say("nothing is held back there");
    }
    let mut list = List::new(global.out);
    for record in &records {
        let value = decoder.value(record.value.as_deref())?;
        if global.out.format() == Format::Table {
            person(global, record, &value)?;
        } else {
            list.push(&program(record, &value));
        }
    }
    list.end()?;
    Ok(Outcome::Done)
}

fn one(backbone: &Backbone, partition: &TopicPartition, offset: Offset) -> Result<Option<OwnedRecord>, CliError> {
    let ends = backbone.broker.ends(std::slice::from_ref(partition), true)?;
    if ends.get(partition).is_none_or(|(first, end)| offset < *first || offset >= *end) {
        return Ok(None);
    }
    let mut found = None;
    backbone.read_to_end(&[(partition.clone(), Position::At(offset))], &mut |chunk| {
        found = chunk.records.into_iter().next().filter(|record| record.offset == offset);
        Ok(false)
    })?;
    Ok(found)
}

fn latest(backbone: &Backbone, major: &MajorState, count: u64) -> Result<Vec<OwnedRecord>, CliError> {
    let partitions = backbone.partitions(&major.quarantine)?;
    let ends = backbone.broker.ends(&partitions, true)?;
    // Markers take offsets too: twice as many are read as are shown.
    let back = i64::try_from(count.saturating_mul(2)).unwrap_or(i64::MAX);
    let from: Vec<_> = ends
        .iter()
        .map(|(partition, (first, end))| {
            (partition.clone(), Position::At(Offset(end.0.saturating_sub(back).max(first.0))))
        })
        .collect();
    let mut records = Vec::new();
    let mut reader = backbone.broker.reader(&from, Isolation::Committed)?;
    loop {
        let chunk = reader.poll(std::time::Duration::from_secs(2))?;
        records.extend(chunk.records);
        if chunk.at_end {
            break;
        }
    }
    records.sort_by_key(|record| (record.timestamp, record.source.partition, record.offset));
    let skip = records.len().saturating_sub(usize::try_from(count).unwrap_or(usize::MAX));
    Ok(records.split_off(skip))
}

fn program(record: &OwnedRecord, value: &Result<Value, String>) -> Value {
    let source = json!({
        "topic": header(record, "weir.source.topic"),
        "partition": header(record, "weir.source.partition").and_then(|text| text.parse::<i32>().ok()),
        "offset": header(record, "weir.source.offset").and_then(|text| text.parse::<i64>().ok()),
        "timestamp": header(record, "weir.source.timestamp").and_then(|text| text.parse::<i64>().ok()),
    });
    json!({
        "partition": record.source.partition,
        "offset": record.offset,
        "held_back_at": time(record.timestamp),
        "source": source,
        "contract": header(record, "weir.contract"),
        "version": header(record, "weir.contract.version"),
        "reason": header(record, "weir.reason"),
        "violations": violations(record),
        "key": key(record.key.as_deref()),
        "value": value.as_ref().ok(),
        "undecodable": value.as_ref().err(),
        "bytes": record.value.as_deref().map(hex),
    })
}

fn person(global: &Global, record: &OwnedRecord, value: &Result<Value, String>) -> Result<(), CliError> {
    let out = global.out;
    let said = |name: &str| printable(&header(record, name).unwrap_or_default());
    out.line(&format!(
        "{} offset {}  from {}/{} offset {}  under {} {}",
        record.source,
        record.offset,
        said("weir.source.topic"),
        said("weir.source.partition"),
        said("weir.source.offset"),
        said("weir.contract"),
        said("weir.contract.version")
    ))?;
    out.line(&format!("  reason  {}", said("weir.reason")))?;
    for violation in violations(record) {
        let text = |name: &str| printable(violation[name].as_str().unwrap_or("-"));
        out.line(&format!(
            "  rule    {}  field {}  value {}  {}",
            text("rule"),
            text("path"),
            text("value"),
            text("message")
        ))?;
    }
    out.line(&format!("  key     {}", record.key.as_deref().map_or_else(|| "-".to_owned(), text_or_hex)))?;
    match value {
        Ok(value) => out.line(&format!("  record  {value}"))?,
        Err(why) => out.line(&format!("  record  cannot be decoded: {}", printable(why)))?,
    }
    if let Some(bytes) = &record.value {
        out.line(&format!("  bytes   {}", hex(bytes)))?;
    }
    out.line("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_rule_on_many_items_is_one_row() {
        assert_eq!(without_indices("lines[12].parts[0].quantity"), "lines[].parts[].quantity");
        assert_eq!(without_indices("a.b"), "a.b");
    }
}
