//! One Java process that answers many questions: see `tests/java/avro/Judge.java`.

use std::fmt::Write as _;
use std::process::Command;

use serde_json::{Value as Json, json};

use super::proof::read::Seen;
use crate::sandbox::{root, run, tests_dir};

/// The answers to questions, in order.
pub(crate) fn answers(questions: &[Json]) -> Vec<Json> {
    let jars = tests_dir().join("avro-1.12.1");
    assert!(jars.join(".complete").exists(), "no Avro in {}: run tests/run, which fetches it", jars.display());
    let mut command = Command::new("java");
    command
        .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx512m", "-Xss8m", "-cp"])
        .arg(format!("{}/*", jars.display()))
        .arg(root().join("tests/java/avro/Judge.java"));
    let lines: String = questions.iter().map(|question| format!("{question}\n")).collect();
    let output = run(command, lines.as_bytes()).ok();
    let answers: Vec<Json> =
        output.stdout.lines().map(|line| serde_json::from_str(line).expect("the judge speaks JSON")).collect();
    assert_eq!(answers.len(), questions.len(), "{}", output.stderr);
    answers
}

/// Whether a reader reads what a writer wrote.
pub(crate) fn pair(reader: &str, writer: &str) -> Json {
    json!({"pair": [reader, writer]})
}

/// What a reader makes of records.
pub(crate) fn read(writer: &str, reader: &str, bodies: &[Vec<u8>]) -> Json {
    let bodies: Vec<String> = bodies.iter().map(|body| hex(body)).collect();
    json!({"read": [writer, reader], "bodies": bodies})
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("text takes text");
        text
    })
}

/// A value as the judge says it: floats by their bits, text and bytes in hexadecimal, entries in order of key.
pub(crate) fn said(value: &Seen) -> String {
    let entries = |fields: &[(String, Seen)]| {
        let mut fields: Vec<_> = fields.iter().collect();
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        let all: String =
            fields.iter().map(|(name, value)| format!("k{}:{},", hex(name.as_bytes()), said(value))).collect();
        format!("{{{all}}}")
    };
    match value {
        Seen::Null => "null".to_owned(),
        Seen::Bool(value) => value.to_string(),
        Seen::Whole(value) => value.to_string(),
        Seen::Single(value) if value.is_nan() => "nan".to_owned(),
        Seen::Double(value) if value.is_nan() => "nan".to_owned(),
        Seen::Single(value) => format!("f{:x}", value.to_bits()),
        Seen::Double(value) => format!("d{:x}", value.to_bits()),
        Seen::Text(text) | Seen::Symbol(text) => format!("s{}", hex(text.as_bytes())),
        Seen::Bytes(bytes) | Seen::Decimal(bytes) => format!("b{}", hex(bytes)),
        Seen::Items(items) => format!("[{}]", items.iter().map(|item| said(item) + ",").collect::<String>()),
        Seen::Entries(fields) | Seen::Record(fields) => entries(fields),
        Seen::Misfit => "misfit".to_owned(),
    }
}
