//! `quality` entries: those that one record can decide become rules, CEL becomes a condition, and the rest
//! are objectives: measured or only shown, and said to be so.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bind::{Bound, value_place};
use super::mistake::shown;
use super::reader::{Reader, Tag};
use super::yaml::Node;
use crate::model::{Check, Path, Severity};

const OPERATORS: [&str; 8] = [
    "mustBe",
    "mustNotBe",
    "mustBeGreaterThan",
    "mustBeGreaterOrEqualTo",
    "mustBeLessThan",
    "mustBeLessOrEqualTo",
    "mustBeBetween",
    "mustNotBeBetween",
];

impl Reader<'_> {
    /// Understands one entry, of a property or (without `bound`) of the whole schema object.
    pub(super) fn quality(&mut self, entry: &Node, bound: Option<&Bound<'_>>) {
        self.keys_of_kind(entry);
        let metric = entry.text_at("metric").or_else(|| entry.text_at("rule").filter(|_| self.old));
        let kind = entry.text_at("type").unwrap_or(match metric {
            None if entry.get("query").is_some() => "sql",
            None if entry.get("engine").is_some() => "custom",
            None if entry.get("description").is_some() => "text",
            _ => "library",
        });
        match kind {
            "library" => match metric {
                Some(metric) => self.library(entry, metric, bound),
                None => {
                    let what = "a quality entry of type library must have `metric`";
                    self.mistakes.at(entry.place, what, "`metric: nullValues` and `mustBe: 0`");
                }
            },
            "custom" => self.custom(entry, bound),
            _ => {
                if kind == "sql" && entry.get("query").is_none() {
                    self.mistakes.at(entry.place, "a quality entry of type sql must have `query`", "`query: SELECT …`");
                }
                self.shown_only(entry, kind, bound);
            }
        }
    }

    /// Says which keys stand in an entry of a type that does not have them.
    fn keys_of_kind(&mut self, entry: &Node) {
        let is = |kind: &str| entry.text_at("type") == Some(kind);
        let rule = self.old && entry.text_at("rule").is_some();
        let library = is("library") || rule || entry.text_at("metric").is_some();
        for (key, _) in entry.entries() {
            let (fits, kind) = match key.text.as_str() {
                "metric" | "rule" | "arguments" => (library, "library"),
                "query" => (is("sql"), "sql"),
                "engine" | "implementation" => (is("custom"), "custom"),
                name if OPERATORS.contains(&name) => (library || is("sql"), "library"),
                _ => continue,
            };
            if !fits {
                let what = format!("`{}` belongs to a quality entry of type {kind}", key.text);
                self.mistakes.at(key.place, what, format!("`type: {kind}`"));
            }
        }
    }

    fn shown_only(&mut self, entry: &Node, kind: &str, bound: Option<&Bound<'_>>) {
        let path = bound.map(|bound| &bound.path);
        let tag = self.tag(entry, path, kind);
        let mut objective = Self::bare(tag, path, kind);
        objective.threshold = self.threshold(entry).unwrap_or_default();
        objective.unit = entry.text_at("unit").map(str::to_owned);
        self.objective(objective, entry.place, format!("a quality entry of type {kind} is shown, not measured"));
    }

    fn custom(&mut self, entry: &Node, bound: Option<&Bound<'_>>) {
        for key in ["engine", "implementation"] {
            if entry.get(key).is_none() {
                let what = format!("a quality entry of type custom must have `{key}`");
                let instead = if key == "engine" { "`engine: cel`" } else { "`implementation: \"total >= 0\"`" };
                self.mistakes.at(entry.place, what, instead);
                return;
            }
        }
        let Some("cel") = entry.text_at("engine") else {
            return self.shown_only(entry, "custom", bound);
        };
        let tag = self.tag(entry, bound.map(|bound| &bound.path), "cel");
        match entry.get("implementation") {
            Some(source) if source.text().is_some() => self.condition(source, tag),
            _ => {
                let place = value_place(entry, "implementation");
                self.mistakes.at(
                    place,
                    "the implementation of a CEL condition must be text",
                    "`implementation: \"total >= 0\"`",
                );
            }
        }
    }

    fn library(&mut self, entry: &Node, metric: &str, bound: Option<&Bound<'_>>) {
        let Some(threshold) = self.threshold(entry) else { return };
        if threshold.is_empty() {
            let what = format!("the metric `{metric}` has no threshold");
            self.mistakes.at(entry.place, what, "`mustBe: 0`, or another operator");
            return;
        }
        let zero = threshold.get("mustBe") == Some(&0.0);
        match (metric, bound) {
            ("nullValues" | "missingValues" | "invalidValues", Some(bound)) if zero => {
                self.enforced(entry, metric, bound);
            }
            _ => self.measured(entry, metric, bound, threshold),
        }
    }

    /// No record may break it: a rule.
    fn enforced(&mut self, entry: &Node, metric: &str, bound: &Bound<'_>) {
        let arguments = entry.get("arguments");
        let list = |name: &str| arguments.map_or(&[][..], |arguments| arguments.items_at(name));
        match metric {
            "nullValues" => self.not_null(entry, metric, bound),
            "missingValues" => {
                let values = list("missingValues");
                if values.is_empty() {
                    let what = "`missingValues` does not say which values count as missing";
                    self.mistakes.at(entry.place, what, "`arguments: { missingValues: [\"\", \"n/a\"] }`");
                }
                let natives = self.natives(values, metric, bound);
                match values.iter().any(Node::is_null) {
                    true if natives.is_empty() => self.not_null(entry, metric, bound),
                    true if bound.nullable => {
                        let tag = self.second_tag(entry, bound, "missingValues-null");
                        self.tagged_rule(&bound.path, tag, Check::NotNull);
                    }
                    _ => {}
                }
                if !natives.is_empty() {
                    let tag = self.tag(entry, Some(&bound.path), metric);
                    self.tagged_rule(&bound.path, tag, Check::NoneOf(natives));
                }
            }
            _ => self.valid(entry, bound),
        }
    }

    fn valid(&mut self, entry: &Node, bound: &Bound<'_>) {
        let arguments = entry.get("arguments");
        let values = arguments.map_or(&[][..], |arguments| arguments.items_at("validValues"));
        let pattern = arguments.and_then(|arguments| arguments.get("pattern"));
        if values.is_empty() && pattern.is_none() {
            let what = "`invalidValues` does not say which values are valid";
            self.mistakes.at(
                entry.place,
                what,
                "`arguments: { validValues: [a, b] }` or `arguments: { pattern: '^[ab]$' }`",
            );
        }
        if !values.is_empty() {
            let natives = self.natives(values, "validValues", bound);
            let tag = self.tag(entry, Some(&bound.path), "invalidValues");
            self.tagged_rule(&bound.path, tag, Check::OneOf(natives));
        }
        if let Some(pattern) = pattern.and_then(|pattern| self.pattern(bound, pattern)) {
            let tag = if values.is_empty() {
                self.tag(entry, Some(&bound.path), "invalidValues")
            } else {
                self.second_tag(entry, bound, "invalidValues-pattern")
            };
            self.tagged_rule(&bound.path, tag, Check::Pattern(pattern));
        }
    }

    /// For the second rule of one entry, whose own id went to the first.
    fn second_tag(&mut self, entry: &Node, bound: &Bound<'_>, name: &str) -> Tag {
        let warning = entry.text_at("severity") == Some("warning");
        Tag {
            id: self.made_id(Some(&bound.path), name),
            severity: if warning { Severity::Warning } else { Severity::Error },
            description: entry.text_at("description").map(Into::into),
        }
    }

    /// A rule where the schema allows null; where it does not, the schema is the rule.
    fn not_null(&mut self, entry: &Node, metric: &str, bound: &Bound<'_>) {
        if bound.nullable {
            let tag = self.tag(entry, Some(&bound.path), metric);
            self.tagged_rule(&bound.path, tag, Check::NotNull);
        }
    }

    fn natives(&mut self, values: &[Node], name: &str, bound: &Bound<'_>) -> Vec<crate::model::Native> {
        values.iter().filter(|value| !value.is_null()).filter_map(|value| self.native(bound, name, value)).collect()
    }

    /// One record cannot decide it: an objective.
    fn measured(&mut self, entry: &Node, metric: &str, bound: Option<&Bound<'_>>, threshold: BTreeMap<String, f64>) {
        let path = bound.map(|bound| &bound.path);
        let tag = self.tag(entry, path, metric);
        let mut objective = Self::bare(tag, path, metric);
        objective.threshold = threshold;
        objective.unit = entry.text_at("unit").map(str::to_owned);
        let of = path.map(|path| format!(" of `{path}`")).unwrap_or_default();
        self.objective(
            objective,
            entry.place,
            format!("`{metric}`{of} with this threshold is {}", super::options::fate(path)),
        );
    }

    /// Operator and numbers. `None` where they are wrong, which has then been said.
    fn threshold(&mut self, entry: &Node) -> Option<BTreeMap<String, f64>> {
        let given: Vec<_> = entry.entries().iter().filter(|(key, _)| OPERATORS.contains(&key.text.as_str())).collect();
        if let [(first, _), (second, _), ..] = given.as_slice() {
            let what = format!("a quality entry has one operator, this has `{}` and `{}`", first.text, second.text);
            self.mistakes.at(second.place, what, "a second entry, or `mustBeBetween`");
            return None;
        }
        let mut threshold = BTreeMap::new();
        let Some((key, value)) = given.first() else { return Some(threshold) };
        let number = |node: &Node| node.number().and_then(|text| text.parse::<f64>().ok());
        if key.text.ends_with("Between") {
            match value.items() {
                [low, high] => {
                    let (low, high) = number(low).zip(number(high))?;
                    if low > high {
                        self.mistakes.at(
                            value.place,
                            format!("`{}` begins above its end", key.text),
                            "the smaller number first",
                        );
                    }
                    threshold.insert(format!("{}.min", key.text), low);
                    threshold.insert(format!("{}.max", key.text), high);
                }
                _ => {
                    self.mistakes.at(
                        value.place,
                        format!("`{}` needs two numbers", key.text),
                        format!("`{}: [0, 10]`", key.text),
                    );
                    return None;
                }
            }
        } else if let Some(number) = number(value) {
            threshold.insert(key.text.clone(), number);
        } else {
            let text = shown(value.raw().unwrap_or(value.kind()));
            self.mistakes.at(
                value.place,
                format!("`{}` must be a number, not {text}", key.text),
                format!("`{}: 0`", key.text),
            );
            return None;
        }
        Some(threshold)
    }

    /// Compiles a condition; its mistakes point into the expression where that stands on one line.
    pub(super) fn condition(&mut self, source: &Node, tag: Tag) {
        let text = source.text().unwrap_or_default();
        let most = |path: &Path| {
            let lengths = self.rules.iter().filter(|rule| rule.path == *path).filter_map(|rule| match rule.check {
                Check::Length { max, .. } => max,
                _ => None,
            });
            lengths.min()
        };
        match crate::cel::compile(text, self.schema, &most) {
            Ok(expression) => {
                let Tag { id, severity, description } = tag;
                let source: Arc<str> = text.into();
                self.conditions.push(crate::model::Condition { id, expression, source, severity, description });
            }
            Err(error) => {
                let place = source.place_within(error.offset);
                self.mistakes.at(place, format!("the condition {}: {}", shown(text), error.message), "");
            }
        }
    }
}
