//! Names: where they lead in the contract's schema, from the record or from an item, and how what stands
//! there is read.

use std::sync::Arc;

use cel::IdedExpr;
use cel::common::ast::{Expr, SelectExpr, operators};

use super::check::{Checked, Checker, Type, Typed, fail, nearest};
use super::eval::{Node, Read};
use super::lists::{Item, Listed};
use super::{Input, MAX_DEPTH, Want};
use crate::avro::{Kind, Logical, NodeId};
use crate::model::{Path, Segment};

/// What a name leads from.
#[derive(Debug, Clone)]
pub(super) enum Base {
    Record,
    /// An item of an array or map.
    Item {
        /// Its row.
        row: Node,
        table: Table,
    },
}

/// Where the columns of a table are noted: the input, the column of its items, the column of theirs …
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table(pub(super) Vec<usize>);

/// A field that a name leads to.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) base: Base,
    /// From there.
    pub(super) path: Path,
    /// From the record.
    pub(super) whole: Path,
    /// Its type, without the null branch.
    pub(super) node: NodeId,
}

impl Checker<'_> {
    /// Whether the schema has such a field, or a comprehension such a variable.
    pub(super) fn names(&self, name: &str) -> bool {
        let fields = self.schema.record(self.schema.root()).map(|record| &record.fields);
        self.variable(name).is_some() || fields.is_some_and(|fields| fields.iter().any(|field| field.name == name))
    }

    /// The type without its null branch; `None` for a union of several types.
    pub(super) fn plain(&self, node: NodeId) -> Option<NodeId> {
        let Kind::Union(branches) = &self.schema.node(node).kind else {
            return Some(node);
        };
        let mut others = branches.iter().filter(|branch| !matches!(self.schema.node(**branch).kind, Kind::Null));
        match (others.next(), others.next()) {
            (Some(only), None) => Some(*only),
            (None, _) => branches.first().copied(),
            _ => None,
        }
    }

    /// Follows `a.b.c` through records and nullable unions, and `a[0].b` into items.
    pub(super) fn place(&mut self, expr: &IdedExpr, depth: usize) -> Checked<Place> {
        let offset = self.parsed.offset(expr.id);
        if depth > MAX_DEPTH {
            return fail(offset, format!("the name has more than {MAX_DEPTH} parts; the schema cannot be that deep"));
        }
        let no_fields =
            "only a field of a record has fields; write names joined by dots, as in customer.address.country";
        match &expr.expr {
            Expr::Ident(name) => {
                if let Some(index) = self.variable(name) {
                    return match self.variable_place(index) {
                        Some(place) => Ok(place),
                        None => fail(offset, format!("`{name}` is not a record, array or map of the record")),
                    };
                }
                let name = name.strip_prefix('.').unwrap_or(name);
                let root = Place {
                    base: Base::Record,
                    path: Path::default(),
                    whole: Path::default(),
                    node: self.schema.root(),
                };
                self.step(root, name, offset)
            }
            Expr::Select(select) if !select.test => {
                let parent = self.place(&select.operand, depth + 1)?;
                self.step(parent, &select.field, offset + 1)
            }
            Expr::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
                [list, index] => match self.index(list, index, offset, depth + 1)? {
                    Ok(place) => Ok(place),
                    Err(_) => fail(offset, no_fields),
                },
                _ => fail(offset, no_fields),
            },
            _ => fail(offset, no_fields),
        }
    }

    fn step(&self, parent: Place, name: &str, offset: usize) -> Checked<Place> {
        let Place { base, mut path, mut whole, node } = parent;
        let at = if whole.0.is_empty() { "the schema".to_owned() } else { format!("`{whole}`") };
        let Kind::Record(record) = &self.schema.node(node).kind else {
            return fail(
                offset,
                match self.schema.node(node).kind {
                    Kind::Map(_) => format!("{at} is a map; write its key in brackets, as in {whole}[\"{name}\"]"),
                    Kind::Array(_) => {
                        format!(
                            "{at} is an array; say which item, as in {whole}[0].{name} or {whole}.all(x, x.{name} …)"
                        )
                    }
                    _ => format!("{at} is not a record and has no field `{name}`"),
                },
            );
        };
        let Some(field) = record.fields.iter().find(|field| field.name == name) else {
            let names = record.fields.iter().map(|field| field.name.as_str());
            let hint = match nearest(name, names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    let some: Vec<&str> = record.fields.iter().take(8).map(|field| field.name.as_str()).collect();
                    format!("it has {}{}", some.join(", "), if record.fields.len() > 8 { ", …" } else { "" })
                }
            };
            return fail(offset, format!("{at} has no field `{name}`; {hint}"));
        };
        for path in [&mut path, &mut whole] {
            path.0.push(Segment::Field(Arc::from(name)));
        }
        match self.plain(field.node) {
            Some(node) => Ok(Place { base, path, whole, node }),
            None => fail(
                offset,
                format!("`{whole}` is a union of several types, which a condition cannot read yet; leave it out"),
            ),
        }
    }

    /// A field as a value, or, for records, arrays and maps, as being there.
    pub(super) fn value(&mut self, expr: &IdedExpr, depth: usize) -> Checked<Typed> {
        let place = self.place(expr, depth)?;
        let offset = self.start(expr);
        self.value_at(place, offset)
    }

    /// What stands at a place.
    pub(super) fn value_at(&mut self, place: Place, offset: usize) -> Checked<Typed> {
        let Some((kind, read)) = self.read(place.node) else {
            return fail(
                offset,
                format!("`{}` is of a type that a condition cannot read (duration or null); leave it out", place.whole),
            );
        };
        let want = if matches!(kind, Type::Record | Type::Array | Type::Map) { Want::Presence } else { Want::Value };
        let path = Some(place.whole.to_string());
        Ok(Typed { node: self.read_at(place, want, read), kind, offset, path })
    }

    /// The node that reads what the program finds at a place.
    pub(super) fn read_at(&mut self, place: Place, want: Want, read: Read) -> Node {
        match place.base {
            Base::Record => Node::Input { index: position(&mut self.inputs, place.path, want), read },
            Base::Item { row, table } => {
                let column = position(self.columns(&table), place.path, want);
                let name = self.cell_name(place.whole.to_string());
                Node::Cell { row: Box::new(row), column, read, name }
            }
        }
    }

    pub(super) fn cell_name(&mut self, name: String) -> usize {
        self.cells.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.cells.push(name);
            self.cells.len() - 1
        })
    }

    /// The columns of a table.
    pub(super) fn columns(&mut self, table: &Table) -> &mut Vec<Input> {
        let mut columns = &mut self.inputs;
        for index in &table.0 {
            match columns.get(*index) {
                Some(_) => columns = &mut columns[*index].items,
                None => break,
            }
        }
        columns
    }

    /// The items of the array or map at a place.
    pub(super) fn items(&mut self, place: Place) -> Option<(Node, Table, NodeId, Path)> {
        let (segment, item, want) = match self.schema.node(place.node).kind {
            Kind::Array(item) => (Segment::Items, item, Want::Rows),
            Kind::Map(value) => (Segment::Values, value, Want::Entries),
            _ => return None,
        };
        let mut whole = place.whole.clone();
        whole.0.push(segment);
        let mut table = match &place.base {
            Base::Record => Vec::new(),
            Base::Item { table, .. } => table.0.clone(),
        };
        let node = self.read_at(place, want, Read::Plain);
        match &node {
            Node::Input { index, .. } => table.push(*index),
            Node::Cell { column, .. } => table.push(*column),
            _ => {}
        }
        Some((node, Table(table), item, whole))
    }

    /// Where an expression starts, not where its operator stands.
    pub(super) fn start(&self, expr: &IdedExpr) -> usize {
        let mut expr = expr;
        loop {
            match &expr.expr {
                Expr::Select(select) => expr = &select.operand,
                Expr::Call(call) if call.func_name == operators::INDEX => match call.args.first() {
                    Some(list) => expr = list,
                    None => break,
                },
                _ => break,
            }
        }
        self.parsed.offset(expr.id)
    }

    /// How to read a value of this type.
    pub(super) fn read(&self, node: NodeId) -> Option<(Type, Read)> {
        const DAY: i128 = 86_400_000_000_000;
        let node_id = node;
        let node = self.schema.node(node);
        if let Some(logical) = node.logical {
            match logical {
                Logical::Decimal { scale, .. } => return Some((Type::Decimal, Read::Decimal(scale))),
                Logical::Date => return Some((Type::Time, Read::Time(DAY))),
                Logical::TimeMillis => return Some((Type::Span, Read::Span(1_000_000))),
                Logical::TimeMicros => return Some((Type::Span, Read::Span(1_000))),
                Logical::TimestampMillis | Logical::LocalTimestampMillis => {
                    return Some((Type::Time, Read::Time(1_000_000)));
                }
                Logical::TimestampMicros | Logical::LocalTimestampMicros => {
                    return Some((Type::Time, Read::Time(1_000)));
                }
                Logical::TimestampNanos | Logical::LocalTimestampNanos => return Some((Type::Time, Read::Time(1))),
                Logical::Duration => return None,
                Logical::Uuid => {}
            }
        }
        Some(match &node.kind {
            Kind::Null | Kind::Union(_) => return None,
            Kind::Boolean => (Type::Bool, Read::Plain),
            Kind::Int | Kind::Long => (Type::Int, Read::Plain),
            Kind::Float | Kind::Double => (Type::Double, Read::Double),
            Kind::Bytes | Kind::Fixed(_) => (Type::Bytes, Read::Plain),
            Kind::String => (Type::Text(None), Read::Plain),
            Kind::Enum(_) => (Type::Text(Some(node_id)), Read::Plain),
            Kind::Array(_) => (Type::Array, Read::Plain),
            Kind::Map(_) => (Type::Map, Read::Plain),
            Kind::Record(_) => (Type::Record, Read::Plain),
        })
    }

    /// `has(a.b)`: neither it nor its parents are null.
    pub(super) fn has(&mut self, select: &SelectExpr, id: u64, depth: usize) -> Checked<Typed> {
        let plain = SelectExpr { operand: select.operand.clone(), field: select.field.clone(), test: false };
        let offset = self.parsed.offset(id);
        let inner = self.value(&IdedExpr { id, expr: Expr::Select(plain) }, depth)?;
        Ok(Typed { node: Node::NotNull(Box::new(inner.node)), kind: Type::Bool, offset, path: None })
    }

    /// The variable as a place, where it stands for an item of an array.
    pub(super) fn variable_place(&self, index: usize) -> Option<Place> {
        let variable = self.variables.get(index)?;
        match &variable.item {
            Item::Row { table, node, whole, key: false } => Some(Place {
                base: Base::Item { row: Node::Variable(index), table: table.clone() },
                path: Path::default(),
                whole: whole.clone(),
                node: *node,
            }),
            _ => None,
        }
    }

    /// The variable as a value.
    pub(super) fn variable_value(&mut self, index: usize, offset: usize) -> Checked<Typed> {
        if let Some(place) = self.variable_place(index) {
            let mut typed = self.value_at(place, offset)?;
            typed.path = self.variables.get(index).map(|variable| variable.name.clone());
            return Ok(typed);
        }
        let Some(variable) = self.variables.get(index) else {
            return fail(offset, "there is no such name here");
        };
        let path = Some(variable.name.clone());
        let (node, kind) = match variable.item.clone() {
            Item::Value(kind) => (Node::Variable(index), kind),
            Item::Row { table, whole, .. } => (self.key_of(Node::Variable(index), &table, &whole), Type::Text(None)),
        };
        Ok(Typed { node, kind, offset, path })
    }

    /// The key of an entry of a map.
    fn key_of(&mut self, row: Node, table: &Table, whole: &Path) -> Node {
        let column = position(self.columns(table), Path::default(), Want::Key);
        let name = self.cell_name(format!("a key of {whole}"));
        Node::Cell { row: Box::new(row), column, read: Read::Plain, name }
    }

    /// `a[0]`, `a["key"]`, `a[key]`: a place for an item of an array or map, else a value.
    pub(super) fn index(
        &mut self,
        list: &IdedExpr,
        index: &IdedExpr,
        offset: usize,
        depth: usize,
    ) -> Checked<Result<Place, Typed>> {
        let Listed { list, item, size, show } = self.list(list, depth + 1)?;
        let by = self.expression(index, depth + 1)?;
        let map = matches!(item, Item::Row { key: true, .. });
        let fits = if map { matches!(by.kind, Type::Text(_)) } else { by.kind == Type::Int };
        if !fits {
            let want = if map { "a map has string keys" } else { "the items of an array are numbered from 0" };
            return fail(by.offset, format!("{want}, and {} is {}", by.show(), by.kind.name()));
        }
        let list = Box::new(list);
        match item {
            Item::Value(kind) => {
                self.take(size, offset, &show)?;
                let node = Node::At(list, Box::new(by.node));
                Ok(Err(Typed { node, kind, offset, path: None }))
            }
            Item::Row { table, node, whole, key } => {
                let row = match by.node {
                    // The key of the entry that a variable stands for.
                    Node::Cell { row, .. } if key && self.is_key(&row, &table) => *row,
                    by if key => {
                        self.take(size, offset, &show)?;
                        let name = self.key_of(Node::Variable(self.variables.len()), &table, &whole);
                        Node::Find { list, key: Box::new(name), by: Box::new(by), variable: self.variables.len() }
                    }
                    by => Node::At(list, Box::new(by)),
                };
                Ok(Ok(Place { base: Base::Item { row, table }, path: Path::default(), whole, node }))
            }
        }
    }

    /// Whether a row is that of a variable over this map, whose own key is asked for.
    fn is_key(&self, row: &Node, of: &Table) -> bool {
        let Node::Variable(index) = row else { return false };
        let item = self.variables.get(*index).map(|variable| &variable.item);
        matches!(item, Some(Item::Row { table, key: true, .. }) if table == of && table.0.len() == 1)
    }

    /// `a[0]` as a value.
    pub(super) fn index_value(
        &mut self,
        list: &IdedExpr,
        index: &IdedExpr,
        offset: usize,
        depth: usize,
    ) -> Checked<Typed> {
        match self.index(list, index, offset, depth)? {
            Ok(place) => {
                let start = self.start(list);
                self.value_at(place, start)
            }
            Err(value) => Ok(value),
        }
    }
}

/// Where an input stands; it stands there once.
fn position(inputs: &mut Vec<Input>, path: Path, want: Want) -> usize {
    if let Some(index) = inputs.iter().position(|known| known.path == path && known.want == want) {
        return index;
    }
    inputs.push(Input { path, want, items: Vec::new() });
    inputs.len() - 1
}
