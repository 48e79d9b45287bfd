//! What goes in and out of a log.
//!
//! Plain values; they know nothing of files.

use bytes::Bytes;

/// Whether a reader sees records of transactions that are not committed (yet).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Everything up to the end.
    ReadUncommitted,
    /// Up to the last stable offset, with the aborted transactions named.
    ReadCommitted,
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// Its records count.
    Commit,
    /// They do not.
    Abort,
}

/// Where a log begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOffsets {
    /// The first offset that may be read.
    pub start: i64,
    /// The next offset to be written, which is the high watermark too.
    pub end: i64,
    /// All transactions below this offset are decided.
    pub last_stable: i64,
}

impl LogOffsets {
    /// The offset before which a reader may read.
    pub fn limit(&self, isolation: Isolation) -> i64 {
        match isolation {
            Isolation::ReadUncommitted => self.end,
            Isolation::ReadCommitted => self.last_stable,
        }
    }
}

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// What was mended, missing or damaged, a sentence each; empty after a clean stop.
    pub notes: Vec<String>,
    /// How many bytes of a torn tail were cut.
    pub cut_bytes: u64,
}

/// What an append did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offset of the first record.
    pub base_offset: i64,
    /// The offset of the last record.
    pub last_offset: i64,
    /// The broker's time on the records, or -1 for `CreateTime`.
    pub log_append_time: i64,
    /// The log start offset at that moment.
    pub log_start_offset: i64,
    /// The batch was written before: these are its offsets, and nothing was written now.
    pub duplicate: bool,
    /// The append opened a transaction of its producer on this partition.
    pub new_transaction: bool,
}

/// An aborted transaction, as Fetch names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// The producer whose records are to be skipped.
    pub producer_id: i64,
    /// From this offset on, up to its abort marker.
    pub first_offset: i64,
}

/// What a read gave.
#[derive(Clone, Debug)]
pub struct Read {
    /// Whole batches as they were stored; the first may begin below the offset asked for. May be empty.
    pub records: Bytes,
    /// The log's offsets at that moment.
    pub offsets: LogOffsets,
    /// For [`Isolation::ReadCommitted`], the aborted transactions that overlap the records.
    pub aborted: Vec<AbortedTransaction>,
}

/// What the log knows of a producer, as `DescribeProducers` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Producer {
    /// Its id.
    pub id: i64,
    /// Its newest epoch.
    pub epoch: i16,
    /// The last sequence written, or -1.
    pub last_sequence: i32,
    /// The greatest timestamp of its last batch, or -1.
    pub last_timestamp: i64,
    /// The coordinator epoch of its last marker, or -1.
    pub coordinator_epoch: i32,
    /// The first offset of its open transaction.
    pub transaction_start: Option<i64>,
}

/// A transaction that is neither committed nor aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenTransaction {
    /// The producer's epoch.
    pub epoch: i16,
    /// The offset of its first record.
    pub first_offset: i64,
}

/// What [`maintain`](super::Log::maintain) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// The active segment was closed because of its age.
    pub rolled: bool,
    /// Segments deleted.
    pub deleted_segments: usize,
    /// Their bytes.
    pub deleted_bytes: u64,
    /// Producers forgotten.
    pub expired_producers: usize,
}

/// What [`compact`](super::Log::compact) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Whether there was something to clean.
    pub ran: bool,
    /// Bytes of the cleaned segments before.
    pub bytes_before: u64,
    /// Bytes of the cleaned segments after.
    pub bytes_after: u64,
    /// Records read.
    pub records_before: u64,
    /// Records kept.
    pub records_after: u64,
    /// Everything before this offset is clean now.
    pub clean_to: i64,
}
