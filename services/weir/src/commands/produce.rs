//! `weir produce`: a file's records, or deletes, into a product's inbox, and then their verdicts.
//!
//! Records and how far the file was read are committed in one transaction each time, so an interrupted run
//! is resumed where it stopped, without a duplicate. Each record carries a header with the run and the line
//! it came from: that is how a held-back record finds its way back to the line.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{OutRecord, Position, Progress, Registered, Writer};
use contract::{Contract, Deletes, Program, Scratch};
use files::{RejectedWriter, Row};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use schemas::{
    BackboneSchema, GroupId, LineageEvent, MajorState, Offset, SchemaId, Subject, Timestamp, TopicPartition, frame,
};

use serde_json::json;

use super::backbone::{Backbone, failed};
use super::check;
use super::shown::header;
use super::tombstone;
use crate::cli::ProduceArgs;
use crate::output::Format;
use crate::{CliError, Global, Outcome};

/// Records in one transaction.
const RECORDS: usize = 5_000;
/// Bytes after which a transaction is closed.
const BYTES: usize = 4 << 20;
/// How long verdicts may not move before the command gives up waiting.
const PATIENCE: Duration = Duration::from_secs(60);
/// Clocks may differ by this much between this machine and the enforcers'.
const SKEW_MS: i64 = 60_000;
/// The header that names run, record and line.
const HEADER: &str = "weir.produce";

/// Produces.
pub(crate) fn run(global: &Global, args: &ProduceArgs) -> Result<Outcome, CliError> {
    let backbone = Backbone::connect(global)?;
    let (state, major) = backbone.product(&args.product)?;
    let contract = contract_of(&backbone, &state.product, &major)?;
    let Some(file) = &args.file else { return tombstones(global, &backbone, &major, &contract, &args.tombstones) };
    let rows = check::open(file, args.format, &args.nulls, &contract)?;
    let mut run = Run::begin(&backbone, file, &major, &contract)?;
    if run.skip > 0 {
        global.out.say(&format!("going on after record {}, where an earlier run stopped", run.skip));
    }
    let mut rejected = RejectedWriter::beside(file);
    let bar = progress("sending");
    for row in rows {
        let row = row.map_err(failed)?;
        run.take(row, &mut rejected)?;
        bar.set_position(run.read);
    }
    run.send()?;
    bar.finish_and_clear();
    let held_back = if run.sent > 0 { run.verdicts(&mut rejected)? } else { 0 };
    run.finish()?;
    let not_sent = run.not_sent;
    let kept = rejected.finish().map_err(failed)?;
    let (published, held) = (run.sent - held_back, held_back + not_sent);
    if global.out.format() == Format::Table {
        global.out.line(&format!("{} published, {} held back", HumanCount(published), HumanCount(held)))?;
    } else {
        let file = kept.as_ref().map(|file| file.display().to_string());
        global.out.json(&json!({"published": published, "held_back": held, "rejected": file}))?;
    }
    if let Some(file) = kept {
        global.out.say(&format!("what was not published is in {}", file.display()));
    }
    Ok(if held_back + not_sent == 0 { Outcome::Done } else { Outcome::Found })
}

/// Deletes by key, each with its verdict.
fn tombstones(
    global: &Global,
    backbone: &Backbone,
    major: &MajorState,
    contract: &Arc<Contract>,
    keys: &[String],
) -> Result<Outcome, CliError> {
    if contract.settings.deletes != Deletes::Tombstone {
        return Err(CliError::Failed(format!(
            "{} {} knows no deletes; set weir.deletes to tombstone in its contract",
            contract.product, contract.version
        )));
    }
    let source = Path::new("-");
    let mut run = Run::begin(backbone, source, major, contract)?;
    for (number, text) in (1..).zip(keys) {
        let key = tombstone::key(text, contract, run.key_schema)?;
        run.sent += 1;
        run.push(Some(key), None, (number, number))?;
    }
    run.send()?;
    let mut rejected = RejectedWriter::beside(source);
    let held = run.verdicts(&mut rejected)?;
    let deleted = run.sent - held;
    if global.out.format() == Format::Table {
        global.out.line(&format!("{} deleted, {} held back", HumanCount(deleted), HumanCount(held)))?;
    } else {
        global.out.json(&json!({"deleted": deleted, "held_back": held}))?;
    }
    Ok(if held == 0 { Outcome::Done } else { Outcome::Found })
}

fn contract_of(
    backbone: &Backbone,
    product: &schemas::ProductId,
    major: &MajorState,
) -> Result<Arc<Contract>, CliError> {
    let catalog = backbone.catalog()?;
    let entry = catalog.product(product).and_then(|entry| entry.contracts.get(&major.version));
    let entry =
        entry.ok_or_else(|| CliError::Failed(format!("the catalog does not hold {product} {}", major.version)))?;
    contract::read_back(&entry.contract).map_err(failed)
}

/// Registers the schema of the contract's keys under the inbox, as a serializer would; `None` where they are
/// not Avro. Where producers have registered one of another name that writes the same bytes, it is theirs:
/// two ids would make two keys of one.
fn key_schema_of(backbone: &Backbone, major: &MajorState, contract: &Contract) -> Result<Option<SchemaId>, CliError> {
    let Some(text) = contract::program::key_schema(contract) else { return Ok(None) };
    let subject = Subject::key_of(&major.inbox);
    if let Some((id, theirs)) = backbone.registry.latest(&subject)?
        && nameless(&theirs) == nameless(&text)
    {
        return Ok(Some(id));
    }
    match backbone.registry.register(&subject, &text)? {
        Registered::Id(id) => Ok(Some(id)),
        Registered::Incompatible(why) | Registered::Invalid(why) => {
            Err(CliError::Failed(format!("the registry refuses the schema of the keys under {subject}: {why}")))
        }
    }
}

/// What a schema writes, whatever it is called.
fn nameless(text: &str) -> Option<String> {
    let schema = contract::avro::Schema::parse(text).ok()?;
    let canonical = schema.canonical();
    let name = schema.record(schema.root()).map(|record| format!("\"name\":\"{}\"", record.name));
    Some(name.map_or(canonical.clone(), |name| canonical.replacen(&name, "", 1)))
}

struct Run<'a> {
    backbone: &'a Backbone,
    major: MajorState,
    program: Program,
    /// The id of the keys' schema, where the contract's keys are Avro.
    key_schema: Option<SchemaId>,
    scratch: Scratch,
    name: String,
    group: GroupId,
    started: Timestamp,
    writer: Box<dyn Writer>,
    batch: Vec<OutRecord>,
    bytes: usize,
    /// The last record that this process wrote to each inbox partition.
    written: BTreeMap<TopicPartition, Offset>,
    /// Records of the file that an earlier run has sent.
    skip: u64,
    read: u64,
    sent: u64,
    not_sent: u64,
    resumable: bool,
}

impl<'a> Run<'a> {
    fn begin(
        backbone: &'a Backbone,
        file: &Path,
        major: &MajorState,
        contract: &Arc<Contract>,
    ) -> Result<Self, CliError> {
        let program = Program::compile(&contract.schema, contract).map_err(failed)?;
        let key_schema = key_schema_of(backbone, major, contract)?;
        let resumable = file != Path::new("-");
        let name = run_name(file, major)?;
        let group = backbone.names.produce_group(&name);
        // Taken first: it fences a run of the same file that is still going.
        let writer = backbone.broker.writer(&backbone.names.produce_producer(&name))?;
        let place = TopicPartition::new(major.inbox.clone(), schemas::Partition(0));
        let before = backbone.broker.group_offsets(&group, std::slice::from_ref(&place))?.remove(&place);
        let (skip, started) = before
            .filter(|_| resumable)
            .and_then(|before| {
                Some((u64::try_from(before.offset.0).ok()?, before.metadata.strip_prefix("since=")?.parse().ok()?))
            })
            .unwrap_or((0, Timestamp::now().0));
        Ok(Self {
            backbone,
            major: major.clone(),
            program,
            key_schema,
            scratch: Scratch::default(),
            name,
            group,
            started: Timestamp(started),
            writer,
            batch: Vec::new(),
            bytes: 0,
            written: BTreeMap::new(),
            skip,
            read: 0,
            sent: 0,
            not_sent: 0,
            resumable,
        })
    }

    fn take(&mut self, row: Row, rejected: &mut RejectedWriter) -> Result<(), CliError> {
        self.read += 1;
        let body = match &row.outcome {
            Ok(body) => body,
            Err(problems) => {
                self.not_sent += 1;
                return rejected.write_problems(row.line, row.record, problems).map_err(failed);
            }
        };
        self.sent += 1;
        if self.read <= self.skip {
            return Ok(());
        }
        let mut value = Vec::with_capacity(body.len() + schemas::FRAME_LEN);
        frame(self.major.schema_id, &mut value);
        value.extend_from_slice(body);
        let key = match self.key_schema {
            Some(id) => self.program.avro_key(id, body, &mut self.scratch),
            None => self.program.key(body, &mut self.scratch),
        };
        self.push(key, Some(value), (row.record, row.line))
    }

    /// Adds a record, by its number and line in what is sent.
    fn push(&mut self, key: Option<Vec<u8>>, value: Option<Vec<u8>>, place: (u64, u64)) -> Result<(), CliError> {
        let (record, line) = place;
        self.bytes += value.as_ref().map_or(0, Vec::len);
        self.batch.push(OutRecord {
            topic: self.major.inbox.clone(),
            partition: None,
            key,
            value,
            headers: vec![(HEADER.to_owned(), Some(format!("{}:{record}:{line}", self.name).into_bytes()))],
            timestamp: None,
        });
        if self.batch.len() >= RECORDS || self.bytes >= BYTES { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<(), CliError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let progress = self.progress(self.read, format!("since={}", self.started));
        let records = std::mem::take(&mut self.batch);
        self.bytes = 0;
        let written = self.writer.commit(records, self.resumable.then_some(&progress)).map_err(|error| {
            let again = if self.resumable { "; run the command again, it goes on where it stopped" } else { "" };
            CliError::Failed(format!("{error}{again}"))
        })?;
        for place in written {
            let last = self.written.entry(place.partition).or_insert(place.offset);
            *last = (*last).max(place.offset);
        }
        Ok(())
    }

    fn progress(&self, read: u64, metadata: String) -> Progress {
        Progress {
            group: self.group.clone(),
            partition: TopicPartition::new(self.major.inbox.clone(), schemas::Partition(0)),
            offset: Offset(i64::try_from(read).unwrap_or(i64::MAX)),
            metadata,
        }
    }

    /// The same file may be sent again from here on.
    fn finish(&mut self) -> Result<(), CliError> {
        if !self.resumable || self.sent == 0 {
            return Ok(());
        }
        let done = self.progress(0, "done".to_owned());
        self.writer.commit(Vec::new(), Some(&done)).map(drop).map_err(failed)
    }

    /// Waits until every record has its verdict; returns how many were held back.
    fn verdicts(&self, rejected: &mut RejectedWriter) -> Result<u64, CliError> {
        let mut awaited = self.last_records()?;
        let topic = self.backbone.names.lineage();
        let since = Position::Since(Timestamp(self.started.0 - SKEW_MS));
        let from: Vec<_> = self.backbone.partitions(&topic)?.into_iter().map(|partition| (partition, since)).collect();
        let mut reader = self.backbone.broker.reader(&from, broker::Isolation::Committed)?;
        let all = awaited.len();
        let bar = progress("waiting for verdicts");
        let mut moved = Instant::now();
        while !awaited.is_empty() {
            for record in reader.poll(Duration::from_millis(200))?.records {
                let Some(value) = record.value else { continue };
                let event: LineageEvent =
                    self.backbone.codec.decode(BackboneSchema::Lineage, &value).map_err(failed)?;
                let inbox = TopicPartition::new(event.inbox, event.partition);
                if awaited.contains_key(&inbox) {
                    moved = Instant::now();
                }
                if awaited.get(&inbox).is_some_and(|last| event.to > *last) {
                    awaited.remove(&inbox);
                }
            }
            bar.set_position((all - awaited.len()) as u64);
            if moved.elapsed() > PATIENCE {
                let waiting: Vec<_> = awaited.keys().map(ToString::to_string).collect();
                return Err(CliError::Failed(format!(
                    "all records are sent, but no verdict came for {} s on {}: is an enforcer running? (weir serve enforcer; weir doctor)",
                    PATIENCE.as_secs(),
                    waiting.join(", ")
                )));
            }
        }
        bar.finish_and_clear();
        self.held_back(since, rejected)
    }

    /// The last record of this run in each inbox partition that has one. What others wrote is not waited for: it may
    /// have been judged long ago, or be nobody's business here.
    fn last_records(&self) -> Result<BTreeMap<TopicPartition, Offset>, CliError> {
        let mut last = self.written.clone();
        if self.skip == 0 {
            return Ok(last);
        }
        // An earlier run wrote some.
        let partitions = self.backbone.partitions(&self.major.inbox)?;
        let ends = self.backbone.broker.ends(&partitions, true)?;
        // Transaction markers take offsets too; nobody leaves more than a few of them in a row.
        let from: Vec<_> = ends
            .iter()
            .filter(|(_, (first, end))| end > first)
            .map(|(partition, (first, end))| (partition.clone(), Position::At(Offset((end.0 - 100).max(first.0)))))
            .collect();
        if from.is_empty() {
            return Ok(last);
        }
        self.backbone.read_to_end(&from, &mut |chunk| {
            for record in chunk.records {
                if header(&record, HEADER).is_some_and(|text| self.ours(&text).is_some()) {
                    let known = last.entry(record.source).or_insert(record.offset);
                    *known = (*known).max(record.offset);
                }
            }
            Ok(true)
        })?;
        Ok(last)
    }

    /// Records of this run that stand in quarantine: each is written to the rejected rows.
    fn held_back(&self, since: Position, rejected: &mut RejectedWriter) -> Result<u64, CliError> {
        let from: Vec<_> = self.backbone.partitions(&self.major.quarantine)?.into_iter().map(|p| (p, since)).collect();
        let mut held = 0;
        self.backbone.read_to_end(&from, &mut |chunk| {
            for record in &chunk.records {
                let Some((record_number, line)) = header(record, HEADER).and_then(|text| self.ours(&text)) else {
                    continue;
                };
                held += 1;
                let violations: Vec<serde_json::Value> = header(record, "weir.violations")
                    .and_then(|text| serde_json::from_str(&text).ok())
                    .unwrap_or_default();
                for violation in &violations {
                    let text = |name: &str| violation[name].as_str().unwrap_or_default();
                    rejected.write(line, record_number, text("path"), text("rule"), text("message")).map_err(failed)?;
                }
            }
            Ok(true)
        })?;
        Ok(held)
    }

    fn ours(&self, text: &str) -> Option<(u64, u64)> {
        let mut parts = text.strip_prefix(&self.name)?.strip_prefix(':')?.split(':');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    }
}

/// The same file, unchanged, for the same inbox is the same run.
fn run_name(file: &Path, major: &MajorState) -> Result<String, CliError> {
    if file == Path::new("-") {
        return Ok(uuid::Uuid::new_v4().simple().to_string());
    }
    let unreadable = |error: std::io::Error| CliError::Failed(format!("cannot read {}: {error}", file.display()));
    let place = file.canonicalize().map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    let modified =
        about.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok()).unwrap_or_default();
    let text = format!("{}\n{}\n{}\n{}", place.display(), about.len(), modified.as_nanos(), major.inbox);
    Ok(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, text.as_bytes()).simple().to_string())
}

fn progress(doing: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg} {human_pos} {elapsed}");
    let bar = ProgressBar::new_spinner().with_message(doing);
    if let Ok(style) = style { bar.with_style(style) } else { bar }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_schema_is_known_by_what_it_writes() {
        let schema = |name: &str, kind: &str| {
            format!(r#"{{"type":"record","name":"{name}","fields":[{{"name":"a","type":"{kind}"}}]}}"#)
        };
        assert_eq!(nameless(&schema("shop.A", "int")), nameless(&schema("B", "int")));
        assert_ne!(nameless(&schema("A", "int")), nameless(&schema("A", "long")));
        assert_eq!(nameless("\"string\""), nameless(r#"{"type":"string"}"#));
    }
}
