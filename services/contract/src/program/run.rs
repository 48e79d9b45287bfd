//! Runs a program over a record's bytes: one loop over the ops, nothing allocated while the record conforms.

use super::cursor::{Cursor, Fault};
use super::ops::{Op, Step};
use super::scratch::{Frame, FrameKind, Scratch, Seen};
use super::sketch;
use super::statistics;
use super::value::{self, Value};
use super::{Program, RULE_TYPE};
use crate::cel::{Found, Rows, Want};
use crate::model::Segment;

/// How many items without bytes a record may claim in all.
const EMPTY_ITEMS: u64 = 65_536;

/// How deep calls nest, and how many a byte of the record pays for.
const CALLS: usize = super::resolve::DEPTH;

/// Where a record broke.
#[derive(Debug, Clone, Copy)]
pub(super) struct Broken {
    pub(super) fault: Fault,
    /// The op that met it.
    pub(super) pc: usize,
    /// The byte it was met at.
    pub(super) at: usize,
}

/// The state that only loops and calls touch.
struct Control {
    length: usize,
    empty_items: u64,
    calls: usize,
    /// How many calls may still be made: records of records need no byte, and could be called without end.
    calls_left: usize,
    /// The items of the array or map read last.
    items: u64,
    /// Where its collected items start.
    seen: usize,
}

/// Where a pass puts what conditions and the key look at.
#[derive(Debug)]
pub(super) struct Places<'s, 'a> {
    pub(super) slots: &'s mut [Found<'a>],
    pub(super) rows: &'s mut Rows<'a>,
}

impl Program {
    /// One pass. Rules that are broken are noted in `scratch`.
    pub(super) fn run<'a>(
        &'a self,
        body: &'a [u8],
        places: &mut Places<'_, 'a>,
        scratch: &mut Scratch,
    ) -> Result<(), Broken> {
        scratch.frames.clear();
        scratch.seen.clear();
        let mut cursor = Cursor::new(body);
        let mut pc = 0;
        match self.steps(&mut cursor, &mut pc, body, places, scratch) {
            Ok(()) if cursor.left() == 0 => Ok(()),
            Ok(()) => {
                scratch.frames.clear();
                Err(Broken { fault: Fault::Trailing, pc: self.code.ops.len(), at: body.len() - cursor.left() })
            }
            Err(fault) => Err(Broken { fault, pc: pc.saturating_sub(1), at: body.len() - cursor.left() }),
        }
    }

    fn steps<'a>(
        &'a self,
        cursor: &mut Cursor<'a>,
        at: &mut usize,
        body: &'a [u8],
        places: &mut Places<'_, 'a>,
        scratch: &mut Scratch,
    ) -> Result<(), Fault> {
        let code = &self.code;
        let calls_left = body.len().saturating_mul(CALLS).saturating_add(EMPTY_ITEMS as usize);
        let mut control = Control { length: body.len(), empty_items: 0, calls: 0, calls_left, items: 0, seen: 0 };
        let mut value = Value::Null;
        let mut pc = 0_usize;
        let mut bytes = *cursor;
        // The position is written back only where somebody will ask for it.
        macro_rules! or_break {
            ($read:expr) => {
                match $read {
                    Ok(read) => read,
                    Err(fault) => {
                        *at = pc;
                        *cursor = bytes;
                        return Err(fault);
                    }
                }
            };
        }
        loop {
            let Some(op) = code.ops.get(pc) else { return Err(Fault::Program) };
            pc += 1;
            match *op {
                Op::Null => value = Value::Null,
                Op::Boolean => value = Value::Bool(or_break!(bytes.boolean())),
                Op::Int => value = Value::Int(or_break!(bytes.int())),
                Op::Long => value = Value::Int(or_break!(bytes.long())),
                Op::Float => value = Value::Float(or_break!(bytes.float())),
                Op::Double => value = Value::Float(or_break!(bytes.double())),
                Op::Bytes => value = Value::Bytes(or_break!(bytes.bytes())),
                Op::Text => value = Value::Text(or_break!(bytes.text())),
                Op::Fixed(size) => value = Value::Bytes(or_break!(bytes.take(size as usize))),
                Op::Skip(size) => {
                    or_break!(bytes.take(size as usize));
                }
                Op::Ordinal(count) => {
                    or_break!(bytes.index(count as usize, Fault::Symbol));
                }
                Op::Enum(index) => {
                    let symbols = code.enums.get(index as usize).map_or(&[][..], Vec::as_slice);
                    let ordinal = or_break!(bytes.index(symbols.len(), Fault::Symbol));
                    value = match symbols.get(ordinal) {
                        Some(Some(symbol)) => Value::Text(symbol.as_bytes()),
                        _ => {
                            scratch.unreadable = true;
                            self.violates(
                                body,
                                pc - 1,
                                RULE_TYPE,
                                None,
                                "must be a symbol that the contract's enum knows",
                                scratch,
                            );
                            Value::Foreign
                        }
                    };
                }
                Op::Constant(index) => value = code.constants.get(index as usize).map_or(Value::Null, Value::of),
                Op::Items(count) => {
                    control.items = u64::from(count);
                    value = Value::Present;
                }
                Op::Present => value = Value::Present,
                Op::FloatOfInt | Op::DoubleOfInt | Op::TextOfBytes | Op::BytesOfText | Op::Decimal => {
                    value = self.convert(*op, value, body, pc - 1, scratch);
                }
                Op::Nullable { null, to } => {
                    if or_break!(bytes.index(2, Fault::Branch)) == usize::from(null) {
                        value = Value::Null;
                        pc = to as usize;
                    }
                }
                Op::Union { table, branches } => {
                    let branch = or_break!(bytes.index(branches as usize, Fault::Branch));
                    value = Value::Present;
                    pc = code.tables.get(table as usize + branch).map_or(usize::MAX, |to| *to as usize);
                }
                Op::Jump(to) => pc = to as usize,
                Op::Loop(shape) => {
                    let next = self.enter(shape, pc, &mut bytes, &mut control, scratch);
                    pc = or_break!(outside(next, &mut pc, scratch));
                    value = Value::Present;
                }
                Op::Key => {
                    let key = or_break!(bytes.text());
                    if let Some(frame) = scratch.frames.last_mut() {
                        let end = control.length - bytes.left();
                        frame.key = (end - key.len(), end);
                    }
                    value = Value::Text(key);
                }
                Op::Again => {
                    let next = self.again(&mut bytes, &mut control, scratch);
                    pc = or_break!(outside(next, &mut pc, scratch));
                    value = Value::Present;
                }
                Op::Call(call) => pc = or_break!(self.call(call, pc, &mut control, scratch)),
                Op::Return => {
                    control.calls = control.calls.saturating_sub(1);
                    pc = scratch.frames.pop().map_or(usize::MAX, |frame| frame.body);
                }
                Op::Check(index) => {
                    if let Some(check) = code.checks.get(index as usize)
                        && !check.test.holds(value, control.items)
                    {
                        self.violates(body, pc - 1, check.rule, value.shown(check.scale), &check.expected, scratch);
                    }
                }
                Op::Broken(index) => self.breaks(index, body, pc - 1, scratch),
                Op::Unique(index) => {
                    if matches!(value, Value::Present) && scratch.twice(control.seen, body) {
                        self.breaks(index, body, pc - 1, scratch);
                    }
                }
                Op::Collect => collect(value, body, control.length - bytes.left(), scratch),
                Op::Slot { slot, want } => {
                    if let Some(entry) = places.slots.get_mut(slot as usize) {
                        *entry = wanted(value, want, control.items);
                    }
                }
                Op::Table(_)
                | Op::Row(_)
                | Op::Cell { .. }
                | Op::KeyCell { .. }
                | Op::SlotRows { .. }
                | Op::CellRows { .. } => noted(*op, value, control.items, places),
                Op::Stat { leaf } => {
                    if scratch.measuring
                        && let Some(entry) = scratch.staged.get_mut(leaf as usize)
                    {
                        *entry = statistics::staged(value);
                    }
                }
                Op::Distinct { sketch } => {
                    if scratch.measuring
                        && let Some(entry) = scratch.hashes.get_mut(sketch as usize)
                    {
                        *entry = statistics::hashed(value);
                    }
                }
                Op::Refuse(index) => {
                    if let Some(refusal) = code.refusals.get(index as usize) {
                        scratch.unreadable |= refusal.rule == RULE_TYPE;
                        self.violates(body, pc - 1, refusal.rule, None, &refusal.message, scratch);
                    }
                    value = Value::Foreign;
                }
                Op::End => {
                    *cursor = bytes;
                    return Ok(());
                }
            }
        }
    }

    #[inline]
    fn convert<'a>(&'a self, op: Op, value: Value<'a>, body: &[u8], pc: usize, scratch: &mut Scratch) -> Value<'a> {
        let message = match converted(op, value) {
            Ok(value) => return value,
            Err(message) => message,
        };
        scratch.unreadable = true;
        self.violates(body, pc, RULE_TYPE, value.shown(0), message, scratch);
        Value::Foreign
    }

    fn breaks(&self, index: u32, body: &[u8], pc: usize, scratch: &mut Scratch) {
        if let Some(check) = self.code.checks.get(index as usize) {
            self.violates(body, pc, check.rule, None, &check.expected, scratch);
        }
    }

    fn enter(
        &self,
        shape: u32,
        pc: usize,
        bytes: &mut Cursor<'_>,
        control: &mut Control,
        scratch: &mut Scratch,
    ) -> Result<usize, Fault> {
        let frame =
            Frame { kind: FrameKind::Loop, pc: pc - 1, body: pc, shape, seen: scratch.seen.len(), ..Frame::default() };
        scratch.frames.push(frame);
        self.block(bytes, control, scratch)
    }

    /// The op to go on with: of the next item, or behind the loop.
    fn again(&self, bytes: &mut Cursor<'_>, control: &mut Control, scratch: &mut Scratch) -> Result<usize, Fault> {
        let frame = scratch.frames.last_mut().ok_or(Fault::Program)?;
        frame.index += 1;
        frame.left = frame.left.saturating_sub(1);
        let at = control.length - bytes.left();
        if frame.left > 0 {
            frame.item = at;
            return Ok(frame.body);
        }
        if frame.end.is_some_and(|end| end != at) {
            return Err(Fault::Block);
        }
        self.block(bytes, control, scratch)
    }

    fn block(&self, bytes: &mut Cursor<'_>, control: &mut Control, scratch: &mut Scratch) -> Result<usize, Fault> {
        let frame = scratch.frames.last_mut().ok_or(Fault::Program)?;
        let shape = self.code.loops.get(frame.shape as usize).ok_or(Fault::Program)?;
        let (count, size) = bytes.block()?;
        if count == 0 {
            control.items = frame.index;
            control.seen = frame.seen;
            scratch.frames.pop();
            return Ok(shape.after as usize);
        }
        if shape.least == 0 {
            control.empty_items = control.empty_items.saturating_add(count);
            if control.empty_items > EMPTY_ITEMS {
                return Err(Fault::Items);
            }
        } else if count.checked_mul(shape.least).is_none_or(|least| least > bytes.left() as u64) {
            return Err(Fault::Items);
        }
        let at = control.length - bytes.left();
        frame.left = count;
        frame.item = at;
        frame.end = size.map(|size| at + size as usize);
        Ok(frame.body)
    }

    fn call(&self, call: u32, pc: usize, control: &mut Control, scratch: &mut Scratch) -> Result<usize, Fault> {
        if control.calls >= CALLS {
            return Err(Fault::Depth);
        }
        control.calls_left = control.calls_left.checked_sub(1).ok_or(Fault::Hollow)?;
        control.calls += 1;
        scratch.frames.push(Frame { kind: FrameKind::Call, pc: pc - 1, body: pc, ..Frame::default() });
        self.code.calls.get(call as usize).map(|to| *to as usize).ok_or(Fault::Program)
    }

    /// Counts a violation, and keeps it if it is one of the first.
    #[cold]
    #[inline(never)]
    pub(super) fn violates(
        &self,
        body: &[u8],
        pc: usize,
        rule: u32,
        value: Option<String>,
        message: &str,
        scratch: &mut Scratch,
    ) {
        let Some(info) = self.layout.rules.get(rule as usize) else { return };
        if !scratch.count(rule, info.severity) {
            return;
        }
        let (path, pattern) = self.place(body, pc, &scratch.frames);
        let hidden = self.contract.classified.iter().any(|path| pattern.starts_with(&path.0));
        let value = value.map(|value| if hidden { "***".to_owned() } else { value });
        scratch.keep(info, path, value, message.to_owned());
    }

    /// Where an op stands in the record: with indices, and as a path of the schema.
    fn place(&self, body: &[u8], pc: usize, frames: &[Frame]) -> (String, Vec<Segment>) {
        let mut place = Place::default();
        for frame in frames {
            self.add(frame.pc, &mut place);
            if frame.kind == FrameKind::Call {
                continue;
            }
            if self.code.loops.get(frame.shape as usize).is_some_and(|shape| shape.map) {
                let key = body.get(frame.key.0..frame.key.1).unwrap_or_default();
                place.pattern.push(Segment::Values);
                place.text.push_str(&format!("{{{}}}", value::cut(key)));
            } else {
                place.pattern.push(Segment::Items);
                place.text.push_str(&format!("[{}]", frame.index));
            }
        }
        self.add(pc, &mut place);
        (place.text, place.pattern)
    }

    fn add(&self, pc: usize, place: &mut Place) {
        let steps = self.code.sites.get(pc).and_then(|site| self.code.paths.get(*site as usize));
        for step in steps.into_iter().flatten() {
            match step {
                Step::Field(name) => {
                    let dot = if place.text.is_empty() { "" } else { "." };
                    place.text.push_str(&format!("{dot}{name}"));
                    place.pattern.push(Segment::Field(name.clone()));
                }
                Step::Index(index) => {
                    place.text.push_str(&format!("[{index}]"));
                    place.pattern.push(Segment::Items);
                }
                Step::Key(key) => {
                    place.text.push_str(&format!("{{{key}}}"));
                    place.pattern.push(Segment::Values);
                }
            }
        }
    }
}

#[derive(Debug, Default)]
struct Place {
    text: String,
    pattern: Vec<Segment>,
}

/// A loop that broke is broken itself, not one of its items.
#[inline]
fn outside(next: Result<usize, Fault>, pc: &mut usize, scratch: &mut Scratch) -> Result<usize, Fault> {
    if next.is_err()
        && let Some(frame) = scratch.frames.pop()
    {
        *pc = frame.pc + 1;
    }
    next
}

/// The value in the representation that the op asks for; `Err` says what it should have been.
#[inline]
pub(super) fn converted(op: Op, value: Value<'_>) -> Result<Value<'_>, &'static str> {
    Ok(match (op, value) {
        (Op::FloatOfInt, Value::Int(number)) => Value::Float(f64::from(number as f32)),
        (Op::DoubleOfInt, Value::Int(number)) => Value::Float(number as f64),
        (Op::BytesOfText, Value::Text(text)) => Value::Bytes(text),
        (Op::TextOfBytes, Value::Bytes(bytes)) if std::str::from_utf8(bytes).is_ok() => Value::Text(bytes),
        (Op::TextOfBytes, _) => {
            return Err("must be text in UTF-8, because the contract reads these bytes as a string");
        }
        (Op::Decimal, Value::Bytes(bytes)) => match value::decimal(bytes) {
            Some(number) => Value::Decimal(number),
            None => return Err("must be a decimal of 1 to 38 digits"),
        },
        (_, value) => value,
    })
}

/// What conditions want of an item, put into the tables of items.
#[inline(never)]
pub(super) fn noted<'a>(op: Op, value: Value<'a>, items: u64, places: &mut Places<'_, 'a>) {
    let Places { slots, rows } = places;
    let range = |rows: &Rows<'a>, table| if matches!(value, Value::Null) { Found::Null } else { rows.range(table) };
    match op {
        Op::Table(table) => rows.begin(table),
        Op::Row(table) => rows.push(table),
        Op::Cell { table, column, want } => rows.set(table, u32::from(column), wanted(value, want, items)),
        Op::KeyCell { table, column } => rows.set(table, u32::from(column), value.found()),
        Op::SlotRows { slot, table } => {
            if let Some(entry) = slots.get_mut(slot as usize) {
                *entry = range(rows, table);
            }
        }
        Op::CellRows { table, column, of } => {
            let found = range(rows, u32::from(of));
            rows.set(table, u32::from(column), found);
        }
        _ => {}
    }
}

pub(super) fn wanted(value: Value<'_>, want: Want, items: u64) -> Found<'_> {
    match (want, value) {
        (_, Value::Null) => Found::Null,
        (Want::Value, value) => value.found(),
        (Want::Items, _) => Found::Int(i64::try_from(items).unwrap_or(i64::MAX)),
        (Want::Presence | Want::Rows | Want::Entries | Want::Key, _) => Found::Present,
    }
}

/// Remembers an item so that it can be compared: scalars by their type and value, records, arrays and maps by
/// the bytes they were written in. A value that is not of the contract's type is like no other.
fn collect(value: Value<'_>, body: &[u8], end: usize, scratch: &mut Scratch) {
    let start = scratch.frames.last().map_or(end, |frame| frame.item);
    let of = |tag: u8, bits: u64| Seen { tag, bits, start: 0, end: 0 };
    let seen = match value {
        Value::Foreign => return,
        Value::Null => of(0, 0),
        Value::Bool(value) => of(1, u64::from(value)),
        Value::Int(value) => of(2, value as u64),
        // Plus zero makes the two zeros one.
        Value::Float(value) => of(3, (value + 0.0).to_bits()),
        Value::Decimal(value) => of(4, sketch::hash(&value.to_le_bytes())),
        // A symbol's text stands in the program, not in the record.
        Value::Text(value) if !body.as_ptr_range().contains(&value.as_ptr()) => of(5, sketch::hash(value)),
        Value::Text(value) => Seen { tag: 6, bits: 0, start: end.saturating_sub(value.len()), end },
        Value::Bytes(value) => Seen { tag: 7, bits: 0, start: end.saturating_sub(value.len()), end },
        Value::Present => Seen { tag: 8, bits: 0, start, end },
    };
    scratch.seen.push(seen);
}
