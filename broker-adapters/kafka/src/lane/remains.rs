//! What transactions left behind in output partitions whose broker went away.
//!
//! Kafka's coordinator takes a partition without a leader for deleted (4.3 does, 3.9 does not: KAFKA-20734) and ends
//! the transaction without a marker there. When the partition is back, the
//! transaction is still open in its log: committed readers stand still before it, and the next transaction of the
//! same producer ends it the way it ends itself. What was aborted would become visible, a second time.
//!
//! So with each offset is committed how far the outputs are, and an open rest beyond that is aborted before
//! anything is written behind it. An open rest below it is committed by the next transaction; nothing else can.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use broker::{PartitionOutput, Weather};
use rdkafka::Offset as RawOffset;
use schemas::{Offset, Run, TopicPartition};

use super::leaders::Doubtful;
use crate::asking::Asker;

/// Markers of a transaction that has just ended are there within this.
const MARKERS_DUE: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What the committed text says beside the caller's.
const MARK: &str = ";outputs=";

/// By inbox partition, the next offset after the committed outputs: product, quarantine.
#[derive(Default)]
pub(super) struct Remains {
    ends: BTreeMap<TopicPartition, (Offset, Offset)>,
}

impl Remains {
    /// Takes in the text that was committed with an offset; gives back the caller's part of it.
    pub(super) fn read(&mut self, inbox: &TopicPartition, metadata: String) -> String {
        let (own, ends) = parts(metadata);
        if let Some(ends) = ends {
            self.ends.insert(inbox.clone(), ends);
        }
        own
    }

    /// The text to commit with a partition's offset, where these outputs (if any) are committed with it.
    pub(super) fn write(&self, inbox: &TopicPartition, metadata: &str, output: Option<&PartitionOutput>) -> String {
        match self.after(inbox, output) {
            Some((product, quarantine)) => format!("{metadata}{MARK}{product},{quarantine}"),
            None => metadata.to_owned(),
        }
    }

    /// A transaction with these outputs was committed.
    pub(super) fn committed(&mut self, outputs: &[PartitionOutput]) {
        for output in outputs {
            if let Some(ends) = self.after(&output.inbox, Some(output)) {
                self.ends.insert(output.inbox.clone(), ends);
            }
        }
    }

    fn after(&self, inbox: &TopicPartition, output: Option<&PartitionOutput>) -> Option<(Offset, Offset)> {
        let known = self.ends.get(inbox).copied();
        let Some(output) = output else { return known };
        let (product, quarantine) = known.unwrap_or((Offset::ZERO, Offset::ZERO));
        Some((product.max(end(&output.product)), quarantine.max(end(&output.quarantine))))
    }

    /// Of these partitions, to which no transaction of ours is open, those with an open rest that was aborted.
    ///
    /// # Errors
    /// Their ends cannot be asked for.
    pub(super) fn of_aborted(
        &self,
        committed: &Asker,
        uncommitted: &Asker,
        partitions: Vec<Doubtful>,
    ) -> Result<Vec<TopicPartition>, Weather> {
        let deadline = Instant::now() + MARKERS_DUE;
        let mut open = partitions;
        loop {
            let ends =
                |asker: &Asker| asker.offsets_at(open.iter().map(|doubtful| (&doubtful.partition, RawOffset::End)));
            // In this order: what is appended in between shows as open, and is looked at again.
            let (stable, all) = (ends(committed)?, ends(uncommitted)?);
            open.retain(|doubtful| stable.get(&doubtful.partition) < all.get(&doubtful.partition));
            if open.is_empty() {
                return Ok(Vec::new());
            }
            if Instant::now() >= deadline {
                open.retain(|doubtful| self.is_aborted(doubtful, stable.get(&doubtful.partition).copied()));
                return Ok(open.into_iter().map(|doubtful| doubtful.partition).collect());
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    fn is_aborted(&self, doubtful: &Doubtful, stable: Option<Offset>) -> bool {
        let (product, quarantine) = self.ends.get(&doubtful.inbox).copied().unwrap_or((Offset::ZERO, Offset::ZERO));
        let end = if doubtful.quarantine { quarantine } else { product };
        let aborted = stable.is_none_or(|stable| stable >= end);
        let partition = &doubtful.partition;
        if aborted {
            tracing::warn!(%partition, "an aborted transaction was left open in the log; it is ended now");
        } else {
            tracing::warn!(%partition, "a committed transaction was left open in the log; the next one ends it");
        }
        aborted
    }
}

/// The caller's part of a committed text.
pub(crate) fn callers_part(metadata: String) -> String {
    parts(metadata).0
}

/// The caller's part of a committed text, and how far the outputs are, where it says so.
fn parts(metadata: String) -> (String, Option<(Offset, Offset)>) {
    let ends = metadata.rsplit_once(MARK).and_then(|(own, ends)| {
        let (product, quarantine) = ends.split_once(',')?;
        Some((own.to_owned(), (Offset(product.parse().ok()?), Offset(quarantine.parse().ok()?))))
    });
    match ends {
        Some((own, ends)) => (own, Some(ends)),
        None => (metadata, None),
    }
}

/// The offset after the last output.
fn end(runs: &[Run]) -> Offset {
    runs.iter().map(|run| Offset(run.output_first.0 + run.count)).max().unwrap_or(Offset::ZERO)
}

#[cfg(test)]
mod tests {
    use schemas::{Partition, Topic};

    use super::*;

    #[test]
    fn how_far_outputs_are_is_committed_beside_the_callers_text() {
        let inbox = TopicPartition::new(Topic::existing("inbox"), Partition(3));
        let run = |first, count| Run { first: Offset(0), count, output_first: Offset(first) };
        let output = PartitionOutput {
            inbox: inbox.clone(),
            from: Offset(0),
            to: Offset(9),
            product: vec![run(10, 2), run(15, 4)],
            quarantine: Vec::new(),
            withheld: Vec::new(),
        };
        let mut remains = Remains::default();
        assert_eq!(remains.write(&inbox, "c=1", None), "c=1", "nothing is known");
        let text = remains.write(&inbox, "c=1", Some(&output));
        assert_eq!(text, "c=1;outputs=19,0");
        let mut next_owner = Remains::default();
        assert_eq!(next_owner.read(&inbox, text.clone()), "c=1");
        assert_eq!(next_owner.write(&inbox, "c=2", None), "c=2;outputs=19,0", "a commit without outputs keeps it");
        remains.committed(&[output]);
        assert_eq!(remains.write(&inbox, "c=1", None), text);
        assert_eq!(next_owner.read(&inbox, "by hand".to_owned()), "by hand");
    }
}
