//! What a person may type. Definitions and help only; what it does is in `commands`.

mod data;
mod serve;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::data::{CheckArgs, InitArgs, ProfileArgs, SpanArgs};
pub(crate) use self::serve::{
    BenchBrokerArgs, BenchCommand, BrokerArgs, BrokerCommand, BrokerOptions, Role, ServeArgs, ServeOptions,
};
use crate::output::Format;

/// Data products on Kafka: contracts enforced on every record.
#[derive(Debug, Parser)]
#[command(
    name = "weir",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done; 1 failed, or violations were found; 2 wrong usage or configuration; \
                  3 the plan has changes (with --detailed-exitcode).\n\n\
                  Every setting may also stand in a file (--config) or in the environment (WEIR_…): see `weir config show`."
)]
pub(crate) struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Kafka brokers to begin with: host:port, with commas between several
    #[arg(short = 'b', long, visible_alias = "broker", global = true, value_name = "HOST:PORT")]
    pub(crate) bootstrap_server: Option<String>,
    /// Kafka client properties (security.protocol, sasl.…), as Kafka's own tools read them
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) command_config: Option<PathBuf>,
    /// Schema registry
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) registry: Option<String>,
    /// Prefix of every topic, group and id, for a second backbone on the same cluster
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) prefix: Option<String>,
    /// Folder with contracts, for commands that are given none
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) contracts: Option<PathBuf>,
    /// Configuration file (TOML); also $WEIR_CONFIG
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// How results are written to standard output
    #[arg(short = 'o', long = "output", global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: Format,
    /// Do not ask, do it
    #[arg(long, global = true)]
    pub(crate) yes: bool,
    /// What is logged to standard error, like "info" or "warn,enforcer=debug"
    #[arg(long, global = true, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Draft a contract from a file: types, names and rules that all of its records keep
    ///
    /// Reads CSV, TSV, NDJSON, JSON, Avro and Parquet, packed with gzip or zstd or not, to the end; says what it
    /// found out about the file; writes DIR/<domain>/<product>/contract.odcs.yaml and its Avro schema.
    #[command(
        after_help = "Examples:\n  weir init --from orders.csv --product shop.orders --owner shop-team\n  zcat events.gz | weir init --from - --format ndjson --product web.events\n  weir init --from umsatz.csv --product sales.umsatz --separator \";\" --decimal ,"
    )]
    Init(InitArgs),
    /// Tell what a file holds: nulls, distinct values, bounds, quantiles, frequent values
    #[command(after_help = "Examples:\n  weir profile orders.csv\n  weir profile orders.parquet --html > orders.html")]
    Profile(ProfileArgs),
    /// Check contracts and their schemas, offline
    ///
    /// Every mistake is told at once, with file, line and the fix.
    #[command(after_help = "Example:\n  weir validate schemas/products")]
    Validate(ValidateArgs),
    /// Show what `apply` would do
    #[command(
        after_help = "Examples:\n  weir plan contracts/orders\n  weir plan contracts --detailed-exitcode   # 3 when there is something to do"
    )]
    Plan(PlanArgs),
    /// Make the backbone what the contracts say: topics, schemas, catalog
    #[command(
        after_help = "Examples:\n  weir apply contracts/orders\n  weir apply contracts --yes --allow-breaking --reason \"agreed with billing, DP-42\""
    )]
    Apply(ApplyArgs),
    /// Put the version before the current one in force again
    ///
    /// Judged like any change: where consumers would be promised less than now, it needs --allow-breaking.
    #[command(
        after_help = "Examples:\n  weir rollback orders.order-lines\n  weir rollback orders.order-lines.v1 --allow-breaking --reason \"1.4.0 held back good orders\""
    )]
    Rollback(RollbackArgs),
    /// Write the records of a file to a product's inbox
    #[command(
        after_help = "Examples:\n  weir produce orders.order-lines --file lines.csv --null NA --null \"\"\n  cat lines.ndjson | weir produce orders.order-lines --file - --format ndjson"
    )]
    Produce(ProduceArgs),
    /// Read a product's records as JSON lines
    #[command(
        after_help = "Examples:\n  weir consume orders.order-lines --from beginning --until end\n  weir consume orders.order-lines --from 2026-01-31T08:00:00Z -n 10"
    )]
    Consume(ConsumeArgs),
    /// Look at what was held back, and why
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// Judge the records of a file or a topic by a contract, without touching anything
    #[command(
        after_help = "Examples:\n  weir check --contract contracts/orders/lines/contract.odcs.yaml --file lines.csv\n  weir check --contract contracts/orders/lines/contract.odcs.yaml --topic legacy-orders --since 1d"
    )]
    Check(CheckArgs),
    /// See which products there are
    #[command(subcommand)]
    Product(ProductCommand),
    /// See where a record came from and where it went
    #[command(subcommand)]
    Lineage(LineageCommand),
    /// Ask broker, registry, access, clocks, topics and enforcers how they are, and say what to do about it
    #[command(
        after_help = "Examples:\n  weir doctor\n  weir doctor --duty enforcer --command-config enforcer.properties"
    )]
    Doctor(DoctorArgs),
    /// Run everything in this process: all roles, and a broker unless one is named
    #[command(
        after_help = "Examples:\n  weir up                       # with a broker of its own on 127.0.0.1:9092\n  weir up -b kafka-1:9092"
    )]
    Up(ServeOptions),
    /// Run the named roles in this process
    #[command(after_help = "Example:\n  weir serve enforcer --registry http://registry:8081")]
    Serve(ServeArgs),
    /// Run a broker that speaks the Kafka protocol: one node, no JVM, its log on local disk
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples:\n  weir broker --listen 127.0.0.1:9092 --data ./broker\n  weir broker verify ./broker\n  weir broker backup ./broker ./copy"
    )]
    Broker(BrokerArgs),
    /// Measure, and report what was measured
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Say which program this is
    Version,
    /// Write the JSON Schema of what Weir adds to a contract, for editors
    ///
    /// Of the `customProperties` that begin with `weir.`; to be used beside the standard's own.
    #[command(after_help = "Example:\n  weir editor-schema > weir-contract.schema.json")]
    EditorSchema,
    /// Write completions for a shell
    #[command(after_help = "Example:\n  weir completions bash > /etc/bash_completion.d/weir")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// `weir validate`.
#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// Contracts, or folders with contracts; without any, the folder of --contracts
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

/// `weir plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Contracts, or folders with contracts; without any, the folder of --contracts
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// End with 3 when there is something to do
    #[arg(long)]
    pub(crate) detailed_exitcode: bool,
}

/// `weir apply`.
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// Contracts, or folders with contracts; without any, the folder of --contracts
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Whether consumers may be hurt.
    #[command(flatten)]
    pub(crate) breaking: BreakingArgs,
    /// How long to wait until every partition is judged by the new version: 30s, 5m
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
}

/// Whether a promise to consumers may be broken.
#[derive(Debug, Args)]
pub(crate) struct BreakingArgs {
    /// Break a promise to consumers within a major; needs --reason, and is kept in the audit topic
    #[arg(long, requires = "reason")]
    pub(crate) allow_breaking: bool,
    /// Why a promise may be broken
    #[arg(long, value_name = "TEXT", requires = "allow_breaking")]
    pub(crate) reason: Option<String>,
}

/// `weir rollback`.
#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The product: domain.name, or domain.name.v2 for an older major
    pub(crate) product: String,
    /// Whether consumers may be hurt.
    #[command(flatten)]
    pub(crate) breaking: BreakingArgs,
    /// How long to wait until every partition is judged by it: 30s, 5m
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
}

/// `weir produce`.
#[derive(Debug, Args)]
pub(crate) struct ProduceArgs {
    /// The product: domain.name, or domain.name.v2
    pub(crate) product: String,
    /// The file; - reads standard input
    #[arg(long, value_name = "FILE", required_unless_present = "tombstones")]
    pub(crate) file: Option<PathBuf>,
    /// Delete this key instead: text, a number, or JSON where the contract's keys are Avro; may be given several times
    #[arg(long = "tombstone", value_name = "KEY", conflicts_with_all = ["file", "format", "nulls"])]
    pub(crate) tombstones: Vec<String>,
    /// Its format; by default what its name ends in
    #[arg(long, value_enum)]
    pub(crate) format: Option<FileFormat>,
    /// Text that stands for null in CSV; may be given several times
    #[arg(long = "null", value_name = "TOKEN")]
    pub(crate) nulls: Vec<String>,
}

/// `weir consume`.
#[derive(Debug, Args)]
pub(crate) struct ConsumeArgs {
    /// The product: domain.name, or domain.name.v2
    pub(crate) product: String,
    /// Where to begin: beginning, end, an RFC 3339 time, or an offset
    #[arg(long, value_name = "WHERE", default_value = "end")]
    pub(crate) from: String,
    /// Where to stop: `end` is what is the end now
    #[arg(long, value_enum)]
    pub(crate) until: Option<Until>,
    /// Stop after this many records
    #[arg(short = 'n', long = "count", value_name = "N")]
    pub(crate) count: Option<u64>,
}

/// `weir quarantine …`.
#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// How much was held back of each product, by rule
    List {
        /// Only this product
        product: Option<String>,
    },
    /// Records that were held back, with their reasons
    #[command(
        after_help = "Examples:\n  weir quarantine show orders.order-lines\n  weir quarantine show orders.order-lines 0 1234"
    )]
    Show {
        /// The product: domain.name, or domain.name.v2
        product: String,
        /// The partition of one record
        #[arg(requires = "offset")]
        partition: Option<i32>,
        /// The offset of one record in the quarantine topic
        offset: Option<i64>,
        /// At most this many records
        #[arg(short = 'n', long = "count", value_name = "N", default_value_t = 20)]
        count: u64,
    },
}

/// `weir product …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ProductCommand {
    /// All products
    List,
    /// One product: its versions, topics, schema and owner
    Show {
        /// The product: domain.name
        product: String,
    },
}

/// `weir lineage …`.
#[derive(Debug, Subcommand)]
pub(crate) enum LineageCommand {
    /// One record, from any of the product's three topics
    #[command(after_help = "Example:\n  weir lineage record orders.order-lines.v1 0 1234")]
    Record {
        /// The topic: inbox, product or quarantine
        topic: String,
        /// The partition
        partition: i32,
        /// The offset
        offset: i64,
    },
}

/// `weir doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// What whoever is connected should be allowed to do; may be given several times, and is all of them without
    #[arg(long = "duty", value_enum, value_name = "DUTY")]
    pub(crate) duties: Vec<Duty>,
}

/// What somebody needs access for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Duty {
    /// `weir serve enforcer`
    Enforcer,
    /// `weir serve registry`
    Registry,
    /// `weir apply` and `weir plan`
    Apply,
}

impl Duty {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Enforcer, Self::Registry, Self::Apply];

    /// In a sentence: "… may do what an enforcer needs".
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Enforcer => "an enforcer",
            Self::Registry => "a registry",
            Self::Apply => "weir apply",
        }
    }
}

/// `weir config …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Every setting, its value, and who set it; secrets are not shown
    Show,
}

/// The format of a file of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// Comma-separated values with a header
    Csv,
    /// One JSON object per line
    Ndjson,
    /// Tab-separated values with a header
    Tsv,
    /// A JSON array of objects, or objects one after the other
    Json,
    /// Avro object container file
    Avro,
    /// Apache Parquet
    Parquet,
}

/// Where reading stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Until {
    /// At what is the end when reading begins
    End,
}

const DAY: Duration = Duration::from_secs(86_400);

fn parse_duration(text: &str) -> Result<Duration, String> {
    parse_up_to(DAY, text)
}

/// How old data may be.
fn parse_age(text: &str) -> Result<Duration, String> {
    parse_up_to(DAY * 36_500, text)
}

fn parse_up_to(most: Duration, text: &str) -> Result<Duration, String> {
    match runtime::config::Kind::Duration(most).read(text)? {
        runtime::config::Value::Duration(time) => Ok(time),
        _ => Err("give a length of time".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_agree_with_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_may_follow_the_command() {
        let cli = Cli::try_parse_from(["weir", "plan", "contracts", "--broker", "kafka:9092", "-o", "ndjson"]).unwrap();
        assert_eq!(cli.global.bootstrap_server.as_deref(), Some("kafka:9092"));
        assert_eq!(cli.global.output, Format::Ndjson);
    }

    #[test]
    fn a_promise_is_not_broken_without_a_reason() {
        assert!(Cli::try_parse_from(["weir", "apply", "contracts", "--allow-breaking"]).is_err());
        let cli = Cli::try_parse_from([
            "weir",
            "apply",
            "contracts",
            "--allow-breaking",
            "--reason",
            "agreed",
            "--timeout",
            "2m",
        ])
        .unwrap();
        let Command::Apply(apply) = cli.command else { panic!("apply") };
        assert_eq!((apply.breaking.reason.as_deref(), apply.timeout), (Some("agreed"), Duration::from_secs(120)));
    }

    #[test]
    fn every_role_has_the_name_that_is_typed() {
        for role in Role::ALL {
            assert_eq!(role.to_possible_value().unwrap().get_name(), role.name());
        }
    }
}
