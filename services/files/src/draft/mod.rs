//! Drafts a contract from data: reads a whole file, finds types, names and rules, and holds them against
//! every record before it says them. **A draft accepts every record it was made from.**
//!
//! Pure but for the reading: knows nothing of where drafts are written, of topics or registries.

mod fields;
pub(crate) mod kind;
mod leaf;
pub(crate) mod names;
mod profile;
mod relations;
mod rules;
mod survey;
#[cfg(test)]
mod tests;
mod text;
mod texts;
mod tree;
mod values;
mod verify;

use std::collections::BTreeSet;
use std::sync::Arc;

use contract::odcs::{self, Source};
use contract::{Contract, avro};
use schemas::ProductId;

pub use profile::{FieldProfile, Profile, profile};
pub use survey::Progress;

use crate::guess::{Guessed, Hints, guess};
use crate::numerals::Numerals;
use crate::{FileError, FileFormat, Input};
use fields::{Choice, Field};
use relations::Condition;
use survey::{Given, Survey};
use verify::Broken;

/// How often a draft is held against the file before it gives up its rules one by one.
const ROUNDS: usize = 8;

/// What is drafted.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The product that it shall be.
    pub product: &'a ProductId,
    /// Who answers for it.
    pub owner: Option<&'a str>,
    /// What somebody decided about the file.
    pub hints: &'a Hints,
}

/// What a draft is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The file is read for the first time.
    Reading,
    /// The draft is held against it.
    Checking,
}

/// A draft.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The ODCS document.
    pub contract: String,
    /// The Avro schema.
    pub schema: String,
    /// What the document calls the file of the schema.
    pub schema_file: String,
    /// What was found out about the file, for people: a clause each.
    pub said: Vec<String>,
    /// How many records were read.
    pub records: u64,
    /// How many of them are none: rows of another length, texts that are no objects. The line of the first.
    pub malformed: Option<(u64, u64)>,
    /// How many fields and rules it has.
    pub size: (usize, usize),
    /// Fields that look like personal data.
    pub personal: Vec<String>,
}

/// Drafts a contract.
///
/// # Errors
/// [`FileError::Read`] where the file cannot be read, [`FileError::Draft`] where nothing can be drafted.
pub fn draft(
    input: &Input,
    request: &Request<'_>,
    progress: &mut dyn FnMut(Stage, u64, u64),
) -> Result<Draft, FileError> {
    let mut guessed = guess(input, request.hints)?;
    let mut read = |guessed: &Guessed| {
        survey::survey(input, guessed, false, &mut |bytes, records| progress(Stage::Reading, bytes, records))
    };
    let mut survey = read(&guessed)?;
    if survey.invalid && guessed.dialect.encoding.is_none() {
        guessed.not_utf8();
        survey = read(&guessed)?;
    }
    if survey.root.members.is_empty() {
        let why = "it holds no records with fields".to_owned();
        return Err(FileError::Draft { file: input.name().to_owned(), why });
    }
    if guessed.guess_nulls {
        guessed.dialect.nulls = fields::null_tokens(&survey.root);
        if !guessed.dialect.nulls.is_empty() {
            guessed.said.push(format!("{} mean null (--null)", guessed.dialect.nulls.join(", ")));
        }
    }
    let mut drafting = Drafting::new(input, request, guessed, survey);
    drafting.settle(&mut |bytes, records| progress(Stage::Checking, bytes, records))
}

struct Drafting<'a> {
    input: &'a Input,
    request: &'a Request<'a>,
    guessed: Guessed,
    survey: Survey,
    texts: BTreeSet<String>,
    nullable: BTreeSet<String>,
    fields: Vec<Field>,
    conditions: Vec<Condition>,
    /// Rules that some record broke, by id.
    dropped: BTreeSet<String>,
}

impl<'a> Drafting<'a> {
    fn new(input: &'a Input, request: &'a Request<'a>, guessed: Guessed, survey: Survey) -> Self {
        let (texts, nullable, dropped) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        Self { input, request, guessed, survey, texts, nullable, fields: Vec::new(), conditions: Vec::new(), dropped }
    }

    /// Writes the draft until every record keeps it.
    fn settle(&mut self, progress: &mut Progress<'_>) -> Result<Draft, FileError> {
        for _ in 0..ROUNDS {
            self.find();
            let (schema, document) = self.written();
            let contract = self.whole(&document, &schema)?;
            let broken = verify::verify(self.input, self.guessed.format, &contract, progress)?;
            if broken.is_empty() {
                return Ok(self.finished(schema, document, &contract));
            }
            self.yield_to(broken)?;
        }
        let why = "no draft was found that every record keeps; name the format and dialect of the file".to_owned();
        Err(FileError::Draft { file: self.input.name().to_owned(), why })
    }

    /// Types, names and rules anew.
    fn find(&mut self) {
        let Survey { root, records, given, .. } = &self.survey;
        let choice = Choice { nulls: &self.guessed.dialect.nulls, texts: &self.texts, nullable: &self.nullable };
        self.fields = match given {
            None => fields::fields(root, root.objects, "", choice),
            Some(Given::Columns(kind)) => fields::given(kind, Some(root), *records, true),
            Some(Given::Avro(text)) => match avro::Schema::parse(text) {
                Ok(schema) => {
                    let node = fields::of_avro(&schema, schema.root(), &mut Vec::new());
                    fields::given(&node.kind, Some(root), *records, false)
                }
                Err(_) => Vec::new(),
            },
        };
        rules::find(&mut self.fields, root, &self.guessed.dialect.nulls);
        rules::primary_key(&mut self.fields, root);
        let numerals = Numerals::of(&self.guessed.dialect);
        self.conditions = relations::find(&self.fields, &self.survey.sample, numerals);
        for rule in &self.dropped {
            self.conditions.retain(|condition| condition.id != *rule);
            let (path, word) = rule.split_once(':').unwrap_or((rule, ""));
            if rule == "key" || word == "key" {
                self.fields.iter_mut().for_each(|field| field.primary = false);
            }
            remove(&mut self.fields, path, word);
        }
    }

    fn written(&self) -> (String, String) {
        let product = self.request.product;
        let schema_file = format!("{}.avsc", product.name.as_str());
        let name = self.input.name().rsplit('/').next().unwrap_or_default();
        let source = format!("What {name} holds: {} records.", rules::grouped(self.survey.records));
        let schema = match &self.survey.given {
            Some(Given::Avro(text)) => pretty(text),
            _ => text::schema(product, &self.fields, &source),
        };
        let document = text::contract(&text::Document {
            product,
            owner: self.request.owner,
            source,
            fields: &self.fields,
            conditions: &self.conditions,
            dialect: &self.guessed.dialect,
            schema: &schema_file,
        });
        (schema, document)
    }

    /// The draft as whoever applies it will read it.
    fn whole(&self, document: &str, schema: &str) -> Result<Arc<Contract>, FileError> {
        let document = Source { file: "contract.odcs.yaml", text: document };
        let schema = Source { file: "schema.avsc", text: schema };
        match odcs::read(&document, Some(&schema)) {
            Ok(read) => Ok(Arc::new(read.contract)),
            Err(mistakes) => {
                let said: Vec<String> = mistakes.iter().take(5).map(ToString::to_string).collect();
                let why = format!("the draft would not be a contract: {}", said.join("; "));
                Err(FileError::Draft { file: self.input.name().to_owned(), why })
            }
        }
    }

    /// Takes back what records did not keep.
    fn yield_to(&mut self, broken: Broken) -> Result<(), FileError> {
        let mut changed = false;
        for rule in broken.rules {
            changed |= self.dropped.insert(rule);
        }
        for (path, message) in broken.fields {
            // What is missing may be null; what is there and does not fit is text.
            let known = self.nullable.contains(&path) || !message.contains("missing");
            changed |= if known { self.texts.insert(path) } else { self.nullable.insert(path) };
        }
        if changed {
            return Ok(());
        }
        let why = "some of its records fit no type that was tried".to_owned();
        Err(FileError::Draft { file: self.input.name().to_owned(), why })
    }

    fn finished(&self, schema: String, contract: String, read: &Contract) -> Draft {
        let Survey { records, malformed, first_malformed, .. } = &self.survey;
        let mut said = self.guessed.said.clone();
        said.insert(0, named(self.guessed.format).to_owned());
        Draft {
            contract,
            schema,
            schema_file: format!("{}.avsc", self.request.product.name.as_str()),
            said,
            records: *records,
            malformed: first_malformed.filter(|_| *malformed > 0).map(|line| (*malformed, line)),
            size: (self.fields.len(), read.rules.len() + read.conditions.len()),
            personal: personal(&self.fields, ""),
        }
    }
}

/// What people call a format.
fn named(format: FileFormat) -> &'static str {
    match format {
        FileFormat::Csv => "CSV",
        FileFormat::Tsv => "TSV",
        FileFormat::Ndjson => "NDJSON",
        FileFormat::Json => "JSON",
        FileFormat::Avro => "Avro",
        FileFormat::Parquet => "Parquet",
    }
}

/// JSON on lines of its own.
fn pretty(text: &str) -> String {
    let value: Result<serde_json::Value, _> = serde_json::from_str(text);
    value.map_or_else(|_| text.to_owned(), |value| format!("{value:#}\n"))
}

fn personal(fields: &[Field], prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for field in fields {
        let path = format!("{prefix}{}", field.name);
        found.extend(personal(&field.fields, &format!("{path}.")));
        if field.classification.is_some() {
            found.push(path);
        }
    }
    found
}

/// Takes a rule from the field at a path; from all fields where there is none, since an id may be cut short.
fn remove(fields: &mut [Field], path: &str, rule: &str) {
    fn at<'f>(fields: &'f mut [Field], path: &str) -> Option<&'f mut Field> {
        let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
        let field = fields.iter_mut().find(|field| field.name == first)?;
        match rest {
            Some(rest) => at(&mut field.fields, rest),
            None => Some(field),
        }
    }
    // A second rule of the same name has a number behind it.
    let rule = rule.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
    if let Some(field) = at(fields, path) {
        field.rules.remove(rule);
        return;
    }
    fields.iter_mut().for_each(|field| field.rules.remove(rule));
}
