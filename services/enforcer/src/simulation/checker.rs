//! What must be true of the topics in the end, whatever happened: every input once in product, quarantine or
//! nowhere; in order; unchanged; judged as its contract version says; lineage without gap or overlap;
//! statistics equal to a recount.

use std::collections::{BTreeMap, BTreeSet};

use broker::{Admin, OwnedRecord, TimestampType};
use schemas::{
    BackboneSchema, Companion, LineageEvent, LineageKind, Offset, Partition, QualityEvent, Run, Topic, TopicPartition,
    Version,
};
use serde::de::DeserializeOwned;

use super::inputs::{Fate, HEADER, Sent, Truth, companion};
use super::quality::{Recount, Totals};
use super::world::{Product, World, greatest_of};

/// The headers that quarantine appends, in order.
const APPENDED: [&str; 8] = [
    "weir.source.topic",
    "weir.source.partition",
    "weir.source.offset",
    "weir.source.timestamp",
    "weir.contract",
    "weir.contract.version",
    "weir.violations",
    "weir.reason",
];

/// What a simulation came to, so that a test can see that it was worth its name.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Seen {
    pub(super) forwarded: usize,
    pub(super) quarantined: usize,
    pub(super) withheld: usize,
    pub(super) expired: usize,
    pub(super) activated: usize,
    pub(super) transactions: usize,
}

/// Checks everything; panics at the first thing that is not true.
pub(super) fn check(world: &mut World, sent: &Sent) -> Seen {
    world.remember();
    let mut seen = Seen::default();
    for (inbox, product) in world.inbox_partitions() {
        let checker = Checker {
            inputs: world.inboxes.get(&inbox).cloned().unwrap_or_default(),
            products: records(world, &companion(world, &product, &inbox, Companion::Product)),
            quarantined: records(world, &companion(world, &product, &inbox, Companion::Quarantine)),
            removed_before: world.removed_before.get(&inbox).copied().unwrap_or_default(),
            world,
            sent,
            inbox,
            product,
            claimed: BTreeMap::new(),
            fates: BTreeMap::new(),
        };
        checker.run(&mut seen);
    }
    seen
}

fn records(world: &World, partition: &TopicPartition) -> BTreeMap<Offset, OwnedRecord> {
    world.broker.records(partition).into_iter().map(|record| (record.offset, record)).collect()
}

struct Checker<'w> {
    world: &'w World,
    sent: &'w Sent,
    inbox: TopicPartition,
    product: Product,
    inputs: BTreeMap<Offset, OwnedRecord>,
    products: BTreeMap<Offset, OwnedRecord>,
    quarantined: BTreeMap<Offset, OwnedRecord>,
    removed_before: Offset,
    /// Output offsets, by fate and inbox offset.
    claimed: BTreeMap<(u8, Offset), Offset>,
    fates: BTreeMap<Offset, Fate>,
}

impl Checker<'_> {
    fn events<T: DeserializeOwned>(&self, topic: Topic, schema: BackboneSchema) -> Vec<T> {
        let key = format!("{}/{}", self.inbox.topic, self.inbox.partition).into_bytes();
        (0..2)
            .flat_map(|partition| self.world.broker.records(&TopicPartition::new(topic.clone(), Partition(partition))))
            .filter(|record| record.key.as_ref() == Some(&key))
            .map(|record| self.world.codec.decode(schema, &record.value.expect("an event")).expect("an event of ours"))
            .collect()
    }

    fn run(mut self, seen: &mut Seen) {
        let lineage: Vec<LineageEvent> = self.events(self.world.names.lineage(), BackboneSchema::Lineage);
        let quality: Vec<QualityEvent> = self.events(self.world.names.quality(), BackboneSchema::Quality);
        let mut quality = quality.into_iter();
        let (mut next, mut catalog, mut active) = (None, Offset::ZERO, None::<Version>);
        let mut expired = Vec::new();
        let mut totals = Totals::default();
        for event in &lineage {
            match next {
                None => assert!(event.from <= self.removed_before, "{}: begins at {}", self.inbox, event.from),
                Some(next) => assert_eq!(event.from, next, "{}: lineage has a gap or an overlap", self.inbox),
            }
            assert!(event.catalog_offset >= catalog, "{}: judged under an older catalog than before", self.inbox);
            match event.kind {
                LineageKind::Activated => {
                    assert_eq!(event.from, event.to);
                    active = Some(event.version);
                    seen.activated += 1;
                }
                LineageKind::Expired => {
                    assert!(event.from < event.to && event.to <= self.removed_before, "{event:?}");
                    expired.push((event.from, event.to));
                    seen.expired += 1;
                }
                LineageKind::Enforced => {
                    assert_eq!(active, Some(event.version), "{}: judged before it was activated", self.inbox);
                    let quality = quality.next().expect("a quality event for each stretch");
                    let recount = self.enforced(event);
                    recount.check(event, &quality, &mut totals);
                    seen.transactions += 1;
                }
            }
            (next, catalog) = (Some(event.to), event.catalog_offset);
        }
        assert_eq!(quality.next(), None, "{}: quality without lineage", self.inbox);
        totals.check();
        let first = lineage.first().map_or(Offset::ZERO, |event| event.from);
        self.complete(first, &expired);
        self.committed(next.unwrap_or_default(), catalog, active);
        seen.forwarded += self.products.len();
        seen.quarantined += self.quarantined.len();
        seen.withheld += self.fates.values().filter(|fate| **fate == Fate::Withheld).count();
    }

    /// One transaction: each run leads to the right bytes, and each record was judged rightly.
    fn enforced(&mut self, event: &LineageEvent) -> Recount {
        let mut recount = Recount::default();
        let stretches = [
            (Fate::Forwarded, &event.forwarded),
            (Fate::Quarantined, &event.quarantined),
            (Fate::Withheld, &event.withheld),
        ];
        for (fate, runs) in stretches {
            for Run { first, count, output_first } in runs.iter().copied() {
                assert!(count > 0 && (output_first.0 < 0) == (fate == Fate::Withheld), "{event:?}");
                for step in 0..count {
                    let input = Offset(first.0 + step);
                    assert!(event.from <= input && input < event.to, "{}: {input} is outside of {event:?}", self.inbox);
                    let before = self.fates.insert(input, fate);
                    assert_eq!(before, None, "{}: {input} came out twice", self.inbox);
                    if fate != Fate::Withheld {
                        self.claimed.insert((fate as u8, input), Offset(output_first.0 + step));
                    }
                    self.record(event, input, fate, Offset(output_first.0 + step), &mut recount);
                }
            }
        }
        let in_range = self.inputs.range(event.from..event.to).filter(|(offset, _)| !self.fates.contains_key(offset));
        assert_eq!(
            in_range.count(),
            0,
            "{}: records between {} and {} came out nowhere",
            self.inbox,
            event.from,
            event.to
        );
        recount
    }

    fn record(&self, event: &LineageEvent, offset: Offset, fate: Fate, output: Offset, recount: &mut Recount) {
        let record = self.inputs.get(&offset).unwrap_or_else(|| panic!("{}: {offset} holds no record", self.inbox));
        let name = record.headers.iter().find(|(name, _)| name == HEADER).and_then(|(_, value)| value.clone());
        let number: usize = String::from_utf8(name.expect("a header")).expect("a number").parse().expect("a number");
        let input = &self.sent.inputs[number];
        let found = match fate {
            Fate::Withheld => None,
            Fate::Forwarded => {
                let copy = &self.products[&output];
                assert_eq!((&copy.key, &copy.value, &copy.headers), (&record.key, &record.value, &record.headers));
                assert_eq!((copy.timestamp, copy.timestamp_type), (record.timestamp, record.timestamp_type));
                None
            }
            Fate::Quarantined => Some(self.quarantined(event, record, &self.quarantined[&output])),
        };
        let truths = input.truths(greatest_of(event.version));
        let enforced = |truth: &Truth| {
            truth.rules.iter().filter(|(_, enforced)| **enforced).map(|(rule, _)| (*rule).to_owned()).collect()
        };
        let fits = |truth: &&Truth| truth.fate == fate && found.as_ref().is_none_or(|found| *found == enforced(truth));
        let truth = truths.iter().find(fits).unwrap_or_else(|| {
            panic!("{} {offset} under {}: {fate:?} {found:?} of {input:?}", self.inbox, event.version)
        });
        recount.add(record, input, truth);
    }

    /// The rules that a quarantined record says it broke.
    fn quarantined(&self, event: &LineageEvent, record: &OwnedRecord, copy: &OwnedRecord) -> BTreeSet<String> {
        assert_eq!((&copy.key, &copy.value), (&record.key, &record.value));
        assert_eq!(copy.timestamp_type, TimestampType::LogAppendTime);
        let (own, appended) = copy.headers.split_at(record.headers.len());
        assert_eq!(own, record.headers);
        let names: Vec<_> = appended.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, APPENDED);
        let text = |index: usize| String::from_utf8(appended[index].1.clone().expect("a value")).expect("text");
        let place = [self.inbox.topic.to_string(), self.inbox.partition.to_string(), record.offset.to_string()];
        assert_eq!([text(0), text(1), text(2)], place);
        assert_eq!(text(3), record.timestamp.to_string());
        assert_eq!([text(4), text(5)], [self.product.id.to_string(), event.version.to_string()]);
        assert!(!text(7).is_empty(), "a reason");
        let violations: Vec<serde_json::Value> = serde_json::from_str(&text(6)).expect("JSON");
        let rules = violations.iter().map(|violation| {
            assert!(violation["message"].as_str().is_some_and(|message| !message.is_empty()), "{violation}");
            violation["rule"].as_str().expect("a rule").to_owned()
        });
        rules.collect()
    }

    /// Nothing is missing, nothing is there twice or besides, and everything is in order.
    fn complete(&self, first: Offset, expired: &[(Offset, Offset)]) {
        for offset in self.inputs.keys() {
            let gone = *offset < first || expired.iter().any(|(from, to)| from <= offset && offset < to);
            assert_ne!(self.fates.contains_key(offset), gone, "{}: {offset} is lost, or came from nowhere", self.inbox);
        }
        for (fate, records) in [(Fate::Forwarded, &self.products), (Fate::Quarantined, &self.quarantined)] {
            let claimed: Vec<_> =
                self.claimed.iter().filter(|((of, _), _)| *of == fate as u8).map(|(_, output)| *output).collect();
            let there: Vec<_> = records.keys().copied().collect();
            assert_eq!(claimed, there, "{}: {fate:?} in order, and no others", self.inbox);
        }
    }

    fn committed(&self, next: Offset, catalog: Offset, active: Option<Version>) {
        let group = self.world.names.offsets_group();
        let found = self.world.broker.group_offsets(&group, std::slice::from_ref(&self.inbox));
        let committed = found.expect("the coordinator answers").remove(&self.inbox).expect("a committed offset");
        assert_eq!(committed.offset, next, "{}: committed", self.inbox);
        let (under, version) = crate::events::read_metadata(&committed.metadata);
        assert!(under.is_some_and(|under| under >= catalog), "{}: {}", self.inbox, committed.metadata);
        assert_eq!(version.map(str::to_owned), active.map(|version| version.to_string()));
    }
}
