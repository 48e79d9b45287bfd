//! Offsets that a broker forgets although it committed them.
//!
//! A broker of Kafka 3.9 refuses a late copy of an earlier request for offsets, as it must, and forgets the offsets of
//! the transaction that is open with it: that is then committed without them (seen by `tests/endtxn.rs`; 4.3 does
//! not). So for a while after such a request may have been sent again, what is committed is read back, and committed
//! once more where it is behind. A crash between the two is not covered.

use std::time::{Duration, Instant};

use broker::LaneError;
use schemas::{Offset, TopicPartition};

use super::KafkaLane;
use crate::transactor::Done;

/// How late a copy of a request may come.
const DOUBT: Duration = Duration::from_secs(120);

impl KafkaLane {
    /// Sees to it that these offsets are committed, after a transaction that committed them. Where that cannot be
    /// found out the transaction stands all the same, and the lane goes back to what the broker holds.
    pub(super) fn read_back(&mut self, done: Done, offsets: &[(TopicPartition, Offset, String)]) {
        let doubted = self.doubted_until.is_some_and(|until| Instant::now() < until);
        if done.offsets_doubted {
            self.doubted_until = Some(Instant::now() + DOUBT);
        }
        // A tainted producer is replaced before it does anything else.
        if !doubted || done.tainted || offsets.is_empty() {
            return;
        }
        if let Err(error) = self.commit_again_what_is_behind(offsets) {
            tracing::warn!(slot = %self.slot, "committed offsets could not be read back: {error}");
            self.astray = true;
        }
    }

    fn commit_again_what_is_behind(&mut self, offsets: &[(TopicPartition, Offset, String)]) -> Result<(), LaneError> {
        let partitions: Vec<TopicPartition> = offsets.iter().map(|(inbox, ..)| inbox.clone()).collect();
        let committed = self.intake.committed(&partitions)?;
        let is_behind = |inbox: &TopicPartition, to: Offset| committed.get(inbox).is_none_or(|held| held.offset < to);
        let behind: Vec<_> = offsets.iter().filter(|(inbox, to, _)| is_behind(inbox, *to)).cloned().collect();
        if behind.is_empty() {
            return Ok(());
        }
        tracing::warn!(slot = %self.slot, partitions = behind.len(), "the broker forgot committed offsets; committing them again");
        self.transactor.begin().map_err(|broken| self.broken(broken))?;
        let done = self.finish(&[], &behind, Duration::ZERO)?;
        self.settle_taint(done.tainted);
        Ok(())
    }
}
