//! Everything that crosses a crate: one binary, one sandbox.
