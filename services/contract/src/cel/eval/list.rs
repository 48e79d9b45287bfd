//! Going over lists.

use std::ops::ControlFlow;

use super::{Evaluation, Fail, List, Node, Quantifier, Scopes, Value};

/// The item that a comprehension is at.
pub(super) struct Scope<'s, 'a> {
    outer: Scopes<'s, 'a>,
    variable: usize,
    item: Value<'a>,
}

/// What a list is gone over with; it may have enough.
type Visit<'v, 'a> = &'v mut dyn FnMut(Value<'a>) -> Result<ControlFlow<()>, Fail>;

/// The item that a variable stands for.
pub(super) fn bound<'a>(scope: Scopes<'_, 'a>, variable: usize) -> Result<Value<'a>, Fail> {
    let mut scope = scope;
    while let Some(here) = scope {
        if here.variable == variable {
            return Ok(here.item);
        }
        scope = here.outer;
    }
    Err(Fail::Untyped)
}

/// Whether who goes over a list has enough.
fn flow(enough: bool) -> ControlFlow<()> {
    if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

impl<'a> Evaluation<'_, 'a> {
    /// Goes over a list. What is made is made to its end, though nobody looks at it any more: in CEL a list
    /// with an error in it is an error.
    fn each(&self, list: &'a List, scope: Scopes<'_, 'a>, visit: Visit<'_, 'a>) -> Result<ControlFlow<()>, Fail> {
        match list {
            List::Rows(node) => self.each_row(node, scope, visit),
            List::Literal(items) => {
                let mut enough = false;
                for item in items {
                    self.spend(1)?;
                    let item = self.value(item, scope)?;
                    enough = enough || visit(item)?.is_break();
                }
                Ok(flow(enough))
            }
            List::Split(parts) => self.each_part(parts, scope, visit),
            List::Filter { of, variable, keeps } => {
                let mut enough = false;
                let _ended = self.each(of, scope, &mut |item| {
                    let mark = self.texts.mark();
                    let kept = self.bool(keeps, Some(&Scope { outer: scope, variable: *variable, item }))?;
                    self.texts.release(mark);
                    enough = enough || kept && visit(item)?.is_break();
                    Ok(ControlFlow::Continue(()))
                })?;
                Ok(flow(enough))
            }
            List::Map { of, variable, to } => {
                let mut enough = false;
                let _ended = self.each(of, scope, &mut |item| {
                    let mark = self.texts.mark();
                    let made = self.value(to, Some(&Scope { outer: scope, variable: *variable, item }))?;
                    let before = enough;
                    enough = enough || visit(made)?.is_break();
                    // Who has enough may have kept the item.
                    if enough == before {
                        self.texts.release(mark);
                    }
                    Ok(ControlFlow::Continue(()))
                })?;
                Ok(flow(enough))
            }
        }
    }

    fn each_row(&self, node: &'a Node, scope: Scopes<'_, 'a>, visit: Visit<'_, 'a>) -> Result<ControlFlow<()>, Fail> {
        let Value::Rows(range) = self.some(node, scope)? else { return Err(Fail::Untyped) };
        if self.rows.is_full() {
            return Err(Fail::TooMany);
        }
        for index in 0..range.count {
            self.spend(1)?;
            if visit(Value::Row { table: range.table, row: range.first + index })?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn each_part(
        &self,
        (text, separator, most): &'a (Node, Node, Option<Node>),
        scope: Scopes<'_, 'a>,
        visit: Visit<'_, 'a>,
    ) -> Result<ControlFlow<()>, Fail> {
        let (text, separator) = (self.some(text, scope)?, self.some(separator, scope)?);
        self.spend_on(text)?;
        let most = match most {
            Some(most) => match self.some(most, scope)? {
                // Less than none is all.
                Value::Int(most) => usize::try_from(most).unwrap_or(usize::MAX),
                _ => return Err(Fail::Untyped),
            },
            None => usize::MAX,
        };
        let length = self.texts.with(text, str::len)?;
        let (mut start, mut parts) = (0, 0);
        while parts < most {
            self.spend(1)?;
            let next = self.texts.both(text, separator, |text, separator| {
                let rest = text.get(start..)?;
                match separator.is_empty() {
                    // Between characters: what is left is a part, unless it is nothing.
                    true => rest.chars().next().map(|first| start + first.len_utf8()).map(|end| (end, end)),
                    false => rest.find(separator).map(|at| (start + at, start + at + separator.len())),
                }
            })?;
            let between = self.texts.with(separator, str::is_empty)?;
            parts += 1;
            let Some((end, behind)) = next.filter(|_| parts < most) else {
                if between && start >= length {
                    break;
                }
                return visit(self.part(text, start, length));
            };
            if visit(self.part(text, start, end))?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            start = behind;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// As a chain of `&&` or `||` over the items: what decides absorbs errors. Exactly one needs them all.
    pub(super) fn quantified(
        &self,
        quantifier: Quantifier,
        list: &'a List,
        (variable, body): (usize, &'a Node),
        scope: Scopes<'_, 'a>,
    ) -> Result<bool, Fail> {
        let decisive = quantifier == Quantifier::Exists;
        let (mut decided, mut fail, mut count) = (false, None, 0_u64);
        let mark = self.texts.mark();
        let gone = self.each(list, scope, &mut |item| {
            let mark = self.texts.mark();
            let truth = self.bool(body, Some(&Scope { outer: scope, variable, item }));
            self.texts.release(mark);
            match (quantifier, truth) {
                // Nothing absorbs that there is too much to do.
                (_, Err(enough @ (Fail::TooMuch | Fail::TooLong))) => return Err(enough),
                (Quantifier::ExistsOne, truth) => count += u64::from(truth?),
                (_, Ok(truth)) if truth == decisive => {
                    decided = true;
                    return Ok(ControlFlow::Break(()));
                }
                (_, Ok(_)) => {}
                (_, Err(error)) => fail = fail.or(Some(error)),
            }
            Ok(ControlFlow::Continue(()))
        });
        self.texts.release(mark);
        let _ended = gone?;
        match (quantifier, fail) {
            (Quantifier::ExistsOne, _) => Ok(count == 1),
            _ if decided => Ok(decisive),
            (_, Some(fail)) => Err(fail),
            (_, None) => Ok(!decisive),
        }
    }

    pub(super) fn count(&self, list: &'a List, scope: Scopes<'_, 'a>) -> Result<i64, Fail> {
        let mut count = 0;
        let mark = self.texts.mark();
        let gone = self.each(list, scope, &mut |_| {
            count += 1;
            Ok(ControlFlow::Continue(()))
        });
        self.texts.release(mark);
        gone.map(|_| count)
    }

    pub(super) fn within(
        &self,
        needle: &'a Node,
        list: &'a List,
        (variable, item): (usize, &'a Node),
        scope: Scopes<'_, 'a>,
    ) -> Result<bool, Fail> {
        let needle = self.value(needle, scope)?;
        let flow = self.each(list, scope, &mut |row| {
            let value = self.value(item, Some(&Scope { outer: scope, variable, item: row }))?;
            self.equal(needle, value).map(flow)
        })?;
        Ok(flow.is_break())
    }

    /// The item of a number.
    pub(super) fn at(&self, list: &'a List, index: &'a Node, scope: Scopes<'_, 'a>) -> Result<Value<'a>, Fail> {
        let Value::Int(index) = self.some(index, scope)? else { return Err(Fail::Untyped) };
        let out = Fail::Range("the index", index);
        let mut left = u64::try_from(index).map_err(|_| out)?;
        let mut found = Err(out);
        if let List::Rows(node) = list
            && let Value::Rows(range) = self.some(node, scope)?
            && !self.rows.is_full()
        {
            let row = u32::try_from(index).ok().filter(|index| *index < range.count).ok_or(out)?;
            return Ok(Value::Row { table: range.table, row: range.first + row });
        }
        let _ended = self.each(list, scope, &mut |item| {
            if left == 0 {
                found = Ok(item);
                return Ok(ControlFlow::Break(()));
            }
            left -= 1;
            Ok(ControlFlow::Continue(()))
        })?;
        found
    }

    /// The entry with a key; with the last of them, where a record has it twice.
    pub(super) fn find(
        &self,
        list: &'a List,
        (variable, key): (usize, &'a Node),
        by: &'a Node,
        scope: Scopes<'_, 'a>,
    ) -> Result<Value<'a>, Fail> {
        let by = self.some(by, scope)?;
        let mut found = Err(Fail::NoKey);
        let _ended = self.each(list, scope, &mut |row| {
            let key = self.value(key, Some(&Scope { outer: scope, variable, item: row }))?;
            if self.equal(by, key)? {
                found = Ok(row);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        found
    }

    pub(super) fn join(
        &self,
        list: &'a List,
        (variable, item): (usize, &'a Node),
        separator: Option<&'a Node>,
        scope: Scopes<'_, 'a>,
    ) -> Result<Value<'a>, Fail> {
        let separator = separator.map(|separator| self.some(separator, scope)).transpose()?;
        let mut joined = self.texts.spare();
        let mut first = true;
        let gone = self.each(list, scope, &mut |row| {
            let text = self.some(item, Some(&Scope { outer: scope, variable, item: row }))?;
            if let Some(separator) = separator.filter(|_| !first) {
                self.texts.with(separator, |text| joined.push_str(text))?;
            }
            first = false;
            self.texts.with(text, |text| joined.push_str(text))?;
            super::text::short_enough(joined.len())?;
            Ok(ControlFlow::Continue(()))
        });
        let made = gone.and_then(|_| {
            self.spend_on(Value::Text(&joined))?;
            self.texts.make(|made| {
                made.push_str(&joined);
                Ok(())
            })
        });
        self.texts.give_back(joined);
        made
    }
}
