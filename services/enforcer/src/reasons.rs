//! What a quarantined record says about itself, in headers appended after its own.

use std::borrow::Cow;

use broker::{Reasons, Record};
use contract::{RuleId, Severity, Violation};
use schemas::{NotFramed, TopicPartition};
use serde_json::json;

use crate::catalog::Enforced;
use crate::resolver::Refusal;

/// Longest `weir.reason` and message, in bytes; with at most 16 violations the headers stay far below the
/// 64 KiB that the quarantine topic has room for.
const TEXT_MAX: usize = 1_000;

/// The headers of a record that broke these rules.
pub(crate) fn headers(
    enforced: &Enforced,
    source: &TopicPartition,
    record: &Record<'_>,
    violations: &[Violation],
    total: usize,
) -> Reasons {
    let list: Vec<_> = violations
        .iter()
        .filter(|violation| violation.severity == Severity::Error)
        .map(|violation| {
            json!({
                "rule": violation.rule.as_str(),
                "path": cut(&violation.path),
                "value": violation.value.as_deref().map(cut),
                "message": cut(&violation.message),
            })
        })
        .collect();
    let mut reason = violations
        .iter()
        .find(|violation| violation.severity == Severity::Error)
        .map(|violation| {
            if violation.path.is_empty() {
                violation.message.clone()
            } else {
                format!("{}: {}", violation.path, violation.message)
            }
        })
        .unwrap_or_default();
    if total > 1 {
        reason.push_str(&format!(" (and {} more)", total - 1));
    }
    let header = |name: &'static str, value: String| (Cow::Borrowed(name), value.into_bytes());
    vec![
        header("weir.source.topic", source.topic.to_string()),
        header("weir.source.partition", source.partition.to_string()),
        header("weir.source.offset", record.offset.to_string()),
        header("weir.source.timestamp", record.timestamp.to_string()),
        header("weir.contract", enforced.product.to_string()),
        header("weir.contract.version", enforced.version.to_string()),
        header("weir.violations", serde_json::Value::Array(list).to_string()),
        header("weir.reason", cut(&reason).to_owned()),
    ]
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn violation(rule: &str, value: Option<String>, message: String) -> Violation {
    Violation { rule: RuleId::new(rule), path: String::new(), value, message, severity: Severity::Error }
}

/// A value that is not in the Confluent wire format; `id_in_header` where a header looks like a schema id.
pub(crate) fn not_framed(why: NotFramed, value: &[u8], id_in_header: bool) -> Violation {
    let message = match why {
        _ if id_in_header => "the schema id is in a header; set the serializer to put it into the value \
             (HeaderSchemaIdSerializer off, the default PrefixSchemaIdSerializer on)"
            .to_owned(),
        NotFramed::Empty => {
            "the value is empty (zero bytes); to delete a key send a null value, else send an Avro value".to_owned()
        }
        NotFramed::TooShort => {
            format!("the value has {} bytes, too few for a schema id; use an Avro serializer", value.len())
        }
        NotFramed::Json => {
            "the value is JSON; use an Avro serializer with a schema registry (KafkaAvroSerializer, AvroSerializer)"
                .to_owned()
        }
        NotFramed::SingleObject => {
            "the value is in Avro's single-object encoding; use a serializer that writes the Confluent wire format"
                .to_owned()
        }
        NotFramed::ContainerFile => {
            "the value is an Avro container file; send its records one by one with an Avro serializer".to_owned()
        }
        NotFramed::Other(byte) => format!(
            "the value begins with byte 0x{byte:02x} instead of 0x00; use an Avro serializer with a schema registry"
        ),
    };
    violation("wire", Some(shown(value)), message)
}

/// The first bytes, for people.
fn shown(value: &[u8]) -> String {
    let text: String = value.iter().take(24).map(|byte| format!("{byte:02x}")).collect();
    if value.len() > 24 { format!("{text}…") } else { text }
}

/// A writer schema that no record can keep the contract with.
pub(crate) fn refused(id: schemas::SchemaId, refusal: &Refusal) -> Violation {
    let message = match refusal {
        Refusal::UnknownId => {
            format!("the registry does not know schema {id}; point the serializer at this backbone's registry")
        }
        Refusal::NotAvro(why) => format!("schema {id} cannot be used: {why}"),
        Refusal::Unresolvable(why) => {
            format!("records written with schema {id} cannot be read with the contract's schema: {why}")
        }
        Refusal::Incompatible(why) => format!("the registry refuses schema {id} for this product: {why}"),
    };
    violation("schema", Some(id.to_string()), message)
}

/// A record without a value where the contract knows no deletes.
pub(crate) fn tombstone(has_key: bool, allowed: bool) -> Violation {
    let message = if allowed && !has_key {
        "a null value deletes a key, and this record has none".to_owned()
    } else {
        "the value is null, and the contract knows no deletes; send a value, or set weir.deletes to tombstone"
            .to_owned()
    };
    violation("tombstone", None, message)
}

/// A record that the broker refused to take.
pub(crate) fn broker_refused(why: &str) -> Violation {
    violation("broker-refused", None, format!("the broker refused the record for the product topic: {why}"))
}
