//! Statistics against a recount of the records that they are of.

use std::collections::{BTreeMap, BTreeSet};

use broker::OwnedRecord;
use contract::program::sketch::{Distinct, bucket_bounds};
use schemas::{Bucket, FieldQuality, LineageEvent, QualityEvent};

use super::inputs::{Fate, Input, Reading, Truth};
use crate::bounds;

/// What a transaction's statistics of one partition must say.
#[derive(Debug, Default)]
pub(super) struct Recount {
    forwarded: i64,
    quarantined: i64,
    withheld: i64,
    bytes: i64,
    /// By rule and whether it is enforced.
    violations: BTreeMap<(String, bool), i64>,
    measured: Vec<Reading>,
}

/// Over all transactions of a partition: what merges must merge.
#[derive(Debug, Default)]
pub(super) struct Totals {
    sensors: BTreeSet<String>,
    merged: Distinct,
}

impl Totals {
    pub(super) fn check(&self) {
        near(self.merged.estimate(), self.sensors.len());
    }
}

/// HyperLogLog's standard error is 2.3 %; few values are counted nearly exactly.
fn near(estimate: f64, truth: usize) {
    let truth = truth as f64;
    assert!((estimate - truth).abs() <= 0.5 + 0.08 * truth, "{estimate} distinct values instead of {truth}");
}

impl Recount {
    pub(super) fn add(&mut self, record: &OwnedRecord, input: &Input, truth: &Truth) {
        *match truth.fate {
            Fate::Forwarded => &mut self.forwarded,
            Fate::Quarantined => &mut self.quarantined,
            Fate::Withheld => &mut self.withheld,
        } += 1;
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len) as i64;
        self.bytes += length(&record.key) + length(&record.value);
        for (rule, enforced) in &truth.rules {
            *self.violations.entry(((*rule).to_owned(), *enforced)).or_default() += 1;
        }
        if truth.measured {
            self.measured.push(Reading { note: input.note(), ..input.reading.clone() });
        }
    }

    pub(super) fn check(&self, lineage: &LineageEvent, event: &QualityEvent, totals: &mut Totals) {
        let stretch = (&lineage.inbox, lineage.partition, lineage.from, lineage.to, lineage.version, lineage.judged_at);
        assert_eq!(
            (&event.inbox, event.partition, event.from, event.to, event.version, event.judged_at),
            stretch,
            "quality and lineage are of one stretch"
        );
        let consumed = self.forwarded + self.quarantined + self.withheld;
        assert_eq!(
            (event.consumed, event.forwarded, event.replaced, event.quarantined, event.withheld, event.bytes),
            (consumed, self.forwarded, 0, self.quarantined, self.withheld, self.bytes),
            "{lineage:?}"
        );
        let violations: BTreeMap<_, _> = event
            .violations
            .iter()
            .map(|count| {
                assert_eq!(count.count, count.records, "each of these is broken once by a record");
                ((count.rule.clone(), count.enforced), count.records)
            })
            .collect();
        assert_eq!(violations, self.violations, "{lineage:?}");
        let mut bounded = event.clone();
        bounds::fit(&mut bounded);
        assert_eq!(bounded, *event, "nothing was left out of it, and nothing need be");
        self.fields(event, totals);
        let delays: Vec<f64> = self.measured.iter().map(|reading| (event.judged_at.0 - reading.at) as f64).collect();
        histogram(&event.delay, &delays);
    }

    fn fields(&self, event: &QualityEvent, totals: &mut Totals) {
        if self.measured.is_empty() {
            return assert_eq!(event.fields, []);
        }
        let field = |path: &str| event.fields.iter().find(|field| field.path == path).expect("a measured field");
        assert_eq!(event.fields.len(), 5);
        let numbers = |of: fn(&Reading) -> Option<f64>| self.measured.iter().map(of).collect::<Vec<_>>();
        bounds_of(field("sensor"), &numbers(|reading| Some(reading.sensor.chars().count() as f64)));
        bounds_of(field("seq"), &numbers(|reading| Some(reading.seq as f64)));
        bounds_of(field("value"), &numbers(|reading| Some(reading.value)));
        bounds_of(field("note"), &numbers(|reading| reading.note.as_ref().map(|note| note.chars().count() as f64)));
        bounds_of(field("at"), &numbers(|reading| Some(reading.at as f64)));
        let values: Vec<f64> = self.measured.iter().map(|reading| reading.value).collect();
        histogram(&field("value").histogram, &values);
        let sketch = field("sensor").distinct.as_ref().and_then(|bytes| Distinct::from_bytes(bytes)).expect("a sketch");
        let sensors: BTreeSet<_> = self.measured.iter().map(|reading| reading.sensor.clone()).collect();
        near(sketch.estimate(), sensors.len());
        totals.sensors.extend(sensors);
        totals.merged.merge(&sketch);
    }
}

fn bounds_of(field: &FieldQuality, values: &[Option<f64>]) {
    let there: Vec<f64> = values.iter().copied().flatten().collect();
    let counts = (there.len() as i64, (values.len() - there.len()) as i64);
    assert_eq!((field.count, field.nulls), counts, "{}", field.path);
    assert_eq!(field.min, there.iter().copied().reduce(f64::min), "{}", field.path);
    assert_eq!(field.max, there.iter().copied().reduce(f64::max), "{}", field.path);
}

/// Every value stands in the one bucket whose bounds hold it; these are the bounds that readers are told.
fn histogram(buckets: &[Bucket], values: &[f64]) {
    assert_eq!(buckets.iter().map(|bucket| bucket.count).sum::<i64>(), values.len() as i64);
    for bucket in buckets {
        let (low, high) = bucket_bounds(bucket.index);
        let within = |value: &&f64| if bucket.index == 0 { **value == 0.0 } else { low <= **value && **value < high };
        assert_eq!(values.iter().filter(within).count() as i64, bucket.count, "{bucket:?} from {low} to {high}");
        assert!(high - low <= 0.0626 * low.abs().max(high.abs()), "{bucket:?} is too wide");
    }
}
