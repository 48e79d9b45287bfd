//! The key of a record that is to be deleted, from what a person types.

use contract::avro::{Schema, encode};
use contract::{Contract, KeyKind};
use schemas::{SchemaId, frame};
use serde_json::Value;

use crate::CliError;

/// The bytes of a key, as `weir produce` makes them of a record's fields.
///
/// # Errors
/// It is none that the contract knows.
pub(crate) fn key(text: &str, contract: &Contract, schema: Option<SchemaId>) -> Result<Vec<u8>, CliError> {
    let wrong = |why: String| CliError::Failed(format!("{text:?} is no key of {}: {why}", contract.product));
    match contract.settings.key.kind {
        KeyKind::None => Err(wrong("its records have none, so that none can be deleted".to_owned())),
        KeyKind::Any | KeyKind::Utf8 => Ok(text.as_bytes().to_vec()),
        KeyKind::Long => {
            let number: i64 = text.parse().map_err(|_| wrong("it is a long; give a whole number".to_owned()))?;
            Ok(number.to_be_bytes().to_vec())
        }
        KeyKind::Avro => {
            let known = contract::program::key_schema(contract).zip(schema);
            let (written, id) = known.ok_or_else(|| wrong("the contract does not say its fields".to_owned()))?;
            let schema = Schema::parse(&written).map_err(|error| wrong(error.to_string()))?;
            let mut bytes = Vec::new();
            frame(id, &mut bytes);
            let json: Value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
            let encoded = encode(&schema, &json, &mut bytes).or_else(|problems| {
                // A number that is meant as text.
                bytes.truncate(schemas::FRAME_LEN);
                encode(&schema, &Value::String(text.to_owned()), &mut bytes).map_err(|_| problems)
            });
            encoded.map_err(|problems| {
                let why: Vec<_> = problems.iter().map(ToString::to_string).collect();
                wrong(format!("{}; it is written with {written}", why.join("; ")))
            })?;
            Ok(bytes)
        }
    }
}
