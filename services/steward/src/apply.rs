//! A plan, brought about: what can be done twice first, the decision last, and then the wait until the
//! enforcers work by it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use broker::{CompatibilityLevel, ConfigChange, Isolation, OutRecord, Position, Registered, WriteError};
use schemas::{
    AuditEvent, BackboneSchema, Catalog, CatalogKey, Companion, ContractVersion, LineageEvent, LineageKind, MajorState,
    Partition, ProductId, ProductState, SchemaId, Subject, Timestamp, Topic, TopicPartition, Version,
};

use crate::plan::{Action, Plan, ProductPlan};
use crate::{Steward, StewardError, topics};

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

impl Steward {
    /// Applies a plan. `say` is told each step as it is done.
    ///
    /// # Errors
    /// [`StewardError`]; what was done stays done, and a new plan goes on from there.
    pub fn apply(
        &self,
        plan: &Plan,
        options: &ApplyOptions,
        say: &mut dyn FnMut(&str),
    ) -> Result<Applied, StewardError> {
        let problems = plan.problems(options.allow_breaking.is_some());
        if !problems.is_empty() {
            return Err(StewardError::Blocked(problems));
        }
        let mut applied = Applied::default();
        if !plan.has_changes() {
            return Ok(applied);
        }
        self.create_topics(plan, say)?;
        let mut decided = Vec::new();
        for product in &plan.products {
            for action in &product.actions {
                self.act(product, action, say)?;
                applied.steps += 1;
            }
            if product.actions.iter().any(|action| matches!(action, Action::Enforce { .. })) {
                decided.push((product, self.schema_id(product)?));
            }
        }
        if decided.is_empty() {
            return Ok(applied);
        }
        let since = self.ends_of_lineage()?;
        let pending = self.decide(&decided, options, say)?;
        let began = Instant::now();
        applied.pending = self.wait_active(pending, &since, options.wait)?;
        applied.active_after = began.elapsed();
        Ok(applied)
    }

    /// All topics in one request, so that a thousand products take as long as one.
    fn create_topics(&self, plan: &Plan, say: &mut dyn FnMut(&str)) -> Result<(), StewardError> {
        let actions = plan.products.iter().flat_map(|product| &product.actions);
        let new: Vec<_> = actions
            .filter_map(|action| match action {
                Action::CreateTopic(topic) => Some(topic.clone()),
                _ => None,
            })
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        for (topic, result) in new.iter().zip(self.broker.create_topics(&new)?) {
            match result {
                // Somebody else's apply, or an earlier one of ours, was there first.
                Ok(()) | Err(broker::AdminError::Exists(_)) => say(&format!("+ topic {}", topic.topic)),
                Err(source) => {
                    return Err(StewardError::Admin { step: format!("create topic {}", topic.topic), source });
                }
            }
        }
        Ok(())
    }

    fn act(&self, plan: &ProductPlan, action: &Action, say: &mut dyn FnMut(&str)) -> Result<(), StewardError> {
        let failed = |step: String| move |source| StewardError::Admin { step, source };
        match action {
            Action::CreateTopic(_) | Action::Enforce { .. } => return Ok(()),
            Action::AddPartitions { topic, to, .. } => {
                self.broker.add_partitions(topic, *to).map_err(failed(format!("add partitions to {topic}")))?;
            }
            Action::AlterSettings { topic, changes } => {
                let changes: BTreeMap<_, _> =
                    changes.iter().map(|(name, (_, new))| (name.clone(), ConfigChange::Set(new.clone()))).collect();
                self.broker.alter_settings(topic, &changes).map_err(failed(format!("change settings of {topic}")))?;
            }
            Action::RegisterSchema { subject, new } => self.register(plan, subject, *new)?,
        }
        say(&format!("{} {action}", action.symbol()));
        Ok(())
    }

    fn register(&self, plan: &ProductPlan, subject: &Subject, new: bool) -> Result<(), StewardError> {
        let refused = |why| StewardError::Schema { product: plan.product().clone(), why };
        if let Registered::Incompatible(why) | Registered::Invalid(why) =
            self.registry.register(subject, plan.contract.schema.text())?
        {
            return Err(refused(why));
        }
        if new {
            // After the first registration: the level of a subject that does not exist cannot be set
            // everywhere. Per subject, never globally.
            self.registry.set_level(subject, CompatibilityLevel::FullTransitive)?;
        }
        Ok(())
    }

    fn schema_id(&self, plan: &ProductPlan) -> Result<SchemaId, StewardError> {
        let topic = self.names.topic(Companion::Product, plan.product(), plan.contract.version.major());
        match self.registry.register(&Subject::value_of(&topic), plan.contract.schema.text())? {
            Registered::Id(id) => Ok(id),
            Registered::Incompatible(why) | Registered::Invalid(why) => {
                Err(StewardError::Schema { product: plan.product().clone(), why })
            }
        }
    }

    /// Writes the decisions behind the fence, where nothing has changed since the plan.
    fn decide(
        &self,
        decided: &[(&ProductPlan, SchemaId)],
        options: &ApplyOptions,
        say: &mut dyn FnMut(&str),
    ) -> Result<Vec<Pending>, StewardError> {
        let mut writer = self.broker.writer(&self.names.steward_producer())?;
        let catalog = self.catalog()?;
        let now = Timestamp::now();
        let mut records = Vec::new();
        let mut pending = Vec::new();
        for (plan, schema_id) in decided {
            let state = catalog.product(plan.product()).and_then(|entry| entry.state.clone());
            if state != plan.based_on {
                return Err(StewardError::Stale(plan.product().clone()));
            }
            let (state, major) = self.next_state(plan, *schema_id, now);
            pending.extend((0..major.partitions).map(|partition| Pending {
                product: state.product.clone(),
                version: major.version,
                inbox: TopicPartition::new(major.inbox.clone(), Partition(partition)),
            }));
            if let Some(before) =
                plan.based_on.as_ref().and_then(|state| state.majors.iter().find(|m| m.major == major.major))
                && before.version == major.version
            {
                // Only partitions were added: those that were there work already.
                pending.retain(|pending| {
                    pending.inbox.topic != major.inbox || pending.inbox.partition.0 >= before.partitions
                });
            }
            records.extend(self.decision(plan, &catalog, *schema_id, &state, options, now));
        }
        match writer.commit(records, None) {
            Ok(_) => {
                for (plan, _) in decided {
                    say(&format!("~ {} is at version {}", plan.product(), plan.contract.version));
                }
                Ok(pending)
            }
            Err(WriteError::Fenced(_)) => Err(StewardError::Stale(decided[0].0.product().clone())),
            Err(error) => Err(broker::Weather::new("write the decision to the catalog", error).into()),
        }
    }

    fn decision(
        &self,
        plan: &ProductPlan,
        catalog: &Catalog,
        schema_id: SchemaId,
        state: &ProductState,
        options: &ApplyOptions,
        now: Timestamp,
    ) -> Vec<OutRecord> {
        let contract = &plan.contract;
        let mut records = Vec::new();
        let known =
            catalog.product(plan.product()).is_some_and(|entry| entry.contracts.contains_key(&contract.version));
        if !known {
            let version = ContractVersion {
                product: contract.product.clone(),
                version: contract.version,
                document: contract.document.to_string(),
                schema: contract.schema.text().to_string(),
                schema_id,
                applied_at: now,
                applied_by: self.who.clone(),
                breaking_reason: options.allow_breaking.clone().filter(|_| !plan.breaking.is_empty()),
            };
            let key = CatalogKey::Contract(contract.product.clone(), contract.version);
            records.push(self.record(
                self.names.catalog(),
                key.to_bytes(),
                self.codec.encode(BackboneSchema::ContractVersion, &version),
            ));
        }
        let key = CatalogKey::Product(contract.product.clone());
        records.push(self.record(
            self.names.catalog(),
            key.to_bytes(),
            self.codec.encode(BackboneSchema::ProductState, state),
        ));
        let breaking = (!plan.breaking.is_empty()).then(|| options.allow_breaking.clone()).flatten();
        let audit = AuditEvent {
            at: now,
            by: self.who.clone(),
            action: if breaking.is_some() { "allow-breaking" } else { "apply" }.to_owned(),
            product: Some(contract.product.clone()),
            detail: match breaking {
                Some(reason) => format!("version {}: {reason} ({})", contract.version, plan.breaking.join("; ")),
                None => format!("version {}", contract.version),
            },
        };
        let key = contract.product.to_string().into_bytes();
        records.push(self.record(self.names.audit(), key, self.codec.encode(BackboneSchema::Audit, &audit)));
        records
    }

    fn record(&self, topic: Topic, key: Vec<u8>, value: Vec<u8>) -> OutRecord {
        OutRecord {
            topic,
            partition: Some(Partition(0)),
            key: Some(key),
            value: Some(value),
            headers: Vec::new(),
            timestamp: None,
        }
    }

    fn next_state(&self, plan: &ProductPlan, schema_id: SchemaId, now: Timestamp) -> (ProductState, MajorState) {
        let contract = &plan.contract;
        let version = contract.version;
        let mut majors = plan.based_on.as_ref().map(|state| state.majors.clone()).unwrap_or_default();
        let before = majors.iter().find(|major| major.major == version.major());
        let previous =
            before.and_then(|before| if before.version == version { before.previous } else { Some(before.version) });
        let major = MajorState {
            major: version.major(),
            version,
            previous,
            inbox: topics::inbox(&self.names, contract),
            topic: self.names.topic(Companion::Product, &contract.product, version.major()),
            quarantine: self.names.topic(Companion::Quarantine, &contract.product, version.major()),
            partitions: i32::try_from(contract.settings.partitions).unwrap_or(i32::MAX),
            schema_id,
        };
        majors.retain(|other| other.major != major.major);
        majors.push(major.clone());
        majors.sort_by_key(|major| major.major);
        let state = ProductState {
            product: contract.product.clone(),
            title: contract.about.title.clone().unwrap_or_else(|| contract.product.to_string()),
            owner: contract.about.team.as_ref().map(|team| team.name.clone()),
            purpose: contract.about.purpose.clone(),
            status: format!("{:?}", contract.status).to_lowercase(),
            majors,
            decided_at: now,
            decided_by: self.who.clone(),
        };
        (state, major)
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
