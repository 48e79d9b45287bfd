//! The page with twenty rules: the order that it shows keeps each of them, and what it says breaks a rule does.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use contract::avro::Schema;
use contract::{Condition, Context, Contract, Program, RuleId, Scratch, Severity, Verdict, cel};
use files::{FileFormat, Options};
use schemas::Timestamp;
use serde_json::{Map, Value};

use crate::avro::plain_contract;
use crate::readme::{Snippet, snippets};
use crate::sandbox::root;

/// 2024-06-01.
const NOW: Timestamp = Timestamp(1_717_200_000_000);

struct Page {
    schema: Schema,
    order: Map<String, Value>,
    /// Each with what breaks it.
    rules: Vec<(String, Map<String, Value>)>,
    /// Expressions of the contract that it shows.
    shown: Vec<String>,
}

fn object(snippet: &Snippet) -> Map<String, Value> {
    serde_json::from_str(&snippet.text).unwrap_or_else(|e| panic!("{e}: {}", snippet.text))
}

fn page() -> Page {
    let all = snippets(&root().join("services/weir/guide/rules.md"));
    let (contract, rest) = all.split_first().expect("a contract's part");
    let [schema, order, rules @ ..] = rest else { panic!("a schema and an order") };
    let expressions = contract.text.lines().filter_map(|line| line.trim().strip_prefix("expression: "));
    let shown = expressions.map(|text| serde_json::from_str(text).expect("a string in quotes")).collect();
    let pairs = rules.chunks(2).map(|pair| match pair {
        [rule, breaks] => {
            assert_eq!((rule.language.as_str(), breaks.language.as_str()), ("cel", "json"), "{}", rule.text);
            (rule.text.trim().to_owned(), object(breaks))
        }
        _ => panic!("a rule without a record that breaks it"),
    });
    Page { schema: Schema::parse(&schema.text).expect("a schema"), order: object(order), rules: pairs.collect(), shown }
}

fn contract(schema: &Schema, expression: &str) -> Arc<Contract> {
    let compiled = cel::compile(expression, schema, &|_| None).unwrap_or_else(|e| panic!("{e}: {expression}"));
    let condition = Condition {
        id: RuleId::new("rule"),
        expression: compiled,
        source: expression.into(),
        severity: Severity::Error,
        description: None,
    };
    let plain = plain_contract(schema.clone());
    Arc::new(Contract { conditions: vec![condition], ..(*plain).clone() })
}

/// What the enforcer says of an order as JSON.
fn judged(contract: &Arc<Contract>, order: &Map<String, Value>) -> Result<(), Vec<String>> {
    let line = serde_json::to_string(order).expect("JSON");
    let rows = files::read(
        Box::new(Cursor::new(line.clone())),
        "order",
        FileFormat::Ndjson,
        &contract.schema,
        &Options::default(),
    );
    let row = rows.expect("rows").next().expect("a row").expect("read");
    let body = row.outcome.unwrap_or_else(|problem| panic!("{problem:?}: {line}"));
    let program = Program::compile(&contract.schema, contract).expect("a schema resolves to itself");
    let mut scratch = Scratch::default();
    let context = Context { key: None, key_schema: None, now: NOW };
    match program.judge(&body, &context, &mut scratch, None) {
        Verdict::Conforms => Ok(()),
        Verdict::Violates => Err(scratch.violations().iter().map(|one| one.message.clone()).collect()),
    }
}

#[test]
fn each_rule_of_the_page_is_kept_and_broken_as_it_says() {
    let page = page();
    assert_eq!(page.rules.len(), 20);
    for (rule, breaks) in &page.rules {
        let contract = contract(&page.schema, rule);
        assert_eq!(judged(&contract, &page.order), Ok(()), "{rule}");
        let mut order = page.order.clone();
        order.extend(breaks.clone());
        let said = judged(&contract, &order).expect_err(rule);
        // It is broken, not without a value.
        assert_eq!(said, [format!("must fulfil {rule}")]);
    }
    // What breaks one rule breaks no other without a reason: most orders break one or two.
    let mut broken: BTreeMap<&str, usize> = BTreeMap::new();
    for (rule, _) in &page.rules {
        let contract = contract(&page.schema, rule);
        for (other, breaks) in &page.rules {
            let mut order = page.order.clone();
            order.extend(breaks.clone());
            *broken.entry(other).or_default() += usize::from(judged(&contract, &order).is_err());
        }
    }
    assert!(broken.values().all(|count| (1..=3).contains(count)), "{broken:#?}");
}

#[test]
fn the_contract_that_the_page_shows_is_one() {
    let page = page();
    assert_eq!(page.shown.len(), 2);
    for expression in &page.shown {
        assert_eq!(judged(&contract(&page.schema, expression), &page.order), Ok(()), "{expression}");
    }
}
