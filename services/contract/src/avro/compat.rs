//! Whether a reader's schema reads what a writer's schema wrote: the verdict of Avro Java's
//! `SchemaCompatibility.checkReaderWriterCompatibility`, with every reason and its place.
//!
//! Source: Apache Avro 1.12 specification, "Schema Resolution", and Avro Java 1.12, which compares the
//! simple names of named types where the specification leaves it open.

use std::collections::HashMap;

use super::schema::{Enumeration, Field, Fixed, Kind, NodeId, Record, Schema};

/// Deepest place compared, in steps of its path; recursive schemas of unequal period meet in long chains.
const MAX_DEPTH: usize = 1_000;
/// Most pairs of types compared.
const MAX_PAIRS: usize = 1_000_000;
/// Most reasons told for one pair of schemas.
const MAX_REASONS: usize = 100;

/// What kind of reason it is; the names are Avro Java's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IncompatibilityKind {
    /// Named types of different names, neither an alias.
    NameMismatch,
    /// Fixed types of different sizes.
    FixedSizeMismatch,
    /// The writer's enum has symbols that the reader's lacks, and the reader's has no default.
    MissingEnumSymbols,
    /// A field of the reader that the writer does not write has no default.
    ReaderFieldMissingDefaultValue,
    /// Types of which the one is not promoted to the other.
    TypeMismatch,
    /// A type that the writer may write is in no branch of the reader's union.
    MissingUnionBranch,
    /// The schemas are too large or too entangled to be compared.
    TooLarge,
}

impl IncompatibilityKind {
    /// The name that Avro Java and the Confluent API use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NameMismatch => "NAME_MISMATCH",
            Self::FixedSizeMismatch => "FIXED_SIZE_MISMATCH",
            Self::MissingEnumSymbols => "MISSING_ENUM_SYMBOLS",
            Self::ReaderFieldMissingDefaultValue => "READER_FIELD_MISSING_DEFAULT_VALUE",
            Self::TypeMismatch => "TYPE_MISMATCH",
            Self::MissingUnionBranch => "MISSING_UNION_BRANCH",
            Self::TooLarge => "TOO_LARGE",
        }
    }
}

/// One reason why a reader does not read what a writer wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incompatibility {
    /// Where in the reader's schema, as Avro Java writes it: `/fields/2/type`; `/` for the whole.
    pub path: String,
    /// What kind of reason it is.
    pub kind: IncompatibilityKind,
    /// The reason as a sentence.
    pub message: String,
}

/// Why `reader` does not read what `writer` wrote; empty where it does.
pub fn can_read(reader: &Schema, writer: &Schema) -> Vec<Incompatibility> {
    let mut check = Check { reader, writer, known: HashMap::new(), path: Vec::new(), reasons: Vec::new(), silent: 0 };
    check.pair(reader.root(), writer.root());
    check.reasons
}

struct Check<'a> {
    reader: &'a Schema,
    writer: &'a Schema,
    /// A pair that is being compared counts as compatible: what it meets again adds no new reason.
    known: HashMap<(NodeId, NodeId), bool>,
    path: Vec<String>,
    reasons: Vec<Incompatibility>,
    /// Above 0 inside a branch that is only tried: its reasons are not told.
    silent: usize,
}

impl Check<'_> {
    fn pair(&mut self, reader: NodeId, writer: NodeId) -> bool {
        if let Some(known) = self.known.get(&(reader, writer)) {
            let known = *known;
            if !known && self.silent == 0 && self.reasons.is_empty() {
                return self.refuse(IncompatibilityKind::TypeMismatch, self.mismatch(reader, writer));
            }
            return known;
        }
        if self.path.len() > MAX_DEPTH || self.known.len() >= MAX_PAIRS {
            return self.refuse(
                IncompatibilityKind::TooLarge,
                "the schemas are too large or too entangled to be compared".to_owned(),
            );
        }
        self.known.insert((reader, writer), true);
        let compatible = self.compare(reader, writer);
        self.known.insert((reader, writer), compatible);
        compatible
    }

    fn at(&mut self, step: String, reader: NodeId, writer: NodeId) -> bool {
        self.path.push(step);
        let compatible = self.pair(reader, writer);
        self.path.pop();
        compatible
    }

    fn compare(&mut self, reader: NodeId, writer: NodeId) -> bool {
        let (ours, theirs) = (self.reader, self.writer);
        match (&ours.node(reader).kind, &theirs.node(writer).kind) {
            (Kind::Null, Kind::Null)
            | (Kind::Boolean, Kind::Boolean)
            | (Kind::Int, Kind::Int)
            | (Kind::Long, Kind::Long | Kind::Int)
            | (Kind::Float, Kind::Float | Kind::Int | Kind::Long)
            | (Kind::Double, Kind::Double | Kind::Int | Kind::Long | Kind::Float)
            | (Kind::Bytes | Kind::String, Kind::Bytes | Kind::String) => true,
            (Kind::Array(items), Kind::Array(written)) => self.at("items".to_owned(), *items, *written),
            (Kind::Map(values), Kind::Map(written)) => self.at("values".to_owned(), *values, *written),
            (Kind::Fixed(fixed), Kind::Fixed(written)) => self.fixed(fixed, written),
            (Kind::Enum(enumeration), Kind::Enum(written)) => self.enumeration(enumeration, written),
            (Kind::Record(record), Kind::Record(written)) => self.record(record, written, writer),
            (_, Kind::Union(branches)) => self.writer_union(reader, branches),
            (Kind::Union(branches), _) => self.reader_union(branches, writer),
            _ => {
                let message = self.mismatch(reader, writer);
                self.refuse(IncompatibilityKind::TypeMismatch, message)
            }
        }
    }

    fn mismatch(&self, reader: NodeId, writer: NodeId) -> String {
        format!(
            "reader type: {} not compatible with writer type: {}",
            self.reader.node(reader).kind.type_word().to_uppercase(),
            self.writer.node(writer).kind.type_word().to_uppercase()
        )
    }

    fn writer_union(&mut self, reader: NodeId, branches: &[NodeId]) -> bool {
        let mut compatible = true;
        for (index, branch) in branches.iter().enumerate() {
            // Avro Java names the writer's branch in the place.
            compatible &= self.at(index.to_string(), reader, *branch);
        }
        compatible
    }

    fn reader_union(&mut self, branches: &[NodeId], writer: NodeId) -> bool {
        self.silent += 1;
        let fits = branches.iter().any(|branch| self.pair(*branch, writer));
        self.silent -= 1;
        if fits {
            return true;
        }
        let message =
            format!("reader union lacking writer type: {}", self.writer.node(writer).kind.type_word().to_uppercase());
        self.refuse(IncompatibilityKind::MissingUnionBranch, message)
    }

    fn names(&mut self, reader: &str, aliases: &[String], writer: &str) -> bool {
        if simple(reader) == simple(writer) || aliases.iter().any(|alias| alias == writer) {
            return true;
        }
        self.path.push("name".to_owned());
        let compatible = self.refuse(
            IncompatibilityKind::NameMismatch,
            format!("expected: {writer}, but the reader's name is {reader}"),
        );
        self.path.pop();
        compatible
    }

    fn fixed(&mut self, reader: &Fixed, writer: &Fixed) -> bool {
        let names = self.names(&reader.name, &reader.aliases, &writer.name);
        if reader.size == writer.size {
            return names;
        }
        self.path.push("size".to_owned());
        let message = format!("expected: {}, found: {}", writer.size, reader.size);
        let compatible = self.refuse(IncompatibilityKind::FixedSizeMismatch, message);
        self.path.pop();
        compatible
    }

    fn enumeration(&mut self, reader: &Enumeration, writer: &Enumeration) -> bool {
        let names = self.names(&reader.name, &reader.aliases, &writer.name);
        let ours: std::collections::HashSet<&str> = reader.symbols.iter().map(String::as_str).collect();
        let missing: Vec<&str> =
            writer.symbols.iter().map(String::as_str).filter(|symbol| !ours.contains(symbol)).collect();
        if missing.is_empty() || reader.default.is_some() {
            return names;
        }
        self.path.push("symbols".to_owned());
        let compatible = self.refuse(
            IncompatibilityKind::MissingEnumSymbols,
            format!("the reader lacks the symbols [{}]", missing.join(", ")),
        );
        self.path.pop();
        compatible
    }

    /// `whole` is the writer's record as a node.
    fn record(&mut self, reader: &Record, writer: &Record, whole: NodeId) -> bool {
        let mut compatible = self.names(&reader.name, &reader.aliases, &writer.name);
        let written: HashMap<&str, &Field> = writer.fields.iter().map(|field| (field.name.as_str(), field)).collect();
        self.path.push("fields".to_owned());
        for (index, field) in reader.fields.iter().enumerate() {
            self.path.push(index.to_string());
            compatible &= match source(field, &written) {
                Some(source) => self.at("type".to_owned(), field.node, source.node),
                None if field.default.is_some() => true,
                // Avro Java holds such an enum against the writer's record, which it never is.
                None if matches!(&self.reader.node(field.node).kind, Kind::Enum(read) if read.default.is_some()) => {
                    self.at("type".to_owned(), field.node, whole)
                }
                None => self.refuse(
                    IncompatibilityKind::ReaderFieldMissingDefaultValue,
                    format!("the field {:?} is not written and has no default", field.name),
                ),
            };
            self.path.pop();
        }
        self.path.pop();
        compatible
    }

    /// Tells a reason; always `false`.
    fn refuse(&mut self, kind: IncompatibilityKind, message: String) -> bool {
        if self.silent == 0 && self.reasons.len() < MAX_REASONS {
            self.reasons.push(Incompatibility { path: format!("/{}", self.path.join("/")), kind, message });
        }
        false
    }
}

/// The writer's field that a reader's field takes its value from.
fn source<'a>(field: &Field, written: &HashMap<&str, &'a Field>) -> Option<&'a Field> {
    written
        .get(field.name.as_str())
        .or_else(|| field.aliases.iter().find_map(|alias| written.get(alias.as_str())))
        .copied()
}

fn simple(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, simple)| simple)
}
