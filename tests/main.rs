//! Everything that crosses a crate: one test binary, one sandbox.
//!
//! `tidy` holds the house in order, `compose` the file that starts it in containers; the others run the
//! `weir` binary against a real Apache Kafka that `sandbox` starts once. `tests/run` fetches what they need.

mod avro;
mod backbone;
mod bench;
mod bounds;
mod broker_clients;
mod clients;
mod cluster;
mod commands;
mod compose;
mod conformance;
mod contracts;
mod cost;
mod drafts;
mod endtxn;
mod enforcers;
mod flights;
mod fuzz;
mod garbage;
mod growing;
mod history;
mod keys;
mod odcs;
mod own_broker;
mod poison;
mod private_kafka;
mod process;
mod proxy;
mod readings;
mod readme;
mod registration;
mod robust;
mod rules;
mod sandbox;
mod security;
mod smoke;
mod tidy;
mod topics;
mod verdicts;
mod weather;
