//! Decisions: records of the catalog and of the audit, written in one transaction behind a fence, where
//! nothing that they were made from has changed.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use broker::{OutRecord, Weather, WriteError};
use schemas::{
    AuditEvent, BackboneSchema, Catalog, CatalogKey, Companion, ContractVersion, MajorState, Partition, ProductEntry,
    ProductState, SchemaId, Timestamp, Topic,
};

use crate::apply::{ApplyOptions, Pending, Say};
use crate::plan::{Action, Plan, ProductPlan};
use crate::{Steward, StewardError, topics};

/// How often a decision is taken again where another steward's came in between, or its outcome is unknown.
const ATTEMPTS: u32 = 10;
/// The longest pause before the second attempt; each further one may be longer by as much.
const PAUSE_MS: u64 = 20;

/// A product that is decided on, with its schema's id.
pub(crate) type Decided<'a> = (&'a ProductPlan, SchemaId);

/// What stands in the catalog of what a plan wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// What the plan was made from.
    AsPlanned,
    /// What the plan wants: it was decided already.
    Decided,
    /// Something else.
    Stale,
}

impl Steward {
    /// # Errors
    /// [`StewardError::Stale`] where the catalog is no longer what the plan was made from.
    pub(crate) fn refuse_stale(&self, plan: &Plan) -> Result<(), StewardError> {
        let catalog = self.catalog()?;
        let stale = plan.products.iter().find(|plan| self.standing(&catalog, plan) == Standing::Stale);
        stale.map_or(Ok(()), |plan| Err(StewardError::Stale(plan.product().clone())))
    }

    fn standing(&self, catalog: &Catalog, plan: &ProductPlan) -> Standing {
        let nothing = ProductEntry::default();
        let entry = catalog.product(plan.product()).unwrap_or(&nothing);
        if entry.state == plan.based_on {
            return Standing::AsPlanned;
        }
        let contract = &plan.contract;
        let majors = entry.state.as_ref().map(|state| state.majors.as_slice()).unwrap_or_default();
        let major = majors.iter().find(|found| found.major == contract.version.major());
        let as_wanted = match major {
            Some(major) => major.version == contract.version && major.partitions == partitions(plan),
            None => retires(plan),
        };
        let decided = plan.decides() && as_wanted && self.known_as(entry, contract) == Some(true);
        if decided { Standing::Decided } else { Standing::Stale }
    }

    /// Writes the decisions behind the fence, where nothing has changed since the plan. Gives the partitions
    /// that are to be taken up.
    pub(crate) fn decide(
        &self,
        decided: &[Decided<'_>],
        options: &ApplyOptions,
        say: &mut Say<'_>,
    ) -> Result<Vec<Pending>, StewardError> {
        let mut tried = false;
        let mut last = Weather::new("write the decision to the catalog", "it was not tried");
        for attempt in 0..ATTEMPTS {
            std::thread::sleep(pause(attempt));
            // Whoever wrote before is fenced, and what it left open is ended: what is read now is complete.
            let mut writer = self.broker.writer(&self.names.steward_producer())?;
            let catalog = self.catalog()?;
            let now = Timestamp::now();
            let (mut records, mut pending) = (Vec::new(), Vec::new());
            for (plan, schema_id) in decided {
                let standing = self.standing(&catalog, plan);
                match standing {
                    Standing::Stale => return Err(StewardError::Stale(plan.product().clone())),
                    // Not ours: it may be taken up since long.
                    Standing::Decided if !tried => continue,
                    Standing::Decided | Standing::AsPlanned => {}
                }
                let state = self.next_state(plan, *schema_id, now);
                pending.extend(taken_up(plan, &state));
                if standing == Standing::AsPlanned {
                    records.extend(self.decision(plan, &catalog, *schema_id, &state, options));
                }
            }
            tried = true;
            let outcome = if records.is_empty() { Ok(Vec::new()) } else { writer.commit(records, None) };
            match outcome {
                Ok(_) => {
                    decided.iter().for_each(|(plan, _)| say(&sentence(plan)));
                    return Ok(pending);
                }
                Err(WriteError::Refused { index, reason }) => {
                    let what = format!("write record {index} of the decision to the catalog");
                    return Err(Weather::new(what, reason).into());
                }
                // Another steward wrote in between, perhaps about other products; or nobody knows. The catalog does.
                Err(error) => last = Weather::new("write the decision to the catalog", error),
            }
        }
        Err(last.into())
    }

    fn decision(
        &self,
        plan: &ProductPlan,
        catalog: &Catalog,
        schema_id: SchemaId,
        state: &ProductState,
        options: &ApplyOptions,
    ) -> Vec<OutRecord> {
        let contract = &plan.contract;
        let breaking = options.allow_breaking.clone().filter(|_| !plan.breaking.is_empty());
        let mut records = Vec::new();
        let known = catalog.product(plan.product()).is_some_and(|e| e.contracts.contains_key(&contract.version));
        if !known {
            let version = ContractVersion {
                product: contract.product.clone(),
                version: contract.version,
                document: contract.document.to_string(),
                schema: contract.schema.text().to_string(),
                schema_id,
                applied_at: state.decided_at,
                applied_by: self.who.clone(),
                breaking_reason: breaking.clone(),
            };
            let key = CatalogKey::Contract(contract.product.clone(), contract.version);
            let value = self.codec.encode(BackboneSchema::ContractVersion, &version);
            records.push(record(self.names.catalog(), key.to_bytes(), value));
        }
        let key = CatalogKey::Product(contract.product.clone());
        let value = self.codec.encode(BackboneSchema::ProductState, state);
        records.push(record(self.names.catalog(), key.to_bytes(), value));
        let audit = AuditEvent {
            at: state.decided_at,
            by: self.who.clone(),
            action: audited(plan, breaking.is_some()).to_owned(),
            product: Some(contract.product.clone()),
            detail: match breaking {
                Some(reason) => format!("version {}: {reason} ({})", contract.version, plan.breaking.join("; ")),
                None => format!("version {}", contract.version),
            },
        };
        let key = contract.product.to_string().into_bytes();
        records.push(record(self.names.audit(), key, self.codec.encode(BackboneSchema::Audit, &audit)));
        records
    }

    fn next_state(&self, plan: &ProductPlan, schema_id: SchemaId, now: Timestamp) -> ProductState {
        let contract = &plan.contract;
        let mut majors = plan.based_on.as_ref().map(|state| state.majors.clone()).unwrap_or_default();
        let before = majors.iter().position(|found| found.major == contract.version.major());
        let before = before.map(|index| majors.remove(index));
        if !retires(plan) {
            majors.push(self.next_major(plan, before.as_ref(), schema_id));
            majors.sort_by_key(|major| major.major);
        }
        // What is said of a product is what its latest major says.
        let older = majors.last().is_some_and(|last| last.major > contract.version.major());
        let said = plan.based_on.as_ref().filter(|_| older).map(|state| (**state).clone());
        let said = said.unwrap_or_else(|| ProductState {
            product: contract.product.clone(),
            title: contract.about.title.clone().unwrap_or_else(|| contract.product.to_string()),
            owner: contract.about.team.as_ref().map(|team| team.name.clone()),
            purpose: contract.about.purpose.clone(),
            status: format!("{:?}", contract.status).to_lowercase(),
            majors: Vec::new(),
            decided_at: now,
            decided_by: String::new(),
        });
        ProductState { majors, decided_at: now, decided_by: self.who.clone(), ..said }
    }

    fn next_major(&self, plan: &ProductPlan, before: Option<&MajorState>, schema_id: SchemaId) -> MajorState {
        let contract = &plan.contract;
        let version = contract.version;
        MajorState {
            major: version.major(),
            version,
            previous: before
                .and_then(|before| if before.version == version { before.previous } else { Some(before.version) }),
            inbox: topics::inbox(&self.names, contract),
            topic: self.names.topic(Companion::Product, &contract.product, version.major()),
            quarantine: self.names.topic(Companion::Quarantine, &contract.product, version.major()),
            partitions: partitions(plan),
            schema_id,
        }
    }
}

/// Two stewards that fence each other in turn must not do so in step: the pause is drawn at random.
fn pause(attempt: u32) -> Duration {
    let most = PAUSE_MS * u64::from(attempt);
    Duration::from_millis(RandomState::new().hash_one(attempt) % (most + 1))
}

/// The partitions that enforcers have to take up: all of a new version, the new ones of the same version.
fn taken_up(plan: &ProductPlan, state: &ProductState) -> Vec<Pending> {
    let version = plan.contract.version;
    let Some(major) = state.majors.iter().find(|found| found.version == version).filter(|_| !retires(plan)) else {
        return Vec::new();
    };
    let before = plan.based_on.as_ref().and_then(|state| state.majors.iter().find(|found| found.version == version));
    Pending::of(&state.product, major, before.map_or(0, |before| before.partitions)).collect()
}

fn partitions(plan: &ProductPlan) -> i32 {
    i32::try_from(plan.contract.settings.partitions).unwrap_or(i32::MAX)
}

fn retires(plan: &ProductPlan) -> bool {
    plan.actions.iter().any(|action| matches!(action, Action::Retire { .. }))
}

fn audited(plan: &ProductPlan, breaking: bool) -> &'static str {
    match (plan.rollback, retires(plan), breaking) {
        (true, ..) => "rollback",
        (_, true, _) => "retire",
        (.., true) => "allow-breaking",
        _ => "apply",
    }
}

fn sentence(plan: &ProductPlan) -> String {
    let (product, version) = (plan.product(), plan.contract.version);
    if retires(plan) {
        format!("- {product} {} is retired", version.major())
    } else {
        format!("~ {product} is at version {version}")
    }
}

fn record(topic: Topic, key: Vec<u8>, value: Vec<u8>) -> OutRecord {
    OutRecord {
        topic,
        partition: Some(Partition(0)),
        key: Some(key),
        value: Some(value),
        headers: Vec::new(),
        timestamp: None,
    }
}
