//! What contracts are read as, and what wrong ones are told: data in `golden/`, written anew with
//! `UPDATE_GOLDEN=1 cargo test -p contract --test golden`.
//!
//! `mistakes.golden` holds cases. Each changes lines of `good.odcs.yaml` (or, after `%schema`, of `good.avsc`)
//! and lists what is then said, with the line that each message points at:
//!
//! ```text
//! == name of the case
//! - a line as it stands, without its indentation (`-2` for its second occurrence)
//! + the lines that replace it, indented like it
//! > 6:9: what; write …
//! | status: actve
//! |         ^
//! ```

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use contract::odcs::{self, Mistake, Source};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(golden(name)).unwrap()
}

fn hold(name: &str, found: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(golden(name), found).unwrap();
        return;
    }
    let expected = text(name);
    for (number, (expected, found)) in expected.lines().zip(found.lines()).enumerate() {
        assert_eq!(expected, found, "{name}, line {}", number + 1);
    }
    assert_eq!(expected.len(), found.len(), "{name} has other lines at its end");
}

/// Replaces the nth line that reads `old`; the new lines take its indentation.
fn edit(document: &str, old: &str, nth: usize, new: &[String]) -> String {
    let mut seen = 0;
    let mut out = String::new();
    for line in document.lines() {
        let hit = line.trim() == old && {
            seen += 1;
            seen == nth
        };
        if !hit {
            writeln!(out, "{line}").unwrap();
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        for new in new {
            writeln!(out, "{indent}{new}").unwrap();
        }
    }
    assert!(seen >= nth, "no line {nth} reads {old:?}");
    out
}

#[derive(Default)]
struct Case {
    /// The lines of the case that are input.
    input: Vec<String>,
    contract: String,
    schema: String,
}

fn cases(file: &str, contract: &str, schema: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for block in file.split("\n== ").map(|block| block.trim_start_matches("== ")) {
        let mut case = Case { contract: contract.to_owned(), schema: schema.to_owned(), ..Case::default() };
        let mut of_schema = false;
        let mut pending: Option<(String, usize, Vec<String>)> = None;
        let lines: Vec<&str> = block.lines().filter(|line| !line.starts_with(['>', '|'])).collect();
        for line in lines.iter().chain([&""]) {
            if let Some(new) = line.strip_prefix('+') {
                pending.as_mut().unwrap().2.push(new.strip_prefix(' ').unwrap_or(new).to_owned());
            } else if let Some((old, nth, new)) = pending.take() {
                let target = if of_schema { &mut case.schema } else { &mut case.contract };
                *target = edit(target, &old, nth, &new);
            }
            if let Some(old) = line.strip_prefix('-') {
                let (nth, old) = old.split_once(' ').unwrap();
                pending = Some((old.to_owned(), nth.parse().unwrap_or(1), Vec::new()));
            }
            match *line {
                "%schema" => of_schema = true,
                "%no-schema" => case.schema.clear(),
                _ => {}
            }
        }
        case.input = lines.iter().filter(|line| !line.is_empty()).map(ToString::to_string).collect();
        cases.push(case);
    }
    cases
}

fn told(out: &mut String, mistake: &Mistake, contract: &str, schema: &str) {
    let document = if &*mistake.file == "good.avsc" { schema } else { contract };
    writeln!(out, "> {mistake}").unwrap();
    let line = document.lines().nth(mistake.line as usize - 1).unwrap_or_default();
    writeln!(out, "| {}", line).unwrap();
    writeln!(out, "| {}^", " ".repeat(mistake.column as usize - 1)).unwrap();
}

#[test]
fn wrong_contracts_are_told_where_and_what_to_write() {
    let (contract, schema) = (text("good.odcs.yaml"), text("good.avsc"));
    let mut out = String::new();
    let cases = cases(&text("mistakes.golden"), &contract, &schema);
    assert!(cases.len() >= 60, "only {} cases", cases.len());
    for case in cases {
        write!(out, "== ").unwrap();
        for line in &case.input {
            writeln!(out, "{line}").unwrap();
        }
        let source = Source { file: "good.odcs.yaml", text: &case.contract };
        let schema = Source { file: "good.avsc", text: &case.schema };
        let schema = Some(&schema).filter(|schema| !schema.text.is_empty());
        let mistakes =
            odcs::read(&source, schema).err().unwrap_or_else(|| panic!("nothing wrong with {:?}", case.input));
        for mistake in &mistakes {
            told(&mut out, mistake, &case.contract, &case.schema);
        }
        out.push('\n');
    }
    hold("mistakes.golden", &out);
}

#[test]
fn a_good_contract_is_read_whole() {
    let (contract, schema) = (text("good.odcs.yaml"), text("good.avsc"));
    let source = Source { file: "good.odcs.yaml", text: &contract };
    assert_eq!(odcs::schema_file(&source).as_deref(), Some("good.avsc"));
    let read = odcs::read(&source, Some(&Source { file: "good.avsc", text: &schema })).unwrap_or_else(|mistakes| {
        panic!("{}", mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    });
    let contract = read.contract;
    let mut out = String::new();
    writeln!(out, "{} {} {} {:?}", contract.id, contract.product, contract.version, contract.status).unwrap();
    writeln!(out, "{:#?}\n{:#?}", contract.about, contract.settings).unwrap();
    for rule in &contract.rules {
        writeln!(out, "rule {} {} {:?} {:?} {:?}", rule.id, rule.path, rule.severity, rule.check, rule.description)
            .unwrap();
    }
    for condition in &contract.conditions {
        writeln!(
            out,
            "condition {} {:?} {} {:?}",
            condition.id, condition.severity, condition.source, condition.description
        )
        .unwrap();
    }
    for measure in &contract.measures {
        writeln!(
            out,
            "measure {} distinct={} quantiles={} event_time={}",
            measure.path, measure.distinct, measure.quantiles, measure.event_time
        )
        .unwrap();
    }
    for objective in &contract.objectives {
        let path = objective.path.as_ref().map(ToString::to_string);
        writeln!(
            out,
            "objective {} {path:?} {} {:?} {:?} {:?}",
            objective.id, objective.metric, objective.threshold, objective.unit, objective.description
        )
        .unwrap();
    }
    for path in &contract.classified {
        writeln!(out, "classified {path}").unwrap();
    }
    for note in &read.notes {
        writeln!(out, "{note}").unwrap();
    }
    hold("good.golden", &out);
}

const SMALL: &str = r#"{"type": "record", "name": "Sale", "fields": [{"name": "amount", "type": ["null", "int"]}]}"#;

fn small(text: &str) -> Result<odcs::Read, Vec<Mistake>> {
    odcs::read(&Source { file: "sale.yaml", text }, Some(&Source { file: "sale.avsc", text: SMALL }))
}

#[test]
fn odcs_3_0_is_read_as_3_1() {
    let read = small(
        r"
apiVersion: v3.0.2
kind: DataContract
id: x
name: Point of Sale
version: 1.0.0
status: draft
domain: shop
team:
  - username: ada
    role: Owner
schema:
  - name: Sale
    properties:
      - name: money
        physicalName: amount
        logicalType: integer
        quality:
          - rule: nullValues
            mustBe: 0
          - type: sql
            query: SELECT 1
            mustBeBetween: [1, 2]
          - type: text
            description: It is right.
          - type: custom
            engine: soda
            implementation: checks
",
    )
    .unwrap();
    let contract = read.contract;
    assert_eq!(contract.product.to_string(), "shop.point-of-sale");
    let team = contract.about.team.unwrap();
    assert_eq!((team.name.as_str(), team.members.len()), ("shop", 1));
    let rules: Vec<&str> = contract.rules.iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(rules, ["amount:nullValues"]);
    let objectives: Vec<&str> = contract.objectives.iter().map(|objective| objective.id.as_str()).collect();
    assert_eq!(objectives, ["amount:sql", "amount:text", "amount:custom"]);
    assert_eq!(contract.objectives[0].threshold["mustBeBetween.max"], 2.0);
    assert_eq!(read.notes.len(), 3, "what is not enforced is said");
}

#[test]
fn a_long_rule_id_keeps_its_bound_and_stays_its_own() {
    let name = "a".repeat(150);
    let schema = format!(
        r#"{{"type": "record", "name": "R", "fields": [{{"name": "{name}x", "type": "int"}}, {{"name": "{name}y", "type": "int"}}]}}"#
    );
    let property = |end: char| {
        format!(
            "      - name: {name}{end}\n        logicalType: integer\n        logicalTypeOptions: {{ minimum: 1 }}\n"
        )
    };
    let text = format!(
        "apiVersion: v3.1.0\nkind: DataContract\nid: x\nversion: 1.0.0\nstatus: draft\ndomain: a\nschema:\n  - name: R\n    properties:\n{}{}",
        property('x'),
        property('y')
    );
    let read =
        odcs::read(&Source { file: "r.yaml", text: &text }, Some(&Source { file: "r.avsc", text: &schema })).unwrap();
    let ids: Vec<&str> = read.contract.rules.iter().map(|rule| rule.id.as_str()).collect();
    assert!(ids.iter().all(|id| id.len() == 100) && ids[0] != ids[1], "{ids:?}");
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

    /// Whatever lines are lost, repeated or cut, reading ends with a verdict.
    #[test]
    fn no_document_ends_the_reader(line in 0usize..230, cut in 0usize..60, put in "[ -~\\n]{0,12}") {
        let (contract, schema) = (text("good.odcs.yaml"), text("good.avsc"));
        let mut lines: Vec<String> = contract.lines().map(str::to_owned).collect();
        if let Some(line) = lines.get_mut(line) {
            let at = line.char_indices().nth(cut).map_or(line.len(), |(at, _)| at);
            line.replace_range(at.., &put);
        }
        let document = lines.join("\n");
        let _ = odcs::read(&Source { file: "x", text: &document }, Some(&Source { file: "y", text: &schema }));
        let _ = odcs::read(&Source { file: "x", text: &put }, Some(&Source { file: "y", text: &document }));
    }
}

/// The contracts that come with Weir, each beside its schema.
#[test]
fn the_products_of_the_house_have_no_mistakes() {
    let products = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/products");
    let mut read = 0;
    let mut wrong = Vec::new();
    for domain in std::fs::read_dir(products).unwrap() {
        for product in std::fs::read_dir(domain.unwrap().path()).unwrap() {
            let folder = product.unwrap().path();
            let contract = folder.join("contract.odcs.yaml");
            let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
            let schema = files.into_iter().find(|file| file.extension().is_some_and(|end| end == "avsc")).unwrap();
            let (text, avro) = (std::fs::read_to_string(&contract).unwrap(), std::fs::read_to_string(&schema).unwrap());
            let name = |path: &Path| path.strip_prefix(folder.parent().unwrap()).unwrap().display().to_string();
            let (contract, schema) = (name(&contract), name(&schema));
            let source = Source { file: &contract, text: &text };
            if let Err(mistakes) = odcs::read(&source, Some(&Source { file: &schema, text: &avro })) {
                wrong.extend(mistakes.iter().map(ToString::to_string));
            }
            read += 1;
        }
    }
    assert!(read > 0);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
