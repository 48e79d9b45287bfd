//! What the backbone says about itself, and how it is written: Avro in the Confluent wire format, so that
//! any client can read it. The schemas are in `schemas/backbone/`; each carries `weir.version`, and a
//! reader that meets a higher one than it knows stops and says so.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{from_value, to_value};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ids::{Offset, Partition, SchemaId, Timestamp, Topic};
use crate::product::{Major, ProductId, Version};
use crate::wire::{Frame, frame};

/// The key of a record of the catalog.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CatalogKey {
    /// The current state of a product; compaction keeps the latest.
    Product(ProductId),
    /// A contract version, which never changes.
    Contract(ProductId, Version),
}

impl CatalogKey {
    /// The key's bytes: `product/<d>.<p>` or `contract/<d>.<p>/<version>`.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Product(product) => format!("product/{product}").into_bytes(),
            Self::Contract(product, version) => format!("contract/{product}/{version}").into_bytes(),
        }
    }

    /// Reads a key back; `None` where it is of no kind known.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        if let Some(product) = text.strip_prefix("product/") {
            return Some(Self::Product(product.parse().ok()?));
        }
        let (product, version) = text.strip_prefix("contract/")?.rsplit_once('/')?;
        Some(Self::Contract(product.parse().ok()?, version.parse().ok()?))
    }
}

/// What the catalog says under a key; `None` is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogRecord {
    /// About what.
    pub key: CatalogKey,
    /// What.
    pub value: Option<CatalogValue>,
}

/// A value of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogValue {
    /// Under [`CatalogKey::Product`].
    Product(ProductState),
    /// Under [`CatalogKey::Contract`].
    Contract(ContractVersion),
}

/// The current state of a product. Schema `backbone/product_state.avsc`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductState {
    /// Which.
    pub product: ProductId,
    /// Its title, or its id.
    pub title: String,
    /// The team that owns it, where the contract names one.
    pub owner: Option<String>,
    /// What it is for.
    pub purpose: Option<String>,
    /// The ODCS status.
    pub status: String,
    /// Its majors that are enforced, ascending.
    pub majors: Vec<MajorState>,
    /// When this was decided.
    pub decided_at: Timestamp,
    /// Who decided it.
    pub decided_by: String,
}

/// One major of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MajorState {
    /// Which.
    pub major: Major,
    /// The contract version in force.
    pub version: Version,
    /// The version before it, if any: where a rollback goes.
    pub previous: Option<Version>,
    /// Where producers write.
    pub inbox: Topic,
    /// Where consumers read.
    pub topic: Topic,
    /// Where what was held back stands.
    pub quarantine: Topic,
    /// Partitions of each of the three.
    pub partitions: i32,
    /// The contract schema's id.
    pub schema_id: SchemaId,
}

/// A contract version, whole. Schema `backbone/contract_version.avsc`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContractVersion {
    /// Whose.
    pub product: ProductId,
    /// Which.
    pub version: Version,
    /// The ODCS document.
    pub document: String,
    /// The Avro schema's text.
    pub schema: String,
    /// The schema's id.
    pub schema_id: SchemaId,
    /// When it was applied.
    pub applied_at: Timestamp,
    /// Who applied it.
    pub applied_by: String,
    /// Why a breaking change was allowed, if it was.
    pub breaking_reason: Option<String>,
}

/// A run of records: `count` inbox offsets from `first` became `count` output offsets from `output_first`,
/// one by one, without a gap in either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The first inbox offset.
    pub first: Offset,
    /// How many.
    pub count: i64,
    /// The first output offset; −1 where there is no output.
    pub output_first: Offset,
}

impl Run {
    /// Adds a pair to the runs, lengthening the last one where both sides continue it.
    pub fn push(runs: &mut Vec<Run>, input: Offset, output: Option<Offset>) {
        let output = output.unwrap_or(Offset(-1));
        if let Some(last) = runs.last_mut()
            && last.first.0 + last.count == input.0
            && (output.0 < 0 && last.output_first.0 < 0
                || output.0 >= 0 && last.output_first.0 >= 0 && last.output_first.0 + last.count == output.0)
        {
            last.count += 1;
            return;
        }
        runs.push(Run { first: input, count: 1, output_first: output });
    }

    /// The output offset of an inbox offset that this run covers.
    pub fn output_of(&self, input: Offset) -> Option<Offset> {
        let step = input.0.checked_sub(self.first.0)?;
        (self.output_first.0 >= 0 && (0..self.count).contains(&step)).then(|| Offset(self.output_first.0 + step))
    }

    /// The inbox offset of an output offset that this run covers.
    pub fn input_of(&self, output: Offset) -> Option<Offset> {
        let step = output.0.checked_sub(self.output_first.0)?;
        (self.output_first.0 >= 0 && (0..self.count).contains(&step)).then(|| Offset(self.first.0 + step))
    }

    /// Whether the run covers this inbox offset.
    pub fn covers(&self, input: Offset) -> bool {
        (self.first.0..self.first.0 + self.count).contains(&input.0)
    }
}

/// What a lineage event reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LineageKind {
    /// A transaction moved over `from..to`.
    #[serde(rename = "enforced")]
    Enforced,
    /// A lane judges this partition by this version from `from` on (`to` equals it).
    #[serde(rename = "activated")]
    Activated,
    /// Records `from..to` were removed from the inbox before they were read.
    #[serde(rename = "expired")]
    Expired,
}

/// What happened to a stretch of an inbox partition. Schema `backbone/lineage.avsc`. Written with the key
/// `<inbox topic>/<partition>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineageEvent {
    /// What.
    pub kind: LineageKind,
    /// Whose.
    pub product: ProductId,
    /// Under which contract version.
    pub version: Version,
    /// The inbox topic.
    pub inbox: Topic,
    /// Its partition; product and quarantine partitions have the same number.
    pub partition: Partition,
    /// The position committed before.
    pub from: Offset,
    /// The position committed after. Offsets in `from..to` and in no run hold no record.
    pub to: Offset,
    /// The product topic.
    pub topic: Topic,
    /// The quarantine topic.
    pub quarantine: Topic,
    /// What was forwarded or replaced.
    pub forwarded: Vec<Run>,
    /// What was held back.
    pub quarantined: Vec<Run>,
    /// What was judged and goes nowhere.
    pub withheld: Vec<Run>,
    /// Writer schemas met, ascending.
    pub schema_ids: Vec<SchemaId>,
    /// The lane's clock for the batch: `now` of its rules.
    pub judged_at: Timestamp,
    /// The position of the catalog that it was judged under: the next catalog offset to read.
    pub catalog_offset: Offset,
    /// The version of the program that judged.
    pub code_version: String,
}

impl LineageEvent {
    /// The record key that keeps a partition's events in order.
    pub fn key(&self) -> Vec<u8> {
        format!("{}/{}", self.inbox, self.partition).into_bytes()
    }
}

/// How often a rule was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViolationCount {
    /// The rule's id.
    pub rule: String,
    /// It held records back; else it is a warning.
    pub enforced: bool,
    /// Violations, of all records: one record may break a rule in many items.
    pub count: i64,
    /// Records that broke it.
    pub records: i64,
}

/// A count with a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountByName {
    /// What is counted.
    pub name: String,
    /// How many.
    pub count: i64,
}

/// Statistics of one field over the records that conform. All of it merges: counts add, minima and maxima
/// compare, sketches and histograms join.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldQuality {
    /// The field's path.
    pub path: String,
    /// Values that are there.
    pub count: i64,
    /// Nulls.
    pub nulls: i64,
    /// Least number, or length for text and bytes; absent without a value.
    pub min: Option<f64>,
    /// Greatest, likewise.
    pub max: Option<f64>,
    /// A HyperLogLog sketch of distinct values, where measured: sparse or dense, see `contract::program`.
    #[serde(with = "apache_avro::serde::bytes_opt")]
    pub distinct: Option<Vec<u8>>,
    /// Log-bucketed histogram of values, where measured: bucket index and count.
    pub histogram: Vec<Bucket>,
}

/// A bucket of a log histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Its index; see `contract::program::statistics` for its bounds.
    pub index: i32,
    /// How many.
    pub count: i64,
}

/// Statistics of exactly the records of one transaction and inbox partition. Schema
/// `backbone/quality.avsc`; keyed and partitioned as the lineage event of the same stretch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QualityEvent {
    /// Whose.
    pub product: ProductId,
    /// Under which contract version.
    pub version: Version,
    /// The inbox topic.
    pub inbox: Topic,
    /// Its partition.
    pub partition: Partition,
    /// The position committed before.
    pub from: Offset,
    /// The position committed after.
    pub to: Offset,
    /// The lane's clock for the batch.
    pub judged_at: Timestamp,
    /// Records consumed: the sum of the four that follow.
    pub consumed: i64,
    /// Forwarded unchanged.
    pub forwarded: i64,
    /// Forwarded with another value.
    pub replaced: i64,
    /// Held back.
    pub quarantined: i64,
    /// Judged and not forwarded.
    pub withheld: i64,
    /// Bytes of keys and values consumed.
    pub bytes: i64,
    /// Broken rules, errors and warnings.
    pub violations: Vec<ViolationCount>,
    /// Statistics by field.
    pub fields: Vec<FieldQuality>,
    /// How late conforming records came: milliseconds between event time and `judged_at`, as a log
    /// histogram, where the contract names an event time.
    pub delay: Vec<Bucket>,
}

/// Who decided what. Schema `backbone/audit.avsc`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// What was done: `apply`, `allow-breaking`, `rollback`, …
    pub action: String,
    /// To which product, if to one.
    pub product: Option<ProductId>,
    /// A sentence about it, with the reason given.
    pub detail: String,
}

/// The schemas that the backbone writes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BackboneSchema {
    /// [`ProductState`].
    ProductState,
    /// [`ContractVersion`].
    ContractVersion,
    /// [`LineageEvent`].
    Lineage,
    /// [`QualityEvent`].
    Quality,
    /// [`AuditEvent`].
    Audit,
}

impl BackboneSchema {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::ProductState, Self::ContractVersion, Self::Lineage, Self::Quality, Self::Audit];

    /// The schema's text, as it is registered.
    pub fn text(self) -> &'static str {
        match self {
            Self::ProductState => include_str!("../backbone/product_state.avsc"),
            Self::ContractVersion => include_str!("../backbone/contract_version.avsc"),
            Self::Lineage => include_str!("../backbone/lineage.avsc"),
            Self::Quality => include_str!("../backbone/quality.avsc"),
            Self::Audit => include_str!("../backbone/audit.avsc"),
        }
    }

    /// The schema's full name; also its subject (RecordNameStrategy), because one topic carries several.
    pub fn full_name(self) -> &'static str {
        match self {
            Self::ProductState => "weir.ProductState",
            Self::ContractVersion => "weir.ContractVersion",
            Self::Lineage => "weir.Lineage",
            Self::Quality => "weir.Quality",
            Self::Audit => "weir.Audit",
        }
    }

    /// The `weir.version` that this program writes and knows.
    pub fn version(self) -> i64 {
        1
    }

    fn parsed(self) -> &'static apache_avro::Schema {
        static PARSED: OnceLock<BTreeMap<BackboneSchema, apache_avro::Schema>> = OnceLock::new();
        &PARSED.get_or_init(|| {
            Self::ALL
                .into_iter()
                .map(|schema| {
                    (
                        schema,
                        apache_avro::Schema::parse_str(schema.text()).expect("a schema of our own, parsed by a test"),
                    )
                })
                .collect()
        })[&self]
    }
}

/// Why a backbone event cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It was written by a newer release.
    #[error("{name} was written in version {version}, this program knows {known}: upgrade this program first")]
    Newer {
        /// The schema's name.
        name: String,
        /// The version met.
        version: i64,
        /// The version known.
        known: i64,
    },
    /// The writer schema's id has to be looked up first; give it to [`Codec::learn`] and try again.
    #[error("schema {0} has to be looked up")]
    UnknownSchema(SchemaId),
    /// It is not what it should be.
    #[error("not a {expected}: {why}")]
    Malformed {
        /// The schema expected.
        expected: &'static str,
        /// What is wrong.
        why: String,
    },
}

/// Writes and reads backbone events with the ids that a registry gave their schemas.
#[derive(Debug, Clone, Default)]
pub struct Codec {
    ids: BTreeMap<BackboneSchema, SchemaId>,
    writers: BTreeMap<SchemaId, Arc<apache_avro::Schema>>,
}

impl Codec {
    /// With the ids of the schemas this program writes.
    pub fn new(ids: BTreeMap<BackboneSchema, SchemaId>) -> Self {
        let writers = ids.iter().map(|(schema, id)| (*id, Arc::new(schema.parsed().clone()))).collect();
        Self { ids, writers }
    }

    /// Encodes one event.
    ///
    /// # Panics
    /// Where the schema's id was not given to [`Codec::new`], which is a mistake of the program.
    pub fn encode<T: Serialize>(&self, schema: BackboneSchema, event: &T) -> Vec<u8> {
        let id = self.ids.get(&schema).expect("ids of all backbone schemas are known before any event is written");
        let mut out = Vec::with_capacity(256);
        frame(*id, &mut out);
        // By way of a value: it widens our integers to the schema's and drops nothing silently.
        let value = to_value(event).expect("our own structs serialize");
        let body = value
            .resolve(schema.parsed())
            .and_then(|value| GenericDatumWriter::builder(schema.parsed()).build()?.write_value_to_vec(value))
            .expect("our own structs fit our own schemas, held by a test");
        out.extend_from_slice(&body);
        out
    }

    /// Makes a writer schema known.
    ///
    /// # Errors
    /// [`DecodeError::Newer`] where it is from a newer release, [`DecodeError::Malformed`] where it is no schema.
    pub fn learn(&mut self, expected: BackboneSchema, id: SchemaId, text: &str) -> Result<(), DecodeError> {
        let malformed = |why: String| DecodeError::Malformed { expected: expected.full_name(), why };
        let json: serde_json::Value = serde_json::from_str(text).map_err(|e| malformed(e.to_string()))?;
        let version = json.get("weir.version").and_then(serde_json::Value::as_i64).unwrap_or(1);
        if version > expected.version() {
            return Err(DecodeError::Newer {
                name: expected.full_name().to_owned(),
                version,
                known: expected.version(),
            });
        }
        let schema = apache_avro::Schema::parse(&json).map_err(|e| malformed(e.to_string()))?;
        self.writers.insert(id, Arc::new(schema));
        Ok(())
    }

    /// Decodes one event.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode<T: DeserializeOwned>(&self, expected: BackboneSchema, bytes: &[u8]) -> Result<T, DecodeError> {
        let malformed = |why: String| DecodeError::Malformed { expected: expected.full_name(), why };
        let framed = Frame::parse(bytes).map_err(|e| malformed(format!("{e:?}")))?;
        let writer = self.writers.get(&framed.schema).ok_or(DecodeError::UnknownSchema(framed.schema))?;
        let value = GenericDatumReader::builder(writer)
            .reader_schema(expected.parsed())
            .build()
            .and_then(|reader| reader.read_value(&mut &framed.body[..]))
            .map_err(|e| malformed(e.to_string()))?;
        from_value(&value).map_err(|e| malformed(e.to_string()))
    }
}

#[cfg(test)]
mod tests;
