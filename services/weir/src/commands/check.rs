//! `weir check`: the enforcer's verdicts on a file, offline, for a domain's own CI, or on what is in a topic.

use std::path::Path;
use std::sync::Arc;

use contract::{Context, Contract, KeyProgram, KeySchema, Program, Scratch, Severity, Verdict};
use files::{FileFormat, Options, Row, Rows};
use schemas::{SchemaId, Timestamp};
use serde_json::{Value, json};

use super::audit;
use super::backbone::failed;
use super::topic;
use super::validate::load_whole;
use crate::cli::CheckArgs;
use crate::output::{Format, List, printable};
use crate::{CliError, Global, Outcome};

/// Checks.
pub(crate) fn run(global: &Global, args: &CheckArgs) -> Result<Outcome, CliError> {
    let loaded = load_whole(global, std::slice::from_ref(&args.contract))?;
    let contract = loaded.contracts.into_iter().next().map(|sourced| sourced.contract);
    let contract = contract.ok_or_else(|| CliError::Usage(format!("{} holds no contract", args.contract.display())))?;
    let Some(file) = &args.file else { return audit::run(global, args, &contract) };
    topic::only_of_topics(&args.span)?;
    let rows = open(file, args.format, &args.nulls, &contract)?;
    let mut judge = Judge::new(&contract)?;
    let (mut records, mut bad) = (0_u64, 0_u64);
    let mut list = List::new(global.out);
    for row in rows {
        let row = row.map_err(failed)?;
        records += 1;
        let violations = judge.row(&row);
        let violates = violations.iter().any(|violation| violation["severity"] != "warning");
        bad += u64::from(violates);
        if global.out.format() != Format::Table {
            let verdict = if violates { "violates" } else { "conforms" };
            let value = json!({"record": row.record, "line": row.line, "verdict": verdict, "violations": violations});
            list.push(&value);
            list.flush_if_long()?;
        } else if violates {
            person(global, &row, &violations)?;
        }
    }
    list.end()?;
    global.out.say(&format!(
        "{records} records: {} conform, {bad} violate {} {}",
        records - bad,
        contract.product,
        contract.version
    ));
    Ok(if bad == 0 { Outcome::Done } else { Outcome::Found })
}

fn person(global: &Global, row: &Row, violations: &[Value]) -> Result<(), CliError> {
    for violation in violations {
        let text = |name: &str| printable(violation[name].as_str().unwrap_or("-"));
        global.out.line(&format!(
            "record {} line {}: {} {} = {}: {}",
            row.record,
            row.line,
            text("rule"),
            text("path"),
            text("value"),
            text("message")
        ))?;
    }
    Ok(())
}

/// Opens a file of records for a contract.
pub(crate) fn open(
    file: &Path,
    format: Option<crate::cli::FileFormat>,
    nulls: &[String],
    contract: &Contract,
) -> Result<Rows, CliError> {
    let mut options = Options::of(contract);
    options.dialect.nulls.extend_from_slice(nulls);
    let format = format.map(FileFormat::from);
    if file != Path::new("-") {
        let input = files::Input::new(file).map_err(failed)?;
        let format = format.map_or_else(|| input.format(), Ok).map_err(failed)?;
        return input.rows(format, &contract.schema, &options).map_err(failed);
    }
    let format = format
        .ok_or_else(|| CliError::Usage(format!("cannot tell the format of standard input; give --format {FORMATS}")))?;
    files::read(Box::new(std::io::stdin()), "standard input", format, &contract.schema, &options).map_err(failed)
}

/// The formats that there are.
const FORMATS: &str = "csv, tsv, ndjson, json, avro or parquet";

/// Judges rows as the enforcer would judge the records that `weir produce` makes of them.
struct Judge {
    program: Program,
    /// Reads the keys that it makes, where the contract's keys are Avro.
    key_program: Option<KeyProgram>,
    scratch: Scratch,
    now: Timestamp,
}

impl Judge {
    fn new(contract: &Arc<Contract>) -> Result<Self, CliError> {
        let program = Program::compile(&contract.schema, contract).map_err(failed)?;
        let key_program = match contract::program::key_schema(contract) {
            Some(text) => {
                let schema = contract::avro::Schema::parse(&text).map_err(failed)?;
                Some(KeyProgram::compile(&schema, contract).map_err(failed)?)
            }
            None => None,
        };
        Ok(Self { program, key_program, scratch: Scratch::default(), now: Timestamp::now() })
    }

    fn row(&mut self, row: &Row) -> Vec<Value> {
        let body = match &row.outcome {
            Ok(body) => body,
            Err(problems) => {
                return problems
                    .iter()
                    .map(|problem| json!({"rule": files::TYPE_RULE, "path": problem.path, "value": problem.value, "message": problem.message}))
                    .collect();
            }
        };
        let key = match self.key_program {
            // Which id it gets is no matter here.
            Some(_) => self.program.avro_key(SchemaId(0), body, &mut self.scratch),
            None => self.program.key(body, &mut self.scratch),
        };
        let key_schema = self.key_program.as_ref().map(KeySchema::Known);
        let context = Context { key: key.as_deref(), key_schema, now: self.now };
        let verdict = self.program.judge(body, &context, &mut self.scratch, None);
        if verdict == Verdict::Conforms && self.scratch.violations().is_empty() {
            return Vec::new();
        }
        let shown = |violation: &contract::Violation| {
            let mut value = json!({
                "rule": violation.rule.as_str(),
                "path": violation.path,
                "value": violation.value,
                "message": violation.message,
            });
            if violation.severity == Severity::Warning {
                value["severity"] = json!("warning");
            }
            value
        };
        self.scratch.violations().iter().map(shown).collect()
    }
}
