//! `weir doctor`: everything that can be wrong around a backbone, each with its fix.

mod access;
mod clock;

use broker::{Broker, Position};
use schemas::{Companion, Offset, TopicPartition};
use serde_json::json;
use steward::Sourced;

use self::access::ProductTopic;
use super::backbone::{Backbone, failed};
use crate::cli::{DoctorArgs, Duty};
use crate::config::names;
use crate::connect::Connections;
use crate::output::Rows;
use crate::{CliError, Global, Outcome};

/// What was found, row by row.
struct Findings {
    rows: Rows,
    bad: bool,
}

impl Findings {
    fn new() -> Self {
        Self { rows: Rows::new(&["state", "what", "found", "fix"]), bad: false }
    }

    fn good(&mut self, what: &str, found: impl Into<String>) {
        self.rows.push([json!("ok"), json!(what), json!(found.into()), json!(null)]);
    }

    /// It could not be found out, which is not bad in itself.
    fn unsure(&mut self, what: &str, found: impl Into<String>, fix: impl Into<String>) {
        self.rows.push([json!("?"), json!(what), json!(found.into()), json!(fix.into())]);
    }

    fn bad(&mut self, what: &str, found: impl Into<String>, fix: impl Into<String>) {
        self.bad = true;
        self.rows.push([json!("BAD"), json!(what), json!(found.into()), json!(fix.into())]);
    }

    /// What an examination brought; where it could not be made, that is a finding and the next one is made. It is
    /// bad only where whoever is connected has the `duty` that needs what it looks at.
    fn examined(&mut self, what: &str, duty: bool, outcome: Result<(), CliError>) {
        match outcome {
            Ok(()) => {}
            Err(error) if duty => self.bad(what, error.to_string(), "mend what is said above, and look again"),
            Err(error) => self.unsure(what, error.to_string(), "look again as somebody who may apply"),
        }
    }
}

/// Examines.
pub(crate) fn run(global: &Global, args: &DoctorArgs) -> Result<Outcome, CliError> {
    let mut findings = Findings::new();
    let connections = Connections::new(&global.settings)?;
    if reachable(&connections, &mut findings) {
        let duties = if args.duties.is_empty() { Duty::ALL.as_slice() } else { &args.duties };
        let allowed = access_and_clock(global, &connections, duties, &mut findings);
        findings.examined("access", true, allowed);
        match Backbone::connect(global) {
            Ok(backbone) => backbone_of(&backbone, duties, &mut findings)?,
            Err(error) => {
                findings.bad("backbone", error.to_string(), "start a registry (weir serve registry) and look again")
            }
        }
    }
    global.out.rows(&findings.rows)?;
    Ok(if findings.bad { Outcome::Found } else { Outcome::Done })
}

fn access_and_clock(
    global: &Global,
    connections: &Connections,
    duties: &[Duty],
    findings: &mut Findings,
) -> Result<(), CliError> {
    let broker = connections.broker()?;
    let topics = product_topics(global, &*broker)?;
    let bootstrap = global.settings.text(names::BOOTSTRAP).unwrap_or_default();
    let grantee = access::Grantee { principal: &connections.principal(), bootstrap };
    for duty in duties {
        access::examine(*duty, &*broker, &global.names, &topics, &grantee, findings);
    }
    clock::of_broker(&*broker, &global.names, &topics, findings);
    clock::of_registry(|| connections.registry_clock(), findings);
    Ok(())
}

/// The topics of products: those that can be seen, and those that the catalog names where it can be read. Who may
/// not see a topic does not find it in the first list.
fn product_topics(global: &Global, broker: &dyn Broker) -> Result<Vec<ProductTopic>, CliError> {
    let names = &global.names;
    let seen = broker.topics()?.into_iter().map(|description| description.topic);
    let mut topics: Vec<ProductTopic> =
        seen.filter_map(|topic| Some((names.parse(&topic)?.companion, topic))).collect();
    // What keeps it from being read is found and said by the examinations.
    if let Ok(catalog) = Backbone::connect(global).and_then(|backbone| backbone.catalog()) {
        for major in catalog.products().flat_map(|(_, state)| &state.majors) {
            topics.push((Companion::Inbox, major.inbox.clone()));
            topics.push((Companion::Product, major.topic.clone()));
            topics.push((Companion::Quarantine, major.quarantine.clone()));
        }
    }
    topics.sort();
    topics.dedup();
    Ok(topics)
}

fn reachable(connections: &Connections, findings: &mut Findings) -> bool {
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
    both
}

fn backbone_of(backbone: &Backbone, duties: &[Duty], findings: &mut Findings) -> Result<(), CliError> {
    let mut missing = Vec::new();
    let of = &backbone.names;
    for topic in [of.catalog(), of.lineage(), of.quality(), of.audit(), of.slots()] {
        match backbone.broker.topic(&topic) {
            Err(weather) => {
                findings.bad("control topics", weather.to_string(), "allow what access lacks, and look again");
                return Ok(());
            }
            Ok(None) => missing.push(topic.to_string()),
            Ok(Some(description)) => {
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
    let drifted = drift(backbone, findings);
    findings.examined("drift", duties.contains(&Duty::Apply), drifted);
    let behind = backlog(backbone, findings);
    findings.examined("enforcer", true, behind);
    Ok(())
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
