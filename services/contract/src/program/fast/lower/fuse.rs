//! A read and what looks at the value, as one op or as few.

use super::{Looks, Lowering};
use crate::cel::Want;
use crate::model::Native;
use crate::program::checks::Test;
use crate::program::fast::{Op, Register, UNMEASURED};
use crate::program::ops::Op as Exact;
use crate::program::value::Value;

impl Lowering<'_> {
    pub(super) fn can_fuse(&self, (read, decimal): (Exact, bool), looks: &Looks) -> bool {
        match read {
            Exact::Text | Exact::Long | Exact::Int | Exact::Double | Exact::Boolean => !decimal,
            Exact::Bytes if decimal => looks.plain(),
            Exact::Bytes => true,
            Exact::Float | Exact::Fixed(_) => looks.plain() && looks.leaf.is_none() && !decimal,
            Exact::Enum(index) => {
                let symbols = self.code.enums.get(index as usize).map_or(usize::MAX, Vec::len);
                // How long symbols are is seen only by a histogram.
                let seen = looks.leaf.and_then(|leaf| self.layout.leaves.get(usize::from(leaf)));
                symbols <= 64
                    && looks.others.is_empty()
                    && looks.hash.is_none()
                    && seen.is_none_or(|leaf| !leaf.number && !leaf.quantiles && leaf.event_time.is_none())
            }
            _ => false,
        }
    }

    /// Emits a read and its looks; whether it could.
    pub(super) fn fused(&mut self, read: (Exact, bool), looks: &Looks) -> Option<bool> {
        if !self.can_fuse(read, looks) {
            return Some(false);
        }
        let leaf = looks.measured();
        match read.0 {
            Exact::Text => {
                self.note_text(looks);
                self.text(leaf, looks.plain());
                self.look(Register::Text, looks)?;
            }
            Exact::Long if looks.plain() && looks.leaf.is_none() => self.raw(Op::Varint),
            Exact::Long => {
                self.raw(Op::Long { leaf });
                self.look(Register::Int, looks)?;
            }
            Exact::Int => {
                self.light(Op::Int { leaf });
                self.look(Register::Int, looks)?;
            }
            Exact::Boolean => {
                self.light(Op::Boolean { leaf });
                self.look(Register::Boolean, looks)?;
            }
            Exact::Double if looks.plain() && looks.leaf.is_none() => self.raw(Op::Skip(8)),
            Exact::Double => {
                self.raw(Op::Double { leaf });
                self.look(Register::Float, looks)?;
            }
            Exact::Float => self.raw(Op::Skip(4)),
            Exact::Fixed(size) => self.raw(Op::Skip(size)),
            Exact::Bytes if read.1 => self.raw(Op::Decimal { leaf }),
            Exact::Bytes => {
                self.raw(Op::Bytes { leaf });
                self.look(Register::Bytes, looks)?;
            }
            Exact::Enum(index) => {
                let code = self.code;
                let symbols = code.enums.get(index as usize)?;
                let keeps = |symbol: &str| {
                    let value = Value::Text(symbol.as_bytes());
                    looks
                        .checks
                        .iter()
                        .all(|check| code.checks.get(*check as usize).is_some_and(|check| check.test.holds(value, 0)))
                };
                let mask = self.mask(symbols.iter().map(|symbol| symbol.as_deref().is_some_and(keeps)));
                self.light(Op::Symbol { leaf, mask });
            }
            _ => return Some(false),
        }
        Some(true)
    }

    /// A text; several in a row that nothing else looks at become one op.
    fn text(&mut self, leaf: u16, alone: bool) {
        let follows = |first, count| follows(first, u16::from(count), leaf);
        if alone && self.label != self.fast.ops.len() {
            match self.fast.ops.last_mut() {
                Some(Op::Texts { count, leaf: first }) if *count < u8::MAX && follows(*first, *count) => {
                    *count += 1;
                    return;
                }
                Some(last) => {
                    if let Op::Text { leaf: first } = *last
                        && follows(first, 1)
                    {
                        *last = Op::Texts { count: 2, leaf: first };
                        return;
                    }
                }
                None => {}
            }
        }
        self.light(Op::Text { leaf });
    }

    pub(super) fn nullable_text(&mut self, byte: u8, leaf: u16) {
        if self.label != self.fast.ops.len()
            && let Some(Op::NullableTexts { null, leaf: first, count }) = self.fast.ops.last_mut()
            && *null == byte
            && *count < u16::from(u8::MAX)
            && follows(*first, *count, leaf)
        {
            *count += 1;
            return;
        }
        self.light(Op::NullableTexts { null: byte, leaf, count: 1 });
    }

    pub(super) fn note_text(&mut self, looks: &Looks) {
        self.fast.texts.extend(looks.leaf);
    }

    pub(super) fn mask(&mut self, allowed: impl Iterator<Item = bool>) -> u32 {
        let mask = allowed.enumerate().fold(0_u64, |mask, (index, allowed)| mask | u64::from(allowed) << index);
        self.bounds(mask, 0)
    }

    pub(super) fn bounds(&mut self, least: u64, greatest: u64) -> u32 {
        self.fast.bounds.push([least, greatest]);
        self.fast.bounds.len() as u32 - 1
    }

    /// What looks at a value that was read and is not null.
    pub(super) fn look(&mut self, register: Register, looks: &Looks) -> Option<()> {
        let mut loaded = false;
        let mut generally = |this: &mut Self, op: Exact| {
            if !std::mem::replace(&mut loaded, true) {
                this.emit(Op::Load(register));
            }
            this.exact(op);
        };
        for check in &looks.checks {
            match (&self.code.checks.get(*check as usize)?.test, register) {
                (Test::Int(min, max), Register::Int) => {
                    let bounds = self.bounds(*min as u64, *max as u64);
                    self.emit(Op::NumberIn(bounds));
                }
                (Test::Length(min, max), Register::Text) => {
                    let bounds = self.bounds(*min, *max);
                    match self.fast.ops.last_mut() {
                        Some(last) if matches!(last, Op::Text { .. }) => {
                            let Op::Text { leaf } = *last else { return None };
                            *last = Op::TextIn { leaf, bounds };
                        }
                        _ => self.emit(Op::LengthIn(bounds)),
                    }
                }
                (Test::Range { min, max }, Register::Float) => match floats(min.as_ref(), max.as_ref()) {
                    Some((min, max)) => {
                        let bounds = self.bounds(min.to_bits(), max.to_bits());
                        match self.fast.ops.last_mut() {
                            Some(last) if matches!(last, Op::Double { .. } | Op::Utf8Double { .. }) => {
                                let (Op::Double { leaf } | Op::Utf8Double { leaf }) = *last else { return None };
                                *last = Op::DoubleIn { leaf, bounds };
                            }
                            _ => self.emit(Op::FloatIn(bounds)),
                        }
                    }
                    None => generally(self, Exact::Check(*check)),
                },
                _ => generally(self, Exact::Check(*check)),
            }
        }
        for other in &looks.others {
            match (*other, register) {
                (Exact::Slot { slot, want: Want::Value }, Register::Int) => self.emit(Op::SlotOfInt(slot)),
                _ => generally(self, *other),
            }
        }
        match (looks.hash, register) {
            (Some(sketch), Register::Text) => self.emit(Op::Hash(sketch)),
            (Some(sketch), _) => generally(self, Exact::Distinct { sketch }),
            (None, _) => {}
        }
        Some(())
    }
}

/// Whether `leaf` is the one behind so many that begin with `first`, or neither is measured.
fn follows(first: u16, count: u16, leaf: u16) -> bool {
    match first {
        UNMEASURED => leaf == UNMEASURED,
        _ => leaf != UNMEASURED && first.checked_add(count) == Some(leaf),
    }
}

/// Bounds of doubles with both ends included; `None` where they cannot be said so.
fn floats(min: Option<&(Native, bool)>, max: Option<&(Native, bool)>) -> Option<(f64, f64)> {
    let bound = |bound: Option<&(Native, bool)>, otherwise: f64, inward: fn(f64) -> f64| match bound {
        None => Some(otherwise),
        Some((Native::Float(value), excluded)) if value.is_finite() => {
            Some(if *excluded { inward(*value) } else { *value })
        }
        Some(_) => None,
    };
    Some((bound(min, f64::NEG_INFINITY, f64::next_up)?, bound(max, f64::INFINITY, f64::next_down)?))
}
