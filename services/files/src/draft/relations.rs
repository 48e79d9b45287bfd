//! What fields of the same record have to do with each other: dates of which one is never before the other,
//! sums. Found in a sample; whoever drafts holds them against every record.

use csv::ByteRecord;

use super::fields::Field;
use super::kind::Kind;
use super::leaf::PATTERNS;
use crate::moment::{self, Pattern};
use crate::numerals::{self, Numerals};

/// Fewer rows prove nothing.
const ENOUGH: usize = 50;
/// Most fields that are compared with each other.
const MAX_FIELDS: usize = 24;
/// Most conditions that are found.
const MAX_FOUND: usize = 12;
/// Words that CEL keeps for itself.
const RESERVED: [&str; 19] = [
    "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop", "now",
    "null", "package", "return", "true", "var",
];

/// A rule over several fields.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    pub(crate) id: String,
    pub(crate) expression: String,
    pub(crate) note: String,
}

/// A column as whole numbers: seconds for moments.
struct Column<'a> {
    field: &'a Field,
    values: Vec<Option<i64>>,
}

/// Finds conditions that all rows of the sample keep; `index` says which cell a field is.
pub(crate) fn find(fields: &[Field], rows: &[ByteRecord], numerals: Numerals) -> Vec<Condition> {
    if rows.len() < ENOUGH {
        return Vec::new();
    }
    let named = |field: &Field| !RESERVED.contains(&field.name.as_str());
    let columns = |wanted: fn(&Kind) -> bool| -> Vec<Column<'_>> {
        let fitting = fields.iter().enumerate().filter(|(_, field)| wanted(&field.kind) && named(field));
        fitting.take(MAX_FIELDS).map(|(index, field)| column(field, index, rows, numerals)).collect()
    };
    let mut found = Vec::new();
    for kind in [
        (|kind: &Kind| matches!(kind, Kind::Date)) as fn(&Kind) -> bool,
        |kind| matches!(kind, Kind::Timestamp { local: true, .. }),
        |kind| matches!(kind, Kind::Timestamp { local: false, .. }),
    ] {
        orders(&columns(kind), &mut found);
    }
    sums(&columns(|kind| matches!(kind, Kind::Int | Kind::Long)), &mut found);
    found.truncate(MAX_FOUND);
    found
}

fn column<'a>(field: &'a Field, index: usize, rows: &[ByteRecord], numerals: Numerals) -> Column<'a> {
    let pattern = field.format.filter(|format| PATTERNS.contains(format)).and_then(Pattern::new);
    let mut room = String::new();
    let mut value = |row: &ByteRecord| {
        let cell = row.get(index)?.trim_ascii();
        match field.kind {
            Kind::Int | Kind::Long => {
                let plain = numerals.plain(std::str::from_utf8(cell).ok()?, &mut room)?;
                numerals::look(plain.as_bytes())?.whole
            }
            _ => {
                let moment = match &pattern {
                    Some(pattern) => pattern.read(cell),
                    None => moment::iso(cell),
                }?;
                i64::try_from(moment.nanoseconds() / 1_000_000).ok()
            }
        }
    };
    Column { field, values: rows.iter().map(&mut value).collect() }
}

/// `a == null || b == null || …`, as far as the fields may be null.
fn unless_null(fields: &[&Field], expression: &str) -> String {
    let nullable = fields.iter().filter(|field| field.nullable);
    let mut text: String = nullable.map(|field| format!("{} == null || ", field.name)).collect();
    text.push_str(expression);
    text
}

fn orders(columns: &[Column<'_>], found: &mut Vec<Condition>) {
    for first in columns {
        for second in columns {
            let pairs = || first.values.iter().zip(&second.values).filter_map(|(a, b)| Some(((*a)?, (*b)?)));
            let count = pairs().count();
            let apart = pairs().map(|(a, _)| a).max() < pairs().map(|(_, b)| b).min();
            if count < ENOUGH || apart || !pairs().all(|(a, b)| a <= b) || pairs().all(|(a, b)| a == b) {
                continue;
            }
            let (a, b) = (first.field, second.field);
            found.push(Condition {
                id: format!("{}-not-after-{}", a.name, b.name),
                expression: unless_null(&[a, b], &format!("{} <= {}", a.name, b.name)),
                note: format!("so in all records that have both: {} is never after {}", a.name, b.name),
            });
        }
    }
}

fn sums(columns: &[Column<'_>], found: &mut Vec<Condition>) {
    for (index, first) in columns.iter().enumerate() {
        for second in columns.iter().skip(index + 1) {
            let Some(sum) = sum(columns, first, second) else { continue };
            let (a, b, c) = (first.field, second.field, sum.field);
            found.push(Condition {
                id: format!("{}-is-the-sum-of-{}-and-{}", c.name, a.name, b.name),
                expression: unless_null(&[a, b, c], &format!("{} == {} + {}", c.name, a.name, b.name)),
                note: format!("so in all records: {} is {} and {} together", c.name, a.name, b.name),
            });
        }
    }
}

/// The column that is always what these two are together, where both say something.
fn sum<'c, 'a>(columns: &'c [Column<'a>], first: &Column<'a>, second: &Column<'a>) -> Option<&'c Column<'a>> {
    let differ = |column: &Column<'_>| {
        let mut values: Vec<i64> = column.values.iter().flatten().copied().collect();
        values.sort_unstable();
        values.dedup();
        values.len() >= 5
    };
    if !differ(first) || !differ(second) {
        return None;
    }
    columns.iter().find(|sum| {
        let name = &sum.field.name;
        let both = first.values.iter().zip(&second.values).zip(&sum.values);
        let mut rows = both.filter_map(|((a, b), c)| Some(((*a)?, (*b)?, (*c)?)));
        *name != first.field.name
            && *name != second.field.name
            && rows.clone().count() >= ENOUGH
            && rows.all(|(a, b, c)| a.checked_add(b) == Some(c))
    })
}
