//! Judging what is in a topic already, without touching it: no group is joined, nothing is committed, no schema is
//! registered. Says what the enforcer would say of the same records, by the same code.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use broker::{Broker, Isolation, Lookup, OwnedRecord, Position, Registry, Weather};
use contract::avro::Schema;
use contract::received::{self, Judgement, Received, Refusal, Schemas, Written};
use contract::{Contract, KeyProgram, Program, RuleId, Scratch, Severity, Statistics, Unresolvable};
use schemas::{Frame, Offset, SchemaId, Subject, Timestamp, Topic, TopicPartition};

/// Which records of a topic are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// All that are there.
    All,
    /// The records of so many offsets, the latest, in equal parts of each partition. Transactions take some offsets.
    Last(u64),
    /// Those with this timestamp or a later one.
    Since(Timestamp),
}

/// What a contract says of the records of a topic.
#[derive(Debug)]
pub struct Audit {
    /// Records looked at.
    pub records: u64,
    /// Of those, how many would be held back.
    pub held_back: u64,
    /// By enforced rule: how often it was broken, and by which record first.
    pub broken: BTreeMap<RuleId, Broken>,
    /// By schema id: how many values were written with it.
    pub schemas: BTreeMap<SchemaId, u64>,
    /// The least and the greatest timestamp.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Statistics of the fields, as the enforcer would write them.
    pub statistics: Statistics,
}

/// How a rule fared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Records that break it.
    pub records: u64,
    /// The first of them.
    pub example: Example,
}

/// A record that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Where it is.
    pub source: TopicPartition,
    /// Its offset there.
    pub offset: Offset,
    /// The field; empty for the whole record.
    pub path: String,
    /// Its value, cut and masked as the contract asks.
    pub value: Option<String>,
    /// What is wrong.
    pub message: String,
}

/// Judges the records of a topic under a contract whose consumers read `product`. `progress` hears how many of how many
/// offsets were read.
///
/// # Errors
/// [`Weather`]; also where there is no such topic.
pub fn audit(
    source: &TopicSpan<'_>,
    registry: &dyn Registry,
    contract: &Arc<Contract>,
    product: &Topic,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Audit, Weather> {
    let mut judge = Judge::new(registry, contract, product);
    let mut audit = Audit {
        records: 0,
        held_back: 0,
        broken: BTreeMap::new(),
        schemas: BTreeMap::new(),
        span: None,
        statistics: judge.statistics.clone(),
    };
    let there = source.read(progress, &mut |record| {
        let judgement = judge.judge(record)?;
        audit.count(record, &judgement, &judge);
        Ok(())
    })?;
    if !there {
        return Err(Weather::new(format!("read {}", source.topic), "there is no such topic"));
    }
    audit.statistics = judge.statistics;
    Ok(audit)
}

impl Audit {
    fn count(&mut self, record: &OwnedRecord, judgement: &Judgement, judge: &Judge<'_>) {
        self.records += 1;
        let (first, last) = self.span.unwrap_or((record.timestamp, record.timestamp));
        self.span = Some((first.min(record.timestamp), last.max(record.timestamp)));
        if let Some(Ok(framed)) = record.value.as_deref().map(Frame::parse) {
            *self.schemas.entry(framed.schema).or_default() += 1;
        }
        let rules = judgement.rules(&judge.scratch);
        self.held_back += u64::from(!rules.is_empty());
        for rule in rules {
            match self.broken.get_mut(rule) {
                Some(broken) => broken.records += 1,
                None => {
                    let broken = Broken { records: 1, example: judge.example(record, judgement, rule) };
                    self.broken.insert(rule.clone(), broken);
                }
            }
        }
    }
}

/// Records of a topic that are there already.
pub struct TopicSpan<'a> {
    /// Where it is.
    pub broker: &'a dyn Broker,
    /// The topic; any topic.
    pub topic: &'a Topic,
    /// Which of its records.
    pub span: Span,
}

impl TopicSpan<'_> {
    /// Reads them up to what is the end now, committed ones only; whether there is such a topic. `progress` hears how
    /// many of how many offsets were read.
    ///
    /// # Errors
    /// [`Weather`], and what `work` says.
    pub fn read(
        &self,
        progress: &mut dyn FnMut(u64, u64),
        work: &mut dyn FnMut(&OwnedRecord) -> Result<(), Weather>,
    ) -> Result<bool, Weather> {
        let Some(description) = self.broker.topic(self.topic)? else { return Ok(false) };
        let partitions: Vec<_> = description
            .partitions
            .iter()
            .map(|(partition, _)| TopicPartition::new(self.topic.clone(), *partition))
            .collect();
        let ends: BTreeMap<_, _> = self.broker.ends(&partitions, true)?.into_iter().collect();
        let share = |last: u64| i64::try_from(last.div_ceil(partitions.len().max(1) as u64)).unwrap_or(i64::MAX);
        let from = |(partition, (first, end)): (&TopicPartition, &(Offset, Offset))| {
            let position = match self.span {
                Span::All => Position::Beginning,
                Span::Last(last) => Position::At(Offset(end.0.saturating_sub(share(last)).max(first.0))),
                Span::Since(time) => Position::Since(time),
            };
            (partition.clone(), position)
        };
        let from: Vec<_> = ends.iter().map(from).collect();
        let mut reader = self.broker.reader(&from, Isolation::Committed)?;
        let began: BTreeMap<_, _> = reader.positions().into_iter().collect();
        let length = |from: &BTreeMap<TopicPartition, Offset>| -> u64 {
            let left = |(partition, (first, end)): (&TopicPartition, &(Offset, Offset))| {
                u64::try_from(end.0 - from.get(partition).map_or(first.0, |at| at.0.max(first.0))).unwrap_or(0)
            };
            ends.iter().map(left).sum()
        };
        let all = length(&began);
        loop {
            let chunk = reader.poll(Duration::from_millis(500))?;
            for record in
                chunk.records.iter().filter(|one| ends.get(&one.source).is_some_and(|(_, end)| one.offset < *end))
            {
                work(record)?;
            }
            let at: BTreeMap<_, _> = reader.positions().into_iter().collect();
            let left = length(&at);
            progress(all.saturating_sub(left), all);
            if left == 0 || chunk.at_end {
                return Ok(true);
            }
        }
    }
}

/// Judges records of a topic one after the other.
pub(crate) struct Judge<'r> {
    contract: Arc<Contract>,
    asked: Asked<'r>,
    scratch: Scratch,
    pub(crate) statistics: Statistics,
    now: Timestamp,
}

impl<'r> Judge<'r> {
    pub(crate) fn new(registry: &'r dyn Registry, contract: &Arc<Contract>, product: &Topic) -> Self {
        Self {
            contract: Arc::clone(contract),
            asked: Asked {
                registry,
                contract: Arc::clone(contract),
                product: product.clone(),
                values: HashMap::new(),
                keys: HashMap::new(),
                weather: None,
            },
            scratch: Scratch::default(),
            statistics: Statistics::for_contract(contract),
            now: Timestamp::now(),
        }
    }

    pub(crate) fn judge(&mut self, record: &OwnedRecord) -> Result<Judgement, Weather> {
        let has_header = |name: &str| record.headers.iter().any(|(known, _)| known == name);
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        let received = Received { key, value, has_header: &has_header };
        let judgement = received::judge(
            &self.contract,
            &received,
            &mut self.asked,
            self.now,
            &mut self.scratch,
            &mut self.statistics,
        );
        self.asked.weather.take().map_or(Ok(judgement), Err)
    }

    /// The enforced rules that the record judged last broke.
    pub(crate) fn rules<'a>(&'a self, judgement: &'a Judgement) -> Vec<&'a RuleId> {
        judgement.rules(&self.scratch)
    }

    fn example(&self, record: &OwnedRecord, judgement: &Judgement, rule: &RuleId) -> Example {
        let violation = match judgement {
            Judgement::Outside(violation) => Some(violation),
            _ => {
                let enforced = |one: &&contract::Violation| one.severity == Severity::Error && one.rule == *rule;
                self.scratch.violations().iter().find(enforced)
            }
        };
        let (path, value, message) = violation
            .map(|one| (one.path.clone(), one.value.clone(), one.message.clone()))
            .unwrap_or((String::new(), None, "it is among more violations than are listed".to_owned()));
        Example { source: record.source.clone(), offset: record.offset, path, value, message }
    }
}

/// The registry's answers, each asked for once.
struct Asked<'r> {
    registry: &'r dyn Registry,
    contract: Arc<Contract>,
    product: Topic,
    values: HashMap<SchemaId, Written<Program>>,
    keys: HashMap<SchemaId, Written<KeyProgram>>,
    /// Why the last question has no answer.
    weather: Option<Weather>,
}

impl Schemas for Asked<'_> {
    fn of_value(&mut self, id: SchemaId) -> Written<Program> {
        let subject = || Subject::value_of(&self.product);
        let compile = |schema: &Schema| Program::compile(schema, &self.contract);
        remembered(&mut self.values, &mut self.weather, id, || ask(self.registry, id, &subject(), compile))
    }

    fn of_key(&mut self, id: SchemaId) -> Written<KeyProgram> {
        let subject = || Subject::key_of(&self.product);
        let compile = |schema: &Schema| KeyProgram::compile(schema, &self.contract);
        remembered(&mut self.keys, &mut self.weather, id, || ask(self.registry, id, &subject(), compile))
    }
}

fn remembered<P>(
    known: &mut HashMap<SchemaId, Written<P>>,
    weather: &mut Option<Weather>,
    id: SchemaId,
    ask: impl FnOnce() -> Result<Written<P>, Weather>,
) -> Written<P> {
    match known.entry(id) {
        Entry::Occupied(known) => known.get().clone(),
        Entry::Vacant(place) => match ask() {
            Ok(answer) => place.insert(answer).clone(),
            Err(why) => {
                let said: Arc<str> = why.to_string().into();
                *weather = Some(why);
                Written::Unknown(said)
            }
        },
    }
}

fn ask<P>(
    registry: &dyn Registry,
    id: SchemaId,
    subject: &Subject,
    compile: impl FnOnce(&Schema) -> Result<P, Unresolvable>,
) -> Result<Written<P>, Weather> {
    let refused = |refusal| Ok(Written::Refused(Arc::new(refusal)));
    let text = match registry.schema(id)? {
        Lookup::Avro(text) => text,
        Lookup::OtherKind(kind) => return refused(Refusal::NotAvro(format!("it is a {kind} schema"))),
        Lookup::TooLarge => return refused(Refusal::NotAvro("it is too large to be one".to_owned())),
        Lookup::Unknown => return refused(Refusal::UnknownId),
    };
    match received::readable(&text, compile) {
        Err(refusal) => refused(refusal),
        // The enforcer would register it there, for the product's consumers.
        Ok(program) => match registry.would_refuse(subject, &text)? {
            Some(why) => refused(Refusal::Incompatible(why)),
            None => Ok(Written::Readable(Arc::new(program))),
        },
    }
}
