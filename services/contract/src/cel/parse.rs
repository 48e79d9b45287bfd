//! From text to the `cel` crate's syntax tree, with bounds held before its recursive parser runs, and its
//! errors put in words.

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr, IdedEntryExpr, SourceInfo};
use cel::parser::{ParseErrors, Parser};

use super::{CelError, MAX_CHAIN, MAX_DEPTH, MAX_SOURCE_BYTES};

/// The parser's stack: enough for as many levels as the longest source has bytes.
const STACK_BYTES: usize = 64 << 20;

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
    on_a_large_stack(source)
}

fn on_a_large_stack(source: &str) -> Result<Parsed, CelError> {
    // What the scan before lets through, such as a chain broken by characters that the parser leaves out,
    // still has at most MAX_SOURCE_BYTES levels: a stack for all of them costs nothing until it is used.
    // The thread also keeps a panic of the parser from being ours.
    std::thread::scope(|scope| {
        let parser = std::thread::Builder::new().name("cel".into()).stack_size(STACK_BYTES);
        let thread = parser.spawn_scoped(scope, || recursive(source)).map_err(|error| CelError {
            offset: 0,
            message: format!("the expression cannot be parsed now, no thread can be started: {error}; try again"),
        })?;
        thread.join().unwrap_or_else(|_| {
            Err(CelError {
                offset: 0,
                message: "the parser cannot make anything of the expression; write it more simply".into(),
            })
        })
    })
}

fn recursive(source: &str) -> Result<Parsed, CelError> {
    let depth = u16::try_from(MAX_DEPTH).unwrap_or(u16::MAX);
    let (root, info) = Parser::new()
        .max_recursion_depth(depth)
        .parse_with_source_info(source)
        .map_err(|errors| explain(source, &errors))?;
    if !within(&root, MAX_DEPTH) {
        return Err(CelError {
            offset: 0,
            message: format!("the expression nests deeper than {MAX_DEPTH}; split it into several rules"),
        });
    }
    Ok(Parsed { root, info })
}

/// Whether a tree has at most so many levels.
fn within(expr: &IdedExpr, levels: usize) -> bool {
    let Some(levels) = levels.checked_sub(1) else {
        return false;
    };
    match &expr.expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).all(|part| within(part, levels)),
        Expr::Select(select) => within(&select.operand, levels),
        Expr::List(list) => list.elements.iter().all(|item| within(item, levels)),
        Expr::Comprehension(parts) => {
            [&parts.iter_range, &parts.accu_init, &parts.loop_cond, &parts.loop_step, &parts.result]
                .into_iter()
                .all(|part| within(part, levels))
        }
        Expr::Map(map) => map.entries.iter().all(|entry| entry_within(entry, levels)),
        Expr::Struct(message) => message.entries.iter().all(|entry| entry_within(entry, levels)),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => true,
    }
}

fn entry_within(entry: &IdedEntryExpr, levels: usize) -> bool {
    match &entry.expr {
        EntryExpr::MapEntry(pair) => within(&pair.key, levels) && within(&pair.value, levels),
        EntryExpr::StructField(field) => within(&field.value, levels),
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
            b',' => reset(&mut levels),
            b'&' | b'|' if bytes.get(at) == Some(&byte) => {
                at += 1;
                reset(&mut levels);
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

fn reset(levels: &mut [usize]) {
    if let Some(last) = levels.last_mut() {
        *last = 0;
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
    } else if first.msg.contains("simple name") {
        "the first argument is a name for the item, as in lines.all(line, line.quantity > 0)".to_owned()
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
        let mut digits: i128 = 0;
        for digit in whole.bytes().chain(fraction.bytes()) {
            let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
            digits = digits.checked_mul(10)?.checked_add(i128::from(digit))?;
        }
        let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
        total = total.checked_add(digits.checked_mul(nanos)? / scale)?;
        rest = tail;
    }
    Some(if negative { -total } else { total })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stack_holds_the_deepest_source() {
        let longest = |piece: &str, last: &str| piece.repeat((MAX_SOURCE_BYTES - last.len()) / piece.len()) + last;
        for source in [
            longest("1+", "1"),
            longest("a.", "a"),
            longest("a<", "a"),
            longest("(", ""),
            longest("a", "[0][0]"),
            longest("a(", ""),
        ] {
            assert!(on_a_large_stack(&source).is_err() || source.starts_with("aa"), "{}", &source[..9]);
        }
        let calls = "a".to_owned() + &"()".repeat(10) + &".b()".repeat(1000);
        assert!(on_a_large_stack(&calls).is_err());
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        assert_eq!(duration("1h30m"), Some(5_400_000_000_000));
        assert_eq!(duration("-1.5s"), Some(-1_500_000_000));
        assert_eq!(duration("0"), Some(0));
        for wrong in ["", "-", "1", "s", "1d", ".s", "1..5s", "1h-3m", "99999999999999999999999999999999999h"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
