//! A schema's text as Avro Java writes it (`Schema.toString()`): minified, attributes in Java's order, names
//! as short as their place allows. Two texts that differ only in that are one schema to a Confluent
//! registry; docs, defaults, aliases and properties still count.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::parse::primitive;
use super::schema::Schema;

/// Attributes with a meaning of their own, which are no free properties of a schema.
const SCHEMA_WORDS: [&str; 10] =
    ["doc", "fields", "items", "name", "namespace", "size", "symbols", "values", "type", "aliases"];
/// The same for a field.
const FIELD_WORDS: [&str; 6] = ["default", "doc", "name", "order", "type", "aliases"];

impl Schema {
    /// The text of this schema as Avro Java writes it, free properties included.
    pub fn normalized(&self) -> String {
        // The text was parsed before, so its nesting is bounded and its names resolve.
        match serde_json::from_str::<Value>(&self.text) {
            Ok(value) => Writer { defined: HashSet::new() }.schema(&value, None).to_string(),
            Err(_) => self.text.to_string(),
        }
    }
}

struct Writer {
    defined: HashSet<String>,
}

impl Writer {
    fn schema(&mut self, value: &Value, space: Option<&str>) -> Value {
        match value {
            Value::String(name) => Value::from(self.reference(name, space)),
            Value::Array(branches) => Value::Array(branches.iter().map(|branch| self.schema(branch, space)).collect()),
            Value::Object(object) => self.object(object, space),
            other => other.clone(),
        }
    }

    fn reference(&self, name: &str, space: Option<&str>) -> String {
        if primitive(name).is_some() {
            return name.to_owned();
        }
        let full = match space {
            Some(space) if !name.contains('.') && self.defined.contains(&format!("{space}.{name}")) => {
                format!("{space}.{name}")
            }
            _ => name.to_owned(),
        };
        relative(&full, space)
    }

    fn object(&mut self, object: &Map<String, Value>, space: Option<&str>) -> Value {
        let word = match object.get("type") {
            Some(Value::String(word)) => word.as_str(),
            Some(inner) => return self.schema(inner, space),
            None => return Value::Object(object.clone()),
        };
        let mut out = Map::new();
        out.insert("type".to_owned(), Value::from(word));
        match word {
            "record" | "error" | "enum" | "fixed" => return self.named(word, object, space, out),
            "array" | "map" => {
                let key = if word == "array" { "items" } else { "values" };
                if let Some(inner) = object.get(key) {
                    out.insert(key.to_owned(), self.schema(inner, space));
                }
                properties(object, &SCHEMA_WORDS, &mut out);
            }
            _ => {
                properties(object, &SCHEMA_WORDS, &mut out);
                if primitive(word).is_none() || out.len() == 1 {
                    return Value::from(self.reference(word, space));
                }
            }
        }
        Value::Object(out)
    }

    fn named(
        &mut self,
        word: &str,
        object: &Map<String, Value>,
        enclosing: Option<&str>,
        mut out: Map<String, Value>,
    ) -> Value {
        let written = object.get("name").and_then(Value::as_str).unwrap_or_default();
        let (space, simple) = match written.rsplit_once('.') {
            Some((space, simple)) => (Some(space), simple),
            None => (object.get("namespace").and_then(Value::as_str).or(enclosing), written),
        };
        let space = space.filter(|space| !space.is_empty());
        self.defined.insert(space.map_or_else(|| simple.to_owned(), |space| format!("{space}.{simple}")));
        out.insert("name".to_owned(), Value::from(simple));
        if space != enclosing {
            out.insert("namespace".to_owned(), Value::from(space.unwrap_or_default()));
        }
        copy(object, "doc", &mut out);
        match word {
            "enum" => {
                copy(object, "symbols", &mut out);
                copy(object, "default", &mut out);
                properties(object, &[&SCHEMA_WORDS[..], &["default"]].concat(), &mut out);
            }
            "fixed" => {
                copy(object, "size", &mut out);
                properties(object, &SCHEMA_WORDS, &mut out);
            }
            _ => {
                let fields = object.get("fields").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
                let fields = fields.iter().map(|field| self.field(field, space)).collect();
                out.insert("fields".to_owned(), Value::Array(fields));
                properties(object, &SCHEMA_WORDS, &mut out);
            }
        }
        if let Some(aliases) = object.get("aliases").and_then(Value::as_array).filter(|aliases| !aliases.is_empty()) {
            let aliases =
                aliases.iter().filter_map(Value::as_str).map(|alias| Value::from(relative(alias, space))).collect();
            out.insert("aliases".to_owned(), Value::Array(aliases));
        }
        Value::Object(out)
    }

    fn field(&mut self, field: &Value, space: Option<&str>) -> Value {
        let Value::Object(field) = field else { return field.clone() };
        let mut out = Map::new();
        copy(field, "name", &mut out);
        if let Some(inner) = field.get("type") {
            out.insert("type".to_owned(), self.schema(inner, space));
        }
        copy(field, "doc", &mut out);
        // A null default is a default.
        if let Some(default) = field.get("default") {
            out.insert("default".to_owned(), default.clone());
        }
        if let Some(order) =
            field.get("order").and_then(Value::as_str).map(str::to_ascii_lowercase).filter(|order| order != "ascending")
        {
            out.insert("order".to_owned(), Value::from(order));
        }
        if field.get("aliases").and_then(Value::as_array).is_some_and(|aliases| !aliases.is_empty()) {
            copy(field, "aliases", &mut out);
        }
        properties(field, &FIELD_WORDS, &mut out);
        Value::Object(out)
    }
}

/// A full name as it is written inside this namespace.
fn relative(full: &str, space: Option<&str>) -> String {
    match full.rsplit_once('.') {
        Some((of, simple)) if Some(of) == space => simple.to_owned(),
        _ => full.to_owned(),
    }
}

fn copy(from: &Map<String, Value>, key: &str, out: &mut Map<String, Value>) {
    if let Some(value) = from.get(key).filter(|value| !value.is_null()) {
        out.insert(key.to_owned(), value.clone());
    }
}

fn properties(from: &Map<String, Value>, words: &[&str], out: &mut Map<String, Value>) {
    for (key, value) in from.iter().filter(|(key, _)| !words.contains(&key.as_str())) {
        out.insert(key.clone(), value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_java_forgets_is_forgotten() {
        let text = r#"{ "namespace":"a.b", "fields":[
            {"type":{"type":"string"}, "name":"s", "order":"ascending", "pii":true},
            {"name":"d","type":{"logicalType":"date","type":"int"},"default":0},
            {"name":"e","type":{"symbols":["A"],"type":"enum","name":"a.b.E"}},
            {"name":"again","type":["null","a.b.E"],"default":null}],
            "name":"R", "type":"record", "aliases":["a.b.Q"], "doc":"x", "owner":"me"}"#;
        let expected = concat!(
            r#"{"type":"record","name":"R","namespace":"a.b","doc":"x","fields":[{"name":"s","type":"string","pii":true},"#,
            r#"{"name":"d","type":{"type":"int","logicalType":"date"},"default":0},"#,
            r#"{"name":"e","type":{"type":"enum","name":"E","symbols":["A"]}},"#,
            r#"{"name":"again","type":["null","E"],"default":null}],"owner":"me","aliases":["Q"]}"#
        );
        let schema = Schema::parse(text).expect("a schema");
        assert_eq!(schema.normalized(), expected);
        let again = Schema::parse(expected).expect("a schema still");
        assert_eq!(again.normalized(), expected);
        assert_eq!(again.canonical(), schema.canonical());
    }
}
