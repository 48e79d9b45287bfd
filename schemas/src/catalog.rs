//! What the catalog topic says, folded: the meaning of that topic, wherever it is read.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::events::{
    BackboneSchema, CatalogKey, CatalogRecord, CatalogValue, Codec, ContractVersion, DecodeError, ProductState,
};
use crate::ids::Offset;
use crate::product::{ProductId, Version};

/// A product with the contract versions that are known of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProductEntry {
    /// Its current state; `None` until it is written, or after it is removed.
    pub state: Option<Arc<ProductState>>,
    /// Every version ever applied.
    pub contracts: BTreeMap<Version, ContractEntry>,
}

/// A contract version, and where in the catalog it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ContractEntry {
    /// The version.
    pub contract: Arc<ContractVersion>,
    /// The catalog offset it was read at.
    pub offset: Offset,
}

/// Why a record of the catalog cannot be taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// Its key is of no kind known.
    #[error("the catalog holds a key this program does not know: {0}: upgrade this program first")]
    UnknownKey(String),
    /// Its value cannot be read.
    #[error("the catalog's value under {key} cannot be read")]
    Value {
        /// The key.
        key: String,
        /// Why.
        #[source]
        source: DecodeError,
    },
}

/// The catalog as of a position of its topic. Cheap to clone: a snapshot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalog {
    products: BTreeMap<ProductId, ProductEntry>,
    next: Option<Offset>,
}

impl Catalog {
    /// Reads one record of the topic.
    ///
    /// # Errors
    /// [`CatalogError`]; with a [`DecodeError::UnknownSchema`] inside, learn it and try again.
    pub fn decode(codec: &Codec, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<CatalogRecord, CatalogError> {
        let key_bytes = key.unwrap_or_default();
        let text = || String::from_utf8_lossy(key_bytes).into_owned();
        let key = CatalogKey::parse(key_bytes).ok_or_else(|| CatalogError::UnknownKey(text()))?;
        let failed = |source| CatalogError::Value { key: text(), source };
        let value = match (&key, value) {
            (_, None) => None,
            (CatalogKey::Product(_), Some(bytes)) => {
                Some(CatalogValue::Product(codec.decode(BackboneSchema::ProductState, bytes).map_err(failed)?))
            }
            (CatalogKey::Contract(..), Some(bytes)) => {
                Some(CatalogValue::Contract(codec.decode(BackboneSchema::ContractVersion, bytes).map_err(failed)?))
            }
        };
        Ok(CatalogRecord { key, value })
    }

    /// Takes in a record that stands at `offset`.
    pub fn fold(&mut self, offset: Offset, record: CatalogRecord) {
        match (record.key, record.value) {
            (CatalogKey::Product(product), Some(CatalogValue::Product(state))) => {
                self.products.entry(product).or_default().state = Some(Arc::new(state));
            }
            (CatalogKey::Contract(product, version), Some(CatalogValue::Contract(contract))) => {
                let entry = ContractEntry { contract: Arc::new(contract), offset };
                self.products.entry(product).or_default().contracts.insert(version, entry);
            }
            (CatalogKey::Product(product), _) => {
                if let Some(entry) = self.products.get_mut(&product) {
                    entry.state = None;
                }
            }
            (CatalogKey::Contract(product, version), _) => {
                if let Some(entry) = self.products.get_mut(&product) {
                    entry.contracts.remove(&version);
                }
            }
        }
        self.reached(offset.next());
    }

    /// The topic was read up to `next` (past markers too).
    pub fn reached(&mut self, next: Offset) {
        self.next = Some(self.next.map_or(next, |before| before.max(next)));
    }

    /// The next offset of the topic to read: what lanes commit beside their own positions.
    pub fn position(&self) -> Offset {
        self.next.unwrap_or(Offset::ZERO)
    }

    /// Every product that has a state, in order of its id.
    pub fn products(&self) -> impl Iterator<Item = (&ProductId, &ProductState)> {
        self.products.iter().filter_map(|(id, entry)| Some((id, &**entry.state.as_ref()?)))
    }

    /// One product, also one that has no state any more.
    pub fn product(&self, product: &ProductId) -> Option<&ProductEntry> {
        self.products.get(product)
    }
}
