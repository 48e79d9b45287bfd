//! Records that come one by one, kept in a temporary file until they are read as a file of records: lines, or an
//! Avro container of values that are encoded already (Avro 1.12 specification, "Object Container Files").

use std::fs::File;
use std::io::{self, BufWriter, Write};

use crate::{FileError, Input};

/// Bytes of records in a block of a container.
const BLOCK_BYTES: usize = 64 << 10;
/// What ends each block; any sixteen bytes do.
const SYNC: &[u8; 16] = b"weir spool block";

/// A file that records are put into. It goes when what is made of it goes.
#[derive(Debug)]
pub struct Spool {
    name: String,
    out: BufWriter<File>,
    /// Of a container: the records of the block that is filled, and how many they are.
    block: Option<(Vec<u8>, i64)>,
}

impl Spool {
    /// Lines, one per record.
    ///
    /// # Errors
    /// [`FileError::Write`].
    pub fn lines(name: &str) -> Result<Self, FileError> {
        let file = tempfile::tempfile().map_err(|error| FileError::Write { file: name.to_owned(), error })?;
        Ok(Self { name: name.to_owned(), out: BufWriter::new(file), block: None })
    }

    /// Values that were written with this Avro schema.
    ///
    /// # Errors
    /// [`FileError::Write`].
    pub fn avro(name: &str, schema: &str) -> Result<Self, FileError> {
        let mut spool = Self { block: Some((Vec::new(), 0)), ..Self::lines(name)? };
        let mut head = b"Obj\x01".to_vec();
        put_long(&mut head, 2);
        for (key, value) in [("avro.codec", "null"), ("avro.schema", schema)] {
            for text in [key, value] {
                put_long(&mut head, i64::try_from(text.len()).unwrap_or(i64::MAX));
                head.extend_from_slice(text.as_bytes());
            }
        }
        put_long(&mut head, 0);
        head.extend_from_slice(SYNC);
        spool.write(&head)?;
        Ok(spool)
    }

    /// Adds a record: a line without its end, or the bytes of a value.
    ///
    /// # Errors
    /// [`FileError::Write`].
    pub fn push(&mut self, record: &[u8]) -> Result<(), FileError> {
        let Some((block, count)) = &mut self.block else {
            self.write(record)?;
            return self.write(b"\n");
        };
        block.extend_from_slice(record);
        *count += 1;
        if block.len() >= BLOCK_BYTES { self.end_block() } else { Ok(()) }
    }

    /// What was put in, to be read.
    ///
    /// # Errors
    /// [`FileError::Write`].
    pub fn finish(mut self) -> Result<Input, FileError> {
        self.end_block()?;
        let name = self.name;
        let file = self
            .out
            .into_inner()
            .map_err(|error| FileError::Write { file: name.clone(), error: error.into_error() })?;
        Ok(Input::kept(file, name))
    }

    fn end_block(&mut self) -> Result<(), FileError> {
        let Some((block, count)) = &mut self.block else { return Ok(()) };
        let (block, count) = (std::mem::take(block), std::mem::take(count));
        if count == 0 {
            return Ok(());
        }
        let mut head = Vec::new();
        put_long(&mut head, count);
        put_long(&mut head, i64::try_from(block.len()).unwrap_or(i64::MAX));
        [head.as_slice(), &block, SYNC].iter().try_for_each(|part| self.write(part))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        let written: io::Result<()> = self.out.write_all(bytes);
        written.map_err(|error| FileError::Write { file: self.name.clone(), error })
    }
}

/// A long as Avro writes it: zig-zag, then seven bits a byte.
fn put_long(bytes: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::FileFormat;

    #[test]
    fn values_that_are_encoded_already_become_a_container_that_apache_avro_reads() {
        let schema = r#"{"type":"record","name":"R","fields":[{"name":"n","type":"long"}]}"#;
        let mut spool = Spool::avro("topic t", schema).unwrap();
        for value in 0..100_000 {
            let mut body = Vec::new();
            put_long(&mut body, value - 50_000);
            spool.push(&body).unwrap();
        }
        let input = spool.finish().unwrap();
        assert_eq!((input.name(), input.format().unwrap()), ("topic t", FileFormat::Avro));
        let read = apache_avro::Reader::new(input.unpacked().unwrap()).unwrap();
        let numbers = read.map(|value| match value.unwrap() {
            apache_avro::types::Value::Record(fields) => match fields[0].1 {
                apache_avro::types::Value::Long(number) => number,
                _ => panic!("no long"),
            },
            _ => panic!("no record"),
        });
        assert!(numbers.eq(-50_000..50_000));
    }

    #[test]
    fn lines_are_read_back_as_they_were_put_in() {
        let mut spool = Spool::lines("topic t").unwrap();
        spool.push(br#"{"a":1}"#).unwrap();
        spool.push(br#"{"a":2}"#).unwrap();
        let input = spool.finish().unwrap();
        let mut text = String::new();
        input.unpacked().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), input.format().unwrap()), ("{\"a\":1}\n{\"a\":2}\n", FileFormat::Json));
    }
}
