//! What a quarantined record says about itself, in headers appended after its own.

use std::borrow::Cow;

use broker::{Reasons, Record};
use contract::{RuleId, Severity, Violation};
use schemas::{NotFramed, TopicPartition};
use serde_json::json;

use crate::catalog::Enforced;
use crate::resolver::Refusal;

/// Longest `weir.reason`, path, value and message, in bytes before JSON escapes them.
const TEXT_MAX: usize = 1_000;
/// Bytes of `weir.violations` after which no more are listed; one alone has at most 20 KiB, however it is
/// escaped, so all headers stay below the 64 KiB that the quarantine topic has room for.
const LIST_MAX: usize = 32 * 1024;

/// The headers of a record that broke these rules.
pub(crate) fn headers(
    enforced: &Enforced,
    source: &TopicPartition,
    record: &Record<'_>,
    violations: &[Violation],
    total: usize,
) -> Reasons {
    let list = listed(violations);
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
        header("weir.violations", list),
        header("weir.reason", cut(&reason).to_owned()),
    ]
}

/// The violations that held a record back, as JSON.
fn listed(violations: &[Violation]) -> String {
    let mut list = String::from("[");
    for violation in violations.iter().filter(|violation| violation.severity == Severity::Error) {
        if list.len() > LIST_MAX {
            break;
        }
        if list.len() > 1 {
            list.push(',');
        }
        let entry = json!({
            "rule": violation.rule.as_str(),
            "path": cut(&violation.path),
            "value": violation.value.as_deref().map(cut),
            "message": cut(&violation.message),
        });
        list.push_str(&entry.to_string());
    }
    list.push(']');
    list
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
pub(crate) fn not_framed(enforced: &Enforced, why: NotFramed, value: &[u8], id_in_header: bool) -> Violation {
    if id_in_header {
        return self::id_in_header(enforced, value);
    }
    let message = match why {
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
        NotFramed::Glue => {
            "the value is in AWS Glue's framing; use a serializer that writes the Confluent wire format (AvroSerializer, \
             KafkaAvroSerializer) with this backbone's registry"
                .to_owned()
        }
        NotFramed::Other(byte) => format!(
            "the value begins with byte 0x{byte:02x} instead of 0x00; use an Avro serializer with a schema registry"
        ),
    };
    violation("wire", Some(shown(enforced, value)), message)
}

/// The schema id is in a header instead of in the value.
pub(crate) fn id_in_header(enforced: &Enforced, value: &[u8]) -> Violation {
    let message = "the schema id is in a header; set the serializer to put it into the value \
         (HeaderSchemaIdSerializer off, the default PrefixSchemaIdSerializer on)";
    violation("wire", Some(shown(enforced, value)), message.to_owned())
}

/// The key's schema id is in a header instead of in the key.
pub(crate) const KEY_ID_IN_HEADER: &str = "the key's schema id is in a header; set the key serializer to put it \
     into the key (HeaderSchemaIdSerializer off, the default PrefixSchemaIdSerializer on)";

/// A key that is not the contract's, of a record without a value.
pub(crate) fn key(message: String) -> Violation {
    violation("key", None, message)
}

/// Why every key written with a schema is none of the contract's.
pub(crate) fn key_refused(id: schemas::SchemaId, refusal: &Refusal) -> String {
    match refusal {
        Refusal::UnknownId => format!(
            "the registry does not know schema {id} of the key; point the key serializer at this backbone's registry"
        ),
        Refusal::NotAvro(why) => format!("schema {id} of the key cannot be used: {why}"),
        Refusal::Unresolvable(why) => format!("keys written with schema {id} are not the contract's: {why}"),
        Refusal::Incompatible(why) => format!("the registry refuses schema {id} for this product's keys: {why}"),
    }
}

/// The first bytes, for people; masked where the contract classifies any field, because nobody can tell
/// which these are of.
fn shown(enforced: &Enforced, value: &[u8]) -> String {
    if !enforced.contract.classified.is_empty() {
        return "***".to_owned();
    }
    let text: String = value.iter().take(24).map(|byte| format!("{byte:02x}")).collect();
    if value.len() > 24 { format!("{text}…") } else { text }
}

/// A writer schema that no record can keep the contract with.
pub(crate) fn refused(id: schemas::SchemaId, refusal: &Refusal) -> Violation {
    let message = match refusal {
        Refusal::UnknownId if id.0 == 0 => {
            "the schema id reads as 0, as if the serializer wrote an id of eight bytes; set it to \
             the Confluent wire format with four (apicurio.registry.as-confluent=true)"
                .to_owned()
        }
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
    let message = format!(
        "the broker refused the record for the product topic: {why}; look at the topic's max.message.bytes, \
         message.timestamp.before.max.ms and message.timestamp.after.max.ms"
    );
    violation("broker-refused", None, message)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use broker::{Destination, TimestampType};
    use contract::odcs::{self, Source};
    use contract::{Path, Segment, Statistics};
    use schemas::{Offset, Partition, SchemaId, Timestamp, Topic};

    use super::*;

    fn enforced(classified: Vec<Path>) -> Enforced {
        let text = include_str!("../../../schemas/products/aviation/airlines/contract.odcs.yaml");
        let schema = include_str!("../../../schemas/products/aviation/airlines/airlines.avsc");
        let schema = Source { file: "airlines.avsc", text: schema };
        let mut contract =
            odcs::read(&Source { file: "contract.odcs.yaml", text }, Some(&schema)).expect("a contract").contract;
        contract.classified = classified;
        Enforced {
            product: contract.product.clone(),
            version: contract.version,
            inbox: Topic::existing("inbox"),
            destination: Destination { product: Topic::existing("p"), quarantine: Topic::existing("q") },
            partitions: 1,
            schema_id: SchemaId(1),
            decided_at: Timestamp(0),
            statistics: Statistics::for_contract(&contract),
            contract: Arc::new(contract),
        }
    }

    #[test]
    fn headers_fit_into_what_quarantine_has_room_for_however_hostile_their_texts_are() {
        let source = TopicPartition::new(Topic::existing("i".repeat(249)), Partition(i32::MAX));
        let (offset, timestamp) = (Offset(i64::MAX), Timestamp(i64::MIN));
        let record = Record {
            partition: 0,
            offset,
            timestamp,
            timestamp_type: TimestampType::CreateTime,
            key: None,
            value: None,
        };
        let hostile = Violation {
            path: "\u{1}".repeat(5_000),
            value: Some("\u{2}".repeat(5_000)),
            ..violation("r", None, "\u{3}".repeat(5_000))
        };
        let headers = headers(&enforced(Vec::new()), &source, &record, &vec![hostile; 16], 16);
        let size: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 10).sum();
        assert!((32 << 10..64 << 10).contains(&size), "{size} bytes");
        let list: Vec<serde_json::Value> = serde_json::from_slice(&headers[6].1).expect("JSON, cut between violations");
        assert!((1..16).contains(&list.len()));
    }

    #[test]
    fn bytes_that_nobody_can_place_are_masked_where_anything_is_classified() {
        let json = br#"{"carrier":"secret"}"#;
        let open = not_framed(&enforced(Vec::new()), NotFramed::Json, json, false);
        assert!(open.value.is_some_and(|value| value.starts_with("7b2263")));
        let path = Path(vec![Segment::Field("carrier".into())]);
        for in_header in [false, true] {
            let masked = not_framed(&enforced(vec![path.clone()]), NotFramed::Json, json, in_header);
            assert_eq!(masked.value.as_deref(), Some("***"));
        }
    }
}
