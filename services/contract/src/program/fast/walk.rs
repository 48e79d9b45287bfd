//! The loop over a fast pass.

use super::{Fast, LOOPS, Op, Register, exact};
use crate::cel::Found;
use crate::program::checks::scalars;
use crate::program::cursor::{Cursor, Fault, ascii};
use crate::program::run::{converted, wanted};
use crate::program::scratch::Scratch;
use crate::program::statistics::{self, NULL};
use crate::program::value::{self, Value};
use crate::program::{Program, sketch};

/// Instead of what lies behind a text: its characters have been counted.
const COUNTED: u32 = u32::MAX;

/// A block of an array or map that is being read.
#[derive(Debug, Clone, Copy, Default)]
struct Block {
    /// Items left, the one being read included.
    left: u64,
    /// Items in this block and those before it.
    items: u64,
    /// How many bytes of the record are left where the block says that it ends.
    end: Option<usize>,
}

/// Where statistics are staged.
struct Stage<'s> {
    staged: &'s mut [f64],
    behind: &'s mut [u32],
    hashes: &'s mut [u64],
}

/// What a read away from the fast path leaves: the value, the rest, and whether all texts were ASCII.
type Detour<'a, T> = Option<(T, &'a [u8], bool)>;

impl Fast {
    /// One pass. Whether the record is whole and keeps all rules on single values; its slots are then filled
    /// (null where nothing was found, as the caller has to have them before), and with `MEASURED` its
    /// statistics staged, in `scratch`. Otherwise nothing is known, and what was filled means nothing.
    #[expect(clippy::too_many_lines, reason = "one loop: its locals are the registers")]
    pub(in crate::program) fn walk<'a, const MEASURED: bool>(
        &'a self,
        program: &'a Program,
        body: &'a [u8],
        slots: &mut [Found<'a>],
        scratch: &mut Scratch,
    ) -> bool {
        let ops = self.ops.as_slice();
        let Scratch { staged, behind: after, hashes, .. } = scratch;
        let mut stage = Stage { staged, behind: after, hashes };
        // The mark is how many bytes were left there.
        let (mut rest, mut mark) = (body, body.len());
        // All texts so far were ASCII.
        let mut plain = true;
        // A text is the last so many bytes that were read.
        let (mut length, mut int, mut float, mut items) = (0_usize, 0_i64, 0.0_f64, 0_u64);
        let mut value = Value::Null;
        let mut blocks = [Block::default(); LOOPS];
        let mut pc = 0_usize;
        macro_rules! or_leave {
            ($read:expr) => {
                match $read {
                    Some(read) => read,
                    None => return false,
                }
            };
        }
        macro_rules! stage {
            ($leaf:expr, $value:expr) => {
                if MEASURED && let Some(entry) = stage.staged.get_mut(usize::from($leaf)) {
                    *entry = $value;
                }
            };
        }
        macro_rules! stage_text {
            ($leaf:expr, $value:expr) => {
                if MEASURED {
                    stage!($leaf, $value);
                    if let Some(entry) = stage.behind.get_mut(usize::from($leaf)) {
                        *entry = rest.len() as u32;
                    }
                }
            };
        }
        // What was read last, as bytes.
        macro_rules! text {
            () => {{
                let end = body.len() - rest.len();
                or_leave!(body.get(end.wrapping_sub(length)..end))
            }};
        }
        // The bytes since the mark must be UTF-8.
        macro_rules! utf8 {
            () => {{
                let span = or_leave!(body.get(body.len() - mark..body.len() - rest.len()));
                if !ascii(span) {
                    if !utf8(span) {
                        return false;
                    }
                    plain = false;
                }
            }};
        }
        // Reads away from the fast path; the mark is behind what was read.
        macro_rules! detour {
            ($read:expr) => {{
                let (read, behind, ascii) = or_leave!(detour(body, mark, rest, $read));
                rest = behind;
                mark = rest.len();
                plain &= ascii;
                read
            }};
        }
        macro_rules! long_text {
            () => {{
                let ascii;
                (length, rest, ascii) = or_leave!(long_text(body, mark, rest));
                mark = rest.len();
                plain &= ascii;
            }};
        }
        macro_rules! text_or_long_text {
            ($rest:expr) => {{
                let here: &[u8] = $rest;
                match here {
                    [size, behind @ ..] if *size & 0x81 == 0 => {
                        length = usize::from(*size >> 1);
                        rest = or_leave!(behind.get(length..));
                    }
                    _ => {
                        rest = here;
                        long_text!();
                    }
                }
            }};
        }
        loop {
            let op = or_leave!(ops.get(pc));
            pc += 1;
            match *op {
                Op::Utf8 => {
                    utf8!();
                    mark = rest.len();
                }
                Op::Utf8Skip(size) => {
                    utf8!();
                    rest = or_leave!(rest.get(size as usize..));
                    mark = rest.len();
                }
                Op::Skip(size) => {
                    rest = or_leave!(rest.get(size as usize..));
                    mark = rest.len();
                }
                Op::Text { leaf } => {
                    text_or_long_text!(rest);
                    stage_text!(leaf, f64::from(length as u32));
                }
                Op::Texts { count, leaf } => {
                    for index in 0..u16::from(count) {
                        text_or_long_text!(rest);
                        stage_text!(leaf.saturating_add(index), f64::from(length as u32));
                    }
                }
                Op::ThereText { null, leaf } => {
                    match rest {
                        [branch, behind @ ..] if *branch == null ^ 2 => text_or_long_text!(behind),
                        _ => return false,
                    }
                    stage_text!(leaf, f64::from(length as u32));
                }
                Op::NullableText { null, leaf } => {
                    // Branch and length without a jump: whether there is a text is often anybody's guess.
                    let (branch, size) = match rest {
                        [branch, size, ..] => (*branch ^ null, *size),
                        [branch] => (*branch ^ null, 0),
                        [] => return false,
                    };
                    if branch & !2 != 0 {
                        return false;
                    }
                    let there = branch >> 1;
                    let size = size & there.wrapping_neg();
                    if size & 0x81 != 0 {
                        rest = or_leave!(rest.get(1..));
                        long_text!();
                        stage_text!(leaf, f64::from(length as u32));
                    } else {
                        let size = size >> 1;
                        rest = or_leave!(rest.get(1 + usize::from(there) + usize::from(size)..));
                        stage_text!(leaf, if there == 0 { NULL } else { f64::from(size) });
                    }
                }
                Op::Boolean { leaf } => {
                    let [byte @ (0 | 1), behind @ ..] = rest else { return false };
                    int = i64::from(*byte);
                    rest = behind;
                    stage!(leaf, f64::from(*byte));
                }
                Op::Symbol { leaf, mask } => {
                    let [byte, behind @ ..] = rest else { return false };
                    let mask = or_leave!(self.masks.get(mask as usize));
                    if byte & 0x81 != 0 || mask >> (byte >> 1) & 1 == 0 {
                        return false;
                    }
                    rest = behind;
                    stage!(leaf, 0.0);
                }
                Op::Int { leaf } => {
                    match rest {
                        [byte, behind @ ..] if *byte < 0x80 => {
                            int = unzigzag(u64::from(*byte));
                            rest = behind;
                        }
                        _ => int = detour!(Cursor::int),
                    }
                    stage!(leaf, int as f64);
                }
                Op::Long { leaf } => {
                    (int, rest) = or_leave!(long(rest));
                    mark = rest.len();
                    stage!(leaf, int as f64);
                }
                Op::NullableLong { null, leaf } => {
                    let [branch, behind @ ..] = rest else { return false };
                    rest = behind;
                    if *branch == null ^ 2 {
                        (int, rest) = or_leave!(long(rest));
                        stage!(leaf, int as f64);
                    } else if *branch != null {
                        return false;
                    }
                    mark = rest.len();
                }
                Op::Varint => {
                    rest = or_leave!(behind_varint(rest, 0));
                    mark = rest.len();
                }
                Op::NullableVarint { null } => {
                    let branch = or_leave!(rest.first()) ^ null;
                    if branch & !2 != 0 {
                        return false;
                    }
                    rest = or_leave!(behind_nullable_varint(rest, branch >> 1));
                    mark = rest.len();
                }
                Op::Double { leaf } => {
                    (float, rest) = or_leave!(double(rest));
                    mark = rest.len();
                    stage!(leaf, float);
                }
                Op::Utf8Double { leaf } => {
                    utf8!();
                    (float, rest) = or_leave!(double(rest));
                    mark = rest.len();
                    stage!(leaf, float);
                }
                Op::Bytes { leaf } => {
                    let read;
                    (read, rest) = or_leave!(bytes(rest));
                    length = read.len();
                    mark = rest.len();
                    stage!(leaf, f64::from(length as u32));
                }
                Op::Decimal { leaf } => {
                    let read;
                    (read, rest) = or_leave!(bytes(rest));
                    mark = rest.len();
                    if MEASURED {
                        stage!(leaf, or_leave!(decimal(read)));
                    } else if read.len() > 16 && value::decimal(read).is_none() {
                        return false;
                    }
                }
                Op::Nullable { null, to } => {
                    let [branch, behind @ ..] = rest else { return false };
                    rest = behind;
                    if *branch == null {
                        value = Value::Null;
                        pc = to as usize;
                    } else if *branch != null ^ 2 {
                        return false;
                    }
                }
                Op::There { null } => match rest {
                    [branch, behind @ ..] if *branch == null ^ 2 => rest = behind,
                    _ => return false,
                },
                Op::Union { branches, table } => {
                    let [branch, behind @ ..] = rest else { return false };
                    if branch & 0x81 != 0 || branch >> 1 >= branches {
                        return false;
                    }
                    rest = behind;
                    value = Value::Present;
                    pc = *or_leave!(self.tables.get(table as usize + usize::from(branch >> 1))) as usize;
                }
                Op::Jump(to) => pc = to as usize,
                Op::Loop { depth, shape, after } => {
                    let block = or_leave!(blocks.get_mut(usize::from(depth)));
                    *block = Block::default();
                    let count = match rest {
                        [count, behind @ ..] if *count & 0x81 == 0 => {
                            rest = behind;
                            u64::from(count >> 1)
                        }
                        _ => {
                            let (count, size) = detour!(Cursor::block);
                            block.end = or_leave!(end(rest, size));
                            count
                        }
                    };
                    if count == 0 {
                        items = 0;
                        value = Value::Present;
                        pc = after as usize;
                    } else {
                        or_leave!(self.fits(count, shape, rest));
                        (block.left, block.items) = (count, count);
                    }
                }
                Op::Again { depth, shape, body } => {
                    let block = or_leave!(blocks.get_mut(usize::from(depth)));
                    block.left = block.left.saturating_sub(1);
                    if block.left > 0 {
                        pc = body as usize;
                        continue;
                    }
                    if block.end.is_some_and(|end| end != rest.len()) {
                        return false;
                    }
                    if let [0, behind @ ..] = rest {
                        rest = behind;
                        items = block.items;
                        value = Value::Present;
                        continue;
                    }
                    let (count, size) = detour!(Cursor::block);
                    block.end = or_leave!(end(rest, size));
                    if count == 0 {
                        items = block.items;
                        value = Value::Present;
                    } else {
                        or_leave!(self.fits(count, shape, rest));
                        block.left = count;
                        block.items = block.items.saturating_add(count);
                        pc = body as usize;
                    }
                }
                Op::LengthIn(bounds) => {
                    let (min, max) = *or_leave!(self.lengths.get(bounds as usize));
                    let size = length as u64;
                    // A character takes one to four bytes: most texts need no counting.
                    let clear = size <= max && size >= min.saturating_mul(4);
                    if !clear && !(min..=max).contains(&scalars(text!())) {
                        return false;
                    }
                }
                Op::NumberIn(bounds) => {
                    let (min, max) = *or_leave!(self.numbers.get(bounds as usize));
                    if int < min || int > max {
                        return false;
                    }
                }
                Op::FloatIn(bounds) => {
                    let (min, max) = *or_leave!(self.floats.get(bounds as usize));
                    if !(float >= min && float <= max) {
                        return false;
                    }
                }
                Op::ItemsIn(bounds) => {
                    let (min, max) = *or_leave!(self.lengths.get(bounds as usize));
                    if items < min || items > max {
                        return false;
                    }
                }
                Op::Hash(sketch) => {
                    if MEASURED && let Some(entry) = stage.hashes.get_mut(sketch as usize) {
                        *entry = sketch::hash(text!());
                    }
                }
                Op::SlotOfInt(slot) => {
                    if let Some(entry) = slots.get_mut(slot as usize) {
                        *entry = Found::Int(int);
                    }
                }
                Op::Load(register) => {
                    value = match register {
                        Register::Boolean => Value::Bool(int != 0),
                        Register::Int => Value::Int(int),
                        Register::Float => Value::Float(float),
                        Register::Text => Value::Text(text!()),
                        Register::Bytes => Value::Bytes(text!()),
                    };
                }
                Op::Read(index) => {
                    let op = *or_leave!(self.exact.get(index as usize));
                    (value, rest) = or_leave!(program.read_one(op, rest));
                    mark = rest.len();
                }
                Op::Look(index) => {
                    let op = *or_leave!(self.exact.get(index as usize));
                    if !program.look_at(op, &mut value, &mut items, slots, &mut stage) {
                        return false;
                    }
                }
                Op::Breaks => return false,
                Op::End => {
                    utf8!();
                    if MEASURED && !plain {
                        self.recount(body, &mut stage);
                    }
                    return rest.is_empty();
                }
            }
        }
    }

    /// Whether so many items can be in what is left.
    #[inline]
    fn fits(&self, count: u64, shape: u16, rest: &[u8]) -> Option<()> {
        let least = self.least.get(usize::from(shape))?;
        (count.checked_mul(*least)? <= rest.len() as u64).then_some(())
    }

    /// Texts were staged by their length in bytes, and not all of them are ASCII.
    fn recount(&self, body: &[u8], stage: &mut Stage<'_>) {
        for leaf in &self.texts {
            let leaf = usize::from(*leaf);
            let (Some(staged), Some(behind)) = (stage.staged.get_mut(leaf), stage.behind.get(leaf)) else {
                continue;
            };
            if *behind == COUNTED || staged.to_bits() == NULL.to_bits() {
                continue;
            }
            let end = body.len().saturating_sub(*behind as usize);
            let text = body.get(end.saturating_sub(*staged as usize)..end).unwrap_or_default();
            *staged = scalars(text) as f64;
        }
    }
}

/// What the exact pass does, an op at a time, for what is rare.
impl Program {
    #[inline(never)]
    fn read_one<'a>(&'a self, op: exact::Op, rest: &'a [u8]) -> Option<(Value<'a>, &'a [u8])> {
        let mut cursor = Cursor::new(rest);
        let value = match op {
            exact::Op::Boolean => Value::Bool(cursor.boolean().ok()?),
            exact::Op::Int => Value::Int(cursor.int().ok()?),
            exact::Op::Long => Value::Int(cursor.long().ok()?),
            exact::Op::Float => Value::Float(cursor.float().ok()?),
            exact::Op::Double => Value::Float(cursor.double().ok()?),
            exact::Op::Bytes => Value::Bytes(cursor.bytes().ok()?),
            exact::Op::Text => Value::Text(cursor.text().ok()?),
            exact::Op::Fixed(size) => Value::Bytes(cursor.take(size as usize).ok()?),
            exact::Op::Ordinal(count) => {
                cursor.index(count as usize, Fault::Symbol).ok()?;
                Value::Present
            }
            exact::Op::Enum(index) => {
                let symbols = self.code.enums.get(index as usize)?;
                let ordinal = cursor.index(symbols.len(), Fault::Symbol).ok()?;
                Value::Text(symbols.get(ordinal)?.as_ref()?.as_bytes())
            }
            _ => return None,
        };
        Some((value, cursor.rest()))
    }

    /// Whether the record may still keep the contract.
    #[inline(never)]
    fn look_at<'a>(
        &'a self,
        op: exact::Op,
        value: &mut Value<'a>,
        items: &mut u64,
        slots: &mut [Found<'a>],
        stage: &mut Stage<'_>,
    ) -> bool {
        match op {
            exact::Op::Null => *value = Value::Null,
            exact::Op::Present => *value = Value::Present,
            exact::Op::Constant(index) => {
                *value = self.code.constants.get(index as usize).map_or(Value::Null, Value::of);
            }
            exact::Op::Items(count) => {
                *items = u64::from(count);
                *value = Value::Present;
            }
            exact::Op::FloatOfInt
            | exact::Op::DoubleOfInt
            | exact::Op::TextOfBytes
            | exact::Op::BytesOfText
            | exact::Op::Decimal => match converted(op, *value) {
                Ok(converted) => *value = converted,
                Err(_) => return false,
            },
            exact::Op::Check(index) => {
                return self.code.checks.get(index as usize).is_some_and(|check| check.test.holds(*value, *items));
            }
            exact::Op::Slot { slot, want } => {
                if let Some(entry) = slots.get_mut(slot as usize) {
                    *entry = wanted(*value, want, *items);
                }
            }
            exact::Op::Stat { leaf } => {
                if let Some(entry) = stage.staged.get_mut(leaf as usize) {
                    *entry = statistics::staged(*value);
                }
                if let Some(behind) = stage.behind.get_mut(leaf as usize) {
                    *behind = COUNTED;
                }
            }
            exact::Op::Distinct { sketch } => {
                if let Some(entry) = stage.hashes.get_mut(sketch as usize) {
                    *entry = statistics::hashed(*value);
                }
            }
            _ => return false,
        }
        true
    }
}

/// Looks at the texts since the mark, and reads something that is no one-byte number.
#[inline(never)]
fn detour<'a, T>(
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
fn long_text<'a>(body: &'a [u8], mark: usize, rest: &'a [u8]) -> Detour<'a, usize> {
    let (text, behind, before) = detour(body, mark, rest, Cursor::text)?;
    Some((text.len(), behind, before && ascii(text)))
}

/// Whether bytes that are not all ASCII are UTF-8. Chunks of ASCII at both ends are left out: no character
/// reaches into them.
#[inline(never)]
fn utf8(span: &[u8]) -> bool {
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
fn double(rest: &[u8]) -> Option<(f64, &[u8])> {
    let (bytes, behind) = rest.split_first_chunk::<8>()?;
    Some((f64::from_le_bytes(*bytes), behind))
}

/// Where the block ends, in bytes before the record's end; `None` where that lies behind it.
fn end(rest: &[u8], size: Option<u64>) -> Option<Option<usize>> {
    match size {
        None => Some(None),
        Some(size) => rest.len().checked_sub(usize::try_from(size).ok()?).map(Some),
    }
}

/// The high bits of eight bytes.
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Reads a long. Up to eight bytes need no loop: the first byte whose high bit is clear is the last one.
#[inline(always)]
fn long(rest: &[u8]) -> Option<(i64, &[u8])> {
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

/// What follows a long that nobody looks at, and `before` other bytes.
#[inline(always)]
fn behind_varint(rest: &[u8], before: usize) -> Option<&[u8]> {
    if let Some(eight) = rest.first_chunk::<8>() {
        let stops = !u64::from_le_bytes(*eight) & HIGH;
        if stops != 0 {
            return rest.get(before + (stops.trailing_zeros() as usize >> 3) + 1..);
        }
    }
    long_bytewise(rest).map(|(_, behind)| behind)
}

/// What follows a branch's index and, where `there` is 1 and not 0, a long; without a jump.
#[inline(always)]
fn behind_nullable_varint(rest: &[u8], there: u8) -> Option<&[u8]> {
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
fn bytes(rest: &[u8]) -> Option<(&[u8], &[u8])> {
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
fn decimal(bytes: &[u8]) -> Option<f64> {
    if bytes.len() > 8 {
        return value::decimal(bytes).map(|number| number as f64);
    }
    let start = if bytes.first().is_some_and(|byte| *byte >= 0x80) { -1 } else { 0 };
    Some(bytes.iter().fold(start, |value: i64, byte| value << 8 | i64::from(*byte)) as f64)
}

#[inline(always)]
fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}
