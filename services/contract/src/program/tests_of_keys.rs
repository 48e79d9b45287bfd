//! What Avro keys promise: those that are made are those that are asked for, and no others.

use std::sync::Arc;

use schemas::{Frame, SchemaId, Timestamp};

use super::tests::{contract, path};
use super::*;
use crate::avro::Schema;
use crate::model::{KeyKind, KeySpec, UndeclaredFields};

const FIELDS: &str = r#"
    {"name":"shop","type":"string"},
    {"name":"day","type":{"type":"int","logicalType":"date"}},
    {"name":"kind","type":{"type":"enum","name":"Kind","symbols":["a","b"]}},
    {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
    {"name":"exact","type":{"type":"fixed","name":"Exact","size":4,"logicalType":"decimal","precision":9,"scale":0}},
    {"name":"share","type":"double"},
    {"name":"sold","type":"boolean"}"#;

fn keyed(fields: &[&str]) -> Arc<Contract> {
    let mut contract = contract(&format!(r#"{{"type":"record","name":"shop.Sale","fields":[{FIELDS}]}}"#));
    contract.settings.key = KeySpec {
        kind: KeyKind::Avro,
        fields: fields.iter().map(|name| path(name)).collect(),
        separator: String::new(),
    };
    Arc::new(contract)
}

/// A sale; the decimal is −1.29, in two bytes.
const BODY: &[u8] = &[2, b'x', 14, 2, 4, 0xff, 0x7f, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xe0, 0x3f, 1];

fn judged(contract: &Arc<Contract>, key: Option<&[u8]>, writer: Option<&str>) -> Vec<String> {
    let program = Program::compile(&contract.schema, contract).expect("resolves with itself");
    let key_program = writer
        .map(|writer| KeyProgram::compile(&Schema::parse(writer).expect("a schema"), contract).expect("a key of its"));
    let context = Context { key, key_schema: key_program.as_ref().map(KeySchema::Known), now: Timestamp(0) };
    let mut scratch = Scratch::default();
    program.judge(BODY, &context, &mut scratch, None);
    scratch.violations().iter().map(|violation| format!("{}: {}", violation.rule, violation.message)).collect()
}

#[test]
fn the_avro_key_that_is_made_is_the_key_that_is_asked_for() {
    let every = ["shop", "day", "kind", "price", "exact", "share", "sold"];
    let mut wanted: Vec<Vec<&str>> = every.iter().map(|name| vec![*name]).collect();
    wanted.push(every.to_vec());
    wanted.push(vec!["sold", "shop"]);
    for fields in wanted {
        let contract = keyed(&fields);
        let text = key_schema(&contract).expect("a schema of its keys");
        let program = Program::compile(&contract.schema, &contract).expect("resolves with itself");
        let key = program.avro_key(SchemaId(7), BODY, &mut Scratch::default()).expect("a key");
        assert_eq!(Frame::parse(&key).map(|framed| framed.schema), Ok(SchemaId(7)), "{fields:?}");
        assert_eq!(judged(&contract, Some(&key), Some(&text)), Vec::<String>::new(), "{fields:?}: {text}");
        let mut other = key.clone();
        *other.last_mut().expect("not empty") ^= 1;
        assert_ne!(judged(&contract, Some(&other), Some(&text)), Vec::<String>::new(), "{fields:?}");
        let mut longer = key;
        longer.push(0);
        assert_ne!(judged(&contract, Some(&longer), Some(&text)), Vec::<String>::new(), "{fields:?}");
    }
}

#[test]
fn a_key_is_read_by_the_names_of_its_fields() {
    let contract = keyed(&["shop", "day"]);
    let swapped = r#"{"type":"record","name":"K","fields":[
        {"name":"day","type":{"type":"int","logicalType":"date"}},{"name":"shop","type":["null","string"]}]}"#;
    let key = [0, 0, 0, 0, 1, 14, 2, 2, b'x'];
    assert_eq!(judged(&contract, Some(&key), Some(swapped)), Vec::<String>::new());
    assert_eq!(judged(&contract, Some(&key[5..]), Some(swapped)).len(), 1);
    assert_eq!(judged(&contract, Some(&key), None), ["key: the key's schema is not known"]);
}

#[test]
fn a_schema_that_no_key_can_come_from_is_refused() {
    let why = |contract: &Arc<Contract>, writer: &str| {
        KeyProgram::compile(&Schema::parse(writer).expect("a schema"), contract).err().map(|error| error.to_string())
    };
    let two = keyed(&["shop", "sold"]);
    let record = |fields: &str| format!(r#"{{"type":"record","name":"K","fields":[{fields}]}}"#);
    let shop = r#"{"name":"shop","type":"string"}"#;
    let sold = r#"{"name":"sold","type":"boolean"}"#;
    let more = r#"{"name":"email","type":"string"}"#;
    assert_eq!(why(&two, &record(&format!("{shop},{sold}"))), None);
    assert!(why(&two, r#""string""#).is_some_and(|why| why.contains("must be a record with the fields shop, sold")));
    assert!(why(&two, &record(shop)).is_some_and(|why| why.starts_with("sold: the key does not have this field")));
    assert!(why(&two, &record(&format!("{shop},{sold},{more}"))).is_some_and(|why| why.starts_with("email: ")));
    let number = r#"{"name":"shop","type":"long"}"#;
    assert!(why(&two, &record(&format!("{number},{sold}"))).is_some_and(|why| why.starts_with("shop: ")));
    assert!(why(&two, r#"{"type":"array","items":"string"}"#).is_some());
    let mut open = Contract::clone(&two);
    open.settings.undeclared_fields = UndeclaredFields::Allow;
    assert_eq!(why(&Arc::new(open), &record(&format!("{shop},{sold},{more}"))), None);
    // Another scale would be another number.
    let price = keyed(&["price"]);
    let cents = r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":0}"#;
    assert!(why(&price, cents).is_some());
    assert_eq!(why(&keyed(&[]), &record(more)), None);
}

#[test]
fn a_record_that_only_deletes_must_have_a_key_of_the_contracts() {
    let fault = |contract: &Contract, key: &[u8], program: Option<&KeyProgram>| {
        let context = Context { key: Some(key), key_schema: program.map(KeySchema::Known), now: Timestamp(0) };
        key_fault_of_tombstone(contract, &context)
    };
    let mut contract = Contract::clone(&keyed(&["shop"]));
    let text = Schema::parse(r#""string""#).expect("a schema");
    let program = KeyProgram::compile(&text, &contract).expect("a key of its");
    assert_eq!(fault(&contract, &[0, 0, 0, 0, 1, 2, b'y'], Some(&program)), None);
    assert!(fault(&contract, &[0, 0, 0, 0, 1, 4, b'y'], Some(&program)).is_some());
    assert!(fault(&contract, b"y", Some(&program)).is_some());
    contract.settings.key.kind = KeyKind::Long;
    assert_eq!(fault(&contract, &[0; 8], None), None);
    assert!(fault(&contract, &[0; 7], None).is_some());
    contract.settings.key.kind = KeyKind::Utf8;
    assert!(fault(&contract, &[0xff], None).is_some());
}
