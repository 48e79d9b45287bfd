//! Reading the TOML file: names joined with dots, values as text, and the line of each.

use toml::de::{DeTable, DeValue};

/// A value found in the file.
pub(super) struct Found {
    /// `section.key`.
    pub(super) name: String,
    /// The line, from 1.
    pub(super) line: usize,
    /// Its text; `None` where it is something that no setting can be.
    pub(super) text: Option<String>,
    /// What it is: "an array".
    pub(super) what: String,
}

/// Everything found, in the order of the file, and what could not be read, by line.
pub(super) fn read(text: &str) -> (Vec<Found>, Vec<(usize, String)>) {
    let (table, broken) = DeTable::parse_recoverable(text);
    let broken = broken
        .iter()
        .map(|error| (error.span().map_or(1, |span| line_of(text, span.start)), error.message().to_owned()))
        .collect();
    let mut found = Vec::new();
    collect(text, "", table.get_ref(), &mut found);
    found.sort_by_key(|found| found.line);
    (found, broken)
}

fn collect(text: &str, section: &str, table: &DeTable<'_>, found: &mut Vec<Found>) {
    for (key, value) in table {
        let name = if section.is_empty() { key.get_ref().to_string() } else { format!("{section}.{}", key.get_ref()) };
        let shown = match value.get_ref() {
            DeValue::Table(inner) => {
                collect(text, &name, inner, found);
                continue;
            }
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(number) => Some(number.to_string()),
            DeValue::Boolean(flag) => Some(flag.to_string()),
            DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) => None,
        };
        let what = format!("a value of type {}", value.get_ref().type_str());
        found.push(Found { name, line: line_of(text, key.span().start), text: shown, what });
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}
