//! What each command does: one file per command.

pub(crate) mod apply;
pub(crate) mod audit;
pub(crate) mod backbone;
pub(crate) mod bench;
pub(crate) mod broker;
pub(crate) mod check;
pub(crate) mod config;
pub(crate) mod consume;
pub(crate) mod doctor;
pub(crate) mod init;
pub(crate) mod lineage;
pub(crate) mod produce;
pub(crate) mod product;
pub(crate) mod profile;
pub(crate) mod progress;
pub(crate) mod quarantine;
pub(crate) mod shown;
pub(crate) mod tombstone;
pub(crate) mod topic;
pub(crate) mod validate;
