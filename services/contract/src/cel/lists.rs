//! Lists, and what is asked of them: comprehensions, `size`, `in`, `join`.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, LiteralValue, operators};

use super::check::{Checked, Checker, Type, Typed, fail};
use super::eval::{Const, List, Node, Quantifier, Read};
use super::operators as rules;
use super::place::{Place, Table};
use super::{ASSUMED_ITEMS, Want};
use crate::avro::{Kind, NodeId};
use crate::model::{Path, Segment};

/// What an item of a list is.
#[derive(Debug, Clone)]
pub(super) enum Item {
    /// A row: an item of an array, or an entry of a map, which is its key.
    Row {
        table: Table,
        /// The type of the item or the entry's value, without its null branch.
        node: NodeId,
        whole: Path,
        key: bool,
    },
    /// A value that was made.
    Value(Type),
}

/// The name that a comprehension gives to the items.
#[derive(Debug)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) item: Item,
}

/// A list with what is known of it.
pub(super) struct Listed {
    pub(super) list: List,
    pub(super) item: Item,
    /// It has at most so many items.
    pub(super) size: u64,
    pub(super) show: String,
}

/// A macro, found again in what the parser made of it.
enum Macro<'a> {
    Quantified(Quantifier, &'a IdedExpr),
    Filter(&'a IdedExpr),
    Map(Option<&'a IdedExpr>, &'a IdedExpr),
}

impl Checker<'_> {
    /// The innermost variable of this name.
    pub(super) fn variable(&self, name: &str) -> Option<usize> {
        self.variables.iter().rposition(|variable| variable.name == name)
    }

    /// `list.all(x, …)`, `exists`, `exists_one`.
    pub(super) fn comprehension(&mut self, parts: &ComprehensionExpr, offset: usize, depth: usize) -> Checked<Typed> {
        let Some(Macro::Quantified(quantifier, body)) = macro_of(parts) else {
            return fail(
                offset,
                "map and filter make a list; ask something of it, as in size(lines.filter(line, line.quantity > 9)) > 0",
            );
        };
        let listed = self.list(&parts.iter_range, depth + 1)?;
        let body = self.over(&listed, &parts.iter_var, offset, |checker| checker.truth(body, depth))?;
        let variable = self.variables.len();
        let node = Node::Quantified { quantifier, list: Box::new(listed.list), variable, body: Box::new(body.node) };
        Ok(Typed { node, kind: Type::Bool, offset, path: None })
    }

    /// Checks what is evaluated for each item of a list.
    fn over(
        &mut self,
        listed: &Listed,
        name: &str,
        offset: usize,
        check: impl FnOnce(&mut Self) -> Checked<Typed>,
    ) -> Checked<Typed> {
        self.take(listed.size, offset, &listed.show)?;
        let times = self.times;
        self.times = times.saturating_mul(listed.size);
        self.variables.push(Variable { name: name.to_owned(), item: listed.item.clone() });
        let checked = check(self);
        self.variables.pop();
        self.times = times;
        checked
    }

    fn truth(&mut self, expr: &IdedExpr, depth: usize) -> Checked<Typed> {
        let body = self.expression(expr, depth + 1)?;
        if body.kind == Type::Bool {
            return Ok(body);
        }
        fail(
            body.offset,
            format!("what is asked of each item must be bool, and {} is {}; compare it", body.show(), body.kind.name()),
        )
    }

    /// A list of any kind.
    pub(super) fn list(&mut self, expr: &IdedExpr, depth: usize) -> Checked<Listed> {
        let offset = self.parsed.offset(expr.id);
        match &expr.expr {
            Expr::List(items) => {
                let items =
                    items.elements.iter().map(|item| self.expression(item, depth + 1)).collect::<Checked<Vec<_>>>()?;
                literal(items)
            }
            Expr::Comprehension(parts) => self.made_list(parts, offset, depth),
            Expr::Call(call) if call.func_name == "split" => self.split(call, offset, depth),
            Expr::Ident(_) | Expr::Select(_) => self.placed(expr, depth),
            Expr::Call(call) if call.func_name == operators::INDEX => self.placed(expr, depth),
            _ => {
                let inner = self.expression(expr, depth + 1)?;
                no_list(&inner)
            }
        }
    }

    /// An array or map of the record.
    fn placed(&mut self, expr: &IdedExpr, depth: usize) -> Checked<Listed> {
        let offset = self.start(expr);
        if let Expr::Ident(name) = &expr.expr
            && let Some(variable) = self.variable(name)
            && matches!(
                self.variables.get(variable),
                Some(Variable { item: Item::Value(_) | Item::Row { key: true, .. }, .. })
            )
        {
            return no_list(&self.variable_value(variable, offset)?);
        }
        let place = self.place(expr, depth + 1)?;
        let show = format!("`{}`", place.whole);
        if !matches!(self.schema.node(place.node).kind, Kind::Array(_) | Kind::Map(_)) {
            let value = self.value_at(place, offset)?;
            return no_list(&value);
        }
        let size = (self.most)(&place.whole).unwrap_or(ASSUMED_ITEMS);
        let Some((node, table, item, whole)) = self.items(place) else {
            return fail(offset, format!("{show} is no list"));
        };
        let Some(node_of_item) = self.plain(item) else {
            return fail(
                offset,
                format!("the items of {show} are a union of several types, which a condition cannot read yet"),
            );
        };
        let key = whole.0.last() == Some(&Segment::Values);
        let item = Item::Row { table, node: node_of_item, whole, key };
        Ok(Listed { list: List::Rows(node), item, size, show })
    }

    /// `list.filter(x, …)`, `list.map(x, …)`.
    fn made_list(&mut self, parts: &ComprehensionExpr, offset: usize, depth: usize) -> Checked<Listed> {
        let (filter, map) = match macro_of(parts) {
            Some(Macro::Filter(filter)) => (Some(filter), None),
            Some(Macro::Map(filter, map)) => (filter, Some(map)),
            _ => return fail(offset, "all, exists and exists_one are true or false, and no list"),
        };
        let mut listed = self.list(&parts.iter_range, depth + 1)?;
        let variable = self.variables.len();
        if let Some(filter) = filter {
            let kept = self.over(&listed, &parts.iter_var, offset, |checker| checker.truth(filter, depth))?;
            listed.list = List::Filter { of: Box::new(listed.list), variable, keeps: kept.node };
        }
        if let Some(map) = map {
            let made = self.over(&listed, &parts.iter_var, offset, |checker| checker.expression(map, depth + 1))?;
            if matches!(made.kind, Type::Record | Type::Array | Type::Map) {
                return fail(made.offset, "map() makes values, no records, arrays or maps; name a field");
            }
            listed.list = List::Map { of: Box::new(listed.list), variable, to: made.node };
            listed.item = Item::Value(made.kind);
        }
        Ok(listed)
    }

    /// `text.split(separator)`, `text.split(separator, most)`.
    fn split(&mut self, call: &CallExpr, offset: usize, depth: usize) -> Checked<Listed> {
        let target = call.target.as_ref().map(|target| self.expression(target, depth + 1)).transpose()?;
        let args =
            call.args.iter().map(|argument| self.expression(argument, depth + 1)).collect::<Checked<Vec<_>>>()?;
        let usage = "split() is called on a string with a separator, as in code.split(\"-\")";
        let mut args = args.into_iter();
        let (Some(target), Some(separator), most, None) = (target, args.next(), args.next(), args.next()) else {
            return fail(offset, usage);
        };
        for text in [&target, &separator] {
            if !matches!(text.kind, Type::Text(_)) {
                return fail(text.offset, format!("{usage}, and {} is {}", text.show(), text.kind.name()));
            }
        }
        if let Some(most) = &most
            && most.kind != Type::Int
        {
            return fail(
                most.offset,
                format!("how many parts split() makes is an int, and {} is {}", most.show(), most.kind.name()),
            );
        }
        let show = format!("the parts of {}", target.show());
        let most = most.map(|most| most.node);
        let list = List::Split(Box::new((target.node, separator.node, most)));
        Ok(Listed { list, item: Item::Value(Type::Text(None)), size: ASSUMED_ITEMS, show })
    }

    /// `size(x)`: of strings and bytes computed, of arrays and maps counted by the program, of other lists
    /// by going over them.
    pub(super) fn size(&mut self, expr: &IdedExpr, offset: usize, depth: usize) -> Checked<Typed> {
        let typed = |node, path| Ok(Typed { node, kind: Type::Int, offset, path });
        let sized = |node| Node::Size(Box::new(node));
        match &expr.expr {
            // What an item has no value of, the list has none of either.
            Expr::List(list) if !list.elements.is_empty() => self.counted(expr, offset, depth),
            Expr::List(_) => typed(Node::Const(Const::Int(0)), None),
            Expr::Comprehension(parts) if matches!(macro_of(parts), Some(Macro::Filter(_) | Macro::Map(..))) => {
                self.counted(expr, offset, depth)
            }
            Expr::Call(call) if call.func_name == "split" => self.counted(expr, offset, depth),
            _ => {
                let inner = match self.sized(expr, depth)? {
                    Ok(place) => {
                        let path = Some(format!("size({})", place.whole));
                        // Null has no size, though it equals null where it is compared as it is.
                        let node = sized(self.read_at(place, Want::Items, Read::Plain));
                        return typed(node, path);
                    }
                    Err(inner) => inner,
                };
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
                typed(sized(inner.node), None)
            }
        }
    }

    /// The place of an array or map, else a value.
    fn sized(&mut self, expr: &IdedExpr, depth: usize) -> Checked<Result<Place, Typed>> {
        let place = match &expr.expr {
            // `now` is a name that leads nowhere, and so are variables that stand for values.
            Expr::Ident(name) if name != "now" || self.names(name) => match self.variable(name) {
                Some(index) => self.variable_place(index),
                None => Some(self.place(expr, depth + 1)?),
            },
            Expr::Select(select) if !select.test => Some(self.place(expr, depth + 1)?),
            Expr::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
                [list, index] => match self.index(list, index, self.parsed.offset(expr.id), depth + 1)? {
                    Ok(place) => Some(place),
                    Err(value) => return Ok(Err(value)),
                },
                _ => None,
            },
            _ => None,
        };
        match place {
            Some(place) if matches!(self.schema.node(place.node).kind, Kind::Array(_) | Kind::Map(_)) => Ok(Ok(place)),
            Some(place) => {
                let start = self.start(expr);
                self.value_at(place, start).map(Err)
            }
            None => self.expression(expr, depth + 1).map(Err),
        }
    }

    fn counted(&mut self, expr: &IdedExpr, offset: usize, depth: usize) -> Checked<Typed> {
        let listed = self.list(expr, depth + 1)?;
        self.take(listed.size, offset, &listed.show)?;
        Ok(Typed { node: Node::Count(Box::new(listed.list)), kind: Type::Int, offset, path: None })
    }

    /// `needle in list`.
    pub(super) fn membership(
        &mut self,
        needle: &IdedExpr,
        list: &IdedExpr,
        offset: usize,
        depth: usize,
    ) -> Checked<Typed> {
        let needle = self.expression(needle, depth + 1)?;
        if let Expr::List(items) = &list.expr {
            let items =
                items.elements.iter().map(|item| self.expression(item, depth + 1)).collect::<Checked<Vec<_>>>()?;
            return rules::membership(self.schema, needle, items, offset);
        }
        let listed = self.list(list, depth + 1)?;
        let item = self.over(&listed, "", offset, |checker| checker.item(offset))?;
        let schema = self.schema;
        let (needle, item) = rules::alike(schema, needle, item, offset)?;
        let variable = self.variables.len();
        let (needle, list, item) = (Box::new(needle), Box::new(listed.list), Box::new(item));
        let node = Node::Within { needle, list, variable, item };
        Ok(Typed { node, kind: Type::Bool, offset, path: None })
    }

    /// The item of the innermost variable.
    fn item(&mut self, offset: usize) -> Checked<Typed> {
        let last = self.variables.len().saturating_sub(1);
        let mut item = self.variable_value(last, offset)?;
        if item.path.as_deref() == Some("") {
            item.path = None;
        }
        Ok(item)
    }

    /// `list.join()`, `list.join(separator)`.
    pub(super) fn join(&mut self, list: &IdedExpr, args: &[IdedExpr], offset: usize, depth: usize) -> Checked<Typed> {
        let listed = self.list(list, depth + 1)?;
        let item = self.over(&listed, "", offset, |checker| checker.item(offset))?;
        if !matches!(item.kind, Type::Text(_)) {
            return fail(offset, format!("join() takes a list of strings, and these are {}", item.kind.name()));
        }
        let separator = match args {
            [] => None,
            [separator] => Some(self.expression(separator, depth + 1)?),
            _ => return fail(offset, "join() takes one separator, as in tags.join(\",\")"),
        };
        if let Some(separator) = &separator
            && !matches!(separator.kind, Type::Text(_))
        {
            return fail(separator.offset, "join() takes a string as separator, as in tags.join(\",\")");
        }
        let separator = separator.map(|separator| Box::new(separator.node));
        let (list, variable, item) = (Box::new(listed.list), self.variables.len(), Box::new(item.node));
        let node = Node::Join { list, variable, item, separator };
        Ok(Typed { node, kind: Type::Text(None), offset, path: None })
    }
}

fn no_list<T>(value: &Typed) -> Checked<T> {
    fail(
        value.offset,
        format!(
            "{} is {} and no list; lists are arrays, maps, `[…]`, split(), map() and filter()",
            value.show(),
            value.kind.name()
        ),
    )
}

/// `[a, b, c]`, of one type.
fn literal(items: Vec<Typed>) -> Checked<Listed> {
    let kind = items.iter().map(|item| item.kind).find(|kind| *kind != Type::Null).unwrap_or(Type::Null);
    let alike = |other: Type| match (kind, other) {
        (_, Type::Null) | (Type::Text(_), Type::Text(_)) => true,
        (kind, other) => kind == other,
    };
    if let Some(other) = items.iter().find(|item| !alike(item.kind)) {
        return fail(
            other.offset,
            format!("a list has items of one type, and this has {} and {}", kind.name(), other.kind.name()),
        );
    }
    if matches!(kind, Type::Record | Type::Array | Type::Map) {
        return fail(items.first().map_or(0, |item| item.offset), "a list is made of values; name fields");
    }
    let kind = if matches!(kind, Type::Text(_)) { Type::Text(None) } else { kind };
    let size = items.len() as u64;
    let list = List::Literal(items.into_iter().map(|item| item.node).collect());
    Ok(Listed { list, item: Item::Value(kind), size, show: "this list".to_owned() })
}

/// Which macro the parser expanded to this.
fn macro_of(parts: &ComprehensionExpr) -> Option<Macro<'_>> {
    let Expr::Call(step) = &parts.loop_step.expr else { return None };
    Some(match (&parts.accu_init.expr, step.func_name.as_str(), step.args.as_slice()) {
        (Expr::Literal(LiteralValue::Boolean(_)), operators::LOGICAL_AND, [_, body]) => {
            Macro::Quantified(Quantifier::All, body)
        }
        (Expr::Literal(LiteralValue::Boolean(_)), operators::LOGICAL_OR, [_, body]) => {
            Macro::Quantified(Quantifier::Exists, body)
        }
        (Expr::Literal(LiteralValue::Int(_)), operators::CONDITIONAL, [body, ..]) => {
            Macro::Quantified(Quantifier::ExistsOne, body)
        }
        (Expr::List(_), operators::ADD, [_, made]) => Macro::Map(None, only(made)?),
        (Expr::List(_), operators::CONDITIONAL, [filter, made, _]) => {
            let Expr::Call(made) = &made.expr else { return None };
            let made = only(made.args.get(1)?)?;
            match &made.expr {
                Expr::Ident(name) if *name == parts.iter_var => Macro::Filter(filter),
                _ => Macro::Map(Some(filter), made),
            }
        }
        _ => return None,
    })
}

/// The one item of a list literal.
fn only(expr: &IdedExpr) -> Option<&IdedExpr> {
    match &expr.expr {
        Expr::List(list) => list.elements.first(),
        _ => None,
    }
}
