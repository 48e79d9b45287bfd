//! What a batch from a client must be before it may enter the log.
//!
//! Everything that needs no state: lengths, magic, CRC, counts, timestamps, keys. Sequences and epochs are the
//! producers' business, and nothing here is written.

use super::batch::{BatchHeader, CONTROL, DELETE_HORIZON, HEADER_LEN, magic};
use super::compression::{unpack, unpacked_bound};
use super::config::{LogConfig, TimestampType};
use super::error::AppendError;
use super::records::Records;

/// A batch that passed, borrowed from the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) header: BatchHeader,
    /// The records, perhaps compressed.
    pub(crate) body: &'a [u8],
}

/// Checks all batches of one partition of a produce request; the first bad one refuses them all.
pub(crate) fn validate<'a>(bytes: &'a [u8], config: &LogConfig, now: i64) -> Result<Vec<Entry<'a>>, AppendError> {
    if bytes.len() as u64 > config.segment_bytes {
        return Err(AppendError::RecordListTooLarge { bytes: bytes.len(), max: config.segment_bytes });
    }
    let mut entries = Vec::with_capacity(1);
    let mut rest = bytes;
    while !rest.is_empty() {
        let (entry, after) = split(rest, config)?;
        check_header(&entry.header, config, now)?;
        check_records(&entry, config)?;
        entries.push(entry);
        rest = after;
    }
    if entries.is_empty() {
        return Err(AppendError::InvalidRecord("there is no record batch".into()));
    }
    Ok(entries)
}

fn split<'a>(bytes: &'a [u8], config: &LogConfig) -> Result<(Entry<'a>, &'a [u8]), AppendError> {
    match magic(bytes) {
        None => return Err(AppendError::CorruptMessage("it ends within its header")),
        Some(2) => {}
        Some(old @ 0..=1) => return Err(AppendError::UnsupportedForMessageFormat(old)),
        Some(_) => return Err(AppendError::CorruptMessage("its magic is unknown")),
    }
    let header = BatchHeader::parse(bytes).ok_or(AppendError::CorruptMessage("its header does not hold"))?;
    let size = usize::try_from(header.size).unwrap_or(usize::MAX);
    if size > config.max_message_bytes {
        return Err(AppendError::RecordTooLarge { bytes: size, max: config.max_message_bytes });
    }
    let (batch, after) = bytes.split_at_checked(size).ok_or(AppendError::CorruptMessage("it ends too early"))?;
    if !header.crc_holds(batch) {
        return Err(AppendError::CorruptMessage("its CRC does not hold"));
    }
    let body = batch.get(HEADER_LEN..).unwrap_or_default();
    Ok((Entry { header, body }, after))
}

fn check_header(header: &BatchHeader, config: &LogConfig, now: i64) -> Result<(), AppendError> {
    let refuse = |what: &str| Err(AppendError::InvalidRecord(what.into()));
    if header.attributes & CONTROL != 0 {
        return refuse("clients may not write control records");
    }
    if header.attributes & DELETE_HORIZON != 0 {
        return refuse("clients may not set a delete horizon");
    }
    if header.compression_code() > 4 {
        return refuse("its compression is unknown");
    }
    if header.record_count == 0 {
        return refuse("it holds no record");
    }
    if header.record_count.checked_sub(1) != Some(header.last_offset_delta) {
        return refuse("its record count does not fit its last offset delta");
    }
    if header.is_transactional() && !header.has_producer() {
        return refuse("it is transactional and names no producer");
    }
    if header.has_producer() && (header.base_sequence < 0 || header.producer_epoch < 0) {
        return refuse("it names a producer and has no sequence or epoch");
    }
    if config.timestamp_type == TimestampType::CreateTime {
        if header.is_log_append_time() {
            return Err(AppendError::InvalidTimestamp { timestamp: header.max_timestamp });
        }
        for timestamp in [header.base_timestamp, header.max_timestamp] {
            check_timestamp(timestamp, config, now)?;
        }
    }
    Ok(())
}

/// -1 means that there is none, which Kafka lets pass.
fn check_timestamp(timestamp: i64, config: &LogConfig, now: i64) -> Result<(), AppendError> {
    let early = now.saturating_sub(timestamp) > config.timestamp_before_max_ms;
    let late = timestamp.saturating_sub(now) > config.timestamp_after_max_ms;
    if timestamp < -1 || (timestamp != -1 && (early || late)) {
        return Err(AppendError::InvalidTimestamp { timestamp });
    }
    Ok(())
}

/// Compressed records are looked into only where keys are required of them.
fn check_records(entry: &Entry<'_>, config: &LogConfig) -> Result<(), AppendError> {
    let keyed = config.cleanup.compacts();
    let code = entry.header.compression_code();
    if code == 0 {
        return walk(entry.body, entry.header.record_count, keyed);
    }
    if !keyed {
        return Ok(());
    }
    let records = unpack(code, entry.body, unpacked_bound(config.max_message_bytes))
        .map_err(|what| AppendError::InvalidRecord(what.into()))?;
    walk(&records, entry.header.record_count, keyed)
}

fn walk(records: &[u8], count: i32, keyed: bool) -> Result<(), AppendError> {
    for (index, record) in Records::new(records, count).enumerate() {
        let record = record.map_err(|malformed| AppendError::InvalidRecord(malformed.0.into()))?;
        if usize::try_from(record.offset_delta) != Ok(index) {
            return Err(AppendError::InvalidRecord(format!("record {index} has offset delta {}", record.offset_delta)));
        }
        if keyed && record.key.is_none() {
            return Err(AppendError::InvalidRecord(format!("record {index} has no key, and the topic is compacted")));
        }
    }
    Ok(())
}
