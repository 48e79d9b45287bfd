//! A JSON Schema of Weir's `customProperties`, for editors that complete and check YAML as it is written.
//! To be used beside the schema of ODCS itself, which leaves the values of custom properties open.

use serde_json::{Value, json};

/// A JSON Schema (draft 2019-09) of a document whose `customProperties` hold those of the table in
/// [`super::custom`].
pub fn editor_schema() -> Value {
    let property = |name: &str, description: &str, value: Value| {
        json!({
            "if": { "properties": { "property": { "const": name } }, "required": ["property"] },
            "then": { "description": description, "properties": { "value": value } },
        })
    };
    let duration = json!({ "type": "string", "pattern": "^([1-9][0-9]*(ms|s|m|h|d)|forever)$" });
    let flag = json!({ "type": "boolean" });
    let path = json!({ "type": "string", "minLength": 1 });
    let rules = [
        property("weir.schema", "The file of the Avro schema.", json!({ "type": "string" })),
        property("weir.partitions", "Partitions of inbox, product and quarantine topic.", whole(1, 10_000)),
        property("weir.replication", "Replicas of each partition.", whole(1, 100)),
        property("weir.retention", "How long the product topic keeps records.", duration.clone()),
        property("weir.inboxRetention", "How long the inbox topic keeps records.", duration.clone()),
        property("weir.quarantineRetention", "How long the quarantine topic keeps records.", duration),
        property("weir.compaction", "Keep the latest record per key.", flag.clone()),
        property("weir.maxRecordBytes", "The largest record the inbox takes.", whole(1, 1 << 30)),
        property("weir.key", "What the record key must be.", key(&path)),
        property("weir.deletes", "What a record without a value means.", json!({ "enum": ["none", "tombstone"] })),
        property(
            "weir.undeclaredFields",
            "What a field means that is not declared.",
            json!({ "enum": ["refuse", "allow"] }),
        ),
        property("weir.inboxTopic", "An existing topic to read from.", json!({ "type": "string", "maxLength": 249 })),
        property("weir.file", "How delimited files of these records are written.", file()),
        property("weir.conditions", "Rules over several fields, in CEL.", conditions()),
        property("weir.measures", "Statistics to keep of fields.", measures(&path, &flag)),
    ];
    let known: Vec<&str> = super::custom::PROPERTIES.to_vec();
    json!({
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        "title": "Weir's custom properties of a data contract",
        "type": "object",
        "properties": {
            "customProperties": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "property": { "anyOf": [{ "enum": known }, { "type": "string", "not": { "pattern": "^weir\\." } }] },
                    },
                    "allOf": rules,
                },
            },
        },
    })
}

fn file() -> Value {
    let letter = json!({ "type": "string", "minLength": 1, "maxLength": 1 });
    json!({
        "type": "object",
        "properties": {
            "separator": letter,
            "quote": { "type": ["string", "null"], "minLength": 1, "maxLength": 1 },
            "escape": letter,
            "skip": { "type": "integer", "minimum": 0, "maximum": 1000 },
            "header": { "type": "boolean" },
            "rowNames": { "type": "boolean" },
            "encoding": { "type": "string", "minLength": 1, "maxLength": 100 },
            "decimal": { "enum": [".", ","] },
            "thousands": { "enum": [",", ".", "'", " ", "_"] },
            "nulls": { "type": "array", "items": { "type": "string" }, "minItems": 1, "maxItems": 50 },
        },
        "additionalProperties": false,
    })
}

fn whole(least: u32, most: u32) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": most })
}

fn key(path: &Value) -> Value {
    json!({
        "type": "object",
        "properties": {
            "type": { "enum": ["none", "utf8", "long", "avro"] },
            "fields": { "type": "array", "items": path },
            "separator": { "type": "string", "minLength": 1, "maxLength": 16 },
        },
        "required": ["type"],
        "additionalProperties": false,
    })
}

fn conditions() -> Value {
    json!({
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "id": { "type": "string", "pattern": "^[A-Za-z0-9._:-]{1,100}$" },
                "expression": { "type": "string", "minLength": 1 },
                "severity": { "enum": ["error", "warning"] },
                "description": { "type": "string" },
            },
            "required": ["expression"],
            "additionalProperties": false,
        },
    })
}

fn measures(path: &Value, flag: &Value) -> Value {
    json!({
        "type": "array",
        "items": {
            "type": "object",
            "properties": { "field": path, "distinct": flag, "quantiles": flag, "eventTime": flag },
            "required": ["field"],
            "additionalProperties": false,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_of_the_table_has_its_rule() {
        let schema = editor_schema();
        let rules = schema["properties"]["customProperties"]["items"]["allOf"].as_array().unwrap();
        let named: Vec<&str> =
            rules.iter().map(|rule| rule["if"]["properties"]["property"]["const"].as_str().unwrap()).collect();
        assert_eq!(named, super::super::custom::PROPERTIES);
    }
}
