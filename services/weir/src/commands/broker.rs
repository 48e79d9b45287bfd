//! `weir broker verify` and `weir broker backup`: what is in a broker's data directory, without a client.

use std::path::Path;

use serde_json::json;

use crate::output::{Format, Rows};
use crate::{CliError, Global, Outcome};

/// Checks every batch and index.
pub(crate) fn verify(global: &Global, data: &Path) -> Result<Outcome, CliError> {
    let checked = embedded::verify(data).map_err(|error| CliError::Failed(error.to_string()))?;
    let out = global.out;
    match out.format() {
        Format::Json => {
            let findings: Vec<_> = checked.findings.iter().map(finding).collect();
            out.json(&json!({
                "partitions": checked.partitions, "batches": checked.batches, "records": checked.records,
                "bytes": checked.bytes, "findings": findings,
            }))?;
        }
        _ => {
            let mut rows = Rows::new(&["file", "position", "what"]);
            for found in &checked.findings {
                rows.push([json!(found.file.display().to_string()), json!(found.position), json!(found.what)]);
            }
            if !checked.findings.is_empty() {
                out.rows(&rows)?;
            }
        }
    }
    out.say(&format!(
        "{} records in {} batches of {} partitions, {} bytes: {}",
        checked.records,
        checked.batches,
        checked.partitions,
        checked.bytes,
        match checked.findings.len() {
            0 => "all is well".to_owned(),
            1 => "1 fault".to_owned(),
            many => format!("{many} faults"),
        }
    ));
    Ok(if checked.findings.is_empty() { Outcome::Done } else { Outcome::Found })
}

fn finding(found: &embedded::Finding) -> serde_json::Value {
    json!({"file": found.file.display().to_string(), "position": found.position, "what": found.what})
}

/// Copies a data directory.
pub(crate) fn backup(global: &Global, data: &Path, to: &Path) -> Result<Outcome, CliError> {
    let copied = embedded::backup(data, to).map_err(|error| CliError::Failed(error.to_string()))?;
    let out = global.out;
    if out.format() != Format::Table {
        out.json(&json!({"files": copied.files, "bytes": copied.bytes, "running": copied.running}))?;
    }
    let while_running = if copied.running { ", as they were at one moment under a running broker" } else { "" };
    out.say(&format!("{} files, {} bytes copied to {}{while_running}", copied.files, copied.bytes, to.display()));
    Ok(Outcome::Done)
}
