//! One batch: each record gets a verdict, and so a route.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use broker::{Batch, Record, Route};
use contract::program::{Statistics, key_fault_of_tombstone};
use contract::{Context, Deletes, KeyKind, KeyProgram, KeySchema, Program, Scratch, Severity, Verdict, Violation};
use schemas::{Frame, Offset, SchemaId, TopicPartition};

use crate::catalog::Enforced;
use crate::clock::Now;
use crate::first_seen::FirstSeen;
use crate::reasons;
use crate::resolver::{Part, Refusal, Resolution, Resolver};

/// The headers in which Confluent's newer serializers put a schema's id.
const VALUE_ID_HEADER: &str = "__value_schema_id";
const KEY_ID_HEADER: &str = "__key_schema_id";
/// Most schemas asked for on behalf of records behind one that waits, per partition and batch: what is
/// behind them is asked for when they have their answers.
const ASKED_AHEAD: usize = 1_000;

/// What the lane knows of a partition while it judges.
pub(crate) struct Partition<'a> {
    /// Under which contract.
    pub(crate) enforced: &'a Arc<Enforced>,
    /// When records were first polled, before they had to wait; later ones now.
    pub(crate) first_seen: &'a FirstSeen,
    /// Records that the broker refused before, and its words.
    pub(crate) refused: &'a BTreeMap<Offset, Refused>,
    /// It must not be judged now, for this reason.
    pub(crate) hold: Option<&'a str>,
}

/// A record that the broker refused to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Quarantine refused it too.
    pub(crate) twice: bool,
    /// The broker's words.
    pub(crate) why: String,
}

/// What was found out about one partition's records in this batch.
pub(crate) struct Judged {
    /// Statistics of exactly the records that are consumed.
    pub(crate) statistics: Statistics,
    /// Writer schemas met, of values and keys.
    pub(crate) schema_ids: BTreeSet<SchemaId>,
    /// Records that have a verdict: as many must come out of the transaction.
    pub(crate) records: i64,
    /// Bytes of keys and values consumed.
    pub(crate) bytes: u64,
    /// Why it stopped before the batch's end.
    pub(crate) waits: Option<String>,
    /// It stopped for a schema.
    pub(crate) waits_for_schema: bool,
    /// The last offset polled.
    pub(crate) last: Offset,
    /// Schemas asked for on behalf of records behind the one that waits.
    asked_ahead: usize,
    /// The writer schema met last and its program: records of a producer follow each other, and need not
    /// each ask the resolver that all lanes share.
    program: Option<(SchemaId, Arc<Program>)>,
    /// The same for keys.
    key_program: Option<(SchemaId, Arc<KeyProgram>)>,
}

impl Judged {
    fn new(known: &Partition<'_>) -> Self {
        Self {
            statistics: known.enforced.statistics.clone(),
            schema_ids: BTreeSet::new(),
            records: 0,
            bytes: 0,
            waits: known.hold.map(str::to_owned),
            waits_for_schema: false,
            last: Offset(-1),
            asked_ahead: 0,
            program: None,
            key_program: None,
        }
    }

    fn wait(&mut self, why: &str) -> Route {
        self.waits = Some(why.to_owned());
        self.waits_for_schema = true;
        Route::Wait
    }
}

/// The outcome of judging a batch.
pub(crate) struct Outcome {
    /// One per record.
    pub(crate) routes: Vec<Route>,
    /// By inbox partition.
    pub(crate) partitions: BTreeMap<TopicPartition, Judged>,
}

/// Judges a batch. `lookup` says what is known of each of its partitions; one that is not known (any more)
/// waits, and the next assignment drops it.
pub(crate) fn judge<'a>(
    batch: &dyn Batch,
    lookup: &dyn Fn(&TopicPartition) -> Option<Partition<'a>>,
    resolver: &Resolver,
    now: Now,
    scratch: &mut Scratch,
) -> Outcome {
    let mut tables: Vec<_> = batch
        .partitions()
        .iter()
        .map(|partition| {
            let known = lookup(partition)?;
            let judged = Judged::new(&known);
            Some((known, judged))
        })
        .collect();
    let mut routes = Vec::with_capacity(batch.len());
    let mut judge = Judge { batch, resolver, now, scratch };
    for index in 0..batch.len() {
        let record = batch.record(index);
        let route = match tables.get_mut(record.partition).and_then(Option::as_mut) {
            Some((known, judged)) => judge.record(index, &record, known, judged),
            None => Route::Wait,
        };
        routes.push(route);
    }
    let partitions = batch
        .partitions()
        .iter()
        .zip(tables)
        .filter_map(|(partition, table)| Some((partition.clone(), table?.1)))
        .collect();
    Outcome { routes, partitions }
}

/// What is known of a record's key before it is judged.
enum Key {
    /// The contract does not ask for its schema, or it has none.
    Plain,
    Known(Arc<KeyProgram>),
    Refused(String),
    Wait(Arc<str>),
}

impl Key {
    fn schema(&self) -> Option<KeySchema<'_>> {
        match self {
            Self::Known(program) => Some(KeySchema::Known(program)),
            Self::Refused(why) => Some(KeySchema::Refused(why)),
            Self::Plain | Self::Wait(_) => None,
        }
    }
}

struct Judge<'j> {
    batch: &'j dyn Batch,
    resolver: &'j Resolver,
    now: Now,
    scratch: &'j mut Scratch,
}

impl Judge<'_> {
    fn record(&mut self, index: usize, record: &Record<'_>, known: &Partition<'_>, judged: &mut Judged) -> Route {
        judged.last = record.offset;
        if judged.waits.is_some() {
            self.ask_ahead(record, known, judged);
            return Route::Wait;
        }
        if let Some(refused) = known.refused.get(&record.offset) {
            return self.refused_by_broker(record, known, judged, refused);
        }
        let key = self.key(index, record, known, judged);
        let Some(value) = record.value else { return self.without_value(record, known, judged, &key) };
        let framed = match Frame::parse(value) {
            Ok(framed) => framed,
            Err(why) => {
                let in_header = self.has_header(index, VALUE_ID_HEADER);
                return self.outside(record, known, judged, reasons::not_framed(known.enforced, why, value, in_header));
            }
        };
        let known_program = judged.program.take().filter(|(id, _)| *id == framed.schema);
        let resolution = match known_program {
            Some((_, program)) => Resolution::Value(program),
            None => self.resolver.resolve(framed.schema, Part::Value, known.enforced, self.seen(record, known)),
        };
        match (resolution, &key) {
            (Resolution::Wait(why), _) => judged.wait(&why),
            (_, Key::Wait(why)) => judged.wait(why),
            (Resolution::Violates(refusal), _) => {
                judged.schema_ids.insert(framed.schema);
                let unknown = *refusal == Refusal::UnknownId;
                let violation = if unknown && self.has_header(index, VALUE_ID_HEADER) {
                    reasons::id_in_header(known.enforced, value)
                } else {
                    reasons::refused(framed.schema, &refusal)
                };
                self.outside(record, known, judged, violation)
            }
            (Resolution::Value(program), key) => {
                consumed(record, judged);
                judged.schema_ids.insert(framed.schema);
                let context = Context { key: record.key, key_schema: key.schema(), now: self.now.wall };
                let verdict = program.judge(framed.body, &context, self.scratch, Some(&mut judged.statistics));
                let route = match verdict {
                    Verdict::Conforms => Route::Forward,
                    Verdict::Violates => self.quarantine(record, known, &program),
                };
                judged.program = Some((framed.schema, program));
                route
            }
            (Resolution::Key(_), _) => judged.wait("its schema was looked up as a key's"),
        }
    }

    /// The schemas of a record that stands behind one that waits are asked for all the same: all unknown
    /// ids of a batch wait together, once.
    fn ask_ahead(&self, record: &Record<'_>, known: &Partition<'_>, judged: &mut Judged) {
        let mut parts = vec![(Part::Value, record.value)];
        if known.enforced.contract.settings.key.kind == KeyKind::Avro {
            parts.push((Part::Key, record.key));
        }
        for (part, bytes) in parts {
            if let Some(Ok(framed)) = bytes.map(Frame::parse)
                && judged.asked_ahead < ASKED_AHEAD
                && let Resolution::Wait(_) =
                    self.resolver.resolve(framed.schema, part, known.enforced, self.seen(record, known))
            {
                judged.asked_ahead += 1;
            }
        }
    }

    /// What is known of the key's schema, where the contract asks for an Avro key.
    fn key(&self, index: usize, record: &Record<'_>, known: &Partition<'_>, judged: &mut Judged) -> Key {
        if known.enforced.contract.settings.key.kind != KeyKind::Avro {
            return Key::Plain;
        }
        let Some(bytes) = record.key else { return Key::Plain };
        let Ok(framed) = Frame::parse(bytes) else {
            return if self.has_header(index, KEY_ID_HEADER) {
                Key::Refused(reasons::KEY_ID_IN_HEADER.to_owned())
            } else {
                Key::Plain
            };
        };
        judged.schema_ids.insert(framed.schema);
        if let Some((id, program)) = &judged.key_program
            && *id == framed.schema
        {
            return Key::Known(Arc::clone(program));
        }
        match self.resolver.resolve(framed.schema, Part::Key, known.enforced, self.seen(record, known)) {
            Resolution::Key(program) => {
                judged.key_program = Some((framed.schema, Arc::clone(&program)));
                Key::Known(program)
            }
            Resolution::Violates(refusal) => Key::Refused(reasons::key_refused(framed.schema, &refusal)),
            Resolution::Wait(why) => Key::Wait(why),
            Resolution::Value(_) => Key::Wait("its key's schema was looked up as a value's".into()),
        }
    }

    /// When a record was first polled: before a wait, or now.
    fn seen(&self, record: &Record<'_>, known: &Partition<'_>) -> std::time::Instant {
        known.first_seen.of(record.offset).unwrap_or(self.now.instant)
    }

    fn has_header(&self, index: usize, name: &str) -> bool {
        self.batch.headers(index).iter().any(|(known, _)| known == name)
    }

    fn refused_by_broker(
        &self,
        record: &Record<'_>,
        known: &Partition<'_>,
        judged: &mut Judged,
        refused: &Refused,
    ) -> Route {
        let violation = reasons::broker_refused(&refused.why);
        if !refused.twice {
            return self.outside(record, known, judged, violation);
        }
        consumed(record, judged);
        judged.statistics.count_outside(&violation.rule, true);
        tracing::error!(inbox = %known.enforced.inbox, offset = %record.offset, refused.why, "quarantine refused a record too: it stays in the inbox only");
        Route::Withhold
    }

    fn without_value(&self, record: &Record<'_>, known: &Partition<'_>, judged: &mut Judged, key: &Key) -> Route {
        let contract = &known.enforced.contract;
        let allowed = contract.settings.deletes == Deletes::Tombstone;
        let has_key = record.key.is_some_and(|key| !key.is_empty());
        if !allowed || !has_key {
            return self.outside(record, known, judged, reasons::tombstone(has_key, allowed));
        }
        if let Key::Wait(why) = key {
            return judged.wait(why);
        }
        let context = Context { key: record.key, key_schema: key.schema(), now: self.now.wall };
        match key_fault_of_tombstone(contract, &context) {
            Some(message) => self.outside(record, known, judged, reasons::key(message)),
            None => {
                consumed(record, judged);
                Route::Forward
            }
        }
    }

    /// A violation found before any program ran.
    fn outside(&self, record: &Record<'_>, known: &Partition<'_>, judged: &mut Judged, violation: Violation) -> Route {
        consumed(record, judged);
        judged.statistics.count_outside(&violation.rule, violation.severity == Severity::Error);
        Route::Quarantine(Box::new(reasons::headers(known.enforced, self.source(record), record, &[violation], 1)))
    }

    fn quarantine(&self, record: &Record<'_>, known: &Partition<'_>, program: &Program) -> Route {
        let violations = self.scratch.violations();
        let enforced = |rule: usize| program.rules().get(rule).is_some_and(|info| info.severity == Severity::Error);
        let total = self.scratch.hits().filter(|(rule, _)| enforced(*rule)).map(|(_, count)| count as usize).sum();
        Route::Quarantine(Box::new(reasons::headers(known.enforced, self.source(record), record, violations, total)))
    }

    fn source(&self, record: &Record<'_>) -> &TopicPartition {
        &self.batch.partitions()[record.partition]
    }
}

fn consumed(record: &Record<'_>, judged: &mut Judged) {
    let bytes = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
    judged.records += 1;
    judged.bytes += bytes as u64;
}
