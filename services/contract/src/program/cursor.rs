//! Reading Avro's binary encoding, one primitive at a time, with every bound checked. Knows nothing of
//! schemas.

use std::fmt;

/// How a record's bytes are broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The bytes end inside a value.
    Ends,
    /// A number in more than ten bytes, or with more than 64 bits.
    Varint,
    /// An int outside of 32 bits.
    Int,
    /// A boolean that is neither 0 nor 1.
    Boolean,
    /// A negative length, or one that reaches behind the end.
    Length,
    /// Text that is not UTF-8.
    Utf8,
    /// A union branch that does not exist.
    Branch,
    /// An enum symbol that does not exist.
    Symbol,
    /// A block that claims more items than its bytes can hold.
    Items,
    /// A block whose items do not take the bytes it claims.
    Block,
    /// Records nested too deep.
    Depth,
    /// Many more records within records than there are bytes for them.
    Hollow,
    /// Bytes behind the end of the record.
    Trailing,
    /// The program is at fault, not the bytes; never met, see `run`.
    Program,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ends => "the record ends inside a value",
            Self::Varint => "a number takes more than 64 bits",
            Self::Int => "an int does not fit in 32 bits",
            Self::Boolean => "a boolean is neither 0 nor 1",
            Self::Length => "a length is negative or reaches behind the end of the record",
            Self::Utf8 => "a string is not UTF-8",
            Self::Branch => "a union has no branch of this index",
            Self::Symbol => "an enum has no symbol of this index",
            Self::Items => "a block claims more items than the record can hold",
            Self::Block => "a block's items do not take the bytes that it claims",
            Self::Depth => "records are nested more than 64 deep",
            Self::Hollow => "the record holds far more records within records than it has bytes",
            Self::Trailing => "bytes follow the end of the record",
            Self::Program => "the compiled program does not fit the record",
        })
    }
}

/// What is left of a record's bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What is left.
    #[inline(always)]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// How many bytes are left.
    #[inline(always)]
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    #[inline(always)]
    pub(super) fn long(&mut self) -> Result<i64, Fault> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(unzigzag(u64::from(*byte)))
            }
            [low, high, rest @ ..] if *high < 0x80 => {
                self.rest = rest;
                Ok(unzigzag(u64::from(*low & 0x7f) | u64::from(*high) << 7))
            }
            _ => self.long_slowly(),
        }
    }

    fn long_slowly(&mut self) -> Result<i64, Fault> {
        let mut value = 0_u64;
        for (index, byte) in self.rest.iter().take(10).enumerate() {
            // The tenth byte carries bit 63 alone.
            if index == 9 && *byte > 1 {
                return Err(Fault::Varint);
            }
            value |= u64::from(*byte & 0x7f) << (7 * index);
            if *byte < 0x80 {
                self.rest = self.rest.get(index + 1..).unwrap_or_default();
                return Ok(unzigzag(value));
            }
        }
        Err(Fault::Ends)
    }

    #[inline(always)]
    pub(super) fn int(&mut self) -> Result<i64, Fault> {
        let mut ahead = *self;
        let value = ahead.long()?;
        if i32::try_from(value).is_err() {
            return Err(Fault::Int);
        }
        *self = ahead;
        Ok(value)
    }

    #[inline(always)]
    pub(super) fn boolean(&mut self) -> Result<bool, Fault> {
        match self.rest {
            [byte @ (0 | 1), rest @ ..] => {
                self.rest = rest;
                Ok(*byte == 1)
            }
            [] => Err(Fault::Ends),
            _ => Err(Fault::Boolean),
        }
    }

    #[inline(always)]
    pub(super) fn float(&mut self) -> Result<f64, Fault> {
        let (bytes, rest) = self.rest.split_first_chunk::<4>().ok_or(Fault::Ends)?;
        self.rest = rest;
        Ok(f64::from(f32::from_le_bytes(*bytes)))
    }

    #[inline(always)]
    pub(super) fn double(&mut self) -> Result<f64, Fault> {
        let (bytes, rest) = self.rest.split_first_chunk::<8>().ok_or(Fault::Ends)?;
        self.rest = rest;
        Ok(f64::from_le_bytes(*bytes))
    }

    #[inline(always)]
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(Fault::Ends)?;
        self.rest = rest;
        Ok(bytes)
    }

    #[inline(always)]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let mut ahead = *self;
        let length = ahead.long()?;
        let length = usize::try_from(length).map_err(|_| Fault::Length)?;
        let bytes = ahead.take(length).map_err(|_| Fault::Length)?;
        *self = ahead;
        Ok(bytes)
    }

    /// Text, checked to be UTF-8; as bytes, because most rules need no more.
    #[inline(always)]
    pub(super) fn text(&mut self) -> Result<&'a [u8], Fault> {
        let mut ahead = *self;
        let bytes = ahead.bytes()?;
        if !ascii(bytes) && std::str::from_utf8(bytes).is_err() {
            return Err(Fault::Utf8);
        }
        *self = ahead;
        Ok(bytes)
    }

    /// An index of a union or an enum, which must lie below `count`.
    #[inline(always)]
    pub(super) fn index(&mut self, count: usize, fault: Fault) -> Result<usize, Fault> {
        let mut ahead = *self;
        let index = usize::try_from(ahead.int()?).map_err(|_| fault)?;
        if index >= count {
            return Err(fault);
        }
        *self = ahead;
        Ok(index)
    }

    /// A block's header: how many items, and in how many bytes where it says so. Count 0 ends the blocks.
    #[inline]
    pub(super) fn block(&mut self) -> Result<(u64, Option<u64>), Fault> {
        let count = self.long()?;
        if count >= 0 {
            return Ok((count.unsigned_abs(), None));
        }
        let size = u64::try_from(self.long()?).map_err(|_| Fault::Block)?;
        if size > self.rest.len() as u64 {
            return Err(Fault::Block);
        }
        Ok((count.unsigned_abs(), Some(size)))
    }
}

/// Whether all bytes are ASCII: many at a time, the last ones overlapping.
#[inline(always)]
pub(super) fn ascii(bytes: &[u8]) -> bool {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<32>(), bytes.last_chunk::<32>()) {
        if bytes.len() <= 64 {
            return (high_bits(first) | high_bits(last)) & HIGH == 0;
        }
        let (chunks, _) = bytes.as_chunks::<32>();
        return chunks.iter().fold(high_bits(last), |all, chunk| all | high_bits(chunk)) & HIGH == 0;
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<16>(), bytes.last_chunk::<16>()) {
        return (high_bits(first) | high_bits(last)) & HIGH == 0;
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        return (u64::from_ne_bytes(*first) | u64::from_ne_bytes(*last)) & HIGH == 0;
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        return (u32::from_ne_bytes(*first) | u32::from_ne_bytes(*last)) & 0x8080_8080 == 0;
    }
    bytes.iter().all(u8::is_ascii)
}

/// The high bit of each of eight bytes.
pub(super) const HIGH: u64 = 0x8080_8080_8080_8080;

/// All eights of bytes, laid over each other.
#[inline(always)]
fn high_bits<const BYTES: usize>(bytes: &[u8; BYTES]) -> u64 {
    let (eights, _) = bytes.as_chunks::<8>();
    eights.iter().fold(0, |all, eight| all | u64::from_ne_bytes(*eight))
}

#[inline(always)]
pub(super) fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_at_most_sixty_four_bits() {
        let most = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(Cursor::new(&most).long(), Ok(i64::MIN));
        let more = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        assert_eq!(Cursor::new(&more).long(), Err(Fault::Varint));
        assert_eq!(Cursor::new(&[0x80, 0x80]).long(), Err(Fault::Ends));
        assert_eq!(Cursor::new(&[0x80; 11]).long(), Err(Fault::Varint));
        assert_eq!(Cursor::new(&[0x81, 0x00]).long(), Ok(-1), "an overlong number is a number");
        assert_eq!(Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0x1f]).int(), Err(Fault::Int));
    }

    #[test]
    fn text_of_any_length_is_told_from_ascii() {
        for length in 0..140 {
            let mut bytes = vec![b'a'; length];
            assert!(ascii(&bytes));
            for at in 0..length {
                bytes[at] = 0x80;
                assert!(!ascii(&bytes), "{at} of {length}");
                bytes[at] = b'a';
            }
        }
    }

    #[test]
    fn a_length_never_reaches_behind_the_end() {
        assert_eq!(Cursor::new(&[0x01]).bytes(), Err(Fault::Length));
        assert_eq!(Cursor::new(&[0x04, b'a']).bytes(), Err(Fault::Length));
        assert_eq!(Cursor::new(&[0x02, 0xff]).text(), Err(Fault::Utf8));
        assert_eq!(Cursor::new(&[0x04, 0xc3, 0xa9]).text(), Ok("é".as_bytes()));
    }
}
