//! From text to the `cel` crate's syntax tree, with bounds held before its recursive parser runs, and its
//! errors put in words.

use cel::IdedExpr;
use cel::common::ast::SourceInfo;
use cel::parser::{ParseErrors, Parser};

use super::{CelError, MAX_CHAIN, MAX_DEPTH, MAX_SOURCE_BYTES};

/// A parsed expression and where its nodes were written.
pub(super) struct Parsed {
    /// The tree.
    pub(super) root: IdedExpr,
    /// Offsets by node.
    pub(super) info: SourceInfo,
}

impl Parsed {
    /// Where a node's own token starts, in bytes.
    pub(super) fn offset(&self, id: u64) -> usize {
        self.info.offset_for(id).map_or(0, |(start, _)| start as usize)
    }
}

/// Parses within bounds.
pub(super) fn parse(source: &str) -> Result<Parsed, CelError> {
    if source.len() > MAX_SOURCE_BYTES {
        return Err(CelError {
            offset: MAX_SOURCE_BYTES,
            message: format!(
                "the expression has {} bytes and {MAX_SOURCE_BYTES} are allowed; split it into several rules",
                source.len()
            ),
        });
    }
    if source.trim().is_empty() {
        return Err(CelError {
            offset: 0,
            message: "the expression is empty; write a condition such as `total >= 0`".into(),
        });
    }
    bound(source)?;
    let depth = u16::try_from(MAX_DEPTH).unwrap_or(u16::MAX);
    match Parser::new().max_recursion_depth(depth).parse_with_source_info(source) {
        Ok((root, info)) => Ok(Parsed { root, info }),
        Err(errors) => Err(explain(source, &errors)),
    }
}

/// Refuses what would make the parser recurse deeply: it builds one level per operator of a chain such as
/// `1 + 1 + 1 …` and several per bracket.
fn bound(source: &str) -> Result<(), CelError> {
    let too_deep = |offset, message: String| Err(CelError { offset, message });
    let bytes = source.as_bytes();
    let mut levels = vec![0_usize];
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        at += 1;
        match byte {
            b'"' | b'\'' => {
                at = end_of_string(bytes, start);
                count(&mut levels);
            }
            b'(' | b'[' | b'{' => {
                count(&mut levels);
                levels.push(0);
                if levels.len() > MAX_DEPTH {
                    return too_deep(
                        start,
                        format!("brackets nest deeper than {MAX_DEPTH}; split the expression into several rules"),
                    );
                }
            }
            b')' | b']' | b'}' if levels.len() > 1 => {
                levels.pop();
            }
            b'&' | b'|' | b',' => {
                if let Some(last) = levels.last_mut() {
                    *last = 0;
                }
            }
            b'/' if bytes.get(at) == Some(&b'/') => {
                while bytes.get(at).is_some_and(|byte| *byte != b'\n') {
                    at += 1;
                }
            }
            byte if is_word(byte) => {
                while bytes.get(at).copied().is_some_and(is_word) {
                    at += 1;
                }
                count(&mut levels);
            }
            b'!' | b'-' | b'?' => count(&mut levels),
            _ => {}
        }
        if levels.iter().sum::<usize>() > MAX_CHAIN {
            return too_deep(
                start,
                format!(
                    "more than {MAX_CHAIN} names and literals follow each other here; split the expression into several rules"
                ),
            );
        }
    }
    Ok(())
}

fn count(levels: &mut [usize]) {
    if let Some(last) = levels.last_mut() {
        *last += 1;
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Just behind the string literal that starts at `start`; the end of the source where it is not closed.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let quote = bytes.get(start).copied().unwrap_or(b'"');
    let triple = bytes.get(start..start + 3).is_some_and(|three| three.iter().all(|byte| *byte == quote));
    let raw = start > 0 && bytes.get(start - 1).is_some_and(|byte| matches!(byte, b'r' | b'R'));
    let mut at = start + if triple { 3 } else { 1 };
    while let Some(&byte) = bytes.get(at) {
        if byte == b'\\' && !raw {
            at += 2;
        } else if triple && bytes.get(at..at + 3).is_some_and(|three| three.iter().all(|byte| *byte == quote)) {
            return at + 3;
        } else if !triple && byte == quote {
            return at + 1;
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// The first error, at its byte, in words.
fn explain(source: &str, errors: &ParseErrors) -> CelError {
    let Some(first) = errors.errors.first() else {
        return CelError { offset: 0, message: "the expression is not CEL".into() };
    };
    let offset = byte_of(source, first.pos);
    let rest = source.get(offset..).unwrap_or_default();
    let message = if first.msg.contains("has() macro") {
        "has() asks for a field of a record, as in has(customer.email); for a field of the record itself write `email != null`".to_owned()
    } else if rest.starts_with('=') {
        "`=` compares nothing in CEL; write `==`".to_owned()
    } else if rest.starts_with('&') {
        "write `&&` for and".to_owned()
    } else if rest.starts_with('|') {
        "write `||` for or".to_owned()
    } else if let Some(word) =
        ["and", "or", "not", "AND", "OR", "NOT"].into_iter().find(|word| is_first_word(rest, word))
    {
        let sign = match word.to_ascii_lowercase().as_str() {
            "and" => "&&",
            "or" => "||",
            _ => "!",
        };
        format!("CEL has no word `{word}`; write `{sign}`")
    } else if rest.starts_with("<>")
        || (rest.starts_with('>') && source.get(..offset).is_some_and(|before| before.ends_with('<')))
    {
        "write `!=` for not equal".to_owned()
    } else if rest.trim().is_empty() || first.msg.contains("<EOF>") && offset >= source.trim_end().len() {
        "the expression ends too early; write the operand or the closing bracket that is missing".to_owned()
    } else if first.msg.contains("invalid int literal") {
        "the number does not fit 64 bits".to_owned()
    } else {
        let shown: String = rest.chars().take(20).collect();
        format!("`{}` cannot stand here; check the operator or bracket before it", shown.trim_end())
    };
    CelError { offset, message }
}

fn is_first_word(text: &str, word: &str) -> bool {
    text.strip_prefix(word).is_some_and(|rest| !rest.bytes().next().is_some_and(is_word))
}

/// The parser's line and column, both from 1, as a byte offset.
fn byte_of(source: &str, (line, column): (isize, isize)) -> usize {
    let (line, column) = (usize::try_from(line).unwrap_or(0), usize::try_from(column).unwrap_or(0));
    let before: usize = source.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let mut offset = (before + column.saturating_sub(1)).min(source.len());
    while !source.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// The nanoseconds since the epoch of `timestamp("…")`: RFC 3339, or a date alone for its midnight in UTC.
pub(super) fn timestamp(text: &str) -> Option<i128> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_nanosecond());
    }
    let date = text.parse::<jiff::civil::Date>().ok().filter(|_| text.len() == 10)?;
    let midnight = jiff::tz::TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()?;
    Some(midnight.as_nanosecond())
}

/// The nanoseconds of `duration("…")`: numbers with the units h, m, s, ms, us and ns, signed as a whole.
pub(super) fn duration(text: &str) -> Option<i128> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let nanos: i128 = match unit {
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" | "µs" => 1_000,
            "ns" => 1,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.len() > 12 || number.is_empty() || number == "." {
            return None;
        }
        let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
        let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
        total = total.checked_add(digits.checked_mul(nanos)? / scale)?;
        rest = tail;
    }
    Some(if negative { -total } else { total })
}
