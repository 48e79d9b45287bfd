//! `weir product list` and `weir product show`.

use serde_json::json;

use super::backbone::Backbone;
use crate::output::{Format, Rows};
use crate::{CliError, Global, Outcome};

/// All products.
pub(crate) fn list(global: &Global) -> Result<Outcome, CliError> {
    let backbone = Backbone::connect(global)?;
    let mut rows = Rows::new(&["product", "version", "status", "owner", "topic", "partitions"]);
    for (id, state) in backbone.catalog()?.products() {
        for major in &state.majors {
            rows.push([
                json!(id),
                json!(major.version),
                json!(state.status),
                json!(state.owner),
                json!(major.topic),
                json!(major.partitions),
            ]);
        }
    }
    global.out.rows(&rows)?;
    Ok(Outcome::Done)
}

/// One product.
pub(crate) fn show(global: &Global, product: &str) -> Result<Outcome, CliError> {
    let backbone = Backbone::connect(global)?;
    let (state, _) = backbone.product(product)?;
    let catalog = backbone.catalog()?;
    let versions: Vec<_> = catalog
        .product(&state.product)
        .map(|entry| {
            entry
                .contracts
                .values()
                .map(|entry| (entry.contract.version, entry.contract.applied_at, entry.contract.applied_by.clone()))
                .collect()
        })
        .unwrap_or_default();
    if global.out.format() != Format::Table {
        let versions: Vec<_> = versions
            .iter()
            .map(|(version, at, by)| json!({"version": version, "applied_at": at, "applied_by": by}))
            .collect();
        let mut value = json!(state);
        value["versions"] = json!(versions);
        global.out.json(&value)?;
        return Ok(Outcome::Done);
    }
    let out = global.out;
    out.line(&format!("{}  {}", state.product, state.title))?;
    for (name, value) in [("owner", &state.owner), ("purpose", &state.purpose), ("status", &Some(state.status.clone()))]
    {
        out.line(&format!(
            "  {name:<10} {}",
            value.as_deref().map_or_else(|| "-".to_owned(), crate::output::printable)
        ))?;
    }
    for major in &state.majors {
        out.line(&format!("  {} in force: version {}, schema {}", major.major, major.version, major.schema_id))?;
        out.line(&format!("    write to   {}", major.inbox))?;
        out.line(&format!("    read from  {}   (isolation.level=read_committed)", major.topic))?;
        out.line(&format!("    held back  {}", major.quarantine))?;
        out.line(&format!("    partitions {}", major.partitions))?;
    }
    for (version, at, by) in versions {
        let at = jiff::Timestamp::from_millisecond(at.0).map(|at| at.to_string()).unwrap_or_default();
        out.line(&format!("  version {version} applied {at} by {by}"))?;
    }
    Ok(Outcome::Done)
}
