//! One catalog reader per process: contracts reach the lanes as immutable snapshots.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use broker::{Broker, Destination, Isolation, Lookup, Position, Reader, Registry, Weather};
use contract::Contract;
use contract::odcs::{self, Source};
use runtime::Shutdown;
use schemas::{
    BackboneSchema, Catalog, CatalogError, Codec, DecodeError, MajorState, Offset, Partition, ProductId, SchemaId,
    Topic, TopicPartition, Version,
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
}

/// What is to be enforced, as of a position of the catalog.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The next catalog offset to be read.
    pub position: Offset,
    /// By inbox.
    pub inboxes: HashMap<Topic, Arc<Enforced>>,
    /// Products whose contract this program cannot read, and why: their inboxes wait.
    pub unreadable: BTreeMap<ProductId, String>,
}

impl Snapshot {
    /// Every inbox partition there is.
    pub fn partitions(&self) -> impl Iterator<Item = (TopicPartition, &Arc<Enforced>)> {
        self.inboxes.values().flat_map(|enforced| {
            (0..enforced.partitions)
                .map(move |partition| (TopicPartition::new(enforced.inbox.clone(), Partition(partition)), enforced))
        })
    }
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
    /// Contracts already read, so that one product's change reads one contract.
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
            read: HashMap::new(),
            current: Current::default(),
        })
    }

    /// Reads until the end is met once; before that no slot may be taken.
    pub(crate) fn read_to_end(&mut self, shutdown: &Shutdown) -> Result<Current, SnapshotError> {
        while !shutdown.is_stopping() {
            if self.take(Duration::from_millis(200))? {
                break;
            }
        }
        self.publish();
        Ok(self.current.clone())
    }

    /// Follows the catalog until told to stop.
    pub(crate) fn follow(mut self, shared: &Shared) -> Result<(), SnapshotError> {
        while !shared.shutdown.is_stopping() {
            let before = self.catalog.position();
            match self.take(Duration::from_millis(200)) {
                Ok(_) if self.catalog.position() > before => self.publish(),
                Ok(_) => {}
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

    fn take(&mut self, max_wait: Duration) -> Result<bool, SnapshotError> {
        let chunk = self.reader.poll(max_wait)?;
        for record in chunk.records {
            let decoded = loop {
                match Catalog::decode(&self.codec, record.key.as_deref(), record.value.as_deref()) {
                    Err(CatalogError::Value { source: DecodeError::UnknownSchema(id), .. }) => {
                        self.learn(id, record.offset)?
                    }
                    other => break other,
                }
            };
            let decoded = decoded.map_err(|source| SnapshotError::Record { offset: record.offset, source })?;
            self.catalog.fold(record.offset, decoded);
        }
        if let Some((_, next)) = self.reader.positions().first() {
            self.catalog.reached(*next);
        }
        Ok(chunk.at_end)
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
        let products: Vec<_> = self.catalog.products().map(|(id, state)| (id.clone(), state.majors.clone())).collect();
        for (product, majors) in products {
            for major in majors {
                match self.contract(&product, major.version) {
                    Ok(contract) => {
                        let enforced = enforced(&product, &major, contract);
                        snapshot.inboxes.insert(major.inbox.clone(), Arc::new(enforced));
                    }
                    Err(why) => {
                        tracing::error!(%product, version = %major.version, why, "a contract cannot be read: its inbox waits");
                        snapshot.unreadable.insert(product.clone(), why);
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
            Some(entry) => odcs::read(
                &Source { file: "contract.odcs.yaml", text: &entry.contract.document },
                Some(&Source { file: "schema.avsc", text: &entry.contract.schema }),
            )
            .map(|read| Arc::new(read.contract))
            .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
        };
        self.read.insert(key, result.clone());
        result
    }
}

fn enforced(product: &ProductId, major: &MajorState, contract: Arc<Contract>) -> Enforced {
    Enforced {
        product: product.clone(),
        version: major.version,
        inbox: major.inbox.clone(),
        destination: Destination { product: major.topic.clone(), quarantine: major.quarantine.clone() },
        partitions: major.partitions,
        schema_id: major.schema_id,
        contract,
    }
}
