//! Functions of strings, over vectors of characters.

use super::evaluate::Value;

/// What a function gives; `None` for an index out of range.
pub(super) fn call(name: &str, text: &str, args: &[Value]) -> Option<Value> {
    let chars: Vec<char> = text.chars().collect();
    let made = |chars: &[char]| Some(Value::Text(chars.iter().collect()));
    let index = |at: usize| match args.get(at) {
        Some(Value::Int(index)) => Some(*index),
        _ => None,
    };
    let part = |at: usize| match args.get(at) {
        Some(Value::Text(part)) => part.chars().collect::<Vec<char>>(),
        other => panic!("{name} of {other:?}"),
    };
    match name {
        "lowerAscii" => made(&chars.iter().map(char::to_ascii_lowercase).collect::<Vec<char>>()),
        "upperAscii" => made(&chars.iter().map(char::to_ascii_uppercase).collect::<Vec<char>>()),
        "trim" => Some(Value::Text(text.trim().to_owned())),
        "reverse" => made(&chars.iter().rev().copied().collect::<Vec<char>>()),
        "charAt" => match usize::try_from(index(0)?).ok()? {
            end if end == chars.len() => made(&[]),
            at => made(&[*chars.get(at)?]),
        },
        "substring" => {
            let start = usize::try_from(index(0)?).ok()?;
            let end = index(1).map_or(Some(chars.len()), |end| usize::try_from(end).ok())?;
            made(chars.get(start..end)?)
        }
        "indexOf" | "lastIndexOf" => found(&chars, &part(0), index(1), name == "indexOf").map(Value::Int),
        "replace" => made(&replaced(&chars, &part(0), &part(1), index(2).unwrap_or(-1))),
        _ => panic!("no function {name}"),
    }
}

fn found(chars: &[char], part: &[char], from: Option<i64>, first: bool) -> Option<i64> {
    let length = chars.len() as i64;
    match from {
        Some(from) if part.is_empty() => return Some(from.min(length)),
        Some(from) if !(0..length).contains(&from) => return None,
        _ => {}
    }
    let hits = (0..=chars.len()).filter(|at| chars[*at..].starts_with(part)).map(|at| at as i64);
    let hit = match (first, from) {
        (true, from) => hits.filter(|at| *at >= from.unwrap_or(0)).min(),
        (false, from) => hits.filter(|at| *at <= from.unwrap_or(length)).max(),
    };
    Some(hit.unwrap_or(-1))
}

fn replaced(chars: &[char], from: &[char], to: &[char], most: i64) -> Vec<char> {
    let (mut made, mut left, mut at) = (Vec::new(), most, 0);
    while at <= chars.len() {
        if left != 0 && chars[at..].starts_with(from) {
            left -= 1;
            made.extend(to);
            at += from.len();
            if !from.is_empty() {
                continue;
            }
        }
        made.extend(chars.get(at));
        at += 1;
    }
    made
}

/// A value as `string()` writes it.
pub(super) fn written(value: &Value) -> Option<String> {
    Some(match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Double(value) => value.to_string(),
        Value::Text(text) => text.clone(),
        Value::Decimal(value, scale) => {
            let scale = *scale as usize;
            let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
            let (whole, part) = digits.split_at(digits.len() - scale);
            let (sign, dot) = (if *value < 0 { "-" } else { "" }, if scale > 0 { "." } else { "" });
            format!("{sign}{whole}{dot}{part}")
        }
        Value::Span(nanos) => {
            let (sign, size) = (if *nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
            let text = format!("{sign}{}.{:09}", size / 1_000_000_000, size % 1_000_000_000);
            format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => return None,
    })
}
