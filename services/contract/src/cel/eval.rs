//! The compiled tree and its evaluation. Types were checked before, so what is left to go wrong is nulls
//! and arithmetic.

use std::cmp::Ordering;
use std::sync::Arc;

use regex::Regex;
use schemas::Timestamp;

use super::number;
use super::{Found, Input, Want};

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
}

/// Why there is no value. Small and without text, because `&&` and `||` may absorb it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fail {
    /// An input, or something computed, is null.
    Null(Option<usize>),
    Overflow(&'static str),
    DivisionByZero,
    /// An input was found in another type than the schema says.
    Mismatch(usize),
    /// The tree is not what the checker makes; it cannot happen.
    Untyped,
}

impl Fail {
    /// The sentence.
    pub(super) fn say(self, inputs: &[Input]) -> String {
        let name =
            |index: usize| inputs.get(index).map_or_else(|| "a value".to_owned(), |input| input.path.to_string());
        match self {
            Self::Null(Some(index)) => format!("{} is null", name(index)),
            Self::Null(None) => "a value that the condition computes with is null".to_owned(),
            Self::Overflow(what) => format!("{what} leaves the range of its type"),
            Self::DivisionByZero => "a division by zero".to_owned(),
            Self::Mismatch(index) => {
                let of = inputs.get(index).map_or(Want::Value, |input| input.want);
                let what = if of == Want::Items { "the number of items of " } else { "" };
                format!("{what}{} was found in another type than the contract's schema says", name(index))
            }
            Self::Untyped => "the condition cannot be computed".to_owned(),
        }
    }
}

/// The value of a tree of type bool.
pub(super) fn truth(root: &Node, found: &[Found<'_>], now: Timestamp) -> Result<bool, Fail> {
    match at_once(root, found, now) {
        Some(truth) => Ok(truth),
        None => Evaluation { found, now }.bool(root),
    }
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

struct Evaluation<'a> {
    found: &'a [Found<'a>],
    now: Timestamp,
}

impl<'a> Evaluation<'a> {
    fn value(&self, node: &'a Node) -> Result<Value<'a>, Fail> {
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
            Node::Not(inner) => Value::Bool(!self.bool(inner)?),
            Node::And(sides) => Value::Bool(self.decide(sides, false)?),
            Node::Or(sides) => Value::Bool(self.decide(sides, true)?),
            Node::Negate(inner) => negate(self.some(inner)?)?,
            Node::Arithmetic(operator, sides) => arithmetic(*operator, self.some(&sides[0])?, self.some(&sides[1])?)?,
            Node::Compare(relation, sides) => Value::Bool(self.compare(*relation, sides)?),
            Node::In(needle, list) => Value::Bool(self.contains(needle, list)?),
            Node::Choose(parts) => {
                if self.bool(&parts[0])? {
                    self.value(&parts[1])?
                } else {
                    self.value(&parts[2])?
                }
            }
            Node::Size(inner) => Value::Int(size(self.some(inner)?)?),
            Node::NotNull(inner) => Value::Bool(!matches!(self.value(inner)?, Value::Null)),
            Node::Text(test, sides) => {
                let (text, part) = (self.text(&sides[0])?, self.text(&sides[1])?);
                Value::Bool(match test {
                    TextTest::StartsWith => text.starts_with(part),
                    TextTest::EndsWith => text.ends_with(part),
                    TextTest::Contains => text.contains(part),
                })
            }
            Node::Matches(inner, pattern) => Value::Bool(pattern.is_match(self.text(inner)?)),
            Node::ToDouble(inner) => Value::Double(to_double(self.some(inner)?)?),
            Node::ToInt(inner) => Value::Int(to_int(self.some(inner)?)?),
        })
    }

    fn input(&self, index: usize, read: Read) -> Result<Value<'a>, Fail> {
        Ok(match (read, self.found.get(index).copied().unwrap_or_default()) {
            (_, Found::Null) => Value::Null,
            (Read::Plain, Found::Bool(value)) => Value::Bool(value),
            (Read::Plain, Found::Int(value)) => Value::Int(value),
            (Read::Plain, Found::Text(value)) => Value::Text(value),
            (Read::Plain, Found::Bytes(value)) => Value::Bytes(value),
            (Read::Plain, Found::Present) => Value::Present,
            (Read::Double, Found::Float(value)) => Value::Double(value),
            #[expect(clippy::cast_precision_loss, reason = "Avro promotes long to double with the same loss")]
            (Read::Double, Found::Int(value)) => Value::Double(value as f64),
            (Read::Decimal(scale), Found::Decimal(unscaled)) => Value::Decimal(unscaled, scale),
            (Read::Time(unit), Found::Int(value)) => Value::Time(i128::from(value) * unit),
            (Read::Span(unit), Found::Int(value)) => Value::Span(i128::from(value) * unit),
            _ => return Err(Fail::Mismatch(index)),
        })
    }

    /// A value that must not be null.
    fn some(&self, node: &'a Node) -> Result<Value<'a>, Fail> {
        match self.value(node)? {
            Value::Null => Err(Fail::Null(match node {
                Node::Input { index, .. } => Some(*index),
                _ => None,
            })),
            value => Ok(value),
        }
    }

    fn bool(&self, node: &'a Node) -> Result<bool, Fail> {
        match self.some(node)? {
            Value::Bool(value) => Ok(value),
            _ => Err(Fail::Untyped),
        }
    }

    fn text(&self, node: &'a Node) -> Result<&'a str, Fail> {
        match self.some(node)? {
            Value::Text(value) => Ok(value),
            _ => Err(Fail::Untyped),
        }
    }

    /// `&&` (decided by false) and `||` (decided by true): either side that decides absorbs the other's
    /// error.
    fn decide(&self, sides: &'a [Node; 2], decisive: bool) -> Result<bool, Fail> {
        let left = self.bool(&sides[0]);
        if left == Ok(decisive) {
            return Ok(decisive);
        }
        let right = self.bool(&sides[1]);
        if right == Ok(decisive) {
            return Ok(decisive);
        }
        left?;
        right
    }

    fn compare(&self, relation: Relation, sides: &'a [Node; 2]) -> Result<bool, Fail> {
        if matches!(relation, Relation::Equal | Relation::NotEqual) {
            let same = equal(self.value(&sides[0])?, self.value(&sides[1])?);
            return Ok(same == (relation == Relation::Equal));
        }
        let order = order(self.some(&sides[0])?, self.some(&sides[1])?);
        Ok(match relation {
            Relation::Less => order == Some(Ordering::Less),
            Relation::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Relation::Greater => order == Some(Ordering::Greater),
            _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        })
    }

    fn contains(&self, needle: &'a Node, list: &'a [Node]) -> Result<bool, Fail> {
        let needle = self.value(needle)?;
        for item in list {
            if equal(needle, self.value(item)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn equal(a: Value<'_>, b: Value<'_>) -> bool {
    matches!((a, b), (Value::Null, Value::Null)) || order(a, b) == Some(Ordering::Equal)
}

/// Their order; `None` for NaN, and for kinds that do not compare.
fn order(a: Value<'_>, b: Value<'_>) -> Option<Ordering> {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(&b)),
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(&b)),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(&b),
        (Value::Int(a), Value::Double(b)) => number::int_with_double(a, b),
        (Value::Double(a), Value::Int(b)) => number::int_with_double(b, a).map(Ordering::reverse),
        (Value::Decimal(a, scale), Value::Decimal(b, other)) => Some(number::decimals((a, scale), (b, other))),
        (Value::Decimal(a, scale), Value::Int(b)) => Some(number::decimals((a, scale), (i128::from(b), 0))),
        (Value::Int(a), Value::Decimal(b, scale)) => Some(number::decimals((i128::from(a), 0), (b, scale))),
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (Value::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
        (Value::Time(a), Value::Time(b)) | (Value::Span(a), Value::Span(b)) => Some(a.cmp(&b)),
        _ => None,
    }
}

fn negate(value: Value<'_>) -> Result<Value<'_>, Fail> {
    const WHAT: &str = "a negation";
    Ok(match value {
        Value::Int(value) => Value::Int(value.checked_neg().ok_or(Fail::Overflow(WHAT))?),
        Value::Double(value) => Value::Double(-value),
        Value::Decimal(value, scale) => Value::Decimal(value.checked_neg().ok_or(Fail::Overflow(WHAT))?, scale),
        Value::Span(value) => Value::Span(value.checked_neg().ok_or(Fail::Overflow(WHAT))?),
        _ => return Err(Fail::Untyped),
    })
}

fn arithmetic<'a>(operator: Operator, a: Value<'a>, b: Value<'a>) -> Result<Value<'a>, Fail> {
    let overflow = Fail::Overflow(match operator {
        Operator::Add => "a sum",
        Operator::Subtract => "a difference",
        Operator::Multiply => "a product",
        Operator::Divide | Operator::Remainder => "a quotient",
    });
    let wide = |a: i128, b: i128| match operator {
        Operator::Add => a.checked_add(b).ok_or(overflow),
        Operator::Subtract => a.checked_sub(b).ok_or(overflow),
        _ => Err(Fail::Untyped),
    };
    Ok(match (a, b) {
        (Value::Int(a), Value::Int(b)) => Value::Int(integers(operator, a, b, overflow)?),
        (Value::Double(a), Value::Double(b)) => Value::Double(match operator {
            Operator::Add => a + b,
            Operator::Subtract => a - b,
            Operator::Multiply => a * b,
            Operator::Divide => a / b,
            Operator::Remainder => return Err(Fail::Untyped),
        }),
        (Value::Decimal(a, scale), Value::Int(b)) => decimals(operator, (a, scale), (i128::from(b), 0), overflow)?,
        (Value::Int(a), Value::Decimal(b, scale)) => decimals(operator, (i128::from(a), 0), (b, scale), overflow)?,
        (Value::Decimal(a, scale), Value::Decimal(b, other)) => decimals(operator, (a, scale), (b, other), overflow)?,
        (Value::Time(a), Value::Time(b)) | (Value::Span(a), Value::Span(b)) => Value::Span(wide(a, b)?),
        (Value::Time(a), Value::Span(b)) | (Value::Span(a), Value::Time(b)) => Value::Time(wide(a, b)?),
        _ => return Err(Fail::Untyped),
    })
}

fn integers(operator: Operator, a: i64, b: i64, overflow: Fail) -> Result<i64, Fail> {
    match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Divide | Operator::Remainder if b == 0 => return Err(Fail::DivisionByZero),
        Operator::Divide => a.checked_div(b),
        Operator::Remainder => a.checked_rem(b),
    }
    .ok_or(overflow)
}

fn decimals<'a>(operator: Operator, a: (i128, u32), b: (i128, u32), overflow: Fail) -> Result<Value<'a>, Fail> {
    if operator == Operator::Multiply {
        let scale = a.1.checked_add(b.1).ok_or(overflow)?;
        return Ok(Value::Decimal(a.0.checked_mul(b.0).ok_or(overflow)?, scale));
    }
    let scale = a.1.max(b.1);
    let left = number::rescale(a, scale).ok_or(overflow)?;
    let right = number::rescale(b, scale).ok_or(overflow)?;
    let sum = match operator {
        Operator::Add => left.checked_add(right),
        Operator::Subtract => left.checked_sub(right),
        _ => return Err(Fail::Untyped),
    };
    Ok(Value::Decimal(sum.ok_or(overflow)?, scale))
}

fn size(value: Value<'_>) -> Result<i64, Fail> {
    let size = match value {
        Value::Text(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Int(items) => return Ok(items),
        _ => return Err(Fail::Untyped),
    };
    i64::try_from(size).map_err(|_| Fail::Overflow("a size"))
}

#[expect(clippy::cast_precision_loss, reason = "double() rounds to the nearest double, as CEL defines it")]
fn to_double(value: Value<'_>) -> Result<f64, Fail> {
    match value {
        Value::Int(value) => Ok(value as f64),
        Value::Double(value) => Ok(value),
        Value::Decimal(value, scale) => Ok(value as f64 / 10_f64.powi(i32::try_from(scale).unwrap_or(i32::MAX))),
        _ => Err(Fail::Untyped),
    }
}

fn to_int(value: Value<'_>) -> Result<i64, Fail> {
    const OUT: Fail = Fail::Overflow("int()");
    match value {
        Value::Int(value) => Ok(value),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "int() rounds toward zero, as CEL defines it; the range is checked"
        )]
        Value::Double(value) if value > -9_223_372_036_854_775_808.0 && value < 9_223_372_036_854_775_808.0 => {
            Ok(value as i64)
        }
        Value::Double(_) => Err(OUT),
        Value::Decimal(value, scale) => {
            let whole = 10_i128.checked_pow(scale).map_or(0, |one| value / one);
            i64::try_from(whole).map_err(|_| OUT)
        }
        Value::Time(nanos) => i64::try_from(nanos.div_euclid(1_000_000_000)).map_err(|_| OUT),
        _ => Err(Fail::Untyped),
    }
}
