//! `weir init`: a contract drafted from data.

use std::fs;
use std::path::{Path, PathBuf};

use files::draft::{self, Draft, Request, Stage};
use schemas::ProductId;
use serde_json::json;

use super::backbone::failed;
use super::progress::FileBar;
use super::topic;
use crate::cli::{InitArgs, SpanArgs};
use crate::output::{Format, printable};
use crate::{CliError, Global, Outcome};

/// Opens what data is drafted from.
pub(crate) fn open(global: &Global, from: &Path, span: &SpanArgs) -> Result<files::Input, CliError> {
    match topic::named(from) {
        Some(topic) => topic::spooled(global, &topic, span),
        None => {
            topic::only_of_topics(span)?;
            files::Input::new(from).map_err(failed)
        }
    }
}

/// Drafts.
pub(crate) fn run(global: &Global, args: &InitArgs) -> Result<Outcome, CliError> {
    let product: ProductId =
        args.product.parse().map_err(|error| CliError::Usage(format!("--product {}: {error}", args.product)))?;
    let place = place(global, args, &product);
    let contract = place.join("contract.odcs.yaml");
    let schema = place.join(format!("{}.avsc", product.name.as_str()));
    if !args.force {
        refuse_existing(&[&contract, &schema])?;
    }
    let input = open(global, &args.from, &args.span)?;
    let hints = args.dialect.hints();
    let request = Request { product: &product, owner: args.owner.as_deref(), hints: &hints };
    let mut bar = FileBar::new(input.size());
    let drafted = draft::draft(&input, &request, &mut |stage, bytes, _| {
        let stage = match stage {
            Stage::Reading => "reading",
            Stage::Checking => "checking",
        };
        bar.at(stage, bytes);
    });
    bar.end();
    let draft = drafted.map_err(failed)?;
    write(&contract, &draft.contract)?;
    write(&schema, &draft.schema)?;
    report(global, input.name(), &contract, &schema, &draft)?;
    Ok(if draft.malformed.is_none() { Outcome::Done } else { Outcome::Found })
}

fn place(global: &Global, args: &InitArgs, product: &ProductId) -> PathBuf {
    let root = args.out.clone().or_else(|| global.paths(&[]).into_iter().next()).unwrap_or_default();
    root.join(product.domain.as_str()).join(product.name.as_str())
}

fn refuse_existing(paths: &[&Path]) -> Result<(), CliError> {
    match paths.iter().find(|path| path.exists()) {
        Some(path) => Err(CliError::Failed(format!("{} is there already; --force writes over it", path.display()))),
        None => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text));
    written.map_err(|error| CliError::Failed(format!("cannot write {}: {error}", path.display())))
}

fn report(global: &Global, name: &str, contract: &Path, schema: &Path, draft: &Draft) -> Result<(), CliError> {
    let out = global.out;
    out.say(&printable(&format!("{name}: {}", draft.said.join("; "))));
    if let Some((count, line)) = draft.malformed {
        out.say(&format!("{count} of its records are none, the first on line {line}; they will be held back"));
    }
    if !draft.personal.is_empty() {
        out.say(&printable(&format!("possibly personal data: {}", draft.personal.join(", "))));
    }
    let (fields, rules) = draft.size;
    if out.format() != Format::Table {
        return out.json(&json!({
            "contract": contract.display().to_string(), "schema": schema.display().to_string(),
            "records": draft.records, "malformed": draft.malformed.map_or(0, |(count, _)| count),
            "fields": fields, "rules": rules, "personal": draft.personal, "found": draft.said,
        }));
    }
    out.line(&contract.display().to_string())?;
    out.line(&schema.display().to_string())?;
    out.say(&format!(
        "{fields} fields and {rules} rules, which all of {} records keep",
        draft.records - draft.malformed.map_or(0, |(count, _)| count)
    ));
    Ok(())
}
