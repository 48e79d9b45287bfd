//! Random demands on the record's key, keys that meet them and keys that do not, and which is which.

use std::sync::Arc;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use contract::{KeyKind, KeySpec, Path, Segment};

use super::random::Random;
use super::read::Seen;
use super::rules::nullable;
use super::schema::{Body, Mark, Primitive, Schema, Type};
use super::write;

/// What is demanded of keys.
#[derive(Debug)]
pub(crate) struct Demand {
    pub(crate) spec: KeySpec,
    /// The names of the fields that the key equals.
    fields: Vec<String>,
    /// The schema of an Avro key.
    pub(crate) schema: Option<String>,
    /// Whether an Avro key is a record of the fields, or the one field itself.
    record: bool,
}

/// A random demand; texts and numbers of the record are what keys are made of.
pub(crate) fn random(schema: &Schema, random: &mut Random) -> Demand {
    let kind = *random.pick(&[KeyKind::Any, KeyKind::None, KeyKind::Utf8, KeyKind::Long, KeyKind::Avro]);
    let most = if matches!(kind, KeyKind::Any | KeyKind::None) { 0 } else { 1 + usize::from(kind != KeyKind::Long) };
    let mut chosen = Vec::new();
    for field in schema.fields(0).unwrap_or_default() {
        let inner = nullable(&field.kind).unwrap_or(&field.kind);
        let fits = match inner {
            Type::Primitive(_, Some(Mark::Decimal { .. })) => None,
            Type::Primitive(Primitive::Int | Primitive::Long, _) => Some(kind == KeyKind::Long),
            Type::Primitive(Primitive::Text | Primitive::Boolean | Primitive::Bytes, _) => Some(false),
            Type::Named(index) if kind == KeyKind::Utf8 => match schema.named[*index].body {
                Body::Enum { .. } => Some(false),
                _ => None,
            },
            _ => None,
        };
        let wanted = fits.is_some_and(|long| long || kind != KeyKind::Long);
        if wanted && chosen.len() < most && !random.one_in(3) {
            chosen.push((field.name.clone(), inner.clone()));
        }
    }
    let record = chosen.len() != 1 || random.one_in(2);
    let avro = (kind == KeyKind::Avro).then(|| {
        let text = |kind: &Type| match kind {
            Type::Primitive(primitive, _) => format!("\"{}\"", primitive.name()),
            _ => panic!("{kind:?} is no key"),
        };
        let fields: Vec<String> =
            chosen.iter().map(|(name, kind)| format!(r#"{{"name":"{name}","type":{}}}"#, text(kind))).collect();
        match (record, chosen.as_slice()) {
            (false, [(_, kind)]) => text(kind),
            _ => format!(r#"{{"type":"record","name":"Key","fields":[{}]}}"#, fields.join(",")),
        }
    });
    let fields: Vec<String> = chosen.into_iter().map(|(name, _)| name).collect();
    let paths = fields.iter().map(|name| Path(vec![Segment::Field(Arc::from(name.as_str()))])).collect();
    Demand { spec: KeySpec { kind, fields: paths, separator: "|".to_owned() }, fields, schema: avro, record }
}

impl Demand {
    fn parts<'v>(&self, record: &'v Seen) -> Vec<&'v Seen> {
        let Seen::Record(fields) = record else { return Vec::new() };
        let named = |name: &String| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value);
        self.fields.iter().filter_map(named).collect()
    }

    /// A key for a record: the right one, or one that is a little wrong.
    pub(crate) fn key(&self, record: &Seen, random: &mut Random) -> Option<Vec<u8>> {
        let parts = self.parts(record);
        let mut key = match (self.spec.kind, parts.as_slice()) {
            (KeyKind::Any | KeyKind::None, _) => return random.one_in(3).then(|| b"any".to_vec()),
            (KeyKind::Utf8, parts) => joined(parts).unwrap_or_else(|| "null".to_owned()).into_bytes(),
            (KeyKind::Long, [Seen::Whole(number)]) => number.to_be_bytes().to_vec(),
            (KeyKind::Long, _) => vec![0; 8],
            (KeyKind::Avro, parts) => {
                let mut key = vec![0, 0, 0, 0, 7];
                parts.iter().for_each(|part| encode(part, &mut key));
                key
            }
        };
        match random.below(12) {
            0 => return None,
            1 => drop(key.pop()),
            2 => key.push(random.next() as u8),
            3 if !key.is_empty() => {
                // A tenth byte of a number is where `apache-avro` is not to be trusted.
                let place = random.below(key.len().min(14));
                key[place] ^= 1 << random.below(8);
            }
            _ => {}
        }
        Some(key)
    }

    /// Whether a key is not what the contract demands.
    pub(crate) fn broken(&self, record: &Seen, key: Option<&[u8]>) -> bool {
        let parts = self.parts(record);
        match (self.spec.kind, key) {
            (KeyKind::Any, _) => false,
            (KeyKind::None, key) => key.is_some(),
            (_, None) => true,
            (KeyKind::Utf8, Some(key)) => match std::str::from_utf8(key) {
                Ok(text) => !parts.is_empty() && joined(&parts).as_deref() != Some(text),
                Err(_) => true,
            },
            (KeyKind::Long, Some(key)) => match (<[u8; 8]>::try_from(key), parts.as_slice()) {
                (Err(_), _) => true,
                (Ok(_), []) => false,
                (Ok(bytes), [part]) => **part != Seen::Whole(i64::from_be_bytes(bytes)),
                (Ok(_), _) => true,
            },
            (KeyKind::Avro, Some(key)) => self.avro(key, &parts).is_none(),
        }
    }

    /// Something if an Avro key equals the fields.
    fn avro(&self, key: &[u8], parts: &[&Seen]) -> Option<()> {
        let [0, _, _, _, _, body @ ..] = key else { return None };
        let schema = apache_avro::Schema::parse_str(self.schema.as_ref()?).expect("a schema");
        let mut rest = body;
        let value = GenericDatumReader::builder(&schema).build().expect("a reader").read_value(&mut rest).ok()?;
        let values = match value {
            Value::Record(fields) if self.record => fields.into_iter().map(|(_, value)| value).collect(),
            value => vec![value],
        };
        let same = |(value, part): (&Value, &&Seen)| match (value, part) {
            (Value::Int(value), Seen::Whole(part)) => i64::from(*value) == *part,
            (Value::Long(value), Seen::Whole(part)) => value == part,
            (Value::String(value), Seen::Text(part)) => value == part,
            (Value::Boolean(value), Seen::Bool(part)) => value == part,
            (Value::Bytes(value), Seen::Bytes(part)) => value == part,
            _ => false,
        };
        let equal = rest.is_empty() && values.len() == parts.len() && values.iter().zip(parts).all(same);
        equal.then_some(())
    }
}

fn joined(parts: &[&Seen]) -> Option<String> {
    let texts: Option<Vec<String>> = parts
        .iter()
        .map(|part| match part {
            Seen::Text(text) | Seen::Symbol(text) => Some(text.clone()),
            Seen::Whole(number) => Some(number.to_string()),
            Seen::Bool(value) => Some(value.to_string()),
            Seen::Bytes(bytes) => String::from_utf8(bytes.clone()).ok(),
            _ => None,
        })
        .collect();
    Some(texts?.join("|"))
}

fn encode(part: &Seen, out: &mut Vec<u8>) {
    match part {
        Seen::Whole(number) => write::long(*number, out),
        Seen::Text(text) => write::bytes(text.as_bytes(), out),
        Seen::Bytes(bytes) => write::bytes(bytes, out),
        Seen::Bool(value) => out.push(u8::from(*value)),
        _ => {}
    }
}
