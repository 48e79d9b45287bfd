//! What a quarantined record says about itself, in headers appended after its own.

use std::borrow::Cow;

use broker::{Reasons, Record};
use contract::{RuleId, Severity, Violation};
use schemas::TopicPartition;
use serde_json::json;

use crate::catalog::Enforced;

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

/// A record that the broker refused to take.
pub(crate) fn broker_refused(why: &str) -> Violation {
    let message = format!(
        "the broker refused the record for the product topic: {why}; look at the topic's max.message.bytes, \
         message.timestamp.before.max.ms and message.timestamp.after.max.ms"
    );
    let rule = RuleId::new("broker-refused");
    Violation { rule, path: String::new(), value: None, message, severity: Severity::Error }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use broker::{Destination, TimestampType};
    use contract::Statistics;
    use contract::odcs::{self, Source};
    use schemas::{Offset, Partition, SchemaId, Timestamp, Topic};

    use super::*;

    fn enforced() -> Enforced {
        let text = include_str!("../../../schemas/products/aviation/airlines/contract.odcs.yaml");
        let schema = include_str!("../../../schemas/products/aviation/airlines/airlines.avsc");
        let schema = Source { file: "airlines.avsc", text: schema };
        let contract =
            odcs::read(&Source { file: "contract.odcs.yaml", text }, Some(&schema)).expect("a contract").contract;
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
            message: "\u{3}".repeat(5_000),
            ..broker_refused("why")
        };
        let headers = headers(&enforced(), &source, &record, &vec![hostile; 16], 16);
        let size: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 10).sum();
        assert!((32 << 10..64 << 10).contains(&size), "{size} bytes");
        let list: Vec<serde_json::Value> = serde_json::from_slice(&headers[6].1).expect("JSON, cut between violations");
        assert!((1..16).contains(&list.len()));
    }
}
