//! Everything that crosses a crate: one test binary, one sandbox.
//!
//! `tidy` holds the house in order, `compose` the file that starts it in containers; the others run the
//! `weir` binary against a real Apache Kafka that `sandbox` starts once. `tests/run` fetches what they need.

#[expect(dead_code, reason = "the scenarios that use all of it come one by one")]
mod backbone;
mod compose;
mod contracts;
#[expect(dead_code, reason = "the scenarios that use all of it come with the program they run")]
mod sandbox;
mod smoke;
mod records;
mod tidy;
mod verdicts;
