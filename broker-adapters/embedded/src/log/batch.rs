//! The header of a record batch of magic 2, read and checked in place.
//!
//! The layout is Kafka's (KIP-98, "record batch"). Knows nothing of files, producers or configs.

/// The bytes before the first record.
pub(crate) const HEADER_LEN: usize = 61;
/// The bytes that the length field does not count: base offset and the field itself.
const LENGTH_OVERHEAD: u64 = 12;
/// The CRC covers everything from here.
const CRC_FROM: usize = 21;

/// Bit of the attributes: stamped by the broker.
pub(crate) const LOG_APPEND_TIME: i16 = 1 << 3;
/// Bit of the attributes: part of a transaction.
pub(crate) const TRANSACTIONAL: i16 = 1 << 4;
/// Bit of the attributes: a transaction marker.
pub(crate) const CONTROL: i16 = 1 << 5;
/// Bit of the attributes: the base timestamp is the delete horizon (KIP-534).
pub(crate) const DELETE_HORIZON: i16 = 1 << 6;
/// Bits of the attributes: the compression.
pub(crate) const COMPRESSION_MASK: i16 = 0x07;

/// The fields of a batch's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) base_offset: i64,
    /// The whole batch, with the header.
    pub(crate) size: u64,
    pub(crate) crc: u32,
    pub(crate) attributes: i16,
    pub(crate) last_offset_delta: i32,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) record_count: i32,
}

/// `N` bytes at a place, if there are so many.
pub(crate) fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

/// The magic byte of whatever message stands here.
pub(crate) fn magic(bytes: &[u8]) -> Option<i8> {
    bytes.get(16).map(|&b| b as i8)
}

impl BatchHeader {
    /// Reads a header. `None` where no batch of magic 2 can begin: too few bytes, another magic, a length below the
    /// header's own, negative counts or offsets.
    pub(crate) fn parse(bytes: &[u8]) -> Option<BatchHeader> {
        if magic(bytes)? != 2 {
            return None;
        }
        let length = i32::from_be_bytes(chunk(bytes, 8)?);
        let size = u64::try_from(length).ok()? + LENGTH_OVERHEAD;
        let header = BatchHeader {
            base_offset: i64::from_be_bytes(chunk(bytes, 0)?),
            size,
            crc: u32::from_be_bytes(chunk(bytes, 17)?),
            attributes: i16::from_be_bytes(chunk(bytes, 21)?),
            last_offset_delta: i32::from_be_bytes(chunk(bytes, 23)?),
            base_timestamp: i64::from_be_bytes(chunk(bytes, 27)?),
            max_timestamp: i64::from_be_bytes(chunk(bytes, 35)?),
            producer_id: i64::from_be_bytes(chunk(bytes, 43)?),
            producer_epoch: i16::from_be_bytes(chunk(bytes, 51)?),
            base_sequence: i32::from_be_bytes(chunk(bytes, 53)?),
            record_count: i32::from_be_bytes(chunk(bytes, 57)?),
        };
        let plausible = size >= HEADER_LEN as u64
            && header.base_offset >= 0
            && header.last_offset_delta >= 0
            && header.record_count >= 0
            && header.base_offset.checked_add(i64::from(header.last_offset_delta) + 1).is_some();
        plausible.then_some(header)
    }

    /// The header's bytes, with partition leader epoch 0 and the CRC as it stands.
    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            if let Some(place) = out.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
            at += bytes.len();
        };
        put(&self.base_offset.to_be_bytes());
        put(&((self.size - LENGTH_OVERHEAD) as u32).to_be_bytes());
        put(&0i32.to_be_bytes());
        put(&[2]);
        put(&self.crc.to_be_bytes());
        put(&self.attributes.to_be_bytes());
        put(&self.last_offset_delta.to_be_bytes());
        put(&self.base_timestamp.to_be_bytes());
        put(&self.max_timestamp.to_be_bytes());
        put(&self.producer_id.to_be_bytes());
        put(&self.producer_epoch.to_be_bytes());
        put(&self.base_sequence.to_be_bytes());
        put(&self.record_count.to_be_bytes());
        out
    }

    /// Makes the CRC that of this header before this body.
    pub(crate) fn seal(&mut self, body: &[u8]) {
        let header = self.encode();
        let covered = header.get(CRC_FROM..).unwrap_or_default();
        self.crc = crc32c::crc32c_append(crc32c::crc32c(covered), body);
    }

    /// Whether the CRC holds; `batch` is the whole batch.
    pub(crate) fn crc_holds(&self, batch: &[u8]) -> bool {
        batch.get(CRC_FROM..).is_some_and(|covered| crc32c::crc32c(covered) == self.crc)
    }

    pub(crate) fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    pub(crate) fn next_offset(&self) -> i64 {
        self.last_offset() + 1
    }

    pub(crate) fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    pub(crate) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    pub(crate) fn has_producer(&self) -> bool {
        self.producer_id >= 0
    }

    pub(crate) fn compression_code(&self) -> i16 {
        self.attributes & COMPRESSION_MASK
    }

    pub(crate) fn is_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    /// When the tombstones and markers of the batch may go, if it was cleaned before (KIP-534).
    pub(crate) fn delete_horizon(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }

    /// The sequence of the last record; sequences wrap from the greatest `i32` to 0.
    pub(crate) fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return self.base_sequence;
        }
        advance_sequence(self.base_sequence, self.last_offset_delta)
    }
}

/// Whether a batch stands where its offsets say. Base offsets are not covered by the CRC, so one that leaves a gap
/// is believed only if the batch behind it does not contradict. `None` where that one cannot be seen.
pub(crate) fn fits_place(header: &BatchHeader, expected: i64, behind: Option<&[u8]>) -> Option<bool> {
    if header.base_offset <= expected {
        return Some(header.base_offset == expected);
    }
    let next = BatchHeader::parse(behind?)?;
    Some(next.base_offset >= header.next_offset())
}

/// A sequence some records further on, with Kafka's wrap to 0.
pub(crate) fn advance_sequence(sequence: i32, by: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(by);
    (sum % (i64::from(i32::MAX) + 1)) as i32
}
