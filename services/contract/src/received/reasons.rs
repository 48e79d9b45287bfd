//! What is said of a record that no program could judge: another framing, no schema to read it with, no value.

use schemas::{NotFramed, SchemaId};

use super::Refusal;
use crate::{Contract, RuleId, Severity, Violation};

fn violation(rule: &str, value: Option<String>, message: String) -> Violation {
    Violation { rule: RuleId::new(rule), path: String::new(), value, message, severity: Severity::Error }
}

/// A value that is not in the Confluent wire format; `id_in_header` where a header looks like a schema id.
pub(super) fn not_framed(contract: &Contract, why: NotFramed, value: &[u8], id_in_header: bool) -> Violation {
    if id_in_header {
        return self::id_in_header(contract, value);
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
    violation("wire", Some(shown(contract, value)), message)
}

/// The schema id is in a header instead of in the value.
pub(super) fn id_in_header(contract: &Contract, value: &[u8]) -> Violation {
    let message = "the schema id is in a header; set the serializer to put it into the value \
         (HeaderSchemaIdSerializer off, the default PrefixSchemaIdSerializer on)";
    violation("wire", Some(shown(contract, value)), message.to_owned())
}

/// The key's schema id is in a header instead of in the key.
pub(super) const KEY_ID_IN_HEADER: &str = "the key's schema id is in a header; set the key serializer to put it \
     into the key (HeaderSchemaIdSerializer off, the default PrefixSchemaIdSerializer on)";

/// A key that is not the contract's, of a record without a value.
pub(super) fn key(message: String) -> Violation {
    violation("key", None, message)
}

/// Why every key written with a schema is none of the contract's.
pub(super) fn key_refused(id: SchemaId, refusal: &Refusal) -> String {
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
fn shown(contract: &Contract, value: &[u8]) -> String {
    if !contract.classified.is_empty() {
        return "***".to_owned();
    }
    let text: String = value.iter().take(24).map(|byte| format!("{byte:02x}")).collect();
    if value.len() > 24 { format!("{text}…") } else { text }
}

/// A writer schema that no record can keep the contract with.
pub(super) fn refused(id: SchemaId, refusal: &Refusal) -> Violation {
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
pub(super) fn tombstone(has_key: bool, allowed: bool) -> Violation {
    let message = if allowed && !has_key {
        "a null value deletes a key, and this record has none".to_owned()
    } else {
        "the value is null, and the contract knows no deletes; send a value, or set weir.deletes to tombstone"
            .to_owned()
    };
    violation("tombstone", None, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::odcs::{self, Source};
    use crate::{Path, Segment};

    #[test]
    fn bytes_that_nobody_can_place_are_masked_where_anything_is_classified() {
        let text = include_str!("../../../../schemas/products/aviation/airlines/contract.odcs.yaml");
        let schema = include_str!("../../../../schemas/products/aviation/airlines/airlines.avsc");
        let schema = Source { file: "airlines.avsc", text: schema };
        let mut contract =
            odcs::read(&Source { file: "contract.odcs.yaml", text }, Some(&schema)).expect("a contract").contract;
        let json = br#"{"carrier":"secret"}"#;
        let open = not_framed(&contract, NotFramed::Json, json, false);
        assert!(open.value.is_some_and(|value| value.starts_with("7b2263")));
        contract.classified = vec![Path(vec![Segment::Field("carrier".into())])];
        for in_header in [false, true] {
            let masked = not_framed(&contract, NotFramed::Json, json, in_header);
            assert_eq!(masked.value.as_deref(), Some("***"));
        }
    }
}
