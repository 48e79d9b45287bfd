//! Who is hurt by a change. Weakening what consumers were promised needs a new major; tightening hurts
//! producers and needs a minor; the rest a patch.

use contract::avro::can_read;
use contract::{Check, Contract, KeyKind, Native, Rule, RuleId, Severity};

/// Whom a change hurts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Nobody.
    Harmless,
    /// Producers: records that passed may be held back.
    Tightens,
    /// Consumers: something they were promised no longer holds.
    Weakens,
}

/// A difference between two versions of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whom it hurts.
    pub effect: Effect,
    /// A sentence about it.
    pub what: String,
}

/// Every difference from `old` to `new` that somebody could notice.
pub fn judge(old: &Contract, new: &Contract) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut add = |effect, what: String| changes.push(Change { effect, what });
    for problem in can_read(&old.schema, &new.schema) {
        add(
            Effect::Weakens,
            format!("consumers with the old schema cannot read the new one: {}: {}", problem.path, problem.message),
        );
    }
    for problem in can_read(&new.schema, &old.schema) {
        add(
            Effect::Tightens,
            format!(
                "records of producers with the old schema cannot be read with the new one: {}: {}",
                problem.path, problem.message
            ),
        );
    }
    for rule in &old.rules {
        match new.rules.iter().find(|other| other.id == rule.id) {
            None => add(weakened(rule.severity), format!("rule {} is gone", rule.id)),
            Some(other) => compare(rule, other, &mut add),
        }
    }
    for rule in &new.rules {
        if !old.rules.iter().any(|other| other.id == rule.id) {
            add(tightened(rule.severity), format!("rule {} is new", rule.id));
        }
    }
    conditions(old, new, &mut add);
    settings(old, new, &mut add);
    changes
}

fn weakened(severity: Severity) -> Effect {
    if severity == Severity::Error { Effect::Weakens } else { Effect::Harmless }
}

fn tightened(severity: Severity) -> Effect {
    if severity == Severity::Error { Effect::Tightens } else { Effect::Harmless }
}

fn compare(old: &Rule, new: &Rule, add: &mut impl FnMut(Effect, String)) {
    severity(&old.id, old.severity, new.severity, add);
    // An id that the contract gives may move to another field: one field loses the rule, another gets it.
    let (narrower, wider) = if old.path == new.path { narrowed(&old.check, &new.check) } else { (true, true) };
    if wider && old.severity == Severity::Error {
        add(Effect::Weakens, format!("rule {} allows what it did not", old.id));
    }
    if narrower && new.severity == Severity::Error {
        add(Effect::Tightens, format!("rule {} forbids what it did not", old.id));
    }
}

fn severity(id: &RuleId, old: Severity, new: Severity, add: &mut impl FnMut(Effect, String)) {
    match (old, new) {
        (Severity::Error, Severity::Warning) => add(Effect::Weakens, format!("rule {id} only warns now")),
        (Severity::Warning, Severity::Error) => add(Effect::Tightens, format!("rule {id} is enforced now")),
        _ => {}
    }
}

/// Whether a check forbids something it did not, and whether it allows something it did not.
fn narrowed(old: &Check, new: &Check) -> (bool, bool) {
    match (old, new) {
        (Check::Range { min: a, max: b }, Check::Range { min: c, max: d }) => {
            let (low, high) = (bound(a.as_ref(), c.as_ref(), true), bound(b.as_ref(), d.as_ref(), false));
            (low.0 || high.0, low.1 || high.1)
        }
        (Check::Length { min: a, max: b }, Check::Length { min: c, max: d }) => {
            let (a, c) = (a.unwrap_or(0), c.unwrap_or(0));
            let (b, d) = (b.unwrap_or(u64::MAX), d.unwrap_or(u64::MAX));
            (c > a || d < b, c < a || d > b)
        }
        (Check::OneOf(a), Check::OneOf(b)) | (Check::NoneOf(b), Check::NoneOf(a)) => {
            (a.iter().any(|value| !b.contains(value)), b.iter().any(|value| !a.contains(value)))
        }
        (Check::NotNull, Check::NotNull) | (Check::UniqueItems, Check::UniqueItems) => (false, false),
        (Check::Pattern(a), Check::Pattern(b)) => (a != b, a != b),
        (Check::Format(a), Check::Format(b)) => (a != b, a != b),
        (Check::MultipleOf(a), Check::MultipleOf(b)) => (a != b, a != b),
        _ => (true, true),
    }
}

/// The same of one bound: `(value, exclusive)`; none is no bound.
fn bound(old: Option<&(Native, bool)>, new: Option<&(Native, bool)>, lower: bool) -> (bool, bool) {
    use std::cmp::Ordering::{Equal, Greater, Less};
    match (old, new) {
        (None, None) => (false, false),
        (None, Some(_)) => (true, false),
        (Some(_), None) => (false, true),
        (Some((old, old_excluded)), Some((new, new_excluded))) => match order(old, new) {
            Some(Equal) => (*new_excluded && !old_excluded, *old_excluded && !new_excluded),
            Some(Less) => (lower, !lower),
            Some(Greater) => (!lower, lower),
            None => (true, true),
        },
    }
}

fn order(a: &Native, b: &Native) -> Option<std::cmp::Ordering> {
    match (a, b) {
        (Native::Int(a), Native::Int(b)) => Some(a.cmp(b)),
        (Native::Decimal(a), Native::Decimal(b)) => Some(a.cmp(b)),
        (Native::Float(a), Native::Float(b)) => a.partial_cmp(b),
        _ => None,
    }
}

fn conditions(old: &Contract, new: &Contract, add: &mut impl FnMut(Effect, String)) {
    for condition in &old.conditions {
        match new.conditions.iter().find(|other| other.id == condition.id) {
            None => add(weakened(condition.severity), format!("condition {} is gone", condition.id)),
            Some(other) => {
                severity(&condition.id, condition.severity, other.severity, add);
                if other.source != condition.source {
                    // Whether one expression implies another is not decided here: it may do both.
                    add(weakened(condition.severity), format!("condition {} may allow what it did not", condition.id));
                    add(tightened(other.severity), format!("condition {} may forbid what it did not", condition.id));
                }
            }
        }
    }
    for condition in &new.conditions {
        if !old.conditions.iter().any(|other| other.id == condition.id) {
            add(tightened(condition.severity), format!("condition {} is new", condition.id));
        }
    }
}

fn settings(old: &Contract, new: &Contract, add: &mut impl FnMut(Effect, String)) {
    let (a, b) = (&old.settings, &new.settings);
    if a.key != b.key {
        if a.key.kind != KeyKind::Any {
            add(Effect::Weakens, "the key is another".to_owned());
        }
        if b.key.kind != KeyKind::Any {
            add(Effect::Tightens, "the key is demanded to be another".to_owned());
        }
    }
    if a.compaction != b.compaction {
        add(Effect::Weakens, "the product topic keeps other records (compaction)".to_owned());
    }
    if a.deletes != b.deletes {
        let effect = if b.deletes == contract::Deletes::Tombstone { Effect::Weakens } else { Effect::Tightens };
        add(effect, "records without a value mean something else (deletes)".to_owned());
    }
    if a.undeclared_fields != b.undeclared_fields {
        let allowed = b.undeclared_fields == contract::UndeclaredFields::Allow;
        let effect = if allowed { Effect::Weakens } else { Effect::Tightens };
        add(effect, "undeclared fields are treated differently".to_owned());
    }
}
