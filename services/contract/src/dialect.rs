//! How files of a product's records are written, where they do not speak the schema's own language: what a
//! contract says of it. Knows nothing of reading them.

use std::sync::Arc;

use crate::model::Path;

/// How a delimited file is written (`weir.file`). What a contract leaves out is as RFC 4180 has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialect {
    /// Between two cells; `None` is what the format says: a comma, or a tab. ASCII.
    pub separator: Option<char>,
    /// Around cells that hold a separator; `None` where there is nothing of the kind. ASCII.
    pub quote: Option<char>,
    /// What makes the quote behind it a part of the cell, besides doubling it. ASCII.
    pub escape: Option<char>,
    /// Rows before the header, or before the first record, that are not read.
    pub skip: u32,
    /// Whether the first row names the columns; where it does not they are `column_1`, `column_2` …
    pub header: bool,
    /// Whether rows have a cell before those that the header names: R's row names.
    pub row_names: bool,
    /// A label of the WHATWG encoding standard; `None` is UTF-8, or what a byte order mark says.
    pub encoding: Option<Arc<str>>,
    /// Between the whole and the fraction of a number: `.` or `,`.
    pub decimal: char,
    /// Between thousands.
    pub thousands: Option<char>,
    /// Cells that mean null besides the empty one, where the field may be null.
    pub nulls: Vec<String>,
}

impl Default for Dialect {
    /// RFC 4180 with a header.
    fn default() -> Self {
        Self {
            separator: None,
            quote: Some('"'),
            escape: None,
            skip: 0,
            header: true,
            row_names: false,
            encoding: None,
            decimal: '.',
            thousands: None,
            nulls: Vec::new(),
        }
    }
}

/// How files write one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The field.
    pub path: Path,
    /// What the column, or the key in JSON, is called, where not as the field (`physicalName`).
    pub name: Option<Arc<str>>,
    /// How a date or time is written, in the letters of Java's `DateTimeFormatter`
    /// (`logicalTypeOptions.format`).
    pub format: Option<Arc<str>>,
}
