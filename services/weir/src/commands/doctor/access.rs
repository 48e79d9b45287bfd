//! Whether whoever is connected may do what a duty needs, and the `kafka-acls` command that allows it.
//!
//! The broker is asked what is allowed, not which rules there are: that takes no rights of an operator, holds for
//! every authorizer, and a cluster that controls nothing allows everything.

use std::collections::{BTreeMap, BTreeSet};

use broker::{AdminError, Broker, Operation, Resource};
use schemas::{Companion, Names, Topic};

use super::Findings;
use crate::cli::Duty;

/// What a duty does with a resource.
struct Need {
    resource: Resource,
    operations: &'static [Operation],
}

/// A topic of a product, and which of its three it is.
pub(super) type ProductTopic = (Companion, Topic);

/// Everything that a duty needs of topics that exist, of groups, ids and the cluster.
fn needs(duty: Duty, names: &Names, topics: &[ProductTopic]) -> Vec<Need> {
    use Operation::{AlterConfigs, Create, Describe, DescribeConfigs, Read, Write};
    let topic = |topic: Topic, operations| Need { resource: Resource::Topic(topic), operations };
    let of = |wanted: Companion| {
        topics.iter().filter(move |(companion, _)| *companion == wanted).map(|(_, topic)| topic.clone())
    };
    let mut needs =
        vec![Need { resource: Resource::TransactionalId(names.doctor_producer()), operations: &[Write, Describe] }];
    match duty {
        Duty::Enforcer => {
            needs.extend([names.catalog(), names.slots()].map(|name| topic(name, &[Read])));
            needs.extend([names.lineage(), names.quality()].map(|name| topic(name, &[Read, Write])));
            needs.push(topic(names.audit(), &[Describe]));
            needs.extend(of(Companion::Inbox).map(|name| topic(name, &[Read])));
            needs.extend(of(Companion::Product).chain(of(Companion::Quarantine)).map(|name| topic(name, &[Write])));
            let groups = [names.slots_group(), names.offsets_group()];
            needs.extend(groups.map(|group| Need { resource: Resource::Group(group), operations: &[Read] }));
        }
        Duty::Registry => {
            needs.push(topic(names.schemas(), &[Read, Write, DescribeConfigs]));
            let others = [names.catalog(), names.lineage(), names.quality(), names.audit(), names.slots()];
            needs.extend(others.map(|name| topic(name, &[Describe])));
        }
        Duty::Apply => {
            needs.extend([names.catalog(), names.audit()].map(|name| topic(name, &[Read, Write])));
            needs.push(topic(names.lineage(), &[Read]));
            needs.extend(of(Companion::Inbox).map(|name| topic(name, &[Read, DescribeConfigs, AlterConfigs])));
            let outputs = of(Companion::Product).chain(of(Companion::Quarantine));
            needs.extend(outputs.map(|name| topic(name, &[DescribeConfigs, AlterConfigs])));
            needs.push(Need { resource: Resource::Cluster, operations: &[Create] });
        }
    }
    needs
}

/// Who is granted, and through whom: the start and the rest of a `kafka-acls` command.
pub(super) struct Grantee<'a> {
    /// As Kafka names it: `User:anna`.
    pub(super) principal: &'a str,
    /// The brokers.
    pub(super) bootstrap: &'a str,
}

impl Grantee<'_> {
    /// The command that grants these operations on resources of one kind.
    fn command(&self, operations: &BTreeSet<Operation>, resources: &[&str]) -> String {
        let operations: String = operations.iter().map(|operation| format!(" --operation {operation}")).collect();
        format!(
            "kafka-acls --bootstrap-server {} --command-config operator.properties --add --allow-principal '{}'{operations} {}",
            self.bootstrap,
            self.principal,
            resources.join(" ")
        )
    }
}

/// How `kafka-acls` names a resource. Ids are granted by what all of them begin with.
fn argument(resource: &Resource, names: &Names) -> String {
    match resource {
        Resource::Cluster => "--cluster".to_owned(),
        Resource::Topic(topic) => format!("--topic {topic}"),
        Resource::Group(group) => format!("--group {group}"),
        Resource::TransactionalId(_) => {
            format!("--transactional-id {} --resource-pattern-type prefixed", names.transactional_ids())
        }
    }
}

/// What is missing: the kind of resource and the operations together, then the resources.
type Missing = BTreeMap<(u8, BTreeSet<Operation>), Vec<Resource>>;

/// Examines one duty; whether everything is allowed that could be asked about.
pub(super) fn examine(
    duty: Duty,
    broker: &dyn Broker,
    names: &Names,
    topics: &[ProductTopic],
    grantee: &Grantee<'_>,
    findings: &mut Findings,
) -> bool {
    let mut missing = Missing::new();
    let mut unknown = Vec::new();
    for need in needs(duty, names, topics) {
        match broker.allowed(&need.resource) {
            Ok(allowed) => {
                let lacks: BTreeSet<_> =
                    need.operations.iter().filter(|wanted| !allowed.contains(wanted)).copied().collect();
                if !lacks.is_empty() {
                    missing.entry((kind(&need.resource), lacks)).or_default().push(need.resource);
                }
            }
            // Said elsewhere: a topic that is not there yet.
            Err(AdminError::Missing(_)) => {}
            Err(error) => unknown.push(error.to_string()),
        }
    }
    for ((_, operations), resources) in &missing {
        let arguments: Vec<String> = resources.iter().map(|resource| argument(resource, names)).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let operation: Vec<String> = operations.iter().map(Operation::to_string).collect();
        findings.bad(
            "access",
            format!(
                "{} may not do what {} needs: {} on {}",
                grantee.principal,
                duty.name(),
                operation.join(", "),
                arguments.join(" ").replace("--", "")
            ),
            grantee.command(operations, &arguments),
        );
    }
    for why in &unknown {
        findings.bad("access", format!("{}: {why}", duty.name()), "look again when the broker answers");
    }
    if missing.is_empty() && unknown.is_empty() {
        findings.good("access", format!("{} may do what {} needs", grantee.principal, duty.name()));
    }
    missing.is_empty() && unknown.is_empty()
}

fn kind(resource: &Resource) -> u8 {
    match resource {
        Resource::Cluster => 0,
        Resource::Topic(_) => 1,
        Resource::Group(_) => 2,
        Resource::TransactionalId(_) => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_one_command_for_all_topics_that_lack_the_same() {
        let grantee = Grantee { principal: "User:anna", bootstrap: "k:9092" };
        let operations = [Operation::Read, Operation::Write].into();
        assert_eq!(
            grantee.command(&operations, &["--topic a", "--topic b"]),
            "kafka-acls --bootstrap-server k:9092 --command-config operator.properties --add --allow-principal \
             'User:anna' --operation Read --operation Write --topic a --topic b"
        );
    }

    #[test]
    fn an_enforcer_reads_inboxes_and_writes_what_comes_of_them() {
        let names = Names::default();
        let topics = [
            (Companion::Inbox, Topic::existing("a-team-s-own")),
            (Companion::Product, Topic::existing("a.b.v1")),
            (Companion::Quarantine, Topic::existing("quarantine.a.b.v1")),
        ];
        let needs = needs(Duty::Enforcer, &names, &topics);
        let of = |name: &str| {
            let is = |need: &&Need| need.resource == Resource::Topic(Topic::existing(name));
            needs.iter().find(is).map(|need| need.operations)
        };
        assert_eq!(of("a-team-s-own"), Some(&[Operation::Read][..]));
        assert_eq!(of("a.b.v1"), Some(&[Operation::Write][..]));
        assert_eq!(of("quarantine.a.b.v1"), Some(&[Operation::Write][..]));
        assert_eq!(of("weir.catalog"), Some(&[Operation::Read][..]));
    }
}
