//! Records: written out where they stand, or called, and the fields that only one side has.

use std::sync::Arc;

use super::{Compiler, INLINE_DEPTH, INLINE_OPS, INLINE_RECORDS};
use crate::avro::{Kind, NodeId, Record};
use crate::model::{Segment, UndeclaredFields};
use crate::program::ops::{Op, Step};
use crate::program::{RULE_TYPE, RULE_UNDECLARED, resolve};

impl Compiler<'_> {
    pub(super) fn record(&mut self, w: NodeId, r: Option<NodeId>, written: &Record) {
        self.inlined += 1;
        let again = self.inline.contains(&(w, r))
            || self.inline.len() > INLINE_DEPTH
            || self.inlined > INLINE_RECORDS
            || self.code.ops.len() > INLINE_OPS;
        if again && !self.beneath() {
            let call = match self.routines.get(&(w, r)) {
                Some(call) => *call,
                None => {
                    let call = self.code.calls.len() as u32;
                    self.code.calls.push(0);
                    self.routines.insert((w, r), call);
                    self.pending.push((w, r, call));
                    call
                }
            };
            self.emit(Op::Call(call));
        } else {
            self.inline.push((w, r));
            self.fields(written, r);
            self.inline.pop();
        }
        if self.bindings_here().is_some() {
            self.emit(Op::Present);
        }
    }

    /// A record that is called, from wherever.
    pub(super) fn routine(&mut self, w: NodeId, r: Option<NodeId>, call: u32) {
        let start = self.here();
        if let Some(entry) = self.code.calls.get_mut(call as usize) {
            *entry = start;
        }
        self.steps.clear();
        self.path.clear();
        self.inline = vec![(w, r)];
        if let Kind::Record(written) = &self.pair.writer.node(w).kind {
            self.fields(written, r);
        }
        self.emit(Op::Present);
        self.emit(Op::Return);
    }

    fn fields(&mut self, written: &Record, r: Option<NodeId>) {
        let reader = self.pair.reader;
        let read = r.and_then(|r| reader.record(r));
        let sources = read.map(|read| resolve::sources(written, read)).unwrap_or_default();
        for (index, field) in written.fields.iter().enumerate() {
            let target = sources.iter().position(|source| *source == Some(index)).and_then(|at| read?.fields.get(at));
            let name: Arc<str> = Arc::from(target.map_or(field.name.as_str(), |target| target.name.as_str()));
            self.steps.push(Step::Field(Arc::clone(&name)));
            self.path.push(Segment::Field(name));
            self.value(field.node, target.map(|target| target.node));
            if target.is_none()
                && read.is_some()
                && self.contract.settings.undeclared_fields == UndeclaredFields::Refuse
            {
                self.emit_refusal(RULE_UNDECLARED, "must be declared in the contract to be sent".to_owned());
            }
            self.path.pop();
            self.steps.pop();
        }
        for (field, _) in read.iter().flat_map(|read| &read.fields).zip(&sources).filter(|(_, source)| source.is_none())
        {
            match &field.default {
                Some(default) => self.defaulted(&field.name, field.node, default),
                // Types that hold each other can be taken to fit while only one of them was looked at.
                None => {
                    self.steps.push(Step::Field(Arc::from(field.name.as_str())));
                    self.emit_refusal(RULE_TYPE, "must be sent, because the contract gives no default".to_owned());
                    self.steps.pop();
                }
            }
        }
    }

    /// The fewest bytes a value of the writer takes; 0 where its type comes back to itself.
    pub(super) fn least(&mut self, w: NodeId, depth: usize) -> u64 {
        if let Some(known) = self.least.get(&w) {
            return *known;
        }
        if depth > resolve::DEPTH {
            return 0;
        }
        self.least.insert(w, 0);
        let writer = self.pair.writer;
        let least = match &writer.node(w).kind {
            Kind::Null => 0,
            Kind::Float => 4,
            Kind::Double => 8,
            Kind::Fixed(fixed) => fixed.size as u64,
            Kind::Record(record) => {
                record.fields.iter().fold(0_u64, |sum, field| sum.saturating_add(self.least(field.node, depth + 1)))
            }
            Kind::Union(branches) => {
                branches.iter().map(|branch| self.least(*branch, depth + 1)).min().unwrap_or(0).saturating_add(1)
            }
            _ => 1,
        };
        self.least.insert(w, least);
        least
    }
}
