//! A plan: the difference between what contracts ask for and what is there, as actions in the order in which
//! they are done. Values only; `planning` makes them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use broker::{CompatibilityLevel, NewTopic};
use contract::{Contract, KeyKind};
use schemas::{ProductEntry, ProductId, ProductState, Subject, Topic, Version};

use crate::backtest::BackTest;
use crate::evolution::Change;

/// The level of every subject that Weir registers: within a major, everybody can read everything.
pub(crate) const LEVEL: CompatibilityLevel = CompatibilityLevel::FullTransitive;

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
        /// How the registry takes it.
        how: Registration,
    },
    /// Set the compatibility level of a subject to full and transitive.
    SetLevel {
        /// Of which subject.
        subject: Subject,
        /// The level it has of its own.
        before: Option<CompatibilityLevel>,
    },
    /// Put a contract version in force.
    Enforce {
        /// Which.
        version: Version,
        /// Instead of which.
        before: Option<Version>,
    },
    /// Enforce a major no longer: its contract says that it is retired.
    Retire {
        /// The version in force until now.
        version: Version,
    },
    /// Delete a topic of a retired major, with all that it holds.
    DeleteTopic(Topic),
}

/// How a schema is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// The subject is new: its compatibility level is set too.
    First,
    /// Beside those that the subject has.
    Next,
    /// The same, though the registry calls it incompatible: consumers are hurt knowingly.
    Against,
}

impl Action {
    /// `+` makes, `~` changes, `-` takes away.
    pub fn symbol(&self) -> char {
        match self {
            Self::CreateTopic(_)
            | Self::RegisterSchema { how: Registration::First, .. }
            | Self::Enforce { before: None, .. } => '+',
            Self::Retire { .. } | Self::DeleteTopic(_) => '-',
            _ => '~',
        }
    }

    /// Whether it changes the catalog: decided behind the fence, and not done before.
    pub(crate) fn is_decision(&self) -> bool {
        matches!(self, Self::Enforce { .. } | Self::Retire { .. })
    }

    /// Something is lost or moves: it is asked about.
    pub fn is_destructive(&self, contract: &Contract) -> bool {
        match self {
            Self::AddPartitions { .. } => contract.settings.key.kind != KeyKind::Any,
            Self::AlterSettings { changes, .. } => {
                changes.get("retention.ms").is_some_and(|(old, new)| shorter(old.as_deref(), new))
                    // Compaction drops older records of a key, and the end of it those that only it has kept.
                    || changes.contains_key("cleanup.policy")
            }
            Self::DeleteTopic(_) => true,
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
            Self::RegisterSchema { subject, how: Registration::Against } => {
                write!(f, "schema under {subject}, against its compatibility level")
            }
            Self::RegisterSchema { subject, .. } => write!(f, "schema under {subject}"),
            Self::SetLevel { subject, before } => write!(
                f,
                "compatibility of {subject} {} -> {}",
                before.map_or("(default)", CompatibilityLevel::as_str),
                LEVEL.as_str()
            ),
            Self::Enforce { version, before: None } => write!(f, "contract version {version}"),
            Self::Enforce { version, before: Some(before) } => write!(f, "contract version {before} -> {version}"),
            Self::Retire { version } => write!(f, "contract version {version}, retired"),
            Self::DeleteTopic(topic) => write!(f, "topic {topic} with all that it holds"),
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
    /// What the latest records say, where something tightens.
    pub held_back: Option<BackTest>,
    /// It goes back to the version before.
    pub rollback: bool,
    /// What the catalog said when the plan was made.
    pub(crate) based_on: Option<Arc<ProductState>>,
}

impl ProductPlan {
    /// Nothing to do yet, from what the catalog says of the product.
    pub(crate) fn new(contract: Arc<Contract>, entry: &ProductEntry) -> Self {
        Self {
            contract,
            actions: Vec::new(),
            changes: Vec::new(),
            problems: Vec::new(),
            breaking: Vec::new(),
            held_back: None,
            rollback: false,
            based_on: entry.state.clone(),
        }
    }

    /// Whose.
    pub fn product(&self) -> &ProductId {
        &self.contract.product
    }

    /// Whether it changes the catalog.
    pub(crate) fn decides(&self) -> bool {
        self.actions.iter().any(Action::is_decision)
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
