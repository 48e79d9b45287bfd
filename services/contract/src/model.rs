//! What a contract says, once it has been read and found whole: every rule bound to a path of the
//! contract's schema and to values in that schema's own representation, so that nothing downstream
//! interprets text.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use schemas::{ProductId, Topic, Version};
use serde::{Deserialize, Serialize};

use crate::avro;
use crate::cel::Expression;
use crate::dialect::{Dialect, Written};

/// A data contract that is ready to be applied and enforced.
#[derive(Debug, Clone)]
pub struct Contract {
    /// The ODCS `id`.
    pub id: String,
    /// Whose contract this is.
    pub product: ProductId,
    /// Its version; the major is in the topics' names.
    pub version: Version,
    /// Where it stands in its life.
    pub status: Status,
    /// For people: name, purpose, limits of use, tags, owner, support.
    pub about: Product,
    /// What ODCS has no words for.
    pub settings: Settings,
    /// The schema that consumers read with.
    pub schema: Arc<avro::Schema>,
    /// Rules on one value each.
    pub rules: Vec<Rule>,
    /// Rules over several fields.
    pub conditions: Vec<Condition>,
    /// Fields that statistics are kept of, and which.
    pub measures: Vec<Measure>,
    /// Thresholds that one record cannot decide: measured, shown, alerted on, never enforced.
    pub objectives: Vec<Objective>,
    /// Paths whose values are never shown in a violation.
    pub classified: Vec<Path>,
    /// How files write fields, where not as the schema has them.
    pub written: Vec<Written>,
    /// The ODCS document as it was read.
    pub document: Arc<str>,
}

impl Contract {
    /// A contract that promises its schema and nothing more, to add rules and settings to.
    pub fn plain(product: ProductId, version: Version, schema: Arc<avro::Schema>) -> Self {
        Self {
            id: product.to_string(),
            product,
            version,
            status: Status::Active,
            about: Product::default(),
            settings: Settings::default(),
            schema,
            rules: Vec::new(),
            conditions: Vec::new(),
            measures: Vec::new(),
            objectives: Vec::new(),
            classified: Vec::new(),
            written: Vec::new(),
            document: Arc::from(""),
        }
    }
}

/// The ODCS `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Being thought about.
    Proposed,
    /// Being written.
    Draft,
    /// In force.
    Active,
    /// In force, and announced to end.
    Deprecated,
    /// Ended.
    Retired,
}

/// What people read about a product.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Product {
    /// The ODCS `name`.
    pub title: Option<String>,
    /// `description.purpose`.
    pub purpose: Option<String>,
    /// `description.usage`.
    pub usage: Option<String>,
    /// `description.limitations`.
    pub limitations: Option<String>,
    /// `tags`.
    pub tags: Vec<String>,
    /// `team`.
    pub team: Option<Team>,
    /// `support` channels: name and address.
    pub support: Vec<(String, String)>,
}

/// The team that owns a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    /// Its name.
    pub name: String,
    /// Members: user name and role.
    pub members: Vec<(String, Option<String>)>,
}

/// What Weir reads from `customProperties`. `None` leaves the broker's default, or what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `weir.partitions`: of inbox, product and quarantine alike. 1 to 10,000.
    pub partitions: u32,
    /// `weir.replication`.
    pub replication: Option<u16>,
    /// `weir.retention`: of the product topic, in milliseconds; −1 is for ever.
    pub retention_ms: Option<i64>,
    /// `weir.inboxRetention`, in milliseconds.
    pub inbox_retention_ms: Option<i64>,
    /// `weir.quarantineRetention`, in milliseconds.
    pub quarantine_retention_ms: Option<i64>,
    /// `weir.compaction`: the product topic keeps the latest record per key.
    pub compaction: bool,
    /// `weir.maxRecordBytes`: the inbox's `max.message.bytes`.
    pub max_record_bytes: Option<u32>,
    /// `weir.key`.
    pub key: KeySpec,
    /// `weir.deletes`.
    pub deletes: Deletes,
    /// `weir.undeclaredFields`.
    pub undeclared_fields: UndeclaredFields,
    /// `weir.inboxTopic`: an existing topic to read from instead of making one.
    pub inbox_topic: Option<Topic>,
    /// `weir.file`: how files of these records are written.
    pub file: Dialect,
}

impl Default for Settings {
    /// What a contract that says nothing about it gets.
    fn default() -> Self {
        Self {
            partitions: 6,
            replication: None,
            retention_ms: None,
            inbox_retention_ms: None,
            quarantine_retention_ms: None,
            compaction: false,
            max_record_bytes: None,
            key: KeySpec::default(),
            deletes: Deletes::None,
            undeclared_fields: UndeclaredFields::Refuse,
            inbox_topic: None,
            file: Dialect::default(),
        }
    }
}

/// What the record key must be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySpec {
    /// Its encoding.
    pub kind: KeyKind,
    /// The fields of the value that it equals, in order. Empty: any key of that encoding.
    pub fields: Vec<Path>,
    /// Between the fields' texts, where `kind` is [`KeyKind::Utf8`] and there are several.
    pub separator: String,
}

/// The encoding of a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// Nothing is asked of the key; there may be none.
    #[default]
    Any,
    /// There must be no key.
    None,
    /// UTF-8 text.
    Utf8,
    /// Eight bytes, big-endian, as Kafka's `LongSerializer` writes.
    Long,
    /// Avro in the Confluent wire format: a record whose fields are named as the value's, or the one
    /// field's own type.
    Avro,
}

/// What a record without a value means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Deletes {
    /// It is a violation.
    #[default]
    None,
    /// It deletes its key, and must have one.
    Tombstone,
}

/// What a writer's field that the contract does not declare means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum UndeclaredFields {
    /// A violation: it could carry undeclared personal data to every consumer.
    #[default]
    Refuse,
    /// Let through.
    Allow,
}

/// A rule's id: unique in its contract, stable over versions, bounded (at most 100 characters of
/// `[A-Za-z0-9._:-]`), fit to be a metric label. Given by the contract, or made of path and check:
/// `lines.quantity:minimum`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleId(Arc<str>);

impl RuleId {
    /// Takes an id that was checked.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A step of a [`Path`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// A field of a record.
    Field(Arc<str>),
    /// Every item of an array.
    Items,
    /// Every value of a map.
    Values,
}

/// A place in the contract's schema, through nullable unions without a step of its own. Written
/// `customer.name`, `lines[].quantity`, `labels{}`. The empty path is the record itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(pub Vec<Segment>);

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Field(name) if index == 0 => f.write_str(name)?,
                Segment::Field(name) => write!(f, ".{name}")?,
                Segment::Items => f.write_str("[]")?,
                Segment::Values => f.write_str("{}")?,
            }
        }
        Ok(())
    }
}

/// Whether a broken rule holds a record back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It does.
    Error,
    /// It is counted, and the record goes through.
    Warning,
}

/// A rule on the value at one path. A value that is null (or whose parent is) breaks only
/// [`Check::NotNull`].
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its id.
    pub id: RuleId,
    /// Where it looks.
    pub path: Path,
    /// What it demands.
    pub check: Check,
    /// What breaking it means.
    pub severity: Severity,
    /// The contract's own sentence about it, if any.
    pub description: Option<Arc<str>>,
}

/// A value in the representation of the contract's schema at the rule's path.
#[derive(Debug, Clone, PartialEq)]
pub enum Native {
    /// Boolean.
    Bool(bool),
    /// int, long, and the dates, times and timestamps that annotate them, in their own unit.
    Int(i64),
    /// float and double.
    Float(f64),
    /// decimal: unscaled, at the schema's scale.
    Decimal(i128),
    /// string, enum symbol, uuid.
    Text(Arc<str>),
    /// bytes, fixed.
    Bytes(Arc<[u8]>),
}

/// What a rule demands of a value.
#[derive(Debug, Clone)]
pub enum Check {
    /// It is not null (and its parents are not).
    NotNull,
    /// It lies within bounds; NaN lies within none.
    Range {
        /// Lower bound and whether it is excluded.
        min: Option<(Native, bool)>,
        /// Upper bound and whether it is excluded.
        max: Option<(Native, bool)>,
    },
    /// It is a whole multiple (of a positive number): exactly for integers and decimals, for floats
    /// within three units in the last place of the quotient, as much as rounding can make.
    MultipleOf(Native),
    /// Length: of strings in Unicode scalar values, of bytes and fixed in bytes, of arrays and maps in
    /// items.
    Length {
        /// At least.
        min: Option<u64>,
        /// At most.
        max: Option<u64>,
    },
    /// The regular expression is found in the string (ECMA-262's search, not a full match).
    Pattern(Arc<str>),
    /// The string has a format.
    Format(Format),
    /// It is one of these.
    OneOf(Vec<Native>),
    /// It is none of these.
    NoneOf(Vec<Native>),
    /// The items of the array differ from each other.
    UniqueItems,
}

/// Formats that ODCS `logicalTypeOptions.format` names for strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// RFC 5321 as far as people use it: one @, a dot atom, a host name with a dot.
    Email,
    /// RFC 4122, 8-4-4-4-12 hexadecimal digits.
    Uuid,
    /// RFC 3986 absolute URI.
    Uri,
    /// RFC 1123 host name.
    Hostname,
    /// Dotted quad.
    Ipv4,
    /// RFC 4291.
    Ipv6,
    /// RFC 3339 `full-date`.
    Date,
    /// RFC 3339 `date-time`.
    DateTime,
    /// RFC 3339 `full-time`, zone optional.
    Time,
}

/// A rule over several fields: a CEL expression of type bool that must be true.
#[derive(Debug, Clone)]
pub struct Condition {
    /// Its id.
    pub id: RuleId,
    /// The compiled expression.
    pub expression: Expression,
    /// The expression as the contract writes it.
    pub source: Arc<str>,
    /// What breaking it means.
    pub severity: Severity,
    /// The contract's own sentence about it, if any.
    pub description: Option<Arc<str>>,
}

/// What statistics are kept of a field. Counts, nulls, minimum and maximum (lengths for text) are kept of
/// every leaf that is not inside an array or a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    /// The field.
    pub path: Path,
    /// Estimate the number of distinct values.
    pub distinct: bool,
    /// Keep quantiles.
    pub quantiles: bool,
    /// It is the time at which the event happened: keep how late it arrived.
    pub event_time: bool,
}

/// A threshold on many records.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// Its id.
    pub id: RuleId,
    /// The field, or the whole product.
    pub path: Option<Path>,
    /// The metric as ODCS names it: `rowCount`, `nullValues`, `duplicateValues`, a `slaProperties` name …
    pub metric: String,
    /// Operator and numbers as ODCS has them: `mustBeLessThan: 5`.
    pub threshold: BTreeMap<String, f64>,
    /// `unit`: `rows`, `percent`, `d`, `h` …
    pub unit: Option<String>,
    /// The contract's own sentence about it, if any.
    pub description: Option<Arc<str>>,
}
