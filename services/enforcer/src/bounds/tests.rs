//! The bound holds for whatever a contract can be, and what is left out is what can be spared.

use std::fmt::Write as _;
use std::sync::Arc;

use contract::odcs::{self, Source};
use contract::program::Statistics;
use contract::{Context, Program, Scratch};
use schemas::{BackboneSchema, Codec, Offset, Partition, QualityEvent, SchemaId, Timestamp, Topic};

use super::*;

fn codec() -> Codec {
    Codec::new(BackboneSchema::ALL.map(|schema| (schema, SchemaId(u32::MAX))).into())
}

fn event(statistics: Statistics) -> QualityEvent {
    let (violations, fields, delay) = statistics.into_event_parts();
    QualityEvent {
        product: format!("{}.{}", "d".repeat(80), "p".repeat(80)).parse().expect("a product"),
        version: "4294967295.4294967295.4294967295".parse().expect("a version"),
        inbox: Topic::existing("i".repeat(249)),
        partition: Partition(i32::MAX),
        from: Offset(i64::MAX - 1),
        to: Offset(i64::MAX),
        judged_at: Timestamp(i64::MAX),
        consumed: i64::MAX,
        forwarded: i64::MAX,
        replaced: i64::MAX,
        quarantined: i64::MAX,
        withheld: i64::MAX,
        bytes: i64::MAX,
        violations,
        fields,
        delay,
    }
}

fn name(number: usize) -> String {
    format!("a_field_with_a_name_that_somebody_thought_about_long_{number}")
}

/// As many fields and measures as there may be, under long names, each with two bounds, and a condition on
/// the first.
fn widest() -> (String, String) {
    let mut document = String::from(
        "apiVersion: v3.1.0\nkind: DataContract\nid: wide.wide\nname: Wide\nversion: 1.0.0\nstatus: active\n\
         domain: wide\ndataProduct: wide\nschema:\n  - name: Wide\n    logicalType: object\n    properties:\n",
    );
    let mut schema = String::from(r#"{"type":"record","name":"Wide","fields":["#);
    for number in 0..600 {
        let name = name(number);
        let rules = "        logicalTypeOptions: {minimum: 0, maximum: 1000000}\n";
        let _ = write!(document, "      - name: {name}\n        logicalType: number\n        required: true\n{rules}");
        let comma = if number > 0 { "," } else { "" };
        let _ = write!(schema, r#"{comma}{{"name":"{name}","type":"double"}}"#);
    }
    document.push_str("customProperties:\n  - property: weir.measures\n    value:\n");
    for number in 0..200 {
        let _ = writeln!(document, "      - {{field: {}, distinct: true, quantiles: true}}", name(number));
    }
    (document, schema + "]}")
}

#[test]
fn the_widest_contract_stays_within_its_bound_whatever_its_records_are() {
    let (document, schema) = widest();
    let document = Source { file: "contract.odcs.yaml", text: &document };
    let read = odcs::read(&document, Some(&Source { file: "wide.avsc", text: &schema })).expect("a contract");
    let contract = Arc::new(read.contract);
    let program = Program::compile(&contract.schema, &contract).expect("resolves with itself");
    let context = Context { key: None, key_schema: None, now: Timestamp(0) };
    let (mut scratch, codec) = (Scratch::default(), codec());
    for (good, bad) in [(1, 0), (0, 1), (300, 0), (300, 300)] {
        let mut statistics = Statistics::for_contract(&contract);
        for record in 0..good + bad {
            let value = if record < good { f64::from(record + 1) * 1.7_f64.powi(record % 20) } else { -1.0 };
            let body: Vec<u8> = (0..600).flat_map(|field| (value + f64::from(field)).min(1e6).to_le_bytes()).collect();
            let body = if record < good { body } else { (-1.0_f64).to_le_bytes().repeat(600) };
            program.judge(&body, &context, &mut scratch, Some(&mut statistics));
        }
        let mut event = event(statistics);
        let (violations, fields) = (event.violations.len(), event.fields.len());
        fit(&mut event);
        let size = codec.encode(BackboneSchema::Quality, &event).len();
        assert!(size <= MAX, "{size} bytes");
        assert_eq!((violations > 0, fields > 0), (bad > 0, good > 0));
        assert!(size > MAX / 2, "no more is left out than must be: {size} bytes");
        // A part of everything is still there.
        assert_eq!((event.violations.is_empty(), event.fields.is_empty()), (bad == 0, good == 0));
    }
}

#[test]
fn the_size_that_is_counted_is_the_size_that_is_written() {
    let codec = codec();
    let field = |number: i64| FieldQuality {
        path: name(usize::try_from(number).unwrap_or(0)),
        count: number * 40_000,
        nulls: -number,
        min: (number % 2 == 0).then_some(1.5),
        max: (number % 3 == 0).then_some(2.5),
        distinct: (number % 5 == 0).then(|| vec![7; usize::try_from(number * 13).unwrap_or(0)]),
        histogram: (0..number)
            .map(|index| Bucket { index: i32::try_from(index * 700).unwrap_or(0), count: index })
            .collect(),
    };
    let count = |number: i64| ViolationCount {
        rule: "r".repeat(usize::try_from(number).unwrap_or(0)),
        enforced: number % 2 == 0,
        count: number << 20,
        records: number,
    };
    for length in 0..40 {
        let mut event = event(Statistics::for_contract(&small()));
        let empty = codec.encode(BackboneSchema::Quality, &event).len();
        event.fields = (0..length).map(field).collect();
        event.violations = (0..length).map(count).collect();
        event.delay = (0..length).map(|index| Bucket { index: 9_000, count: index << 30 }).collect();
        let written = codec.encode(BackboneSchema::Quality, &event).len() - empty;
        let counted = fields(&event.fields) + violations(&event.violations) + buckets(&event.delay);
        // The three ends of the arrays were counted as empty too.
        assert_eq!(written, counted - 3, "{length}");
        assert!(head(&event) + 3 >= empty, "{} and {empty}", head(&event));
        let before = event.clone();
        fit(&mut event);
        assert_eq!(event == before, head(&before) + counted <= MAX, "{length}");
        assert!(codec.encode(BackboneSchema::Quality, &event).len() <= MAX, "{length}");
    }
}

fn small() -> contract::Contract {
    let text = include_str!("../../../../schemas/products/aviation/airlines/contract.odcs.yaml");
    let schema = include_str!("../../../../schemas/products/aviation/airlines/airlines.avsc");
    let schema = Source { file: "airlines.avsc", text: schema };
    odcs::read(&Source { file: "contract.odcs.yaml", text }, Some(&schema)).expect("a contract").contract
}
