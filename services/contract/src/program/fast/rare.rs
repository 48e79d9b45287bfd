//! Ops of the exact program within a fast pass.

use super::exact;
use super::walk::{COUNTED, Stage};
use crate::program::Program;
use crate::program::cursor::{Cursor, Fault};
use crate::program::run::{Places, converted, noted, wanted};
use crate::program::statistics;
use crate::program::value::Value;

/// What the exact pass does, an op at a time, for what is rare.
impl Program {
    #[inline(never)]
    pub(super) fn read_one<'a>(&'a self, op: exact::Op, rest: &'a [u8]) -> Option<(Value<'a>, &'a [u8])> {
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
    pub(super) fn look_at<'a>(
        &'a self,
        op: exact::Op,
        value: &mut Value<'a>,
        items: &mut u64,
        places: &mut Places<'_, 'a>,
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
                if let Some(entry) = places.slots.get_mut(slot as usize) {
                    *entry = wanted(*value, want, *items);
                }
            }
            exact::Op::Table(_)
            | exact::Op::Row(_)
            | exact::Op::Cell { .. }
            | exact::Op::KeyCell { .. }
            | exact::Op::SlotRows { .. }
            | exact::Op::CellRows { .. } => noted(op, *value, *items, places),
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
