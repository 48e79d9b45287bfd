//! What can go wrong with a log, in the terms of Kafka's error codes where a client sees it.
//!
//! Knows nothing of the wire: the caller turns a variant into a code.

use std::io;
use std::path::{Path, PathBuf};

use super::types::LogOffsets;

/// The log's files could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file operation failed.
    #[error("cannot {what} {}: {source}; check the disk's room and the permissions", path.display())]
    Storage {
        /// What was tried.
        what: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Compaction met a batch that it cannot decode, and left the log as it was.
    #[error("cannot compact {}: the batch at byte {position} {what}; run verify, and delete the records before it", file.display())]
    Uncleanable {
        /// The segment.
        file: PathBuf,
        /// Where the batch begins.
        position: u64,
        /// What is wrong with it.
        what: String,
    },
}

impl LogError {
    pub(crate) fn storage(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LogError + use<> {
        let path = path.to_owned();
        move |source| LogError::Storage { what, path, source }
    }
}

/// Why an append was refused. Nothing of it was written. Each variant has one Kafka error code.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// `CORRUPT_MESSAGE`: lengths or CRC do not hold.
    #[error("the record batch is damaged: {0}; send it again")]
    CorruptMessage(&'static str),
    /// `INVALID_RECORD`: well-formed bytes that say something a broker must refuse.
    #[error("the record batch is not valid: {0}; correct the producer")]
    InvalidRecord(String),
    /// `UNSUPPORTED_FOR_MESSAGE_FORMAT`: an old message format.
    #[error("record batches of magic {0} are not supported; produce with magic 2")]
    UnsupportedForMessageFormat(i8),
    /// `MESSAGE_TOO_LARGE`: a batch beyond `max.message.bytes`.
    #[error(
        "the record batch has {bytes} bytes and the topic takes {max}; send smaller batches or raise max.message.bytes"
    )]
    RecordTooLarge {
        /// The batch's size.
        bytes: usize,
        /// The topic's bound.
        max: usize,
    },
    /// `RECORD_LIST_TOO_LARGE`: all batches together are larger than a segment.
    #[error(
        "the record batches have {bytes} bytes and a segment takes {max}; send less at once or raise segment.bytes"
    )]
    RecordListTooLarge {
        /// The size of all of them.
        bytes: usize,
        /// The segment's bound.
        max: u64,
    },
    /// `INVALID_TIMESTAMP`: outside of the bounds of the topic, or stamped as the broker's.
    #[error("timestamp {timestamp} is out of range for this topic; correct the producer's clock")]
    InvalidTimestamp {
        /// The timestamp that was refused.
        timestamp: i64,
    },
    /// `OUT_OF_ORDER_SEQUENCE_NUMBER`.
    #[error("producer {producer_id} sent sequence {got} where {expected} was due; restart the producer")]
    OutOfOrderSequence {
        /// The producer.
        producer_id: i64,
        /// The first sequence of its batch.
        got: i32,
        /// What would have been right.
        expected: i32,
    },
    /// `INVALID_PRODUCER_EPOCH`: a newer incarnation of the producer has written.
    #[error("producer {producer_id} is at epoch {current}, and epoch {got} is fenced; stop the old instance")]
    InvalidProducerEpoch {
        /// The producer.
        producer_id: i64,
        /// The epoch that was sent.
        got: i16,
        /// The epoch that holds.
        current: i16,
    },
    /// `INVALID_TXN_STATE`: a plain batch inside an open transaction.
    #[error("producer {producer_id} has an open transaction and sent a batch outside of it; end the transaction first")]
    InvalidTxnState {
        /// The producer.
        producer_id: i64,
    },
    /// `TRANSACTION_COORDINATOR_FENCED`: a marker of an older coordinator.
    #[error("coordinator epoch {got} is older than {current}; the marker is refused")]
    TransactionCoordinatorFenced {
        /// The epoch that was sent.
        got: i32,
        /// The epoch that holds.
        current: i32,
    },
    /// `KAFKA_STORAGE_ERROR`: the disk is full or failing.
    #[error("cannot write to the log: {0}; make room, then send it again")]
    Storage(#[from] io::Error),
}

/// Why a read gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// `OFFSET_OUT_OF_RANGE`: before the log start or beyond the end.
    #[error("the offset is outside of the log, which holds {} to {}; start at one of these", .0.start, .0.end)]
    OffsetOutOfRange(LogOffsets),
    /// `CORRUPT_MESSAGE`: the batch that holds the offset is damaged on disk.
    #[error("the batch at byte {position} of {} is damaged; read on at offset {next_offset}", file.display())]
    Corrupt {
        /// The segment.
        file: PathBuf,
        /// Where the damage begins.
        position: u64,
        /// The first offset after the damage that can be read.
        next_offset: i64,
    },
    /// `KAFKA_STORAGE_ERROR`.
    #[error("cannot read the log: {0}; check the disk")]
    Storage(#[from] io::Error),
}

/// Why records could not be deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// `OFFSET_OUT_OF_RANGE`: beyond the end, or negative.
    #[error("cannot delete up to that offset: the log holds {} to {}", .0.start, .0.end)]
    OffsetOutOfRange(LogOffsets),
    /// `KAFKA_STORAGE_ERROR`.
    #[error(transparent)]
    Storage(#[from] LogError),
}
