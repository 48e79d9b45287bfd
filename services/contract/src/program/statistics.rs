//! Statistics of the records of one partition and transaction: violations by rule of all of them; counts,
//! nulls, least, greatest, distinct values and quantiles by field of those that conform; how late events
//! arrive. All of it merges.
//!
//! Numbers are doubles: integers above 2^53 are rounded. Text counts by its length in Unicode scalar values,
//! bytes by their length, booleans as 0 and 1; enums and general unions have no least and greatest. Delays
//! are milliseconds. Buckets are those of [`super::sketch`].

use std::sync::Arc;

use schemas::{Bucket, FieldQuality, Timestamp, ViolationCount};

use super::checks::scalars;
use super::layout::{Layout, Leaf};
use super::sketch::{Distinct, Histogram, hash};
use super::value::Value;
use super::{Program, Scratch, Verdict};
use crate::model::{Contract, RuleId, Severity};

/// The most bytes that an event's fields take; above, sketches and then histograms are dropped, the largest
/// first, and plain counts stay.
pub const ENCODED: usize = 16 * 1024;

/// A staged null: a NaN that no arithmetic makes.
pub(super) const NULL: f64 = f64::from_bits(0x7ff8_dead_beef_0001);

/// A value as the number that its field's statistics are kept of; NaN where it is none.
#[inline]
pub(super) fn staged(value: Value<'_>) -> f64 {
    match value {
        Value::Null => NULL,
        Value::Bool(value) => f64::from(u8::from(value)),
        Value::Int(value) => value as f64,
        Value::Float(value) => value,
        Value::Decimal(value) => value as f64,
        Value::Text(text) => scalars(text) as f64,
        Value::Bytes(bytes) => bytes.len() as f64,
        Value::Present | Value::Foreign => f64::NAN,
    }
}

/// A value's hash; 0 is none.
#[inline]
pub(super) fn hashed(value: Value<'_>) -> u64 {
    match value {
        Value::Null | Value::Present | Value::Foreign => 0,
        Value::Bool(value) => hash(&[u8::from(value)]),
        Value::Int(value) => hash(&value.to_le_bytes()),
        Value::Float(value) => hash(&(value + 0.0).to_bits().to_le_bytes()),
        Value::Decimal(value) => hash(&value.to_le_bytes()),
        Value::Text(bytes) | Value::Bytes(bytes) => hash(bytes),
    }
}

/// What is kept of every measured field, each in its own array, so that many fields are taken in at once.
#[derive(Debug, Clone, PartialEq)]
struct Fields {
    nulls: Vec<i64>,
    min: Vec<f64>,
    max: Vec<f64>,
}

impl Fields {
    fn new(count: usize) -> Self {
        Self { nulls: vec![0; count], min: vec![f64::INFINITY; count], max: vec![f64::NEG_INFINITY; count] }
    }

    fn clear(&mut self) {
        self.nulls.fill(0);
        self.min.fill(f64::INFINITY);
        self.max.fill(f64::NEG_INFINITY);
    }

    /// Takes in one record's values.
    #[inline]
    fn take_in(&mut self, staged: &[f64]) {
        for (nulls, value) in self.nulls.iter_mut().zip(staged) {
            *nulls += i64::from(value.to_bits() == NULL.to_bits());
        }
        // Comparisons with NaN, null's too, are false, so that it changes neither.
        for ((min, max), value) in self.min.iter_mut().zip(&mut self.max).zip(staged) {
            *min = if *value < *min { *value } else { *min };
            *max = if *value > *max { *value } else { *max };
        }
    }

    fn merge(&mut self, other: &Self) {
        for (nulls, more) in self.nulls.iter_mut().zip(&other.nulls) {
            *nulls += more;
        }
        for (min, more) in self.min.iter_mut().zip(&other.min) {
            *min = min.min(*more);
        }
        for (max, more) in self.max.iter_mut().zip(&other.max) {
            *max = max.max(*more);
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Broken {
    count: i64,
    records: i64,
}

/// Statistics of one partition and transaction.
#[derive(Debug, Clone)]
pub struct Statistics {
    layout: Arc<Layout>,
    broken: Vec<Broken>,
    /// Decided outside the program under ids it does not know, at most a few.
    outside: Vec<(RuleId, bool, Broken)>,
    fields: Fields,
    distinct: Vec<Distinct>,
    histograms: Vec<Histogram>,
    delay: Histogram,
    records: i64,
}

impl Statistics {
    /// Empty; shared by all programs of the same contract.
    pub fn new(program: &Program) -> Self {
        Self::with(Arc::clone(&program.layout))
    }

    /// Empty, for a contract of which there may be no program yet.
    pub fn for_contract(contract: &Contract) -> Self {
        Self::with(Layout::of(contract))
    }

    fn with(layout: Arc<Layout>) -> Self {
        Self {
            broken: vec![Broken::default(); layout.rules.len()],
            outside: Vec::new(),
            fields: Fields::new(layout.leaves.len()),
            distinct: vec![Distinct::default(); layout.sketches],
            histograms: vec![Histogram::default(); layout.leaves.len()],
            delay: Histogram::default(),
            records: 0,
            layout,
        }
    }

    /// How many conforming records were taken in.
    pub fn conforming(&self) -> i64 {
        self.records
    }

    /// Counts a violation that was decided before a program was run: `wire`, `schema`, `tombstone`.
    pub fn count_outside(&mut self, rule: &RuleId, enforced: bool) {
        let one = |broken: &mut Broken| {
            broken.count += 1;
            broken.records += 1;
        };
        let known = self
            .layout
            .rules
            .iter()
            .position(|info| info.id == *rule && (info.severity == Severity::Error) == enforced);
        if let Some(broken) = known.and_then(|index| self.broken.get_mut(index)) {
            return one(broken);
        }
        match self.outside.iter_mut().find(|(id, held, _)| id == rule && *held == enforced) {
            Some((_, _, broken)) => one(broken),
            None => self.outside.push((rule.clone(), enforced, Broken { count: 1, records: 1 })),
        }
    }

    /// Takes in what a program found in one record.
    #[inline]
    pub(super) fn take_in(&mut self, scratch: &Scratch, verdict: Verdict, now: Timestamp) {
        for (rule, count) in scratch.hits() {
            if let Some(broken) = self.broken.get_mut(rule) {
                broken.count += i64::from(count);
                broken.records += 1;
            }
        }
        if verdict == Verdict::Violates {
            return;
        }
        self.records += 1;
        self.fields.take_in(&scratch.staged);
        for (sketch, hash) in self.distinct.iter_mut().zip(&scratch.hashes) {
            if *hash != 0 {
                sketch.insert(*hash);
            }
        }
        self.sample(scratch, now);
    }

    fn sample(&mut self, scratch: &Scratch, now: Timestamp) {
        for index in &self.layout.sampled {
            let index = *index as usize;
            let (Some(leaf), Some(histogram), Some(value)) =
                (self.layout.leaves.get(index), self.histograms.get_mut(index), scratch.staged.get(index))
            else {
                continue;
            };
            if leaf.quantiles {
                histogram.insert(*value * leaf.unit);
            }
            if let Some(units) = leaf.event_time {
                self.delay.insert(now.0 as f64 - *value / units);
            }
        }
    }

    /// Takes in statistics of the same contract; of another, only violations that have the same ids.
    pub fn merge(&mut self, other: &Self) {
        for (info, broken) in other.layout.rules.iter().zip(&other.broken).filter(|(_, broken)| broken.records > 0) {
            let enforced = info.severity == Severity::Error;
            self.add_broken(&info.id, enforced, *broken);
        }
        for (id, enforced, broken) in &other.outside {
            self.add_broken(id, *enforced, *broken);
        }
        if self.layout.leaves != other.layout.leaves {
            return;
        }
        self.records += other.records;
        self.fields.merge(&other.fields);
        for (sketch, more) in self.distinct.iter_mut().zip(&other.distinct) {
            sketch.merge(more);
        }
        for (histogram, more) in self.histograms.iter_mut().zip(&other.histograms) {
            histogram.merge(&more.to_buckets());
        }
        self.delay.merge(&other.delay.to_buckets());
    }

    fn add_broken(&mut self, rule: &RuleId, enforced: bool, more: Broken) {
        let known = self
            .layout
            .rules
            .iter()
            .position(|info| info.id == *rule && (info.severity == Severity::Error) == enforced);
        let broken = match known.and_then(|index| self.broken.get_mut(index)) {
            Some(broken) => broken,
            None => match self.outside.iter().position(|(id, held, _)| id == rule && *held == enforced) {
                Some(at) => match self.outside.get_mut(at) {
                    Some((_, _, broken)) => broken,
                    None => return,
                },
                None => return self.outside.push((rule.clone(), enforced, more)),
            },
        };
        broken.count += more.count;
        broken.records += more.records;
    }

    /// Whether no record was taken in.
    pub fn is_empty(&self) -> bool {
        self.records == 0 && self.outside.is_empty() && self.broken.iter().all(|broken| broken.records == 0)
    }

    /// Forgets everything, to be used again.
    pub fn clear(&mut self) {
        self.broken.fill(Broken::default());
        self.outside.clear();
        self.fields.clear();
        self.distinct.iter_mut().for_each(Distinct::clear);
        self.histograms.iter_mut().for_each(Histogram::clear);
        self.delay.clear();
        self.records = 0;
    }

    /// The parts of a quality event: violations by rule, fields, and delays. Bounded by [`ENCODED`].
    pub fn into_event_parts(self) -> (Vec<ViolationCount>, Vec<FieldQuality>, Vec<Bucket>) {
        let of = |rule: &RuleId, enforced, broken: &Broken| ViolationCount {
            rule: rule.as_str().to_owned(),
            enforced,
            count: broken.count,
            records: broken.records,
        };
        let known = self.layout.rules.iter().zip(&self.broken);
        let mut violations: Vec<_> =
            known.map(|(info, broken)| of(&info.id, info.severity == Severity::Error, broken)).collect();
        violations.extend(self.outside.iter().map(|(rule, enforced, broken)| of(rule, *enforced, broken)));
        violations.retain(|count| count.records > 0);
        let mut fields = if self.records == 0 { Vec::new() } else { self.field_parts() };
        bound(&mut fields);
        (violations, fields, self.delay.to_buckets())
    }

    fn field_parts(&self) -> Vec<FieldQuality> {
        let Fields { nulls, min, max } = &self.fields;
        let of = |(index, leaf): (usize, &Leaf)| {
            let min = min.get(index).copied().unwrap_or(f64::INFINITY);
            let max = max.get(index).copied().unwrap_or(f64::NEG_INFINITY);
            let nulls = nulls.get(index).copied().unwrap_or(0);
            let there = leaf.number && min <= max;
            FieldQuality {
                path: leaf.text.clone(),
                count: self.records - nulls,
                nulls,
                min: there.then_some(min * leaf.unit),
                max: there.then_some(max * leaf.unit),
                distinct: leaf.sketch.and_then(|sketch| self.distinct.get(sketch as usize)).map(Distinct::to_bytes),
                histogram: self.histograms.get(index).map(Histogram::to_buckets).unwrap_or_default(),
            }
        };
        self.layout.leaves.iter().enumerate().map(of).collect()
    }
}

/// Drops the largest sketches and histograms until the fields are within their bound.
fn bound(fields: &mut [FieldQuality]) {
    // A bucket takes at most three bytes for its index, and rarely more than five for its count.
    let extra = |field: &FieldQuality| (field.distinct.as_ref().map_or(0, Vec::len), field.histogram.len() * 8);
    let mut total: usize = fields.iter().map(|field| field.path.len() + 40 + extra(field).0 + extra(field).1).sum();
    while total > ENCODED {
        let Some(largest) = fields.iter_mut().max_by_key(|field| extra(field).0.max(extra(field).1)) else { return };
        let (distinct, histogram) = extra(largest);
        if distinct.max(histogram) == 0 {
            return;
        }
        if distinct >= histogram {
            largest.distinct = None;
        } else {
            largest.histogram = Vec::new();
        }
        total -= distinct.max(histogram);
    }
}
