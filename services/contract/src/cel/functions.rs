//! Functions that are called on a value: of strings, times and durations.

use regex::RegexBuilder;

use super::MAX_PATTERN_BYTES;
use super::check::{Checked, Type, Typed, fail};
use super::eval::{Const, Function, Node, TextTest};
use super::operators::{made, made_of, unknown_function};
use super::time::{self, PARTS, Part};

/// What an argument must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wants {
    Text,
    Int,
}

/// A function of a string.
struct Signature {
    name: &'static str,
    function: Function,
    /// The first so many arguments must be there.
    least: usize,
    wants: &'static [Wants],
    gives: Type,
    usage: &'static str,
}

const TEXT: Type = Type::Text(None);

const SIGNATURES: [Signature; 9] = [
    signature("lowerAscii", Function::LowerAscii, 0, &[], TEXT, "code.lowerAscii()"),
    signature("upperAscii", Function::UpperAscii, 0, &[], TEXT, "code.upperAscii()"),
    signature("trim", Function::Trim, 0, &[], TEXT, "name.trim()"),
    signature("reverse", Function::Reverse, 0, &[], TEXT, "code.reverse()"),
    signature("charAt", Function::CharAt, 1, &[Wants::Int], TEXT, "code.charAt(0)"),
    signature("substring", Function::Substring, 1, &[Wants::Int, Wants::Int], TEXT, "code.substring(0, 2)"),
    signature("indexOf", Function::IndexOf, 1, &[Wants::Text, Wants::Int], Type::Int, "code.indexOf(\"-\")"),
    signature(
        "lastIndexOf",
        Function::LastIndexOf,
        1,
        &[Wants::Text, Wants::Int],
        Type::Int,
        "code.lastIndexOf(\"-\")",
    ),
    signature(
        "replace",
        Function::Replace,
        2,
        &[Wants::Text, Wants::Text, Wants::Int],
        TEXT,
        "code.replace(\"-\", \"\")",
    ),
];

const fn signature(
    name: &'static str,
    function: Function,
    least: usize,
    wants: &'static [Wants],
    gives: Type,
    usage: &'static str,
) -> Signature {
    Signature { name, function, least, wants, gives, usage }
}

const TESTS: [(&str, Option<TextTest>); 4] = [
    ("startsWith", Some(TextTest::StartsWith)),
    ("endsWith", Some(TextTest::EndsWith)),
    ("contains", Some(TextTest::Contains)),
    ("matches", None),
];

/// Names of all functions that are called on a value.
pub(super) fn methods() -> impl Iterator<Item = &'static str> {
    let tests = TESTS.iter().map(|(name, _)| *name);
    let texts = SIGNATURES.iter().map(|one| one.name);
    tests.chain(texts).chain(["split", "join"]).chain(PARTS.iter().map(|(name, _)| *name))
}

pub(super) fn is_method(name: &str) -> bool {
    methods().any(|known| known == name)
}

/// How a method is written.
pub(super) fn usage(name: &str) -> String {
    match (SIGNATURES.iter().find(|one| one.name == name), name) {
        (Some(one), _) => one.usage.to_owned(),
        (None, "split") => "code.split(\"-\")".to_owned(),
        (None, "join") => "tags.join(\",\")".to_owned(),
        (None, _) if name.starts_with("get") => format!("placed_at.{name}()"),
        (None, _) => format!("name.{name}(\"A\")"),
    }
}

/// Functions on a target.
pub(super) fn method(name: &str, target: Typed, args: Vec<Typed>, offset: usize) -> Checked<Typed> {
    if let Some((name, kind)) = TESTS.iter().find(|(known, _)| *known == name) {
        return test(name, *kind, target, args, offset);
    }
    if let Some((_, part)) = PARTS.iter().find(|(known, _)| *known == name) {
        return part_of(name, *part, target, &args, offset);
    }
    let Some(signature) = SIGNATURES.iter().find(|one| one.name == name) else {
        return unknown_function(name, offset);
    };
    if !matches!(target.kind, Type::Text(_)) {
        return fail(
            target.offset,
            format!("{name}() is called on a string, and {} is {}", target.show(), target.kind.name()),
        );
    }
    if args.len() < signature.least || args.len() > signature.wants.len() {
        return fail(
            offset,
            format!("{name}() has {} arguments here, which is not how it is written: {}", args.len(), signature.usage),
        );
    }
    let mut nodes = vec![target.node];
    for (argument, wants) in args.into_iter().zip(signature.wants) {
        let fits = match wants {
            Wants::Text => matches!(argument.kind, Type::Text(_)),
            Wants::Int => argument.kind == Type::Int,
        };
        if !fits {
            return fail(
                argument.offset,
                format!(
                    "{name}() does not take {}, which is {}; write it as in {}",
                    argument.show(),
                    argument.kind.name(),
                    signature.usage
                ),
            );
        }
        nodes.push(argument.node);
    }
    Ok(made_of(signature.function, nodes, signature.gives, offset))
}

/// `placed_at.getHours("+02:00")`, `(now - placed_at).getHours()`.
fn part_of(name: &str, part: Part, target: Typed, args: &[Typed], offset: usize) -> Checked<Typed> {
    let of_span = matches!(part, Part::Hours | Part::Minutes | Part::Seconds | Part::Milliseconds);
    match target.kind {
        Type::Time => {}
        Type::Span if of_span && args.is_empty() => {}
        Type::Span if of_span => return fail(offset, format!("{name}() of a duration takes no time zone")),
        _ => {
            let of = if of_span { "a timestamp or duration" } else { "a timestamp" };
            return fail(
                target.offset,
                format!("{name}() is called on {of}, and {} is {}", target.show(), target.kind.name()),
            );
        }
    }
    let east = match args {
        [] => 0,
        [Typed { node: Node::Const(Const::Text(text)), offset, .. }] => match time::zone(text) {
            Some(east) => east,
            None => {
                return fail(
                    *offset,
                    format!(
                        "\"{text}\" is not an offset from UTC; write one, as in {name}(\"+02:00\"): what a zone's name \
                         means changes with the machine's files, and a verdict must not"
                    ),
                );
            }
        },
        _ => return fail(offset, format!("{name}() takes an offset from UTC in quotes, as in {name}(\"+02:00\")")),
    };
    Ok(made_of(Function::Part(part, east), vec![target.node], Type::Int, offset))
}

/// Tests of a string: `startsWith`, `endsWith`, `contains`, and `matches` where there is no test.
fn test(function: &str, test: Option<TextTest>, target: Typed, args: Vec<Typed>, offset: usize) -> Checked<Typed> {
    if !matches!(target.kind, Type::Text(_)) {
        return fail(
            target.offset,
            format!("{function}() is called on a string, and {} is {}", target.show(), target.kind.name()),
        );
    }
    let count = args.len();
    let (Some(argument), 1) = (args.into_iter().next(), count) else {
        return fail(offset, format!("{function}() takes one argument, as in name.{function}(\"A\")"));
    };
    if !matches!(argument.kind, Type::Text(_)) {
        return fail(
            argument.offset,
            format!(
                "{function}() takes a string, and {} is {}; write it in quotes",
                argument.show(),
                argument.kind.name()
            ),
        );
    }
    let node = match (test, argument.node) {
        (Some(test), node) => Node::Text(test, Box::new([target.node, node])),
        (None, Node::Const(Const::Text(pattern))) => {
            match RegexBuilder::new(&pattern).size_limit(MAX_PATTERN_BYTES).dfa_size_limit(MAX_PATTERN_BYTES).build() {
                Ok(regex) => Node::Matches(Box::new(target.node), regex),
                Err(regex::Error::CompiledTooBig(_)) => {
                    return fail(
                        argument.offset,
                        format!(
                            "the pattern needs more than {MAX_PATTERN_BYTES} bytes; write a simpler one, with smaller repetitions"
                        ),
                    );
                }
                Err(_) => {
                    return fail(
                        argument.offset,
                        format!(
                            "\"{pattern}\" is not a regular expression that CEL knows (RE2 syntax: no look-around, no back-references)"
                        ),
                    );
                }
            }
        }
        (None, _) => {
            return fail(argument.offset, "matches() takes a pattern in quotes, as in code.matches(\"^[A-Z]{2}$\")");
        }
    };
    Ok(made(node, Type::Bool, offset))
}
