//! Everything outside the enforcers: topics, contracts in the catalog, the registry, and the time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use broker::memory::{MemoryBroker, MemoryRegistry};
use broker::{Admin, Broker, NewTopic, OutRecord, OwnedRecord};
use schemas::{
    BackboneSchema, CatalogKey, Codec, Companion, ContractVersion, Major, MajorState, Names, Offset, Partition,
    ProductId, ProductState, SchemaId, Timestamp, Topic, TopicPartition, Version,
};

use crate::clock::{Clock, Now};

/// The wall clock at the start of every simulation.
const EPOCH: i64 = 1_700_000_000_000;

pub(super) const SCHEMA: &str = r#"{"type":"record","name":"Reading","namespace":"meter","doc":"DOC","fields":[
 {"name":"sensor","type":"string"},{"name":"seq","type":"long"},{"name":"value","type":"double"},
 {"name":"note","type":["null","string"],"default":null},
 {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#;
/// Without the note.
pub(super) const OLDER: &str = r#"{"type":"record","name":"Reading","namespace":"meter","fields":[
 {"name":"sensor","type":"string"},{"name":"seq","type":"int"},{"name":"value","type":"double"},
 {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#;
pub(super) const KEY_SCHEMA: &str = r#"{"type":"record","name":"K","fields":[
 {"name":"seq","type":"long"},{"name":"sensor","type":"string"}]}"#;

/// A product of the simulation.
#[derive(Debug, Clone)]
pub(super) struct Product {
    pub(super) id: ProductId,
    pub(super) partitions: i32,
    /// Its keys are Avro; else UTF-8, and a record without a value deletes one.
    pub(super) avro_keys: bool,
}

impl Product {
    pub(super) fn topic(&self, names: &Names, companion: Companion) -> Topic {
        names.topic(companion, &self.id, Major(1))
    }
}

/// The versions that are applied, and the greatest value that each allows.
pub(super) const VERSIONS: [(&str, f64); 3] = [("1.0.0", 100.0), ("1.1.0", 50.0), ("1.2.0", 80.0)];

pub(super) fn greatest_of(version: Version) -> f64 {
    let known = VERSIONS.iter().find(|(text, _)| *text == version.to_string());
    known.unwrap_or_else(|| panic!("{version} was never applied")).1
}

/// The contract of a product in one of the [`VERSIONS`].
pub(super) fn document(product: &Product, version: &str, greatest: f64) -> String {
    let (name, partitions) = (&product.id.name, product.partitions);
    let (deletes, key, fields) =
        if product.avro_keys { ("none", "avro", "[sensor, seq]") } else { ("tombstone", "utf8", "[sensor]") };
    format!(
        r#"apiVersion: v3.1.0
kind: DataContract
id: meter.{name}
name: Readings
version: {version}
status: active
domain: meter
dataProduct: {name}
schema:
  - name: Reading
    logicalType: object
    properties:
      - name: sensor
        logicalType: string
        required: true
        logicalTypeOptions: {{pattern: "^s[0-9]+$"}}
      - name: seq
        logicalType: integer
        required: true
      - name: value
        logicalType: number
        required: true
        logicalTypeOptions: {{minimum: 0, maximum: {greatest}}}
      - name: note
        logicalType: string
        quality:
          - id: note-known
            metric: invalidValues
            arguments: {{validValues: [ok, late]}}
            mustBe: 0
            severity: warning
      - name: at
        logicalType: timestamp
        required: true
customProperties:
  - property: weir.partitions
    value: {partitions}
  - property: weir.deletes
    value: {deletes}
  - property: weir.key
    value: {{type: {key}, fields: {fields}}}
  - property: weir.conditions
    value:
      - {{id: quiet, expression: "value < 40.0 || sensor != 's1'", severity: warning}}
  - property: weir.measures
    value:
      - {{field: sensor, distinct: true}}
      - {{field: value, quantiles: true}}
      - {{field: at, eventTime: true}}
"#
    )
}

/// Ids of schemas besides the contract's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schemas {
    pub(super) older: SchemaId,
    pub(super) key: SchemaId,
    /// An Avro schema that nothing fits.
    pub(super) other: SchemaId,
    /// No Avro schema.
    pub(super) json: SchemaId,
}

/// The world.
pub(super) struct World {
    pub(super) broker: Arc<MemoryBroker>,
    pub(super) registry: Arc<MemoryRegistry>,
    pub(super) names: Names,
    pub(super) codec: Codec,
    pub(super) products: Vec<Product>,
    pub(super) schema_id: SchemaId,
    pub(super) schemas: Schemas,
    base: Instant,
    elapsed_ms: Arc<AtomicU64>,
    /// The next id that the registry gives: nobody registers anything new but late schemas.
    next_id: u32,
    /// A schema that its producer registers at this time, with the id it will get.
    pub(super) late: Option<(u64, SchemaId, String)>,
    /// Every inbox record there ever was.
    pub(super) inboxes: BTreeMap<TopicPartition, BTreeMap<Offset, OwnedRecord>>,
    /// What was removed from the inboxes.
    pub(super) removed_before: BTreeMap<TopicPartition, Offset>,
}

impl World {
    pub(super) fn new(products: Vec<Product>) -> Self {
        let (broker, registry, names) = (MemoryBroker::new(), Arc::new(MemoryRegistry::new()), Names::default());
        let ids = BackboneSchema::ALL.map(|schema| (schema, registry.insert(schema.text()))).into();
        let schema_id = registry.insert(SCHEMA);
        let schemas = Schemas {
            older: registry.insert(OLDER),
            key: registry.insert(KEY_SCHEMA),
            other: registry.insert(r#"{"type":"record","name":"Other","fields":[]}"#),
            json: registry.insert_other_kind("JSON"),
        };
        let next_id = schemas.json.0 + 1;
        let mut topics =
            vec![topic(names.catalog(), 1, &[]), topic(names.lineage(), 2, &[]), topic(names.quality(), 2, &[])];
        topics.push(topic(names.slots(), 3, &[]));
        for product in &products {
            let limits = [
                (Companion::Inbox, "20000", "CreateTime"),
                (Companion::Product, "1500", "CreateTime"),
                (Companion::Quarantine, "6000", "LogAppendTime"),
            ];
            for (companion, bytes, time) in limits {
                let settings = [("max.message.bytes", bytes), ("message.timestamp.type", time)];
                topics.push(topic(product.topic(&names, companion), product.partitions, &settings));
            }
        }
        for created in broker.create_topics(&topics).expect("a cluster in memory answers") {
            created.expect("a new topic");
        }
        let world = Self {
            broker,
            registry,
            names,
            codec: Codec::new(ids),
            products,
            schema_id,
            schemas,
            base: Instant::now(),
            elapsed_ms: Arc::default(),
            next_id,
            late: None,
            inboxes: BTreeMap::new(),
            removed_before: BTreeMap::new(),
        };
        for product in 0..world.products.len() {
            world.apply(product, 0);
        }
        world
    }

    /// The clock that enforcers read.
    pub(super) fn clock(&self) -> Clock {
        let (base, elapsed) = (self.base, Arc::clone(&self.elapsed_ms));
        Clock::of(move || {
            let elapsed = elapsed.load(Ordering::Relaxed);
            let wall = Timestamp(EPOCH + i64::try_from(elapsed).expect("not for ever"));
            Now { wall, instant: base + Duration::from_millis(elapsed) }
        })
    }

    pub(super) fn wall(&self) -> Timestamp {
        self.clock().now().wall
    }

    pub(super) fn elapsed_ms(&self) -> u64 {
        self.elapsed_ms.load(Ordering::Relaxed)
    }

    /// Time passes; a schema that was to be registered meanwhile is.
    pub(super) fn advance(&mut self, ms: u64) {
        let now = self.elapsed_ms.fetch_add(ms, Ordering::Relaxed) + ms;
        if let Some((_, id, text)) = self.late.take_if(|(due, ..)| *due <= now) {
            assert_eq!(self.registry.insert(&text), id, "nobody else registers");
        }
    }

    /// A producer writes with a schema that it registers only `due`; the id it will get.
    pub(super) fn register_late(&mut self, due: u64) -> SchemaId {
        let id = SchemaId(self.next_id);
        self.next_id += 1;
        self.late = Some((due, id, SCHEMA.replace("DOC", &format!("late {id}"))));
        id
    }

    /// Every inbox partition, with its product.
    pub(super) fn inbox_partitions(&self) -> Vec<(TopicPartition, Product)> {
        let partitions = |product: &Product| {
            let inbox = product.topic(&self.names, Companion::Inbox);
            let product = product.clone();
            (0..product.partitions).map(move |p| (TopicPartition::new(inbox.clone(), Partition(p)), product.clone()))
        };
        self.products.iter().flat_map(partitions).collect()
    }

    /// Puts a version of a product's contract into force.
    pub(super) fn apply(&self, product: usize, version: usize) {
        let (text, greatest) = VERSIONS[version];
        self.apply_document(product, version, document(&self.products[product], text, greatest));
    }

    /// The same with another document under that version.
    pub(super) fn apply_document(&self, product: usize, version: usize, document: String) {
        let product = &self.products[product];
        let version: Version = VERSIONS[version].0.parse().expect("a version");
        let contract = ContractVersion {
            product: product.id.clone(),
            version,
            document,
            schema: SCHEMA.to_owned(),
            schema_id: self.schema_id,
            applied_at: self.wall(),
            applied_by: "simulation".to_owned(),
            breaking_reason: None,
        };
        let major = MajorState {
            major: Major(1),
            version,
            previous: None,
            inbox: product.topic(&self.names, Companion::Inbox),
            topic: product.topic(&self.names, Companion::Product),
            quarantine: product.topic(&self.names, Companion::Quarantine),
            partitions: product.partitions,
            schema_id: self.schema_id,
        };
        let state = ProductState {
            product: product.id.clone(),
            title: product.id.to_string(),
            owner: None,
            purpose: None,
            status: "active".to_owned(),
            majors: vec![major],
            decided_at: self.wall(),
            decided_by: "simulation".to_owned(),
        };
        let record = |key: CatalogKey, value: Vec<u8>| OutRecord {
            topic: self.names.catalog(),
            partition: Some(Partition(0)),
            key: Some(key.to_bytes()),
            value: Some(value),
            headers: Vec::new(),
            timestamp: Some(self.wall()),
        };
        let id = product.id.clone();
        self.write(&[
            record(
                CatalogKey::Contract(id.clone(), version),
                self.codec.encode(BackboneSchema::ContractVersion, &contract),
            ),
            record(CatalogKey::Product(id), self.codec.encode(BackboneSchema::ProductState, &state)),
        ]);
    }

    /// Writes until it is there: perhaps more than once, as writers do that do not know.
    pub(super) fn write(&self, records: &[OutRecord]) {
        let id = self.names.produce_producer("simulation");
        for _ in 0..100 {
            let written = self.broker.writer(&id).map(|mut writer| writer.commit(records.to_vec(), None));
            if matches!(written, Ok(Ok(_))) {
                return;
            }
        }
        panic!("nothing can be written");
    }

    /// Keeps what stands in the inboxes now.
    pub(super) fn remember(&mut self) {
        for (inbox, _) in self.inbox_partitions() {
            let known = self.inboxes.entry(inbox.clone()).or_default();
            known.extend(self.broker.records(&inbox).into_iter().map(|record| (record.offset, record)));
        }
    }

    /// Somebody deletes a topic and makes it again.
    pub(super) fn remake(&self, topic: &Topic) {
        let partitions = self.broker.topic(topic).expect("no weather").map_or(0, |topic| topic.partitions.len());
        self.broker.delete_topic(topic).expect("it is there");
        let new = self::topic(topic.clone(), i32::try_from(partitions).expect("a few"), &[]);
        self.broker.create_topics(&[new]).expect("no weather").remove(0).expect("a new topic");
    }

    /// Retention removes records, read or unread.
    pub(super) fn remove_before(&mut self, inbox: &TopicPartition, before: Offset) {
        self.remember();
        self.broker.delete_records_before(inbox, before);
        let (first, _) = self.ends(inbox);
        self.removed_before.insert(inbox.clone(), first);
    }

    pub(super) fn ends(&self, partition: &TopicPartition) -> (Offset, Offset) {
        let ends = self.broker.ends(std::slice::from_ref(partition), true);
        ends.ok().and_then(|mut ends| ends.remove(partition)).unwrap_or_default()
    }
}

fn topic(topic: Topic, partitions: i32, settings: &[(&str, &str)]) -> NewTopic {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    NewTopic { topic, partitions: partitions.unsigned_abs(), replication: None, settings }
}
