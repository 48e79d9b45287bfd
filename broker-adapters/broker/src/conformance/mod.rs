//! Scenarios every adapter passes.
