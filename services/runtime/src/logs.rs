//! Logs: on standard error, one JSON object per line, or readable lines where a person looks.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Readable on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// JSON.
    Json,
    /// Readable.
    Human,
}

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is not one.
    #[error("cannot read the log filter {filter:?}: {why}; write it like \"info\" or \"warn,enforcer=debug\"")]
    Filter {
        /// As given.
        filter: String,
        /// What is wrong.
        why: String,
    },
    /// Somebody logs already.
    #[error("cannot log: {0}")]
    Taken(String),
}

/// Begins logging with `filter` (the syntax of `RUST_LOG`).
///
/// # Errors
/// [`LogError`].
pub fn start(filter: &str, format: Format) -> Result<(), LogError> {
    let parsed =
        EnvFilter::try_new(filter).map_err(|e| LogError::Filter { filter: filter.to_owned(), why: e.to_string() })?;
    let terminal = std::io::stderr().is_terminal();
    let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let builder = tracing_subscriber::fmt().with_env_filter(parsed).with_writer(std::io::stderr).with_ansi(colours);
    let json = format == Format::Json || format == Format::Auto && !terminal;
    let begun =
        if json { builder.json().flatten_event(true).try_init() } else { builder.with_target(false).try_init() };
    begun.map_err(|e| LogError::Taken(e.to_string()))
}
