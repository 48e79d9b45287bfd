//! What a type's JSON object says about itself besides its kind: names, aliases, documentation, logical types.

use serde_json::{Map, Value};

use super::SchemaError;
use crate::avro::schema::{Kind, Logical};

/// A defined name: full, with its aliases in full and the namespace of what it encloses.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) aliases: Vec<String>,
    pub(super) space: Option<String>,
}

pub(super) fn named(object: &Map<String, Value>, path: &str, enclosing: Option<&str>) -> Result<Named, SchemaError> {
    let written = text(object, "name", path)?;
    let place = join(path, "name");
    let (space, simple) = match written.rsplit_once('.') {
        Some((space, simple)) => (Some(space.to_owned()).filter(|space| !space.is_empty()), simple),
        None => match object.get("namespace") {
            None | Some(Value::Null) => (enclosing.map(str::to_owned), written),
            Some(Value::String(space)) => (Some(space.clone()).filter(|space| !space.is_empty()), written),
            Some(other) => {
                return Err(SchemaError::new(
                    &join(path, "namespace"),
                    format!("{} is no namespace; it is a string", shown(other)),
                ));
            }
        },
    };
    check_name(simple, &place)?;
    for part in space.iter().flat_map(|space| space.split('.')) {
        check_name(part, &join(path, "namespace"))?;
    }
    let full = |name: &str| match (&space, name.contains('.')) {
        (Some(space), false) => format!("{space}.{name}"),
        _ => name.to_owned(),
    };
    let aliases = texts(object, "aliases", path)?.iter().map(|alias| full(alias)).collect();
    Ok(Named { name: full(simple), aliases, space })
}

pub(super) fn check_name(name: &str, path: &str) -> Result<(), SchemaError> {
    let mut letters = name.chars();
    let first = letters.next().is_some_and(|letter| letter.is_alphabetic() || letter == '_');
    if first && letters.all(|letter| letter.is_alphanumeric() || letter == '_') {
        return Ok(());
    }
    Err(SchemaError::new(
        path,
        format!(
            "{} is no name; a name is letters, digits and _ and does not begin with a digit",
            shown(&Value::from(name))
        ),
    ))
}

pub(super) fn text<'a>(object: &'a Map<String, Value>, key: &str, path: &str) -> Result<&'a str, SchemaError> {
    match object.get(key) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(SchemaError::new(&join(path, key), format!("{} is no string", shown(other)))),
        None => Err(SchemaError::new(path, format!("{key:?} is missing"))),
    }
}

pub(super) fn texts(object: &Map<String, Value>, key: &str, path: &str) -> Result<Vec<String>, SchemaError> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => items
            .iter()
            .enumerate()
            .map(|(index, item)| match item {
                Value::String(text) => Ok(text.clone()),
                other => Err(SchemaError::new(
                    &join(path, &format!("{key}[{index}]")),
                    format!("{} is no string", shown(other)),
                )),
            })
            .collect(),
        Some(other) => Err(SchemaError::new(&join(path, key), format!("{} is no array of strings", shown(other)))),
    }
}

pub(super) fn doc(object: &Map<String, Value>) -> Option<String> {
    object.get("doc").and_then(Value::as_str).map(str::to_owned)
}

pub(in crate::avro) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A value as it is shown in an error: its JSON text, at most 60 characters of it.
pub(in crate::avro) fn shown(value: &Value) -> String {
    let text = match value {
        // Printing a large tree to show 60 characters of it would be dear.
        Value::Object(_) => return "an object".to_owned(),
        Value::Array(_) => return "an array".to_owned(),
        other => other.to_string(),
    };
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// The logical type, where it is one of the specification's and fits; anything else is ignored.
pub(super) fn logical(object: &Map<String, Value>, kind: &Kind) -> Option<Logical> {
    let name = object.get("logicalType")?.as_str()?;
    Some(match (name, kind) {
        ("decimal", Kind::Bytes | Kind::Fixed(_)) => decimal(object, kind)?,
        ("uuid", Kind::String) => Logical::Uuid,
        ("uuid", Kind::Fixed(fixed)) if fixed.size == 16 => Logical::Uuid,
        ("date", Kind::Int) => Logical::Date,
        ("time-millis", Kind::Int) => Logical::TimeMillis,
        ("time-micros", Kind::Long) => Logical::TimeMicros,
        ("timestamp-millis", Kind::Long) => Logical::TimestampMillis,
        ("timestamp-micros", Kind::Long) => Logical::TimestampMicros,
        ("timestamp-nanos", Kind::Long) => Logical::TimestampNanos,
        ("local-timestamp-millis", Kind::Long) => Logical::LocalTimestampMillis,
        ("local-timestamp-micros", Kind::Long) => Logical::LocalTimestampMicros,
        ("local-timestamp-nanos", Kind::Long) => Logical::LocalTimestampNanos,
        ("duration", Kind::Fixed(fixed)) if fixed.size == 12 => Logical::Duration,
        _ => return None,
    })
}

pub(in crate::avro) fn decimal(object: &Map<String, Value>, kind: &Kind) -> Option<Logical> {
    let whole = |value: &Value| {
        value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| *number <= i32::MAX as u32)
    };
    let precision = whole(object.get("precision")?).filter(|precision| *precision > 0)?;
    let scale = match object.get("scale") {
        None => 0,
        Some(scale) => whole(scale)?,
    };
    if scale > precision {
        return None;
    }
    if let Kind::Fixed(fixed) = kind {
        // floor(log10(2^(8·size − 1) − 1)) digits fit. log10(2) as a float is exact enough below 2^31 bytes.
        let digits = ((8.0 * fixed.size as f64 - 1.0) * std::f64::consts::LOG10_2).floor();
        if f64::from(precision) > digits {
            return None;
        }
    }
    Some(Logical::Decimal { precision, scale })
}
