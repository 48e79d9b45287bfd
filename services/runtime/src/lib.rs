//! How any service of Weir runs: supervision of roles with restarts and an orderly end ([`Supervisor`],
//! [`Shutdown`]), health that is honest ([`Health`]), metrics and the admin end points ([`admin`]), the one
//! HTTP accept loop ([`http`]), configuration in layers with provenance ([`config`]), logs ([`logs`]), and
//! waiting for the weather to pass ([`weather`]).
//!
//! This crate knows nothing of contracts, products or topics, and not which roles there are.

pub mod admin;
pub mod config;
pub mod health;
pub mod http;
pub mod logs;
mod shutdown;
pub mod supervise;
mod telemetry;
pub mod weather;

pub use health::{Health, HealthCheck};
pub use shutdown::Shutdown;
pub use supervise::{Backoff, Ended, OnFailure, Supervisor};
pub use telemetry::{Build, Metrics, MetricsError};
