//! What is in topics that nobody described: profiled, drafted and judged where it lies, and nothing there is touched.

use std::path::PathBuf;

use serde_json::Value;

use crate::backbone::Backbone;
use crate::clients::readings;
use crate::sandbox::{oracle, oracle_command, run, say};

const RECORDS: u64 = 300;

fn json(backbone: &Backbone, args: &[&str]) -> Value {
    let output = backbone.weir(args);
    assert!(matches!(output.code, Some(0 | 1)), "{args:?}: {output:?}");
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}: {output:?}"))
}

/// Drafts a contract from a topic; it must validate. Its path.
fn drafted(backbone: &Backbone, topic: &str, product: &str) -> PathBuf {
    let out = backbone.scratch().join("drafts");
    let words = out.to_str().expect("a path of ours is text");
    let said = backbone.weir(&["init", "--from", &format!("topic:{topic}"), "--product", product, "--out", words]).ok();
    say(said.stderr.lines().next().unwrap_or_default());
    let contract = out.join(product.replace('.', "/")).join("contract.odcs.yaml");
    backbone.weir(&["validate", contract.to_str().expect("a path of ours is text")]).ok();
    contract
}

/// The groups and committed offsets that have to do with this backbone, and its registry's subjects.
fn state(backbone: &Backbone) -> String {
    oracle("groups.py", &[backbone.brokers(), &backbone.registry(), backbone.prefix()]).stdout
}

#[test]
fn a_topic_of_avro_is_drafted_and_every_record_keeps_the_draft() {
    let backbone = readings("topics");
    let inbox = backbone.topic("inbox.meter.readings.v1");
    let registry = backbone.registry();
    run(oracle_command("produce_many.py", &[backbone.brokers(), &registry, &inbox, "0", "2000", "10", "3"]), b"").ok();
    let before = state(&backbone);
    let contract = drafted(&backbone, &inbox, "meter.drafted");
    let schema = std::fs::read_to_string(contract.with_file_name("drafted.avsc")).expect("a schema");
    assert!(schema.contains("\"sensor\""), "{schema}");
    let contract = contract.to_str().expect("a path of ours is text");
    let audit = json(&backbone, &["check", "--contract", contract, "--topic", &inbox, "-o", "json"]);
    assert_eq!((audit["records"].as_u64(), audit["held_back"].as_u64()), (Some(2000), Some(0)), "{audit}");
    let profile = json(&backbone, &["profile", &format!("topic:{inbox}"), "--last", "400", "-o", "json"]);
    let records = profile["records"].as_u64().expect("a count");
    assert!((1..=404).contains(&records), "{records}");
    assert_eq!(state(&backbone), before, "nothing was touched");
}

#[test]
fn topics_of_json_of_lines_and_of_everything_are_drafted() {
    let backbone = readings("legacy");
    let registry = backbone.registry();
    oracle("mixed_topics.py", &[backbone.brokers(), &registry, backbone.prefix(), &RECORDS.to_string()]);
    for (name, product, field) in
        [("json", "shop.orders", "mail"), ("lines", "shop.visits", "date"), ("mixed", "meter.all", "sensor")]
    {
        let topic = backbone.topic(&format!("legacy-{name}"));
        let contract = drafted(&backbone, &topic, product);
        let text = std::fs::read_to_string(&contract).expect("a contract");
        assert!(name == "lines" || text.contains(&format!("- name: {field}")), "{text}");
        let profile = json(&backbone, &["profile", &format!("topic:{topic}"), "-o", "json"]);
        assert_eq!(profile["records"].as_u64(), Some(RECORDS), "{name}");
    }
    let topic = backbone.topic("legacy-nothing");
    let output = backbone.weir(&["profile", &format!("topic:{topic}")]);
    assert!(output.stderr.contains(&format!("there is no topic {topic}")), "{output:?}");
    assert_eq!(output.code, Some(1));
}
