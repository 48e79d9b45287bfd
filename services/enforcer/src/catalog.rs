//! One catalog reader per process: contracts reach the lanes as immutable snapshots.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use broker::{Broker, Destination, Isolation, Lookup, OwnedRecord, Position, Reader, Registry, Weather};
use contract::{Contract, Statistics};
use schemas::{
    BackboneSchema, Catalog, CatalogError, Codec, DecodeError, MajorState, Offset, Partition, ProductId, ProductState,
    SchemaId, Timestamp, Topic, TopicPartition, Version,
};

use crate::{Config, Shared};

/// A contract version in force on an inbox.
#[derive(Debug)]
pub struct Enforced {
    /// Whose.
    pub product: ProductId,
    /// Which version.
    pub version: Version,
    /// The inbox.
    pub inbox: Topic,
    /// Where records go.
    pub destination: Destination,
    /// How many partitions each of the three topics has.
    pub partitions: i32,
    /// The contract's schema id.
    pub schema_id: SchemaId,
    /// The contract.
    pub contract: Arc<Contract>,
    /// Empty statistics, to begin each batch with.
    pub(crate) statistics: Statistics,
    /// When the steward decided on what is in force of the product.
    pub decided_at: Timestamp,
}

/// An inbox whose contract this program cannot read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The inbox.
    pub inbox: Topic,
    /// How many partitions it has.
    pub partitions: i32,
    /// What is wrong with its contract.
    pub why: String,
}

/// What is to be enforced, as of a position of the catalog.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The next catalog offset to be read.
    pub position: Offset,
    /// By inbox.
    pub inboxes: HashMap<Topic, Arc<Enforced>>,
    /// Inboxes whose contract this program cannot read: they wait.
    pub unreadable: Vec<Unreadable>,
}

impl Snapshot {
    /// Every inbox partition there is.
    pub fn partitions(&self) -> impl Iterator<Item = (TopicPartition, &Arc<Enforced>)> {
        self.inboxes.values().flat_map(|enforced| {
            partitions_of(&enforced.inbox, enforced.partitions).map(move |partition| (partition, enforced))
        })
    }

    /// Every inbox partition that cannot be enforced, and why.
    pub fn unreadable_partitions(&self) -> impl Iterator<Item = (TopicPartition, &str)> {
        self.unreadable.iter().flat_map(|unreadable| {
            partitions_of(&unreadable.inbox, unreadable.partitions)
                .map(|partition| (partition, unreadable.why.as_str()))
        })
    }
}

fn partitions_of(inbox: &Topic, count: i32) -> impl Iterator<Item = TopicPartition> + use<> {
    let inbox = inbox.clone();
    (0..count).map(move |partition| TopicPartition::new(inbox.clone(), Partition(partition)))
}

/// Why the catalog cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It holds something from a newer release, or no catalog record at all.
    #[error("the catalog record at offset {offset} cannot be taken in")]
    Record {
        /// Where it stands.
        offset: Offset,
        /// What is wrong.
        #[source]
        source: CatalogError,
    },
    /// The broker or the registry cannot serve.
    #[error(transparent)]
    Weather(#[from] Weather),
}

/// The snapshot that lanes take at batch boundaries.
#[derive(Debug, Clone, Default)]
pub(crate) struct Current(Arc<Mutex<Arc<Snapshot>>>);

impl Current {
    pub(crate) fn get(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, snapshot: Snapshot) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
    }
}

/// Reads the catalog from its beginning and follows it.
pub(crate) struct CatalogReader {
    reader: Box<dyn Reader>,
    registry: Arc<dyn Registry>,
    codec: Codec,
    catalog: Catalog,
    /// Polled and not yet taken in: what the registry must first be asked about stays here.
    pending: VecDeque<OwnedRecord>,
    /// Contracts in force that were already read, so that one product's change reads one contract.
    read: HashMap<(ProductId, Version), Result<Arc<Contract>, String>>,
    current: Current,
}

impl CatalogReader {
    pub(crate) fn open(broker: &dyn Broker, registry: Arc<dyn Registry>, config: &Config) -> Result<Self, Weather> {
        let topic = TopicPartition::new(config.names.catalog(), Partition(0));
        let reader = broker.reader(&[(topic, Position::Beginning)], Isolation::Committed)?;
        Ok(Self {
            reader,
            registry,
            codec: config.codec.clone(),
            catalog: Catalog::default(),
            pending: VecDeque::new(),
            read: HashMap::new(),
            current: Current::default(),
        })
    }

    /// Reads until the end is met once; before that no slot may be taken.
    pub(crate) fn read_to_end(&mut self, stopping: &dyn Fn() -> bool) -> Result<Current, SnapshotError> {
        while !stopping() {
            if self.take(Duration::from_millis(200))? {
                break;
            }
        }
        self.publish();
        Ok(self.current.clone())
    }

    /// Reads what is new, and publishes it.
    pub(crate) fn step(&mut self, max_wait: Duration) -> Result<(), SnapshotError> {
        let before = self.catalog.position();
        let taken = self.take(max_wait);
        if self.catalog.position() > before {
            self.publish();
        }
        taken.map(drop)
    }

    /// Follows the catalog until told to stop.
    pub(crate) fn follow(mut self, shared: &Shared) -> Result<(), SnapshotError> {
        while !shared.shutdown.is_stopping() {
            match self.step(Duration::from_millis(200)) {
                Ok(()) => {}
                Err(SnapshotError::Weather(weather)) => {
                    tracing::warn!(%weather, "the catalog cannot be followed for now");
                    shared.shutdown.wait(Duration::from_secs(1));
                }
                Err(stop) => {
                    // A record that this release cannot read: enforcing on under an older contract would
                    // let through what its owner has forbidden.
                    tracing::error!(error = %stop, "the catalog cannot be read by this program: enforcement stops");
                    shared.shutdown.stop();
                    return Err(stop);
                }
            }
        }
        Ok(())
    }

    /// Takes in what is at hand; whether that was all there is.
    fn take(&mut self, max_wait: Duration) -> Result<bool, SnapshotError> {
        let mut at_end = false;
        if self.pending.is_empty() {
            let chunk = self.reader.poll(max_wait)?;
            at_end = chunk.at_end;
            self.pending.extend(chunk.records);
        }
        while let Some(record) = self.pending.front() {
            match Catalog::decode(&self.codec, record.key.as_deref(), record.value.as_deref()) {
                Err(CatalogError::Value { source: DecodeError::UnknownSchema(id), .. }) => {
                    let offset = record.offset;
                    self.learn(id, offset)?;
                }
                Err(source) => return Err(SnapshotError::Record { offset: record.offset, source }),
                Ok(decoded) => {
                    self.catalog.fold(record.offset, decoded);
                    self.pending.pop_front();
                }
            }
        }
        if let Some((_, next)) = self.reader.positions().first() {
            self.catalog.reached(*next);
        }
        Ok(at_end)
    }

    /// Learns a writer schema of another release. Its name tells which of the two it is.
    fn learn(&mut self, id: SchemaId, offset: Offset) -> Result<(), SnapshotError> {
        let text = match self.registry.schema(id)? {
            Lookup::Avro(text) => text,
            other => {
                let why = format!("the registry answered {other:?}");
                return Err(Weather::new(format!("look up schema {id} of the catalog"), why).into());
            }
        };
        let kind = if text.contains("ContractVersion") {
            BackboneSchema::ContractVersion
        } else {
            BackboneSchema::ProductState
        };
        self.codec.learn(kind, id, &text).map_err(|source| SnapshotError::Record {
            offset,
            source: CatalogError::Value { key: format!("schema {id}"), source },
        })
    }

    fn publish(&mut self) {
        let mut snapshot = Snapshot { position: self.catalog.position(), ..Snapshot::default() };
        let known = |(id, state): (&ProductId, &ProductState)| (id.clone(), state.majors.clone(), state.decided_at);
        let products: Vec<_> = self.catalog.products().map(known).collect();
        let in_force: HashSet<_> = products
            .iter()
            .flat_map(|(product, majors, _)| majors.iter().map(|major| (product.clone(), major.version)))
            .collect();
        self.read.retain(|version, _| in_force.contains(version));
        for (product, majors, decided_at) in products {
            for major in majors {
                match self.contract(&product, major.version) {
                    Ok(contract) => {
                        let enforced = enforced(&product, &major, contract, decided_at);
                        snapshot.inboxes.insert(major.inbox.clone(), Arc::new(enforced));
                    }
                    Err(why) => {
                        tracing::error!(%product, version = %major.version, why, "a contract cannot be read: its inbox waits");
                        let (inbox, partitions) = (major.inbox, major.partitions);
                        let why = format!("this program cannot read its contract, {}: {why}", major.version);
                        snapshot.unreadable.push(Unreadable { inbox, partitions, why });
                    }
                }
            }
        }
        self.current.set(snapshot);
    }

    fn contract(&mut self, product: &ProductId, version: Version) -> Result<Arc<Contract>, String> {
        let key = (product.clone(), version);
        if let Some(known) = self.read.get(&key) {
            return known.clone();
        }
        let entry = self.catalog.product(product).and_then(|entry| entry.contracts.get(&version));
        let result = match entry {
            // Not kept: the version's record may come later.
            None => return Err(format!("the catalog does not hold version {version}")),
            Some(entry) => contract::read_back(&entry.contract).map_err(|unreadable| unreadable.to_string()),
        };
        self.read.insert(key, result.clone());
        result
    }
}

fn enforced(product: &ProductId, major: &MajorState, contract: Arc<Contract>, decided_at: Timestamp) -> Enforced {
    Enforced {
        product: product.clone(),
        version: major.version,
        inbox: major.inbox.clone(),
        destination: Destination { product: major.topic.clone(), quarantine: major.quarantine.clone() },
        partitions: major.partitions,
        schema_id: major.schema_id,
        statistics: Statistics::for_contract(&contract),
        contract,
        decided_at,
    }
}
