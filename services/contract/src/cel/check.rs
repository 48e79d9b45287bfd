//! Names and types: from the parser's tree to [`Node`], against the contract's schema.

use std::sync::Arc;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, operators};

use super::eval::{Const, Node};
use super::functions;
use super::lists::Variable;
use super::operators as rules;
use super::parse::Parsed;
use super::{CelError, Expression, Input, MAX_DEPTH, MAX_STEPS};
use crate::avro::{Kind, NodeId, Schema};
use crate::model::Path;

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

pub(super) type Checked<T> = Result<T, CelError>;

/// Checks the whole expression, which must be of type bool.
pub(super) fn check(parsed: &Parsed, schema: &Schema, most: &dyn Fn(&Path) -> Option<u64>) -> Checked<Expression> {
    let mut checker = Checker {
        parsed,
        schema,
        most,
        inputs: Vec::new(),
        cells: Vec::new(),
        variables: Vec::new(),
        times: 1,
        steps: 0,
    };
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
    Ok(Expression { root: root.node, inputs: checker.inputs, cells: checker.cells })
}

pub(super) struct Checker<'a> {
    pub(super) parsed: &'a Parsed,
    pub(super) schema: &'a Schema,
    /// How many items the contract allows at a path.
    pub(super) most: &'a dyn Fn(&Path) -> Option<u64>,
    pub(super) inputs: Vec<Input>,
    /// Names of cells, for messages.
    pub(super) cells: Vec<String>,
    /// Those of the comprehensions around.
    pub(super) variables: Vec<Variable>,
    /// How often what is checked now is evaluated, at most.
    pub(super) times: u64,
    /// How many steps it takes in all, at most.
    pub(super) steps: u64,
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
            Expr::Ident(name) if name == "now" && !self.names(name) => {
                Ok(Typed { node: Node::Now, kind: Type::Time, offset, path: None })
            }
            Expr::Ident(name) => match self.variable(name) {
                Some(index) => self.variable_value(index, offset),
                None => self.value(expr, depth),
            },
            Expr::Select(select) if select.test => self.has(select, expr.id, depth),
            Expr::Select(_) => self.value(expr, depth),
            Expr::Call(call) => self.call(call, expr.id, depth),
            Expr::Comprehension(parts) => self.comprehension(parts, offset, depth),
            Expr::List(_) => fail(
                offset,
                "a list stands where something is asked of it: on the right of `in`, in size(), before .all(…)",
            ),
            Expr::Map(_) | Expr::Struct(_) => {
                fail(offset, "map and message literals are not supported; compare the fields one by one")
            }
            Expr::Unspecified => fail(offset, "something is missing here; write an operand"),
        }
    }

    /// Takes so many steps more, as often as this is evaluated.
    pub(super) fn take(&mut self, items: u64, offset: usize, of: &str) -> Checked<()> {
        self.steps = self.steps.saturating_add(self.times.saturating_mul(items));
        if self.steps <= MAX_STEPS {
            return Ok(());
        }
        fail(
            offset,
            format!(
                "with {of} the condition may take {} steps, one for each item that is looked at, and {MAX_STEPS} are \
                 allowed; give the arrays a smaller `maxItems`, or put fewer of all, exists, map and filter within \
                 each other",
                self.steps
            ),
        )
    }

    fn call(&mut self, call: &CallExpr, id: u64, depth: usize) -> Checked<Typed> {
        let offset = self.parsed.offset(id);
        let name = call.func_name.as_str();
        match (name, &call.target, call.args.as_slice()) {
            (operators::IN, _, [needle, list]) => return self.membership(needle, list, offset, depth),
            ("size", Some(target), []) => return self.size(target, offset, depth),
            ("size", None, [argument]) => return self.size(argument, offset, depth),
            ("size", ..) => return fail(offset, "size() takes one argument, as in size(lines)"),
            ("join", Some(target), args) => return self.join(target, args, offset, depth),
            (operators::INDEX, _, [list, index]) => return self.index_value(list, index, offset, depth),
            (operators::OPT_INDEX | operators::OPT_SELECT, ..) => {
                return fail(offset, "`?` is not supported here; test with has(…) or `!= null`");
            }
            ("has", ..) => {
                return fail(offset, "has() asks for one field of a record, as in has(customer.email)");
            }
            ("split", ..) => {
                return fail(
                    offset,
                    "split() makes a list; ask something of it, as in size(code.split(\"-\")) or code.split(\"-\")[0]",
                );
            }
            ("all" | "exists" | "exists_one" | "existsOne" | "map" | "filter", ..) => {
                return fail(
                    offset,
                    format!(
                        "{name} goes over a list with a name for its items, as in lines.all(line, line.quantity > 0)"
                    ),
                );
            }
            _ => {}
        }
        if call.target.is_none() && !rules::is_known(name) {
            return rules::unknown_function(name, offset);
        }
        let target = call.target.as_ref().map(|target| self.expression(target, depth + 1)).transpose()?;
        let args =
            call.args.iter().map(|argument| self.expression(argument, depth + 1)).collect::<Checked<Vec<_>>>()?;
        match target {
            Some(target) => functions::method(name, target, args, offset),
            None => rules::function(self.schema, name, args, offset),
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
