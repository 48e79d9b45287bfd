//! From (writer schema, contract) to ops: the writer's schema says what is read, the contract's what it is
//! read as, and every rule, condition, key part and statistic is placed right behind the value it looks at.

mod decode;
mod record;
mod skip;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::checks::{self, Bound};
use super::layout::Layout;
use super::ops::{Loop, Op, Refusal, Step};
use super::resolve::Pair;
use super::{RULES_BUILT_IN, Unresolvable};
use crate::avro::{Kind, Logical, NodeId, Schema};
use crate::cel::{Input, Want};
use crate::model::{Check, Contract, Native, Path, Rule, Segment};

/// The ops of a program and the tables they point into.
#[derive(Debug, Default)]
pub(super) struct Code {
    pub(super) ops: Vec<Op>,
    /// For each op, where in the record it stands: an index into `paths`.
    pub(super) sites: Vec<u32>,
    /// Paths, each from the loop or call that encloses it.
    pub(super) paths: Vec<Vec<Step>>,
    pub(super) loops: Vec<Loop>,
    pub(super) calls: Vec<u32>,
    pub(super) enums: Vec<Vec<Option<Arc<str>>>>,
    pub(super) constants: Vec<Native>,
    pub(super) tables: Vec<u32>,
    pub(super) refusals: Vec<Refusal>,
    pub(super) checks: Vec<Bound>,
    /// How many slots conditions and the key need.
    pub(super) slots: usize,
    /// The first slot of the key's fields.
    pub(super) key_slots: usize,
    /// For each table of items that conditions look into, how many columns.
    pub(super) tables_of_items: Vec<u32>,
}

/// What looks at the value at one path.
#[derive(Debug, Clone, Default)]
struct Bindings {
    checks: Vec<u32>,
    not_null: Vec<u32>,
    unique: Vec<u32>,
    slots: Vec<(u32, Want)>,
    /// Of an array or map: the tables of its items.
    tables: Vec<u32>,
    /// Ops that put what is here where conditions look.
    rows: Vec<Op>,
    leaf: Option<u32>,
    sketch: Option<u32>,
}

/// Above so many ops, records that nothing looks into are called instead of written out, so that a schema
/// that uses its types again and again does not grow without bound.
const INLINE_OPS: usize = 1 << 14;

/// Above so many records written out, likewise: some need no op.
const INLINE_RECORDS: usize = 1 << 14;

/// Above so many records within each other, likewise.
const INLINE_DEPTH: usize = 24;

/// Makes one program.
#[derive(Debug)]
pub(super) struct Compiler<'s> {
    pub(super) pair: Pair<'s>,
    contract: &'s Contract,
    bindings: BTreeMap<Vec<Segment>, Bindings>,
    pub(super) code: Code,
    /// Where in the contract's schema; means something only while `bound`.
    pub(super) path: Vec<Segment>,
    pub(super) bound: bool,
    /// Where in the record, from the enclosing loop or call.
    pub(super) steps: Vec<Step>,
    /// The value read next is needed though nothing is bound to it.
    keep: bool,
    /// Records being written out.
    inline: Vec<(NodeId, Option<NodeId>)>,
    /// How many were.
    inlined: usize,
    routines: HashMap<(NodeId, Option<NodeId>), u32>,
    pending: Vec<(NodeId, Option<NodeId>, u32)>,
    least: HashMap<NodeId, u64>,
    /// The last op that something jumps to: nothing merges into the one before it.
    label: usize,
}

/// Compiles.
pub(super) fn compile(writer: &Schema, contract: &Contract, layout: &Layout) -> Result<Code, Unresolvable> {
    let reader = &*contract.schema;
    let mut pair = Pair::new(writer, reader);
    pair.fits(writer.root(), reader.root())?;
    let mut compiler = Compiler {
        pair,
        contract,
        bindings: BTreeMap::new(),
        code: Code::default(),
        path: Vec::new(),
        bound: true,
        steps: Vec::new(),
        keep: false,
        inline: Vec::new(),
        inlined: 0,
        routines: HashMap::new(),
        pending: Vec::new(),
        least: HashMap::new(),
        label: 0,
    };
    compiler.bind(layout)?;
    compiler.value(writer.root(), Some(reader.root()));
    compiler.emit(Op::End);
    compiler.bound = false;
    while let Some((w, r, call)) = compiler.pending.pop() {
        compiler.routine(w, r, call);
    }
    Ok(compiler.code)
}

impl Compiler<'_> {
    /// Notes at which path each rule, condition, key part and statistic looks.
    fn bind(&mut self, layout: &Layout) -> Result<(), Unresolvable> {
        for (index, rule) in self.contract.rules.iter().enumerate() {
            self.bind_rule(rule, RULES_BUILT_IN.len() + index)?;
        }
        for condition in &self.contract.conditions {
            for input in condition.expression.inputs() {
                self.bind_input(input)?;
            }
        }
        self.code.key_slots = self.code.slots;
        for path in &self.contract.settings.key.fields {
            self.bind_slot(path, Want::Value);
        }
        for (index, leaf) in layout.leaves.iter().enumerate() {
            let bindings = self.bindings.entry(leaf.path.0.clone()).or_default();
            bindings.leaf = Some(index as u32);
            bindings.sketch = leaf.sketch;
        }
        Ok(())
    }

    fn bind_rule(&mut self, rule: &Rule, index: usize) -> Result<(), Unresolvable> {
        let failed =
            |why: String| Unresolvable { path: rule.path.to_string(), why: format!("rule {}: {why}", rule.id) };
        let node = node_at(self.pair.reader, &rule.path)
            .ok_or_else(|| failed("the contract's schema has no such path".to_owned()))?;
        let scale = scale_of(self.pair.reader, node);
        let test = checks::compile(&rule.check).map_err(failed)?;
        let mut expected = checks::expected(&rule.check, scale);
        if let Some(description) = &rule.description {
            expected = format!("{expected} ({description})");
        }
        let check = self.code.checks.len() as u32;
        let bindings = self.bindings.entry(rule.path.0.clone()).or_default();
        match rule.check {
            Check::NotNull => bindings.not_null.push(check),
            Check::UniqueItems => bindings.unique.push(check),
            _ => bindings.checks.push(check),
        }
        self.code.checks.push(Bound { rule: index as u32, test, expected, scale });
        Ok(())
    }

    fn bind_slot(&mut self, path: &Path, want: Want) {
        let slot = self.code.slots as u32;
        self.bindings.entry(path.0.clone()).or_default().slots.push((slot, want));
        self.code.slots += 1;
    }

    fn bind_input(&mut self, input: &Input) -> Result<(), Unresolvable> {
        let item = match input.want {
            Want::Rows => Segment::Items,
            Want::Entries => Segment::Values,
            want => {
                self.bind_slot(&input.path, want);
                return Ok(());
            }
        };
        let slot = self.code.slots as u32;
        self.code.slots += 1;
        let table = self.bind_items(&input.path.0, &item, &input.items)?;
        self.bindings.entry(input.path.0.clone()).or_default().rows.push(Op::SlotRows { slot, table });
        Ok(())
    }

    /// A table for the items at a path, and what its columns hold.
    fn bind_items(&mut self, path: &[Segment], item: &Segment, columns: &[Input]) -> Result<u32, Unresolvable> {
        let table = self.code.tables_of_items.len() as u32;
        self.code.tables_of_items.push(columns.len() as u32);
        self.bindings.entry(path.to_vec()).or_default().tables.push(table);
        for (column, input) in columns.iter().enumerate() {
            let many = |_| Unresolvable {
                path: Path(path.to_vec()).to_string(),
                why: "conditions look at too much of it".to_owned(),
            };
            let column = u16::try_from(column).map_err(many)?;
            let at: Vec<Segment> = path.iter().chain([item]).chain(&input.path.0).cloned().collect();
            let op = match input.want {
                Want::Key => Op::KeyCell { table, column },
                Want::Rows | Want::Entries => {
                    let item = if input.want == Want::Rows { Segment::Items } else { Segment::Values };
                    let of = u16::try_from(self.bind_items(&at, &item, &input.items)?).map_err(many)?;
                    Op::CellRows { table, column, of }
                }
                want => Op::Cell { table, column, want },
            };
            self.bindings.entry(at).or_default().rows.push(op);
        }
        Ok(table)
    }

    pub(super) fn emit(&mut self, op: Op) -> usize {
        if let Op::Skip(more) = op
            && self.label != self.code.ops.len()
            && let Some(Op::Skip(count)) = self.code.ops.last_mut()
            && let Some(sum) = count.checked_add(more)
        {
            *count = sum;
            return self.code.ops.len() - 1;
        }
        if self.code.paths.last() != Some(&self.steps) {
            self.code.paths.push(self.steps.clone());
        }
        self.code.ops.push(op);
        self.code.sites.push(self.code.paths.len() as u32 - 1);
        self.code.ops.len() - 1
    }

    /// Marks the next op as one that is jumped to.
    fn here(&mut self) -> u32 {
        self.label = self.code.ops.len();
        self.label as u32
    }

    fn patch(&mut self, at: usize, op: Op) {
        if let Some(slot) = self.code.ops.get_mut(at) {
            *slot = op;
        }
    }

    fn bindings_here(&self) -> Option<Bindings> {
        if self.bound { self.bindings.get(&self.path).cloned() } else { None }
    }

    /// Whether anything looks at a path strictly below this one.
    pub(super) fn beneath(&self) -> bool {
        self.bound
            && self
                .bindings
                .range(self.path.clone()..)
                .find(|(path, _)| **path != self.path)
                .is_some_and(|(path, _)| path.starts_with(&self.path))
    }

    /// Whether anything looks at this path or below it.
    pub(super) fn watched(&self) -> bool {
        self.beneath() || self.bindings_here().is_some()
    }

    /// Reads a value and lets everything look at it that is bound to this path.
    fn value(&mut self, w: NodeId, r: Option<NodeId>) {
        match r {
            None => self.skip(w),
            Some(r) => {
                self.decode(w, r);
                self.look(true);
            }
        }
    }

    /// The ops that look at the register; `unique`: the items were collected on the way.
    pub(super) fn look(&mut self, unique: bool) {
        let Some(bindings) = self.bindings_here() else { return };
        for check in bindings.not_null.iter().chain(&bindings.checks) {
            self.emit(Op::Check(*check));
        }
        for check in bindings.unique.iter().filter(|_| unique) {
            self.emit(Op::Unique(*check));
        }
        for (slot, want) in bindings.slots {
            self.emit(Op::Slot { slot, want });
        }
        for op in bindings.rows {
            // A key is noted where it stands, before its value.
            if !matches!(op, Op::KeyCell { .. }) {
                self.emit(op);
            }
        }
        if let Some(leaf) = bindings.leaf {
            self.emit(Op::Stat { leaf });
        }
        if let Some(sketch) = bindings.sketch {
            self.emit(Op::Distinct { sketch });
        }
    }

    /// The register is null: so is everything below, which breaks what demands otherwise.
    pub(super) fn nulls_beneath(&mut self) {
        if !self.bound {
            return;
        }
        let depth = self.path.len();
        let below: Vec<(Vec<Segment>, Vec<u32>)> = self
            .bindings
            .range(self.path.clone()..)
            .take_while(|(path, _)| path.starts_with(&self.path))
            .filter(|(path, bindings)| path.len() > depth && !bindings.not_null.is_empty())
            .map(|(path, bindings)| (path.get(depth..).unwrap_or_default().to_vec(), bindings.not_null.clone()))
            .collect();
        for (rest, checks) in below {
            let names: Option<Vec<Step>> = rest
                .iter()
                .map(|segment| match segment {
                    Segment::Field(name) => Some(Step::Field(Arc::clone(name))),
                    Segment::Items | Segment::Values => None,
                })
                .collect();
            // Items of an array that is not there are not there either.
            let Some(names) = names else { continue };
            let before = self.steps.len();
            self.steps.extend(names);
            for check in checks {
                self.emit(Op::Check(check));
            }
            self.steps.truncate(before);
        }
    }

    /// Adds a constant of the program.
    pub(super) fn constant(&mut self, native: Native) {
        let index = self.code.constants.len() as u32;
        self.code.constants.push(native);
        self.emit(Op::Constant(index));
    }

    /// The tables of the array's or map's items at this path.
    pub(super) fn tables_here(&self) -> Vec<u32> {
        self.bindings_here().map(|bindings| bindings.tables).unwrap_or_default()
    }

    /// Begins the rows of an array or map.
    pub(super) fn begin_rows(&mut self, tables: &[u32]) {
        for table in tables {
            self.emit(Op::Table(*table));
        }
    }

    /// A row for the next item, at whose path this is, and its key, where it has one: that which was read
    /// last, unless a default has it.
    pub(super) fn next_row(&mut self, tables: &[u32], default: Option<&Arc<str>>) {
        for table in tables {
            self.emit(Op::Row(*table));
        }
        let rows = self.bindings_here().map(|bindings| bindings.rows).unwrap_or_default();
        for op in rows {
            match (op, default) {
                (Op::KeyCell { table, column }, Some(key)) => {
                    self.constant(Native::Text(Arc::clone(key)));
                    self.emit(Op::Cell { table, column, want: Want::Value });
                }
                (Op::KeyCell { .. }, None) => {
                    self.emit(op);
                }
                _ => {}
            }
        }
    }

    /// The rules of unique items at this path.
    pub(super) fn unique_here(&self) -> Vec<u32> {
        self.bindings_here().map(|bindings| bindings.unique).unwrap_or_default()
    }
}

/// The node at a path of a schema, through nullable unions.
pub(super) fn node_at(schema: &Schema, path: &Path) -> Option<NodeId> {
    path.0.iter().try_fold(schema.root(), |node, segment| {
        let node = schema.nullable(node).unwrap_or(node);
        match (segment, &schema.node(node).kind) {
            (Segment::Field(name), _) => schema.field(node, name).map(|field| field.node),
            (Segment::Items, Kind::Array(item)) | (Segment::Values, Kind::Map(item)) => Some(*item),
            _ => None,
        }
    })
}

/// Digits after the point of a decimal, 0 of anything else.
pub(super) fn scale_of(schema: &Schema, node: NodeId) -> u32 {
    let node = schema.nullable(node).unwrap_or(node);
    match schema.node(node).logical {
        Some(Logical::Decimal { scale, .. }) => scale,
        _ => 0,
    }
}
