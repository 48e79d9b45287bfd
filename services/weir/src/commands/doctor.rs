//! `weir doctor`: everything that can be wrong around a backbone, each with its fix.

use broker::Position;
use schemas::{Offset, TopicPartition};
use serde_json::json;
use steward::Sourced;

use super::backbone::{Backbone, failed};
use crate::connect::Connections;
use crate::output::Rows;
use crate::{CliError, Global, Outcome};

struct Findings {
    rows: Rows,
    bad: bool,
}

impl Findings {
    fn good(&mut self, what: &str, found: impl Into<String>) {
        self.rows.push([json!("ok"), json!(what), json!(found.into()), json!(null)]);
    }

    fn bad(&mut self, what: &str, found: impl Into<String>, fix: impl Into<String>) {
        self.bad = true;
        self.rows.push([json!("BAD"), json!(what), json!(found.into()), json!(fix.into())]);
    }
}

/// Examines.
pub(crate) fn run(global: &Global) -> Result<Outcome, CliError> {
    let mut findings = Findings { rows: Rows::new(&["state", "what", "found", "fix"]), bad: false };
    if reachable(global, &mut findings)? {
        match Backbone::connect(global) {
            Ok(backbone) => backbone_of(&backbone, &mut findings)?,
            Err(error) => {
                findings.bad("backbone", error.to_string(), "start a registry (weir serve registry) and look again")
            }
        }
    }
    global.out.rows(&findings.rows)?;
    Ok(if findings.bad { Outcome::Found } else { Outcome::Done })
}

fn reachable(global: &Global, findings: &mut Findings) -> Result<bool, CliError> {
    let connections = Connections::new(&global.settings)?;
    let mut both = true;
    match connections.broker().and_then(|broker| broker.cluster()) {
        Ok(cluster) => {
            let nodes: Vec<_> = cluster.nodes.iter().map(|node| node.address.clone()).collect();
            findings.good("broker", format!("{} brokers: {}", nodes.len(), nodes.join(", ")));
        }
        Err(weather) => {
            both = false;
            findings.bad(
                "broker",
                weather.to_string(),
                "check --bootstrap-server, and --command-config where it asks for TLS or a password",
            );
        }
    }
    match connections.registry().and_then(|registry| registry.ping()) {
        Ok(()) => findings.good("registry", connections.registry_url()),
        Err(weather) => {
            both = false;
            findings.bad("registry", weather.to_string(), "check --registry, or start one: weir serve registry");
        }
    }
    Ok(both)
}

fn backbone_of(backbone: &Backbone, findings: &mut Findings) -> Result<(), CliError> {
    let names = &backbone.names;
    let mut missing = Vec::new();
    for topic in [names.catalog(), names.lineage(), names.quality(), names.audit(), names.slots()] {
        match backbone.broker.topic(&topic)? {
            None => missing.push(topic.to_string()),
            Some(description) => {
                let dead = description.partitions.iter().filter(|(_, leaderless)| *leaderless).count();
                if dead > 0 {
                    findings.bad(
                        "control topics",
                        format!("{topic}: {dead} partitions without a leader"),
                        "bring the brokers back that hold them",
                    );
                }
            }
        }
    }
    if !missing.is_empty() {
        findings.bad(
            "control topics",
            format!("missing: {}", missing.join(", ")),
            "start an enforcer once: weir serve enforcer",
        );
        return Ok(());
    }
    findings.good("control topics", "all there");
    drift(backbone, findings)?;
    backlog(backbone, findings)
}

/// Topics, settings and schemas that are no longer what the contracts in force say.
fn drift(backbone: &Backbone, findings: &mut Findings) -> Result<(), CliError> {
    let catalog = backbone.catalog()?;
    let mut contracts = Vec::new();
    for (id, state) in catalog.products() {
        for major in &state.majors {
            let stored = catalog.product(id).and_then(|entry| entry.contracts.get(&major.version));
            let Some(stored) = stored else { continue };
            match contract::read_back(&stored.contract) {
                Ok(contract) => contracts.push(Sourced { file: id.to_string().into(), contract }),
                Err(_) => findings.bad(
                    "contract",
                    format!("{id} {} cannot be read", major.version),
                    "it was applied by a newer release: upgrade this program",
                ),
            }
        }
    }
    let plan = backbone.steward().plan(&contracts).map_err(failed)?;
    let mut drifted = false;
    for product in &plan.products {
        for action in &product.actions {
            drifted = true;
            findings.bad(
                "drift",
                format!("{}: {} {action}", product.product(), action.symbol()),
                "weir apply its contract again",
            );
        }
        for problem in &product.problems {
            drifted = true;
            findings.bad("drift", format!("{}: {problem}", product.product()), "weir plan its contract");
        }
    }
    if !drifted {
        findings.good("drift", format!("{} products are as their contracts say", plan.products.len()));
    }
    Ok(())
}

/// Inbox records that no enforcer has taken.
fn backlog(backbone: &Backbone, findings: &mut Findings) -> Result<(), CliError> {
    let catalog = backbone.catalog()?;
    let mut inboxes: Vec<TopicPartition> = Vec::new();
    for (_, state) in catalog.products() {
        for major in &state.majors {
            inboxes.extend(backbone.partitions(&major.inbox)?);
        }
    }
    let committed = backbone.broker.group_offsets(&backbone.names.offsets_group(), &inboxes)?;
    let ends = backbone.broker.ends(&inboxes, true)?;
    let mut behind = 0;
    for inbox in &inboxes {
        let (first, end) = ends.get(inbox).copied().unwrap_or((Offset::ZERO, Offset::ZERO));
        match committed.get(inbox) {
            None => findings.bad(
                "enforcer",
                format!("{inbox} was never taken up"),
                "start an enforcer: weir serve enforcer",
            ),
            Some(committed) if committed.offset < end => {
                let position = committed.offset.max(first);
                behind += waiting_records(backbone, inbox, position)?;
            }
            Some(_) => {}
        }
    }
    match behind {
        0 => findings.good("enforcer", format!("{} inbox partitions are read to their end", inboxes.len())),
        records => findings.bad(
            "enforcer",
            format!("{records} or more records wait in inboxes"),
            "is an enforcer running? see its /readyz for what it waits for",
        ),
    }
    Ok(())
}

/// How many records stand there, up to the first thousand: transaction markers take offsets too.
fn waiting_records(backbone: &Backbone, inbox: &TopicPartition, position: Offset) -> Result<usize, CliError> {
    let mut records = 0;
    backbone.read_to_end(&[(inbox.clone(), Position::At(position))], &mut |chunk| {
        records += chunk.records.len();
        Ok(records < 1_000)
    })?;
    Ok(records)
}
