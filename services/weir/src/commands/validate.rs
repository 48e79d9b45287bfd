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
        report(global, &loaded);
    } else {
        global.out.rows(&rows(&loaded))?;
    }
    global.out.say(&format!(
        "{} contracts, {} mistakes, {} notes",
        loaded.files,
        loaded.mistakes.len() + loaded.unreadable.len(),
        loaded.notes.len()
    ));
    Ok(if loaded.is_whole() { Outcome::Done } else { Outcome::Found })
}

/// Says every mistake and note to the person.
pub(crate) fn report(global: &Global, loaded: &Loaded) {
    for note in &loaded.notes {
        global.out.say(&format!("note: {note}"));
    }
    for mistake in &loaded.mistakes {
        global.out.say(&mistake.to_string());
    }
    for why in &loaded.unreadable {
        global.out.say(why);
    }
}

/// Contracts without a mistake, or every mistake said and an error.
pub(crate) fn load_whole(global: &Global, paths: &[std::path::PathBuf]) -> Result<Loaded, CliError> {
    let loaded = steward::load(paths);
    if loaded.is_whole() {
        return Ok(loaded);
    }
    report(global, &loaded);
    let mistakes = loaded.mistakes.len() + loaded.unreadable.len();
    Err(CliError::Failed(format!("{mistakes} mistakes in the contracts; nothing was done")))
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
