//! The records inside a batch of magic 2: walked in place, and written for compaction.
//!
//! Nothing is allocated while walking. Knows nothing of compression or of files.

use super::batch::{BatchHeader, CONTROL, HEADER_LEN, TRANSACTIONAL};
use super::types::Marker;

/// The bytes do not hold the records that the header promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// One record, borrowed from its batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordView<'a> {
    /// The record with its length, as it stands in the batch.
    pub(crate) raw: &'a [u8],
    attributes: u8,
    pub(crate) timestamp_delta: i64,
    pub(crate) offset_delta: i32,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    /// Everything after the timestamp.
    rest: &'a [u8],
}

impl RecordView<'_> {
    /// Writes the record with another timestamp delta, all else as it was.
    pub(crate) fn write_with_timestamp_delta(&self, delta: i64, out: &mut Vec<u8>) {
        let mut varint = Vec::with_capacity(10);
        put_varlong(&mut varint, delta);
        put_varlong(out, (1 + varint.len() + self.rest.len()) as i64);
        out.push(self.attributes);
        out.extend_from_slice(&varint);
        out.extend_from_slice(self.rest);
    }
}

/// Walks the (uncompressed) records of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Records<'a> {
    bytes: &'a [u8],
    left: i32,
}

impl<'a> Records<'a> {
    /// Expects `count` records and nothing after them.
    pub(crate) fn new(bytes: &'a [u8], count: i32) -> Self {
        Records { bytes, left: count }
    }

    fn read(&mut self) -> Option<RecordView<'a>> {
        let whole = self.bytes;
        let mut rest = whole;
        let length = usize::try_from(take_varint(&mut rest)?).ok()?;
        let (body, after) = rest.split_at_checked(length)?;
        let raw = whole.get(..whole.len() - after.len())?;
        let (&attributes, mut body) = body.split_first()?;
        let timestamp_delta = take_varlong(&mut body)?;
        let from_offset = body;
        let offset_delta = take_varint(&mut body)?;
        let key = take_field(&mut body)?;
        let value = take_field(&mut body)?;
        let headers = take_varint(&mut body)?;
        if headers < 0 {
            return None;
        }
        for _ in 0..headers {
            take_field(&mut body)??;
            take_field(&mut body)?;
        }
        if !body.is_empty() {
            return None;
        }
        self.bytes = after;
        Some(RecordView { raw, attributes, timestamp_delta, offset_delta, key, value, rest: from_offset })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordView<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            let more = !self.bytes.is_empty();
            self.bytes = &[];
            return more.then_some(Err(Malformed("there are bytes after its last record")));
        }
        match self.read() {
            Some(record) => {
                self.left -= 1;
                Some(Ok(record))
            }
            None => {
                (self.left, self.bytes) = (0, &[]);
                Some(Err(Malformed("a record's lengths do not hold")))
            }
        }
    }
}

fn take_varint(bytes: &mut &[u8]) -> Option<i32> {
    i32::try_from(take_varlong(bytes)?).ok()
}

#[inline]
fn take_varlong(bytes: &mut &[u8]) -> Option<i64> {
    let (&first, rest) = bytes.split_first()?;
    *bytes = rest;
    let mut raw = u64::from(first & 0x7f);
    if first & 0x80 != 0 {
        let mut shift = 7;
        loop {
            let (&byte, rest) = bytes.split_first()?;
            *bytes = rest;
            raw |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
            if shift > 63 {
                return None;
            }
        }
    }
    Some((raw >> 1) as i64 ^ -((raw & 1) as i64))
}

/// A field with its length before it; the inner `None` is null.
fn take_field<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = take_varint(bytes)?;
    if length == -1 {
        return Some(None);
    }
    let (field, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(Some(field))
}

pub(crate) fn put_varlong(out: &mut Vec<u8>, value: i64) {
    let mut raw = ((value << 1) ^ (value >> 63)) as u64;
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

/// The batch that ends a transaction, as Kafka writes it: one control record with the marker's kind as key and the
/// coordinator's epoch as value.
pub(crate) fn marker_batch(
    producer_id: i64,
    producer_epoch: i16,
    coordinator_epoch: i32,
    marker: Marker,
    now: i64,
) -> (BatchHeader, Vec<u8>) {
    let kind: i16 = match marker {
        Marker::Abort => 0,
        Marker::Commit => 1,
    };
    let mut record = vec![0, 0, 0];
    put_varlong(&mut record, 4);
    record.extend_from_slice(&0i16.to_be_bytes());
    record.extend_from_slice(&kind.to_be_bytes());
    put_varlong(&mut record, 6);
    record.extend_from_slice(&0i16.to_be_bytes());
    record.extend_from_slice(&coordinator_epoch.to_be_bytes());
    put_varlong(&mut record, 0);
    let mut body = Vec::with_capacity(record.len() + 1);
    put_varlong(&mut body, record.len() as i64);
    body.extend_from_slice(&record);
    let header = BatchHeader {
        base_offset: 0,
        size: (HEADER_LEN + body.len()) as u64,
        crc: 0,
        attributes: TRANSACTIONAL | CONTROL,
        last_offset_delta: 0,
        base_timestamp: now,
        max_timestamp: now,
        producer_id,
        producer_epoch,
        base_sequence: -1,
        record_count: 1,
    };
    (header, body)
}

/// The marker in a control batch, with its coordinator epoch; `None` where the batch holds none that is known.
pub(crate) fn read_marker(header: &BatchHeader, batch: &[u8]) -> Option<(Marker, i32)> {
    let record = Records::new(batch.get(HEADER_LEN..)?, header.record_count).next()?.ok()?;
    let kind = i16::from_be_bytes(super::batch::chunk(record.key?, 2)?);
    let coordinator_epoch = record.value.and_then(|value| super::batch::chunk(value, 2)).map_or(-1, i32::from_be_bytes);
    match kind {
        0 => Some((Marker::Abort, coordinator_epoch)),
        1 => Some((Marker::Commit, coordinator_epoch)),
        _ => None,
    }
}
