//! A backbone in memory, contracts to apply to it, and what is there in the end, to be compared.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use broker::memory::{MemoryBroker, MemoryRegistry};
use broker::{Admin, Broker, NewTopic, OutRecord, Registered, Registry};
use contract::avro::{Schema, can_read};
use contract::odcs::{self, Source};
use schemas::{
    AuditEvent, BackboneSchema, Codec, Names, Partition, ProductState, SchemaId, Subject, Topic, TopicPartition, frame,
};
use steward::{Applied, ApplyOptions, Plan, Sourced, Steward, StewardError};

/// A contract as a team would write it.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) product: &'static str,
    pub(crate) version: &'static str,
    pub(crate) status: &'static str,
    /// Options of the property `value`.
    pub(crate) value: &'static str,
    /// Further text fields: name, and whether each record has it.
    pub(crate) fields: &'static [(&'static str, bool)],
    /// Custom properties: name and value.
    pub(crate) settings: Vec<(&'static str, &'static str)>,
}

/// Version 1.0.0 of the product that most tests are about.
pub(crate) fn readings() -> Draft {
    Draft {
        product: "meter.readings",
        version: "1.0.0",
        status: "active",
        value: "minimum: 0",
        fields: &[],
        settings: vec![("weir.partitions", "2")],
    }
}

impl Draft {
    pub(crate) fn version(mut self, version: &'static str) -> Self {
        self.version = version;
        self
    }

    pub(crate) fn value(mut self, options: &'static str) -> Self {
        self.value = options;
        self
    }

    pub(crate) fn fields(mut self, fields: &'static [(&'static str, bool)]) -> Self {
        self.fields = fields;
        self
    }

    pub(crate) fn set(mut self, name: &'static str, value: &'static str) -> Self {
        self.settings.retain(|(known, _)| *known != name);
        self.settings.push((name, value));
        self
    }

    pub(crate) fn sourced(&self) -> Sourced {
        let (domain, name) = self.product.split_once('.').unwrap();
        let mut text = format!(
            "apiVersion: v3.1.0\nkind: DataContract\nid: {}\nversion: {}\nstatus: {}\ndomain: {domain}\n\
             dataProduct: {name}\nschema:\n  - name: Reading\n    logicalType: object\n    properties:\n      \
             - name: sensor\n        logicalType: string\n        required: true\n      \
             - name: value\n        logicalType: integer\n        required: true\n",
            self.product, self.version, self.status
        );
        if !self.value.is_empty() {
            write!(text, "        logicalTypeOptions:\n          {}\n", self.value).unwrap();
        }
        let mut fields = String::new();
        for (name, required) in self.fields {
            write!(text, "      - name: {name}\n        logicalType: string\n        required: {required}\n").unwrap();
            let kind = if *required { r#""string""# } else { r#"["null","string"],"default":null"# };
            write!(fields, r#",{{"name":"{name}","type":{kind}}}"#).unwrap();
        }
        text.push_str("customProperties:\n");
        for (name, value) in &self.settings {
            write!(text, "  - property: {name}\n    value: {value}\n").unwrap();
        }
        let schema = format!(
            r#"{{"type":"record","name":"Reading","namespace":"meter","fields":[{{"name":"sensor","type":"string"}},{{"name":"value","type":"long"}}{fields}]}}"#
        );
        let read = odcs::read(
            &Source { file: "contract.odcs.yaml", text: &text },
            Some(&Source { file: "schema.avsc", text: &schema }),
        );
        let read = read.unwrap_or_else(|mistakes| panic!("{mistakes:#?}\n{text}"));
        Sourced { file: "contract.odcs.yaml".into(), contract: Arc::new(read.contract) }
    }
}

/// Broker, registry, and the topics that a backbone begins with.
pub(crate) struct World {
    pub(crate) broker: Arc<MemoryBroker>,
    pub(crate) registry: Arc<MemoryRegistry>,
    pub(crate) names: Names,
    pub(crate) codec: Codec,
}

/// Both ways with every version at the full levels; the other levels are not used here.
fn compatible(level: broker::CompatibilityLevel, new: &str, versions: &[Arc<str>]) -> Option<String> {
    let new = Schema::parse(new).unwrap();
    let old = versions.iter().map(|text| Schema::parse(text).unwrap());
    let mut problems = old.flat_map(|old| [can_read(&old, &new), can_read(&new, &old)].concat());
    let refused = problems.next().map(|problem| format!("{}: {}", problem.path, problem.message));
    refused.filter(|_| level == broker::CompatibilityLevel::FullTransitive)
}

impl World {
    pub(crate) fn new() -> Self {
        let (broker, registry) = (MemoryBroker::new(), Arc::new(MemoryRegistry::with_compatibility(compatible)));
        let names = Names::default();
        let topic =
            |topic: Topic, partitions| NewTopic { topic, partitions, replication: None, settings: BTreeMap::new() };
        let control = [topic(names.catalog(), 1), topic(names.lineage(), 4), topic(names.audit(), 1)];
        for result in broker.create_topics(&control).unwrap() {
            result.unwrap();
        }
        let ids = BackboneSchema::ALL.map(|schema| {
            let subject = Subject::existing(schema.full_name());
            match registry.register(&subject, schema.text()).unwrap() {
                Registered::Id(id) => (schema, id),
                other => panic!("{other:?}"),
            }
        });
        Self { broker, registry, names, codec: Codec::new(ids.into_iter().collect()) }
    }

    /// A world in which these are in force already.
    pub(crate) fn with(drafts: &[Draft]) -> Self {
        let world = Self::new();
        world.apply(drafts).unwrap();
        world
    }

    pub(crate) fn steward(&self, who: &str) -> Steward {
        let (broker, registry) = (Arc::clone(&self.broker), Arc::clone(&self.registry));
        Steward::new(broker, registry, self.names.clone(), self.codec.clone(), who)
    }

    pub(crate) fn plan(&self, drafts: &[Draft]) -> Plan {
        self.steward("planner").plan(&drafts.iter().map(Draft::sourced).collect::<Vec<_>>()).unwrap()
    }

    pub(crate) fn apply(&self, drafts: &[Draft]) -> Result<Applied, StewardError> {
        carry_out(&self.steward("a"), &self.plan(drafts), None)
    }

    pub(crate) fn state(&self, product: &str) -> Option<Arc<ProductState>> {
        let catalog = self.steward("reader").catalog().unwrap();
        catalog.product(&product.parse().unwrap()).and_then(|entry| entry.state.clone())
    }

    /// The version in force of a product's latest major.
    pub(crate) fn version(&self, product: &str) -> String {
        self.state(product).unwrap().majors.last().unwrap().version.to_string()
    }

    /// Action and detail of every decision, in order.
    pub(crate) fn audit(&self) -> Vec<(String, String)> {
        let records = self.broker.records(&TopicPartition::new(self.names.audit(), Partition(0)));
        let event = |value: Vec<u8>| self.codec.decode::<AuditEvent>(BackboneSchema::Audit, &value).unwrap();
        records.into_iter().map(|record| event(record.value.unwrap())).map(|e| (e.action, e.detail)).collect()
    }

    /// A topic's settings that were set on itself, as `name=value`.
    pub(crate) fn settings(&self, topic: &str) -> Vec<String> {
        let settings = self.broker.settings(&Topic::existing(topic)).unwrap().into_iter();
        let own = settings.filter(|(_, entry)| entry.set_on_topic);
        own.map(|(name, entry)| format!("{name}={}", entry.value.unwrap())).collect()
    }

    pub(crate) fn make_topic(&self, topic: &str, partitions: u32, settings: &[(&str, &str)]) {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let new = NewTopic { topic: Topic::existing(topic), partitions, replication: None, settings };
        self.broker.create_topics(&[new]).unwrap().remove(0).unwrap();
    }

    /// Writes readings with these values into the inbox, as a producer with the product's schema.
    pub(crate) fn produce(&self, values: &[i64]) {
        let (id, text) = self.registry.latest(&Subject::existing("inbox.meter.readings.v1-value")).unwrap().unwrap();
        let schema = Schema::parse(&text).unwrap();
        let record = |value: &i64| OutRecord {
            topic: Topic::existing("inbox.meter.readings.v1"),
            partition: None,
            key: None,
            value: Some(encoded(id, &schema, *value)),
            headers: Vec::new(),
            timestamp: None,
        };
        let mut writer = self.broker.writer(&self.names.produce_producer("test")).unwrap();
        writer.commit(values.iter().map(record).collect(), None).unwrap();
    }

    /// Everything that an apply can change, but for when and by whom.
    pub(crate) fn end(&self) -> String {
        let mut end = String::new();
        for topic in self.broker.topics().unwrap() {
            let settings = self.settings(topic.topic.as_str());
            writeln!(end, "topic {} {} {settings:?}", topic.topic, topic.partitions.len()).unwrap();
            let subject = Subject::value_of(&topic.topic);
            let ids = self.registry.ids(&subject).len();
            writeln!(end, "  subject {ids} {:?}", self.registry.level(&subject).unwrap()).unwrap();
        }
        let catalog = self.steward("reader").catalog().unwrap();
        for (id, state) in catalog.products() {
            writeln!(end, "product {id} {:?} {:?}", state.status, state.majors).unwrap();
            for (version, entry) in &catalog.product(id).unwrap().contracts {
                writeln!(end, "  {version} {}", entry.contract.document.len()).unwrap();
            }
        }
        writeln!(end, "{:?}", self.audit()).unwrap();
        end
    }
}

fn encoded(id: SchemaId, schema: &Schema, value: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame(id, &mut bytes);
    let json = serde_json::json!({"sensor": "s1", "value": value});
    contract::avro::encode(schema, &json, &mut bytes).unwrap();
    bytes
}

/// Applies without waiting for enforcers: there are none.
pub(crate) fn carry_out(steward: &Steward, plan: &Plan, reason: Option<&str>) -> Result<Applied, StewardError> {
    let options = ApplyOptions { allow_breaking: reason.map(str::to_owned), ..ApplyOptions::default() };
    steward.apply(plan, &options, &mut |_| {})
}

/// The steps of a plan as a person sees them.
pub(crate) fn steps(plan: &Plan) -> Vec<String> {
    let actions = plan.products.iter().flat_map(|product| &product.actions);
    actions.map(|action| format!("{} {action}", action.symbol())).collect()
}
