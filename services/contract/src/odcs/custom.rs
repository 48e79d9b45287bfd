//! What ODCS has no words for: `customProperties` whose names begin with `weir.`. A contract whose
//! properties of that prefix are not all in this table is a mistake.
//!
//! | property | value | default | meaning |
//! |---|---|---|---|
//! | `weir.schema` | file name | the one `.avsc` beside the contract | the Avro schema |
//! | `weir.partitions` | 1 to 10000 | 6 | partitions of inbox, product and quarantine topic alike |
//! | `weir.replication` | 1 to 100 | the broker's | replicas of each partition |
//! | `weir.retention` | duration: `7d`, `12h`, `30m`, `45s`, `500ms`, `forever` | the broker's | how long the product topic keeps records |
//! | `weir.inboxRetention` | duration | the broker's | likewise, the inbox topic |
//! | `weir.quarantineRetention` | duration | `30d`, or what an existing topic has | likewise, the quarantine topic |
//! | `weir.compaction` | `true`, `false` | `false` | the product topic keeps the latest record per key; needs `weir.key` with fields |
//! | `weir.maxRecordBytes` | 1 to 1073741824 | 1048588, or what an existing topic has | the largest record that the inbox takes |
//! | `weir.key` | `type`: `none`, `utf8`, `long`, `avro`; `fields`: list of field paths; `separator`: text | anything | what the record key must be, and which fields it equals, in order |
//! | `weir.deletes` | `none`, `tombstone` | `none` | whether a record without a value is a violation, or deletes its key |
//! | `weir.undeclaredFields` | `refuse`, `allow` | `refuse` | what a writer's field means that the contract does not declare |
//! | `weir.inboxTopic` | name of a topic | one is made | an existing topic to read from |
//! | `weir.file` | `separator`, `quote`, `escape`: one ASCII character (`quote` null: none); `skip`: rows before the header, 0 to 1000; `header`, `rowNames`: `true`, `false`; `encoding`: as the WHATWG calls it; `decimal`: `.` or `,`; `thousands`: one of `,.'_` or a blank; `nulls`: list of texts | RFC 4180 with a header, UTF-8 | how delimited files of these records are written; `weir check`, `weir produce` and `weir init` read them so |
//! | `weir.conditions` | list of `expression` (CEL), `id`, `severity`: `error`, `warning`, `description` | none | rules over several fields |
//! | `weir.measures` | list of `field`, `distinct`, `quantiles`, `eventTime`: `true`, `false` | none | statistics to keep of a field beside counts, nulls and bounds |

use std::sync::Arc;

use schemas::Topic;

use super::bind::value_place;
use super::mistake::{Place, nearest, one_of, shown, suggest};
use super::native::{a, present};
use super::reader::Reader;
use super::yaml::{Node, Value};
use crate::avro::{self, Kind, Logical, NodeId};
use crate::model::{Deletes, KeyKind, KeySpec, Measure, Path, Segment, Settings, UndeclaredFields};

/// Every property of the table above.
pub(super) const PROPERTIES: [&str; 15] = [
    "weir.schema",
    "weir.partitions",
    "weir.replication",
    "weir.retention",
    "weir.inboxRetention",
    "weir.quarantineRetention",
    "weir.compaction",
    "weir.maxRecordBytes",
    "weir.key",
    "weir.deletes",
    "weir.undeclaredFields",
    "weir.inboxTopic",
    "weir.file",
    "weir.conditions",
    "weir.measures",
];

/// Longest separator of a key, in bytes.
const MAX_SEPARATOR: usize = 16;
/// Most conditions or measures of a contract.
const MAX_LISTED: usize = 200;

/// The custom properties of the house: name, where it stands, value.
pub(super) fn properties(root: &Node) -> impl Iterator<Item = (&str, &Node, &Node)> {
    root.items_at("customProperties").iter().filter_map(|entry| {
        let name = entry.text_at("property").filter(|name| name.starts_with("weir."))?;
        Some((name, entry, entry.get("value")?))
    })
}

impl Reader<'_> {
    /// Reads the settings; measures go to `measures`, conditions to the reader.
    pub(super) fn settings(&mut self, root: &Node, measures: &mut Vec<Measure>) -> Settings {
        let mut settings = Settings::default();
        let mut seen: Vec<&str> = Vec::new();
        for (name, entry, value) in properties(root) {
            if seen.contains(&name) {
                self.mistakes.at(value_place(entry, "property"), format!("`{name}` is written twice"), "it once");
                continue;
            }
            seen.push(name);
            self.setting(&mut settings, measures, name, entry, value);
        }
        self.agreement(root, &settings);
        settings
    }

    fn setting(
        &mut self,
        settings: &mut Settings,
        measures: &mut Vec<Measure>,
        name: &str,
        entry: &Node,
        value: &Node,
    ) {
        match name {
            "weir.partitions" => {
                settings.partitions = self.whole(name, value, 1, 10_000).unwrap_or(settings.partitions);
            }
            "weir.replication" => {
                settings.replication = self.whole(name, value, 1, 100).and_then(|count| u16::try_from(count).ok());
            }
            "weir.retention" => settings.retention_ms = self.duration(name, value),
            "weir.inboxRetention" => settings.inbox_retention_ms = self.duration(name, value),
            "weir.quarantineRetention" => settings.quarantine_retention_ms = self.duration(name, value),
            "weir.compaction" => settings.compaction = self.switch(name, value),
            "weir.maxRecordBytes" => settings.max_record_bytes = self.whole(name, value, 1, 1 << 30),
            "weir.key" => settings.key = self.key(value),
            "weir.deletes" => {
                if self.word(name, value, &["none", "tombstone"]) == Some("tombstone") {
                    settings.deletes = Deletes::Tombstone;
                }
            }
            "weir.undeclaredFields" => {
                if self.word(name, value, &["refuse", "allow"]) == Some("allow") {
                    settings.undeclared_fields = UndeclaredFields::Allow;
                }
            }
            "weir.inboxTopic" => settings.inbox_topic = self.topic(value),
            "weir.file" => settings.file = self.dialect(value),
            "weir.conditions" => self.conditions(value),
            "weir.measures" => *measures = self.measures(value),
            "weir.schema" => {
                if value.text().is_none() {
                    self.mistakes.at(value.place, "`weir.schema` must be the name of a file", "`value: orders.avsc`");
                }
            }
            _ => {
                let what = format!("{} is not a property of Weir", shown(name));
                self.mistakes.at(value_place(entry, "property"), what, suggest(name, PROPERTIES));
            }
        }
    }

    /// Settings that must go together.
    fn agreement(&mut self, root: &Node, settings: &Settings) {
        let place = |wanted: &str| {
            properties(root).find(|(name, ..)| *name == wanted).map_or(root.place, |(_, _, value)| value.place)
        };
        // Where the key itself is wrong, that has been said.
        let key = properties(root).find(|(name, ..)| *name == "weir.key").map(|(_, _, value)| value);
        let wrong = key.is_some_and(|key| settings.key.kind == KeyKind::Any || key.get("fields").is_some());
        if settings.compaction && settings.key.fields.is_empty() && !wrong {
            let what = "a compacted product keeps the latest record per key, and this contract does not say which fields the key equals";
            self.mistakes.at(place("weir.compaction"), what, "`weir.key` with `type` and `fields`");
        }
        if settings.deletes == Deletes::Tombstone
            && matches!(settings.key.kind, KeyKind::Any | KeyKind::None)
            && (key.is_none() || settings.key.kind == KeyKind::None)
        {
            let what = "a record without a value deletes its key, and this contract does not ask for a key";
            self.mistakes.at(place("weir.deletes"), what, "`weir.key` with `type: utf8`, `long` or `avro`");
        }
    }

    pub(super) fn whole(&mut self, name: &str, value: &Node, least: u32, most: u32) -> Option<u32> {
        let number = value.number().and_then(|text| text.parse::<u32>().ok()).filter(|n| (least..=most).contains(n));
        if number.is_none() {
            let what = format!("`{name}` must be a whole number, not {}", shown(value.raw().unwrap_or(value.kind())));
            self.mistakes.at(value.place, what, format!("a number from {least} to {most}"));
        }
        number
    }

    pub(super) fn switch(&mut self, name: &str, value: &Node) -> bool {
        value.flag().unwrap_or_else(|| {
            let what = format!("`{name}` must be true or false, not {}", shown(value.raw().unwrap_or(value.kind())));
            self.mistakes.at(value.place, what, "`true` or `false`");
            false
        })
    }

    pub(super) fn word<'n>(&mut self, name: &str, value: &'n Node, words: &[&str]) -> Option<&'n str> {
        let given = value.raw().unwrap_or_default();
        if words.contains(&given) {
            return Some(given);
        }
        let what = format!("`{name}` cannot be {}", shown(value.raw().unwrap_or(value.kind())));
        self.mistakes.at(value.place, what, suggest(given, words.iter().copied()));
        None
    }

    fn duration(&mut self, name: &str, value: &Node) -> Option<i64> {
        let duration = value.text().and_then(milliseconds);
        if duration.is_none() {
            let what = format!("`{name}` must be a duration, not {}", shown(value.raw().unwrap_or(value.kind())));
            self.mistakes.at(
                value.place,
                what,
                "a number and its unit, such as `7d`, `12h`, `30m` or `45s`, or `forever`",
            );
        }
        duration
    }

    fn topic(&mut self, value: &Node) -> Option<Topic> {
        let name = value.text().unwrap_or_default();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name.len() > 249 || name == "." || name == ".." || !name.chars().all(fits) {
            let what = format!("{} is not the name of a Kafka topic", shown(value.raw().unwrap_or(value.kind())));
            self.mistakes.at(value.place, what, "1 to 249 of A-Z, a-z, 0-9 and `._-`");
            return None;
        }
        Some(Topic::existing(name))
    }

    /// A mapping's keys are all known; says which are not.
    pub(super) fn known_keys(&mut self, of: &str, node: &Node, known: &[&str]) -> bool {
        if !matches!(node.value, Value::Map(_)) {
            let what = format!("{of} must be a mapping, not {}", node.kind());
            self.mistakes.at(node.place, what, format!("its keys: {}", one_of(known.iter().copied())));
            return false;
        }
        for (key, _) in node.entries().iter().filter(|(key, _)| !known.contains(&key.text.as_str())) {
            let what = format!("{} is not a key of {of}", shown(&key.text));
            self.mistakes.at(key.place, what, suggest(&key.text, known.iter().copied()));
        }
        true
    }

    fn key(&mut self, value: &Node) -> KeySpec {
        let mut spec = KeySpec::default();
        if !self.known_keys("`weir.key`", value, &["type", "fields", "separator"]) {
            return spec;
        }
        let Some(kind) = value.get("type") else {
            self.mistakes.at(value.place, "`weir.key` must have `type`", "`type: utf8`");
            return spec;
        };
        spec.kind = match self.word("type", kind, &["none", "utf8", "long", "avro"]) {
            Some("none") => KeyKind::None,
            Some("utf8") => KeyKind::Utf8,
            Some("long") => KeyKind::Long,
            Some("avro") => KeyKind::Avro,
            _ => return spec,
        };
        if let Some(fields) = value.get("fields").filter(|fields| !matches!(fields.value, Value::List(_))) {
            self.mistakes.at(
                fields.place,
                format!("`fields` must be a list, not {}", fields.kind()),
                "`fields: [order_id]`",
            );
        }
        for field in value.items_at("fields") {
            spec.fields.extend(self.key_field(spec.kind, field));
        }
        spec.separator = self.separator(value, &spec);
        self.key_agrees(value, &spec);
        spec
    }

    fn key_field(&mut self, kind: KeyKind, field: &Node) -> Option<Path> {
        let (path, id, nullable) = self.path(field)?;
        let node = self.schema.node(id);
        let fits = match kind {
            KeyKind::Utf8 => matches!(node.kind, Kind::String | Kind::Enum(_) | Kind::Int | Kind::Long | Kind::Boolean),
            KeyKind::Long => matches!(node.kind, Kind::Int | Kind::Long),
            KeyKind::Avro => !matches!(node.kind, Kind::Record(_) | Kind::Array(_) | Kind::Map(_)),
            KeyKind::Any | KeyKind::None => true,
        };
        if !fits {
            let what = format!("a key of this type cannot equal `{path}`, which is {}", a(node));
            let instead = match kind {
                KeyKind::Long => "a field that is an int or a long",
                KeyKind::Avro => "a field that holds one value",
                _ => "a field that is a string, an enum, an int, a long or a boolean",
            };
            self.mistakes.at(field.place, what, instead);
        } else if nullable {
            let what = format!("the key equals `{path}`, which may be null");
            self.mistakes.at(field.place, what, "a field whose Avro type has no null");
        }
        Some(path)
    }

    fn separator(&mut self, value: &Node, spec: &KeySpec) -> String {
        let Some(separator) = value.get("separator") else {
            if spec.kind == KeyKind::Utf8 && spec.fields.len() > 1 {
                let what = "a key of several fields needs what stands between them";
                self.mistakes.at(value.place, what, "`separator: \"|\"`");
            }
            return String::new();
        };
        let text = separator.raw().unwrap_or_default();
        if text.is_empty() || text.len() > MAX_SEPARATOR {
            let what = format!("`separator` must be text of 1 to {MAX_SEPARATOR} bytes");
            self.mistakes.at(separator.place, what, "`separator: \"|\"`");
        } else if spec.kind != KeyKind::Utf8 {
            self.mistakes.at(separator.place, "only keys of type utf8 have a separator", "the key without it");
        }
        text.to_owned()
    }

    fn key_agrees(&mut self, value: &Node, spec: &KeySpec) {
        match spec.kind {
            KeyKind::None if value.get("fields").is_some() => {
                self.mistakes.at(
                    value.place_of("fields"),
                    "there is no key, so it equals no fields",
                    "`type: utf8`, or no `fields`",
                );
            }
            KeyKind::Long if spec.fields.len() > 1 => {
                self.mistakes.at(
                    value.place_of("fields"),
                    "a key of type long is one number",
                    "one field, or `type: utf8`",
                );
            }
            _ => {}
        }
    }

    /// A path of fields as text, found in the schema: path, node behind null, whether null is possible.
    fn path(&mut self, node: &Node) -> Option<(Path, NodeId, bool)> {
        let Some(text) = node.text() else {
            self.mistakes.at(
                node.place,
                format!("a field must be its path, not {}", node.kind()),
                "a path such as `customer.id`",
            );
            return None;
        };
        let (mut at, mut nullable, mut path) = (self.schema.root(), false, Path::default());
        for step in text.split('.') {
            let schema = self.schema;
            let Kind::Record(avro::Record { name, fields, .. }) = &schema.node(at).kind else {
                let what = format!("`{path}` is {}, so {} is not inside it", a(schema.node(at)), shown(text));
                self.mistakes.at(node.place, what, "a path through records only");
                return None;
            };
            let Some(field) = fields.iter().find(|field| field.name == step) else {
                let what = format!("{} is not a field of the Avro record `{name}`", shown(step));
                let known = fields.iter().map(|field| field.name.as_str());
                let instead = nearest(step, known.clone()).map_or_else(|| one_of(known), |near| format!("`{near}`"));
                self.mistakes.at(node.place, what, instead);
                return None;
            };
            path = path.then(Segment::Field(Arc::from(step)));
            let Some((next, null)) = present(schema, field.node) else {
                let what = format!("`{path}` is a union of several types");
                self.mistakes.at(node.place, what, "a field of one type");
                return None;
            };
            at = next;
            nullable |= null;
        }
        Some((path, at, nullable))
    }

    fn listed<'n>(&mut self, name: &str, value: &'n Node) -> &'n [Node] {
        if !matches!(value.value, Value::List(_)) {
            let what = format!("`{name}` must be a list, not {}", value.kind());
            self.mistakes.at(value.place, what, "its entries on lines that begin with `-`");
        } else if value.items().len() > MAX_LISTED {
            let what = format!("`{name}` has {} entries, more than {MAX_LISTED}", value.items().len());
            self.mistakes.at(value.place, what, "fewer");
            return &[];
        }
        value.items()
    }

    fn conditions(&mut self, value: &Node) {
        for entry in self.listed("weir.conditions", value) {
            if !self.known_keys("a condition", entry, &["id", "expression", "severity", "description"]) {
                continue;
            }
            if let Some(severity) = entry.get("severity") {
                self.word("severity", severity, &["error", "warning"]);
            }
            let Some(expression) = entry.get("expression") else {
                self.mistakes.at(entry.place, "a condition must have `expression`", "`expression: \"total >= 0\"`");
                continue;
            };
            if expression.text().is_none() {
                let what = format!("`expression` must be text, not {}", expression.kind());
                self.mistakes.at(expression.place, what, "it in quotes");
                continue;
            }
            let tag = self.tag(entry, None, "condition");
            self.condition(expression, tag);
        }
    }

    fn measures(&mut self, value: &Node) -> Vec<Measure> {
        let mut measures: Vec<Measure> = Vec::new();
        for entry in self.listed("weir.measures", value) {
            if !self.known_keys("a measure", entry, &["field", "distinct", "quantiles", "eventTime"]) {
                continue;
            }
            let Some(field) = entry.get("field") else {
                self.mistakes.at(entry.place, "a measure must have `field`", "`field: total`");
                continue;
            };
            let Some((path, id, _)) = self.path(field) else { continue };
            if measures.iter().any(|measure| measure.path == path) {
                self.mistakes.at(field.place, format!("`{path}` is measured twice"), "one entry for it");
                continue;
            }
            let mut flag = |name: &str| entry.get(name).is_some_and(|value| self.switch(name, value));
            let (distinct, quantiles, event_time) = (flag("distinct"), flag("quantiles"), flag("eventTime"));
            let measure = Measure { path, distinct, quantiles, event_time };
            self.measurable(entry, id, &measure);
            if event_time && measures.iter().any(|measure| measure.event_time) {
                let place = entry.place_of("eventTime");
                self.mistakes.at(
                    place,
                    "a product has one event time, and this is the second",
                    "`eventTime: true` once",
                );
            }
            measures.push(measure);
        }
        measures
    }

    fn measurable(&mut self, entry: &Node, id: NodeId, measure: &Measure) {
        let node = self.schema.node(id);
        let path = &measure.path;
        let mut refuse = |place: Place, what: &str, instead: &str| {
            let what = format!("`{path}` is {}, {what}", a(node));
            self.mistakes.at(place, what, instead);
        };
        if matches!(node.kind, Kind::Record(_) | Kind::Array(_) | Kind::Map(_)) {
            refuse(value_place(entry, "field"), "of which no statistics are kept", "a field that holds one value");
            return;
        }
        let numeric = matches!(node.kind, Kind::Int | Kind::Long | Kind::Float | Kind::Double)
            || matches!(node.logical, Some(Logical::Decimal { .. }));
        if measure.quantiles && !numeric {
            refuse(entry.place_of("quantiles"), "which has no quantiles", "a field that is a number, a date or a time");
        }
        let instant =
            matches!(node.logical, Some(Logical::TimestampMillis | Logical::TimestampMicros | Logical::TimestampNanos));
        if measure.event_time && !instant {
            refuse(
                entry.place_of("eventTime"),
                "which is not an instant",
                "a timestamp-millis, -micros or -nanos field",
            );
        }
    }
}

/// `7d` in milliseconds; −1 for `forever`.
fn milliseconds(text: &str) -> Option<i64> {
    if text == "forever" {
        return Some(-1);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let unit: i64 = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    text[..digits].parse::<i64>().ok()?.checked_mul(unit).filter(|duration| *duration > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        assert_eq!(milliseconds("7d"), Some(604_800_000));
        assert_eq!(milliseconds("500ms"), Some(500));
        assert_eq!(milliseconds("forever"), Some(-1));
        for wrong in ["", "7", "d", "-1d", "0s", "1 d", "1.5h", "9999999999999999d", "1w"] {
            assert_eq!(milliseconds(wrong), None, "{wrong}");
        }
    }
}
