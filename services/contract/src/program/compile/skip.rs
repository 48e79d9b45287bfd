//! What the writer has and the contract does not look at: read past, still checked in its structure.

use super::Compiler;
use crate::avro::{Kind, NodeId};
use crate::program::ops::Op;

impl Compiler<'_> {
    /// Walks over a value that the contract does not declare.
    pub(super) fn skip(&mut self, w: NodeId) {
        let writer = self.pair.writer;
        let bound = std::mem::replace(&mut self.bound, false);
        let op = match &writer.node(w).kind {
            Kind::Null => None,
            Kind::Boolean => Some(Op::Boolean),
            Kind::Int => Some(Op::Int),
            Kind::Long => Some(Op::Long),
            Kind::Float => Some(Op::Skip(4)),
            Kind::Double => Some(Op::Skip(8)),
            Kind::Bytes => Some(Op::Bytes),
            Kind::String => Some(Op::Text),
            Kind::Fixed(fixed) => Some(Op::Skip(fixed.size as u32)),
            Kind::Enum(written) => Some(Op::Ordinal(written.symbols.len() as u32)),
            Kind::Array(item) => {
                self.items(*item, None, false);
                None
            }
            Kind::Map(value) => {
                self.items(*value, None, true);
                None
            }
            Kind::Record(written) => {
                self.record(w, None, written);
                None
            }
            Kind::Union(branches) => {
                self.skip_union(branches);
                None
            }
        };
        if let Some(op) = op {
            self.emit(op);
        }
        self.bound = bound;
    }

    fn skip_union(&mut self, branches: &[NodeId]) {
        let table = self.code.tables.len();
        self.code.tables.resize(table + branches.len(), 0);
        self.emit(Op::Union { table: table as u32, branches: branches.len() as u32 });
        let mut jumps = Vec::new();
        for (index, branch) in branches.iter().enumerate() {
            let to = self.here();
            if let Some(entry) = self.code.tables.get_mut(table + index) {
                *entry = to;
            }
            self.skip(*branch);
            jumps.push(self.emit(Op::Jump(0)));
        }
        let end = self.here();
        for jump in jumps {
            self.patch(jump, Op::Jump(end));
        }
    }
}
