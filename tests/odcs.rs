//! The contract reader against the standard's own JSON schemas: what it accepts is valid there; what is
//! refused there, it refuses; what it refuses besides is of a kind that is listed here.

use std::collections::BTreeMap;
use std::path::Path;

use contract::odcs::{self, Source};
use serde_json::{Value as Json, json};

use crate::avro::Random;
use crate::sandbox::{oracle_command, root, run};

/// Why a contract that is valid by the standard is refused: what Weir needs of it, or cannot promise.
const STRICTER: [(&str, &str); 45] = [
    ("of the Avro record", "what is declared is what the records carry"),
    ("`weir.", "Weir's own settings have types of their own"),
    ("a measure", "in `weir.measures`"),
    ("a condition", "in `weir.conditions`"),
    ("a field must be its path", "in `weir.key` and `weir.measures`"),
    ("`eventTime` must", "in `weir.measures`"),
    ("`distinct` must", "likewise"),
    ("`quantiles` must", "likewise"),
    ("needs what stands between them", "a key of several fields, in `weir.key`"),
    ("`fields` must", "in `weir.key`"),
    ("`expression` must", "in `weir.conditions`"),
    ("`type` cannot be", "in `weir.key`"),
    ("the condition `", "a condition is CEL over the fields there are"),
    ("is not a key of", "a key that nobody reads is a mistake of typing"),
    ("must be one value, not", "values of fields are scalars"),
    ("does not say which values are", "or the metric says nothing"),
    ("of the arguments of a metric", "likewise"),
    ("`validValues` must be a list", "likewise"),
    ("`missingValues` must be a list", "likewise"),
    ("`status` cannot be", "a contract's life has five stages"),
    ("`severity` cannot be", "a rule is enforced, or measured"),
    ("`schema` is empty", "one schema object is one product's"),
    ("describes one schema object", "one schema object is one product's"),
    ("version \"", "three numbers, whose first is in the topic's name"),
    ("domain \"", "it is in the topic's name"),
    ("product name \"", "it is in the topic's name"),
    ("no value keeps both", "no record could be published"),
    ("`mustBe` must be a number", "metrics are numbers"),
    ("cannot be a value of `", "values are of their fields' types"),
    ("is measured twice", "in `weir.measures`"),
    ("is declared twice", "a field has one declaration"),
    ("two rules have the id", "a violation names its rule"),
    ("the rule id", "a violation names its rule"),
    ("must have `metric`", "or the quality entry says nothing"),
    ("implementation of a CEL condition must be text", "or nothing can be evaluated"),
    ("a compacted product keeps the latest record per key", "compaction needs a key"),
    ("deletes its key", "tombstones need a key"),
    ("`separator` must be", "in `weir.key`"),
    ("must have `domain`", "it is in the topic's name"),
    ("must have `properties`", "what is not declared cannot be promised"),
    ("`properties` must be", "likewise, where the standard allows anything"),
    ("is not the name of a Kafka topic", "in `weir.inbox`"),
    ("but the Avro field `", "what is declared is what the records carry"),
    ("does not say which values count as missing", "or the metric says nothing"),
    ("is not a format of strings", "a format that cannot be enforced is no promise"),
];

pub(crate) struct Original {
    pub(crate) text: String,
    document: Json,
    pub(crate) schema: String,
}

/// Real contracts, and the one that uses everything.
pub(crate) fn originals() -> Vec<Original> {
    let mut found = Vec::new();
    let golden = root().join("services/contract/tests/golden");
    found.push(original(&golden.join("good.odcs.yaml"), &golden.join("good.avsc")));
    let folders = [root().join("schemas/products"), root().join("tests/products")];
    for product in folders.iter().flat_map(|folder| entries(folder)).flat_map(|domain| entries(&domain)) {
        let schema = entries(&product).into_iter().find(|path| path.extension().is_some_and(|end| end == "avsc"));
        found.push(original(&product.join("contract.odcs.yaml"), &schema.expect("a schema beside the contract")));
    }
    found
}

fn entries(folder: &Path) -> Vec<std::path::PathBuf> {
    let read = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut found: Vec<_> = read.map(|entry| entry.expect("an entry").path()).collect();
    found.sort();
    found
}

fn original(contract: &Path, schema: &Path) -> Original {
    let text = |path: &Path| std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (text, schema) = (text(contract), text(schema));
    let document = serde_saphyr::from_str(&text).expect("YAML");
    Original { text, document, schema }
}

/// Keys of the standard, wherever they belong.
const KEYS: [&str; 52] = [
    "apiVersion",
    "kind",
    "id",
    "name",
    "version",
    "status",
    "domain",
    "dataProduct",
    "tenant",
    "tags",
    "description",
    "purpose",
    "usage",
    "limitations",
    "authoritativeDefinitions",
    "url",
    "type",
    "customProperties",
    "property",
    "value",
    "servers",
    "server",
    "schema",
    "properties",
    "logicalType",
    "physicalType",
    "physicalName",
    "required",
    "unique",
    "primaryKey",
    "primaryKeyPosition",
    "partitioned",
    "partitionKeyPosition",
    "classification",
    "quality",
    "metric",
    "mustBe",
    "mustBeBetween",
    "mustBeLessThan",
    "unit",
    "severity",
    "dimension",
    "logicalTypeOptions",
    "minimum",
    "maxLength",
    "format",
    "items",
    "team",
    "members",
    "roles",
    "support",
    "slaProperties",
];

fn value(random: &mut Random) -> Json {
    random
        .pick(&[
            Json::Null,
            json!(true),
            json!(0),
            json!(-1),
            json!(1.5),
            json!(""),
            json!("x"),
            json!("string"),
            json!("v3.2.0"),
            json!("2024-01-01"),
            json!([]),
            json!({}),
            json!(["x"]),
            json!([{"x": 1}]),
            json!([{"property": "p", "value": "v"}]),
            json!([{"url": "https://example.com", "type": "other"}]),
        ])
        .clone()
}

fn places(value: &Json, place: String, out: &mut Vec<String>) {
    match value {
        Json::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                places(item, format!("{place}/{index}"), out);
            }
        }
        Json::Object(object) => {
            for (key, item) in object {
                places(item, format!("{place}/{}", key.replace('~', "~0").replace('/', "~1")), out);
            }
        }
        _ => {}
    }
    out.push(place);
}

fn mutate(document: &mut Json, random: &mut Random) {
    let mut all = Vec::new();
    places(document, String::new(), &mut all);
    let (from, to) = (random.pick(&all).clone(), random.pick(&all).clone());
    let elsewhere = document.pointer(&from).cloned().unwrap_or_default();
    let kind = random.below(8);
    match document.pointer_mut(&to) {
        Some(Json::Object(object)) if kind < 6 && !object.is_empty() => {
            let keys: Vec<String> = object.keys().cloned().collect();
            let key = random.pick(&keys).clone();
            match kind {
                0 => drop(object.shift_remove(&key)),
                1 => {
                    let value = object.shift_remove(&key).unwrap_or_default();
                    object.insert(format!("{key}s"), value);
                }
                2 => drop(object.insert(key, elsewhere)),
                3 => drop(object.insert((*random.pick(&KEYS)).to_owned(), elsewhere)),
                4 => drop(object.insert((*random.pick(&KEYS)).to_owned(), value(random))),
                _ => drop(object.insert(key, value(random))),
            }
        }
        Some(Json::Array(items)) if kind < 4 => match kind {
            0 if !items.is_empty() => drop(items.remove(random.below(items.len()))),
            1 => items.push(elsewhere),
            2 if !items.is_empty() => items.push(items[0].clone()),
            _ => items.push(value(random)),
        },
        Some(other) => *other = value(random),
        None => {}
    }
}

/// The mapping around the place of an error, as far as it can be shown.
fn around(document: &Json, error: &str) -> String {
    let place = error.split(": ").next().unwrap_or_default();
    let parent = place.rsplit_once('/').map_or(String::new(), |(parent, _)| format!("/{parent}"));
    document.pointer(&parent).map(ToString::to_string).unwrap_or_default().chars().take(400).collect()
}

#[derive(Debug, Default)]
struct Tally {
    accepted: usize,
    refused: usize,
    stricter: BTreeMap<&'static str, usize>,
}

#[test]
fn what_is_accepted_is_valid_by_the_standard() {
    let originals = originals();
    let mut random = Random::new(crate::avro::seed() ^ 0x0d);
    let mut documents: Vec<(&Original, Json)> =
        originals.iter().map(|original| (original, original.document.clone())).collect();
    for _ in 0..crate::avro::many(1_500) {
        let original = random.pick(&originals);
        let mut document = original.document.clone();
        if random.one_in(8) {
            document["apiVersion"] = random.pick(&[json!("v3.0.2"), json!("v3.1.0"), json!("v3.2.0")]).clone();
        }
        (0..1 + random.below(2)).for_each(|_| mutate(&mut document, &mut random));
        documents.push((original, document));
    }
    let lines: String = documents.iter().map(|(_, document)| format!("{document}\n")).collect();
    let output = run(oracle_command("check_odcs.py", &[]), lines.as_bytes()).ok();
    let answers: Vec<Option<String>> =
        output.stdout.lines().map(|line| serde_json::from_str(line).expect("the oracle speaks JSON")).collect();
    assert_eq!(answers.len(), documents.len());
    let (mut tally, mut wrong) = (Tally::default(), Vec::new());
    for ((original, document), invalid) in documents.iter().zip(&answers) {
        let text = document.to_string();
        let schema = Source { file: "schema", text: &original.schema };
        match (odcs::read(&Source { file: "contract", text: &text }, Some(&schema)), invalid) {
            (Ok(_), None) => tally.accepted += 1,
            (Err(_), Some(_)) => tally.refused += 1,
            (Ok(_), Some(error)) => {
                wrong.push(format!("only the standard refuses: {error}\n    {}", around(document, error)))
            }
            (Err(mistakes), None) => {
                for mistake in mistakes {
                    match STRICTER.iter().find(|(known, _)| mistake.what.contains(known)) {
                        Some((known, _)) => *tally.stricter.entry(*known).or_default() += 1,
                        None => wrong.push(format!("only we refuse: {}", mistake.what)),
                    }
                }
            }
        }
    }
    wrong.sort();
    assert!(wrong.is_empty(), "{} wrong, {tally:?}:\n  {}", wrong.len(), wrong.join("\n  "));
    let enough = documents.len() / 20;
    assert!(tally.accepted > enough && tally.refused > enough, "{tally:?}");
    assert!(tally.stricter.len() > STRICTER.len() / 2, "{tally:?}");
}
