//! Random rules on one value each, and whether a value keeps them: slow, obvious, and written without a
//! look at the product's code.

use std::sync::Arc;

use contract::{Check, Format, Native, Path, Rule, RuleId, Segment, Severity};

use super::random::Random;
use super::read::{Seen, unscaled};
use super::schema::{Body, Mark, NULL, Primitive, Schema, Type};

/// What a pattern means.
type Meaning = fn(&str) -> bool;

/// Patterns with what they mean.
const PATTERNS: [(&str, Meaning); 4] = [
    ("^[a-zé]*7?$", |text| {
        let rest = text.strip_suffix('7').unwrap_or(text);
        rest.chars().all(|letter| letter.is_ascii_lowercase() || letter == 'é')
    }),
    ("7", |text| text.contains('7')),
    ("^.{2,3}$", |text| (2..=3).contains(&text.chars().count()) && !text.contains('\n')),
    ("漢|^a", |text| text.contains('漢') || text.starts_with('a')),
];

const DEEPEST: usize = 5;

/// The one branch beside null of a union of two.
pub(crate) fn nullable(kind: &Type) -> Option<&Type> {
    match kind {
        Type::Union(branches) => match branches.as_slice() {
            [NULL, other] | [other, NULL] => Some(other),
            _ => None,
        },
        _ => None,
    }
}

/// Random rules that fit a contract's schema.
pub(crate) fn random(schema: &Schema, random: &mut Random) -> Vec<Rule> {
    let mut rules = Vec::new();
    under(schema, &schema.root(), &mut Vec::new(), random, &mut rules);
    rules
}

fn under(schema: &Schema, kind: &Type, path: &mut Vec<Segment>, random: &mut Random, rules: &mut Vec<Rule>) {
    let inner = nullable(kind).unwrap_or(kind);
    let null = !path.is_empty() && random.one_in(if std::ptr::eq(inner, kind) { 12 } else { 4 });
    let check = if random.one_in(2) { check(schema, inner, random) } else { None };
    for check in check.into_iter().chain(null.then_some(Check::NotNull)) {
        let id = RuleId::new(format!("r{}", rules.len()));
        rules.push(Rule { id, path: Path(path.clone()), check, severity: Severity::Error, description: None });
    }
    if path.len() >= DEEPEST {
        return;
    }
    let mut step = |segment, kind: &Type, random: &mut Random| {
        path.push(segment);
        under(schema, kind, path, random, rules);
        path.pop();
    };
    match inner {
        Type::Array(item) => step(Segment::Items, item, random),
        Type::Map(value) => step(Segment::Values, value, random),
        Type::Named(index) => {
            for field in schema.fields(*index).unwrap_or_default() {
                step(Segment::Field(Arc::from(field.name.as_str())), &field.kind, random);
            }
        }
        _ => {}
    }
}

fn check(schema: &Schema, kind: &Type, random: &mut Random) -> Option<Check> {
    let length = |random: &mut Random| Check::Length {
        min: (!random.one_in(3)).then_some(1),
        max: (!random.one_in(3)).then(|| 1 + random.below(3) as u64),
    };
    Some(match kind {
        Type::Primitive(_, Some(Mark::Decimal { .. })) => decimal(random),
        Type::Primitive(primitive, _) => match primitive {
            Primitive::Null => return None,
            Primitive::Boolean => Check::OneOf(vec![Native::Bool(random.one_in(2))]),
            Primitive::Int | Primitive::Long => whole(random),
            Primitive::Float | Primitive::Double => real(random),
            Primitive::Text => text(random),
            Primitive::Bytes if random.one_in(3) => Check::NoneOf(vec![Native::Bytes(Arc::from(&b"a"[..]))]),
            Primitive::Bytes => length(random),
        },
        // Records, arrays and maps are compared as they were written, which no reader sees.
        Type::Array(item) if scalar(schema, item) && random.one_in(2) => Check::UniqueItems,
        Type::Array(_) | Type::Map(_) => length(random),
        Type::Union(_) => return None,
        Type::Named(index) => match &schema.named[*index].body {
            Body::Record(_) => return None,
            Body::Fixed { mark: Some(Mark::Decimal { .. }), .. } => decimal(random),
            Body::Fixed { .. } => length(random),
            Body::Enum { symbols, .. } => {
                let some = vec![Native::Text(Arc::from(random.pick(symbols).as_str()))];
                if random.one_in(2) { Check::OneOf(some) } else { Check::NoneOf(some) }
            }
        },
    })
}

fn scalar(schema: &Schema, kind: &Type) -> bool {
    match kind {
        Type::Primitive(..) => true,
        Type::Union(branches) => branches.iter().all(|branch| scalar(schema, branch)),
        Type::Named(index) => schema.fields(*index).is_none(),
        Type::Array(_) | Type::Map(_) => false,
    }
}

fn range(random: &mut Random, native: impl Fn(i64) -> Native) -> Check {
    let min = random.below(12) as i64 - 9;
    let max = min + random.below(9) as i64;
    let (low, high) = ((native(min), random.one_in(2)), (native(max), random.one_in(2)));
    match random.below(3) {
        0 => Check::Range { min: Some(low), max: None },
        1 => Check::Range { min: None, max: Some(high) },
        _ => Check::Range { min: Some(low), max: Some(high) },
    }
}

fn whole(random: &mut Random) -> Check {
    match random.below(5) {
        0 => Check::MultipleOf(Native::Int(1 + random.below(3) as i64)),
        1 => Check::OneOf((0..1 + random.below(12)).map(|_| Native::Int(random.whole())).collect()),
        2 => Check::NoneOf(vec![Native::Int(random.whole()), Native::Int(-3)]),
        _ => range(random, Native::Int),
    }
}

fn real(random: &mut Random) -> Check {
    match random.below(4) {
        0 => Check::MultipleOf(Native::Float(*random.pick(&[0.5, 1.0, 2.5]))),
        1 => Check::NoneOf(vec![Native::Float(1.5), Native::Float(0.0)]),
        _ => range(random, |number| Native::Float(number as f64 / 2.0)),
    }
}

fn decimal(random: &mut Random) -> Check {
    match random.below(4) {
        0 => Check::MultipleOf(Native::Decimal(*random.pick(&[25, 50, 3]))),
        1 => Check::OneOf(vec![Native::Decimal(25), Native::Decimal(-50), Native::Decimal(0)]),
        _ => range(random, |number| Native::Decimal(i128::from(number) * 25)),
    }
}

fn text(random: &mut Random) -> Check {
    match random.below(6) {
        0 => Check::Length { min: Some(1), max: Some(3) },
        1 => Check::Format(*random.pick(&[Format::Uuid, Format::Ipv4, Format::Date])),
        // Few are compared one by one, many are looked up.
        2 => Check::OneOf((0..12).map(|index| Native::Text(Arc::from("a".repeat(index)))).collect()),
        3 => Check::NoneOf(vec![Native::Text(Arc::from("")), Native::Text(Arc::from("7"))]),
        _ => Check::Pattern(Arc::from(random.pick(&PATTERNS).0)),
    }
}

/// The values at a path; null where a parent is.
pub(crate) fn at<'v>(value: &'v Seen, path: &[Segment], found: &mut Vec<&'v Seen>) {
    match (path.split_first(), value) {
        (None, value) => found.push(value),
        (Some(_), Seen::Null) if path.iter().all(|segment| matches!(segment, Segment::Field(_))) => found.push(value),
        (Some((Segment::Field(name), rest)), Seen::Record(fields)) => {
            for (_, value) in fields.iter().filter(|(field, _)| **field == **name) {
                at(value, rest, found);
            }
        }
        (Some((Segment::Items, rest)), Seen::Items(items)) => items.iter().for_each(|item| at(item, rest, found)),
        (Some((Segment::Values, rest)), Seen::Entries(values)) => {
            values.iter().for_each(|(_, value)| at(value, rest, found));
        }
        _ => {}
    }
}

/// Whether a value keeps a rule. Null keeps all but one; a value that is not of the contract's type has
/// broken another rule.
pub(crate) fn keeps(check: &Check, value: &Seen) -> bool {
    match (check, value) {
        (Check::NotNull, value) => *value != Seen::Null,
        (_, Seen::Null | Seen::Misfit) => true,
        (Check::Range { min, max }, value) => within(value, min.as_ref(), max.as_ref()),
        (Check::MultipleOf(step), value) => multiple(value, step),
        (Check::Length { min, max }, value) => {
            let length = match value {
                Seen::Text(text) | Seen::Symbol(text) => text.chars().count(),
                Seen::Bytes(bytes) => bytes.len(),
                Seen::Items(items) => items.len(),
                Seen::Entries(entries) => entries.len(),
                _ => return true,
            } as u64;
            min.is_none_or(|min| length >= min) && max.is_none_or(|max| length <= max)
        }
        (Check::Pattern(pattern), Seen::Text(text)) => {
            PATTERNS.iter().any(|(known, means)| **known == **pattern && means(text))
        }
        (Check::Format(format), Seen::Text(text)) => has_format(*format, text),
        (Check::OneOf(values), value) => values.iter().any(|native| is(native, value)),
        (Check::NoneOf(values), value) => !values.iter().any(|native| is(native, value)),
        (Check::UniqueItems, Seen::Items(items)) => {
            (0..items.len()).all(|one| (0..one).all(|other| !same_item(&items[one], &items[other])))
        }
        _ => true,
    }
}

fn is(native: &Native, value: &Seen) -> bool {
    match (native, value) {
        (Native::Bool(wanted), Seen::Bool(value)) => wanted == value,
        (Native::Int(wanted), Seen::Whole(value)) => wanted == value,
        (Native::Float(wanted), Seen::Double(value)) => wanted == value,
        (Native::Float(wanted), Seen::Single(value)) => *wanted == f64::from(*value),
        (Native::Text(wanted), Seen::Text(value) | Seen::Symbol(value)) => **wanted == **value,
        (Native::Bytes(wanted), Seen::Bytes(value)) => **wanted == **value,
        (Native::Decimal(wanted), Seen::Decimal(bytes)) => unscaled(bytes) == Some(*wanted),
        _ => false,
    }
}

/// Items of an array are the same if a consumer could not tell them apart; NaN is itself here, and the two
/// zeros are one.
fn same_item(one: &Seen, other: &Seen) -> bool {
    match (one, other) {
        (Seen::Double(a), Seen::Double(b)) => a == b || a.to_bits() == b.to_bits(),
        (Seen::Single(a), Seen::Single(b)) => a == b || f64::from(*a).to_bits() == f64::from(*b).to_bits(),
        (Seen::Decimal(a), Seen::Decimal(b)) => unscaled(a) == unscaled(b),
        (Seen::Misfit, Seen::Misfit) => false,
        _ => one == other,
    }
}

fn within(value: &Seen, min: Option<&(Native, bool)>, max: Option<&(Native, bool)>) -> bool {
    // Above 0: beyond the bound on the wrong side; 0: on it.
    let low = min.is_none_or(|(bound, excluded)| match distance(value, bound) {
        Some(above) => above > 0.0 || above == 0.0 && !excluded,
        None => false,
    });
    let high = max.is_none_or(|(bound, excluded)| match distance(value, bound) {
        Some(above) => above < 0.0 || above == 0.0 && !excluded,
        None => false,
    });
    low && high
}

/// How far a number lies above a bound, by its sign; `None` for NaN.
fn distance(value: &Seen, bound: &Native) -> Option<f64> {
    let sign = |order: std::cmp::Ordering| f64::from(order as i8);
    match (value, bound) {
        (Seen::Whole(value), Native::Int(bound)) => Some(sign(value.cmp(bound))),
        (Seen::Decimal(bytes), Native::Decimal(bound)) => Some(sign(unscaled(bytes)?.cmp(bound))),
        (Seen::Double(value), Native::Float(bound)) => value.partial_cmp(bound).map(sign),
        (Seen::Single(value), Native::Float(bound)) => f64::from(*value).partial_cmp(bound).map(sign),
        _ => panic!("{bound:?} is no bound of {value:?}"),
    }
}

fn multiple(value: &Seen, step: &Native) -> bool {
    let real = |value: f64, step: f64| {
        let quotient = value / step;
        if !quotient.is_finite() {
            return false;
        }
        let place = f64::from_bits(quotient.abs().to_bits() + 1) - quotient.abs();
        (quotient - quotient.round()).abs() <= 3.0 * place
    };
    match (value, step) {
        (Seen::Whole(value), Native::Int(step)) => i128::from(*value) % i128::from(*step) == 0,
        (Seen::Decimal(bytes), Native::Decimal(step)) => unscaled(bytes).is_some_and(|value| value % step == 0),
        (Seen::Double(value), Native::Float(step)) => real(*value, *step),
        (Seen::Single(value), Native::Float(step)) => real(f64::from(*value), *step),
        _ => panic!("{value:?} is no multiple of {step:?}"),
    }
}

fn has_format(format: Format, text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match format {
        Format::Ipv4 => {
            let parts: Vec<&str> = text.split('.').collect();
            parts.len() == 4
                && parts.iter().all(|part| {
                    let plain = part.len() == 1 || !part.starts_with('0');
                    digits(part) && plain && part.parse::<u64>().is_ok_and(|number| number < 256)
                })
        }
        Format::Uuid => {
            let lengths: Vec<usize> = text.split('-').map(str::len).collect();
            lengths == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
        }
        Format::Date => {
            let parts: Vec<&str> = text.split('-').collect();
            let [year, month, day] = parts.as_slice() else { return false };
            if [year.len(), month.len(), day.len()] != [4, 2, 2] || !parts.iter().all(|part| digits(part)) {
                return false;
            }
            let [year, month, day] = [year, month, day].map(|part| part.parse::<u32>().expect("digits"));
            let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
            let days = match month {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                1..=12 => 31,
                _ => 0,
            };
            (1..=days).contains(&day)
        }
        other => panic!("{other:?} is not generated"),
    }
}
