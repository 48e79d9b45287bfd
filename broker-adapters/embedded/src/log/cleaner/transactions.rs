//! Which batches belong to aborted transactions, and which markers are still needed.
//!
//! As Kafka's `CleanedTransactionMetadata`: a marker may go once a pass has met none of its transaction's batches.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::super::batch::BatchHeader;
use super::super::index::AbortedEntry;
use super::super::segment::Segment;

/// The aborted transactions of a log.
pub(super) struct Aborted {
    by_producer: HashMap<i64, Vec<AbortedEntry>>,
    /// Producers whose batches were met since their last marker.
    met: HashSet<i64>,
}

impl Aborted {
    /// All of them that begin before `end`, wherever their markers are.
    pub(super) fn new(segments: &[Arc<Segment>], end: i64) -> Aborted {
        let mut by_producer: HashMap<i64, Vec<AbortedEntry>> = HashMap::new();
        for segment in segments {
            for entry in segment.aborted().iter().filter(|entry| entry.first_offset < end) {
                by_producer.entry(entry.producer_id).or_default().push(*entry);
            }
        }
        Aborted { by_producer, met: HashSet::new() }
    }

    /// Whether the batch's records were aborted.
    pub(super) fn covers(&self, header: &BatchHeader) -> bool {
        if !header.is_transactional() || header.is_control() {
            return false;
        }
        let entries = self.by_producer.get(&header.producer_id).map(Vec::as_slice).unwrap_or_default();
        let next = entries.partition_point(|entry| entry.last_offset < header.base_offset);
        entries.get(next).is_some_and(|entry| entry.first_offset <= header.base_offset)
    }

    /// Takes note of a batch of a transaction.
    pub(super) fn meet(&mut self, header: &BatchHeader) {
        if header.is_transactional() {
            self.met.insert(header.producer_id);
        }
    }

    /// Takes note of a marker; says whether its transaction has no batch left.
    pub(super) fn end(&mut self, header: &BatchHeader) -> bool {
        !self.met.remove(&header.producer_id)
    }
}
