//! `weir check --topic`: what a contract says of the records that are in a topic already. Reads only.

use std::sync::Arc;

use contract::Contract;
use contract::program::sketch::{Distinct, Histogram};
use indicatif::HumanCount;
use schemas::{Companion, FieldQuality, Topic};
use serde_json::{Value, json};
use steward::{Audit, TopicSpan};

use super::backbone::failed;
use super::shown::time;
use super::topic;
use crate::cli::CheckArgs;
use crate::connect::Connections;
use crate::output::{Format, Rows};
use crate::{CliError, Global, Outcome};

const DAY_MS: f64 = 86_400_000.0;
/// Of a shorter time nobody should conclude what a day brings.
const HOUR_MS: f64 = 3_600_000.0;

/// Judges the records of the topic that the arguments name.
pub(crate) fn run(global: &Global, args: &CheckArgs, contract: &Arc<Contract>) -> Result<Outcome, CliError> {
    let topic = Topic::existing(args.topic.as_deref().unwrap_or_default());
    let connections = Connections::new(&global.settings)?;
    let (broker, registry) = (connections.broker()?, connections.registry()?);
    let source = TopicSpan { broker: &*broker, topic: &topic, span: topic::span(&args.span) };
    let product = global.names.topic(Companion::Product, &contract.product, contract.version.major());
    let bar = topic::progress("judging");
    let audit = steward::audit(&source, &*registry, contract, &product, &mut |read, of| {
        bar.set_length(of);
        bar.set_position(read);
    });
    bar.finish_and_clear();
    let audit = audit.map_err(failed)?;
    let found = if audit.held_back == 0 { Outcome::Done } else { Outcome::Found };
    if global.out.format() == Format::Table {
        table(global, contract, &topic, audit)?;
    } else {
        global.out.json(&whole(contract, &topic, audit))?;
    }
    Ok(found)
}

/// Records a day, where the records span an hour at least.
fn per_day(records: u64, audit: &Audit) -> Option<f64> {
    let (first, last) = audit.span?;
    let span = (last.0 - first.0) as f64;
    (span >= HOUR_MS).then(|| (records as f64 * DAY_MS / span * 10.0).round() / 10.0)
}

fn table(global: &Global, contract: &Contract, topic: &Topic, audit: Audit) -> Result<(), CliError> {
    let at = |moment| time(moment).as_str().unwrap_or("?").to_owned();
    let span = audit.span.map_or(String::new(), |(first, last)| format!(" from {} to {}", at(first), at(last)));
    let a_day = per_day(audit.held_back, &audit).map_or(String::new(), |day| format!(", {day} a day"));
    let out = global.out;
    out.line(&format!(
        "{topic}, judged by {} {}: {} records{span}",
        contract.product,
        contract.version,
        HumanCount(audit.records)
    ))?;
    out.line(&format!("{} would be held back{a_day}", HumanCount(audit.held_back)))?;
    if !audit.broken.is_empty() {
        let mut rows = Rows::new(&["rule", "records", "share", "per_day", "example", "field", "value", "message"]);
        for (rule, broken) in &audit.broken {
            let example = &broken.example;
            rows.push([
                json!(rule),
                json!(broken.records),
                json!(format!("{:.2} %", broken.records as f64 * 100.0 / audit.records.max(1) as f64)),
                json!(per_day(broken.records, &audit)),
                json!(format!("{}/{}", example.source.partition, example.offset)),
                json!(example.path),
                json!(example.value),
                json!(example.message),
            ]);
        }
        out.line("")?;
        out.rows(&rows)?;
    }
    let mut rows = Rows::new(&["field", "values", "nulls", "distinct", "min", "median", "p95", "max"]);
    let fields = fields(audit);
    if fields.is_empty() {
        return Ok(());
    }
    for field in fields {
        let of = |name: &str| field[name].clone();
        rows.push(["field", "values", "nulls", "distinct", "min", "median", "p95", "max"].map(of));
    }
    out.line("")?;
    out.rows(&rows)
}

fn whole(contract: &Contract, topic: &Topic, audit: Audit) -> Value {
    let rules: Vec<_> = audit
        .broken
        .iter()
        .map(|(rule, broken)| {
            let example = &broken.example;
            json!({
                "rule": rule,
                "records": broken.records,
                "per_day": per_day(broken.records, &audit),
                "example": {
                    "partition": example.source.partition,
                    "offset": example.offset,
                    "path": example.path,
                    "value": example.value,
                    "message": example.message,
                },
            })
        })
        .collect();
    json!({
        "product": contract.product,
        "version": contract.version,
        "topic": topic,
        "records": audit.records,
        "held_back": audit.held_back,
        "held_back_per_day": per_day(audit.held_back, &audit),
        "first": audit.span.map(|(first, _)| time(first)),
        "last": audit.span.map(|(_, last)| time(last)),
        "schemas": audit.schemas.iter().map(|(id, values)| json!({"id": id, "values": values})).collect::<Vec<_>>(),
        "rules": rules,
        "fields": fields(audit),
    })
}

/// The profile of each field of the records that a program could read.
fn fields(audit: Audit) -> Vec<Value> {
    let (_, fields, _) = audit.statistics.into_event_parts();
    fields.iter().map(field).collect()
}

/// Whole numbers without a fraction.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 9e15 { json!(value as i64) } else { json!(value) }
}

fn field(field: &FieldQuality) -> Value {
    let distinct =
        field.distinct.as_deref().and_then(Distinct::from_bytes).map(|sketch| number(sketch.estimate().round()));
    let mut histogram = Histogram::default();
    histogram.merge(&field.histogram);
    let quantile = |q: f64| histogram.quantile(q).map(number);
    json!({
        "field": field.path,
        "values": field.count,
        "nulls": field.nulls,
        "distinct": distinct,
        "min": field.min.map(number),
        "median": quantile(0.5),
        "p95": quantile(0.95),
        "max": field.max.map(number),
    })
}
