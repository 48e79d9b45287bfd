//! Results on standard output, as a table, JSON or JSON lines from one value; chatter on standard error.

use std::io::{self, IsTerminal, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::{Map, Value};

use crate::CliError;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Table,
    /// One JSON document
    Json,
    /// One JSON object per line
    Ndjson,
}

/// A result: named columns and rows. The names are the keys in JSON; in a table they are the header.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rows {
    columns: &'static [&'static str],
    rows: Vec<Vec<Value>>,
}

impl Rows {
    /// Without rows yet. Columns are named in `snake_case`.
    pub(crate) fn new(columns: &'static [&'static str]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row: one value per column, in their order.
    pub(crate) fn push(&mut self, row: impl IntoIterator<Item = Value>) {
        self.rows.push(row.into_iter().collect());
    }

    fn objects(&self) -> impl Iterator<Item = Value> {
        self.rows.iter().map(|row| {
            let pairs = self.columns.iter().zip(row).map(|(name, value)| ((*name).to_owned(), value.clone()));
            Value::Object(pairs.collect::<Map<_, _>>())
        })
    }

    fn table(&self, terminal: bool) -> String {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_header(self.columns.iter().map(|name| name.replace('_', " ").to_uppercase()));
        if terminal {
            table.set_content_arrangement(ContentArrangement::Dynamic);
        }
        for row in &self.rows {
            table.add_row(row.iter().map(cell_text));
        }
        for (index, _) in self.columns.iter().enumerate() {
            let mut values =
                self.rows.iter().filter_map(|row| row.get(index)).filter(|value| !value.is_null()).peekable();
            let numbers = values.peek().is_some() && values.all(Value::is_number);
            if let Some(column) = table.column_mut(index) {
                column.set_padding((0, 2));
                if numbers {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        let lines = table.to_string();
        lines.lines().map(str::trim_end).fold(String::new(), |text, line| text + line + "\n")
    }
}

/// Control characters come out escaped, so that data cannot steer a terminal.
fn cell_text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => printable(text),
        Value::Array(items) => items.iter().map(cell_text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// `text` with control characters escaped, except line ends.
pub(crate) fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut safe, c| {
        if c.is_control() && c != '\n' {
            safe.extend(c.escape_default())
        } else {
            safe.push(c)
        }
        safe
    })
}

/// Standard output in the format asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Out {
    format: Format,
}

impl Out {
    /// In this format.
    pub(crate) fn new(format: Format) -> Self {
        Self { format }
    }

    /// The format asked for.
    pub(crate) fn format(self) -> Format {
        self.format
    }

    /// Writes a result.
    ///
    /// # Errors
    /// [`CliError::PipeClosed`] where the reader went away, [`CliError::Failed`] where writing fails.
    pub(crate) fn rows(self, rows: &Rows) -> Result<(), CliError> {
        match self.format {
            Format::Table => self.write(rows.table(io::stdout().is_terminal()).as_bytes()),
            Format::Json => self.json(&Value::Array(rows.objects().collect())),
            Format::Ndjson => rows.objects().try_for_each(|object| self.line(&object.to_string())),
        }
    }

    /// Writes one JSON value: over several lines as `json`, on one line otherwise.
    ///
    /// # Errors
    /// As [`Out::rows`].
    pub(crate) fn json(self, value: &Value) -> Result<(), CliError> {
        match self.format {
            Format::Json => self.line(&format!("{value:#}")),
            Format::Table | Format::Ndjson => self.line(&value.to_string()),
        }
    }

    /// Writes one line.
    ///
    /// # Errors
    /// As [`Out::rows`].
    pub(crate) fn line(self, text: &str) -> Result<(), CliError> {
        self.write(format!("{text}\n").as_bytes())
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// As [`Out::rows`].
    pub(crate) fn write(self, bytes: &[u8]) -> Result<(), CliError> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| {
            if error.kind() == io::ErrorKind::BrokenPipe {
                CliError::PipeClosed
            } else {
                CliError::Failed(format!("cannot write to standard output: {error}"))
            }
        })
    }

    /// Tells the person something that is not the result.
    pub(crate) fn say(self, text: &str) {
        // When nobody can be told, nobody can be told that either.
        drop(writeln!(io::stderr().lock(), "{text}"));
    }
}

/// Results that come one after the other: elements of one JSON array, or a line each.
#[derive(Debug)]
pub(crate) struct List {
    out: Out,
    text: String,
    empty: bool,
}

impl List {
    /// Text gathered before it is written.
    const LONG: usize = 1 << 16;

    /// Without values yet.
    pub(crate) fn new(out: Out) -> Self {
        Self { out, text: String::new(), empty: true }
    }

    /// Adds a value. It is written with the next flush.
    pub(crate) fn push(&mut self, value: &Value) {
        if self.out.format == Format::Json {
            self.text.push_str(if self.empty { "[\n" } else { ",\n" });
            self.text.push_str(&value.to_string());
        } else {
            self.text.push_str(&value.to_string());
            self.text.push('\n');
        }
        self.empty = false;
    }

    /// Writes what was added.
    ///
    /// # Errors
    /// As [`Out::rows`].
    pub(crate) fn flush(&mut self) -> Result<(), CliError> {
        let text = std::mem::take(&mut self.text);
        if text.is_empty() { Ok(()) } else { self.out.write(text.as_bytes()) }
    }

    /// The same, where much was added.
    ///
    /// # Errors
    /// As [`Out::rows`].
    pub(crate) fn flush_if_long(&mut self) -> Result<(), CliError> {
        if self.text.len() > Self::LONG { self.flush() } else { Ok(()) }
    }

    /// Ends the array.
    ///
    /// # Errors
    /// As [`Out::rows`].
    pub(crate) fn end(mut self) -> Result<(), CliError> {
        if self.out.format == Format::Json {
            self.text.push_str(if self.empty { "[]\n" } else { "\n]\n" });
        }
        self.flush()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows() -> Rows {
        let mut rows = Rows::new(&["product", "held_back", "owner"]);
        rows.push([json!("orders.lines"), json!(12), json!(null)]);
        rows.push([json!("users.users"), json!(3), json!("a\u{1b}[31mteam")]);
        rows
    }

    #[test]
    fn a_table_is_for_people_and_cannot_steer_their_terminal() {
        let table = rows().table(false);
        assert_eq!(
            table,
            "PRODUCT       HELD BACK  OWNER\norders.lines         12  -\nusers.users           3  a\\u{1b}[31mteam\n"
        );
    }

    #[test]
    fn json_keeps_names_order_and_nulls() {
        let objects: Vec<String> = rows().objects().map(|object| object.to_string()).collect();
        assert_eq!(objects[0], r#"{"product":"orders.lines","held_back":12,"owner":null}"#);
    }
}
