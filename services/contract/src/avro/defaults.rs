//! Whether the defaults of a schema's fields fit their types, as Avro Java 1.12 checks them: a union's
//! default may fit any branch; a text for an enum need not be one of its symbols.

use serde_json::Value;

use super::parse::{MAX_DEPTH, SchemaError, shown};
use super::schema::{Kind, NodeId, Schema};

/// Most comparisons of a value with a type, over all defaults of a schema. Defaults of records that lean on
/// the defaults of their fields could otherwise grow without end.
const MAX_STEPS: usize = 200_000;

/// Checks every default of every field.
pub(super) fn check(schema: &Schema) -> Result<(), SchemaError> {
    let mut steps = MAX_STEPS;
    for node in &schema.nodes {
        let Kind::Record(record) = &node.kind else { continue };
        for field in &record.fields {
            let Some(default) = &field.default else { continue };
            if fits(schema, field.node, default, 0, &mut steps) {
                continue;
            }
            let path = format!("{}.{}", record.name, field.name);
            let message = if steps == 0 {
                "the defaults of this schema are too large to be checked".to_owned()
            } else {
                format!("the default {} does not fit the type {}", shown(default), schema.type_name(field.node))
            };
            return Err(SchemaError::new(&path, message));
        }
    }
    Ok(())
}

fn fits(schema: &Schema, id: NodeId, value: &Value, depth: usize, steps: &mut usize) -> bool {
    if depth > MAX_DEPTH || *steps == 0 {
        return false;
    }
    *steps -= 1;
    match &schema.node(id).kind {
        Kind::Null => value.is_null(),
        Kind::Boolean => value.is_boolean(),
        Kind::Int => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        Kind::Long => value.as_i64().is_some(),
        Kind::Float | Kind::Double => {
            value.is_number() || matches!(value.as_str(), Some("NaN" | "Infinity" | "-Infinity"))
        }
        Kind::Bytes | Kind::String | Kind::Enum(_) | Kind::Fixed(_) => value.is_string(),
        Kind::Array(items) => value
            .as_array()
            .is_some_and(|values| values.iter().all(|value| fits(schema, *items, value, depth + 1, steps))),
        Kind::Map(values) => value
            .as_object()
            .is_some_and(|map| map.values().all(|value| fits(schema, *values, value, depth + 1, steps))),
        Kind::Union(branches) => branches.iter().any(|branch| fits(schema, *branch, value, depth + 1, steps)),
        Kind::Record(record) => value.as_object().is_some_and(|object| {
            record.fields.iter().all(|field| {
                object
                    .get(&field.name)
                    .or(field.default.as_ref())
                    .is_some_and(|value| fits(schema, field.node, value, depth + 1, steps))
            })
        }),
    }
}
