//! `weir bench`: has something measured, and writes the report.

use loadtest::brokers;
use loadtest::report::{Report, Spread, shown};
use serde_json::{Value, json};

use crate::cli::BenchBrokerArgs;
use crate::output::{Format, Out, Rows};
use crate::{BUILD, CliError, Global, Outcome};

/// Measures our broker beside Apache Kafka.
pub(crate) fn broker(global: &Global, args: &BenchBrokerArgs) -> Result<Outcome, CliError> {
    let failed = |what: &str, error: &dyn std::fmt::Display| CliError::Failed(format!("cannot {what}: {error}"));
    let out = global.out;
    let options = brokers::Options {
        weir: std::env::current_exe().map_err(|error| failed("find this program", &error))?,
        version: format!("{} ({})", BUILD.version, BUILD.commit),
        kafka_jars: args.kafka_jars.clone(),
        seconds: args.seconds,
        rounds: args.rounds,
    };
    let report = brokers::brokers(&options, &|text| out.say(text)).map_err(|e| CliError::Failed(e.to_string()))?;
    if let Some(path) = &args.html {
        let written = std::fs::write(path, report.page());
        written.map_err(|error| failed(&format!("write {}", path.display()), &error))?;
    }
    write(out, &report)?;
    Ok(Outcome::Done)
}

/// Writes a report: all of it as JSON, its figures as a table with what it was measured on beside it.
fn write(out: Out, report: &Report) -> Result<(), CliError> {
    if out.format() != Format::Table {
        let value = serde_json::to_value(report);
        return out.json(&value.map_err(|error| CliError::Failed(format!("cannot write the report: {error}")))?);
    }
    let mut rows = Rows::new(&["figure", "unit", "weir", "kafka", "ratio", "rounds", "goal", "met"]);
    for figure in &report.figures {
        let ratios = figure.ratios();
        let by_round: Vec<String> = ratios.iter().copied().map(shown).collect();
        let met = figure.met().map_or(Value::Null, |met| json!(if met { "yes" } else { "no" }));
        let goal = figure.goal.to_string();
        rows.push([
            json!(figure.name),
            json!(figure.unit),
            median(&figure.weir),
            median(&figure.kafka),
            median(&ratios),
            json!(by_round.join(" ")),
            if goal.is_empty() { Value::Null } else { json!(goal) },
            met,
        ]);
    }
    out.rows(&rows)?;
    let [weir, kafka] = &report.programs;
    let machine = &report.machine;
    out.say(&format!("{weir} beside {kafka}, {}, on {} ({} cores)", report.date, machine.processor, machine.cores));
    report.conditions.iter().for_each(|condition| out.say(condition));
    Ok(())
}

fn median(values: &[f64]) -> Value {
    Spread::of(values).map_or(Value::Null, |all| json!(shown(all.median)))
}
