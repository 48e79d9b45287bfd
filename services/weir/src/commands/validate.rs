//! `weir validate`: every mistake at once, without a broker.

use serde_json::json;
use steward::Loaded;

use crate::cli::ValidateArgs;
use crate::output::{Format, Rows};
use crate::{CliError, Global, Outcome};

/// Validates.
pub(crate) fn run(global: &Global, args: &ValidateArgs) -> Result<Outcome, CliError> {
    let loaded = steward::load(&global.paths(&args.paths));
    if global.out.format() == Format::Table {
        // What is found is what was asked for.
        said(&loaded).try_for_each(|line| global.out.line(&line))?;
    } else {
        global.out.rows(&rows(&loaded))?;
    }
    global.out.say(&format!(
        "{}, {}, {}",
        counted(loaded.files, "contract"),
        counted(loaded.mistakes.len() + loaded.unreadable.len(), "mistake"),
        counted(loaded.notes.len(), "note")
    ));
    Ok(if loaded.is_whole() { Outcome::Done } else { Outcome::Found })
}

/// Every note and mistake, as a line each.
fn said(loaded: &Loaded) -> impl Iterator<Item = String> {
    let placed = loaded.notes.iter().chain(&loaded.mistakes).map(ToString::to_string);
    placed.chain(loaded.unreadable.iter().cloned())
}

/// "1 mistake", "2 mistakes".
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Contracts without a mistake, or every mistake said and an error.
pub(crate) fn load_whole(global: &Global, paths: &[std::path::PathBuf]) -> Result<Loaded, CliError> {
    let loaded = steward::load(paths);
    if loaded.is_whole() {
        return Ok(loaded);
    }
    said(&loaded).for_each(|line| global.out.say(&line));
    let mistakes = counted(loaded.mistakes.len() + loaded.unreadable.len(), "mistake");
    Err(CliError::Failed(format!("{mistakes} in the contracts; nothing was done")))
}

fn rows(loaded: &Loaded) -> Rows {
    let mut rows = Rows::new(&["file", "line", "column", "kind", "what", "instead"]);
    for (kind, mistake) in
        loaded.notes.iter().map(|note| ("note", note)).chain(loaded.mistakes.iter().map(|m| ("mistake", m)))
    {
        rows.push([
            json!(mistake.file),
            json!(mistake.line),
            json!(mistake.column),
            json!(kind),
            json!(mistake.what),
            json!(mistake.instead),
        ]);
    }
    for why in &loaded.unreadable {
        rows.push([json!(null), json!(null), json!(null), json!("mistake"), json!(why), json!(null)]);
    }
    rows
}
