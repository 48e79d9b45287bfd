//! What a person may type about processes: which roles run, how a broker is run, what is measured of it.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `weir serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The roles
    #[arg(required = true, value_enum, value_name = "ROLE")]
    pub(crate) roles: Vec<Role>,
    /// How they are run.
    #[command(flatten)]
    pub(crate) options: ServeOptions,
}

/// `weir broker`.
#[derive(Debug, Args)]
pub(crate) struct BrokerArgs {
    /// Something else than to run it.
    #[command(subcommand)]
    pub(crate) command: Option<BrokerCommand>,
    /// How it is run.
    #[command(flatten)]
    pub(crate) options: BrokerOptions,
    /// Where health and metrics are served
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin_listen: Option<String>,
}

/// `weir broker …`.
#[derive(Debug, Subcommand)]
pub(crate) enum BrokerCommand {
    /// Check every batch and index of a data directory; the first bad one of each file is named
    Verify {
        /// The data directory
        data: PathBuf,
    },
    /// Copy a data directory as it is at one moment, also while a broker runs on it
    Backup {
        /// The data directory
        data: PathBuf,
        /// Where the copy is made: an empty directory, or none
        to: PathBuf,
    },
}

/// `weir bench …`.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// This program's broker beside Apache Kafka: the same load on both, in turns
    #[command(
        after_help = "Example:\n  weir bench broker --kafka-jars target/tests/kafka-4.2.2 --html brokers.html\n\n\
                      A round takes about fifteen times --seconds. What else the machine does is in the figures."
    )]
    Broker(BenchBrokerArgs),
}

/// `weir bench broker`.
#[derive(Debug, Args)]
pub(crate) struct BenchBrokerArgs {
    /// Directory with the jars of Apache Kafka; tests/run fetches them
    #[arg(long, value_name = "DIR", default_value = "target/tests/kafka-4.2.2")]
    pub(crate) kafka_jars: PathBuf,
    /// How long each part of the load runs, in seconds
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) seconds: u32,
    /// How often each broker is measured
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
    /// Also write the report as a page with plots
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// How a broker is run.
#[derive(Debug, Args)]
pub(crate) struct BrokerOptions {
    /// Where the broker listens
    #[arg(long = "listen", value_name = "ADDRESS")]
    pub(crate) broker_listen: Option<String>,
    /// Data directory of the broker
    #[arg(long = "data", value_name = "DIR")]
    pub(crate) broker_data: Option<PathBuf>,
    /// What a loss of power may take: nothing, a second, or what the system has not written yet
    #[arg(long, value_name = "WHEN")]
    pub(crate) flush: Option<String>,
}

/// Options of `weir up` and `weir serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeOptions {
    /// How a broker of its own is run.
    #[command(flatten)]
    pub(crate) broker: BrokerOptions,
    /// Where the registry listens
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) registry_listen: Option<String>,
    /// Where health and metrics are served
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin_listen: Option<String>,
}

/// What a process can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Role {
    /// A broker of one node that speaks the Kafka protocol
    Broker,
    /// The schema registry
    Registry,
    /// The enforcer: inbox to product or quarantine
    Enforcer,
}

impl Role {
    /// All of them, in the order they are started.
    pub(crate) const ALL: [Self; 3] = [Self::Broker, Self::Registry, Self::Enforcer];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Registry => "registry",
            Self::Enforcer => "enforcer",
        }
    }
}
