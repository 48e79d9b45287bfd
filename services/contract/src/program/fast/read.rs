//! The fast pass's reads: most of them without a loop, and a way off the fast path for the others.

use super::Shape;
use crate::program::cursor::{Cursor, Fault, HIGH, ascii, unzigzag};
use crate::program::value;

/// What a read away from the fast path leaves: the value, the rest, and whether all texts were ASCII.
pub(super) type Detour<'a, T> = Option<(T, &'a [u8], bool)>;

/// The end of a block that does not say in how many bytes its items are.
pub(super) const ANYWHERE: usize = usize::MAX;

/// Looks at the texts since the mark, and reads something that is no one-byte number.
#[inline(never)]
pub(super) fn detour<'a, T>(
    body: &'a [u8],
    mark: usize,
    rest: &'a [u8],
    read: impl FnOnce(&mut Cursor<'a>) -> Result<T, Fault>,
) -> Detour<'a, T> {
    let span = body.get(body.len().checked_sub(mark)?..body.len().checked_sub(rest.len())?)?;
    let ascii = ascii(span);
    if !ascii && !utf8(span) {
        return None;
    }
    let mut cursor = Cursor::new(rest);
    let value = read(&mut cursor).ok()?;
    Some((value, cursor.rest(), ascii))
}

/// The length of a text whose length takes more than a byte.
#[inline(never)]
pub(super) fn long_text<'a>(body: &'a [u8], mark: usize, rest: &'a [u8]) -> Detour<'a, usize> {
    let (text, behind, before) = detour(body, mark, rest, Cursor::text)?;
    Some((text.len(), behind, before && ascii(text)))
}

/// Whether bytes that are not all ASCII are UTF-8. Chunks of ASCII at both ends are left out: no character
/// reaches into them.
#[inline(never)]
pub(super) fn utf8(span: &[u8]) -> bool {
    let mut middle = span;
    while let Some((chunk, behind)) = middle.split_first_chunk::<16>()
        && ascii(chunk)
    {
        middle = behind;
    }
    while let Some((before, chunk)) = middle.split_last_chunk::<16>()
        && ascii(chunk)
    {
        middle = before;
    }
    std::str::from_utf8(middle).is_ok()
}

#[inline(always)]
pub(super) fn double(rest: &[u8]) -> Option<(f64, &[u8])> {
    let (bytes, behind) = rest.split_first_chunk::<8>()?;
    Some((f64::from_le_bytes(*bytes), behind))
}

/// Whether so many items can be in what is left.
#[inline]
pub(super) fn fits(count: u64, shape: &Shape, rest: &[u8]) -> Option<()> {
    (count.checked_mul(shape.least)? <= rest.len() as u64).then_some(())
}

/// Where the block ends, in bytes before the record's end; `None` where that lies behind it.
pub(super) fn end(rest: &[u8], size: Option<u64>) -> Option<usize> {
    match size {
        None => Some(ANYWHERE),
        Some(size) => rest.len().checked_sub(usize::try_from(size).ok()?),
    }
}

/// Reads a long. Up to eight bytes need no loop: the first byte whose high bit is clear is the last one.
#[inline(always)]
pub(super) fn long(rest: &[u8]) -> Option<(i64, &[u8])> {
    if let Some(eight) = rest.first_chunk::<8>() {
        let bytes = u64::from_le_bytes(*eight);
        let stops = !bytes & HIGH;
        if stops != 0 {
            let count = (stops.trailing_zeros() as usize >> 3) + 1;
            // Up to the last byte's high bit, which is clear.
            let bits = bytes & (stops ^ (stops - 1)) & !HIGH;
            let bits = bits & 0x007f_007f_007f_007f | (bits & 0x7f00_7f00_7f00_7f00) >> 1;
            let bits = bits & 0x0000_3fff_0000_3fff | (bits & 0x3fff_0000_3fff_0000) >> 2;
            let bits = bits & 0x0000_0000_0fff_ffff | (bits & 0x0fff_ffff_0000_0000) >> 4;
            return Some((unzigzag(bits), rest.get(count..)?));
        }
    }
    long_bytewise(rest)
}

#[inline(never)]
fn long_bytewise(rest: &[u8]) -> Option<(i64, &[u8])> {
    let mut cursor = Cursor::new(rest);
    let value = cursor.long().ok()?;
    Some((value, cursor.rest()))
}

/// What follows a long that nobody looks at.
#[inline(always)]
pub(super) fn behind_varint(rest: &[u8]) -> Option<&[u8]> {
    if let Some(eight) = rest.first_chunk::<8>() {
        let stops = !u64::from_le_bytes(*eight) & HIGH;
        if stops != 0 {
            return rest.get((stops.trailing_zeros() as usize >> 3) + 1..);
        }
    }
    long_bytewise(rest).map(|(_, behind)| behind)
}

/// What follows a branch's index and, where `there` is 1 and not 0, a long; without a jump.
#[inline(always)]
pub(super) fn behind_nullable_varint(rest: &[u8], there: u8) -> Option<&[u8]> {
    if let Some(bytes) = rest.first_chunk::<8>() {
        let stops = (!u64::from_le_bytes(*bytes) & HIGH) >> 8;
        if stops != 0 {
            let length = (stops.trailing_zeros() as usize >> 3) + 1;
            return rest.get(1 + (length & usize::from(there).wrapping_neg())..);
        }
    }
    let behind = rest.get(1..)?;
    if there == 0 { Some(behind) } else { long_bytewise(behind).map(|(_, behind)| behind) }
}

#[inline(always)]
pub(super) fn bytes(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    if let [length, behind @ ..] = rest
        && length & 0x81 == 0
    {
        return behind.split_at_checked(usize::from(length >> 1));
    }
    let mut cursor = Cursor::new(rest);
    let bytes = cursor.bytes().ok()?;
    Some((bytes, cursor.rest()))
}

/// A decimal as the number that its field's statistics are kept of.
#[inline(always)]
pub(super) fn decimal(bytes: &[u8]) -> Option<f64> {
    if bytes.len() > 8 {
        return value::decimal(bytes).map(|number| number as f64);
    }
    let start = if *bytes.first()? >= 0x80 { -1 } else { 0 };
    Some(bytes.iter().fold(start, |value: i64, byte| value << 8 | i64::from(*byte)) as f64)
}
