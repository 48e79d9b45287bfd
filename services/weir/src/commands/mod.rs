//! What each command does: one file per command, each with a `run`.

pub(crate) mod config;
