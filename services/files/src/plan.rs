//! Which cell becomes which field: settled once, from the header and the schema.

use std::collections::BTreeSet;

use contract::avro::{self, Field, Kind, Schema};

use crate::Options;
use crate::cell::{Cell, Writing};
use crate::moment::Pattern;
use crate::numerals::Numerals;
use crate::table::distinct;

/// Where a field of the record comes from, in the schema's order.
#[derive(Debug)]
pub(crate) enum Slot {
    /// A cell.
    Cell { index: usize, field: String, cell: Cell },
    /// The same bytes in every record: its default, or null.
    Fixed(Vec<u8>),
}

/// Maps columns to fields.
///
/// # Errors
/// Every mistake: required fields without a column, columns without a field, columns that stand twice.
pub(crate) fn plan(schema: &Schema, header: &[String], options: &Options) -> Result<Vec<Slot>, Vec<String>> {
    let Kind::Record(record) = &schema.node(schema.root()).kind else {
        return Err(vec![
            "the schema is not a record, so that columns have no fields to become; write a record schema".into(),
        ]);
    };
    // A column that is called as another, or not at all, has a field only by a name of its own.
    let field_of = |(column, own): (&String, &String)| -> String { options.columns.get(own).unwrap_or(column).clone() };
    let named: Vec<String> = header.iter().zip(&distinct(header)).map(field_of).collect();
    let mut mistakes = Vec::new();
    let mut missing = Vec::new();
    let mut slots = Vec::with_capacity(record.fields.len());
    for field in &record.fields {
        match named.iter().position(|name| *name == field.name) {
            Some(index) => {
                let format = options.formats.get(&field.name).and_then(|format| Pattern::new(format));
                let writing = Writing {
                    nulls: options.dialect.nulls.clone(),
                    numerals: Numerals::of(&options.dialect),
                    pattern: format,
                };
                let cell = Cell::of(schema, field.node, writing);
                slots.push(Slot::Cell { index, field: field.name.clone(), cell });
            }
            None => match without_column(schema, field) {
                Some(bytes) => slots.push(Slot::Fixed(bytes)),
                None => missing.push(field.name.as_str()),
            },
        }
    }
    if !missing.is_empty() {
        mistakes.push(format!("no column for the required {} {}", plural(missing.len(), "field"), missing.join(", ")));
    }
    let unknown: Vec<String> = header
        .iter()
        .zip(&named)
        .enumerate()
        .filter(|(_, (_, name))| !record.fields.iter().any(|field| field.name == **name))
        .map(
            |(index, (column, _))| {
                if column.is_empty() { format!("number {} (without a name)", index + 1) } else { column.clone() }
            },
        )
        .collect();
    if !unknown.is_empty() {
        mistakes.push(format!(
            "no field for the {} {}; rename or remove {}, or give the field that physicalName in the contract",
            plural(unknown.len(), "column"),
            unknown.join(", "),
            if unknown.len() == 1 { "it" } else { "them" }
        ));
    }
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<&str> =
        named.iter().filter(|name| !name.is_empty() && !seen.insert(*name)).map(String::as_str).collect();
    if !twice.is_empty() {
        let twice: Vec<&str> = twice.into_iter().collect();
        mistakes.push(format!("more than one column for {}; keep one", twice.join(", ")));
    }
    if mistakes.is_empty() { Ok(slots) } else { Err(mistakes) }
}

fn plural(count: usize, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

/// The bytes of a field that the file does not have: its default, or null.
fn without_column(schema: &Schema, field: &Field) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    if field.default.is_some() {
        return avro::encode_default(schema, field, &mut bytes).is_ok().then_some(bytes);
    }
    avro::encode_at(schema, field.node, &serde_json::Value::Null, &mut bytes).is_ok().then_some(bytes)
}
