//! What a person may type about files of data: where they are, how they are written.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{FileFormat, parse_age};

/// `weir init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The data: a file, - for standard input, or topic:NAME, which is only read
    #[arg(long, value_name = "FILE")]
    pub(crate) from: PathBuf,
    /// Which records of a topic.
    #[command(flatten)]
    pub(crate) span: SpanArgs,
    /// The product that it shall be: domain.name
    #[arg(long, value_name = "DOMAIN.NAME")]
    pub(crate) product: String,
    /// Who answers for it
    #[arg(long, value_name = "TEAM")]
    pub(crate) owner: Option<String>,
    /// The folder of contracts; by default that of --contracts
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Write over what is there
    #[arg(long)]
    pub(crate) force: bool,
    /// How the file is written.
    #[command(flatten)]
    pub(crate) dialect: DialectArgs,
}

/// `weir profile`.
#[derive(Debug, Args)]
pub(crate) struct ProfileArgs {
    /// The data: a file, - for standard input, or topic:NAME, which is only read
    #[arg(value_name = "FILE")]
    pub(crate) from: PathBuf,
    /// Which records of a topic.
    #[command(flatten)]
    pub(crate) span: SpanArgs,
    /// Write a page of HTML
    #[arg(long)]
    pub(crate) html: bool,
    /// How the file is written.
    #[command(flatten)]
    pub(crate) dialect: DialectArgs,
}

/// `weir check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The contract
    #[arg(long, value_name = "FILE")]
    pub(crate) contract: PathBuf,
    /// The records; - reads standard input
    #[arg(long, value_name = "FILE", required_unless_present = "topic")]
    pub(crate) file: Option<PathBuf>,
    /// The records of a topic, any topic; it is only read: no group is joined, nothing is committed
    #[arg(long, conflicts_with_all = ["file", "format", "nulls"])]
    pub(crate) topic: Option<String>,
    /// Which records of a topic.
    #[command(flatten)]
    pub(crate) span: SpanArgs,
    /// Their format; by default what the file's name ends in
    #[arg(long, value_enum)]
    pub(crate) format: Option<FileFormat>,
    /// Text that stands for null in CSV; may be given several times
    #[arg(long = "null", value_name = "TOKEN")]
    pub(crate) nulls: Vec<String>,
}

/// Which records of a topic are looked at.
#[derive(Debug, Args)]
pub(crate) struct SpanArgs {
    /// Of a topic, only the records of so long: 30m, 12h, 1d
    #[arg(long, value_name = "TIME", conflicts_with = "last", value_parser = parse_age)]
    pub(crate) since: Option<Duration>,
    /// Of a topic, only what has the latest N offsets
    #[arg(long, value_name = "N")]
    pub(crate) last: Option<u64>,
}

/// How a file is written, where it shall not be found out.
#[derive(Debug, Args)]
#[command(next_help_heading = "How the file is written (found out, and said, without these)")]
pub(crate) struct DialectArgs {
    /// Its format
    #[arg(long, value_enum)]
    pub(crate) format: Option<FileFormat>,
    /// What separates cells: one character, or "tab"
    #[arg(long, value_name = "CHAR", value_parser = parse_letter)]
    pub(crate) separator: Option<char>,
    /// What stands around cells: one character, or "none"
    #[arg(long, value_name = "CHAR", value_parser = parse_mark)]
    pub(crate) quote: Option<Mark>,
    /// Whether the first row names the columns
    #[arg(long, value_enum, value_name = "YES|NO")]
    pub(crate) header: Option<YesNo>,
    /// Its encoding: utf-8, windows-1252, utf-16le, …
    #[arg(long, value_name = "NAME")]
    pub(crate) encoding: Option<String>,
    /// What stands before the fraction of a number: . or ,
    #[arg(long, value_name = "CHAR", value_parser = [".", ","])]
    pub(crate) decimal: Option<String>,
    /// What stands between thousands: one of , . ' _ or a blank, or "none"
    #[arg(long, value_name = "CHAR", value_parser = parse_mark)]
    pub(crate) thousands: Option<Mark>,
    /// Text that stands for null besides nothing, instead of what is found; may be given several times
    #[arg(long = "null", value_name = "TOKEN")]
    pub(crate) nulls: Vec<String>,
}

impl DialectArgs {
    /// As the reader of files takes it.
    pub(crate) fn hints(&self) -> files::Hints {
        files::Hints {
            format: self.format.map(files::FileFormat::from),
            separator: self.separator,
            quote: self.quote.map(|mark| mark.0),
            header: self.header.map(|header| header == YesNo::Yes),
            encoding: self.encoding.clone(),
            decimal: self.decimal.as_ref().and_then(|text| text.chars().next()),
            thousands: self.thousands.map(|mark| mark.0),
            nulls: (!self.nulls.is_empty())
                .then(|| self.nulls.iter().filter(|token| !token.is_empty()).cloned().collect()),
        }
    }
}

/// A character, or none on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark(pub(crate) Option<char>);

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum YesNo {
    /// It does
    Yes,
    /// It does not
    No,
}

impl From<FileFormat> for files::FileFormat {
    fn from(format: FileFormat) -> Self {
        match format {
            FileFormat::Csv => Self::Csv,
            FileFormat::Tsv => Self::Tsv,
            FileFormat::Ndjson => Self::Ndjson,
            FileFormat::Json => Self::Json,
            FileFormat::Avro => Self::Avro,
            FileFormat::Parquet => Self::Parquet,
        }
    }
}

fn parse_letter(text: &str) -> Result<char, String> {
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        _ if text == "tab" || text == "\\t" => Ok('\t'),
        (Some(letter), None) if letter.is_ascii() => Ok(letter),
        _ => Err("give one ASCII character".to_owned()),
    }
}

fn parse_mark(text: &str) -> Result<Mark, String> {
    if text == "none" { Ok(Mark(None)) } else { parse_letter(text).map(|letter| Mark(Some(letter))) }
}
