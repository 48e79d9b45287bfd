//! The difference between what contracts ask for and what is there, as actions in the order in which they
//! are done.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use broker::NewTopic;
use contract::{Contract, KeyKind, Status};
use schemas::{Catalog, Companion, MajorState, ProductEntry, ProductId, ProductState, Subject, Topic, Version};

use crate::evolution::{self, Change, Effect};
use crate::source::Sourced;
use crate::topics::{self, Wanted};
use crate::{Steward, StewardError};

/// One step of an apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make a topic.
    CreateTopic(NewTopic),
    /// Raise a topic's partitions; keys move.
    AddPartitions {
        /// Which topic.
        topic: Topic,
        /// So many it has.
        from: usize,
        /// So many it gets.
        to: u32,
    },
    /// Change settings of a topic.
    AlterSettings {
        /// Which topic.
        topic: Topic,
        /// The settings, with the values they have.
        changes: BTreeMap<String, (Option<String>, String)>,
    },
    /// Register the contract's schema.
    RegisterSchema {
        /// Under which subject.
        subject: Subject,
        /// The subject is new: its compatibility level is set too.
        new: bool,
    },
    /// Put a contract version in force.
    Enforce {
        /// Which.
        version: Version,
        /// Instead of which.
        before: Option<Version>,
    },
}

impl Action {
    /// `+` makes, `~` changes.
    pub fn symbol(&self) -> char {
        match self {
            Self::CreateTopic(_) | Self::RegisterSchema { new: true, .. } | Self::Enforce { before: None, .. } => '+',
            _ => '~',
        }
    }

    /// Something is lost or moves: it is asked about.
    pub fn is_destructive(&self, contract: &Contract) -> bool {
        match self {
            Self::AddPartitions { .. } => contract.settings.key.kind != KeyKind::Any,
            Self::AlterSettings { changes, .. } => {
                changes.get("retention.ms").is_some_and(|(old, new)| shorter(old.as_deref(), new))
            }
            _ => false,
        }
    }
}

/// Whether a retention keeps less than it did; −1 keeps for ever.
fn shorter(old: Option<&str>, new: &str) -> bool {
    let span = |text: &str| text.parse::<i64>().ok().map(|ms| if ms < 0 { i64::MAX } else { ms });
    match (old.and_then(span), span(new)) {
        (Some(old), Some(new)) => new < old,
        _ => false,
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateTopic(topic) => write!(f, "topic {} with {} partitions", topic.topic, topic.partitions),
            Self::AddPartitions { topic, from, to } => write!(f, "topic {topic}: {from} -> {to} partitions"),
            Self::AlterSettings { topic, changes } => {
                write!(f, "topic {topic}:")?;
                for (name, (old, new)) in changes {
                    write!(f, " {name} {} -> {new}", old.as_deref().unwrap_or("(default)"))?;
                }
                Ok(())
            }
            Self::RegisterSchema { subject, .. } => write!(f, "schema under {subject}"),
            Self::Enforce { version, before: None } => write!(f, "contract version {version}"),
            Self::Enforce { version, before: Some(before) } => write!(f, "contract version {before} -> {version}"),
        }
    }
}

/// What an apply would do for one product.
#[derive(Debug, Clone)]
pub struct ProductPlan {
    /// The contract.
    pub contract: Arc<Contract>,
    /// Steps, in order; none where all is as asked.
    pub actions: Vec<Action>,
    /// What changes for producers and consumers.
    pub changes: Vec<Change>,
    /// What forbids the plan.
    pub problems: Vec<String>,
    /// Problems that `--allow-breaking` lifts.
    pub breaking: Vec<String>,
    /// `(would be held back, of the latest records)`, where something tightens.
    pub held_back: Option<(u64, u64)>,
    /// What the catalog said when the plan was made.
    pub(crate) based_on: Option<Arc<ProductState>>,
}

impl ProductPlan {
    /// Whose.
    pub fn product(&self) -> &ProductId {
        &self.contract.product
    }

    /// Whether any step is asked about.
    pub fn is_destructive(&self) -> bool {
        self.actions.iter().any(|action| action.is_destructive(&self.contract))
    }
}

/// What an apply would do.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// By product, in the order given.
    pub products: Vec<ProductPlan>,
}

impl Plan {
    /// Whether there is anything to do.
    pub fn has_changes(&self) -> bool {
        self.products.iter().any(|product| !product.actions.is_empty())
    }

    /// Everything that forbids it.
    pub fn problems(&self, allow_breaking: bool) -> Vec<String> {
        let breaking = |plan: &ProductPlan| if allow_breaking { Vec::new() } else { plan.breaking.clone() };
        self.products
            .iter()
            .flat_map(|plan| {
                let all = plan.problems.iter().cloned().chain(breaking(plan));
                all.map(|problem| format!("{}: {problem}", plan.product())).collect::<Vec<_>>()
            })
            .collect()
    }
}

impl Steward {
    /// Compares contracts with what is there. Changes nothing.
    ///
    /// # Errors
    /// [`StewardError`], where what is there cannot be found out.
    pub fn plan(&self, contracts: &[Sourced]) -> Result<Plan, StewardError> {
        let catalog = self.catalog()?;
        let products =
            contracts.iter().map(|sourced| self.plan_one(&catalog, &sourced.contract)).collect::<Result<_, _>>()?;
        Ok(Plan { products })
    }

    /// The plan that puts the version before back in force.
    ///
    /// # Errors
    /// [`StewardError::NoProduct`], [`StewardError::NoPrevious`] and what [`Steward::plan`] says.
    pub fn plan_rollback(&self, product: &ProductId) -> Result<Plan, StewardError> {
        let catalog = self.catalog()?;
        let missing = || StewardError::NoProduct(product.clone());
        let entry = catalog.product(product).ok_or_else(missing)?;
        let state = entry.state.clone().ok_or_else(missing)?;
        let major = state.majors.last().ok_or_else(missing)?;
        let none = || StewardError::NoPrevious(product.clone(), major.version);
        let previous = major.previous.ok_or_else(none)?;
        let contract = self.contract_of(entry, previous).ok_or_else(none)?;
        let mut plan = self.plan_actions(entry, &contract)?;
        plan.actions.push(Action::Enforce { version: previous, before: Some(major.version) });
        if let Some(current) = self.contract_of(entry, major.version) {
            plan.changes = evolution::judge(&current, &contract);
            plan.breaking = weakened(&plan.changes);
        }
        Ok(Plan { products: vec![plan] })
    }

    pub(crate) fn contract_of(&self, entry: &ProductEntry, version: Version) -> Option<Arc<Contract>> {
        let stored = &entry.contracts.get(&version)?.contract;
        let document = contract::odcs::Source { file: "contract.odcs.yaml", text: &stored.document };
        let schema = contract::odcs::Source { file: "schema.avsc", text: &stored.schema };
        contract::odcs::read(&document, Some(&schema)).ok().map(|read| Arc::new(read.contract))
    }

    fn plan_one(&self, catalog: &Catalog, contract: &Arc<Contract>) -> Result<ProductPlan, StewardError> {
        let nothing = ProductEntry::default();
        let entry = catalog.product(&contract.product).unwrap_or(&nothing);
        let mut plan = self.plan_actions(entry, contract)?;
        self.plan_version(entry, contract, &mut plan)?;
        Ok(plan)
    }

    /// Topics, settings and schemas; not the version.
    fn plan_actions(&self, entry: &ProductEntry, contract: &Arc<Contract>) -> Result<ProductPlan, StewardError> {
        let mut plan = ProductPlan {
            contract: Arc::clone(contract),
            actions: Vec::new(),
            changes: Vec::new(),
            problems: Vec::new(),
            breaking: Vec::new(),
            held_back: None,
            based_on: entry.state.clone(),
        };
        let wanted = topics::wanted(&self.names, contract);
        for topic in &wanted {
            self.plan_topic(topic, &mut plan)?;
        }
        for topic in wanted.iter().filter(|topic| topic.companion != Companion::Quarantine && !topic.foreign) {
            self.plan_schema(&Subject::value_of(&topic.topic.topic), &mut plan)?;
        }
        Ok(plan)
    }

    fn plan_topic(&self, wanted: &Wanted, plan: &mut ProductPlan) -> Result<(), StewardError> {
        let topic = &wanted.topic.topic;
        let Some(existing) = self.broker.topic(topic)? else {
            if wanted.foreign {
                plan.problems
                    .push(format!("its inbox topic {topic} does not exist; create it, or leave weir.inboxTopic out"));
            } else {
                plan.actions.push(Action::CreateTopic(wanted.topic.clone()));
            }
            return Ok(());
        };
        let (has, wants) = (existing.partitions.len(), wanted.topic.partitions);
        if has < wants as usize && !wanted.foreign {
            plan.actions.push(Action::AddPartitions { topic: topic.clone(), from: has, to: wants });
        } else if has != wants as usize {
            plan.problems.push(format!(
                "topic {topic} has {has} partitions and the contract asks for {wants}; partitions cannot be taken away: write weir.partitions: {has}"
            ));
        }
        if wanted.foreign {
            return Ok(());
        }
        let settings = self
            .broker
            .settings(topic)
            .map_err(|source| StewardError::Admin { step: format!("read the settings of {topic}"), source })?;
        let changes: BTreeMap<_, _> = wanted
            .topic
            .settings
            .iter()
            .filter_map(|(name, value)| {
                let old = settings.get(name).and_then(|entry| entry.value.clone());
                (old.as_ref() != Some(value)).then(|| (name.clone(), (old, value.clone())))
            })
            .collect();
        if !changes.is_empty() {
            plan.actions.push(Action::AlterSettings { topic: topic.clone(), changes });
        }
        Ok(())
    }

    fn plan_schema(&self, subject: &Subject, plan: &mut ProductPlan) -> Result<(), StewardError> {
        let text = plan.contract.schema.text();
        match self.registry.latest(subject)? {
            None => plan.actions.push(Action::RegisterSchema { subject: subject.clone(), new: true }),
            Some((_, latest)) if same_schema(&latest, text) => {}
            Some(_) => match self.registry.would_refuse(subject, text)? {
                Some(why) => plan.problems.push(format!("the registry refuses its schema under {subject}: {why}")),
                None => plan.actions.push(Action::RegisterSchema { subject: subject.clone(), new: false }),
            },
        }
        Ok(())
    }

    fn plan_version(
        &self,
        entry: &ProductEntry,
        contract: &Arc<Contract>,
        plan: &mut ProductPlan,
    ) -> Result<(), StewardError> {
        let version = contract.version;
        if matches!(contract.status, Status::Proposed | Status::Draft) {
            let status = if contract.status == Status::Draft { "draft" } else { "proposed" };
            plan.problems.push(format!("its status is {status}; write status: active to put it in force"));
        }
        let current =
            entry.state.as_ref().and_then(|state| state.majors.iter().find(|major| major.major == version.major()));
        let Some(current) = current else {
            plan.actions.push(Action::Enforce { version, before: None });
            return Ok(());
        };
        let stored = entry.contracts.get(&version).map(|stored| &stored.contract);
        let same = stored.is_some_and(|stored| {
            stored.document == *contract.document && same_schema(&stored.schema, contract.schema.text())
        });
        if version == current.version {
            if !same {
                plan.problems.push(format!(
                    "version {version} was applied with other content, and a version never changes; raise it"
                ));
            } else if grown(current, contract) {
                plan.actions.push(Action::Enforce { version, before: Some(version) });
            }
            return Ok(());
        }
        if version < current.version || stored.is_some() && !same {
            plan.problems.push(format!(
                "version {} is in force, {version} is not after it; raise it, or use weir rollback",
                current.version
            ));
            return Ok(());
        }
        plan.actions.push(Action::Enforce { version, before: Some(current.version) });
        let Some(old) = self.contract_of(entry, current.version) else { return Ok(()) };
        plan.changes = evolution::judge(&old, contract);
        plan.breaking = weakened(&plan.changes);
        if plan.changes.iter().any(|change| change.effect == Effect::Tightens) {
            if version.minor == old.version.minor {
                plan.problems.push(format!("it asks more of producers than {}; raise the minor", old.version));
            }
            plan.held_back = self.held_back(&topics::inbox(&self.names, contract), &old, contract)?;
        }
        Ok(())
    }
}

fn grown(current: &MajorState, contract: &Contract) -> bool {
    i64::from(current.partitions) < i64::from(contract.settings.partitions)
}

fn weakened(changes: &[Change]) -> Vec<String> {
    changes
        .iter()
        .filter(|change| change.effect == Effect::Weakens)
        .map(|change| {
            format!(
                "{}; consumers were promised otherwise: raise the major, or apply with --allow-breaking --reason TEXT",
                change.what
            )
        })
        .collect()
}

/// Whether two texts are the same JSON, whatever their white space.
fn same_schema(one: &str, other: &str) -> bool {
    let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    one == other || parsed(one).is_some_and(|one| Some(one) == parsed(other))
}
