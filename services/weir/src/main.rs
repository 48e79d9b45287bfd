//! The weir binary: reads what was typed and configured, hands it to a command, and ends with its exit
//! code. It knows nothing of what the commands do.

mod bootstrap;
mod broker_role;
mod cli;
mod commands;
mod config;
mod connect;
mod output;
mod roles;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use runtime::config::{Mistakes, Settings};
use runtime::logs;
use schemas::{Names, Prefix};

use crate::cli::{
    BenchCommand, BrokerArgs, BrokerCommand, Cli, Command, ConfigCommand, LineageCommand, ProductCommand,
    QuarantineCommand, Role,
};
use crate::output::Out;

/// What every command is given.
#[derive(Debug)]
pub(crate) struct Global {
    /// All settings.
    pub(crate) settings: Settings,
    /// The names of the backbone.
    pub(crate) names: Names,
    /// Where results go.
    pub(crate) out: Out,
    /// The person does not want to be asked.
    pub(crate) yes: bool,
}

impl Global {
    /// The contracts that a command was given, or the folder that is configured.
    pub(crate) fn paths(&self, given: &[PathBuf]) -> Vec<PathBuf> {
        if !given.is_empty() {
            return given.to_vec();
        }
        vec![PathBuf::from(self.settings.text(config::names::CONTRACTS).unwrap_or_default())]
    }
}

/// How a command ended that did what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All is well: 0.
    Done,
    /// It looked, and found violations or faults, which it has written: 1.
    Found,
    /// The plan has changes, and the exit code was asked to say so: 3.
    Changes,
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// It could not be done: 1.
    #[error("{0}")]
    Failed(String),
    /// A broker or a registry cannot serve: 1.
    #[error(transparent)]
    Weather(#[from] broker::Weather),
    /// It was asked wrongly: 2.
    #[error("{0}")]
    Usage(String),
    /// The configuration has mistakes: 2.
    #[error(transparent)]
    Config(#[from] Mistakes),
    /// The reader of standard output went away, which is its right: 0.
    #[error("the reader went away")]
    PipeClosed,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let out = Out::new(cli.global.output);
    match run(cli, out) {
        Ok(Outcome::Done) | Err(CliError::PipeClosed) => ExitCode::SUCCESS,
        Ok(Outcome::Found) => ExitCode::from(1),
        Ok(Outcome::Changes) => ExitCode::from(3),
        Err(error) => {
            out.say(&format!("weir: {error}"));
            ExitCode::from(match error {
                CliError::Usage(_) | CliError::Config(_) => 2,
                _ => 1,
            })
        }
    }
}

fn run(cli: Cli, out: Out) -> Result<Outcome, CliError> {
    match &cli.command {
        Command::Version => return version(out),
        Command::Completions { shell } => return completions(out, *shell),
        Command::EditorSchema => return editor_schema(out),
        _ => {}
    }
    let settings = config::read(&cli)?;
    let prefix: Option<Prefix> = settings
        .text(config::names::PREFIX)
        .map(str::parse)
        .transpose()
        .map_err(|error| CliError::Usage(format!("cannot use the prefix: {error}")))?;
    let serves =
        matches!(cli.command, Command::Up(_) | Command::Serve(_) | Command::Broker(BrokerArgs { command: None, .. }));
    start_logs(&settings, serves)?;
    for warning in settings.warnings() {
        tracing::warn!("{warning}");
    }
    let global = Global { settings, names: Names::new(prefix), out, yes: cli.global.yes };
    dispatch(&global, cli.command)
}

fn dispatch(global: &Global, command: Command) -> Result<Outcome, CliError> {
    match command {
        Command::Init(args) => commands::init::run(global, &args),
        Command::Profile(args) => commands::profile::run(global, &args),
        Command::Validate(args) => commands::validate::run(global, &args),
        Command::Plan(args) => commands::apply::plan(global, &args),
        Command::Apply(args) => commands::apply::apply(global, &args),
        Command::Rollback(args) => commands::apply::rollback(global, &args),
        Command::Produce(args) => commands::produce::run(global, &args),
        Command::Consume(args) => commands::consume::run(global, &args),
        Command::Quarantine(QuarantineCommand::List { product }) => {
            commands::quarantine::list(global, product.as_deref())
        }
        Command::Quarantine(QuarantineCommand::Show { product, partition, offset, count }) => {
            commands::quarantine::show(global, &product, partition.zip(offset), count)
        }
        Command::Check(args) => commands::check::run(global, &args),
        Command::Product(ProductCommand::List) => commands::product::list(global),
        Command::Product(ProductCommand::Show { product }) => commands::product::show(global, &product),
        Command::Lineage(LineageCommand::Record { topic, partition, offset }) => {
            commands::lineage::record(global, &topic, partition, offset)
        }
        Command::Doctor(args) => commands::doctor::run(global, &args),
        Command::Up(_) => roles::serve(global, &roles::of_up(&global.settings)),
        Command::Broker(BrokerArgs { command: Some(BrokerCommand::Verify { data }), .. }) => {
            commands::broker::verify(global, &data)
        }
        Command::Broker(BrokerArgs { command: Some(BrokerCommand::Backup { data, to }), .. }) => {
            commands::broker::backup(global, &data, &to)
        }
        Command::Broker(BrokerArgs { command: None, .. }) => roles::serve(global, &[Role::Broker].into()),
        Command::Bench(BenchCommand::Broker(args)) => commands::bench::broker(global, &args),
        Command::Serve(args) => roles::serve(global, &args.roles.into_iter().collect()),
        Command::Config(ConfigCommand::Show) => commands::config::show(global),
        // Answered before any configuration is read.
        Command::Version => version(global.out),
        Command::Completions { shell } => completions(global.out, shell),
        Command::EditorSchema => editor_schema(global.out),
    }
}

fn start_logs(settings: &Settings, serves: bool) -> Result<(), CliError> {
    let from_env = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let configured = settings.text(config::names::LOG).map(str::to_owned).or(from_env);
    let by_default = || format!("{},{}", if serves { "info" } else { "warn" }, kafka::LOG_FILTER);
    let filter = configured.unwrap_or_else(by_default);
    let format = match settings.text(config::names::LOG_FORMAT) {
        Some("json") => logs::Format::Json,
        Some("human") => logs::Format::Human,
        _ if serves => logs::Format::Auto,
        // Beside a command's result a line is for a person, wherever standard error goes.
        _ => logs::Format::Human,
    };
    logs::start(&filter, format).map_err(|error| CliError::Usage(error.to_string()))
}

/// What this program is.
pub(crate) const BUILD: runtime::Build = runtime::Build {
    version: env!("CARGO_PKG_VERSION"),
    commit: match option_env!("WEIR_COMMIT") {
        Some(commit) => commit,
        None => "unknown",
    },
};

fn version(out: Out) -> Result<Outcome, CliError> {
    match out.format() {
        output::Format::Table => out.line(&format!("weir {} ({})", BUILD.version, BUILD.commit))?,
        _ => out.json(&serde_json::json!({"version": BUILD.version, "commit": BUILD.commit}))?,
    }
    Ok(Outcome::Done)
}

fn editor_schema(out: Out) -> Result<Outcome, CliError> {
    out.line(&format!("{:#}", contract::odcs::editor::editor_schema()))?;
    Ok(Outcome::Done)
}

fn completions(out: Out, shell: clap_complete::Shell) -> Result<Outcome, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "weir", &mut script);
    out.write(&script)?;
    Ok(Outcome::Done)
}
