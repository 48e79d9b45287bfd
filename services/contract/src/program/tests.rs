//! What programs promise, said with small schemas.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::Timestamp;

use super::*;
use crate::avro::Schema;
use crate::cel;
use crate::model::{
    Check, Condition, Format, KeyKind, KeySpec, Measure, Native, Path, Rule, Segment, UndeclaredFields,
};

pub(super) fn path(text: &str) -> Path {
    let mut segments = Vec::new();
    for part in text.split('.') {
        let name = part.trim_end_matches("[]").trim_end_matches("{}");
        segments.push(Segment::Field(Arc::from(name)));
        if part.ends_with("[]") {
            segments.push(Segment::Items);
        } else if part.ends_with("{}") {
            segments.push(Segment::Values);
        }
    }
    Path(segments)
}

pub(super) fn rule(at: &str, check: Check) -> Rule {
    Rule { id: RuleId::new(format!("{at}:rule")), path: path(at), check, severity: Severity::Error, description: None }
}

pub(super) fn contract(schema: &str) -> Contract {
    let (product, version) = ("shop.orders".parse().expect("a product"), "1.0.0".parse().expect("a version"));
    Contract::plain(product, version, Arc::new(Schema::parse(schema).expect("a schema")))
}

fn record(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)
}

/// Judges `body`, written with the contract's own schema unless `writer` says otherwise: rule and path of
/// each violation.
fn judged(contract: Contract, writer: Option<&str>, key: Option<&[u8]>, body: &[u8]) -> Vec<(String, String)> {
    let writer = writer.map_or_else(|| (*contract.schema).clone(), |text| Schema::parse(text).expect("a schema"));
    let program = Program::compile(&writer, &Arc::new(contract)).expect("resolves");
    let mut scratch = Scratch::default();
    program.judge(body, &Context { key, key_schema: None, now: Timestamp(0) }, &mut scratch, None);
    scratch.violations().iter().map(|one| (one.rule.as_str().to_owned(), one.path.clone())).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(rule, path)| ((*rule).to_owned(), (*path).to_owned())).collect()
}

const LINES: &str = r#"{"name":"lines","type":{"type":"array","items":{"type":"record","name":"L","fields":[{"name":"quantity","type":"int"}]}}}"#;

#[test]
fn a_rule_on_items_names_the_item() {
    let mut contract = contract(&record(LINES));
    contract.rules.push(rule("lines[].quantity", Check::Range { min: Some((Native::Int(1), false)), max: None }));
    assert_eq!(
        judged(contract.clone(), None, None, &[6, 2, 4, 0, 0]),
        pairs(&[("lines[].quantity:rule", "lines[2].quantity")])
    );
    // The same in two blocks, one of which says its size.
    assert_eq!(
        judged(contract.clone(), None, None, &[2, 2, 3, 4, 4, 0, 0]),
        pairs(&[("lines[].quantity:rule", "lines[2].quantity")])
    );
    assert_eq!(judged(contract, None, None, &[6, 2, 4, 2, 0]), []);
}

#[test]
fn a_broken_record_says_where_and_nothing_else() {
    let mut contract = contract(&record(LINES));
    contract.rules.push(rule("lines[].quantity", Check::Range { min: Some((Native::Int(1), false)), max: None }));
    assert_eq!(
        judged(contract.clone(), None, None, &[6, 0, 0x80]),
        pairs(&[("malformed", "lines")]),
        "three items cannot be in two bytes"
    );
    assert_eq!(judged(contract.clone(), None, None, &[4, 0, 0x80]), pairs(&[("malformed", "lines[1].quantity")]));
    assert_eq!(
        judged(contract.clone(), None, None, &[1, 4, 2, 0]),
        pairs(&[("malformed", "lines")]),
        "a block of another size than it says"
    );
    assert_eq!(judged(contract.clone(), None, None, &[0, 0]), pairs(&[("malformed", "")]), "trailing bytes");
    assert_eq!(judged(contract, None, None, &[]), pairs(&[("malformed", "lines")]));
}

#[test]
fn null_breaks_only_what_demands_a_value() {
    let inner = r#"{"name":"customer","type":["null",{"type":"record","name":"C","fields":[{"name":"name","type":"string"}]}]}"#;
    let mut contract = contract(&record(inner));
    contract.rules.push(rule("customer.name", Check::Length { min: Some(3), max: None }));
    assert_eq!(judged(contract.clone(), None, None, &[0]), []);
    assert_eq!(judged(contract.clone(), None, None, &[2, 2, b'a']), pairs(&[("customer.name:rule", "customer.name")]));
    contract.rules = vec![rule("customer.name", Check::NotNull)];
    assert_eq!(judged(contract, None, None, &[0]), pairs(&[("customer.name:rule", "customer.name")]));
}

#[test]
fn an_undeclared_field_is_a_violation_unless_it_is_allowed() {
    let mut contract = contract(&record(r#"{"name":"a","type":"int"}"#));
    let writer = record(r#"{"name":"ssn","type":"string"},{"name":"a","type":"int"}"#);
    assert_eq!(judged(contract.clone(), Some(&writer), None, &[2, b'x', 2]), pairs(&[("undeclared-field", "ssn")]));
    contract.settings.undeclared_fields = UndeclaredFields::Allow;
    assert_eq!(judged(contract, Some(&writer), None, &[2, b'x', 2]), []);
}

#[test]
fn a_default_is_judged_like_a_value() {
    let mut contract = contract(&record(r#"{"name":"a","type":"int"},{"name":"b","type":"string","default":"no"}"#));
    let writer = record(r#"{"name":"a","type":"int"}"#);
    contract.rules.push(rule("b", Check::OneOf(vec![Native::Text(Arc::from("yes"))])));
    contract.conditions.push(condition(&contract, "b == 'no'"));
    assert_eq!(judged(contract, Some(&writer), None, &[2]), pairs(&[("b:rule", "b")]));
}

fn condition(contract: &Contract, source: &str) -> Condition {
    let expression = cel::compile(source, &contract.schema, &|_| None).expect("compiles");
    Condition {
        id: RuleId::new("condition"),
        expression,
        source: Arc::from(source),
        severity: Severity::Error,
        description: None,
    }
}

#[test]
fn conditions_see_values_wherever_they_stand() {
    let mut contract = contract(&record(r#"{"name":"a","type":"int"},{"name":"b","type":"long"}"#));
    contract.conditions.push(condition(&contract, "a < b"));
    assert_eq!(judged(contract.clone(), None, None, &[2, 4]), []);
    assert_eq!(judged(contract, None, None, &[4, 2]), pairs(&[("condition", "")]));
}

#[test]
fn evolution_that_one_record_meets_is_that_records_violation() {
    let of = |inner: &str| record(&format!(r#"{{"name":"a","type":{inner}}}"#));
    let contract_of = |inner: &str| contract(&of(inner));
    assert_eq!(judged(contract_of(r#""double""#), Some(&of(r#""int""#)), None, &[2]), []);
    let nullable = of(r#"["null","string"]"#);
    assert_eq!(judged(contract_of(r#""string""#), Some(&nullable), None, &[0]), pairs(&[("type", "a")]));
    let (old, new) =
        (r#"{"type":"enum","name":"E","symbols":["X"]}"#, r#"{"type":"enum","name":"E","symbols":["X","Y"]}"#);
    assert_eq!(judged(contract_of(old), Some(&of(new)), None, &[2]), pairs(&[("type", "a")]));
    assert_eq!(judged(contract_of(old), Some(&of(new)), None, &[0]), []);
    assert_eq!(judged(contract_of(old), Some(&of(new)), None, &[4]), pairs(&[("malformed", "a")]));
}

#[test]
fn schemas_that_never_fit_are_refused_with_the_path() {
    let error = |contract_fields: &str, writer: &str| {
        let writer = Schema::parse(&record(writer)).expect("a schema");
        Program::compile(&writer, &Arc::new(contract(&record(contract_fields)))).expect_err("does not resolve")
    };
    assert_eq!(error(r#"{"name":"a","type":"int"}"#, r#"{"name":"a","type":"string"}"#).path, "a");
    assert_eq!(
        error(r#"{"name":"a","type":"int"},{"name":"b","type":"int"}"#, r#"{"name":"a","type":"int"}"#).path,
        "b"
    );
}

#[test]
fn the_key_equals_its_fields() {
    let mut contract = contract(&record(r#"{"name":"shop","type":"string"},{"name":"number","type":"long"}"#));
    contract.settings.key =
        KeySpec { kind: KeyKind::Utf8, fields: vec![path("shop"), path("number")], separator: "-".to_owned() };
    let body = &[2, b'x', 14];
    assert_eq!(judged(contract.clone(), None, Some(b"x-7"), body), []);
    assert_eq!(judged(contract.clone(), None, Some(b"x-71"), body), pairs(&[("key", "")]));
    assert_eq!(judged(contract.clone(), None, None, body), pairs(&[("key", "")]));
    contract.settings.key = KeySpec { kind: KeyKind::Long, fields: vec![path("number")], separator: String::new() };
    assert_eq!(judged(contract.clone(), None, Some(&7_i64.to_be_bytes()), body), []);
    assert_eq!(judged(contract, None, Some(&8_i64.to_be_bytes()), body), pairs(&[("key", "")]));
}

#[test]
fn the_key_that_is_made_is_the_key_that_is_asked_for() {
    let day = r#"{"name":"shop","type":"string"},{"name":"day","type":{"type":"int","logicalType":"date"}}"#;
    let mut contract = contract(&record(day));
    contract.settings.key =
        KeySpec { kind: KeyKind::Utf8, fields: vec![path("shop"), path("day")], separator: "-".to_owned() };
    let body = &[2, b'x', 14];
    let program = Program::compile(&contract.schema, &Arc::new(contract.clone())).expect("resolves with itself");
    let key = program.key(body, &mut Scratch::default());
    assert_eq!(key.as_deref(), Some(&b"x-7"[..]));
    assert_eq!(judged(contract.clone(), None, key.as_deref(), body), []);
    assert_eq!(program.key(&body[..1], &mut Scratch::default()), None);
    contract.settings.key = KeySpec { kind: KeyKind::Long, fields: vec![path("day")], separator: String::new() };
    let program = Program::compile(&contract.schema, &Arc::new(contract.clone())).expect("resolves with itself");
    assert_eq!(program.key(body, &mut Scratch::default()), Some(7_i64.to_be_bytes().to_vec()));
}

#[test]
fn items_that_must_differ_are_compared_by_value() {
    let mut contract = contract(&record(r#"{"name":"a","type":{"type":"array","items":["null","string"]}}"#));
    contract.rules.push(rule("a", Check::UniqueItems));
    assert_eq!(judged(contract.clone(), None, None, &[6, 0, 2, 2, b'x', 2, 2, b'y', 0]), []);
    // The second x has a length of two bytes.
    assert_eq!(judged(contract, None, None, &[4, 2, 2, b'x', 2, 0x82, 0, b'x', 0]), pairs(&[("a:rule", "a")]));
}

#[test]
fn symbols_and_values_of_several_types_are_told_apart() {
    let symbols = r#"{"type":"enum","name":"E","symbols":["SOMETHING","OTHER"]}"#;
    let of = |items: &str| {
        let mut contract = contract(&record(&format!(r#"{{"name":"a","type":{{"type":"array","items":{items}}}}}"#)));
        contract.rules.push(rule("a", Check::UniqueItems));
        contract
    };
    let nullable = of(&format!(r#"["null",{symbols}]"#));
    assert_eq!(judged(nullable.clone(), None, None, &[4, 2, 0, 2, 2, 0]), []);
    assert_eq!(judged(nullable, None, None, &[6, 2, 0, 2, 2, 2, 0, 0]), pairs(&[("a:rule", "a")]));
    // True is not 1.
    assert_eq!(judged(of(r#"["boolean","int"]"#), None, None, &[4, 0, 1, 2, 2, 0]), []);
}

#[test]
fn a_record_in_a_union_of_several_types_is_there() {
    let inner = r#"{"type":"record","name":"I","fields":[{"name":"x","type":["null","int"]}]}"#;
    let mut contract = contract(&record(&format!(r#"{{"name":"a","type":["null","int",{inner}]}}"#)));
    contract.rules.push(rule("a", Check::NotNull));
    assert_eq!(judged(contract.clone(), None, None, &[4, 0]), []);
    assert_eq!(judged(contract, None, None, &[0]), pairs(&[("a:rule", "a")]));
}

#[test]
fn a_value_of_another_type_breaks_no_other_rule() {
    let fields = |last: &str| {
        record(&format!(r#"{{"name":"a","type":{{"type":"array","items":"int"}}}},{{"name":"b","type":"{last}"}}"#))
    };
    let mut contract = contract(&fields("string"));
    contract.rules.push(rule("b", Check::Length { min: Some(1), max: Some(3) }));
    // The array before it is empty, which is no length of the bytes that are no text.
    assert_eq!(judged(contract, Some(&fields("bytes")), None, &[0, 2, 0xff]), pairs(&[("type", "b")]));
}

#[test]
fn what_held_a_record_back_is_kept_before_warnings() {
    let mut contract = contract(&record(r#"{"name":"a","type":"int"}"#));
    let above = |number: i64| Check::Range { min: Some((Native::Int(number), false)), max: None };
    for number in 0..20 {
        let severity = if number < 18 { Severity::Warning } else { Severity::Error };
        let id = RuleId::new(format!("rule-{number}"));
        contract.rules.push(Rule { id, severity, ..rule("a", above(number + 1)) });
    }
    let found: Vec<String> = judged(contract, None, None, &[0]).into_iter().map(|(rule, _)| rule).collect();
    assert_eq!(found.len(), 16);
    assert_eq!(found[14..], ["rule-18", "rule-19"]);
    assert_eq!(found[13], "rule-13");
}

#[test]
fn a_field_without_default_is_missed_in_types_that_hold_each_other() {
    let schema = |more: &str| {
        let b = r#"{"type":"record","name":"B","fields":[{"name":"items","type":{"type":"array","items":"A"}}]}"#;
        let a = format!(r#"{{"type":"record","name":"A","fields":[{{"name":"x","type":[{b},"null"]}}{more}]}}"#);
        record(&format!(r#"{{"name":"one","type":["null",{a}]}},{{"name":"other","type":["null","B"]}}"#))
    };
    let contract = contract(&schema(r#",{"name":"z","type":"int"}"#));
    // No A, and a B that holds an A.
    let found = judged(contract, Some(&schema("")), None, &[0, 2, 2, 2, 0]);
    assert_eq!(found, pairs(&[("type", "other.items[0].z")]));
}

#[test]
fn recursion_ends() {
    let schema =
        r#"{"type":"record","name":"N","fields":[{"name":"v","type":"int"},{"name":"next","type":["null","N"]}]}"#;
    let mut contract = contract(schema);
    contract.rules.push(rule("next.v", Check::Range { min: Some((Native::Int(1), false)), max: None }));
    assert_eq!(judged(contract.clone(), None, None, &[0, 2, 0, 2, 0, 0]), pairs(&[("next.v:rule", "next.v")]));
    let deep: Vec<u8> = [2, 2].repeat(1_000);
    let found = judged(contract, None, None, &deep);
    assert_eq!(found.len(), 1);
    assert!(found.iter().all(|(rule, place)| rule == "malformed" && place.starts_with("next.next")));
    let endless = super::tests::contract(r#"{"type":"record","name":"N","fields":[{"name":"next","type":"N"}]}"#);
    assert_eq!(judged(endless, None, None, &[]).len(), 1);
}

#[test]
fn items_without_bytes_are_bounded_over_the_whole_record() {
    let nulls = contract(&record(r#"{"name":"a","type":{"type":"array","items":{"type":"array","items":"null"}}}"#));
    let mut body = vec![4];
    for _ in 0..2 {
        // 40,000 items
        body.extend([0x80, 0xf1, 0x04, 0]);
    }
    body.push(0);
    assert_eq!(judged(nulls, None, None, &body), pairs(&[("malformed", "a[1]")]));
}

#[test]
fn classified_values_are_never_shown() {
    let mut contract = contract(&record(r#"{"name":"mail","type":"string"}"#));
    contract.rules.push(rule("mail", Check::Format(Format::Email)));
    contract.classified.push(path("mail"));
    let program = Program::compile(&contract.schema.clone(), &Arc::new(contract)).expect("resolves");
    let mut scratch = Scratch::default();
    let context = Context { key: None, key_schema: None, now: Timestamp(0) };
    assert_eq!(program.judge(&[2, b'x'], &context, &mut scratch, None), Verdict::Violates);
    let shown: Vec<_> = scratch.violations().iter().map(|one| (one.value.as_deref(), one.message.as_str())).collect();
    assert_eq!(shown, [(Some("***"), "must be an e-mail address")]);
}

#[test]
fn statistics_are_of_conforming_records_and_merge() {
    let mut contract = contract(&record(
        r#"{"name":"a","type":["null","long"]},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}"#,
    ));
    contract.rules.push(rule("a", Check::Range { min: Some((Native::Int(0), false)), max: None }));
    contract.measures.push(Measure { path: path("a"), distinct: true, quantiles: true, event_time: false });
    contract.measures.push(Measure { path: path("at"), distinct: false, quantiles: false, event_time: true });
    let program = Program::compile(&contract.schema.clone(), &Arc::new(contract)).expect("resolves");
    let (mut scratch, mut first, mut second) =
        (Scratch::default(), Statistics::new(&program), Statistics::new(&program));
    let context = Context { key: None, key_schema: None, now: Timestamp(100) };
    program.judge(&[2, 6, 20], &context, &mut scratch, Some(&mut first));
    program.judge(&[2, 1, 20], &context, &mut scratch, Some(&mut first));
    program.judge(&[2, 14, 20], &context, &mut scratch, Some(&mut second));
    program.judge(&[0, 20], &context, &mut scratch, Some(&mut second));
    second.count_outside(&RuleId::new("wire"), true);
    first.merge(&second);
    assert_eq!(first.conforming(), 3);
    let (violations, fields, delay) = first.clone().into_event_parts();
    let counted: BTreeMap<_, _> =
        violations.iter().map(|one| (one.rule.as_str(), (one.enforced, one.count, one.records))).collect();
    assert_eq!(counted, BTreeMap::from([("a:rule", (true, 1, 1)), ("wire", (true, 1, 1))]));
    let a = fields.iter().find(|field| field.path == "a").expect("is measured");
    assert_eq!((a.count, a.nulls, a.min, a.max), (2, 1, Some(3.0), Some(7.0)));
    let distinct = a.distinct.as_deref().and_then(sketch::Distinct::from_bytes).expect("a sketch");
    assert!((distinct.estimate() - 2.0).abs() < 0.1);
    assert_eq!(a.histogram.iter().map(|bucket| bucket.count).sum::<i64>(), 2);
    assert_eq!(delay, [schemas::Bucket { index: sketch::bucket_of(90.0), count: 3 }]);
    first.clear();
    assert!(first.is_empty());
}

#[test]
fn conditions_look_into_items_wherever_they_come_from() {
    let line = r#"{"name":"lines","type":{"type":"array","items":{"type":"record","name":"L","fields":[{"name":"sku","type":"string"}]}},"default":[{"sku":"a"},{"sku":"b"}]}"#;
    let labels = r#"{"name":"labels","type":{"type":"map","values":["null","int"]},"default":{"x":null,"y":null}}"#;
    let schema = record(&format!(r#"{{"name":"a","type":"int"}},{line},{labels}"#));
    let mut contract = contract(&schema);
    contract.conditions.push(condition(&contract, "lines.exists(l, l.sku == 'b') && labels.all(k, labels[k] == null)"));
    // Two lines and one entry with a value; the writer's field is read as null.
    assert_eq!(judged(contract.clone(), None, None, &[2, 2, 2, b'b', 0, 2, 2, b'x', 0, 0]), []);
    assert_eq!(
        judged(contract.clone(), None, None, &[2, 2, 2, b'b', 0, 2, 2, b'x', 2, 2, 0]),
        pairs(&[("condition", "")])
    );
    assert_eq!(judged(contract.clone(), None, None, &[2, 2, 2, b'c', 0, 0]), pairs(&[("condition", "")]));
    // A writer without the fields: the contract's defaults have items too.
    let writer = record(r#"{"name":"a","type":"int"}"#);
    assert_eq!(judged(contract.clone(), Some(&writer), None, &[2]), []);
    contract.conditions = vec![condition(&contract, "'y' in labels && labels['x'] == null && lines[1].sku != 'b'")];
    assert_eq!(judged(contract, Some(&writer), None, &[2]), pairs(&[("condition", "")]));
}

#[test]
fn a_record_with_more_items_than_conditions_may_look_at_says_so() {
    let mut contract = contract(&record(r#"{"name":"n","type":{"type":"array","items":"boolean"}}"#));
    contract.conditions.push(condition(&contract, "n.all(x, x || !x)"));
    let program = Program::compile(&contract.schema.clone(), &Arc::new(contract)).expect("resolves");
    let count = cel::MAX_CELLS + 1;
    // One block of so many items, its count as a varint.
    let mut body = Vec::new();
    let mut left = (count as u64) << 1;
    while left >= 0x80 {
        body.push(left as u8 | 0x80);
        left >>= 7;
    }
    body.push(left as u8);
    body.extend(std::iter::repeat_n(1, count));
    body.push(0);
    let mut scratch = Scratch::default();
    let context = Context { key: None, key_schema: None, now: Timestamp(0) };
    assert_eq!(program.judge(&body, &context, &mut scratch, None), Verdict::Violates);
    assert!(scratch.violations()[0].message.contains("more items than"), "{:?}", scratch.violations());
    assert_eq!(program.judge(&[4, 1, 1, 0], &context, &mut scratch, None), Verdict::Conforms);
}
