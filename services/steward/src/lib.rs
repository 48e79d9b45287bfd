//! The steward: what a team's contracts ask for, compared with what is there ([`Steward::plan`]), and
//! brought about ([`Steward::apply`]): topics, settings, schemas, and last the catalog, whose record is
//! the moment a version takes effect.
//!
//! Every step can be done again: an apply that was cut off is finished by the next one. Decisions are
//! written under one transactional id, after reading the catalog behind its fence, so that two stewards at
//! once cannot both win. Judges records only to say what a contract
//! would do to them ([`audit()`], and the back-test of a plan); knows nothing of HTTP.

mod apply;
mod audit;
mod backtest;
mod decide;
mod each;
mod evolution;
mod plan;
mod planning;
mod source;
mod topics;

use std::sync::Arc;
use std::time::Duration;

use broker::{AdminError, Broker, Isolation, Position, Registry, Weather};
use schemas::{Catalog, CatalogError, Codec, Names, Partition, ProductId, TopicPartition, Version};

pub use apply::{Applied, ApplyOptions, Pending, Say};
pub use audit::{Audit, Broken, Example, Span, TopicSpan, audit};
pub use backtest::BackTest;
pub use evolution::{Change, Effect, judge as judge_evolution};
pub use plan::{Action, Plan, ProductPlan, Registration};
pub use source::{Loaded, Sourced, load};

/// Plans and applies.
pub struct Steward {
    broker: Arc<dyn Broker>,
    registry: Arc<dyn Registry>,
    names: Names,
    codec: Codec,
    who: String,
}

/// Why a plan was not made or not applied.
#[derive(Debug, thiserror::Error)]
pub enum StewardError {
    /// The broker or the registry cannot serve.
    #[error(transparent)]
    Weather(#[from] Weather),
    /// The broker refuses a step.
    #[error("{step}")]
    Admin {
        /// The step, in words.
        step: String,
        /// The broker's answer.
        #[source]
        source: AdminError,
    },
    /// The catalog cannot be read.
    #[error("the catalog cannot be read")]
    Catalog(#[from] CatalogError),
    /// What the plan was made from has changed.
    #[error("the plan for {0} has gone stale: somebody changed the product since; plan again")]
    Stale(ProductId),
    /// The plan has problems; nothing was done.
    #[error("{}", .0.join("\n"))]
    Blocked(Vec<String>),
    /// The registry refuses a schema.
    #[error("the registry refuses the schema of {product}: {why}")]
    Schema {
        /// Whose.
        product: ProductId,
        /// The registry's words.
        why: String,
    },
    /// The version to go back to is not understood.
    #[error(transparent)]
    Unreadable(#[from] contract::Unreadable),
    /// There is no such product.
    #[error("the catalog holds no product {0}")]
    NoProduct(ProductId),
    /// There is no version to go back to.
    #[error("{0} has no version before {1}")]
    NoPrevious(ProductId, Version),
}

impl Steward {
    /// A steward that signs its decisions with `who`.
    pub fn new(
        broker: Arc<dyn Broker>,
        registry: Arc<dyn Registry>,
        names: Names,
        codec: Codec,
        who: impl Into<String>,
    ) -> Self {
        Self { broker, registry, names, codec, who: who.into() }
    }

    /// The catalog as it is now.
    ///
    /// # Errors
    /// [`StewardError::Weather`], [`StewardError::Catalog`].
    pub fn catalog(&self) -> Result<Catalog, StewardError> {
        let topic = TopicPartition::new(self.names.catalog(), Partition(0));
        let mut catalog = Catalog::default();
        if self.broker.topic(&topic.topic)?.is_none() {
            return Ok(catalog);
        }
        let mut reader = self.broker.reader(&[(topic, Position::Beginning)], Isolation::Committed)?;
        loop {
            let chunk = reader.poll(Duration::from_secs(2))?;
            for record in &chunk.records {
                let decoded = Catalog::decode(&self.codec, record.key.as_deref(), record.value.as_deref())?;
                catalog.fold(record.offset, decoded);
            }
            if chunk.at_end {
                return Ok(catalog);
            }
        }
    }
}
