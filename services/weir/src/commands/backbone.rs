//! The backbone as commands see it: broker, registry, names and how events are read.

use std::sync::Arc;
use std::time::Duration;

use broker::{Broker, Chunk, Isolation, Position, Registry};
use schemas::{
    BackboneSchema, Catalog, Codec, LineageEvent, Major, MajorState, Names, Partition, ProductId, ProductState, Topic,
    TopicPartition,
};
use steward::Steward;

use crate::connect::Connections;
use crate::{CliError, Global};

/// How long a command waits for an answer when it reads to an end.
const POLL: Duration = Duration::from_secs(2);

/// A connection to everything.
pub(crate) struct Backbone {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) names: Names,
    pub(crate) codec: Codec,
}

impl Backbone {
    /// Connects as configured.
    pub(crate) fn connect(global: &Global) -> Result<Self, CliError> {
        let connections = Connections::new(&global.settings)?;
        let broker = connections.broker()?;
        let registry = connections.registry()?;
        let codec = crate::bootstrap::codec(&*registry)?;
        Ok(Self { broker, registry, names: global.names.clone(), codec })
    }

    /// A steward that signs with the name of who is logged in.
    pub(crate) fn steward(&self) -> Steward {
        let who = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "unknown".to_owned());
        Steward::new(Arc::clone(&self.broker), Arc::clone(&self.registry), self.names.clone(), self.codec.clone(), who)
    }

    /// The catalog as it is now.
    pub(crate) fn catalog(&self) -> Result<Catalog, CliError> {
        self.steward().catalog().map_err(failed)
    }

    /// A product as a person names it: `domain.name` is its latest major, `domain.name.v2` that one.
    pub(crate) fn product(&self, text: &str) -> Result<(ProductState, MajorState), CliError> {
        let (id, wanted) = named(text)?;
        let catalog = self.catalog()?;
        let state = catalog.product(&id).and_then(|entry| entry.state.clone()).ok_or_else(|| {
            let known: Vec<_> = catalog.products().map(|(id, _)| id.to_string()).collect();
            let known =
                if known.is_empty() { "no product yet; weir apply makes one".to_owned() } else { known.join(", ") };
            CliError::Failed(format!("there is no product {id}; the catalog holds {known}"))
        })?;
        let major = match wanted {
            Some(wanted) => state.majors.iter().find(|major| major.major == wanted),
            None => state.majors.last(),
        };
        let major = major.cloned().ok_or_else(|| CliError::Failed(format!("{id} has no such major")))?;
        Ok(((*state).clone(), major))
    }

    /// Every partition of a topic.
    pub(crate) fn partitions(&self, topic: &Topic) -> Result<Vec<TopicPartition>, CliError> {
        let description =
            self.broker.topic(topic)?.ok_or_else(|| CliError::Failed(format!("topic {topic} does not exist")))?;
        Ok(description
            .partitions
            .iter()
            .map(|(partition, _): &(Partition, bool)| TopicPartition::new(topic.clone(), *partition))
            .collect())
    }

    /// Reads partitions from a position to what is their end now.
    pub(crate) fn read_to_end(
        &self,
        from: &[(TopicPartition, Position)],
        take: &mut dyn FnMut(Chunk) -> Result<bool, CliError>,
    ) -> Result<(), CliError> {
        // Where nothing is, nothing is waited for.
        let partitions: Vec<_> = from.iter().map(|(partition, _)| partition.clone()).collect();
        let ends = self.broker.ends(&partitions, true)?;
        let holds = |partition: &TopicPartition| ends.get(partition).is_none_or(|(first, end)| end > first);
        let from: Vec<_> = from.iter().filter(|(partition, _)| holds(partition)).cloned().collect();
        if from.is_empty() {
            return Ok(());
        }
        let mut reader = self.broker.reader(&from, Isolation::Committed)?;
        loop {
            let chunk = reader.poll(POLL)?;
            let at_end = chunk.at_end;
            if !take(chunk)? || at_end {
                return Ok(());
            }
        }
    }

    /// Every lineage event, oldest first within each inbox partition.
    pub(crate) fn lineage(&self, take: &mut dyn FnMut(LineageEvent)) -> Result<(), CliError> {
        let from: Vec<_> = self
            .partitions(&self.names.lineage())?
            .into_iter()
            .map(|partition| (partition, Position::Beginning))
            .collect();
        self.read_to_end(&from, &mut |chunk| {
            for record in chunk.records {
                let Some(value) = record.value else { continue };
                take(self.codec.decode(BackboneSchema::Lineage, &value).map_err(failed)?);
            }
            Ok(true)
        })
    }
}

/// A product as a person names it: `domain.name`, or `domain.name.v2` for one major of it.
pub(crate) fn named(text: &str) -> Result<(ProductId, Option<Major>), CliError> {
    let (name, major) = match text.rsplit_once(".v") {
        Some((name, major)) if major.parse::<u32>().is_ok() => (name, major.parse().ok().map(Major)),
        _ => (text, None),
    };
    let id = name.parse().map_err(|error| CliError::Usage(format!("cannot use {text:?}: {error}")))?;
    Ok((id, major))
}

/// An error with every cause, as one sentence.
pub(crate) fn failed(error: impl std::error::Error) -> CliError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    CliError::Failed(text)
}
