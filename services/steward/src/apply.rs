//! A plan, brought about: what can be done twice first, the decision last, and then the wait until the
//! enforcers work by it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use broker::{AdminError, CompatibilityLevel, ConfigChange, Isolation, NewTopic, Position, Registered};
use schemas::{
    BackboneSchema, Companion, LineageEvent, LineageKind, Partition, ProductId, SchemaId, Subject, TopicPartition,
    Version,
};

use crate::decide::Decided;
use crate::each::each;
use crate::plan::{Action, LEVEL, Plan, ProductPlan, Registration};
use crate::{Steward, StewardError};

/// Partitions made in one request, unless one topic alone has more: a broker makes each on its disk before it
/// answers for it, and the answer is waited for 30 s. (A controller refuses 10,000.)
const PARTITIONS_AT_ONCE: u32 = 300;

/// How an apply is done.
#[derive(Debug, Clone, Default)]
pub struct ApplyOptions {
    /// Why consumers may be hurt, where they may.
    pub allow_breaking: Option<String>,
    /// How long to wait until enforcers work by it.
    pub wait: Duration,
}

/// A partition that no enforcer has taken up yet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pending {
    /// Whose.
    pub product: ProductId,
    /// The version awaited.
    pub version: Version,
    /// The inbox partition.
    pub inbox: TopicPartition,
}

/// What an apply did.
#[derive(Debug, Clone, Default)]
pub struct Applied {
    /// Steps done.
    pub steps: usize,
    /// What was still awaited when time was up.
    pub pending: Vec<Pending>,
    /// How long the enforcers took, from the decision.
    pub active_after: Duration,
}

/// Who is told each step as it is done.
pub type Say<'a> = dyn FnMut(&str) + Send + 'a;

impl Steward {
    /// Applies a plan. `say` is told each step as it is done.
    ///
    /// # Errors
    /// [`StewardError`]; what was done stays done, and a new plan goes on from there. A plan that was stale
    /// from the start does nothing.
    pub fn apply(&self, plan: &Plan, options: &ApplyOptions, say: &mut Say<'_>) -> Result<Applied, StewardError> {
        let problems = plan.problems(options.allow_breaking.is_some());
        if !problems.is_empty() {
            return Err(StewardError::Blocked(problems));
        }
        let steps = plan.products.iter().map(|product| product.actions.len()).sum();
        let mut applied = Applied { steps, ..Applied::default() };
        if !plan.has_changes() {
            return Ok(applied);
        }
        self.refuse_stale(plan)?;
        self.create_topics(plan, say)?;
        let told = Mutex::new(&mut *say);
        let tell = |step: &str| told.lock().unwrap_or_else(PoisonError::into_inner)(step);
        let prepared = each(&plan.products, |product| self.prepare(product, &tell))?;
        let decided: Vec<Decided<'_>> =
            plan.products.iter().zip(prepared).filter_map(|(p, id)| Some((p, id?))).collect();
        let since = self.ends_of_lineage()?;
        let pending = if decided.is_empty() { Vec::new() } else { self.decide(&decided, options, say)? };
        self.delete_topics(plan, say)?;
        let began = Instant::now();
        applied.pending = self.wait_active(pending, &since, options.wait)?;
        applied.active_after = began.elapsed();
        Ok(applied)
    }

    /// Many topics in one request, so that a thousand products take little longer than one.
    fn create_topics(&self, plan: &Plan, say: &mut Say<'_>) -> Result<(), StewardError> {
        let actions = plan.products.iter().flat_map(|product| &product.actions);
        let new: Vec<NewTopic> = actions
            .filter_map(|action| match action {
                Action::CreateTopic(topic) => Some(topic.clone()),
                _ => None,
            })
            .collect();
        let mut left = new.as_slice();
        while let Some(first) = left.first() {
            let mut partitions = first.partitions;
            let more = left[1..].iter().take_while(|topic| {
                partitions = partitions.saturating_add(topic.partitions);
                partitions <= PARTITIONS_AT_ONCE
            });
            let (some, rest) = left.split_at(1 + more.count());
            for (topic, result) in some.iter().zip(self.broker.create_topics(some)?) {
                match result {
                    // Somebody else's apply, or an earlier one of ours, was there first.
                    Ok(()) | Err(AdminError::Exists(_)) => say(&format!("+ topic {}", topic.topic)),
                    Err(source) => {
                        return Err(StewardError::Admin { step: format!("create topic {}", topic.topic), source });
                    }
                }
            }
            left = rest;
        }
        Ok(())
    }

    /// Everything of a product that stands before its decision; the schema's id where there is one to take.
    fn prepare(&self, plan: &ProductPlan, say: &dyn Fn(&str)) -> Result<Option<SchemaId>, StewardError> {
        for action in &plan.actions {
            self.act(plan, action, say)?;
        }
        if !plan.decides() {
            return Ok(None);
        }
        self.schema_id(plan).map(Some)
    }

    fn act(&self, plan: &ProductPlan, action: &Action, say: &dyn Fn(&str)) -> Result<(), StewardError> {
        let failed = |step: String| move |source| StewardError::Admin { step, source };
        match action {
            Action::CreateTopic(_) | Action::DeleteTopic(_) | Action::Enforce { .. } | Action::Retire { .. } => {
                return Ok(());
            }
            Action::AddPartitions { topic, to, .. } => match self.broker.add_partitions(topic, *to) {
                // Another apply may have been there first.
                Err(AdminError::Refused { .. }) if self.has_partitions(topic, *to)? => {}
                other => other.map_err(failed(format!("add partitions to {topic}")))?,
            },
            Action::AlterSettings { topic, changes } => {
                let changes: BTreeMap<_, _> =
                    changes.iter().map(|(name, (_, new))| (name.clone(), ConfigChange::Set(new.clone()))).collect();
                self.broker.alter_settings(topic, &changes).map_err(failed(format!("change settings of {topic}")))?;
            }
            Action::RegisterSchema { subject, how } => self.register(plan, subject, *how)?,
            Action::SetLevel { subject, .. } => self.registry.set_level(subject, LEVEL)?,
        }
        say(&format!("{} {action}", action.symbol()));
        Ok(())
    }

    fn has_partitions(&self, topic: &schemas::Topic, count: u32) -> Result<bool, StewardError> {
        Ok(self.broker.topic(topic)?.is_some_and(|found| found.partitions.len() >= count as usize))
    }

    fn register(&self, plan: &ProductPlan, subject: &Subject, how: Registration) -> Result<(), StewardError> {
        if how == Registration::Against {
            self.registry.set_level(subject, CompatibilityLevel::None)?;
        }
        self.registered(plan, subject)?;
        if how != Registration::Next {
            // After the registration: the level of a subject that does not exist cannot be set everywhere.
            // Per subject, never globally.
            self.registry.set_level(subject, LEVEL)?;
        }
        Ok(())
    }

    fn registered(&self, plan: &ProductPlan, subject: &Subject) -> Result<SchemaId, StewardError> {
        match self.registry.register(subject, plan.contract.schema.text())? {
            Registered::Id(id) => Ok(id),
            Registered::Incompatible(why) | Registered::Invalid(why) => {
                Err(StewardError::Schema { product: plan.product().clone(), why })
            }
        }
    }

    fn schema_id(&self, plan: &ProductPlan) -> Result<SchemaId, StewardError> {
        let major = plan.contract.version.major();
        let retired = plan.actions.iter().any(|action| matches!(action, Action::Retire { .. }));
        let before = plan.based_on.as_ref().and_then(|state| state.majors.iter().find(|found| found.major == major));
        if let Some(before) = before.filter(|_| retired) {
            // Nothing is registered for a product's end.
            return Ok(before.schema_id);
        }
        let topic = self.names.topic(Companion::Product, plan.product(), major);
        self.registered(plan, &Subject::value_of(&topic))
    }

    /// After the decision, so that no enforcer takes a topic up again that goes.
    fn delete_topics(&self, plan: &Plan, say: &mut Say<'_>) -> Result<(), StewardError> {
        for action in plan.products.iter().flat_map(|product| &product.actions) {
            let Action::DeleteTopic(topic) = action else { continue };
            match self.broker.delete_topic(topic) {
                Ok(()) | Err(AdminError::Missing(_)) => say(&format!("{} {action}", action.symbol())),
                Err(source) => return Err(StewardError::Admin { step: format!("delete topic {topic}"), source }),
            }
        }
        Ok(())
    }

    fn ends_of_lineage(&self) -> Result<Vec<(TopicPartition, Position)>, StewardError> {
        let topic = self.names.lineage();
        let Some(description) = self.broker.topic(&topic)? else { return Ok(Vec::new()) };
        let partitions: Vec<_> = description
            .partitions
            .iter()
            .map(|(partition, _)| TopicPartition::new(topic.clone(), *partition))
            .collect();
        let ends = self.broker.ends(&partitions, true)?;
        Ok(ends.into_iter().map(|(partition, (_, end))| (partition, Position::At(end))).collect())
    }

    /// Waits until every partition's lane says that it works by the version; what is left when time is up.
    fn wait_active(
        &self,
        pending: Vec<Pending>,
        since: &[(TopicPartition, Position)],
        wait: Duration,
    ) -> Result<Vec<Pending>, StewardError> {
        let mut pending: BTreeSet<_> = pending.into_iter().collect();
        if pending.is_empty() || since.is_empty() {
            return Ok(pending.into_iter().collect());
        }
        let until = Instant::now() + wait;
        let mut reader = self.broker.reader(since, Isolation::Committed)?;
        while !pending.is_empty() && Instant::now() < until {
            for record in reader.poll(Duration::from_millis(100))?.records {
                let Some(value) = record.value else { continue };
                let Ok(event) = self.codec.decode::<LineageEvent>(BackboneSchema::Lineage, &value) else { continue };
                if matches!(event.kind, LineageKind::Activated | LineageKind::Enforced) {
                    let inbox = TopicPartition::new(event.inbox, event.partition);
                    pending.remove(&Pending { product: event.product, version: event.version, inbox });
                }
            }
        }
        Ok(pending.into_iter().collect())
    }
}

impl Pending {
    /// Every partition of a major, from the first on that is new to its version.
    pub(crate) fn of(product: &ProductId, major: &schemas::MajorState, from: i32) -> impl Iterator<Item = Self> {
        (from..major.partitions).map(move |partition| Self {
            product: product.clone(),
            version: major.version,
            inbox: TopicPartition::new(major.inbox.clone(), Partition(partition)),
        })
    }
}
