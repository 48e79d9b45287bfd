//! ODCS documents (Open Data Contract Standard 3.1 and 3.2; 3.0 is read as 3.1) as contracts: every mistake
//! at once, with its place and what to write instead.
//!
//! In three steps: [`yaml`] gives a tree that knows its places; [`shape`] holds it against the keys and types
//! of the standard; the rest binds it to the Avro schema and understands it. A step that finds mistakes does
//! not keep the next one from finding more.
//!
//! Knows nothing of topics, of a registry, or of where files are.

mod bind;
pub mod custom;
pub mod editor;
mod head;
mod keys;
mod mistake;
mod native;
mod options;
mod pattern;
mod personal;
mod quality;
mod reader;
mod shape;
mod written;
mod yaml;

use std::sync::Arc;

pub use mistake::Mistake;
use mistake::{Mistakes, Place, shown};
pub use personal::personal;
use reader::Reader;
use yaml::Node;

use crate::avro::{self, Kind};
use crate::model::Contract;

/// Most rules, conditions and objectives of one contract: each is a metric's label.
const MAX_RULES: usize = 2000;
/// Most mistakes that are said of one contract.
const MAX_SAID: usize = 200;

/// A file and its text.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Its name, as mistakes shall name it.
    pub file: &'a str,
    /// What is in it.
    pub text: &'a str,
}

/// A contract that was read, and what its author should know of it.
#[derive(Debug)]
pub struct Read {
    /// The contract.
    pub contract: Contract,
    /// What is shown or measured although it may read as enforced. In the order of the file.
    pub notes: Vec<Mistake>,
}

/// Reads a contract and binds it to `schema`, the Avro schema beside it.
///
/// # Errors
/// Every mistake of both files, in order of place: the contract's first; at most 200.
pub fn read(contract: &Source<'_>, schema: Option<&Source<'_>>) -> Result<Read, Vec<Mistake>> {
    let mut mistakes = Mistakes::new(contract.file);
    let mut schema_mistakes = Mistakes::new(schema.map_or("", |schema| schema.file));
    let avro = schema.and_then(|schema| read_schema(schema, &mut schema_mistakes));
    let root = yaml::read(contract.text, &mut mistakes);
    let found = root.as_ref().and_then(|root| {
        if schema.is_none() {
            let what = "no Avro schema was given with this contract";
            mistakes.at(
                root.place,
                what,
                "`weir.schema` under `customProperties`, or put one `.avsc` file beside the contract",
            );
        }
        understand(root, avro, contract.text, &mut mistakes)
    });
    match found {
        Some(contract) if !mistakes.any() && !schema_mistakes.any() => {
            Ok(Read { contract, notes: mistakes.in_order() })
        }
        _ => {
            let mut all = mistakes.in_order();
            all.extend(schema_mistakes.in_order());
            all.retain(|mistake| !mistake.warning);
            all.truncate(MAX_SAID);
            Err(all)
        }
    }
}

/// The file that the contract names as its schema under `weir.schema`; `None` where it names none, or is not
/// YAML (which [`read`] will say).
pub fn schema_file(contract: &Source<'_>) -> Option<String> {
    let root = yaml::read(contract.text, &mut Mistakes::new(contract.file))?;
    let mut named = custom::properties(&root).filter(|(name, ..)| *name == "weir.schema");
    named.next().and_then(|(_, _, value)| value.text().map(str::to_owned))
}

fn understand(root: &Node, schema: Option<avro::Schema>, text: &str, mistakes: &mut Mistakes) -> Option<Contract> {
    if !matches!(root.value, yaml::Value::Map(_)) {
        let what = format!("a contract is a mapping, not {}", root.kind());
        mistakes.at(root.place, what, "`apiVersion: v3.1.0`, `kind: DataContract`, …");
        return None;
    }
    // Another major has other keys: comparing them would only be noise.
    let newer = head::dialect(root, mistakes)?;
    shape::check(root, newer, mistakes);
    let version = head::version(root, mistakes);
    let product = head::product(root, mistakes);
    let object = head::object(root, mistakes);
    let schema = schema?;
    let old = root.get("apiVersion").and_then(Node::raw).is_some_and(|version| version.starts_with("v3.0."));
    let mut reader = Reader::new(&schema, old, mistakes);
    let mut measures = Vec::new();
    if let Some(object) = object {
        reader.record(object, schema.root(), &crate::Path::default(), &mut Vec::new());
        for entry in object.items_at("quality") {
            reader.quality(entry, None);
        }
    }
    let settings = reader.settings(root, &mut measures);
    reader.service_levels(root);
    let Reader { rules, conditions, objectives, classified, writing, .. } = reader;
    let count = rules.len() + conditions.len() + objectives.len();
    if count > MAX_RULES {
        let what = format!("the contract has {count} rules, conditions and objectives, more than {MAX_RULES}");
        mistakes.at(root.place, what, "fewer, or a product for each part");
    }
    object?;
    Some(Contract {
        id: root.text_at("id")?.to_owned(),
        product: product?,
        version: version?,
        status: head::status(root)?,
        about: head::about(root),
        settings,
        schema: Arc::new(schema),
        rules,
        conditions,
        measures,
        objectives,
        classified,
        written: writing,
        document: text.into(),
    })
}

fn read_schema(source: &Source<'_>, mistakes: &mut Mistakes) -> Option<avro::Schema> {
    match avro::Schema::parse(source.text) {
        Ok(schema) => {
            let root = schema.node(schema.root());
            if matches!(root.kind, Kind::Record(_)) {
                return Some(schema);
            }
            let what = format!("a product's schema is a record, this is a {}", native::called(root));
            mistakes.at(Place { line: 1, column: 1 }, what, "`{\"type\": \"record\", …}`");
            None
        }
        Err(error) => {
            let place = match serde_json::from_str::<serde::de::IgnoredAny>(source.text) {
                Err(json) => Place {
                    line: u32::try_from(json.line()).unwrap_or(u32::MAX),
                    column: u32::try_from(json.column()).unwrap_or(u32::MAX),
                },
                // JSON is YAML, so the tree that knows its places serves here too.
                Ok(_) => yaml::read(source.text, &mut Mistakes::new(""))
                    .map_or(Place { line: 1, column: 1 }, |root| root.at_path(&error.path).place),
            };
            let path = if error.path.is_empty() { String::new() } else { format!("{}: ", shown(&error.path)) };
            mistakes.at(place, format!("{path}{}", error.message), "");
            None
        }
    }
}
