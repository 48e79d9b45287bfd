//! The loop over a fast pass.

use super::read::{
    ANYWHERE, behind_nullable_varint, behind_varint, bytes, decimal, detour, double, end, fits, long, long_text, utf8,
};
use super::{Fast, LOOPS, Op, Register};
use crate::cel::Found;
use crate::program::checks::scalars;
use crate::program::cursor::{Cursor, ascii, unzigzag};
use crate::program::run::Places;
use crate::program::scratch::Scratch;
use crate::program::statistics::NULL;
use crate::program::value::{self, Value};
use crate::program::{Program, sketch};

/// Instead of what lies behind a text: its characters have been counted.
pub(super) const COUNTED: u32 = u32::MAX;

/// A block of an array or map that is being read.
#[derive(Debug, Clone, Copy, Default)]
struct Block {
    /// Items left, the one being read included.
    left: u64,
    /// Items in this block and those before it.
    items: u64,
    /// How many bytes of the record are left where the block says that it ends; [`ANYWHERE`] where it does
    /// not say.
    end: usize,
}

/// Where statistics are staged.
pub(super) struct Stage<'s> {
    pub(super) staged: &'s mut [f64],
    pub(super) behind: &'s mut [u32],
    pub(super) hashes: &'s mut [u64],
}

impl Fast {
    /// One pass. Whether the record is whole and keeps all rules on single values; its slots are then filled
    /// (null where nothing was found, as the caller has to have them before), and with `MEASURED` its
    /// statistics staged, in `scratch`. Otherwise nothing is known, and what was filled means nothing.
    //
    // One long function on purpose: its locals are the registers, and the macros share code between ops
    // without taking them out of the processor's.
    #[inline(never)]
    pub(in crate::program) fn walk<'a, const MEASURED: bool>(
        &'a self,
        program: &'a Program,
        body: &'a [u8],
        places: &mut Places<'_, 'a>,
        scratch: &mut Scratch,
    ) -> bool {
        let ops = self.ops.as_slice();
        let Scratch { staged, behind: after, hashes, .. } = scratch;
        let mut stage = Stage { staged, behind: after, hashes };
        // The mark is how many bytes were left there.
        let (mut rest, mut mark) = (body, body.len());
        // The stretch with texts that are not ASCII, from what was left before it to what was left behind.
        let mut foreign = (0, usize::MAX);
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
                    foreign = (foreign.0.max(mark), foreign.1.min(rest.len()));
                }
            }};
        }
        // Reads away from the fast path; the mark is behind what was read.
        macro_rules! detour {
            ($read:expr) => {{
                let (read, behind, ascii) = or_leave!(detour(body, mark, rest, $read));
                rest = behind;
                if !ascii {
                    foreign = (foreign.0.max(mark), foreign.1.min(rest.len()));
                }
                mark = rest.len();
                read
            }};
        }
        macro_rules! long_text {
            () => {{
                let ascii;
                (length, rest, ascii) = or_leave!(long_text(body, mark, rest));
                if !ascii {
                    foreign = (foreign.0.max(mark), foreign.1.min(rest.len()));
                }
                mark = rest.len();
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
        // Branch and length without a jump: whether there is a text is often anybody's guess.
        macro_rules! nullable_text {
            ($null:expr, $leaf:expr) => {{
                let (branch, size) = match rest {
                    [branch, size, ..] => (*branch ^ $null, *size),
                    [branch] => (*branch ^ $null, 0),
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
                    stage_text!($leaf, f64::from(length as u32));
                } else {
                    let size = size >> 1;
                    rest = or_leave!(rest.get(1 + usize::from(there) + usize::from(size)..));
                    stage_text!($leaf, if there == 0 { NULL } else { f64::from(size) });
                }
            }};
        }
        macro_rules! length_in {
            ($bounds:expr) => {{
                let [min, max] = *or_leave!(self.bounds.get($bounds as usize));
                let size = length as u64;
                // A character takes one to four bytes: most texts need no counting.
                let clear = size <= max && size >= min.saturating_mul(4);
                if !clear && !(min..=max).contains(&scalars(text!())) {
                    return false;
                }
            }};
        }
        macro_rules! float_in {
            ($bounds:expr) => {{
                let [min, max] = *or_leave!(self.bounds.get($bounds as usize));
                if !(f64::from_bits(min)..=f64::from_bits(max)).contains(&float) {
                    return false;
                }
            }};
        }
        macro_rules! again {
            ($depth:expr, $shape:expr) => {{
                let block = or_leave!(blocks.get_mut(usize::from($depth)));
                let shape = or_leave!(self.loops.get(usize::from($shape)));
                block.left = block.left.saturating_sub(1);
                if block.left > 0 {
                    pc = shape.body as usize;
                    continue;
                }
                if block.end != ANYWHERE && block.end != rest.len() {
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
                    or_leave!(fits(count, shape, rest));
                    block.left = count;
                    block.items = block.items.saturating_add(count);
                    pc = shape.body as usize;
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
                Op::TextIn { leaf, bounds } => {
                    text_or_long_text!(rest);
                    stage_text!(leaf, f64::from(length as u32));
                    length_in!(bounds);
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
                Op::NullableTexts { null, leaf, count } => {
                    for index in 0..count {
                        nullable_text!(null, leaf.saturating_add(index));
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
                    let [mask, _] = or_leave!(self.bounds.get(mask as usize));
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
                    rest = or_leave!(behind_varint(rest));
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
                Op::DoubleIn { leaf, bounds } => {
                    utf8!();
                    (float, rest) = or_leave!(double(rest));
                    mark = rest.len();
                    stage!(leaf, float);
                    float_in!(bounds);
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
                    } else if !matches!(read.len(), 1..=16) && value::decimal(read).is_none() {
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
                    block.end = ANYWHERE;
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
                        let shape = or_leave!(self.loops.get(usize::from(shape)));
                        or_leave!(fits(count, shape, rest));
                        (block.left, block.items) = (count, count);
                    }
                }
                Op::Again { depth, shape } => again!(depth, shape),
                Op::SkipAgain { depth, shape } => {
                    utf8!();
                    let size = or_leave!(self.loops.get(usize::from(shape))).skip;
                    rest = or_leave!(rest.get(size as usize..));
                    mark = rest.len();
                    again!(depth, shape);
                }
                Op::LengthIn(bounds) => length_in!(bounds),
                Op::NumberIn(bounds) => {
                    let [min, max] = *or_leave!(self.bounds.get(bounds as usize));
                    if int < min as i64 || int > max as i64 {
                        return false;
                    }
                }
                Op::FloatIn(bounds) => {
                    float_in!(bounds);
                }
                Op::ItemsIn(bounds) => {
                    let [min, max] = *or_leave!(self.bounds.get(bounds as usize));
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
                    if let Some(entry) = places.slots.get_mut(slot as usize) {
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
                    if !program.look_at(op, &mut value, &mut items, places, &mut stage) {
                        return false;
                    }
                }
                Op::Breaks => return false,
                Op::End => {
                    utf8!();
                    if MEASURED && foreign.0 > 0 {
                        self.recount(body, foreign, &mut stage);
                    }
                    return rest.is_empty();
                }
            }
        }
    }

    /// Texts were staged by their length in bytes, and not all of those in this stretch are ASCII.
    #[inline(never)]
    fn recount(&self, body: &[u8], (before, least): (usize, usize), stage: &mut Stage<'_>) {
        for leaf in &self.texts {
            let leaf = usize::from(*leaf);
            let (Some(staged), Some(behind)) = (stage.staged.get_mut(leaf), stage.behind.get(leaf)) else {
                continue;
            };
            let behind = *behind as usize;
            if behind < least || behind >= before || staged.to_bits() == NULL.to_bits() {
                continue;
            }
            let end = body.len().saturating_sub(behind);
            let text = body.get(end.saturating_sub(*staged as usize)..end).unwrap_or_default();
            *staged = scalars(text) as f64;
        }
    }
}
