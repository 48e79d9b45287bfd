//! What the writer has, read as what the contract says: one value, through unions, promotions, symbols and
//! items.

use std::sync::Arc;

use super::{Compiler, Loop};
use crate::avro::{Enumeration, Kind, Logical, NodeId};
use crate::model::Segment;
use crate::program::ops::{Op, Refusal};
use crate::program::{RULE_TYPE, resolve};

impl Compiler<'_> {
    pub(super) fn decode(&mut self, w: NodeId, r: NodeId) {
        let (writer, reader) = (self.pair.writer, self.pair.reader);
        if let Kind::Union(branches) = &writer.node(w).kind {
            return self.writer_union(branches, r);
        }
        let Kind::Union(branches) = &reader.node(r).kind else { return self.single(w, r) };
        let Some(branch) = self.pair.branch(w, branches) else { return self.refuse(w, r) };
        let others = branches.iter().filter(|branch| !matches!(reader.node(**branch).kind, Kind::Null)).count();
        let bound = self.bound;
        if others > 1 {
            self.keep |= self.bindings_here().is_some();
            self.bound = false;
        }
        self.single(w, branch);
        self.bound = bound;
    }

    fn writer_union(&mut self, branches: &[NodeId], r: NodeId) {
        let keep = std::mem::take(&mut self.keep);
        let null = branches.iter().position(|branch| matches!(self.pair.writer.node(*branch).kind, Kind::Null));
        if let (Some(null), [a, b]) = (null, branches)
            && let (none, some) = if null == 0 { (*a, *b) } else { (*b, *a) }
            && self.pair.fits(none, r).is_ok()
        {
            let at = self.emit(Op::Nullable { null: null as u8, to: 0 });
            self.keep = keep;
            self.branch(some, r);
            let jump = self.emit(Op::Jump(0));
            let mut to = self.here();
            self.nulls_beneath();
            if self.code.ops.len() == jump + 1 {
                // Nothing to do for null: no jump either.
                self.code.ops.pop();
                self.code.sites.pop();
                to = self.here();
            } else {
                let end = self.here();
                self.patch(jump, Op::Jump(end));
            }
            self.patch(at, Op::Nullable { null: null as u8, to });
            return;
        }
        let table = self.code.tables.len();
        self.code.tables.resize(table + branches.len(), 0);
        self.emit(Op::Union { table: table as u32, branches: branches.len() as u32 });
        let mut jumps = Vec::new();
        for (index, branch) in branches.iter().enumerate() {
            let to = self.here();
            if let Some(entry) = self.code.tables.get_mut(table + index) {
                *entry = to;
            }
            self.keep = keep;
            self.branch(*branch, r);
            jumps.push(self.emit(Op::Jump(0)));
        }
        let end = self.here();
        for jump in jumps {
            self.patch(jump, Op::Jump(end));
        }
    }

    fn branch(&mut self, w: NodeId, r: NodeId) {
        match self.pair.fits(w, r) {
            Ok(()) => self.decode(w, r),
            Err(_) => self.refuse(w, r),
        }
    }

    /// A value that the contract's schema has no place for: it is walked over, and the record violates.
    fn refuse(&mut self, w: NodeId, r: NodeId) {
        self.skip(w);
        let (written, read) = (self.pair.writer.type_name(w), self.pair.reader.type_name(r));
        let message = format!("must be what the contract's {read} can hold, and is a {written}");
        self.emit_refusal(RULE_TYPE, message);
    }

    pub(super) fn emit_refusal(&mut self, rule: u32, message: String) {
        let index = self.code.refusals.len() as u32;
        self.code.refusals.push(Refusal { rule, message });
        self.emit(Op::Refuse(index));
    }

    /// Neither side is a union.
    fn single(&mut self, w: NodeId, r: NodeId) {
        let keep = std::mem::take(&mut self.keep);
        let (writer, reader) = (self.pair.writer, self.pair.reader);
        let needed = keep || self.bindings_here().is_some();
        let decimal = matches!(reader.node(r).logical, Some(Logical::Decimal { .. }));
        let ops: &[Op] = match (&writer.node(w).kind, &reader.node(r).kind) {
            (Kind::Record(written), Kind::Record(_)) => {
                self.record(w, Some(r), written);
                if keep {
                    self.emit(Op::Present);
                }
                return;
            }
            (Kind::Array(item), Kind::Array(read)) => return self.items(*item, Some(*read), false),
            (Kind::Map(value), Kind::Map(read)) => return self.items(*value, Some(*read), true),
            (Kind::Enum(written), Kind::Enum(read)) => return self.symbol(written, read, needed),
            (Kind::Null, Kind::Null) => {
                self.emit(Op::Null);
                return self.nulls_beneath();
            }
            (Kind::Fixed(fixed), Kind::Fixed(_)) => match needed || decimal {
                true => &[Op::Fixed(fixed.size as u32)],
                false => &[Op::Skip(fixed.size as u32)],
            },
            (Kind::Float, Kind::Float | Kind::Double) if !needed => &[Op::Skip(4)],
            (Kind::Double, Kind::Double) if !needed => &[Op::Skip(8)],
            (Kind::Boolean, Kind::Boolean) => &[Op::Boolean],
            (Kind::Int, Kind::Int | Kind::Long) => &[Op::Int],
            (Kind::Int, Kind::Float) => &[Op::Int, Op::FloatOfInt],
            (Kind::Int, Kind::Double) => &[Op::Int, Op::DoubleOfInt],
            (Kind::Long, Kind::Long) => &[Op::Long],
            (Kind::Long, Kind::Float) => &[Op::Long, Op::FloatOfInt],
            (Kind::Long, Kind::Double) => &[Op::Long, Op::DoubleOfInt],
            (Kind::Float, Kind::Float | Kind::Double) => &[Op::Float],
            (Kind::Double, Kind::Double) => &[Op::Double],
            (Kind::Bytes, Kind::Bytes) => &[Op::Bytes],
            (Kind::Bytes, Kind::String) => &[Op::Bytes, Op::TextOfBytes],
            (Kind::String, Kind::String) => &[Op::Text],
            (Kind::String, Kind::Bytes) => &[Op::Text, Op::BytesOfText],
            _ => return self.refuse(w, r),
        };
        for op in ops {
            self.emit(*op);
        }
        if decimal {
            self.emit(Op::Decimal);
        }
    }

    fn symbol(&mut self, written: &Enumeration, read: &Enumeration, needed: bool) {
        let symbols: Vec<Option<Arc<str>>> =
            written.symbols.iter().map(|symbol| resolve::symbol_of(read, symbol).map(Arc::from)).collect();
        if !needed && symbols.iter().all(Option::is_some) {
            self.emit(Op::Ordinal(symbols.len() as u32));
            return;
        }
        let index = self.code.enums.len() as u32;
        self.code.enums.push(symbols);
        self.emit(Op::Enum(index));
    }

    pub(super) fn items(&mut self, w: NodeId, r: Option<NodeId>, map: bool) {
        let unique = self.bindings_here().is_some_and(|bindings| !bindings.unique.is_empty());
        let index = self.code.loops.len();
        let least = self.least(w, 0).saturating_add(u64::from(map));
        let tables = self.tables_here();
        self.begin_rows(&tables);
        self.code.loops.push(Loop { map, least, after: 0 });
        self.emit(Op::Loop(index as u32));
        self.here();
        let steps = std::mem::take(&mut self.steps);
        self.path.push(if map { Segment::Values } else { Segment::Items });
        if map {
            self.emit(Op::Key);
        }
        self.next_row(&tables, None);
        self.keep = unique;
        self.value(w, r);
        self.keep = false;
        if unique {
            self.emit(Op::Collect);
        }
        self.emit(Op::Again);
        self.path.pop();
        self.steps = steps;
        let after = self.here();
        if let Some(shape) = self.code.loops.get_mut(index) {
            shape.after = after;
        }
    }
}
