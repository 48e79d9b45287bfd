//! Load by schedule, and reports of what was measured under it. `weir bench` is its way in.
//!
//! The parts: a [`schedule`] says when each record is due, whatever the broker does; [`latency`] keeps how long each
//! took from then on; [`process`] runs a program and says what it took of the machine; [`rounds`] has two sides take
//! turns; a [`report`] is what came of it, as values and as a page. [`brokers`] puts them together for the first
//! question: our broker beside Apache Kafka. The load itself is made by the clients in `peers/`.

pub mod brokers;
mod java;
pub mod latency;
mod machine;
mod nodes;
mod phases;
pub mod process;
pub mod report;
pub mod rounds;
pub mod schedule;

use std::path::PathBuf;

/// Why a measurement gave no figures.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no Apache Kafka to measure against.
    #[error(
        "there is no Apache Kafka in {0}; fetch its jars with Maven, from the root of the repository: \
         mvn -q -B -f tests/kafka/pom.xml -Dkafka.version=4.2.2 dependency:copy-dependencies \
         -DincludeScope=runtime -DoutputDirectory={0} (tests/run does so too, into target/tests/kafka-4.2.2)"
    )]
    NoKafka(PathBuf),
    /// A program could not be started or asked.
    #[error("cannot {what}: {why}")]
    Program {
        /// What was to be done.
        what: String,
        /// Why it could not be, and what to do about it.
        why: String,
    },
    /// A client could not do its part.
    #[error(transparent)]
    Peer(#[from] peers::PeerError),
    /// Records are missing, or there are more than were sent.
    #[error("{read} records came back of {sent} that were acknowledged ({what}): no figure of this run can be trusted")]
    Lost {
        /// Which part of the load.
        what: &'static str,
        /// Acknowledged.
        sent: u64,
        /// Read within the time given.
        read: u64,
    },
}

impl LoadError {
    pub(crate) fn program(what: impl Into<String>, why: impl std::fmt::Display) -> Self {
        Self::Program { what: what.into(), why: why.to_string() }
    }
}
