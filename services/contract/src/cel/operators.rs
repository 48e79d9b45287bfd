//! The types of operators and functions, and what to write where they do not fit.

use cel::common::ast::operators as name;

use super::check::{Checked, Type, Typed, fail, nearest};
use super::eval::{Const, Function, Node, Operator, Relation};
use super::functions;
use super::number;
use super::parse;
use crate::avro::{Kind, Schema};

/// Whether a function that is called without a target exists.
pub(super) fn is_known(function: &str) -> bool {
    function.contains('_') && operator(function)
        || matches!(function, "timestamp" | "duration" | "double" | "int" | "string")
}

fn operator(function: &str) -> bool {
    arithmetic_of(function).is_some()
        || relation_of(function).is_some()
        || matches!(
            function,
            name::LOGICAL_AND | name::LOGICAL_OR | name::LOGICAL_NOT | name::NEGATE | name::CONDITIONAL
        )
}

/// The error for a function that does not exist, or exists as a method.
pub(super) fn unknown_function<T>(function: &str, offset: usize) -> Checked<T> {
    fail(
        offset,
        match function {
            "uint" => "Avro has no unsigned numbers; write int()".to_owned(),
            "format" => "format() is not supported; write string() and `+`".to_owned(),
            "bool" | "bytes" | "type" | "dyn" => {
                format!("{function}() is not supported; compare the value in its own type")
            }
            _ if functions::is_method(function) => {
                let on = match function {
                    "join" => "a list",
                    _ if function.starts_with("get") => "a timestamp",
                    _ => "a string",
                };
                format!("{function} is called on {on}, as in {}", functions::usage(function))
            }
            _ => {
                let names = ["size", "has", "timestamp", "duration", "double", "int", "string"];
                match nearest(function, names.into_iter().chain(functions::methods())) {
                    Some(near) => format!("there is no function {function}; did you mean {near}?"),
                    None => {
                        let all: Vec<&str> = names.into_iter().chain(functions::methods()).collect();
                        format!("there is no function {function}; there are {}", all.join(", "))
                    }
                }
            }
        },
    )
}

/// Operators, and functions without a target.
pub(super) fn function(schema: &Schema, function: &str, args: Vec<Typed>, offset: usize) -> Checked<Typed> {
    let count = args.len();
    let mut args = args.into_iter();
    match (count, args.next(), args.next(), args.next()) {
        (1, Some(only), _, _) => one(function, only, offset),
        (2, Some(left), Some(right), _) => two(schema, function, left, right, offset),
        (3, Some(test), Some(then), Some(other)) if function == name::CONDITIONAL => choose(test, then, other, offset),
        _ => fail(offset, format!("{function}() takes one argument and has {count}")),
    }
}

fn one(function: &str, inner: Typed, offset: usize) -> Checked<Typed> {
    match function {
        name::LOGICAL_NOT => {
            must_be_bool(&inner, "!")?;
            Ok(made(Node::Not(Box::new(inner.node)), Type::Bool, offset))
        }
        name::NEGATE => negate(inner, offset),
        "timestamp" => match &inner.node {
            Node::Const(Const::Text(text)) => match parse::timestamp(text) {
                Some(nanos) => Ok(made(Node::Const(Const::Time(nanos)), Type::Time, offset)),
                None => fail(
                    inner.offset,
                    format!("\"{text}\" is not a time; write RFC 3339, as in timestamp(\"2024-01-31T00:00:00Z\")"),
                ),
            },
            _ => convert(function, Type::Time, inner, offset),
        },
        "duration" => match &inner.node {
            Node::Const(Const::Text(text)) => match parse::duration(text) {
                Some(nanos) => Ok(made(Node::Const(Const::Span(nanos)), Type::Span, offset)),
                None => fail(
                    inner.offset,
                    format!(
                        "\"{text}\" is not a duration; write numbers with h, m, s, ms, us or ns, as in duration(\"1h30m\")"
                    ),
                ),
            },
            _ => convert(function, Type::Span, inner, offset),
        },
        "string" => convert(function, Type::Text(None), inner, offset),
        "double" if matches!(inner.kind, Type::Int | Type::Double | Type::Decimal | Type::Text(None)) => {
            Ok(made(Node::ToDouble(Box::new(inner.node)), Type::Double, offset))
        }
        "int" if matches!(inner.kind, Type::Int | Type::Double | Type::Decimal | Type::Time | Type::Text(None)) => {
            Ok(made(Node::ToInt(Box::new(inner.node)), Type::Int, offset))
        }
        "double" | "int" => {
            let what = "takes a number, or a string that is one";
            fail(inner.offset, format!("{function}() {what}, and {} is {}", inner.show(), inner.kind.name()))
        }
        _ => fail(offset, format!("{function} takes two operands")),
    }
}

/// `timestamp`, `duration` and `string` of what is known only with the record.
fn convert(function: &str, to: Type, inner: Typed, offset: usize) -> Checked<Typed> {
    let (fits, made, what) = match to {
        Type::Time => (
            matches!(inner.kind, Type::Text(None)),
            Function::ToTime,
            "takes a string in RFC 3339, as in timestamp(\"2024-01-31T00:00:00Z\")",
        ),
        Type::Span => {
            (matches!(inner.kind, Type::Text(None)), Function::ToSpan, "takes a string, as in duration(\"24h\")")
        }
        _ => (
            !matches!(inner.kind, Type::Null | Type::Record | Type::Array | Type::Map),
            Function::ToText,
            "takes a single value",
        ),
    };
    if inner.kind == to && to != Type::Text(None) {
        return Ok(inner);
    }
    if !fits {
        return fail(inner.offset, format!("{function}() {what}, and {} is {}", inner.show(), inner.kind.name()));
    }
    Ok(made_of(made, vec![inner.node], to, offset))
}

/// A function of values.
pub(super) fn made_of(function: Function, args: Vec<Node>, kind: Type, offset: usize) -> Typed {
    made(Node::Function(function, args.into_boxed_slice()), kind, offset)
}

fn two(schema: &Schema, function: &str, left: Typed, right: Typed, offset: usize) -> Checked<Typed> {
    if let Some(relation) = relation_of(function) {
        return relate(schema, relation, left, right, offset);
    }
    if let Some(operator) = arithmetic_of(function) {
        return compute(operator, left, right, offset);
    }
    match function {
        name::LOGICAL_AND | name::LOGICAL_OR => {
            let sign = if function == name::LOGICAL_AND { "&&" } else { "||" };
            must_be_bool(&left, sign)?;
            must_be_bool(&right, sign)?;
            let sides = Box::new([left.node, right.node]);
            Ok(made(if sign == "&&" { Node::And(sides) } else { Node::Or(sides) }, Type::Bool, offset))
        }
        _ => fail(offset, format!("{function}() takes one argument and has two")),
    }
}

pub(super) fn made(node: Node, kind: Type, offset: usize) -> Typed {
    Typed { node, kind, offset, path: None }
}

fn must_be_bool(side: &Typed, sign: &str) -> Checked<()> {
    if side.kind == Type::Bool {
        return Ok(());
    }
    fail(
        side.offset,
        format!(
            "`{sign}` takes bool, and {} is {}; compare it, or test it with `!= null`",
            side.show(),
            side.kind.name()
        ),
    )
}

fn negate(inner: Typed, offset: usize) -> Checked<Typed> {
    let node = match inner.node {
        Node::Const(Const::Int(value)) if value != i64::MIN => Node::Const(Const::Int(-value)),
        Node::Const(Const::Double(value)) => Node::Const(Const::Double(-value)),
        Node::Const(Const::Span(value)) => Node::Const(Const::Span(-value)),
        node if matches!(inner.kind, Type::Int | Type::Double | Type::Decimal | Type::Span) => {
            Node::Negate(Box::new(node))
        }
        _ => return fail(inner.offset, format!("`-` takes a number or a duration, and this is {}", inner.kind.name())),
    };
    Ok(made(node, inner.kind, offset))
}

fn choose(test: Typed, then: Typed, other: Typed, offset: usize) -> Checked<Typed> {
    must_be_bool(&test, "?")?;
    let kind = match (then.kind, other.kind) {
        (Type::Null, kind) | (kind, Type::Null) => kind,
        (Type::Text(_), Type::Text(_)) => Type::Text(None),
        (a, b) if a == b => a,
        (a, b) => {
            return fail(
                other.offset,
                format!("both sides of `:` must have one type, and they are {} and {}", a.name(), b.name()),
            );
        }
    };
    Ok(made(Node::Choose(Box::new([test.node, then.node, other.node])), kind, offset))
}

fn relation_of(function: &str) -> Option<Relation> {
    Some(match function {
        name::LESS => Relation::Less,
        name::LESS_EQUALS => Relation::LessOrEqual,
        name::GREATER => Relation::Greater,
        name::GREATER_EQUALS => Relation::GreaterOrEqual,
        name::EQUALS => Relation::Equal,
        name::NOT_EQUALS => Relation::NotEqual,
        _ => return None,
    })
}

fn arithmetic_of(function: &str) -> Option<Operator> {
    Some(match function {
        name::ADD => Operator::Add,
        name::SUBSTRACT => Operator::Subtract,
        name::MULTIPLY => Operator::Multiply,
        name::DIVIDE => Operator::Divide,
        name::MODULO => Operator::Remainder,
        _ => return None,
    })
}

fn relate(schema: &Schema, relation: Relation, mut left: Typed, mut right: Typed, offset: usize) -> Checked<Typed> {
    let equality = matches!(relation, Relation::Equal | Relation::NotEqual);
    if left.kind == Type::Null || right.kind == Type::Null {
        if !equality {
            return fail(offset, "null has no order; write `== null` or `!= null`");
        }
    } else {
        comparable(schema, &mut left, &mut right, offset, equality)?;
    }
    Ok(made(Node::Compare(relation, Box::new([left.node, right.node])), Type::Bool, offset))
}

/// A needle and the items that it may be among, made comparable.
pub(super) fn alike(schema: &Schema, mut needle: Typed, mut item: Typed, offset: usize) -> Checked<(Node, Node)> {
    if item.kind != Type::Null && needle.kind != Type::Null {
        comparable(schema, &mut needle, &mut item, offset, true)?;
    }
    Ok((needle.node, item.node))
}

/// `needle in [items]`.
pub(super) fn membership(schema: &Schema, mut needle: Typed, items: Vec<Typed>, offset: usize) -> Checked<Typed> {
    let mut nodes = Vec::with_capacity(items.len());
    for mut item in items {
        if item.kind != Type::Null && needle.kind != Type::Null {
            let at = item.offset;
            comparable(schema, &mut needle, &mut item, at, true)?;
        }
        nodes.push(item.node);
    }
    Ok(made(Node::In(Box::new(needle.node), nodes), Type::Bool, offset))
}

/// Whether two sides compare; makes a double literal beside a decimal the decimal it was written as.
fn comparable(schema: &Schema, left: &mut Typed, right: &mut Typed, offset: usize, equality: bool) -> Checked<()> {
    to_decimal(left, right.kind)?;
    to_decimal(right, left.kind)?;
    match (left.kind, right.kind) {
        (Type::Int | Type::Double, Type::Int | Type::Double)
        | (Type::Int | Type::Decimal, Type::Int | Type::Decimal)
        | (Type::Bool, Type::Bool)
        | (Type::Bytes, Type::Bytes)
        | (Type::Time, Type::Time)
        | (Type::Span, Type::Span) => Ok(()),
        (Type::Text(_), Type::Text(_)) => {
            if equality {
                symbol(schema, left, right)?;
                symbol(schema, right, left)?;
            }
            Ok(())
        }
        (Type::Decimal, Type::Double) | (Type::Double, Type::Decimal) => fail(
            offset,
            format!(
                "{} is {} and {} is {}, which do not compare exactly; write double(…) around the decimal if that is meant",
                left.show(),
                left.kind.name(),
                right.show(),
                right.kind.name()
            ),
        ),
        (Type::Time, Type::Text(_)) | (Type::Text(_), Type::Time) => fail(
            offset,
            format!(
                "{} is {} and {} is {}; write timestamp(\"2024-01-31T00:00:00Z\")",
                left.show(),
                left.kind.name(),
                right.show(),
                right.kind.name()
            ),
        ),
        (Type::Span, Type::Text(_)) | (Type::Text(_), Type::Span) => fail(
            offset,
            format!(
                "{} is {} and {} is {}; write duration(\"24h\")",
                left.show(),
                left.kind.name(),
                right.show(),
                right.kind.name()
            ),
        ),
        (Type::Record | Type::Array | Type::Map, _) | (_, Type::Record | Type::Array | Type::Map) => {
            fail(offset, "records, arrays and maps compare only with null; compare a field, or size()")
        }
        (a, b) => fail(
            offset,
            format!(
                "{} is {} and {} is {}, which never compare; write both in one type",
                left.show(),
                a.name(),
                right.show(),
                b.name()
            ),
        ),
    }
}

fn to_decimal(literal: &mut Typed, beside: Type) -> Checked<()> {
    let Node::Const(Const::Double(value)) = literal.node else {
        return Ok(());
    };
    if beside != Type::Decimal {
        return Ok(());
    }
    match number::decimal_of(value) {
        Some((unscaled, scale)) => {
            literal.node = Node::Const(Const::Decimal(unscaled, scale));
            literal.kind = Type::Decimal;
            Ok(())
        }
        None => fail(literal.offset, "the number is beyond every decimal; write a smaller one"),
    }
}

/// A literal that an enumeration is compared with must be one of its symbols, or the comparison is idle.
fn symbol(schema: &Schema, field: &Typed, literal: &Typed) -> Checked<()> {
    let (Type::Text(Some(id)), Node::Const(Const::Text(text))) = (field.kind, &literal.node) else {
        return Ok(());
    };
    let Kind::Enum(enumeration) = &schema.node(id).kind else {
        return Ok(());
    };
    if enumeration.symbols.iter().any(|symbol| **symbol == **text) {
        return Ok(());
    }
    let hint = match nearest(text, enumeration.symbols.iter().map(String::as_str)) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("it has {}", enumeration.symbols.iter().take(8).cloned().collect::<Vec<_>>().join(", ")),
    };
    fail(literal.offset, format!("{} has no symbol \"{text}\"; {hint}", field.show()))
}

fn compute(operator: Operator, mut left: Typed, mut right: Typed, offset: usize) -> Checked<Typed> {
    to_decimal(&mut left, right.kind)?;
    to_decimal(&mut right, left.kind)?;
    let sum = matches!(operator, Operator::Add | Operator::Subtract);
    let kind = match (left.kind, right.kind) {
        (Type::Text(_), Type::Text(_)) if operator == Operator::Add => {
            return Ok(made_of(Function::Concat, vec![left.node, right.node], Type::Text(None), offset));
        }
        (Type::Int, Type::Int) => Type::Int,
        (Type::Double, Type::Double) if operator != Operator::Remainder => Type::Double,
        (Type::Decimal, Type::Int | Type::Decimal) | (Type::Int, Type::Decimal)
            if sum || operator == Operator::Multiply =>
        {
            Type::Decimal
        }
        (Type::Time, Type::Span) if sum => Type::Time,
        (Type::Span, Type::Time) if operator == Operator::Add => Type::Time,
        (Type::Time, Type::Time) if operator == Operator::Subtract => Type::Span,
        (Type::Span, Type::Span) if sum => Type::Span,
        _ => return fail(offset, misfit(operator, &left, &right)),
    };
    Ok(made(Node::Arithmetic(operator, Box::new([left.node, right.node])), kind, offset))
}

/// What to write instead of arithmetic that has no type.
fn misfit(operator: Operator, left: &Typed, right: &Typed) -> String {
    let sign = match operator {
        Operator::Add => "+",
        Operator::Subtract => "-",
        Operator::Multiply => "*",
        Operator::Divide => "/",
        Operator::Remainder => "%",
    };
    let fact = format!("{} is {} and {} is {}", left.show(), left.kind.name(), right.show(), right.kind.name());
    let fix = match (left.kind, right.kind) {
        (Type::Int, Type::Double) | (Type::Double, Type::Int) if operator != Operator::Remainder => {
            let int = if left.kind == Type::Int { left } else { right };
            match (&int.node, &int.path) {
                (Node::Const(Const::Int(value)), _) => format!("write {value}.0"),
                (_, Some(path)) => format!("write double({path})"),
                _ => "write double(…) around the int".to_owned(),
            }
        }
        (Type::Double, Type::Double) => "`%` takes int; write int(…) around both".to_owned(),
        (Type::Double, Type::Decimal) | (Type::Decimal, Type::Double) => {
            "write double(…) around the decimal, or make both decimal in the schema".to_owned()
        }
        (Type::Decimal, _) | (_, Type::Decimal) if matches!(operator, Operator::Divide | Operator::Remainder) => {
            "decimals do not divide exactly; multiply the other side instead".to_owned()
        }
        (Type::Text(_), Type::Text(_)) => "strings are only joined, with `+`".to_owned(),
        (Type::Text(_), _) | (_, Type::Text(_)) if operator == Operator::Add => {
            "write string(…) around what is no string".to_owned()
        }
        (Type::Null, _) | (_, Type::Null) => "null cannot be computed with; test `!= null` first".to_owned(),
        (Type::Array | Type::Map, _) | (_, Type::Array | Type::Map) => {
            "write size(…) for the number of items".to_owned()
        }
        (Type::Time, Type::Int) | (Type::Int, Type::Time) => "write duration(\"24h\") for a span of time".to_owned(),
        _ => "write both sides in one numeric type".to_owned(),
    };
    format!("`{sign}` does not fit here: {fact}; {fix}")
}
