//! Names and types: from the parser's tree to [`Node`], against the contract's schema.

use std::sync::Arc;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, SelectExpr, operators};

use super::eval::{Const, Node, Read};
use super::operators as rules;
use super::parse::Parsed;
use super::{CelError, Input, MAX_DEPTH, Want};
use crate::avro::{Kind, Logical, NodeId, Schema};
use crate::model::{Path, Segment};

/// The type of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Null,
    Bool,
    Int,
    Double,
    Decimal,
    /// Of these symbols only, where it is an enumeration.
    Text(Option<NodeId>),
    Bytes,
    Time,
    Span,
    Record,
    Array,
    Map,
}

impl Type {
    /// As messages call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Double => "double",
            Self::Decimal => "decimal",
            Self::Text(_) => "string",
            Self::Bytes => "bytes",
            Self::Time => "timestamp",
            Self::Span => "duration",
            Self::Record => "record",
            Self::Array => "array",
            Self::Map => "map",
        }
    }
}

/// A node with what is known of it.
#[derive(Debug)]
pub(super) struct Typed {
    pub(super) node: Node,
    pub(super) kind: Type,
    /// Where it starts in the source.
    pub(super) offset: usize,
    /// The field, where it is one.
    pub(super) path: Option<String>,
}

impl Typed {
    /// The field's name, or what it is.
    pub(super) fn show(&self) -> String {
        match (&self.path, &self.node) {
            (Some(path), _) => format!("`{path}`"),
            (None, Node::Const(Const::Int(value))) => format!("`{value}`"),
            (None, Node::Const(Const::Double(value))) => format!("`{value:?}`"),
            (None, Node::Const(Const::Text(value))) => format!("\"{value}\""),
            _ => format!("this {}", self.kind.name()),
        }
    }
}

/// A field that a name leads to.
struct Place {
    path: Path,
    /// Its type, without the null branch.
    node: NodeId,
}

pub(super) type Checked<T> = Result<T, CelError>;

/// Checks the whole expression, which must be of type bool.
pub(super) fn check(parsed: &Parsed, schema: &Schema) -> Checked<(Node, Vec<Input>)> {
    let mut checker = Checker { parsed, schema, inputs: Vec::new() };
    if !matches!(schema.node(schema.root()).kind, Kind::Record(_)) {
        return Err(CelError {
            offset: 0,
            message: "the schema is not a record, so a condition has no fields to speak of".into(),
        });
    }
    let root = checker.expression(&parsed.root, 0)?;
    if root.kind != Type::Bool {
        let message = format!(
            "the condition is of type {} and must be bool; compare it, as in `{} >= 0`",
            root.kind.name(),
            root.path.as_deref().unwrap_or("total")
        );
        return Err(CelError { offset: root.offset, message });
    }
    Ok((root.node, checker.inputs))
}

pub(super) struct Checker<'a> {
    parsed: &'a Parsed,
    pub(super) schema: &'a Schema,
    inputs: Vec<Input>,
}

impl Checker<'_> {
    /// Checks one node. Recursion is bounded by [`MAX_DEPTH`].
    pub(super) fn expression(&mut self, expr: &IdedExpr, depth: usize) -> Checked<Typed> {
        let offset = self.parsed.offset(expr.id);
        if depth > MAX_DEPTH {
            return fail(offset, format!("the expression nests deeper than {MAX_DEPTH}; split it into several rules"));
        }
        match &expr.expr {
            Expr::Literal(literal) => literal_node(literal, offset),
            Expr::Ident(name) if name == "now" && self.field(self.schema.root(), name).is_none() => {
                Ok(Typed { node: Node::Now, kind: Type::Time, offset, path: None })
            }
            Expr::Ident(_) => self.value(expr),
            Expr::Select(select) if select.test => self.has(select, expr.id),
            Expr::Select(_) => self.value(expr),
            Expr::Call(call) => self.call(call, expr.id, depth),
            Expr::Comprehension(_) => fail(
                offset,
                "all, exists, exists_one, map and filter are not supported yet; put the rule on the items in the schema, where it holds for each of them",
            ),
            Expr::List(_) => {
                fail(offset, "a list stands only on the right of `in`, as in `status in [\"NEW\", \"PAID\"]`")
            }
            Expr::Map(_) | Expr::Struct(_) => {
                fail(offset, "map and message literals are not supported; compare the fields one by one")
            }
            Expr::Unspecified => fail(offset, "something is missing here; write an operand"),
        }
    }

    /// Dedupes.
    fn input(&mut self, path: Path, want: Want) -> usize {
        let input = Input { path, want };
        if let Some(index) = self.inputs.iter().position(|known| *known == input) {
            return index;
        }
        self.inputs.push(input);
        self.inputs.len() - 1
    }

    /// A field by name; `node` must be a record.
    fn field(&self, node: NodeId, name: &str) -> Option<NodeId> {
        match &self.schema.node(node).kind {
            Kind::Record(record) => record.fields.iter().find(|field| field.name == name).map(|field| field.node),
            _ => None,
        }
    }

    /// The type without its null branch; `None` for a union of several types.
    fn plain(&self, node: NodeId) -> Option<NodeId> {
        let Kind::Union(branches) = &self.schema.node(node).kind else {
            return Some(node);
        };
        let mut others = branches.iter().filter(|branch| !matches!(self.schema.node(**branch).kind, Kind::Null));
        match (others.next(), others.next()) {
            (Some(only), None) => Some(*only),
            _ => None,
        }
    }

    /// Follows `a.b.c` through records and nullable unions.
    fn place(&self, expr: &IdedExpr, depth: usize) -> Checked<Place> {
        let offset = self.parsed.offset(expr.id);
        if depth > MAX_DEPTH {
            return fail(offset, format!("the name has more than {MAX_DEPTH} parts; the schema cannot be that deep"));
        }
        match &expr.expr {
            Expr::Ident(name) => {
                let name = name.strip_prefix('.').unwrap_or(name);
                self.step(&Path::default(), self.schema.root(), name, offset)
            }
            Expr::Select(select) if !select.test => {
                let parent = self.place(&select.operand, depth + 1)?;
                self.step(&parent.path, parent.node, &select.field, offset + 1)
            }
            Expr::Call(call) if call.func_name == operators::INDEX => fail(
                offset,
                "items of arrays and maps cannot be reached in a condition yet; put the rule on the items in the schema",
            ),
            _ => fail(
                offset,
                "only a field of a record has fields; write names joined by dots, as in customer.address.country",
            ),
        }
    }

    fn step(&self, path: &Path, parent: NodeId, name: &str, offset: usize) -> Checked<Place> {
        let at = |path: &Path| if path.0.is_empty() { "the schema".to_owned() } else { format!("`{path}`") };
        let Kind::Record(record) = &self.schema.node(parent).kind else {
            return fail(
                offset,
                match self.schema.node(parent).kind {
                    Kind::Map(_) | Kind::Array(_) => {
                        format!("{} is not a record; its items cannot be reached in a condition yet", at(path))
                    }
                    _ => format!("{} is not a record and has no field `{name}`", at(path)),
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
            return fail(offset, format!("{} has no field `{name}`; {hint}", at(path)));
        };
        let mut path = path.clone();
        path.0.push(Segment::Field(Arc::from(name)));
        match self.plain(field.node) {
            Some(node) => Ok(Place { path, node }),
            None => fail(
                offset,
                format!("`{path}` is a union of several types, which a condition cannot read yet; leave it out"),
            ),
        }
    }

    /// A field as a value, or, for records, arrays and maps, as being there.
    fn value(&mut self, expr: &IdedExpr) -> Checked<Typed> {
        let place = self.place(expr, 0)?;
        let offset = self.start(expr);
        let Some((kind, read)) = self.read(place.node) else {
            return fail(
                offset,
                format!("`{}` is of a type that a condition cannot read (duration or null); leave it out", place.path),
            );
        };
        let want = if matches!(kind, Type::Record | Type::Array | Type::Map) { Want::Presence } else { Want::Value };
        let path = Some(place.path.to_string());
        let index = self.input(place.path, want);
        Ok(Typed { node: Node::Input { index, read }, kind, offset, path })
    }

    /// Where an expression starts, not where its operator stands.
    fn start(&self, expr: &IdedExpr) -> usize {
        let mut expr = expr;
        while let Expr::Select(select) = &expr.expr {
            expr = &select.operand;
        }
        self.parsed.offset(expr.id)
    }

    /// How to read a value of this type.
    fn read(&self, node: NodeId) -> Option<(Type, Read)> {
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
    fn has(&mut self, select: &SelectExpr, id: u64) -> Checked<Typed> {
        let plain = SelectExpr { operand: select.operand.clone(), field: select.field.clone(), test: false };
        let offset = self.parsed.offset(id);
        let inner = self.value(&IdedExpr { id, expr: Expr::Select(plain) })?;
        Ok(Typed { node: Node::NotNull(Box::new(inner.node)), kind: Type::Bool, offset, path: None })
    }

    /// `size(x)`: of strings and bytes computed, of arrays and maps counted by the program.
    pub(super) fn size(&mut self, expr: &IdedExpr, offset: usize, depth: usize) -> Checked<Typed> {
        if let Expr::List(list) = &expr.expr {
            let size = i64::try_from(list.elements.len()).unwrap_or(i64::MAX);
            return Ok(Typed { node: Node::Const(Const::Int(size)), kind: Type::Int, offset, path: None });
        }
        if matches!(expr.expr, Expr::Ident(_)) || matches!(&expr.expr, Expr::Select(select) if !select.test) {
            let place = self.place(expr, 0)?;
            if matches!(self.schema.node(place.node).kind, Kind::Array(_) | Kind::Map(_)) {
                let path = format!("size({})", place.path);
                let index = self.input(place.path, Want::Items);
                // Null has no size, though it equals null where it is compared as it is.
                return Ok(Typed {
                    node: Node::Size(Box::new(Node::Input { index, read: Read::Plain })),
                    kind: Type::Int,
                    offset,
                    path: Some(path),
                });
            }
        }
        let inner = self.expression(expr, depth + 1)?;
        if !matches!(inner.kind, Type::Text(_) | Type::Bytes) {
            return fail(
                inner.offset,
                format!(
                    "size() takes a string, bytes, an array or a map, and {} is {}",
                    inner.show(),
                    inner.kind.name()
                ),
            );
        }
        Ok(Typed { node: Node::Size(Box::new(inner.node)), kind: Type::Int, offset, path: None })
    }

    fn call(&mut self, call: &CallExpr, id: u64, depth: usize) -> Checked<Typed> {
        let offset = self.parsed.offset(id);
        if call.func_name == operators::IN
            && let [needle, list] = call.args.as_slice()
        {
            let needle = self.expression(needle, depth + 1)?;
            let Expr::List(items) = &list.expr else {
                return fail(
                    self.parsed.offset(list.id),
                    "`in` takes a list of values in brackets, as in `status in [\"NEW\", \"PAID\"]`",
                );
            };
            let items =
                items.elements.iter().map(|item| self.expression(item, depth + 1)).collect::<Checked<Vec<_>>>()?;
            return rules::membership(self.schema, needle, items, offset);
        }
        if call.func_name == "size" {
            return match (&call.target, call.args.as_slice()) {
                (Some(target), []) => self.size(target, offset, depth),
                (None, [argument]) => self.size(argument, offset, depth),
                _ => fail(offset, "size() takes one argument, as in size(lines)"),
            };
        }
        if matches!(call.func_name.as_str(), operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT) {
            return fail(
                offset,
                "items of arrays and maps cannot be reached in a condition yet; put the rule on the items in the schema",
            );
        }
        if matches!(call.func_name.as_str(), "has" | "all" | "exists" | "exists_one" | "existsOne" | "map" | "filter") {
            return fail(
                offset,
                match call.func_name.as_str() {
                    "has" => "has() asks for one field of a record, as in has(customer.email)".to_owned(),
                    name => format!(
                        "{name} is not supported yet; put the rule on the items in the schema, where it holds for each of them"
                    ),
                },
            );
        }
        let known = call.target.is_some() || rules::is_known(&call.func_name);
        if !known {
            return rules::unknown_function(&call.func_name, offset);
        }
        let target = call.target.as_ref().map(|target| self.expression(target, depth + 1)).transpose()?;
        let args =
            call.args.iter().map(|argument| self.expression(argument, depth + 1)).collect::<Checked<Vec<_>>>()?;
        match target {
            Some(target) => rules::method(&call.func_name, target, args, offset),
            None => rules::function(self.schema, &call.func_name, args, offset),
        }
    }
}

fn literal_node(literal: &LiteralValue, offset: usize) -> Checked<Typed> {
    let (literal, kind) = match literal {
        LiteralValue::Null => (Const::Null, Type::Null),
        LiteralValue::Boolean(value) => (Const::Bool(*value.inner()), Type::Bool),
        LiteralValue::Int(value) => (Const::Int(*value.inner()), Type::Int),
        LiteralValue::UInt(value) => match i64::try_from(*value.inner()) {
            Ok(value) => (Const::Int(value), Type::Int),
            Err(_) => return fail(offset, "the number does not fit a signed 64-bit integer; Avro has no larger one"),
        },
        LiteralValue::Double(value) => (Const::Double(*value.inner()), Type::Double),
        LiteralValue::String(value) => (Const::Text(Arc::from(value.inner())), Type::Text(None)),
        LiteralValue::Bytes(value) => (Const::Bytes(Arc::from(value.inner())), Type::Bytes),
    };
    Ok(Typed { node: Node::Const(literal), kind, offset, path: None })
}

pub(super) fn fail<T>(offset: usize, message: impl Into<String>) -> Checked<T> {
    Err(CelError { offset, message: message.into() })
}

/// The known name that a person most likely meant: at most a third of its letters away.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.len() / 3).max(1);
    known
        .filter(|candidate| candidate.len().abs_diff(name.len()) <= limit)
        .map(|candidate| (distance(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        for (slot, right) in row.iter_mut().skip(1).zip(b.bytes()) {
            let here = (diagonal + usize::from(left != right)).min(before + 1).min(*slot + 1);
            diagonal = *slot;
            *slot = here;
            before = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}
