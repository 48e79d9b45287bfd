//! The key that `weir produce` gives a record: what the contract says it is.

use contract::avro::render;
use contract::{Contract, KeyKind, Path, Segment};
use serde_json::Value;

/// The key of a record with this body; `None` where the contract wants none, or a field of it is null: the
/// enforcer then says what is wrong.
pub(crate) fn of(contract: &Contract, body: &[u8]) -> Option<Vec<u8>> {
    let spec = &contract.settings.key;
    if spec.fields.is_empty() || matches!(spec.kind, KeyKind::Any | KeyKind::None | KeyKind::Avro) {
        return None;
    }
    let value = render(&contract.schema, body).ok()?;
    let texts = spec.fields.iter().map(|path| text(at(&value, path)?)).collect::<Option<Vec<_>>>()?;
    match spec.kind {
        KeyKind::Utf8 => Some(texts.join(&spec.separator).into_bytes()),
        KeyKind::Long => texts.first()?.parse::<i64>().ok().map(|number| number.to_be_bytes().to_vec()),
        KeyKind::Any | KeyKind::None | KeyKind::Avro => None,
    }
}

fn at<'v>(value: &'v Value, path: &Path) -> Option<&'v Value> {
    path.0.iter().try_fold(value, |value, segment| match segment {
        Segment::Field(name) => value.get(&**name),
        Segment::Items | Segment::Values => None,
    })
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}
