//! The compiled tree and its evaluation. Types were checked before, so what is left to go wrong is nulls,
//! arithmetic, indices, conversions and bounds.

mod arithmetic;
mod fail;
mod list;
mod text;

use std::cell::Cell;
use std::cmp::Ordering;
use std::sync::Arc;

use regex::Regex;
use schemas::Timestamp;

use super::time::Part;
use super::{Found, MAX_STEPS, MAX_TEXT_BYTES, RowRange, Rows};
use arithmetic::{arithmetic, equal, negate, order, size, to_double, to_int};
use fail::Fail;
use list::Scope;

pub use text::Texts;

/// An expression that is known to be well typed.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Const(Const),
    Input {
        index: usize,
        read: Read,
    },
    Now,
    Not(Box<Node>),
    And(Box<[Node; 2]>),
    Or(Box<[Node; 2]>),
    Negate(Box<Node>),
    Arithmetic(Operator, Box<[Node; 2]>),
    Compare(Relation, Box<[Node; 2]>),
    In(Box<Node>, Vec<Node>),
    /// Condition, then, else.
    Choose(Box<[Node; 3]>),
    /// Of a string or bytes.
    Size(Box<Node>),
    NotNull(Box<Node>),
    Text(TextTest, Box<[Node; 2]>),
    Matches(Box<Node>, Regex),
    ToDouble(Box<Node>),
    ToInt(Box<Node>),
    Function(Function, Box<[Node]>),
    /// Of an item.
    Cell {
        row: Box<Node>,
        column: usize,
        read: Read,
        /// Among the expression's names of cells.
        name: usize,
    },
    /// The item that a comprehension is at, by how many comprehensions are around that one.
    Variable(usize),
    Quantified {
        quantifier: Quantifier,
        list: Box<List>,
        variable: usize,
        body: Box<Node>,
    },
    Count(Box<List>),
    /// Whether a value is among the items.
    Within {
        needle: Box<Node>,
        list: Box<List>,
        variable: usize,
        item: Box<Node>,
    },
    Join {
        list: Box<List>,
        variable: usize,
        item: Box<Node>,
        separator: Option<Box<Node>>,
    },
    /// The item of this number.
    At(Box<List>, Box<Node>),
    /// The entry with a key.
    Find {
        list: Box<List>,
        variable: usize,
        key: Box<Node>,
        by: Box<Node>,
    },
}

/// What a comprehension goes over. It is never held: whoever asks goes over it.
#[derive(Debug, Clone)]
pub(super) enum List {
    /// An array or map.
    Rows(Node),
    Literal(Vec<Node>),
    /// Text, separator, at most how many parts.
    Split(Box<(Node, Node, Option<Node>)>),
    Filter {
        of: Box<List>,
        variable: usize,
        keeps: Node,
    },
    Map {
        of: Box<List>,
        variable: usize,
        to: Node,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantifier {
    All,
    Exists,
    ExistsOne,
}

/// A function of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    LowerAscii,
    UpperAscii,
    Trim,
    Reverse,
    CharAt,
    Substring,
    IndexOf,
    LastIndexOf,
    Replace,
    Concat,
    ToText,
    ToTime,
    ToSpan,
    /// Of a time, so many seconds east of UTC; of a duration.
    Part(Part, i32),
}

/// A literal.
#[derive(Debug, Clone)]
pub(super) enum Const {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    /// Unscaled, scale.
    Decimal(i128, u32),
    Text(Arc<str>),
    Bytes(Arc<[u8]>),
    /// Nanoseconds since the epoch.
    Time(i128),
    /// Nanoseconds.
    Span(i128),
}

/// What to make of a [`Found`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// A value as it is.
    Plain,
    /// A float, although an integer may be found.
    Double,
    /// A decimal at this scale.
    Decimal(u32),
    /// A timestamp in units of so many nanoseconds.
    Time(i128),
    /// A duration in units of so many nanoseconds.
    Span(i128),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextTest {
    StartsWith,
    EndsWith,
    Contains,
}

/// A value on the way up the tree.
#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Decimal(i128, u32),
    Text(&'a str),
    Bytes(&'a [u8]),
    Time(i128),
    Span(i128),
    /// A record, array or map.
    Present,
    /// A text that the expression made: from where to where in [`Texts`].
    Made(usize, usize),
    /// The items of an array or map.
    Rows(RowRange),
    /// One of them.
    Row {
        table: u32,
        row: u32,
    },
}

/// The value of a tree of type bool.
#[inline]
pub(super) fn truth<'a>(
    root: &'a Node,
    found: &[Found<'a>],
    rows: &Rows<'a>,
    now: Timestamp,
    texts: &mut Texts,
) -> Result<bool, Fail> {
    match at_once(root, found, now) {
        Some(truth) => Ok(truth),
        None => walked(root, found, rows, now, texts),
    }
}

#[inline(never)]
fn walked<'a>(
    root: &'a Node,
    found: &[Found<'a>],
    rows: &Rows<'a>,
    now: Timestamp,
    texts: &mut Texts,
) -> Result<bool, Fail> {
    let evaluation = Evaluation { found, rows, now, texts: &*texts, steps: Cell::new(MAX_STEPS) };
    let truth = evaluation.bool(root, None);
    texts.clear();
    truth
}

/// What most conditions are, an input compared with `now` or a literal, without walking the tree; `None`
/// where it is something else, or needs one of the tree's other answers.
#[inline]
fn at_once(root: &Node, found: &[Found<'_>], now: Timestamp) -> Option<bool> {
    let Node::Compare(relation, sides) = root else { return None };
    let [Node::Input { index, read }, other] = &**sides else { return None };
    let Some(Found::Int(value)) = found.get(*index) else { return None };
    let order = match (read, other) {
        (Read::Time(unit), Node::Now) => (i128::from(*value) * unit).cmp(&(i128::from(now.0) * 1_000_000)),
        (Read::Time(unit), Node::Const(Const::Time(literal))) => (i128::from(*value) * unit).cmp(literal),
        (Read::Plain, Node::Const(Const::Int(literal))) => value.cmp(literal),
        _ => return None,
    };
    Some(match relation {
        Relation::Less => order.is_lt(),
        Relation::LessOrEqual => order.is_le(),
        Relation::Greater => order.is_gt(),
        Relation::GreaterOrEqual => order.is_ge(),
        Relation::Equal => order.is_eq(),
        Relation::NotEqual => order.is_ne(),
    })
}

struct Evaluation<'e, 'a> {
    found: &'e [Found<'a>],
    rows: &'e Rows<'a>,
    now: Timestamp,
    texts: &'e Texts,
    /// How many may still be taken.
    steps: Cell<u64>,
}

/// The items that the comprehensions around are at.
type Scopes<'s, 'a> = Option<&'s Scope<'s, 'a>>;

impl<'a> Evaluation<'_, 'a> {
    /// Takes steps.
    fn spend(&self, steps: u64) -> Result<(), Fail> {
        self.steps.set(self.steps.get().checked_sub(steps).ok_or(Fail::TooMuch)?);
        Ok(())
    }

    fn value(&self, node: &'a Node, scope: Scopes<'_, 'a>) -> Result<Value<'a>, Fail> {
        Ok(match node {
            Node::Const(literal) => match literal {
                Const::Null => Value::Null,
                Const::Bool(value) => Value::Bool(*value),
                Const::Int(value) => Value::Int(*value),
                Const::Double(value) => Value::Double(*value),
                Const::Decimal(unscaled, scale) => Value::Decimal(*unscaled, *scale),
                Const::Text(value) => Value::Text(value),
                Const::Bytes(value) => Value::Bytes(value),
                Const::Time(value) => Value::Time(*value),
                Const::Span(value) => Value::Span(*value),
            },
            Node::Input { index, read } => self.input(*index, *read)?,
            Node::Now => Value::Time(i128::from(self.now.0) * 1_000_000),
            Node::Not(inner) => Value::Bool(!self.bool(inner, scope)?),
            Node::And(sides) => Value::Bool(self.decide(sides, false, scope)?),
            Node::Or(sides) => Value::Bool(self.decide(sides, true, scope)?),
            Node::Negate(inner) => negate(self.some(inner, scope)?)?,
            Node::Arithmetic(operator, sides) => {
                arithmetic(*operator, self.some(&sides[0], scope)?, self.some(&sides[1], scope)?)?
            }
            Node::Compare(relation, sides) => Value::Bool(self.compare(*relation, sides, scope)?),
            Node::In(needle, list) => Value::Bool(self.contains(needle, list, scope)?),
            Node::Choose(parts) => {
                if self.bool(&parts[0], scope)? {
                    self.value(&parts[1], scope)?
                } else {
                    self.value(&parts[2], scope)?
                }
            }
            Node::Size(inner) => match self.some(inner, scope)? {
                text @ Value::Made(..) => Value::Int(self.texts.with(text, |text| size(Value::Text(text)))??),
                value => Value::Int(size(value)?),
            },
            Node::NotNull(inner) => Value::Bool(!matches!(self.value(inner, scope)?, Value::Null)),
            Node::Text(test, sides) => {
                let (text, part) = (self.some(&sides[0], scope)?, self.some(&sides[1], scope)?);
                self.spend_on(text)?;
                Value::Bool(self.texts.both(text, part, |text, part| match test {
                    TextTest::StartsWith => text.starts_with(part),
                    TextTest::EndsWith => text.ends_with(part),
                    TextTest::Contains => text.contains(part),
                })?)
            }
            Node::Matches(inner, pattern) => {
                let text = self.some(inner, scope)?;
                self.spend_on(text)?;
                Value::Bool(self.texts.with(text, |text| pattern.is_match(text))?)
            }
            Node::ToDouble(inner) => match self.some(inner, scope)? {
                text @ Value::Made(..) => Value::Double(self.texts.with(text, |text| to_double(Value::Text(text)))??),
                value => Value::Double(to_double(value)?),
            },
            Node::ToInt(inner) => match self.some(inner, scope)? {
                text @ Value::Made(..) => Value::Int(self.texts.with(text, |text| to_int(Value::Text(text)))??),
                value => Value::Int(to_int(value)?),
            },
            Node::Function(function, args) => self.function(*function, args, scope)?,
            Node::Cell { row, column, read, .. } => match self.value(row, scope)? {
                Value::Row { table, row } => {
                    let found = self.rows.cell(table, row, *column).ok_or(Fail::Untyped)?;
                    reading(*read, found).ok_or(Fail::Untyped)?
                }
                _ => return Err(Fail::Untyped),
            },
            Node::Variable(variable) => list::bound(scope, *variable)?,
            Node::Quantified { quantifier, list, variable, body } => {
                Value::Bool(self.quantified(*quantifier, list, (*variable, body), scope)?)
            }
            Node::Count(list) => Value::Int(self.count(list, scope)?),
            Node::Within { needle, list, variable, item } => {
                Value::Bool(self.within(needle, list, (*variable, item), scope)?)
            }
            Node::Join { list, variable, item, separator } => {
                self.join(list, (*variable, item), separator.as_deref(), scope)?
            }
            Node::At(list, index) => self.at(list, index, scope)?,
            Node::Find { list, variable, key, by } => self.find(list, (*variable, key), by, scope)?,
        })
    }

    fn input(&self, index: usize, read: Read) -> Result<Value<'a>, Fail> {
        reading(read, self.found.get(index).copied().unwrap_or_default()).ok_or(Fail::Mismatch(index))
    }

    /// A value that must not be null.
    fn some(&self, node: &'a Node, scope: Scopes<'_, 'a>) -> Result<Value<'a>, Fail> {
        match self.value(node, scope)? {
            Value::Null => Err(match node {
                Node::Input { index, .. } => Fail::Null(Some(*index)),
                Node::Cell { name, .. } => Fail::NullCell(*name),
                _ => Fail::Null(None),
            }),
            value => Ok(value),
        }
    }

    fn bool(&self, node: &'a Node, scope: Scopes<'_, 'a>) -> Result<bool, Fail> {
        match self.some(node, scope)? {
            Value::Bool(value) => Ok(value),
            _ => Err(Fail::Untyped),
        }
    }

    /// `&&` (decided by false) and `||` (decided by true): either side that decides absorbs the other's
    /// error.
    fn decide(&self, sides: &'a [Node; 2], decisive: bool, scope: Scopes<'_, 'a>) -> Result<bool, Fail> {
        let left = self.bool(&sides[0], scope);
        if left == Ok(decisive) {
            return Ok(decisive);
        }
        let right = self.bool(&sides[1], scope);
        if right == Ok(decisive) {
            return Ok(decisive);
        }
        left?;
        right
    }

    fn compare(&self, relation: Relation, sides: &'a [Node; 2], scope: Scopes<'_, 'a>) -> Result<bool, Fail> {
        if matches!(relation, Relation::Equal | Relation::NotEqual) {
            let same = self.equal(self.value(&sides[0], scope)?, self.value(&sides[1], scope)?)?;
            return Ok(same == (relation == Relation::Equal));
        }
        let (left, right) = (self.some(&sides[0], scope)?, self.some(&sides[1], scope)?);
        let order = match (left, right) {
            (Value::Made(..), _) | (_, Value::Made(..)) => self.texts.both(left, right, |a, b| Some(a.cmp(b)))?,
            _ => order(left, right),
        };
        Ok(match relation {
            Relation::Less => order == Some(Ordering::Less),
            Relation::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Relation::Greater => order == Some(Ordering::Greater),
            _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        })
    }

    fn contains(&self, needle: &'a Node, list: &'a [Node], scope: Scopes<'_, 'a>) -> Result<bool, Fail> {
        let needle = self.value(needle, scope)?;
        let mut among = false;
        for item in list {
            // An item that has no value is an error even behind one that is equal.
            if !among || !matches!(item, Node::Const(_)) {
                among |= self.equal(needle, self.value(item, scope)?)?;
            }
        }
        Ok(among)
    }

    fn equal(&self, a: Value<'a>, b: Value<'a>) -> Result<bool, Fail> {
        match (a, b) {
            (Value::Made(..), Value::Null) | (Value::Null, Value::Made(..)) => Ok(false),
            (Value::Made(..), _) | (_, Value::Made(..)) => self.texts.both(a, b, |a, b| a == b),
            _ => Ok(equal(a, b)),
        }
    }
}

/// What was found, as the schema has it; `None` where it is something else.
fn reading(read: Read, found: Found<'_>) -> Option<Value<'_>> {
    Some(match (read, found) {
        (_, Found::Null) => Value::Null,
        (Read::Plain, Found::Bool(value)) => Value::Bool(value),
        (Read::Plain, Found::Int(value)) => Value::Int(value),
        (Read::Plain, Found::Text(value)) => Value::Text(value),
        (Read::Plain, Found::Bytes(value)) => Value::Bytes(value),
        (Read::Plain, Found::Present) => Value::Present,
        (Read::Plain, Found::Rows(range)) => Value::Rows(range),
        (Read::Double, Found::Float(value)) => Value::Double(value),
        #[expect(clippy::cast_precision_loss, reason = "Avro promotes long to double with the same loss")]
        (Read::Double, Found::Int(value)) => Value::Double(value as f64),
        (Read::Decimal(scale), Found::Decimal(unscaled)) => Value::Decimal(unscaled, scale),
        (Read::Time(unit), Found::Int(value)) => Value::Time(i128::from(value) * unit),
        (Read::Span(unit), Found::Int(value)) => Value::Span(i128::from(value) * unit),
        _ => return None,
    })
}
