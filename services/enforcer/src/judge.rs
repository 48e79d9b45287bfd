//! One batch: each record gets a verdict, and so a route.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use broker::{Batch, Record, Route};
use contract::program::Statistics;
use contract::{Context, Deletes, Program, RuleId, Scratch, Severity, Verdict, Violation};
use schemas::{Frame, Offset, SchemaId, Timestamp, TopicPartition};

use crate::catalog::Enforced;
use crate::reasons;
use crate::resolver::{Resolution, Resolver};

/// Headers in which Confluent's newer serializers put a schema id.
const ID_HEADERS: [&str; 2] = ["__value_schema_id", "__key_schema_id"];

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

/// Most marks kept of a partition that waits.
const MARKS: usize = 256;

/// When the records of a waiting partition were first polled: up to this offset, at that time. A record
/// that is polled again keeps its time, however many came after it meanwhile; else a partition with steady
/// traffic would begin its wait anew each time.
#[derive(Debug, Default)]
pub(crate) struct FirstSeen(Vec<(Offset, Instant)>);

impl FirstSeen {
    /// When this record was first polled; `None` where it was not before.
    pub(crate) fn of(&self, offset: Offset) -> Option<Instant> {
        self.0.get(self.0.partition_point(|(last, _)| *last < offset)).map(|(_, seen)| *seen)
    }

    /// Records up to `last` were polled now.
    pub(crate) fn polled(&mut self, last: Offset, now: Instant) {
        match self.0.last() {
            Some((known, _)) if last <= *known => return,
            // A later time is always safe: a negative answer counts only if it was asked for after it.
            Some(_) if self.0.len() >= MARKS => drop(self.0.pop()),
            _ => {}
        }
        self.0.push((last, now));
    }

    /// Records before `next` are consumed.
    pub(crate) fn consumed(&mut self, next: Offset) {
        self.0.retain(|(last, _)| *last >= next);
    }

    /// Since when the first record that waits does.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.0.first().map(|(_, seen)| *seen)
    }
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
    /// Writer schemas met.
    pub(crate) schema_ids: BTreeSet<SchemaId>,
    /// Bytes of keys and values consumed.
    pub(crate) bytes: u64,
    /// Why it stopped before the batch's end.
    pub(crate) waits: Option<String>,
    /// The last offset polled.
    pub(crate) last: Offset,
    /// The writer schema met last and its program: records of a producer follow each other, and need not
    /// each ask the resolver that all lanes share.
    program: Option<(SchemaId, Arc<Program>)>,
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
    now: (Timestamp, Instant),
    scratch: &mut Scratch,
) -> Outcome {
    let mut tables: Vec<_> = batch
        .partitions()
        .iter()
        .map(|partition| {
            let known = lookup(partition)?;
            let judged = Judged {
                statistics: Statistics::for_contract(&known.enforced.contract),
                schema_ids: BTreeSet::new(),
                bytes: 0,
                waits: known.hold.map(str::to_owned),
                last: Offset(-1),
                program: None,
            };
            Some((known, judged))
        })
        .collect();
    let mut routes = Vec::with_capacity(batch.len());
    let mut judge = Judge { resolver, now, scratch };
    for index in 0..batch.len() {
        let record = batch.record(index);
        let table = tables.get_mut(record.partition).and_then(Option::as_mut);
        let route = match table {
            Some((known, judged)) => judge.record(batch, index, &record, known, judged),
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

struct Judge<'j> {
    resolver: &'j Resolver,
    now: (Timestamp, Instant),
    scratch: &'j mut Scratch,
}

impl Judge<'_> {
    fn record(
        &mut self,
        batch: &dyn Batch,
        index: usize,
        record: &Record<'_>,
        known: &Partition<'_>,
        judged: &mut Judged,
    ) -> Route {
        judged.last = record.offset;
        if judged.waits.is_some() {
            // Its schema is asked for all the same: all unknown ids of a batch wait together, once.
            if let Some(Ok(framed)) = record.value.map(Frame::parse) {
                let _asked = self.resolver.resolve(framed.schema, known.enforced, self.seen(record, known));
            }
            return Route::Wait;
        }
        if let Some(refused) = known.refused.get(&record.offset) {
            consumed(record, judged);
            if refused.twice {
                tracing::error!(inbox = %known.enforced.inbox, offset = %record.offset, refused.why, "quarantine refused a record too: it stays in the inbox only");
                judged.statistics.count_outside(&RuleId::new("broker-refused"), true);
                return Route::Withhold;
            }
            return self.outside(batch, record, known, judged, reasons::broker_refused(&refused.why));
        }
        let Some(value) = record.value else { return self.without_value(batch, record, known, judged) };
        let framed = match Frame::parse(value) {
            Ok(framed) => framed,
            Err(why) => {
                let in_header = batch.headers(index).iter().any(|(name, _)| ID_HEADERS.contains(&name.as_ref()));
                consumed(record, judged);
                return self.outside(batch, record, known, judged, reasons::not_framed(why, value, in_header));
            }
        };
        let known_program = judged.program.take().filter(|(id, _)| *id == framed.schema);
        let resolution = match known_program {
            Some((_, program)) => Resolution::Program(program),
            None => self.resolver.resolve(framed.schema, known.enforced, self.seen(record, known)),
        };
        match resolution {
            Resolution::Wait(why) => {
                judged.waits = Some(why.to_string());
                Route::Wait
            }
            Resolution::Violates(refusal) => {
                consumed(record, judged);
                judged.schema_ids.insert(framed.schema);
                self.outside(batch, record, known, judged, reasons::refused(framed.schema, &refusal))
            }
            Resolution::Program(program) => {
                consumed(record, judged);
                judged.schema_ids.insert(framed.schema);
                let context = Context { key: record.key, key_schema: None, now: self.now.0 };
                let verdict = program.judge(framed.body, &context, self.scratch, Some(&mut judged.statistics));
                judged.program = Some((framed.schema, program));
                match verdict {
                    Verdict::Conforms => Route::Forward,
                    Verdict::Violates => self.quarantine(batch, record, known),
                }
            }
        }
    }

    /// When a record was first polled: before a wait, or now.
    fn seen(&self, record: &Record<'_>, known: &Partition<'_>) -> Instant {
        known.first_seen.of(record.offset).unwrap_or(self.now.1)
    }

    fn without_value(
        &self,
        batch: &dyn Batch,
        record: &Record<'_>,
        known: &Partition<'_>,
        judged: &mut Judged,
    ) -> Route {
        consumed(record, judged);
        let allowed = known.enforced.contract.settings.deletes == Deletes::Tombstone;
        let has_key = record.key.is_some_and(|key| !key.is_empty());
        if allowed && has_key {
            return Route::Forward;
        }
        self.outside(batch, record, known, judged, reasons::tombstone(has_key, allowed))
    }

    /// A violation found before any program ran.
    fn outside(
        &self,
        batch: &dyn Batch,
        record: &Record<'_>,
        known: &Partition<'_>,
        judged: &mut Judged,
        violation: Violation,
    ) -> Route {
        judged.statistics.count_outside(&violation.rule, violation.severity == Severity::Error);
        let source = &batch.partitions()[record.partition];
        Route::Quarantine(Box::new(reasons::headers(known.enforced, source, record, &[violation], 1)))
    }

    fn quarantine(&self, batch: &dyn Batch, record: &Record<'_>, known: &Partition<'_>) -> Route {
        let source = &batch.partitions()[record.partition];
        let violations = self.scratch.violations();
        let total = self.scratch.hits().map(|(_, count)| count as usize).sum();
        Route::Quarantine(Box::new(reasons::headers(known.enforced, source, record, violations, total)))
    }
}

fn consumed(record: &Record<'_>, judged: &mut Judged) {
    let bytes = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
    judged.bytes += bytes as u64;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_record_that_waits_keeps_its_time_while_others_arrive() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut seen = FirstSeen::default();
        seen.polled(Offset(10), at(0));
        seen.polled(Offset(20), at(1));
        seen.polled(Offset(20), at(2));
        assert_eq!([5, 10, 11, 20].map(|offset| seen.of(Offset(offset))), [0, 0, 1, 1].map(|s| Some(at(s))));
        assert_eq!(seen.of(Offset(21)), None);
        seen.consumed(Offset(11));
        assert_eq!(seen.since(), Some(at(1)));
    }

    #[test]
    fn marks_are_bounded_and_never_say_too_early() {
        let start = Instant::now();
        let mut seen = FirstSeen::default();
        for step in 0..1_000 {
            seen.polled(Offset(step), start + Duration::from_secs(step.unsigned_abs()));
        }
        assert_eq!(seen.0.len(), MARKS);
        assert_eq!(seen.of(Offset(999)), Some(start + Duration::from_secs(999)));
        assert_eq!(seen.of(Offset(0)), Some(start));
    }
}
