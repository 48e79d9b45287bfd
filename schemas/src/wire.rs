//! The Confluent wire format: a zero byte, the schema id in four bytes (big-endian), then the Avro body.

use crate::ids::SchemaId;

/// Bytes before the body.
pub const FRAME_LEN: usize = 5;

/// A value in the Confluent wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The writer schema's id.
    pub schema: SchemaId,
    /// The Avro binary encoding.
    pub body: &'a [u8],
}

/// Why bytes are not in the Confluent wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotFramed {
    /// There is no byte at all.
    Empty,
    /// Fewer than five bytes, the first of them zero.
    TooShort,
    /// The first non-blank byte opens a JSON object or array: JSON was sent by mistake.
    Json,
    /// Avro single-object encoding (`C3 01`), which carries a fingerprint instead of an id.
    SingleObject,
    /// An Avro object container file (`Obj` 01) was sent whole.
    ContainerFile,
    /// AWS Glue's framing: a version, a compression, a UUID.
    Glue,
    /// A first byte that no known framing has.
    Other(u8),
}

impl<'a> Frame<'a> {
    /// Reads the frame, or says what the bytes look like instead.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, NotFramed> {
        match bytes {
            [0, a, b, c, d, body @ ..] => Ok(Self { schema: SchemaId(u32::from_be_bytes([*a, *b, *c, *d])), body }),
            [] => Err(NotFramed::Empty),
            [0, ..] => Err(NotFramed::TooShort),
            [0xC3, 0x01, ..] => Err(NotFramed::SingleObject),
            [b'O', b'b', b'j', 1, ..] => Err(NotFramed::ContainerFile),
            [3, 0 | 5, rest @ ..] if rest.len() >= 16 => Err(NotFramed::Glue),
            [first, ..] => match bytes.iter().find(|b| !b.is_ascii_whitespace()) {
                Some(b'{' | b'[') => Err(NotFramed::Json),
                _ => Err(NotFramed::Other(*first)),
            },
        }
    }
}

/// Writes the frame of a value before its body is appended to `out`.
pub fn frame(schema: SchemaId, out: &mut Vec<u8>) {
    out.push(0);
    out.extend_from_slice(&schema.0.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_back() {
        let mut bytes = Vec::new();
        frame(SchemaId(0x0102_0304), &mut bytes);
        bytes.extend_from_slice(b"body");
        assert_eq!(Frame::parse(&bytes), Ok(Frame { schema: SchemaId(0x0102_0304), body: b"body" }));
    }

    #[test]
    fn other_framings_are_told_apart() {
        assert_eq!(Frame::parse(b""), Err(NotFramed::Empty));
        assert_eq!(Frame::parse(&[0, 0, 0, 1]), Err(NotFramed::TooShort));
        assert_eq!(Frame::parse(b" {\"a\":1}"), Err(NotFramed::Json));
        assert_eq!(Frame::parse(&[0xC3, 1, 2]), Err(NotFramed::SingleObject));
        assert_eq!(Frame::parse(b"Obj\x01"), Err(NotFramed::ContainerFile));
        assert_eq!(Frame::parse(&[&[3, 5][..], &[9; 16]].concat()), Err(NotFramed::Glue));
        assert_eq!(Frame::parse(&[7]), Err(NotFramed::Other(7)));
    }
}
