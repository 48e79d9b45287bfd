//! `weir config show`.

use serde_json::Value;

use crate::output::Rows;
use crate::{CliError, Global, Outcome};

/// Shows every setting, its value and who set it.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn show(global: &Global) -> Result<Outcome, CliError> {
    let mut rows = Rows::new(&["setting", "value", "from", "environment", "about"]);
    for entry in global.settings.entries() {
        let value = entry.value.as_ref().map_or(Value::Null, |_| Value::from(entry.shown()));
        rows.push([
            Value::from(entry.key.name),
            value,
            Value::from(entry.origin.to_string()),
            Value::from(entry.key.env),
            Value::from(entry.key.doc),
        ]);
    }
    global.out.rows(&rows)?;
    Ok(Outcome::Done)
}
