//! Drafts of small files, written in place.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use contract::avro::Kind as Avro;
use contract::{Check, Contract};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::*;

fn drafted(input: &Input, hints: &Hints) -> (Draft, Contract) {
    let product = "tests.drafts".parse().expect("a name");
    let request = Request { product: &product, owner: Some("team"), hints };
    let draft = draft(input, &request, &mut |_, _, _| {}).expect("a draft");
    let schema = Source { file: "schema", text: &draft.schema };
    let read = odcs::read(&Source { file: "contract", text: &draft.contract }, Some(&schema));
    let contract = read.unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{}", draft.contract)).contract;
    (draft, contract)
}

fn of(bytes: &[u8]) -> (Draft, Contract) {
    drafted(&Input::spooled(&mut &*bytes, "data").expect("room"), &Hints::default())
}

fn kinds(contract: &Contract) -> Vec<String> {
    let schema = &contract.schema;
    let record = schema.record(schema.root()).expect("a record");
    let named = record.fields.iter().map(|field| {
        let node = schema.nullable(field.node).unwrap_or(field.node);
        let kind = match (&schema.node(node).kind, schema.node(node).logical) {
            (_, Some(logical)) => format!("{logical:?}"),
            (kind @ (Avro::Record(_) | Avro::Enum(_)), None) => kind.type_word().to_owned(),
            (kind, None) => kind.name().to_owned(),
        };
        format!("{}:{kind}{}", field.name, if schema.nullable(field.node).is_some() { "?" } else { "" })
    });
    named.collect()
}

#[test]
fn types_are_those_that_a_person_would_give() {
    let text = "id,zip,price,on,at,utc,time,key,flag,big,share,none\n\
        1,01234,1.50,2024-01-31,2024-01-31 10:00:00,2024-01-31T10:00:00.5Z,10:30,123e4567-e89b-12d3-a456-426614174000,true,9000000000,0.5,\n\
        2,99999,12.25,2024-02-01,2024-01-31 11:00:00,2024-01-31T10:00:00+01:00,23:59:59,123e4567-e89b-12d3-a456-426614174001,false,1,1e3,\n";
    let (_, contract) = of(text.as_bytes());
    let expected = [
        "id:long",
        "zip:string",
        "price:Decimal { precision: 8, scale: 2 }",
        "on:Date",
        "at:LocalTimestampMillis",
        "utc:TimestampMillis",
        "time:TimeMillis",
        "key:Uuid",
        "flag:boolean",
        "big:long",
        "share:double",
        "none:string?",
    ];
    assert_eq!(kinds(&contract), expected);
}

#[test]
fn what_the_sample_does_not_show_changes_the_draft_all_the_same() {
    let mut text = "a,b,c\n".to_owned();
    for number in 0..200_000 {
        text.push_str(&format!("{number},{}.5,x\n", number % 7));
    }
    text.push_str("none,NA,\u{e9}\n");
    let (draft, contract) = of(text.as_bytes());
    assert_eq!(kinds(&contract), ["a:string", "b:double?", "c:string"]);
    assert_eq!(draft.records, 200_001);
    // Beyond the sample it is no longer UTF-8.
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(b"1,2,caf\xe9\n");
    let (draft, _) = of(&bytes);
    assert!(draft.contract.contains("encoding: windows-1252"), "{}", draft.contract);
}

#[test]
fn the_dialect_is_found_and_can_be_decided() {
    let german = "Name;Betrag\r\nA;1.234,50\r\nB;7,25\r\nC;-,\r\n".replace("-,", "");
    let (_, contract) = of(german.as_bytes());
    let dialect = &contract.settings.file;
    assert_eq!((dialect.separator, dialect.decimal, dialect.thousands), (Some(';'), ',', Some('.')));
    assert_eq!(kinds(&contract), ["Name:string", "Betrag:double?"]);
    let hints = Hints { separator: Some('|'), header: Some(false), nulls: Some(Vec::new()), ..Hints::default() };
    let (_, contract) = drafted(&Input::spooled(&mut &b"NA|1\nb|2\n"[..], "data").expect("room"), &hints);
    assert_eq!(kinds(&contract), ["column_1:string", "column_2:int"]);
    let utf16: Vec<u8> = "\u{feff}a,b\n1,\u{e9}\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(kinds(&of(&utf16).1), ["a:int", "b:string"]);
}

#[test]
fn packed_files_are_read_like_others() {
    let text = b"a,b\n1,x\n2,y\n";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text).expect("room");
    let zstd = zstd::stream::encode_all(&text[..], 1).expect("room");
    for packed in [gzip.finish().expect("room"), zstd] {
        assert_eq!(kinds(&of(&packed).1), ["a:int", "b:string"]);
    }
}

#[test]
fn json_has_its_nesting_its_gaps_and_its_several_types() {
    let text = r#"[{"id":1,"who":{"first-name":"a"},"lines":[{"n":1},{"n":null}],"v":1},
        {"id":2,"who":{"first-name":"b"},"lines":[],"v":"x","extra":[1,2.5],"at":"2024-01-01"}]"#;
    let (draft, contract) = of(text.as_bytes());
    assert_eq!(kinds(&contract), ["id:long", "who:record", "lines:array", "v:union", "extra:array?", "at:Date?"]);
    assert!(draft.contract.contains("physicalName: first-name"), "{}", draft.contract);
}

#[test]
fn rules_have_room_and_keys_are_found() {
    let mut text = "order_id,status,total,from,to,a,b,c\n".to_owned();
    for number in 0..100 {
        let status = ["NEW", "PAID", "DONE"][number % 3];
        let (a, b) = (number * 7 % 31, number % 11);
        text.push_str(&format!(
            "{number},{status},{},2024-01-{:02},2024-01-{:02},{a},{b},{}\n",
            number * 13 % 700,
            number % 20 + 1,
            number % 20 + 1 + number % 5,
            a + b
        ));
    }
    let (_, contract) = of(text.as_bytes());
    let rules: Vec<&str> = contract.rules.iter().map(|rule| rule.id.as_str()).collect();
    assert!(rules.contains(&"status:invalidValues") && rules.contains(&"total:maximum"), "{rules:?}");
    let conditions: Vec<&str> = contract.conditions.iter().map(|condition| &*condition.source).collect();
    assert_eq!(conditions, ["from <= to", "c == a + b"]);
    assert_eq!(contract.settings.key.fields.len(), 1);
    assert!(contract.rules.iter().any(|rule| matches!(rule.check, Check::Range { .. })));
}

#[test]
fn rows_of_another_length_are_said_and_what_is_no_table_is_refused() {
    let (draft, _) = of(b"a,b\n1,2\n3\n4,5\n");
    assert_eq!(draft.malformed, Some((1, 3)));
    for bytes in [&b""[..], b"[1,2]", b"PAR1 and no more", b"Obj\x01\x00"] {
        let input = Input::spooled(&mut &*bytes, "data").expect("room");
        let product = "tests.drafts".parse().expect("a name");
        let request = Request { product: &product, owner: None, hints: &Hints::default() };
        assert!(super::draft(&input, &request, &mut |_, _, _| {}).is_err(), "{bytes:?}");
    }
}

fn parquet() -> Vec<u8> {
    let schema = "message m {
        required int64 id; optional binary name (UTF8); required int32 day (DATE);
        required int64 at (TIMESTAMP(MICROS,false)); optional double value; required int32 price (DECIMAL(9,2)); }";
    let schema = Arc::new(parse_message_type(schema).expect("a schema"));
    let mut bytes = Vec::new();
    let mut writer =
        SerializedFileWriter::new(&mut bytes, schema, Arc::new(WriterProperties::builder().build())).expect("a file");
    let mut group = writer.next_row_group().expect("a group");
    let mut index = 0;
    while let Some(mut column) = group.next_column().expect("a column") {
        match index {
            0 => column.typed::<Int64Type>().write_batch(&[1, 2, 3], None, None).map(drop),
            1 => column
                .typed::<ByteArrayType>()
                .write_batch(&[ByteArray::from("a"), ByteArray::from("b")], Some(&[1, 0, 1]), None)
                .map(drop),
            2 => column.typed::<Int32Type>().write_batch(&[0, 19_000, -1], None, None).map(drop),
            3 => column.typed::<Int64Type>().write_batch(&[0, 1_500_000, -1], None, None).map(drop),
            4 => column.typed::<DoubleType>().write_batch(&[0.5, 1.5, 2.0], Some(&[1, 1, 1]), None).map(drop),
            _ => column.typed::<Int32Type>().write_batch(&[125, -5, 0], None, None).map(drop),
        }
        .expect("values");
        column.close().expect("a column");
        index += 1;
    }
    group.close().expect("a group");
    writer.close().expect("a file");
    bytes
}

#[test]
fn parquet_brings_its_types() {
    let bytes = parquet();
    let (_, contract) = of(&bytes);
    let expected = [
        "id:long",
        "name:string?",
        "day:Date",
        "at:LocalTimestampMicros",
        "value:double",
        "price:Decimal { precision: 9, scale: 2 }",
    ];
    assert_eq!(kinds(&contract), expected);
    let input = Input::spooled(&mut bytes.as_slice(), "data").expect("room");
    let rows = input.rows(FileFormat::Parquet, &contract.schema, &crate::Options::of(&contract)).expect("it opens");
    let shown: Vec<serde_json::Value> = rows
        .map(|row| avro::render(&contract.schema, &row.expect("it reads").outcome.expect("it fits")).expect("Avro"))
        .collect();
    assert_eq!(
        shown[1],
        serde_json::json!({"id": 2, "name": null, "day": "2022-01-08", "at": "1970-01-01T00:00:01.5", "value": 1.5, "price": "-0.05"})
    );
}

#[test]
fn a_profile_tells_what_is_there() {
    let mut text = "n,word\n".to_owned();
    (0..1_000).for_each(|number| text.push_str(&format!("{number},{}\n", ["a", "b", "a", ""][number % 4])));
    let input = Input::spooled(&mut text.as_bytes(), "data").expect("room");
    let told = profile(&input, &Hints::default(), &mut |_, _| {}).expect("a profile");
    let [number, word] = told.fields.as_slice() else { panic!("{told:?}") };
    assert_eq!((number.least.as_deref(), number.greatest.as_deref(), number.nulls), (Some("0"), Some("999"), 0));
    let [.., p95] = number.quantiles.expect("quantiles");
    assert!((p95 - 950.0).abs() < 40.0 && (900..=1_000).contains(&number.distinct), "{number:?}");
    assert_eq!(number.histogram.iter().sum::<u64>() / 100, 10);
    assert_eq!(word.top, [("a".to_owned(), 500), ("b".to_owned(), 250)]);
    assert_eq!((word.nulls, word.distinct), (250, 2));
}

#[test]
fn a_file_by_its_path_is_read_again_from_its_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("data.csv");
    File::create(&path).and_then(|mut file| file.write_all(b"a\n1\n")).expect("room");
    let input = Input::new(&path).expect("a path");
    assert_eq!((drafted(&input, &Hints::default()).0.records, input.size(), input.position()), (1, 4, 4));
}
