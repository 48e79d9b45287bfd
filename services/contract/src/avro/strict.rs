//! What Avro lets pass and nobody can mean.

use serde_json::{Map, Value};

use super::parse::{SchemaError, decimal, join};
use super::schema::{Fixed, Kind, Schema};

impl Schema {
    /// The first decimal whose precision or scale is none. Avro reads such a type as plain bytes without a word,
    /// and what its numbers mean is anybody's guess.
    pub fn broken_decimal(&self) -> Option<SchemaError> {
        broken(&serde_json::from_str(&self.text).ok()?, "")
    }
}

fn broken(value: &Value, path: &str) -> Option<SchemaError> {
    match value {
        Value::Array(branches) => {
            branches.iter().enumerate().find_map(|(index, branch)| broken(branch, &format!("{path}[{index}]")))
        }
        Value::Object(object) => {
            let fields = object.get("fields").and_then(Value::as_array).into_iter().flatten().enumerate();
            let mut inner = fields
                .filter_map(|(index, field)| Some((field.get("type")?, join(path, &format!("fields[{index}].type")))))
                .chain(
                    ["type", "items", "values"].into_iter().filter_map(|key| Some((object.get(key)?, join(path, key)))),
                );
            misread(object, path).or_else(|| inner.find_map(|(value, path)| broken(value, &path)))
        }
        _ => None,
    }
}

fn misread(object: &Map<String, Value>, path: &str) -> Option<SchemaError> {
    if object.get("logicalType").and_then(Value::as_str) != Some("decimal") {
        return None;
    }
    let kind = match object.get("type").and_then(Value::as_str)? {
        "bytes" => Kind::Bytes,
        "fixed" => {
            let size = object.get("size").and_then(Value::as_u64).and_then(|size| usize::try_from(size).ok())?;
            Kind::Fixed(Fixed { name: String::new(), aliases: Vec::new(), size })
        }
        _ => return None,
    };
    if decimal(object, &kind).is_some() {
        return None;
    }
    let what = "a decimal has \"precision\", a whole number above 0 (and no more digits than a fixed has room for), and \
                \"scale\", a whole number from 0 to the precision";
    Some(SchemaError::new(path, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_that_are_none_are_found_wherever_they_are() {
        let place = |decimal: &str| {
            let text = format!(
                r#"{{"type":"record","name":"R","fields":[{{"name":"a","type":["null",{{"type":"array","items":{decimal}}}]}}]}}"#
            );
            Schema::parse(&text).expect("Avro lets it pass").broken_decimal().map(|error| error.path)
        };
        for whole in [
            r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}"#,
            r#"{"type":"bytes","logicalType":"decimal","precision":9}"#,
            r#"{"type":"fixed","name":"F","size":4,"logicalType":"decimal","precision":9,"scale":9}"#,
            r#"{"type":"string","logicalType":"decimal"}"#,
        ] {
            assert_eq!(place(whole), None, "{whole}");
        }
        for broken in [
            r#"{"type":"bytes","logicalType":"decimal"}"#,
            r#"{"type":"bytes","logicalType":"decimal","precision":"9"}"#,
            r#"{"type":"bytes","logicalType":"decimal","precision":2,"scale":3}"#,
            r#"{"type":"fixed","name":"F","size":4,"logicalType":"decimal","precision":10}"#,
        ] {
            assert_eq!(place(broken).as_deref(), Some("fields[0].type[1].items"), "{broken}");
        }
    }
}
