//! Records that are in a topic, as a file of data: for `weir init`, `weir profile` and `weir check`. Only reads: joins no
//! group, commits nothing, registers nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use broker::{Lookup, OwnedRecord, Registry, Weather};
use files::{FileError, Input, Spool};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use schemas::{Frame, SchemaId, Timestamp, Topic};
use steward::{Span, TopicSpan};

use super::backbone::failed;
use super::shown::Decoder;
use crate::cli::SpanArgs;
use crate::connect::Connections;
use crate::{CliError, Global};

/// What a path begins with that is none.
const PREFIX: &str = "topic:";

/// The topic that is meant by `topic:NAME`.
pub(crate) fn named(from: &std::path::Path) -> Option<Topic> {
    from.to_str()?.strip_prefix(PREFIX).map(Topic::existing)
}

/// Refuses what is said of a topic where a file is read.
pub(crate) fn only_of_topics(args: &SpanArgs) -> Result<(), CliError> {
    match (args.since, args.last) {
        (None, None) => Ok(()),
        _ => Err(CliError::Usage("--since and --last are for topics, and this is a file".to_owned())),
    }
}

/// The records that the arguments ask for.
pub(crate) fn span(args: &SpanArgs) -> Span {
    match (args.since, args.last) {
        (Some(since), _) => {
            let ago = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
            Span::Since(Timestamp(Timestamp::now().0.saturating_sub(ago)))
        }
        (None, Some(last)) => Span::Last(last),
        (None, None) => Span::All,
    }
}

/// A bar of offsets read, on standard error where that is a terminal.
pub(crate) fn progress(doing: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos} of {human_len} {eta} left");
    let bar = ProgressBar::new(0).with_message(doing);
    if let Ok(style) = style { bar.with_style(style) } else { bar }
}

/// What the values of a topic are.
#[derive(Debug, Default)]
struct Kinds {
    /// In the Confluent wire format, by schema id.
    avro: BTreeMap<SchemaId, u64>,
    /// JSON objects.
    json: u64,
    /// Other text.
    text: u64,
    /// Neither.
    bytes: u64,
    nulls: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Avro(SchemaId),
    Json,
    Text,
    Bytes,
    Null,
}

fn kind(value: Option<&[u8]>) -> Kind {
    let Some(value) = value else { return Kind::Null };
    if let Ok(framed) = Frame::parse(value) {
        return Kind::Avro(framed.schema);
    }
    match std::str::from_utf8(value) {
        Ok(text) if text.trim_start().starts_with('{') => Kind::Json,
        Ok(_) => Kind::Text,
        Err(_) => Kind::Bytes,
    }
}

impl Kinds {
    fn count(&mut self, kind: Kind) {
        let count = match kind {
            Kind::Avro(id) => self.avro.entry(id).or_default(),
            Kind::Json => &mut self.json,
            Kind::Text => &mut self.text,
            Kind::Bytes => &mut self.bytes,
            Kind::Null => &mut self.nulls,
        };
        *count += 1;
    }

    /// What most of them are.
    fn most(&self) -> Option<Kept> {
        let avro: u64 = self.avro.values().sum();
        let most = avro.max(self.json).max(self.text);
        if most == 0 {
            return None;
        }
        Some(if most == avro {
            Kept::Avro
        } else if most == self.json {
            Kept::Json
        } else {
            Kept::Text
        })
    }

    fn all(&self) -> u64 {
        self.avro.values().sum::<u64>() + self.json + self.text + self.bytes + self.nulls
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Avro,
    Json,
    Text,
}

/// Why a topic could not be kept as a file.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Weather(#[from] Weather),
    #[error(transparent)]
    File(#[from] FileError),
}

/// Reads a topic into a temporary file, and says what is in it.
pub(crate) fn spooled(global: &Global, topic: &Topic, args: &SpanArgs) -> Result<Input, CliError> {
    let connections = Connections::new(&global.settings)?;
    let (broker, registry) = (connections.broker()?, connections.registry()?);
    let source = TopicSpan { broker: &*broker, topic, span: span(args) };
    let reading = Reading { source, registry };
    let kinds = reading.kinds()?;
    let nothing = || CliError::Failed(format!("topic {topic} holds no records that a contract could be about"));
    let kept = kinds.most().ok_or_else(nothing)?;
    let (input, left_out) = reading.keep(kept, &kinds).map_err(failed)?;
    let what = match kept {
        Kept::Avro => format!("Avro of {} schema{}", kinds.avro.len(), if kinds.avro.len() == 1 { "" } else { "s" }),
        Kept::Json => "JSON".to_owned(),
        Kept::Text => "text".to_owned(),
    };
    global.out.say(&format!("topic {topic}: {} records, {what}", HumanCount(kinds.all())));
    if left_out > 0 {
        let (nulls, bytes) = (kinds.nulls, kinds.bytes);
        global.out.say(&format!(
            "{} of them are left out: not such a value, or not readable ({nulls} null, {bytes} neither Avro nor text)",
            HumanCount(left_out)
        ));
    }
    Ok(input)
}

struct Reading<'a> {
    source: TopicSpan<'a>,
    registry: Arc<dyn Registry>,
}

impl Reading<'_> {
    fn kinds(&self) -> Result<Kinds, CliError> {
        let mut kinds = Kinds::default();
        let there = self.each("looking", &mut |record| {
            kinds.count(kind(record.value.as_deref()));
            Ok(())
        });
        let topic = self.source.topic;
        if there? { Ok(kinds) } else { Err(CliError::Failed(format!("there is no topic {topic}"))) }
    }

    /// The values of one kind, and how many were left out.
    fn keep(&self, kept: Kept, kinds: &Kinds) -> Result<(Input, u64), Failed> {
        let name = self.source.topic.to_string();
        // Values of one schema stay as they are; several are brought to a common language.
        let schema = match (kept, kinds.avro.iter().next()) {
            (Kept::Avro, Some((id, _))) if kinds.avro.len() == 1 => match self.registry.schema(*id)? {
                Lookup::Avro(text) => Some(text),
                _ => None,
            },
            _ => None,
        };
        let mut spool = match &schema {
            Some(text) => Spool::avro(&name, text)?,
            None => Spool::lines(&name)?,
        };
        let mut decoder = Decoder::new(&*self.registry);
        let (mut left_out, mut full) = (0, None);
        self.each("reading", &mut |record| {
            let written = match line(record, kept, schema.is_some(), &mut decoder)? {
                Some(bytes) => spool.push(&bytes),
                None => {
                    left_out += 1;
                    Ok(())
                }
            };
            if let Err(error) = written {
                full.get_or_insert(error);
            }
            Ok(())
        })?;
        match full {
            Some(error) => Err(error.into()),
            None => Ok((spool.finish()?, left_out)),
        }
    }

    fn each(
        &self,
        doing: &'static str,
        work: &mut dyn FnMut(&OwnedRecord) -> Result<(), Weather>,
    ) -> Result<bool, Weather> {
        let bar = progress(doing);
        let read = self.source.read(
            &mut |read, of| {
                bar.set_length(of);
                bar.set_position(read);
            },
            work,
        );
        bar.finish_and_clear();
        read
    }
}

/// What a record is in the file; `None` where it does not belong there.
fn line(record: &OwnedRecord, kept: Kept, as_is: bool, decoder: &mut Decoder<'_>) -> Result<Option<Vec<u8>>, Weather> {
    let value = record.value.as_deref();
    Ok(match (kept, kind(value)) {
        (Kept::Avro, Kind::Avro(_)) if as_is => {
            let readable = decoder.value(value)?.is_ok();
            let body = value.and_then(|value| Frame::parse(value).ok()).map(|framed| framed.body.to_vec());
            body.filter(|_| readable)
        }
        (Kept::Avro, Kind::Avro(_)) => decoder.value(value)?.ok().map(|value| value.to_string().into_bytes()),
        // On one line, whatever it looked like.
        (Kept::Json, Kind::Json) => {
            let json = value.and_then(|value| serde_json::from_slice::<serde_json::Value>(value).ok());
            json.map(|json| json.to_string().into_bytes())
        }
        (Kept::Text, Kind::Text) => value.map(|value| value.trim_ascii_end().to_vec()),
        _ => None,
    })
}
