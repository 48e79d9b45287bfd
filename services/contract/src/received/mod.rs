//! A record as it was received: judged by a contract from its bytes on the wire, whoever it is that judges. The gate
//! that enforces, a back-test over an inbox and an audit of any topic say the same of the same record, because they
//! say it here.
//!
//! Knows the framing, keys and tombstones. Whoever judges has the writer schemas: [`Schemas`].

mod reasons;

use std::sync::Arc;

use schemas::{Frame, SchemaId, Timestamp};

use crate::avro::Schema;
use crate::program::key_fault_of_tombstone;
use crate::{
    Context, Contract, Deletes, KeyKind, KeyProgram, KeySchema, Program, RuleId, Scratch, Severity, Statistics,
    Unresolvable, Verdict, Violation,
};

/// The headers in which Confluent's newer serializers put a schema's id.
const VALUE_ID_HEADER: &str = "__value_schema_id";
const KEY_ID_HEADER: &str = "__key_schema_id";

/// A record of a topic.
#[derive(Clone, Copy)]
pub struct Received<'a> {
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; none is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Whether it has a header of this name.
    pub has_header: &'a dyn Fn(&str) -> bool,
}

/// What is known of a writer schema under a contract version.
#[derive(Debug)]
pub enum Written<P> {
    /// What was written with it can be read.
    Readable(Arc<P>),
    /// What was written with it violates the contract, all of it.
    Refused(Arc<Refusal>),
    /// Nobody can tell yet, for this reason.
    Unknown(Arc<str>),
}

impl<P> Clone for Written<P> {
    fn clone(&self) -> Self {
        match self {
            Self::Readable(program) => Self::Readable(Arc::clone(program)),
            Self::Refused(refusal) => Self::Refused(Arc::clone(refusal)),
            Self::Unknown(why) => Self::Unknown(Arc::clone(why)),
        }
    }
}

/// Why everything written with a schema is a violation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The registry does not know the id.
    UnknownId,
    /// The schema is no Avro schema that can be read.
    NotAvro(String),
    /// It cannot be resolved to the contract's.
    Unresolvable(String),
    /// The registry refuses it under the product's subject.
    Incompatible(String),
}

/// What a registry says of a writer schema, made into a program.
///
/// # Errors
/// Why everything written with it is a violation.
pub fn readable<P>(text: &str, compile: impl FnOnce(&Schema) -> Result<P, Unresolvable>) -> Result<P, Refusal> {
    let schema = Schema::parse(text).map_err(|error| Refusal::NotAvro(error.to_string()))?;
    if let Some(why) = schema.broken_decimal() {
        return Err(Refusal::NotAvro(why.to_string()));
    }
    compile(&schema).map_err(|error| Refusal::Unresolvable(error.to_string()))
}

/// Where writer schemas come from.
pub trait Schemas {
    /// The schema that a value was written with.
    fn of_value(&mut self, id: SchemaId) -> Written<Program>;
    /// The schema that a key was written with.
    fn of_key(&mut self, id: SchemaId) -> Written<KeyProgram>;
}

/// What became of a record.
#[derive(Debug)]
pub enum Judgement {
    /// A program's verdict; violations are in the scratch. The program is handed back for the next record, which is
    /// likely to have the same schema.
    Judged(Verdict, Arc<Program>),
    /// A tombstone that keeps the contract.
    Deletes,
    /// It violates the contract, and no program was asked.
    Outside(Violation),
    /// Nobody can tell yet, for this reason. Nothing was counted.
    CannotTell(Arc<str>),
}

/// What is known of a record's key before it is judged.
enum Key {
    /// The contract does not ask for its schema, or it has none.
    Plain,
    Known(Arc<KeyProgram>),
    Refused(String),
    Wait(Arc<str>),
}

impl Key {
    fn schema(&self) -> Option<KeySchema<'_>> {
        match self {
            Self::Known(program) => Some(KeySchema::Known(program)),
            Self::Refused(why) => Some(KeySchema::Refused(why)),
            Self::Plain | Self::Wait(_) => None,
        }
    }
}

/// Judges a record. `now` is what `now` is in rules; it is counted in `statistics`, once it has a verdict.
pub fn judge(
    contract: &Contract,
    record: &Received<'_>,
    schemas: &mut impl Schemas,
    now: Timestamp,
    scratch: &mut Scratch,
    statistics: &mut Statistics,
) -> Judgement {
    let outside = |violation: Violation, statistics: &mut Statistics| {
        statistics.count_outside(&violation.rule, violation.severity == Severity::Error);
        Judgement::Outside(violation)
    };
    let key = key(contract, record, schemas);
    let Some(value) = record.value else {
        return match without_value(contract, record, &key, now) {
            Err(violation) => outside(violation, statistics),
            Ok(judgement) => judgement,
        };
    };
    let framed = match Frame::parse(value) {
        Ok(framed) => framed,
        Err(why) => {
            let in_header = (record.has_header)(VALUE_ID_HEADER);
            return outside(reasons::not_framed(contract, why, value, in_header), statistics);
        }
    };
    match (schemas.of_value(framed.schema), &key) {
        (Written::Unknown(why), _) => Judgement::CannotTell(why),
        (_, Key::Wait(why)) => Judgement::CannotTell(Arc::clone(why)),
        (Written::Refused(refusal), _) => {
            let in_header = *refusal == Refusal::UnknownId && (record.has_header)(VALUE_ID_HEADER);
            let violation = if in_header {
                reasons::id_in_header(contract, value)
            } else {
                reasons::refused(framed.schema, &refusal)
            };
            outside(violation, statistics)
        }
        (Written::Readable(program), key) => {
            let context = Context { key: record.key, key_schema: key.schema(), now };
            Judgement::Judged(program.judge(framed.body, &context, scratch, Some(statistics)), program)
        }
    }
}

impl Judgement {
    /// The rules that hold the record back, each once; `scratch` is the one that it was judged with.
    pub fn rules<'a>(&'a self, scratch: &'a Scratch) -> Vec<&'a RuleId> {
        match self {
            Self::Judged(Verdict::Conforms, _) | Self::Deletes | Self::CannotTell(_) => Vec::new(),
            Self::Outside(violation) => vec![&violation.rule],
            Self::Judged(Verdict::Violates, program) => {
                let enforced = scratch.hits().filter_map(|(rule, _)| program.rules().get(rule));
                enforced.filter(|info| info.severity == Severity::Error).map(|info| &info.id).collect()
            }
        }
    }
}

/// What is known of the key's schema, where the contract asks for an Avro key.
fn key(contract: &Contract, record: &Received<'_>, schemas: &mut impl Schemas) -> Key {
    if contract.settings.key.kind != KeyKind::Avro {
        return Key::Plain;
    }
    let Some(bytes) = record.key else { return Key::Plain };
    let Ok(framed) = Frame::parse(bytes) else {
        return if (record.has_header)(KEY_ID_HEADER) {
            Key::Refused(reasons::KEY_ID_IN_HEADER.to_owned())
        } else {
            Key::Plain
        };
    };
    match schemas.of_key(framed.schema) {
        Written::Readable(program) => Key::Known(program),
        Written::Refused(refusal) => Key::Refused(reasons::key_refused(framed.schema, &refusal)),
        Written::Unknown(why) => Key::Wait(why),
    }
}

fn without_value(
    contract: &Contract,
    record: &Received<'_>,
    key: &Key,
    now: Timestamp,
) -> Result<Judgement, Violation> {
    let allowed = contract.settings.deletes == Deletes::Tombstone;
    let has_key = record.key.is_some_and(|key| !key.is_empty());
    if !allowed || !has_key {
        return Err(reasons::tombstone(has_key, allowed));
    }
    if let Key::Wait(why) = key {
        return Ok(Judgement::CannotTell(Arc::clone(why)));
    }
    let context = Context { key: record.key, key_schema: key.schema(), now };
    match key_fault_of_tombstone(contract, &context) {
        Some(message) => Err(reasons::key(message)),
        None => Ok(Judgement::Deletes),
    }
}
