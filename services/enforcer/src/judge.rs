//! One batch: each record gets a verdict, and so a route.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use broker::{Batch, Record, Route};
use contract::program::Statistics;
use contract::received::{self, Judgement, Received, Schemas, Written};
use contract::{KeyKind, KeyProgram, Program, Scratch, Severity, Verdict, Violation};
use schemas::{Frame, Offset, SchemaId, TopicPartition};

use crate::catalog::Enforced;
use crate::clock::Now;
use crate::first_seen::FirstSeen;
use crate::reasons;
use crate::resolver::{Part, Resolution, Resolver};

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
    met: Met,
}

/// The writer schemas met last, of values and of keys: records of a producer follow each other, and need not each
/// ask the resolver that all lanes share.
#[derive(Default)]
struct Met {
    value: Option<(SchemaId, Arc<Program>)>,
    key: Option<(SchemaId, Arc<KeyProgram>)>,
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
            met: Met::default(),
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

/// The schemas of one record.
struct Asking<'a> {
    resolver: &'a Resolver,
    enforced: &'a Arc<Enforced>,
    /// When the record was first polled: before a wait, or now.
    seen: Instant,
    met: &'a mut Met,
    /// What it was asked for: the schemas of the value and of the key.
    value: Option<SchemaId>,
    key: Option<SchemaId>,
}

impl Schemas for Asking<'_> {
    fn of_value(&mut self, id: SchemaId) -> Written<Program> {
        self.value = Some(id);
        if let Some((_, program)) = self.met.value.take_if(|(known, _)| *known == id) {
            return Written::Readable(program);
        }
        match self.resolver.resolve(id, Part::Value, self.enforced, self.seen) {
            Resolution::Value(program) => Written::Readable(program),
            Resolution::Violates(refusal) => Written::Refused(refusal),
            Resolution::Wait(why) => Written::Unknown(why),
            Resolution::Key(_) => Written::Unknown("its schema was looked up as a key's".into()),
        }
    }

    fn of_key(&mut self, id: SchemaId) -> Written<KeyProgram> {
        self.key = Some(id);
        if let Some((known, program)) = &self.met.key
            && *known == id
        {
            return Written::Readable(Arc::clone(program));
        }
        match self.resolver.resolve(id, Part::Key, self.enforced, self.seen) {
            Resolution::Key(program) => {
                self.met.key = Some((id, Arc::clone(&program)));
                Written::Readable(program)
            }
            Resolution::Violates(refusal) => Written::Refused(refusal),
            Resolution::Wait(why) => Written::Unknown(why),
            Resolution::Value(_) => Written::Unknown("its key's schema was looked up as a value's".into()),
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
        let has_header = |name: &str| self.batch.headers(index).iter().any(|(known, _)| known == name);
        let received = Received { key: record.key, value: record.value, has_header: &has_header };
        let enforced = known.enforced;
        let seen = self.seen(record, known);
        let mut schemas =
            Asking { resolver: self.resolver, enforced, seen, met: &mut judged.met, value: None, key: None };
        let contract = &enforced.contract;
        let judgement =
            received::judge(contract, &received, &mut schemas, self.now.wall, self.scratch, &mut judged.statistics);
        let (value, key) = (schemas.value, schemas.key);
        if !matches!(judgement, Judgement::CannotTell(_)) {
            consumed(record, judged);
            judged.schema_ids.extend(value.into_iter().chain(key));
        }
        match judgement {
            Judgement::CannotTell(why) => judged.wait(&why),
            Judgement::Deletes => Route::Forward,
            Judgement::Outside(violation) => self.held(record, known, &[violation], 1),
            Judgement::Judged(verdict, program) => {
                let route = match verdict {
                    Verdict::Conforms => Route::Forward,
                    Verdict::Violates => self.quarantine(record, known, &program),
                };
                judged.met.value = value.map(|id| (id, program));
                route
            }
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

    /// When a record was first polled: before a wait, or now.
    fn seen(&self, record: &Record<'_>, known: &Partition<'_>) -> Instant {
        known.first_seen.of(record.offset).unwrap_or(self.now.instant)
    }

    fn refused_by_broker(
        &self,
        record: &Record<'_>,
        known: &Partition<'_>,
        judged: &mut Judged,
        refused: &Refused,
    ) -> Route {
        let violation = reasons::broker_refused(&refused.why);
        consumed(record, judged);
        judged.statistics.count_outside(&violation.rule, violation.severity == Severity::Error);
        if !refused.twice {
            return self.held(record, known, &[violation], 1);
        }
        tracing::error!(inbox = %known.enforced.inbox, offset = %record.offset, refused.why, "quarantine refused a record too: it stays in the inbox only");
        Route::Withhold
    }

    fn quarantine(&self, record: &Record<'_>, known: &Partition<'_>, program: &Program) -> Route {
        let violations = self.scratch.violations();
        let enforced = |rule: usize| program.rules().get(rule).is_some_and(|info| info.severity == Severity::Error);
        let total = self.scratch.hits().filter(|(rule, _)| enforced(*rule)).map(|(_, count)| count as usize).sum();
        self.held(record, known, violations, total)
    }

    fn held(&self, record: &Record<'_>, known: &Partition<'_>, violations: &[Violation], total: usize) -> Route {
        Route::Quarantine(Box::new(reasons::headers(known.enforced, self.source(record), record, violations, total)))
    }

    fn source(&self, record: &Record<'_>) -> &TopicPartition {
        &self.batch.partitions()[record.partition]
    }
}

/// Counts a record that has a verdict.
fn consumed(record: &Record<'_>, judged: &mut Judged) {
    let bytes = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
    judged.records += 1;
    judged.bytes += bytes as u64;
}
