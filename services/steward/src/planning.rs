//! Comparing contracts with what is there. Reads, and changes nothing.

use std::collections::HashMap;
use std::sync::Arc;

use broker::{Standing, TopicDescription, TopicSetting};
use contract::{Contract, Status};
use schemas::{Catalog, Companion, Major, MajorState, ProductEntry, ProductId, Subject, Topic, Version};

use crate::each::each;
use crate::evolution::{self, Change, Effect};
use crate::plan::{Action, LEVEL, Plan, ProductPlan, Registration};
use crate::source::Sourced;
use crate::topics::{self, Before, LIMIT, Wanted};
use crate::{Steward, StewardError};

/// What is there, asked once for a whole plan.
struct Seen {
    catalog: Catalog,
    topics: HashMap<Topic, TopicDescription>,
}

/// A product's major as the catalog has it.
struct Current<'a> {
    entry: &'a ProductEntry,
    major: Option<&'a MajorState>,
    contract: Option<Arc<Contract>>,
}

impl Steward {
    /// Compares contracts with what is there. Changes nothing.
    ///
    /// # Errors
    /// [`StewardError`], where what is there cannot be found out.
    pub fn plan(&self, contracts: &[Sourced]) -> Result<Plan, StewardError> {
        let seen = self.look()?;
        let products = each(contracts, |sourced| self.plan_one(&seen, &sourced.contract))?;
        Ok(Plan { products })
    }

    /// The plan that puts the version before back in force, of this major or of the latest. Judged like any
    /// other change.
    ///
    /// # Errors
    /// [`StewardError::NoProduct`], [`StewardError::NoPrevious`] and what [`Steward::plan`] says.
    pub fn plan_rollback(&self, product: &ProductId, major: Option<Major>) -> Result<Plan, StewardError> {
        let seen = self.look()?;
        let missing = || StewardError::NoProduct(product.clone());
        let entry = seen.catalog.product(product).ok_or_else(missing)?;
        let state = entry.state.as_ref().ok_or_else(missing)?;
        let mut majors = state.majors.iter().rev();
        let now = majors.find(|found| major.is_none_or(|major| found.major == major)).ok_or_else(missing)?;
        let none = || StewardError::NoPrevious(product.clone(), now.version);
        let previous = entry.contracts.get(&now.previous.ok_or_else(none)?).ok_or_else(none)?;
        let contract = contract::read_back(&previous.contract)?;
        let mut plan = ProductPlan::new(Arc::clone(&contract), entry);
        plan.rollback = true;
        let current = self.current(entry, contract.version.major(), &mut plan);
        self.plan_surroundings(&seen, &current, &mut plan)?;
        plan.actions.push(Action::Enforce { version: contract.version, before: Some(now.version) });
        self.judge(&current, &mut plan)?;
        Ok(Plan { products: vec![plan] })
    }

    fn look(&self) -> Result<Seen, StewardError> {
        let catalog = self.catalog()?;
        let topics = self.broker.topics()?.into_iter().map(|found| (found.topic.clone(), found)).collect();
        Ok(Seen { catalog, topics })
    }

    fn plan_one(&self, seen: &Seen, contract: &Arc<Contract>) -> Result<ProductPlan, StewardError> {
        let nothing = ProductEntry::default();
        let entry = seen.catalog.product(&contract.product).unwrap_or(&nothing);
        let mut plan = ProductPlan::new(Arc::clone(contract), entry);
        let current = self.current(entry, contract.version.major(), &mut plan);
        if contract.status == Status::Retired {
            self.plan_retirement(seen, &current, &mut plan);
            return Ok(plan);
        }
        self.plan_surroundings(seen, &current, &mut plan)?;
        self.plan_version(&current, &mut plan)?;
        Ok(plan)
    }

    fn current<'a>(&self, entry: &'a ProductEntry, major: Major, plan: &mut ProductPlan) -> Current<'a> {
        let major = entry.state.as_ref().and_then(|state| state.majors.iter().find(|found| found.major == major));
        let stored = major.and_then(|major| entry.contracts.get(&major.version));
        let contract = stored.and_then(|stored| match contract::read_back(&stored.contract) {
            Ok(contract) => Some(contract),
            Err(unreadable) => {
                plan.problems.push(format!("what changes for whom cannot be judged: {unreadable}"));
                None
            }
        });
        Current { entry, major, contract }
    }

    /// Topics, settings and schemas; not the version.
    fn plan_surroundings(
        &self,
        seen: &Seen,
        current: &Current<'_>,
        plan: &mut ProductPlan,
    ) -> Result<(), StewardError> {
        let contract = Arc::clone(&plan.contract);
        let inbox = topics::inbox(&self.names, &contract);
        let inbox_settings = seen.topics.get(&inbox).map(|_| self.settings(&inbox)).transpose()?;
        let limit = inbox_settings.as_ref().and_then(|settings| settings.get(LIMIT)?.value.as_ref()?.parse().ok());
        let compacted = current.contract.as_ref().is_some_and(|contract| contract.settings.compaction);
        let wanted = topics::wanted(&self.names, &contract, Before { inbox_limit: limit, compacted });
        for topic in &wanted {
            let known = inbox_settings.as_ref().filter(|_| topic.companion == Companion::Inbox);
            self.plan_topic(seen, topic, known, plan)?;
        }
        for topic in wanted.iter().filter(|topic| topic.companion != Companion::Quarantine && !topic.foreign) {
            self.plan_schema(&Subject::value_of(&topic.topic), plan)?;
        }
        Ok(())
    }

    fn settings(&self, topic: &Topic) -> Result<TopicSetting, StewardError> {
        let failed = |source| StewardError::Admin { step: format!("read the settings of {topic}"), source };
        self.broker.settings(topic).map_err(failed)
    }

    fn plan_topic(
        &self,
        seen: &Seen,
        wanted: &Wanted,
        known: Option<&TopicSetting>,
        plan: &mut ProductPlan,
    ) -> Result<(), StewardError> {
        let topic = &wanted.topic;
        let Some(existing) = seen.topics.get(topic) else {
            if wanted.foreign {
                plan.problems
                    .push(format!("its inbox topic {topic} does not exist; create it, or leave weir.inboxTopic out"));
            } else {
                plan.actions.push(Action::CreateTopic(wanted.new_topic()));
            }
            return Ok(());
        };
        let (has, wants) = (existing.partitions.len(), wanted.partitions);
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
        let asked = if known.is_none() { Some(self.settings(topic)?) } else { None };
        let settings = known.or(asked.as_ref());
        let now = |name: &str| settings.and_then(|settings| settings.get(name)?.value.clone());
        let differs = wanted.settings.iter().filter_map(|(name, demand)| {
            let old = now(name);
            demand.instead_of(old.as_deref()).map(|new| ((*name).to_owned(), (old, new)))
        });
        let changes: std::collections::BTreeMap<_, _> = differs.collect();
        if !changes.is_empty() {
            plan.actions.push(Action::AlterSettings { topic: topic.clone(), changes });
        }
        Ok(())
    }

    fn plan_schema(&self, subject: &Subject, plan: &mut ProductPlan) -> Result<(), StewardError> {
        let text = plan.contract.schema.text();
        let standing = self.registry.standing(subject, text)?;
        if standing == Standing::NoSubject {
            plan.actions.push(Action::RegisterSchema { subject: subject.clone(), how: Registration::First });
            return Ok(());
        }
        if standing == Standing::Other {
            let refused = self.registry.would_refuse(subject, text)?;
            let how = if refused.is_some() { Registration::Against } else { Registration::Next };
            plan.breaking.extend(refused.map(|why| {
                format!(
                    "the registry refuses its schema under {subject}: {why}; raise the major, or apply with --allow-breaking --reason TEXT"
                )
            }));
            plan.actions.push(Action::RegisterSchema { subject: subject.clone(), how });
        }
        let level = self.registry.level(subject)?;
        if level != Some(LEVEL) {
            plan.actions.push(Action::SetLevel { subject: subject.clone(), before: level });
        }
        Ok(())
    }

    fn plan_version(&self, current: &Current<'_>, plan: &mut ProductPlan) -> Result<(), StewardError> {
        let contract = Arc::clone(&plan.contract);
        let version = contract.version;
        if matches!(contract.status, Status::Proposed | Status::Draft) {
            let status = if contract.status == Status::Draft { "draft" } else { "proposed" };
            plan.problems.push(format!("its status is {status}; write status: active to put it in force"));
        }
        let same = self.known_as(current.entry, &contract);
        let Some(in_force) = current.major else {
            if same == Some(false) {
                plan.problems.push(other_content(version));
            }
            plan.actions.push(Action::Enforce { version, before: None });
            return Ok(());
        };
        if version == in_force.version {
            if same != Some(true) {
                plan.problems.push(other_content(version));
            } else if i64::from(in_force.partitions) < i64::from(contract.settings.partitions) {
                plan.actions.push(Action::Enforce { version, before: Some(version) });
            }
            return Ok(());
        }
        if version < in_force.version || same == Some(false) {
            plan.problems.push(format!(
                "version {} is in force, {version} is not after it; raise it, or use weir rollback",
                in_force.version
            ));
            return Ok(());
        }
        plan.actions.push(Action::Enforce { version, before: Some(in_force.version) });
        self.judge(current, plan)
    }

    /// Whom the change hurts, and how many records it would have held back.
    fn judge(&self, current: &Current<'_>, plan: &mut ProductPlan) -> Result<(), StewardError> {
        let Some(old) = &current.contract else { return Ok(()) };
        plan.changes = evolution::judge(old, &plan.contract);
        plan.breaking.extend(weakened(&plan.changes));
        if plan.changes.iter().any(|change| change.effect == Effect::Tightens) {
            if !plan.rollback && plan.contract.version.minor == old.version.minor {
                plan.problems.push(format!("it asks more of producers than {}; raise the minor", old.version));
            }
            plan.held_back = self.held_back(old, &plan.contract)?;
        }
        Ok(())
    }

    /// Whether the catalog's contract of this version has the same content; `None` where it has none.
    pub(crate) fn known_as(&self, entry: &ProductEntry, contract: &Contract) -> Option<bool> {
        let stored = &entry.contracts.get(&contract.version)?.contract;
        Some(stored.document == *contract.document && same_schema(&stored.schema, contract.schema.text()))
    }

    /// The end of a major: enforced no longer, then its topics. A team's own inbox stays.
    fn plan_retirement(&self, seen: &Seen, current: &Current<'_>, plan: &mut ProductPlan) {
        let contract = Arc::clone(&plan.contract);
        let version = contract.version;
        let same = self.known_as(current.entry, &contract);
        if let Some(in_force) = current.major {
            if version <= in_force.version || same == Some(false) {
                plan.problems.push(format!(
                    "version {} is in force, {version} is not after it; raise it to retire the product",
                    in_force.version
                ));
            }
            plan.actions.push(Action::Retire { version: in_force.version });
        } else if same != Some(true) {
            // Never ours, or retired by another version: topics of these names are not ours to delete.
            return;
        }
        let topics = topics::wanted(&self.names, &contract, Before::default());
        let ours = topics.into_iter().filter(|wanted| !wanted.foreign && seen.topics.contains_key(&wanted.topic));
        plan.actions.extend(ours.map(|wanted| Action::DeleteTopic(wanted.topic)));
    }
}

fn other_content(version: Version) -> String {
    format!("version {version} was applied with other content, and a version never changes; raise it")
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
