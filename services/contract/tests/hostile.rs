//! Schemas and records made to take more time or room than they are worth: each is refused or judged at once.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use contract::Contract;
use contract::avro::{Schema, can_read};
use contract::odcs::{self, Source};
use contract::program::{Context, Program, Scratch, Verdict};
use schemas::Timestamp;

/// Far more than any of this takes, far less than what is not bounded would.
const AT_ONCE: Duration = Duration::from_secs(20);

/// The result, if there is one at once.
fn at_once<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(AT_ONCE).unwrap_or_else(|why| panic!("{what}: {why}"))
}

fn contract(schema: &str, properties: &str) -> Arc<Contract> {
    let text = format!(
        "apiVersion: v3.1.0\nkind: DataContract\nid: hostile\nname: Hostile\nversion: 1.0.0\nstatus: active\n\
         domain: hostile\ndataProduct: records\nschema:\n  - name: R\n    logicalType: object\n    properties:\n{properties}\
         customProperties:\n  - property: weir.undeclaredFields\n    value: allow\n"
    );
    let read = odcs::read(
        &Source { file: "contract.odcs.yaml", text: &text },
        Some(&Source { file: "schema.avsc", text: schema }),
    );
    Arc::new(read.unwrap_or_else(|mistakes| panic!("{mistakes:#?}")).contract)
}

fn only_an_id() -> Arc<Contract> {
    let schema = r#"{"type":"record","name":"R","fields":[{"name":"id","type":"string"}]}"#;
    contract(schema, "      - name: id\n        logicalType: string\n")
}

fn with_field(field: &str) -> String {
    with_fields(&format!(r#"{{"name":"more","type":{field}}}"#))
}

fn with_fields(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{{"name":"id","type":"string"}},{fields}]}}"#)
}

/// Fields that define records, each of which holds the one before it twice; `leaf` is the first one's field,
/// `more` is added to every other.
fn doubled(levels: usize, leaf: &str, more: &str) -> String {
    let mut fields = String::new();
    for level in 0..levels {
        let inner = match level.checked_sub(1) {
            None => leaf.to_owned(),
            Some(below) => format!(r#"{{"name":"a","type":"L{below}"{more}}},{{"name":"b","type":"L{below}"{more}}}"#),
        };
        let comma = if level == 0 { "" } else { "," };
        write!(
            fields,
            r#"{comma}{{"name":"f{level}","type":{{"type":"record","name":"L{level}","fields":[{inner}]}}{more}}}"#
        )
        .expect("a string takes everything");
    }
    fields
}

/// 2^levels nulls in no byte at all.
fn nulls(levels: usize) -> String {
    doubled(levels, r#"{"name":"a","type":"null"}"#, "")
}

fn judge(writer: &str, contract: Arc<Contract>, body: &[u8]) -> (Verdict, String) {
    let writer = Schema::parse(writer).expect("a schema");
    let body = body.to_vec();
    at_once("a record is judged", move || {
        let program = Program::compile(&writer, &contract).expect("it resolves");
        let mut scratch = Scratch::default();
        let context = Context { key: None, key_schema: None, now: Timestamp(0) };
        let verdict = program.judge(&body, &context, &mut scratch, None);
        (verdict, scratch.violations().first().map(|one| one.message.clone()).unwrap_or_default())
    })
}

#[test]
fn records_within_records_take_no_time_without_bytes() {
    for levels in [30, 60, 200] {
        let (verdict, message) = judge(&with_fields(&nulls(levels)), only_an_id(), b"\x02a");
        assert_eq!(verdict, Verdict::Violates, "{levels} levels: {message}");
    }
    // Within bounds it is only strange.
    let (verdict, message) = judge(&with_fields(&nulls(10)), only_an_id(), b"\x02a");
    assert_eq!(verdict, Verdict::Conforms, "{message}");
}

#[test]
fn items_without_bytes_take_no_time_either() {
    let array = format!(r#"{},{{"name":"more","type":{{"type":"array","items":"L8"}}}}"#, nulls(9));
    // 65,536 items of 2^8 nulls: walked over without a step for any of them.
    let (verdict, message) = judge(&with_fields(&array), only_an_id(), b"\x02a\x80\x80\x08\x00");
    assert_eq!(verdict, Verdict::Conforms, "{message}");
    let of_nulls = with_field(r#"{"type":"array","items":"null"}"#);
    let (verdict, message) = judge(&of_nulls, only_an_id(), b"\x02a\x80\x80\x08\x00");
    assert_eq!(verdict, Verdict::Conforms, "{message}");
    // Half a billion nulls in five bytes.
    let (verdict, message) = judge(&of_nulls, only_an_id(), b"\x02a\x80\xd4\xe8\xf1\x03\x00");
    assert_eq!(verdict, Verdict::Violates, "{message}");
}

#[test]
fn a_tree_of_many_small_records_is_none_of_these() {
    let node = r#"["null",{"type":"record","name":"Node","fields":[{"name":"children","type":{"type":"array","items":"Node"}}]}]"#;
    let mut body = b"\x02a\x02".to_vec();
    // 300,000 leaves.
    body.extend([0xc0, 0xcf, 0x24]);
    body.extend(vec![0; 300_000]);
    body.push(0);
    let (verdict, message) = judge(&with_field(node), only_an_id(), &body);
    assert_eq!(verdict, Verdict::Conforms, "{message}");
}

/// A writer that defines, level by level, two records of one simple name, either of which might be what the
/// contract's `Node` is read from; at the bottom neither is.
fn forked(levels: usize) -> String {
    let mut fields = r#"{"name":"id","type":"string"}"#.to_owned();
    let mut next = "\"string\"".to_owned();
    for level in 0..levels {
        let record = |space: &str| {
            format!(r#"{{"type":"record","name":"{space}{level}.Node","fields":[{{"name":"next","type":{next}}}]}}"#)
        };
        write!(fields, r#",{{"name":"level{level}","type":[{},{}]}}"#, record("a"), record("b"))
            .expect("a string takes everything");
        next = format!(r#"["a{level}.Node","b{level}.Node"]"#);
    }
    format!(r#"{{"type":"record","name":"R","fields":[{fields},{{"name":"more","type":{next}}}]}}"#)
}

#[test]
fn unions_of_look_alikes_are_compared_at_once() {
    let schema = r#"{"type":"record","name":"R","fields":[{"name":"id","type":"string"},
        {"name":"more","type":["null",{"type":"record","name":"Node","fields":[{"name":"next","type":["null","Node"]}]}],
         "default":null}]}"#;
    let properties = "      - name: id\n        logicalType: string\n      - name: more\n        logicalType: object\n        \
                      properties:\n          - name: next\n            logicalType: object\n";
    let contract = contract(schema, properties);
    let writer = forked(60);
    let (of_writer, of_contract) = (Schema::parse(&writer).expect("a schema"), Arc::clone(&contract.schema));
    let refused = at_once("schemas are resolved", move || Program::compile(&of_writer, &contract).map(drop));
    assert!(refused.is_err());
    let of_writer = Schema::parse(&writer).expect("a schema");
    let reasons = at_once("schemas are compared", move || can_read(&of_contract, &of_writer).len());
    assert!(reasons > 0);
}

#[test]
fn a_schema_that_uses_its_types_again_and_again_stays_small() {
    let text = with_fields(&nulls(60));
    let schema = Schema::parse(&text).expect("a schema");
    let (normal, canonical, reasons) = at_once("a schema is written anew", move || {
        (schema.normalized().len(), schema.canonical().len(), can_read(&schema, &schema).len())
    });
    assert!(normal < 2 * text.len() && canonical < 2 * text.len());
    assert_eq!(reasons, 0);
}

#[test]
fn defaults_that_lean_on_defaults_are_checked_at_once() {
    let text = with_fields(&doubled(60, r#"{"name":"a","type":"int","default":0}"#, r#","default":{}"#));
    let refused = at_once("defaults are checked", move || Schema::parse(&text).map(drop));
    assert!(refused.is_err_and(|why| why.message.contains("too large")));
}

#[test]
fn texts_out_of_bounds_are_refused_with_the_bound() {
    let nested = |depth: usize| format!("{}\"int\"{}", r#"{"type":"array","items":"#.repeat(depth), "}".repeat(depth));
    let long_doc = format!(r#"{{"type":"record","name":"R","doc":"{}","fields":[]}}"#, "x".repeat(10 << 20));
    let mut wide = r#"{"type":"record","name":"R","fields":["#.to_owned();
    for field in 0..21_000 {
        let comma = if field == 0 { "" } else { "," };
        write!(wide, r#"{comma}{{"name":"f{field}","type":"int"}}"#).expect("a string takes everything");
    }
    wide.push_str("]}");
    for (text, words) in [
        (nested(1_000), "recursion limit"),
        (nested(63), ""),
        (nested(70), "64 deep"),
        (long_doc, "bytes"),
        (wide, "bytes"),
    ] {
        let found = at_once("a text is read", move || Schema::parse(&text).map(drop));
        match found {
            Ok(()) => assert!(words.is_empty()),
            Err(why) => assert!(!words.is_empty() && why.message.contains(words), "{why}"),
        }
    }
}
