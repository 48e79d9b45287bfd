//! How any service runs: supervision, health, metrics, HTTP, configuration.
