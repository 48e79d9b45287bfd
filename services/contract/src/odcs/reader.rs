//! What has been understood so far, and the ids that were given.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::mistake::{Mistakes, Place, shown};
use super::yaml::Node;
use crate::avro;
use crate::dialect::Written;
use crate::model::{Check, Condition, Objective, Path, Rule, RuleId, Segment, Severity};

/// Longest rule id, in characters.
const MAX_ID: usize = 100;

/// Understands a contract whose shape is right, against a schema.
pub(super) struct Reader<'a> {
    pub(super) mistakes: &'a mut Mistakes,
    pub(super) schema: &'a avro::Schema,
    /// Whether the document is ODCS 3.0, where a metric is called a rule.
    pub(super) old: bool,
    pub(super) rules: Vec<Rule>,
    pub(super) conditions: Vec<Condition>,
    pub(super) objectives: Vec<Objective>,
    pub(super) classified: Vec<Path>,
    pub(super) writing: Vec<Written>,
    ids: BTreeSet<String>,
}

/// What a rule, condition or objective carries beside its demand.
pub(super) struct Tag {
    pub(super) id: RuleId,
    pub(super) severity: Severity,
    pub(super) description: Option<Arc<str>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(schema: &'a avro::Schema, old: bool, mistakes: &'a mut Mistakes) -> Self {
        Self {
            mistakes,
            schema,
            old,
            rules: Vec::new(),
            conditions: Vec::new(),
            objectives: Vec::new(),
            classified: Vec::new(),
            writing: Vec::new(),
            ids: BTreeSet::new(),
        }
    }

    /// The id of something that the contract did not name: `path:check`.
    pub(super) fn made_id(&mut self, path: Option<&Path>, check: &str) -> RuleId {
        let path = path.map(in_id).unwrap_or_default();
        let whole = if path.is_empty() { check.to_owned() } else { format!("{path}:{check}") };
        let whole = bounded(&whole);
        let mut id = whole.clone();
        let mut number = 2;
        while self.ids.contains(&id) {
            id = bounded(&format!("{whole}-{number}"));
            number += 1;
        }
        self.ids.insert(id.clone());
        RuleId::new(id)
    }

    /// An id that the contract gives; a mistake where it is unfit or taken.
    pub(super) fn given_id(&mut self, given: &str, place: Place) -> RuleId {
        let id: String = given.chars().map(|c| if fits_id(c) { c } else { '-' }).take(MAX_ID).collect();
        if given.is_empty() || id != given {
            let what = format!("the rule id {} must be 1 to {MAX_ID} of A-Z, a-z, 0-9 and `._:-`", shown(given));
            let instead = if id.is_empty() { "an id".to_owned() } else { format!("`{id}`") };
            self.mistakes.at(place, what, instead);
        } else if !self.ids.insert(id.clone()) {
            self.mistakes.at(place, format!("two rules have the id {}", shown(given)), "an id of its own for each");
        }
        RuleId::new(id)
    }

    /// Id, severity and description of a quality entry or condition; `check` names it where it has no id.
    pub(super) fn tag(&mut self, entry: &Node, path: Option<&Path>, check: &str) -> Tag {
        let id = match (entry.get("id").filter(|id| id.text().is_some()), entry.text_at("name")) {
            (Some(id), _) => self.given_id(id.text().unwrap_or_default(), id.place),
            // A name is for people: it becomes an id only if it happens to be fit for one.
            (None, Some(name)) if !name.is_empty() && name.len() <= MAX_ID && name.chars().all(fits_id) => {
                let place = entry.get("name").map_or(entry.place, |name| name.place);
                self.given_id(name, place)
            }
            _ => self.made_id(path, check),
        };
        let severity = match entry.text_at("severity") {
            Some("warning") => Severity::Warning,
            _ => Severity::Error,
        };
        Tag { id, severity, description: entry.text_at("description").map(Into::into) }
    }

    /// Adds a rule with an id of its own making.
    pub(super) fn rule(&mut self, path: &Path, name: &str, check: Check) {
        let id = self.made_id(Some(path), name);
        self.rules.push(Rule { id, path: path.clone(), check, severity: Severity::Error, description: None });
    }

    /// Adds a rule that the contract described.
    pub(super) fn tagged_rule(&mut self, path: &Path, tag: Tag, check: Check) {
        let Tag { id, severity, description } = tag;
        self.rules.push(Rule { id, path: path.clone(), check, severity, description });
    }

    /// Adds an objective and says that it holds nothing back.
    pub(super) fn objective(&mut self, objective: Objective, place: Place, note: String) {
        self.objectives.push(objective);
        self.mistakes.note(place, note, String::new());
    }

    /// An objective without a threshold or unit.
    pub(super) fn bare(tag: Tag, path: Option<&Path>, metric: &str) -> Objective {
        Objective {
            id: tag.id,
            path: path.cloned(),
            metric: metric.to_owned(),
            threshold: BTreeMap::new(),
            unit: None,
            description: tag.description,
        }
    }
}

fn fits_id(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-')
}

/// A path as ids have it: `lines.quantity`, `tags.items`.
fn in_id(path: &Path) -> String {
    let mut out = String::new();
    for (index, segment) in path.0.iter().enumerate() {
        let name: &str = match segment {
            Segment::Field(name) => name,
            // Between two fields it says nothing that the schema does not.
            Segment::Items | Segment::Values if index + 1 < path.0.len() => continue,
            Segment::Items => "items",
            Segment::Values => "values",
        };
        if !out.is_empty() {
            out.push('.');
        }
        out.extend(name.chars().map(|c| if fits_id(c) { c } else { '-' }));
    }
    out
}

/// At most [`MAX_ID`] characters; what is cut off is replaced by a hash (FNV-1a) of the whole.
fn bounded(id: &str) -> String {
    if id.len() <= MAX_ID {
        return id.to_owned();
    }
    let hash = id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let kept: String = id.chars().take(MAX_ID - 17).collect();
    format!("{kept}-{hash:016x}")
}
