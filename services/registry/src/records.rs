//! The records of the topic, in the form that Confluent's registry writes: another order of the fields in a
//! key would be another key to compaction. Knows nothing of what a change means.

use broker::CompatibilityLevel;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One version of a subject, as its record holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SchemaValue {
    /// The subject.
    pub(crate) subject: String,
    /// The version, from 1.
    pub(crate) version: u32,
    /// The id.
    pub(crate) id: u32,
    /// The kind of schema; absent for Avro.
    #[serde(rename = "schemaType", default, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    /// Its text.
    pub(crate) schema: String,
    /// Soft-deleted.
    #[serde(default)]
    pub(crate) deleted: bool,
}

/// A record of the topic as it is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A version is this, soft-deleted or not.
    Schema(SchemaValue),
    /// A version is gone for good.
    SchemaGone {
        /// The subject.
        subject: String,
        /// The version.
        version: u32,
    },
    /// The versions of a subject up to this one are soft-deleted.
    DeleteSubject {
        /// The subject.
        subject: String,
        /// The last of them.
        version: u32,
    },
    /// The level of a subject, or of all; `None` takes it back.
    Level {
        /// The subject; `None` is the global level.
        subject: Option<String>,
        /// The level.
        level: Option<CompatibilityLevel>,
    },
    /// The mode of a subject, or of all; `None` takes it back.
    Mode {
        /// The subject; `None` is the global mode.
        subject: Option<String>,
        /// `READWRITE`, `READONLY`, …
        mode: Option<String>,
    },
    /// Nothing to remember.
    Noop,
}

#[derive(Serialize)]
struct SchemaKey<'a> {
    keytype: &'static str,
    subject: &'a str,
    version: u32,
    magic: u8,
}

#[derive(Serialize)]
struct SubjectKey<'a> {
    keytype: &'static str,
    subject: Option<&'a str>,
    magic: u8,
}

impl Event {
    /// Key and value to be written.
    ///
    /// # Errors
    /// Where JSON cannot hold it, which no event of ours does.
    pub(crate) fn write(&self) -> Result<(Vec<u8>, Option<Vec<u8>>), serde_json::Error> {
        let schema_key =
            |subject, version| serde_json::to_vec(&SchemaKey { keytype: "SCHEMA", subject, version, magic: 1 });
        let subject_key =
            |keytype, subject: Option<&str>| serde_json::to_vec(&SubjectKey { keytype, subject, magic: 0 });
        Ok(match self {
            Self::Schema(value) => (schema_key(&value.subject, value.version)?, Some(serde_json::to_vec(value)?)),
            Self::SchemaGone { subject, version } => (schema_key(subject, *version)?, None),
            Self::DeleteSubject { subject, version } => {
                let value = json!({"subject": subject, "version": version});
                (subject_key("DELETE_SUBJECT", Some(subject))?, Some(serde_json::to_vec(&value)?))
            }
            Self::Level { subject, level } => {
                let value = level
                    .map(|level| serde_json::to_vec(&json!({"compatibilityLevel": level.as_str()})))
                    .transpose()?;
                (subject_key("CONFIG", subject.as_deref())?, value)
            }
            Self::Mode { subject, mode } => {
                let value = mode.as_ref().map(|mode| serde_json::to_vec(&json!({"mode": mode}))).transpose()?;
                (subject_key("MODE", subject.as_deref())?, value)
            }
            Self::Noop => (serde_json::to_vec(&json!({"keytype": "NOOP", "magic": 0}))?, None),
        })
    }

    /// The event that a record is.
    ///
    /// # Errors
    /// Why it is none, as a sentence.
    pub(crate) fn read(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Self, String> {
        let key = key.ok_or("it has no key")?;
        let key: Value = serde_json::from_slice(key).map_err(|why| format!("its key is not JSON: {why}"))?;
        let value: Option<Value> = value
            .map(serde_json::from_slice)
            .transpose()
            .map_err(|why| format!("its value is not JSON: {why}"))?
            .filter(|value: &Value| !value.is_null());
        let subject = key.get("subject").and_then(Value::as_str).map(str::to_owned);
        let named = || subject.clone().ok_or_else(|| "its key names no subject".to_owned());
        match key.get("keytype").and_then(Value::as_str).unwrap_or_default() {
            "SCHEMA" => match value {
                Some(value) => serde_json::from_value(value)
                    .map(Self::Schema)
                    .map_err(|why| format!("its value is no schema version: {why}")),
                None => Ok(Self::SchemaGone { subject: named()?, version: version(&key)? }),
            },
            "DELETE_SUBJECT" => match value {
                Some(value) => Ok(Self::DeleteSubject { subject: named()?, version: version(&value)? }),
                None => Ok(Self::Noop),
            },
            "CLEAR_SUBJECT" | "NOOP" => Ok(Self::Noop),
            "CONFIG" => {
                let level = value
                    .as_ref()
                    .and_then(|value| value.get("compatibilityLevel"))
                    .and_then(Value::as_str)
                    .map(str::parse)
                    .transpose()?;
                Ok(Self::Level { subject, level })
            }
            "MODE" => {
                let mode =
                    value.as_ref().and_then(|value| value.get("mode")).and_then(Value::as_str).map(str::to_owned);
                Ok(Self::Mode { subject, mode })
            }
            other => Err(format!("its key is of the kind {other:?}, which this registry does not know")),
        }
    }
}

fn version(value: &Value) -> Result<u32, String> {
    value
        .get("version")
        .and_then(Value::as_u64)
        .and_then(|version| u32::try_from(version).ok())
        .ok_or_else(|| "it names no version".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event::Schema(SchemaValue {
            subject: "s".into(),
            version: 2,
            id: 7,
            kind: None,
            schema: "\"int\"".into(),
            deleted: false,
        })
    }

    #[test]
    fn keys_are_byte_for_byte_those_of_confluent() {
        let (key, value) = event().write().expect("JSON");
        assert_eq!(String::from_utf8_lossy(&key), r#"{"keytype":"SCHEMA","subject":"s","version":2,"magic":1}"#);
        let value = value.expect("a value");
        assert_eq!(
            String::from_utf8_lossy(&value),
            r#"{"subject":"s","version":2,"id":7,"schema":"\"int\"","deleted":false}"#
        );
        let (key, value) = Event::Level { subject: None, level: Some(CompatibilityLevel::Full) }.write().expect("JSON");
        assert_eq!(String::from_utf8_lossy(&key), r#"{"keytype":"CONFIG","subject":null,"magic":0}"#);
        assert_eq!(value.as_deref(), Some(br#"{"compatibilityLevel":"FULL"}"#.as_slice()));
    }

    #[test]
    fn events_come_back_and_others_are_refused() {
        let (key, value) = event().write().expect("JSON");
        assert_eq!(Event::read(Some(&key), value.as_deref()), Ok(event()));
        assert_eq!(Event::read(Some(&key), None), Ok(Event::SchemaGone { subject: "s".into(), version: 2 }));
        assert!(Event::read(Some(br#"{"keytype":"CONTEXT","context":"c"}"#), Some(b"{}")).is_err());
        assert!(Event::read(None, None).is_err());
        assert!(Event::read(Some(b"\xff"), None).is_err());
    }
}
