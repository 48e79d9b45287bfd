//! The records of a compressed batch: unpacked within a bound, and packed again for compaction.
//!
//! Unpacking streams, so that a few bytes that would unpack to gigabytes cost no more than the bound. The libraries
//! are those that the protocol crate uses; its own functions unpack without a bound.

use std::io::{self, Read};

use bytes::{Bytes, BytesMut};
use kafka_protocol::compression::{Compressor, Gzip, Lz4, Snappy, Zstd};

/// What the stream of snappy-java begins with; two version numbers of four bytes follow.
const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\x00";
const XERIAL_HEADER: usize = 16;
/// zstd's window may take 2^27 bytes, as its own tools allow.
const ZSTD_WINDOW_LOG: u32 = 27;

/// How far the records of one batch may unpack, given the topic's largest batch.
pub(crate) fn unpacked_bound(max_message_bytes: usize) -> usize {
    max_message_bytes.max(64 << 20)
}

/// The records of a batch, unpacked to at most `bound` bytes.
pub(crate) fn unpack(code: i16, packed: &[u8], bound: usize) -> Result<Bytes, &'static str> {
    match code {
        0 => Ok(Bytes::copy_from_slice(packed)),
        1 => drain(flate2::read::GzDecoder::new(packed), bound),
        2 => unpack_snappy(packed, bound),
        3 => lz4::Decoder::new(packed).map_err(|_| "cannot be decompressed").and_then(|d| drain(d, bound)),
        4 => {
            let mut decoder = zstd::Decoder::new(packed).map_err(|_| "cannot be decompressed")?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(|_| "cannot be decompressed")?;
            drain(decoder, bound)
        }
        _ => Err("names an unknown compression"),
    }
}

fn drain(decoder: impl Read, bound: usize) -> Result<Bytes, &'static str> {
    let mut out = Vec::new();
    let limit = u64::try_from(bound).unwrap_or(u64::MAX).saturating_add(1);
    match decoder.take(limit).read_to_end(&mut out) {
        Ok(read) if read <= bound => Ok(out.into()),
        Ok(_) => Err("decompresses to more than is allowed"),
        Err(_) => Err("cannot be decompressed"),
    }
}

/// Either the framed stream of snappy-java or one raw block.
fn unpack_snappy(packed: &[u8], bound: usize) -> Result<Bytes, &'static str> {
    let mut out = Vec::new();
    if !packed.starts_with(XERIAL_MAGIC) {
        unpack_snappy_block(packed, &mut out, bound)?;
        return Ok(out.into());
    }
    let mut rest = packed.get(XERIAL_HEADER..).ok_or("cannot be decompressed")?;
    while !rest.is_empty() {
        let length = u32::from_be_bytes(super::batch::chunk(rest, 0).ok_or("cannot be decompressed")?) as usize;
        let (block, after) =
            rest.get(4..).and_then(|rest| rest.split_at_checked(length)).ok_or("cannot be decompressed")?;
        unpack_snappy_block(block, &mut out, bound)?;
        rest = after;
    }
    Ok(out.into())
}

fn unpack_snappy_block(block: &[u8], out: &mut Vec<u8>, bound: usize) -> Result<(), &'static str> {
    let length = snap::raw::decompress_len(block).map_err(|_| "cannot be decompressed")?;
    if length > bound.saturating_sub(out.len()) {
        return Err("decompresses to more than is allowed");
    }
    let from = out.len();
    out.resize(from + length, 0);
    let place = out.get_mut(from..).unwrap_or_default();
    snap::raw::Decoder::new().decompress(block, place).map(drop).map_err(|_| "cannot be decompressed")
}

/// The records, packed as the code says.
pub(crate) fn pack(code: i16, records: Vec<u8>) -> io::Result<Bytes> {
    fn with<C: Compressor<BytesMut, BufMut = BytesMut>>(records: &[u8]) -> io::Result<Bytes> {
        let mut out = BytesMut::new();
        C::compress(&mut out, |buffer| {
            buffer.extend_from_slice(records);
            Ok(())
        })
        .map_err(io::Error::other)?;
        Ok(out.freeze())
    }
    match code {
        0 => Ok(records.into()),
        1 => with::<Gzip>(&records),
        2 => with::<Snappy>(&records),
        3 => with::<Lz4>(&records),
        4 => with::<Zstd>(&records),
        _ => Err(io::Error::other("names an unknown compression")),
    }
}
