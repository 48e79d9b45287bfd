//! Functions of texts. A text that is not a part of the record or the expression is made in one buffer, and
//! is known by where it stands there, so that nothing is allocated once the buffer has grown.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::ops::Range;

use super::super::{number, parse, time};
use super::{Evaluation, Fail, Function, MAX_TEXT_BYTES, Node, Scopes, Value};

/// How many bytes of a text are one step.
const STEP_BYTES: usize = 64;

/// How much of the buffer is kept from one record to the next.
const KEPT_BYTES: usize = 1 << 16;

/// The texts that expressions make, in memory that is used again.
#[derive(Debug, Default)]
pub struct Texts {
    made: RefCell<String>,
    spare: RefCell<Vec<String>>,
}

/// Whether so many bytes of text may be made.
pub(super) fn short_enough(bytes: usize) -> Result<(), Fail> {
    if bytes > MAX_TEXT_BYTES { Err(Fail::TooLong) } else { Ok(()) }
}

impl Texts {
    /// Looks at a text.
    pub(super) fn with<R>(&self, text: Value<'_>, look: impl FnOnce(&str) -> R) -> Result<R, Fail> {
        match text {
            Value::Text(text) => Ok(look(text)),
            Value::Made(start, end) => {
                let made = self.made.borrow();
                made.get(start..end).map(look).ok_or(Fail::Untyped)
            }
            _ => Err(Fail::Untyped),
        }
    }

    /// Looks at two texts.
    pub(super) fn both<R>(&self, a: Value<'_>, b: Value<'_>, look: impl FnOnce(&str, &str) -> R) -> Result<R, Fail> {
        self.with(a, |a| self.with(b, |b| look(a, b)))?
    }

    /// Makes a text of what is written.
    pub(super) fn make<'a>(&self, write: impl FnOnce(&mut String) -> Result<(), Fail>) -> Result<Value<'a>, Fail> {
        let mut made = self.made.borrow_mut();
        let start = made.len();
        write(&mut made)?;
        short_enough(made.len())?;
        Ok(Value::Made(start, made.len()))
    }

    pub(super) fn mark(&self) -> usize {
        self.made.borrow().len()
    }

    /// Forgets what was made since.
    pub(super) fn release(&self, mark: usize) {
        self.made.borrow_mut().truncate(mark);
    }

    pub(super) fn spare(&self) -> String {
        self.spare.borrow_mut().pop().unwrap_or_default()
    }

    pub(super) fn give_back(&self, mut spare: String) {
        spare.clear();
        spare.shrink_to(KEPT_BYTES);
        self.spare.borrow_mut().push(spare);
    }

    pub(super) fn clear(&mut self) {
        let made = self.made.get_mut();
        made.clear();
        made.shrink_to(KEPT_BYTES);
    }
}

/// Copies a part of a text behind what was made.
fn push(made: &mut String, text: Value<'_>, part: Range<usize>) -> Result<(), Fail> {
    match text {
        Value::Text(text) => made.push_str(text.get(part).ok_or(Fail::Untyped)?),
        Value::Made(start, _) => {
            let part = start + part.start..start + part.end;
            made.get(part.clone()).ok_or(Fail::Untyped)?;
            made.extend_from_within(part);
        }
        _ => return Err(Fail::Untyped),
    }
    short_enough(made.len())
}

/// Where a character begins, by its number; the end is the number behind the last.
fn byte_of(text: &str, index: i64) -> Option<usize> {
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    usize::try_from(index).ok().and_then(|index| ends.into_iter().nth(index))
}

fn number_of(text: &str, byte: usize) -> i64 {
    text.get(..byte).map_or(0, |before| before.chars().count() as i64)
}

impl<'a> Evaluation<'_, 'a> {
    /// Takes the steps of going over a text.
    pub(super) fn spend_on(&self, text: Value<'_>) -> Result<(), Fail> {
        let bytes = match text {
            Value::Text(text) => text.len(),
            Value::Made(start, end) => end.saturating_sub(start),
            _ => 0,
        };
        self.spend((bytes / STEP_BYTES) as u64)
    }

    /// A part of a text, in bytes.
    pub(super) fn part(&self, text: Value<'a>, start: usize, end: usize) -> Value<'a> {
        match text {
            Value::Text(text) => Value::Text(text.get(start..end).unwrap_or_default()),
            Value::Made(from, _) => Value::Made(from + start, from + end),
            other => other,
        }
    }

    pub(super) fn function(
        &self,
        function: Function,
        args: &'a [Node],
        scope: Scopes<'_, 'a>,
    ) -> Result<Value<'a>, Fail> {
        let mut values = [Value::Null; 4];
        for (value, node) in values.iter_mut().zip(args) {
            *value = self.some(node, scope)?;
        }
        let [text, first, second, third] = values;
        self.spend_on(text)?;
        match function {
            Function::LowerAscii => self.ascii(text, |c| c.is_ascii_uppercase(), str::make_ascii_lowercase),
            Function::UpperAscii => self.ascii(text, |c| c.is_ascii_lowercase(), str::make_ascii_uppercase),
            Function::Trim => {
                let (start, end) = self.texts.with(text, |text| {
                    let start = text.len() - text.trim_start().len();
                    (start, start + text.trim().len())
                })?;
                Ok(self.part(text, start, end))
            }
            Function::Reverse => self.reverse(text),
            Function::CharAt => self.char_at(text, first),
            Function::Substring => self.substring(text, first, second),
            Function::IndexOf => self.index_of(text, first, second),
            Function::LastIndexOf => self.last_index_of(text, first, second),
            Function::Replace => self.replace(text, first, second, third),
            Function::Concat => {
                self.spend_on(first)?;
                let lengths = (self.texts.with(text, str::len)?, self.texts.with(first, str::len)?);
                self.texts.make(|made| {
                    push(made, text, 0..lengths.0)?;
                    push(made, first, 0..lengths.1)
                })
            }
            Function::ToText => self.to_text(text),
            Function::ToTime => match self.texts.with(text, parse::timestamp)? {
                Some(nanos) => Ok(Value::Time(nanos)),
                None => Err(Fail::Unreadable("a text is no time that timestamp() can read")),
            },
            Function::ToSpan => match self.texts.with(text, parse::duration)? {
                Some(nanos) => Ok(Value::Span(nanos)),
                None => Err(Fail::Unreadable("a text is no duration that duration() can read")),
            },
            Function::Part(part, east) => match text {
                Value::Time(nanos) => time::of_time(part, nanos, east).map(Value::Int).ok_or(Fail::Overflow("a time")),
                Value::Span(nanos) => time::of_span(part, nanos).map(Value::Int).ok_or(Fail::Overflow("a duration")),
                _ => Err(Fail::Untyped),
            },
        }
    }

    fn ascii(&self, text: Value<'a>, changes: fn(&u8) -> bool, change: fn(&mut str)) -> Result<Value<'a>, Fail> {
        let (some, length) = self.texts.with(text, |text| (text.as_bytes().iter().any(changes), text.len()))?;
        if !some {
            return Ok(text);
        }
        self.texts.make(|made| {
            let start = made.len();
            push(made, text, 0..length)?;
            made.get_mut(start..).map(change).ok_or(Fail::Untyped)
        })
    }

    fn reverse(&self, text: Value<'a>) -> Result<Value<'a>, Fail> {
        let length = self.texts.with(text, str::len)?;
        self.texts.make(|made| {
            short_enough(made.len().saturating_add(length))?;
            match text {
                Value::Text(text) => made.extend(text.chars().rev()),
                Value::Made(start, mut end) => {
                    while let Some(last) = made.get(start..end).and_then(|rest| rest.chars().next_back()) {
                        end -= last.len_utf8();
                        made.push(last);
                    }
                }
                _ => return Err(Fail::Untyped),
            }
            Ok(())
        })
    }

    fn char_at(&self, text: Value<'a>, index: Value<'a>) -> Result<Value<'a>, Fail> {
        let Value::Int(index) = index else { return Err(Fail::Untyped) };
        let (start, end) = self
            .texts
            .with(text, |text| {
                let start = byte_of(text, index)?;
                let length = text.get(start..)?.chars().next().map_or(0, char::len_utf8);
                Some((start, start + length))
            })?
            .ok_or(Fail::Range("charAt()'s index", index))?;
        Ok(self.part(text, start, end))
    }

    fn substring(&self, text: Value<'a>, from: Value<'a>, to: Value<'a>) -> Result<Value<'a>, Fail> {
        const WHAT: &str = "substring()'s index";
        let Value::Int(from) = from else { return Err(Fail::Untyped) };
        let range = self.texts.with(text, |text| {
            let start = byte_of(text, from).ok_or(Fail::Range(WHAT, from))?;
            let end = match to {
                Value::Int(to) if to < from => return Err(Fail::Range(WHAT, to)),
                Value::Int(to) => byte_of(text, to).ok_or(Fail::Range(WHAT, to))?,
                _ => text.len(),
            };
            Ok(start..end)
        })??;
        Ok(self.part(text, range.start, range.end))
    }

    fn index_of(&self, text: Value<'a>, part: Value<'a>, from: Value<'a>) -> Result<Value<'a>, Fail> {
        self.texts.both(text, part, |text, part| {
            let start = match start_of(text, part, from, "indexOf()'s offset")? {
                Ok(start) => start.unwrap_or(0),
                Err(answer) => return Ok(Value::Int(answer)),
            };
            let at = text.get(start..).and_then(|rest| rest.find(part));
            Ok(Value::Int(at.map_or(-1, |at| number_of(text, start + at))))
        })?
    }

    fn last_index_of(&self, text: Value<'a>, part: Value<'a>, from: Value<'a>) -> Result<Value<'a>, Fail> {
        self.texts.both(text, part, |text, part| {
            let last = match start_of(text, part, from, "lastIndexOf()'s offset")? {
                Ok(last) => last.unwrap_or(text.len()),
                Err(answer) => return Ok(Value::Int(answer)),
            };
            // What starts there ends here, at the end of a character.
            let mut end = last.saturating_add(part.len()).min(text.len());
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            let at = text.get(..end).and_then(|head| head.rfind(part));
            Ok(Value::Int(at.map_or(-1, |at| number_of(text, at))))
        })?
    }

    fn replace(&self, text: Value<'a>, from: Value<'a>, to: Value<'a>, most: Value<'a>) -> Result<Value<'a>, Fail> {
        let most = match most {
            Value::Int(most) => usize::try_from(most).unwrap_or(usize::MAX),
            _ => usize::MAX,
        };
        let (length, old) = self.texts.both(text, from, |text, from| (text.len(), from.len()))?;
        let new = self.texts.with(to, str::len)?;
        let (start, mut copied, mut search) = (self.texts.mark(), 0, 0);
        for _ in 0..most {
            let hit = self.texts.both(text, from, |text, from| {
                let rest = text.get(search..)?;
                let at = search + rest.find(from)?;
                let behind = text.get(at..)?.chars().next().map_or(1, char::len_utf8);
                Some((at, if old == 0 { at + behind } else { at + old }))
            })?;
            let Some((at, next)) = hit else { break };
            self.spend(1)?;
            self.texts.make(|made| {
                push(made, text, copied..at)?;
                push(made, to, 0..new)
            })?;
            (copied, search) = (at + old, next);
        }
        if copied == 0 && self.texts.mark() == start {
            return Ok(text);
        }
        self.texts.make(|made| push(made, text, copied..length))?;
        Ok(Value::Made(start, self.texts.mark()))
    }

    fn to_text(&self, value: Value<'a>) -> Result<Value<'a>, Fail> {
        let unreadable = Fail::Unreadable("bytes are no UTF-8 that string() can read");
        match value {
            Value::Text(_) | Value::Made(..) => return Ok(value),
            Value::Bytes(bytes) => return std::str::from_utf8(bytes).map(Value::Text).map_err(|_| unreadable),
            Value::Bool(value) => return Ok(Value::Text(if value { "true" } else { "false" })),
            _ => {}
        }
        self.texts.make(|made| {
            let written = match value {
                Value::Int(value) => write!(made, "{value}"),
                Value::Double(value) => write!(made, "{value}"),
                Value::Decimal(value, scale) => number::write_decimal(value, scale, made),
                Value::Time(nanos) => match jiff::Timestamp::from_nanosecond(nanos) {
                    Ok(time) => write!(made, "{time}"),
                    Err(_) => return Err(Fail::Overflow("a time")),
                },
                Value::Span(nanos) => time::write_span(nanos, made),
                _ => return Err(Fail::Untyped),
            };
            written.map_err(|_| Fail::Untyped)
        })
    }
}

/// Where to look for a part from, in bytes, or the answer: an empty part is found wherever one looks.
fn start_of(text: &str, part: &str, from: Value<'_>, what: &'static str) -> Result<Result<Option<usize>, i64>, Fail> {
    let Value::Int(from) = from else { return Ok(Ok(None)) };
    let out = Fail::Range(what, from);
    if from < 0 {
        return Err(out);
    }
    if part.is_empty() {
        return Ok(Err(from.min(number_of(text, text.len()))));
    }
    match byte_of(text, from).filter(|start| *start < text.len()) {
        Some(start) => Ok(Ok(Some(start))),
        None => Err(out),
    }
}
