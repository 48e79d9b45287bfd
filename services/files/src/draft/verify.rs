//! Holds a draft against every record that it was made from: what some record breaks must not stand in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use contract::{Context, Contract, KeyProgram, KeySchema, Program, Scratch, Verdict};
use schemas::{SchemaId, Timestamp};

use super::survey::Progress;
use crate::{FileError, FileFormat, Input, Options};

/// What records did not keep.
#[derive(Debug, Default)]
pub(crate) struct Broken {
    /// Rules, by their ids.
    pub(crate) rules: BTreeSet<String>,
    /// Fields, by their paths without positions, whose values do not fit their types; and how they were said
    /// not to.
    pub(crate) fields: BTreeMap<String, String>,
    /// Records that are none.
    pub(crate) malformed: u64,
}

impl Broken {
    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.fields.is_empty()
    }
}

/// Judges all records.
pub(crate) fn verify(
    input: &Input,
    format: FileFormat,
    contract: &Arc<Contract>,
    progress: &mut Progress<'_>,
) -> Result<Broken, FileError> {
    let unusable = |why: String| FileError::Draft { file: input.name().to_owned(), why };
    let program = Program::compile(&contract.schema, contract).map_err(|error| unusable(error.to_string()))?;
    let key_program = match contract::program::key_schema(contract) {
        Some(text) => {
            let schema = contract::avro::Schema::parse(&text).map_err(|error| unusable(error.to_string()))?;
            Some(KeyProgram::compile(&schema, contract).map_err(|error| unusable(error.to_string()))?)
        }
        None => None,
    };
    let mut scratch = Scratch::default();
    let mut broken = Broken::default();
    let mut records = 0_u64;
    for row in input.rows(format, &contract.schema, &Options::of(contract))? {
        let row = row?;
        records += 1;
        if records.is_multiple_of(4096) {
            progress(input.position(), records);
        }
        let body = match &row.outcome {
            Ok(body) => body,
            Err(problems) => {
                for problem in problems {
                    if problem.path.is_empty() {
                        broken.malformed += 1;
                    } else {
                        broken
                            .fields
                            .entry(without_positions(&problem.path))
                            .or_insert_with(|| problem.message.clone());
                    }
                }
                continue;
            }
        };
        let key = match key_program {
            Some(_) => program.avro_key(SchemaId(0), body, &mut scratch),
            None => program.key(body, &mut scratch),
        };
        let key_schema = key_program.as_ref().map(KeySchema::Known);
        let context = Context { key: key.as_deref(), key_schema, now: Timestamp(0) };
        if program.judge(body, &context, &mut scratch, None) != Verdict::Conforms {
            broken.rules.extend(scratch.violations().iter().map(|violation| violation.rule.as_str().to_owned()));
        }
    }
    Ok(broken)
}

/// `lines[2].sku` is `lines.sku`.
fn without_positions(path: &str) -> String {
    let mut plain = String::new();
    let mut depth = 0_u32;
    for letter in path.chars() {
        match letter {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(letter),
            _ => {}
        }
    }
    plain
}
