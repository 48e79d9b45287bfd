//! Avro object container files: blocks of records behind the schema that wrote them.
//!
//! Source: Apache Avro 1.12 specification, "Object Container Files".

use std::io::{self, BufRead, BufReader, Read};

use contract::avro::{self, Schema};

use crate::documents::{Document, Documents};
use crate::input::Bytes;
use crate::{FileError, Raw};

/// The largest block, packed or unpacked, in bytes.
const MAX_BLOCK: usize = 128 << 20;
/// The largest head, in bytes.
const MAX_HEAD: usize = 16 << 20;
/// What every file begins with.
pub(crate) const MAGIC: &[u8] = b"Obj\x01";

#[derive(Debug, Clone, Copy)]
enum Codec {
    Null,
    Deflate,
    Snappy,
    Zstandard,
}

pub(crate) struct Container {
    name: String,
    input: BufReader<Bytes>,
    codec: Codec,
    schema: Schema,
    sync: [u8; 16],
    block: Vec<u8>,
    at: usize,
    /// Records left in the block.
    left: u64,
    record: u64,
}

fn wrong(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

impl Container {
    pub(crate) fn new(input: Bytes, name: &str) -> Result<Self, FileError> {
        let mut input = BufReader::with_capacity(64 << 10, input);
        let (codec, schema, sync) =
            head(&mut input).map_err(|error| FileError::Read { file: name.to_owned(), error })?;
        let name = name.to_owned();
        Ok(Self { name, input, codec, schema, sync, block: Vec::new(), at: 0, left: 0, record: 0 })
    }

    /// The schema that wrote it.
    pub(crate) fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Reads the next block; false at the end of the file.
    fn block(&mut self) -> io::Result<bool> {
        while self.left == 0 {
            if self.input.fill_buf()?.is_empty() {
                return Ok(false);
            }
            let count =
                u64::try_from(long(&mut self.input)?).map_err(|_| wrong("a block has fewer than no records"))?;
            let packed = bytes(&mut self.input, MAX_BLOCK, "a block")?;
            let mut sync = [0; 16];
            self.input.read_exact(&mut sync)?;
            if sync != self.sync {
                return Err(wrong(format!("the block after record {} does not end as it should", self.record)));
            }
            self.block = unpack(self.codec, packed)?;
            self.at = 0;
            self.left = count;
        }
        Ok(true)
    }

    fn value(&mut self) -> io::Result<Option<Document>> {
        if !self.block()? {
            return Ok(None);
        }
        self.record += 1;
        let body = self.block.get(self.at..).unwrap_or_default();
        let (value, length) = avro::render_first(&self.schema, body)
            .map_err(|error| wrong(format!("record {} is not what the file's schema says: {error}", self.record)))?;
        self.at += length;
        self.left -= 1;
        Ok(Some(Document { line: self.record, value: Ok(value), raw: Raw::Binary }))
    }
}

impl Documents for Container {
    fn next(&mut self) -> Option<Result<Document, FileError>> {
        match self.value() {
            Ok(document) => document.map(Ok),
            Err(error) => Some(Err(FileError::Read { file: self.name.clone(), error })),
        }
    }
}

fn head(input: &mut impl Read) -> io::Result<(Codec, Schema, [u8; 16])> {
    let mut magic = [0; 4];
    input.read_exact(&mut magic)?;
    if magic != MAGIC {
        return Err(wrong("it does not begin as an Avro file does"));
    }
    let (mut schema, mut codec) = (None, Codec::Null);
    loop {
        let count = long(input)?;
        if count == 0 {
            break;
        }
        if count < 0 {
            long(input)?;
        }
        for _ in 0..count.unsigned_abs().min(10_000) {
            let key = bytes(input, MAX_HEAD, "a key of the head")?;
            let value = bytes(input, MAX_HEAD, "the head")?;
            match key.as_slice() {
                b"avro.schema" => schema = Some(value),
                b"avro.codec" => codec = named(&value)?,
                _ => {}
            }
        }
    }
    let schema = schema.ok_or_else(|| wrong("its head has no schema"))?;
    let text = std::str::from_utf8(&schema).map_err(|_| wrong("its schema is not UTF-8"))?;
    let schema = Schema::parse(text).map_err(|error| wrong(format!("its schema cannot be used: {}", error.message)))?;
    let mut sync = [0; 16];
    input.read_exact(&mut sync)?;
    Ok((codec, schema, sync))
}

fn named(codec: &[u8]) -> io::Result<Codec> {
    match codec {
        b"null" | b"" => Ok(Codec::Null),
        b"deflate" => Ok(Codec::Deflate),
        b"snappy" => Ok(Codec::Snappy),
        b"zstandard" => Ok(Codec::Zstandard),
        other => Err(wrong(format!(
            "its blocks are packed with {}, and Weir reads null, deflate, snappy and zstandard",
            String::from_utf8_lossy(other)
        ))),
    }
}

fn unpack(codec: Codec, packed: Vec<u8>) -> io::Result<Vec<u8>> {
    let bounded = |mut input: Box<dyn Read + '_>| {
        let mut block = Vec::new();
        (&mut input).take(MAX_BLOCK as u64 + 1).read_to_end(&mut block)?;
        if block.len() > MAX_BLOCK { Err(wrong("a block is too large when it is unpacked")) } else { Ok(block) }
    };
    match codec {
        Codec::Null => Ok(packed),
        Codec::Deflate => bounded(Box::new(flate2::read::DeflateDecoder::new(packed.as_slice()))),
        Codec::Zstandard => bounded(Box::new(zstd::stream::read::Decoder::new(packed.as_slice())?)),
        Codec::Snappy => {
            // Four bytes of checksum follow.
            let packed = packed.get(..packed.len().saturating_sub(4)).unwrap_or_default();
            if snap::raw::decompress_len(packed).map_err(io::Error::other)? > MAX_BLOCK {
                return Err(wrong("a block is too large when it is unpacked"));
            }
            snap::raw::Decoder::new().decompress_vec(packed).map_err(io::Error::other)
        }
    }
}

fn long(input: &mut impl Read) -> io::Result<i64> {
    let mut number = 0_u64;
    for shift in (0..10).map(|index| index * 7) {
        let mut byte = [0];
        input.read_exact(&mut byte)?;
        let [byte] = byte;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((number >> 1).cast_signed() ^ -((number & 1).cast_signed()));
        }
    }
    Err(wrong("a number is longer than 64 bits"))
}

fn bytes(input: &mut impl Read, most: usize, what: &str) -> io::Result<Vec<u8>> {
    let length = long(input)?;
    let length = usize::try_from(length).ok().filter(|length| *length <= most);
    let length = length.ok_or_else(|| wrong(format!("{what} has more than {most} bytes")))?;
    let mut bytes = Vec::new();
    input.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
}
