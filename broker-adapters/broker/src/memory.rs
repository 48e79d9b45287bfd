//! The reference in memory.
