//! From the exact program's ops to those of the fast pass, one after the other; a read is fused with what
//! looks at it where no jump leads between them.

mod fuse;

use super::{Fast, LOOPS, Op, Register, Shape, UNMEASURED};
use crate::program::checks::Test;
use crate::program::compile::Code;
use crate::program::layout::Layout;
use crate::program::ops::{self as exact, Op as Exact};

impl Fast {
    /// The fast pass of a program; `None` where it has ops that only the exact pass knows (items that must
    /// differ, types within themselves, items without bytes), or is too large for this one's numbers.
    pub(in crate::program) fn lower(code: &Code, layout: &Layout, measuring: bool) -> Option<Self> {
        let mut lowering = Lowering {
            code,
            layout,
            measuring,
            jumps: jumps(code),
            at: vec![0; code.ops.len() + 1],
            fixes: Vec::new(),
            tables: Vec::new(),
            loops: Vec::new(),
            pending: false,
            label: 0,
            fast: Self::default(),
        };
        let mut index = 0;
        while index < code.ops.len() {
            lowering.arrive(index);
            index = lowering.one(index)?;
        }
        lowering.finish()
    }
}

/// How many jumps lead to each op.
fn jumps(code: &Code) -> Vec<u32> {
    let mut jumps = vec![0_u32; code.ops.len() + 1];
    let mut to = |at: usize| {
        if let Some(count) = jumps.get_mut(at) {
            *count += 1;
        }
    };
    for (index, op) in code.ops.iter().enumerate() {
        match op {
            Exact::Nullable { to: target, .. } | Exact::Jump(target) => to(*target as usize),
            Exact::Loop(_) => to(index + 1),
            _ => {}
        }
    }
    code.tables.iter().for_each(|target| to(*target as usize));
    code.loops.iter().for_each(|shape| to(shape.after as usize));
    jumps
}

struct Lowering<'c> {
    code: &'c Code,
    layout: &'c Layout,
    measuring: bool,
    jumps: Vec<u32>,
    /// Where each exact op begins in the fast pass.
    at: Vec<u32>,
    /// Fast ops, and the exact ops that they jump to.
    fixes: Vec<(usize, usize)>,
    /// Exact unions that were met: where their table starts, with how many branches.
    tables: Vec<(usize, usize)>,
    /// The shapes of the loops around this op.
    loops: Vec<u16>,
    /// There may be bytes since the mark that nobody looked at.
    pending: bool,
    /// The last op that is jumped to: nothing merges into the one before it.
    label: usize,
    fast: Fast,
}

/// What looks at a value right behind its read.
#[derive(Default)]
struct Looks {
    checks: Vec<u32>,
    /// Slots, and sketches of what is not text: by the exact op.
    others: Vec<Exact>,
    leaf: Option<u16>,
    hash: Option<u32>,
    not_null: bool,
}

impl Looks {
    fn measured(&self) -> u16 {
        self.leaf.unwrap_or(UNMEASURED)
    }

    /// Nothing looks but the statistics of the field.
    fn plain(&self) -> bool {
        self.checks.is_empty() && self.others.is_empty() && self.hash.is_none()
    }
}

impl Lowering<'_> {
    fn op(&self, index: usize) -> Option<Exact> {
        self.code.ops.get(index).copied()
    }

    fn jumped(&self, index: usize) -> u32 {
        self.jumps.get(index).copied().unwrap_or(0)
    }

    fn here(&self) -> u32 {
        self.fast.ops.len() as u32
    }

    /// The exact op at `index` begins here.
    fn arrive(&mut self, index: usize) {
        if self.jumped(index) > 0 {
            self.label = self.fast.ops.len();
            self.pending = true;
        }
        let here = self.here();
        if let Some(at) = self.at.get_mut(index) {
            *at = here;
        }
    }

    /// An op that reads texts and one-byte numbers, or nothing.
    fn emit(&mut self, op: Op) {
        self.fast.ops.push(op);
    }

    fn light(&mut self, op: Op) {
        self.emit(op);
        self.pending = true;
    }

    /// An op that may read any bytes.
    fn raw(&mut self, op: Op) {
        match (std::mem::take(&mut self.pending), op) {
            (true, Op::Skip(size)) => return self.emit(Op::Utf8Skip(size)),
            (true, Op::Double { leaf }) => return self.emit(Op::Utf8Double { leaf }),
            (true, Op::End) | (false, _) => {}
            (true, _) => self.emit(Op::Utf8),
        }
        if let Op::Skip(more) = op
            && self.label != self.fast.ops.len()
            && let Some(Op::Skip(count) | Op::Utf8Skip(count)) = self.fast.ops.last_mut()
            && let Some(sum) = count.checked_add(more)
        {
            *count = sum;
            return;
        }
        self.emit(op);
    }

    fn jump(&mut self, op: Op, to: usize) {
        self.fixes.push((self.fast.ops.len(), to));
        self.emit(op);
    }

    fn finish(mut self) -> Option<Fast> {
        let at = |exact: usize| self.at.get(exact).copied();
        for (index, target) in self.fixes {
            match self.fast.ops.get_mut(index)? {
                Op::Nullable { to, .. } | Op::Jump(to) | Op::Loop { after: to, .. } => *to = at(target)?,
                _ => return None,
            }
        }
        for (start, branches) in self.tables {
            for target in self.code.tables.get(start..start + branches)? {
                self.fast.tables.push(at(*target as usize)?);
            }
        }
        Some(self.fast)
    }

    /// Lowers the op at `index` and what belongs to it; the index of what comes next.
    fn one(&mut self, index: usize) -> Option<usize> {
        let op = self.op(index)?;
        let next = index + 1;
        match op {
            Exact::Nullable { null, to } => return self.nullable(index, null, to as usize),
            Exact::Union { table, branches } => {
                // A branch's index takes one byte.
                let count = u8::try_from(branches).ok().filter(|count| *count <= 64)?;
                let mine = self.tables.iter().map(|(_, branches)| branches).sum::<usize>();
                self.tables.push((table as usize, branches as usize));
                self.light(Op::Union { branches: count, table: mine as u32 });
            }
            Exact::Jump(to) => self.jump(Op::Jump(0), to as usize),
            Exact::Loop(shape) => self.enter(shape)?,
            Exact::Key => self.light(Op::Text { leaf: UNMEASURED }),
            Exact::Again => return self.again(next),
            Exact::Skip(size) => self.raw(Op::Skip(size)),
            Exact::Ordinal(count) if count <= 64 => {
                let mask = self.mask((0..count).map(|_| true));
                self.light(Op::Symbol { leaf: UNMEASURED, mask });
            }
            // The key is the text that was read last.
            Exact::KeyCell { .. } => {
                self.emit(Op::Load(Register::Text));
                self.exact(op);
            }
            Exact::Refuse(_) | Exact::Broken(_) => self.emit(Op::Breaks),
            Exact::End => self.raw(Op::End),
            Exact::Unique(_) | Exact::Collect | Exact::Call(_) | Exact::Return => return None,
            Exact::Stat { .. } | Exact::Distinct { .. } if !self.measuring => {}
            _ if reads(op) => return self.read(index),
            _ => self.exact(op),
        }
        Some(next)
    }

    /// The op as the exact pass has it.
    fn exact(&mut self, op: Exact) {
        let index = self.fast.exact.len() as u32;
        self.fast.exact.push(op);
        if reads(op) {
            self.raw(Op::Read(index));
        } else {
            self.emit(Op::Look(index));
        }
    }

    fn enter(&mut self, shape: u32) -> Option<()> {
        let shape = self.code.loops.get(shape as usize)?;
        let index = u16::try_from(self.fast.loops.len()).ok()?;
        let depth = self.loops.len();
        if shape.least == 0 || depth >= LOOPS {
            return None;
        }
        self.jump(Op::Loop { depth: depth as u8, shape: index, after: 0 }, shape.after as usize);
        self.fast.loops.push(Shape { least: shape.least, body: self.here(), skip: 0 });
        self.pending = true;
        self.loops.push(index);
        Some(())
    }

    /// The end of a loop's body, and what looks at the array or map.
    fn again(&mut self, next: usize) -> Option<usize> {
        let shape = self.loops.pop()?;
        let depth = self.loops.len() as u8;
        let labelled = self.label == self.fast.ops.len();
        match self.fast.ops.last_mut() {
            Some(last @ (Op::Skip(_) | Op::Utf8Skip(_))) if !labelled => {
                let (Op::Skip(size) | Op::Utf8Skip(size)) = *last else { return None };
                *last = Op::SkipAgain { depth, shape };
                self.fast.loops.get_mut(usize::from(shape))?.skip = size;
                self.pending = true;
            }
            _ => self.light(Op::Again { depth, shape }),
        }
        // Jumped to by the loop alone: no null comes here.
        if self.jumped(next) > 1 {
            return Some(next);
        }
        self.arrive(next);
        let mut end = next;
        while let Some(Exact::Check(check)) = self.op(end)
            && (end == next || self.jumped(end) == 0)
        {
            match self.code.checks.get(check as usize)?.test {
                Test::NotNull => {}
                Test::Length(min, max) => {
                    let bounds = self.bounds(min, max);
                    self.emit(Op::ItemsIn(bounds));
                }
                _ => self.exact(Exact::Check(check)),
            }
            end += 1;
        }
        Some(end)
    }

    /// What looks at the value, from `first` on, and the op behind. Others may jump to `first` where `mine`
    /// says so: that jump is the value's own.
    fn looks(&self, first: usize, mine: u32) -> Option<(Looks, usize)> {
        let mut looks = Looks::default();
        let mut end = first;
        while self.jumped(end) <= if end == first { mine } else { 0 } {
            match self.op(end)? {
                Exact::Check(check) if matches!(self.code.checks.get(check as usize)?.test, Test::NotNull) => {
                    looks.not_null = true;
                }
                Exact::Check(check) => looks.checks.push(check),
                op @ (Exact::Slot { .. } | Exact::Cell { .. }) => looks.others.push(op),
                Exact::Stat { leaf } if self.measuring => looks.leaf = Some(u16::try_from(leaf).ok()?),
                Exact::Distinct { sketch } if self.measuring => looks.hash = Some(sketch),
                Exact::Stat { .. } | Exact::Distinct { .. } => {}
                _ => break,
            }
            end += 1;
        }
        Some((looks, end))
    }

    /// Whether what comes at `index` looks at a value that was read before it.
    fn looked_at(&self, index: usize) -> bool {
        match self.op(index) {
            Some(Exact::Jump(to)) => self.looked_at(to as usize),
            Some(op) => looks(op),
            None => false,
        }
    }

    fn read(&mut self, index: usize) -> Option<usize> {
        let (read, first) = self.value_at(index)?;
        let (looks, end) = self.looks(first, 0)?;
        if self.looked_at(end) || !self.fused(read, &looks)? {
            self.exact(self.op(index)?);
            return Some(index + 1);
        }
        Some(end)
    }

    /// What is read at `index`, and the op behind the reading. A decimal is read in two steps.
    fn value_at(&self, index: usize) -> Option<((Exact, bool), usize)> {
        let op = self.op(index)?;
        let decimal = matches!(self.op(index + 1), Some(Exact::Decimal)) && self.jumped(index + 1) == 0;
        Some(((op, decimal), index + 1 + usize::from(decimal)))
    }

    fn nullable(&mut self, index: usize, null: u8, to: usize) -> Option<usize> {
        let byte = null * 2;
        let general = |this: &mut Self| {
            this.light(Op::Nullable { null: byte, to: 0 });
            let op = this.fast.ops.len() - 1;
            this.fixes.push((op, to));
            Some(index + 1)
        };
        if !self.op(index + 1).is_some_and(reads) || self.jumped(index + 1) > 0 {
            return general(self);
        }
        let (read, first) = self.value_at(index + 1)?;
        let (looks, end) = self.looks(first, 1)?;
        let alone = to == first && (end == first || self.jumped(first) == 1);
        if !alone || self.looked_at(end) || !self.can_fuse(read, &looks) {
            return general(self);
        }
        match read {
            (Exact::Text, _) if looks.not_null => {
                self.note_text(&looks);
                self.light(Op::ThereText { null: byte, leaf: looks.measured() });
                self.look(Register::Text, &looks)?;
            }
            _ if looks.not_null => {
                self.light(Op::There { null: byte });
                self.fused(read, &looks)?;
            }
            (Exact::Text, _) if looks.plain() => {
                self.note_text(&looks);
                self.nullable_text(byte, looks.measured());
            }
            (Exact::Long, _) if looks.plain() => self.raw(match looks.leaf {
                Some(leaf) => Op::NullableLong { null: byte, leaf },
                None => Op::NullableVarint { null: byte },
            }),
            _ => {
                self.light(Op::Nullable { null: byte, to: 0 });
                self.fixes.push((self.fast.ops.len() - 1, end));
                self.fused(read, &looks)?;
                if let Some(count) = self.jumps.get_mut(end) {
                    *count += 1;
                }
            }
        }
        Some(end)
    }
}

/// Whether the op takes bytes of the record into the register.
fn reads(op: Exact) -> bool {
    use exact::Op::{Boolean, Bytes, Double, Enum, Fixed, Float, Int, Long, Ordinal, Text};
    matches!(op, Boolean | Int | Long | Float | Double | Bytes | Text | Fixed(_) | Enum(_) | Ordinal(_))
}

/// Whether the op looks at the register, or changes it.
fn looks(op: Exact) -> bool {
    use exact::Op::{BytesOfText, Cell, CellRows, Check, Decimal, Distinct, DoubleOfInt, FloatOfInt};
    use exact::Op::{Slot, SlotRows, Stat, TextOfBytes};
    matches!(
        op,
        Check(_)
            | Slot { .. }
            | Cell { .. }
            | SlotRows { .. }
            | CellRows { .. }
            | Stat { .. }
            | Distinct { .. }
            | FloatOfInt
            | DoubleOfInt
            | TextOfBytes
            | BytesOfText
            | Decimal
    )
}
