//! The record's key: its encoding, and the fields of the value that it equals.

use std::fmt;

use schemas::Frame as Framed;

use super::avro_key::KeySchema;
use super::run::Places;
use super::{Context, Program, Scratch, value};
use crate::cel::Found;
use crate::model::{Contract, KeyKind};

/// What is wrong with the key of a record without a value: it deletes by its key, which must be one of the
/// contract's, though there are no fields to compare it with. `None` where it is one.
pub fn key_fault_of_tombstone(contract: &Contract, context: &Context<'_>) -> Option<String> {
    let read = |key: &[u8]| match contract.settings.key.kind {
        KeyKind::Any => None,
        KeyKind::None => Some("the record must have no key".to_owned()),
        KeyKind::Utf8 => std::str::from_utf8(key).err().map(|_| "the key must be UTF-8 text".to_owned()),
        KeyKind::Long => (key.len() != 8).then(|| "the key must be eight bytes, a big-endian long".to_owned()),
        KeyKind::Avro => avro_fault(key, context, None, String::new),
    };
    context.key.and_then(read)
}

/// What is wrong with an Avro key; `unequal` says that it is not the one that the fields make.
fn avro_fault(
    key: &[u8],
    context: &Context<'_>,
    parts: Option<&[Found<'_>]>,
    unequal: impl Fn() -> String,
) -> Option<String> {
    let Ok(framed) = Framed::parse(key) else {
        return Some("the key must be Avro in the wire format of the schema registry".to_owned());
    };
    match context.key_schema {
        None => Some("the key's schema is not known".to_owned()),
        Some(KeySchema::Refused(why)) => Some(why.to_owned()),
        Some(KeySchema::Known(program)) => match program.equals(framed.body, parts) {
            Ok(true) => None,
            Ok(false) => Some(unequal()),
            Err(fault) => Some(format!("the key cannot be read: {fault}")),
        },
    }
}

impl Program {
    /// What is wrong with the key; `None` where it is as the contract says.
    pub(super) fn key_fault(&self, context: &Context<'_>, parts: &[Found<'_>]) -> Option<String> {
        let spec = &self.contract.settings.key;
        let equal = || {
            let names: Vec<String> = spec.fields.iter().map(ToString::to_string).collect();
            format!("the key must equal {}", names.join(", "))
        };
        match (spec.kind, context.key) {
            (KeyKind::Any, _) | (KeyKind::None, None) => None,
            (KeyKind::None, Some(_)) => Some("the record must have no key".to_owned()),
            (_, None) => Some("the record must have a key".to_owned()),
            (KeyKind::Utf8, Some(key)) => match std::str::from_utf8(key) {
                Err(_) => Some("the key must be UTF-8 text".to_owned()),
                Ok(_) => (!spec.fields.is_empty() && !self.text_equals(key, parts)).then(equal),
            },
            (KeyKind::Long, Some(key)) => match <[u8; 8]>::try_from(key) {
                Err(_) => Some("the key must be eight bytes, a big-endian long".to_owned()),
                Ok(bytes) => (!parts.is_empty() && parts != [Found::Int(i64::from_be_bytes(bytes))]).then(equal),
            },
            (KeyKind::Avro, Some(key)) => avro_fault(key, context, Some(parts), equal),
        }
    }

    /// The key as it may be shown.
    pub(super) fn key_shown(&self, key: Option<&[u8]>) -> Option<String> {
        let fields = &self.contract.settings.key.fields;
        let hidden = self
            .contract
            .classified
            .iter()
            .any(|path| fields.is_empty() || fields.iter().any(|field| field.0.starts_with(&path.0)));
        key.map(|key| if hidden { "***".to_owned() } else { value::cut(key) })
    }

    fn text_equals(&self, key: &[u8], parts: &[Found<'_>]) -> bool {
        let mut rest = Expected { rest: key };
        self.write_text(parts, &mut rest).is_ok() && rest.rest.is_empty()
    }

    /// The fields' texts: numbers and times as the schema keeps them, in decimal digits.
    fn write_text(&self, parts: &[Found<'_>], out: &mut impl fmt::Write) -> fmt::Result {
        let separator = &self.contract.settings.key.separator;
        parts.iter().enumerate().try_for_each(|(index, part)| {
            if index > 0 {
                out.write_str(separator)?;
            }
            match part {
                Found::Text(text) => out.write_str(text),
                Found::Int(number) => write!(out, "{number}"),
                Found::Bool(value) => write!(out, "{value}"),
                Found::Bytes(bytes) => {
                    std::str::from_utf8(bytes).map_err(|_| fmt::Error).and_then(|text| out.write_str(text))
                }
                Found::Null | Found::Float(_) | Found::Decimal(_) | Found::Present | Found::Rows(_) => Err(fmt::Error),
            }
        })
    }

    /// The key that the contract gives a record with this body. `None` where it names no fields, wants an
    /// Avro key (that is [`Program::avro_key`]'s), or a field cannot be one: null, or not readable.
    pub fn key(&self, body: &[u8], scratch: &mut Scratch) -> Option<Vec<u8>> {
        let spec = &self.contract.settings.key;
        if spec.fields.is_empty() {
            return None;
        }
        scratch.begin(self, false);
        let mut slots = vec![Found::Null; self.code.slots];
        let mut rows = self.rows(scratch);
        let ran = self.run(body, &mut Places { slots: &mut slots, rows: &mut rows }, scratch);
        self.give_back(rows, scratch);
        ran.ok()?;
        let parts = slots.get(self.code.key_slots..self.code.slots)?;
        match (spec.kind, parts) {
            (KeyKind::Utf8, parts) => {
                let mut text = String::new();
                self.write_text(parts, &mut text).ok()?;
                Some(text.into_bytes())
            }
            (KeyKind::Long, [Found::Int(number)]) => Some(number.to_be_bytes().to_vec()),
            _ => None,
        }
    }
}

/// Text that must come next; writing anything else is an error. Compares without allocating.
struct Expected<'a> {
    rest: &'a [u8],
}

impl fmt::Write for Expected<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.rest = self.rest.strip_prefix(text.as_bytes()).ok_or(fmt::Error)?;
        Ok(())
    }
}
