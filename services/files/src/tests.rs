//! Files and the records that come of them.

use std::io::Cursor;

use serde_json::json;

use super::*;

const SCHEMA: &str = r#"{"type":"record","name":"Order","fields":[
 {"name":"id","type":"string"},
 {"name":"quantity","type":"int"},
 {"name":"stock","type":["null","long"],"default":null},
 {"name":"rate","type":["double","null"]},
 {"name":"gift","type":"boolean","default":false},
 {"name":"price","type":["null",{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}]},
 {"name":"status","type":["null",{"type":"enum","name":"Status","symbols":["NEW","PAID"]}]},
 {"name":"placed","type":["null",{"type":"long","logicalType":"timestamp-millis"}]},
 {"name":"day","type":["null",{"type":"int","logicalType":"date"}]},
 {"name":"tracking","type":["null",{"type":"string","logicalType":"uuid"}]},
 {"name":"raw","type":["null","bytes"]},
 {"name":"lines","type":["null",{"type":"array","items":{"type":"record","name":"Line","fields":[{"name":"sku","type":"string"},{"name":"n","type":"int"}]}}]}
]}"#;

fn schema() -> Arc<Schema> {
    Arc::new(Schema::parse(SCHEMA).expect("the schema of the tests"))
}

fn rows(text: impl Into<Vec<u8>>, format: FileFormat, options: &Options) -> Vec<Row> {
    read(Box::new(Cursor::new(text.into())), "orders", format, &schema(), options)
        .expect("opens")
        .collect::<Result<_, _>>()
        .expect("reads")
}

fn csv(text: &str) -> Vec<Row> {
    rows(text, FileFormat::Csv, &Options::default())
}

fn shown_as(row: &Row) -> serde_json::Value {
    contract::avro::render(&schema(), row.outcome.as_ref().expect("a record")).expect("the body is Avro")
}

fn header_error(text: &str) -> String {
    let input = Box::new(Cursor::new(text.as_bytes().to_vec()));
    read(input, "orders.csv", FileFormat::Csv, &schema(), &Options::default())
        .map(|_| ())
        .expect_err("refused")
        .to_string()
}

/// The same record by way of JSON.
fn by_json(value: &serde_json::Value) -> Vec<u8> {
    let mut body = Vec::new();
    contract::avro::encode(&schema(), value, &mut body).expect("fits");
    body
}

#[test]
fn cells_become_what_json_becomes() {
    let text = "id,quantity,stock,rate,gift,price,status,placed,day,tracking,raw,lines\n\
        a b,+5.0,-7,1.5e3,True,-12.5,PAID,2026-01-02 03:04:05.678,2026-01-31,123e4567-e89b-12d3-a456-426614174000,xyz,\"[{\"\"sku\"\":\"\"q\"\",\"\"n\"\":1}]\"\n\
        ,0,,,0,,,,,,,\n\
        c,1,,,1,1e3,NEW,2026-01-02T03:04:05+01:00,1969-12-31,,,[]\n";
    let rows = csv(text);
    let expected = [
        json!({"id":"a b","quantity":5,"stock":-7,"rate":1500.0,"gift":true,"price":"-12.50","status":"PAID",
            "placed":"2026-01-02T03:04:05.678Z","day":"2026-01-31","tracking":"123e4567-e89b-12d3-a456-426614174000",
            "raw":"xyz","lines":[{"sku":"q","n":1}]}),
        json!({"id":"","quantity":0,"stock":null,"rate":null,"gift":false,"price":null,"status":null,"placed":null,
            "day":null,"tracking":null,"raw":null,"lines":null}),
        json!({"id":"c","quantity":1,"stock":null,"rate":null,"gift":true,"price":"1000","status":"NEW",
            "placed":"2026-01-02T02:04:05Z","day":"1969-12-31","tracking":null,"raw":null,"lines":[]}),
    ];
    assert_eq!(rows.len(), 3);
    for (row, expected) in rows.iter().zip(&expected) {
        assert_eq!(row.outcome.as_ref(), Ok(&by_json(expected)), "{} / {}", shown_as(row), expected);
    }
}

#[test]
fn decimals_have_their_shortest_bytes() {
    for price in [
        "0",
        "0.00",
        "1.27",
        "1.28",
        "-1.28",
        "-1.29",
        "2.55",
        "2.56",
        "99999999.99",
        "-99999999.99",
        "+3",
        "007.10",
        ".5",
        "5.",
    ] {
        let rows = csv(&format!("id,quantity,rate,price\nx,1,,{price}\n"));
        let mut given = json!({"id":"x","quantity":1,"rate":null,"price":null,"status":null,"placed":null,"day":null,
            "tracking":null,"raw":null,"lines":null});
        given["price"] = json!(price);
        assert_eq!(rows[0].outcome.as_ref(), Ok(&by_json(&given)), "{price}");
    }
}

#[test]
fn every_problem_of_a_record_is_named() {
    let text = "id,quantity,stock,rate,gift,price,status,placed,day,tracking,lines\n\
        x,5.5,9223372036854775808,abc,maybe,1.234,SHIPPED,yesterday,2026-02-30,123,\"[{\"\"sku\"\":1}]\"\n\
        y,,,,,123456789.00,,2026-01-01T00:00:00.0001Z,20260131,,[\n\
        z,3000000000,,,,,,1767312000000,,,\n";
    let rows = csv(text);
    let problems: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let problems = row.outcome.as_ref().expect_err("bad");
            problems.iter().map(|problem| format!("{}: {} {}", problem.path, problem.value, problem.message)).collect()
        })
        .collect();
    let starts = [
        vec![
            "quantity: 5.5 is not a whole number",
            "stock: 9223372036854775808 does not fit a long",
            "rate: abc is not a number",
            "gift: maybe is not a boolean",
            "price: 1.234 has more than 2 digits after the point",
            "status: SHIPPED is none of NEW, PAID",
            "placed: yesterday is not a timestamp",
            "day: 2026-02-30 is not a date",
            "tracking: 123 is not a UUID",
            "lines[0].sku: 1 is not a string",
            "lines[0].n:  is missing",
        ],
        vec![
            "quantity:  is empty",
            "gift:  is empty",
            "price: 123456789.00 has more than 10 digits",
            "placed: 2026-01-01T00:00:00.0001Z is finer than the milliseconds",
            "day: 20260131 is not a date",
            "lines: [ is not JSON",
        ],
        vec!["quantity: 3000000000 does not fit an int", "gift:  is empty", "placed: 1767312000000 is not a timestamp"],
    ];
    for (problems, starts) in problems.iter().zip(starts) {
        assert_eq!(problems.len(), starts.len(), "{problems:#?}");
        for (problem, start) in problems.iter().zip(starts) {
            assert!(problem.starts_with(start), "{problem} / {start}");
        }
    }
}

#[test]
fn lines_are_physical_whatever_ends_them() {
    let head = "id,quantity,rate,price,status,placed,day,tracking,raw,lines";
    for end in ["\n", "\r\n"] {
        let text = [
            head,
            "a,1,,,,,,,,",
            "\"b",
            "b\",2,,,,,,,,",
            "",
            "",
            "c,3,,,,,,,,",
            "\"d",
            "",
            "\",4,,,,,,,,",
            "e,5,,,,,,,,",
        ]
        .join(end);
        let at: Vec<(u64, u64)> = csv(&text).iter().map(|row| (row.record, row.line)).collect();
        assert_eq!(at, [(1, 2), (2, 3), (3, 7), (4, 8), (5, 11)], "{end:?}");
        let at: Vec<u64> = csv(&format!("{text}{end}")).iter().map(|row| row.line).collect();
        assert_eq!(at, [2, 3, 7, 8, 11], "{end:?}");
    }
}

#[test]
fn lines_hold_over_many_buffers() {
    let mut text = "id,quantity,rate\n".to_owned();
    for record in 0..20_000 {
        text.push_str(&format!("\"x\n{record}\",1,\n"));
    }
    assert!(csv(&text).iter().zip(0..).all(|(row, index)| row.line == 2 + 2 * index && row.outcome.is_ok()));
}

#[test]
fn a_header_that_does_not_fit_is_one_error() {
    let error = header_error("quantity,quantity,colour,,shape\n");
    assert!(error.contains("required field id"), "{error}");
    assert!(error.contains("colour, number 4 (without a name), shape"), "{error}");
    assert!(error.contains("more than one column for quantity"), "{error}");
    assert!(error.starts_with("orders.csv does not fit the schema: "), "{error}");
    assert!(header_error("").contains("empty"));
}

#[test]
fn columns_are_renamed_and_tokens_mean_null() {
    let options = Options {
        columns: BTreeMap::from([("Order No".to_owned(), "id".to_owned())]),
        dialect: Dialect { nulls: vec!["NA".to_owned()], ..Dialect::default() },
        ..Options::default()
    };
    let rows =
        rows("\u{feff}Order No\tquantity\trate\tstock\nNA\tNA\tNA\tNA\nNA\t1\tNA\tNA\n", FileFormat::Tsv, &options);
    let problems = rows[0].outcome.as_ref().expect_err("quantity is required");
    assert_eq!(problems[0].message, "means null, and the field must have a value");
    let record = shown_as(&rows[1]);
    assert_eq!(
        (&record["id"], &record["stock"]),
        (&json!("NA"), &json!(null)),
        "a string that must be there is taken as it is"
    );
}

#[test]
fn rows_of_another_length_and_encoding_are_bad_records() {
    let rows = rows(b"id,quantity,rate\na,1\nb,2,\n\xff,3,\nd,4,\n".to_vec(), FileFormat::Csv, &Options::default());
    let good: Vec<bool> = rows.iter().map(|row| row.outcome.is_ok()).collect();
    assert_eq!(good, [false, true, false, true]);
    assert!(rows[0].outcome.as_ref().expect_err("short")[0].message.contains("2 cells and the header has 3"));
}

#[test]
fn ndjson_is_read_line_by_line() {
    let good = r#"{"id":"a","quantity":1,"rate":2.5,"price":"1.5","status":null,"placed":null,"day":null,"tracking":null,"raw":null,"lines":null}"#;
    let text = format!("\u{feff}{good}\r\n\n{{\"id\": \n{{\"id\":\"b\",\"quantity\":\"2\"}}\n{good}");
    let rows = rows(text, FileFormat::Ndjson, &Options::default());
    let at: Vec<(u64, u64, bool)> = rows.iter().map(|row| (row.record, row.line, row.outcome.is_ok())).collect();
    assert_eq!(at, [(1, 1, true), (2, 3, false), (3, 4, false), (4, 5, true)]);
    let broken = rows[1].outcome.as_ref().expect_err("broken");
    assert_eq!((broken.len(), broken[0].path.as_str()), (1, ""));
    assert!(broken[0].message.contains("not JSON"));
    assert!(rows[2].outcome.as_ref().expect_err("wrong").iter().any(|problem| problem.path == "quantity"));
    assert_eq!(rows[0].raw, Raw::Json(good.to_owned()));
}

#[test]
fn an_endless_record_ends_the_reading() {
    for (format, start) in [(FileFormat::Csv, "id,quantity,rate\na,1,\n\"b"), (FileFormat::Ndjson, "\n\n{")] {
        let input = Cursor::new(start.as_bytes().to_vec()).chain(std::io::repeat(b'x'));
        let rows = read(Box::new(input), "orders", format, &schema(), &Options::default()).expect("opens");
        let last = rows.last().expect("one").expect_err("too long");
        assert!(matches!(last, FileError::TooLong { line: 3, .. }), "{last}");
    }
}

#[test]
fn rejected_rows_are_written_beside_the_file() {
    let directory = std::env::temp_dir().join(format!("weir-files-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let file = directory.join("orders.csv");
    std::fs::write(&file, "id,quantity,rate\na,1,\nb,\"1,5\",x\n").expect("a file");
    let mut rejected = RejectedWriter::beside(&file);
    assert!(!rejected.path().exists());
    for row in open(&file, FileFormat::of(&file).expect("known"), &schema()).expect("opens") {
        let row = row.expect("reads");
        if let Err(problems) = &row.outcome {
            rejected.write_problems(row.line, row.record, problems).expect("writes");
        }
    }
    rejected.write(9, 9, "", "total", "no").expect("writes");
    assert_eq!(rejected.rows(), 3);
    let path = rejected.finish().expect("writes").expect("some");
    assert_eq!(
        std::fs::read_to_string(path).expect("there"),
        "line,record,field,rule,reason\n3,2,quantity,type,\"1,5 is not a whole number\"\n3,2,rate,type,x is not a number like 12.5\n9,9,,total,no\n"
    );
    std::fs::remove_dir_all(&directory).expect("goes");
    assert!(open(&file, FileFormat::Csv, &schema()).map(|_| ()).expect_err("gone").to_string().contains("cannot read"));
}
