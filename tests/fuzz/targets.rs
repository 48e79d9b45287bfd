//! One target for each reader.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use apache_avro::reader::datum::GenericDatumReader;
use contract::avro::{IncompatibilityKind, Kind, Schema, can_read};
use contract::cel::{self, Found, Rows, Texts};
use contract::odcs::{self, Source};
use contract::{Context, Program, Scratch, Statistics, Verdict};
use files::{FileFormat, Options};
use schemas::{BackboneSchema, Catalog, CatalogKey, Codec, Frame, SchemaId, Timestamp};

use super::corpus::{self, EXPRESSIONS, FLIGHTS, ORDERS, contracts};
use super::{fuzz, spoil};
use crate::avro::{Random, generated, mutated, plain_contract};

/// A schema's text, real or random.
fn schema_text(random: &mut Random) -> String {
    if random.one_in(2) { generated(random) } else { random.pick(contracts()).1.clone() }
}

#[test]
fn schemas() {
    fuzz("schemas", |random| {
        let text = schema_text(random);
        let text = match random.below(3) {
            0 => mutated(&text, random),
            _ => spoil::text(&text, &schema_text(random), random),
        };
        let Ok(schema) = Schema::parse(&text) else { return };
        // What a schema says of itself is a schema that says the same.
        let normal = schema.normalized();
        assert_eq!(Schema::parse(&normal).expect("still a schema").normalized(), normal, "{text}");
        let reasons = can_read(&schema, &schema);
        let large = |kind| kind == IncompatibilityKind::TooLarge;
        assert!(reasons.iter().all(|reason| large(reason.kind)), "{text} does not read itself: {reasons:?}");
        if matches!(schema.node(schema.root()).kind, Kind::Record(_)) {
            let contract = plain_contract(schema);
            if let Ok(program) = Program::compile(&contract.schema, &contract) {
                judge(&program, &corpus::record(&contract.schema, random), random);
            }
        }
    });
}

/// Judges a record and spoilt ones.
fn judge(program: &Program, body: &[u8], random: &mut Random) {
    let mut scratch = Scratch::default();
    let mut statistics = Statistics::new(program);
    for _ in 0..4 {
        let body = spoil::bytes(body.to_vec(), b"", random);
        let context = Context { key: Some(&body), key_schema: None, now: Timestamp(0) };
        program.judge(&body, &context, &mut scratch, Some(&mut statistics));
    }
}

/// Why a program calls a record malformed that `apache-avro` reads: the settled cases, and its bounds.
const SETTLED: [&str; 6] = [
    "more than 64 bits",
    "the bytes that it claims",
    "ends inside",
    "behind the end",
    "more items",
    "nested more than",
];

#[test]
fn records() {
    apache_avro::util::max_allocation_bytes(1 << 20);
    fuzz("records", |random| {
        let text = schema_text(random);
        let schema = Schema::parse(&text).expect("a schema");
        let Ok(theirs) = apache_avro::Schema::parse_str(&plain(&text)) else { return };
        let contract = plain_contract(schema);
        let program = Program::compile(&contract.schema, &contract).expect("a schema resolves to itself");
        let reads = GenericDatumReader::builder(&theirs).build().expect("a reader");
        let mut scratch = Scratch::default();
        let whole = corpus::record(&contract.schema, random);
        for round in 0..8 {
            let body = if round == 0 { whole.clone() } else { spoil::bytes(whole.clone(), &whole, random) };
            let context = Context { key: None, key_schema: None, now: Timestamp(0) };
            let verdict = program.judge(&body, &context, &mut scratch, None);
            let first = scratch.violations().first();
            let malformed = first.filter(|one| one.rule.as_str() == "malformed");
            assert!(round > 0 || malformed.is_none(), "{text}: {whole:02x?}: {first:?}");
            // Not asked where it may say what it likes: it has no bound of nesting, and reads on behind the end of a
            // record, which together end the process.
            if malformed.is_some_and(|why| SETTLED.iter().any(|known| why.message.contains(known))) {
                continue;
            }
            let mut rest = &body[..];
            let read = reads.read_value(&mut rest).is_ok() && rest.is_empty();
            match malformed {
                None => assert!(read, "only the program reads {body:02x?} as {text}, {verdict:?}"),
                Some(why) => assert!(!read, "only the program refuses {body:02x?} as {text}: {why:?}"),
            }
        }
    });
}

/// A schema's text without its logical types, which `apache-avro` would hold values against.
fn plain(text: &str) -> String {
    text.replace("\"logicalType\"", "\"notLogical\"")
}

#[test]
fn contracts_of_teams() {
    fuzz("contracts", |random| {
        let (text, schema) = random.pick(contracts());
        let spoilt = spoil::text(text, &random.pick(contracts()).0, random);
        let schema = if random.one_in(8) { mutated(schema, random) } else { schema.clone() };
        let read =
            odcs::read(&Source { file: "contract", text: &spoilt }, Some(&Source { file: "schema", text: &schema }));
        match read {
            Err(mistakes) => assert!(!mistakes.is_empty() && mistakes.iter().all(|mistake| !mistake.what.is_empty())),
            Ok(read) => {
                let contract = Arc::new(read.contract);
                let program = Program::compile(&contract.schema, &contract).expect("rules that were read are compiled");
                judge(&program, &corpus::record(&contract.schema, random), random);
            }
        }
    });
}

#[test]
fn conditions() {
    let schemas: Vec<Schema> = contracts().iter().map(|(_, schema)| Schema::parse(schema).expect("a schema")).collect();
    fuzz("conditions", |random| {
        let (one, other) = (*random.pick(&EXPRESSIONS), *random.pick(&EXPRESSIONS));
        let source = spoil::text(one, &other.replace(' ', "\n"), random);
        let Ok(expression) = cel::compile(&source, random.pick(&schemas), &|_| None) else { return };
        let mut texts = Texts::default();
        for _ in 0..8 {
            let found: Vec<Found<'_>> = expression
                .inputs()
                .iter()
                .map(|_| match random.below(7) {
                    0 => Found::Null,
                    1 => Found::Bool(true),
                    2 | 3 => Found::Int(random.whole()),
                    4 => Found::Float(f64::from_bits(random.next())),
                    5 => Found::Decimal(i128::from(random.whole()) << random.below(64)),
                    _ => Found::Text("é7"),
                })
                .collect();
            // Whatever it says, it says it.
            let _answer = expression.holds(&found, &Rows::default(), Timestamp(random.whole()), &mut texts);
        }
    });
}

#[test]
fn files_of_rows() {
    let of = |name: &str| {
        let one = contracts().iter().find(|(text, _)| text.contains(name)).expect("a product");
        plain_contract(Schema::parse(&one.1).expect("a schema"))
    };
    let (flights, orders) = (of("dataProduct: flights"), of("dataProduct: orders"));
    fuzz("files", |random| {
        let (contract, text, format) = match random.below(3) {
            0 => (&orders, ORDERS.to_owned(), FileFormat::Ndjson),
            1 => (&flights, FLIGHTS.replace(',', "\t"), FileFormat::Tsv),
            _ => (&flights, FLIGHTS.to_owned(), FileFormat::Csv),
        };
        let program = Program::compile(&contract.schema, contract).expect("a schema resolves to itself");
        let spoilt = if random.one_in(16) {
            text.clone().into_bytes()
        } else {
            spoil::bytes(text.clone().into_bytes(), text.as_bytes(), random)
        };
        let rows = files::read(Box::new(Cursor::new(spoilt)), "rows", format, &contract.schema, &Options::default());
        let mut scratch = Scratch::default();
        for row in rows.into_iter().flatten().map_while(Result::ok) {
            // A row that was turned into a record is one.
            if let Ok(body) = row.outcome {
                let context = Context { key: None, key_schema: None, now: Timestamp(0) };
                let verdict = program.judge(&body, &context, &mut scratch, None);
                assert_eq!(verdict, Verdict::Conforms, "{:?}: {body:02x?}: {:?}", row.raw, scratch.violations());
            }
        }
    });
}

#[test]
fn backbone_events() {
    let ids: BTreeMap<BackboneSchema, SchemaId> = BackboneSchema::ALL.into_iter().zip((1..).map(SchemaId)).collect();
    let codec = Codec::new(ids.clone());
    let kinds: Vec<(BackboneSchema, Schema)> =
        BackboneSchema::ALL.into_iter().map(|kind| (kind, Schema::parse(kind.text()).expect("a schema"))).collect();
    fuzz("backbone events", |random| {
        let (kind, schema) = random.pick(&kinds);
        let mut whole = Vec::new();
        schemas::frame(ids[kind], &mut whole);
        whole.extend(corpus::record(schema, random));
        for _ in 0..6 {
            let bytes = spoil::bytes(whole.clone(), &whole, random);
            // Nothing is expected of spoilt events but an answer.
            let _framed = Frame::parse(&bytes);
            let _answer = match kind {
                BackboneSchema::ProductState => codec.decode::<schemas::ProductState>(*kind, &bytes).err(),
                BackboneSchema::ContractVersion => codec.decode::<schemas::ContractVersion>(*kind, &bytes).err(),
                BackboneSchema::Lineage => codec.decode::<schemas::LineageEvent>(*kind, &bytes).err(),
                BackboneSchema::Quality => codec.decode::<schemas::QualityEvent>(*kind, &bytes).err(),
                BackboneSchema::Audit => codec.decode::<schemas::AuditEvent>(*kind, &bytes).err(),
            };
            let key = spoil::bytes(b"contract/orders.orders/1.0.0".to_vec(), b"product/a.b", random);
            let _key = CatalogKey::parse(&key);
            let _record = Catalog::decode(&codec, Some(&key), Some(&bytes));
            let _learnt = Codec::default().learn(*kind, SchemaId(1), &spoil::text(kind.text(), kind.text(), random));
        }
    });
}
