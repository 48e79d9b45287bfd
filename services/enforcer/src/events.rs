//! The events of a transaction: one of lineage and one of quality per inbox partition, three views of one
//! fact that cannot disagree because they are made from the same counts and committed together.

use broker::{OutRecord, PartitionOutput};
use schemas::{
    BackboneSchema, Codec, LineageEvent, LineageKind, Names, Offset, QualityEvent, Run, SchemaId, Timestamp,
    TopicPartition,
};

use crate::bounds;
use crate::catalog::Enforced;
use crate::judge::Judged;

/// What events of a batch have in common.
#[derive(Clone, Copy)]
pub(crate) struct Stamp<'a> {
    pub(crate) names: &'a Names,
    pub(crate) codec: &'a Codec,
    /// The lane's clock.
    pub(crate) judged_at: Timestamp,
    /// The position of the catalog.
    pub(crate) catalog_offset: Offset,
}

/// The text committed with an offset: the catalog it was judged under, and the contract version.
pub(crate) fn metadata(catalog_offset: Offset, enforced: &Enforced) -> String {
    format!("c={catalog_offset};v={}", enforced.version)
}

/// Reads [`metadata`] back; what cannot be read was written by hand or by nobody, and binds nothing.
pub(crate) fn read_metadata(text: &str) -> (Option<Offset>, Option<&str>) {
    let part = |name: &str| text.split(';').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    (part("c").and_then(|offset| offset.parse().ok()).map(Offset), part("v"))
}

fn count(runs: &[Run]) -> i64 {
    runs.iter().map(|run| run.count).sum()
}

impl Stamp<'_> {
    fn lineage(
        &self,
        kind: LineageKind,
        enforced: &Enforced,
        inbox: &TopicPartition,
        from: Offset,
        to: Offset,
    ) -> LineageEvent {
        LineageEvent {
            kind,
            product: enforced.product.clone(),
            version: enforced.version,
            inbox: inbox.topic.clone(),
            partition: inbox.partition,
            from,
            to,
            topic: enforced.destination.product.clone(),
            quarantine: enforced.destination.quarantine.clone(),
            forwarded: Vec::new(),
            quarantined: Vec::new(),
            withheld: Vec::new(),
            schema_ids: Vec::new(),
            judged_at: self.judged_at,
            catalog_offset: self.catalog_offset,
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    fn lineage_record(&self, event: &LineageEvent) -> OutRecord {
        self.record(self.names.lineage(), event.key(), self.codec.encode(BackboneSchema::Lineage, event))
    }

    fn record(&self, topic: schemas::Topic, key: Vec<u8>, value: Vec<u8>) -> OutRecord {
        OutRecord { topic, partition: None, key: Some(key), value: Some(value), headers: Vec::new(), timestamp: None }
    }

    /// A version takes effect on a partition, or records were removed unread.
    pub(crate) fn notice(
        &self,
        kind: LineageKind,
        enforced: &Enforced,
        inbox: &TopicPartition,
        from: Offset,
        to: Offset,
    ) -> OutRecord {
        self.lineage_record(&self.lineage(kind, enforced, inbox, from, to))
    }

    /// What became of a partition's records in this transaction.
    ///
    /// # Panics
    /// Where more or fewer records come out than were judged: the transaction must not be committed then.
    pub(crate) fn enforced(&self, enforced: &Enforced, output: &PartitionOutput, judged: Judged) -> [OutRecord; 2] {
        let mut event = self.lineage(LineageKind::Enforced, enforced, &output.inbox, output.from, output.to);
        event.forwarded.clone_from(&output.product);
        event.quarantined.clone_from(&output.quarantine);
        event.withheld.clone_from(&output.withheld);
        event.schema_ids = judged.schema_ids.iter().copied().collect::<Vec<SchemaId>>();
        let (forwarded, quarantined, withheld) =
            (count(&output.product), count(&output.quarantine), count(&output.withheld));
        let consumed = forwarded + quarantined + withheld;
        assert_eq!(
            consumed, judged.records,
            "conservation: records judged of {} and records that came out",
            output.inbox
        );
        let (violations, fields, delay) = judged.statistics.into_event_parts();
        let mut quality = QualityEvent {
            product: enforced.product.clone(),
            version: enforced.version,
            inbox: output.inbox.topic.clone(),
            partition: output.inbox.partition,
            from: output.from,
            to: output.to,
            judged_at: self.judged_at,
            consumed,
            forwarded,
            replaced: 0,
            quarantined,
            withheld,
            bytes: i64::try_from(judged.bytes).unwrap_or(i64::MAX),
            violations,
            fields,
            delay,
        };
        bounds::fit(&mut quality);
        let value = self.codec.encode(BackboneSchema::Quality, &quality);
        [self.lineage_record(&event), self.record(self.names.quality(), event.key(), value)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_of_nobody_binds_nothing() {
        assert_eq!(read_metadata("c=17;v=1.2.0"), (Some(Offset(17)), Some("1.2.0")));
        assert_eq!(read_metadata(""), (None, None));
        assert_eq!(read_metadata("something else"), (None, None));
    }
}
