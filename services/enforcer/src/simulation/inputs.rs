//! What producers send, good and bad, and what is true of each record under a contract version: said in
//! plain words about what was meant to be sent, without looking at bytes.

use std::collections::BTreeMap;

use broker::OutRecord;
use schemas::{Companion, SchemaId, TopicPartition};

use super::Dice;
use super::world::{Product, World};

/// A reading as its producer means it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    pub(super) sensor: String,
    pub(super) seq: i64,
    pub(super) value: f64,
    pub(super) note: Option<String>,
    pub(super) at: i64,
}

/// What is wrong with a record besides what its reading says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Nothing.
    None,
    /// Its key is that of another sensor.
    OtherKey,
    /// It has no key.
    NoKey,
    /// Its key is no Avro at all, or no UTF-8.
    BrokenKey,
    /// The schema id of its key is nobody's.
    UnknownKeyId,
    /// The schema id of its value is nobody's.
    UnknownId,
    /// It was written with a schema that is no Avro schema.
    NotAvro,
    /// It was written with a schema that nothing fits.
    Unresolvable,
    /// A byte is missing at its end.
    Truncated,
    /// It is JSON.
    Json,
    /// Its schema id is in a header, and not in its value.
    IdInHeader,
    /// It has no byte.
    Empty,
    /// It has no value.
    Tombstone,
    /// It has neither value nor key.
    TombstoneWithoutKey,
}

/// One record that was sent.
#[derive(Debug, Clone)]
pub(super) struct Input {
    pub(super) reading: Reading,
    pub(super) flaw: Flaw,
    /// Bytes that make it larger than the product topic, or even quarantine, takes.
    pub(super) padding: usize,
    pub(super) avro_key: bool,
}

/// More than the product topic takes, and less than quarantine does.
pub(super) const TOO_LARGE: usize = 3_000;
/// More than quarantine takes.
pub(super) const FAR_TOO_LARGE: usize = 8_000;

/// What becomes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Forwarded,
    Quarantined,
    Withheld,
}

/// What may be found of a record: its fate, and the rules it breaks with whether they are enforced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Truth {
    pub(super) fate: Fate,
    pub(super) rules: BTreeMap<&'static str, bool>,
    /// It counts in the statistics of fields.
    pub(super) measured: bool,
}

impl Truth {
    fn of(fate: Fate, rules: &[(&'static str, bool)]) -> Self {
        Self { fate, rules: rules.iter().copied().collect(), measured: false }
    }
}

impl Input {
    /// What may be found of it under a version that allows values up to `greatest`: usually one thing.
    pub(super) fn truths(&self, greatest: f64) -> Vec<Truth> {
        let plain = self.truth(greatest);
        let refused = |fate| Truth::of(fate, &[("broker-refused", true)]);
        match (self.padding, plain.fate) {
            (FAR_TOO_LARGE.., _) => vec![refused(Fate::Withheld)],
            (TOO_LARGE.., Fate::Forwarded) => vec![refused(Fate::Quarantined)],
            // It may have been refused under a version that would have let it through.
            (TOO_LARGE.., _) => vec![plain, refused(Fate::Quarantined)],
            _ => vec![plain],
        }
    }

    fn truth(&self, greatest: f64) -> Truth {
        let held = |rule| Truth::of(Fate::Quarantined, &[(rule, true)]);
        match self.flaw {
            Flaw::UnknownId | Flaw::NotAvro | Flaw::Unresolvable => held("schema"),
            Flaw::Truncated => held("malformed"),
            Flaw::Json | Flaw::IdInHeader | Flaw::Empty => held("wire"),
            Flaw::TombstoneWithoutKey => held("tombstone"),
            Flaw::Tombstone if self.avro_key => held("tombstone"),
            Flaw::Tombstone => Truth::of(Fate::Forwarded, &[]),
            Flaw::None | Flaw::OtherKey | Flaw::NoKey | Flaw::BrokenKey | Flaw::UnknownKeyId => self.judged(greatest),
        }
    }

    fn judged(&self, greatest: f64) -> Truth {
        let Reading { sensor, value, note, .. } = &self.reading;
        let mut rules = BTreeMap::new();
        if !sensor.strip_prefix('s').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit())) {
            rules.insert("sensor:pattern", true);
        }
        if *value < 0.0 {
            rules.insert("value:minimum", true);
        }
        if *value > greatest {
            rules.insert("value:maximum", true);
        }
        if note.as_deref().is_some_and(|note| note != "ok" && note != "late") {
            rules.insert("note-known", false);
        }
        if *value >= 40.0 && sensor == "s1" {
            rules.insert("quiet", false);
        }
        if self.flaw != Flaw::None {
            rules.insert("key", true);
        }
        let held = rules.values().any(|enforced| *enforced);
        Truth { fate: if held { Fate::Quarantined } else { Fate::Forwarded }, rules, measured: !held }
    }

    /// The note as it is sent.
    pub(super) fn note(&self) -> Option<String> {
        if self.padding > 0 { Some("n".repeat(self.padding)) } else { self.reading.note.clone() }
    }
}

/// Everything that was sent; a record says in a header which it is.
#[derive(Default)]
pub(super) struct Sent {
    pub(super) inputs: Vec<Input>,
    seq: i64,
}

pub(super) const HEADER: &str = "input";

impl Sent {
    /// Sends some records to one partition.
    pub(super) fn send(&mut self, world: &mut World, dice: &mut Dice, partition: &(TopicPartition, Product)) {
        let records: Vec<_> = (0..1 + dice.below(8)).map(|_| self.record(world, dice, partition)).collect();
        world.write(&records);
    }

    /// Sends `count` records that conform to a contract without Avro keys.
    pub(super) fn send_good(&mut self, world: &World, inbox: &TopicPartition, count: usize) {
        let records: Vec<_> = (0..count)
            .map(|_| {
                self.seq += 1;
                let sensor = format!("s{}", self.seq % 7 + 2);
                let reading = Reading { sensor, seq: self.seq, value: 1.0, note: None, at: world.wall().0 };
                let input = Input { reading, flaw: Flaw::None, padding: 0, avro_key: false };
                let value = framed(world.schema_id, &encode(&input, true));
                let key = Some(input.reading.sensor.clone().into_bytes());
                self.out(world, inbox, input, key, Some(value), None)
            })
            .collect();
        for some in records.chunks(5_000) {
            world.write(some);
        }
    }

    fn out(
        &mut self,
        world: &World,
        inbox: &TopicPartition,
        input: Input,
        key: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
        header: Option<(&str, &str)>,
    ) -> OutRecord {
        let number = self.inputs.len().to_string().into_bytes();
        let mut headers = vec![(HEADER.to_owned(), Some(number)), ("empty".to_owned(), None)];
        headers.extend(header.map(|(name, value)| (name.to_owned(), Some(value.as_bytes().to_vec()))));
        self.inputs.push(input);
        let timestamp = Some(world.wall());
        OutRecord { topic: inbox.topic.clone(), partition: Some(inbox.partition), key, value, headers, timestamp }
    }

    fn record(&mut self, world: &mut World, dice: &mut Dice, partition: &(TopicPartition, Product)) -> OutRecord {
        let (inbox, product) = partition;
        let input = self.input(world, dice, product.avro_keys);
        let key = key_of(world, &input);
        let mut header = None;
        let (id, with_note) = match input.flaw {
            Flaw::UnknownId => (SchemaId(1_000_000 + u32::try_from(dice.below(3)).unwrap_or(0)), true),
            Flaw::NotAvro => (world.schemas.json, true),
            Flaw::Unresolvable => (world.schemas.other, true),
            _ => writer(world, dice, input.note().is_none()),
        };
        let body = encode(&input, with_note);
        let value = match input.flaw {
            Flaw::Json => Some(br#"{"sensor": "s1", "seq": 1}"#.to_vec()),
            Flaw::Empty => Some(Vec::new()),
            Flaw::Tombstone | Flaw::TombstoneWithoutKey => None,
            Flaw::IdInHeader => {
                header = Some(("__value_schema_id", "\u{1}id"));
                Some(body)
            }
            Flaw::Truncated => Some(framed(id, &body[..body.len() - 1])),
            _ => Some(framed(id, &body)),
        };
        self.out(world, inbox, input, key, value, header)
    }

    fn input(&mut self, world: &World, dice: &mut Dice, avro_key: bool) -> Input {
        self.seq += 1;
        let mut flaw = Flaw::None;
        let mut padding = 0;
        match dice.below(60) {
            0 => flaw = Flaw::OtherKey,
            1 => flaw = Flaw::NoKey,
            2 => flaw = Flaw::BrokenKey,
            3 if avro_key => flaw = Flaw::UnknownKeyId,
            4 => flaw = Flaw::UnknownId,
            5 => flaw = Flaw::NotAvro,
            6 => flaw = Flaw::Unresolvable,
            7 => flaw = Flaw::Truncated,
            8 => flaw = Flaw::Json,
            9 => flaw = Flaw::IdInHeader,
            10 => flaw = Flaw::Empty,
            11 => flaw = Flaw::Tombstone,
            12 => flaw = Flaw::TombstoneWithoutKey,
            13 => padding = TOO_LARGE,
            14 => padding = FAR_TOO_LARGE,
            _ => {}
        }
        let sensor = match (flaw, dice.below(20)) {
            // Then the value begins with a zero, as one in the wire format does.
            (Flaw::IdInHeader, 0..10) => String::new(),
            (_, 0) => "x".to_owned(),
            _ => format!("s{}", dice.below(5)),
        };
        let note = match dice.below(8) {
            0 => Some("ok".to_owned()),
            1 => Some("strange".to_owned()),
            _ => None,
        };
        let note = if padding > 0 { Some("n".to_owned()) } else { note };
        let value = dice.below(480) as f64 / 4.0 - 4.0;
        let at = world.wall().0 - i64::try_from(dice.below(5_000)).unwrap_or(0);
        Input { reading: Reading { sensor, seq: self.seq, value, note, at }, flaw, padding, avro_key }
    }
}

/// With which schema a producer writes, and whether that has a note: the contract's, an older one, or one
/// of its own that it registers a moment later.
fn writer(world: &mut World, dice: &mut Dice, without_note: bool) -> (SchemaId, bool) {
    match dice.below(6) {
        0 if without_note => (world.schemas.older, false),
        1 => match &world.late {
            Some((_, id, _)) => (*id, true),
            None => {
                let due = world.elapsed_ms() + dice.below(900);
                (world.register_late(due), true)
            }
        },
        _ => (world.schema_id, true),
    }
}

fn key_of(world: &World, input: &Input) -> Option<Vec<u8>> {
    let Reading { sensor, seq, .. } = &input.reading;
    let sensor = if input.flaw == Flaw::OtherKey { "other" } else { sensor };
    match (input.flaw, input.avro_key) {
        (Flaw::NoKey | Flaw::TombstoneWithoutKey, _) => None,
        (Flaw::BrokenKey, true) => Some(sensor.as_bytes().to_vec()),
        (Flaw::BrokenKey, false) => Some(vec![0xff]),
        (flaw, true) => {
            let id = if flaw == Flaw::UnknownKeyId { SchemaId(2_000_000) } else { world.schemas.key };
            let mut body = Vec::new();
            long(*seq, &mut body);
            text(sensor, &mut body);
            Some(framed(id, &body))
        }
        (_, false) => Some(sensor.as_bytes().to_vec()),
    }
}

fn framed(id: SchemaId, body: &[u8]) -> Vec<u8> {
    let mut value = vec![0];
    value.extend(id.0.to_be_bytes());
    value.extend(body);
    value
}

fn encode(input: &Input, with_note: bool) -> Vec<u8> {
    let mut body = Vec::new();
    text(&input.reading.sensor, &mut body);
    long(input.reading.seq, &mut body);
    body.extend(input.reading.value.to_le_bytes());
    match input.note() {
        _ if !with_note => {}
        None => body.push(0),
        Some(note) => {
            body.push(2);
            text(&note, &mut body);
        }
    }
    long(input.reading.at, &mut body);
    body
}

fn text(text: &str, out: &mut Vec<u8>) {
    long(i64::try_from(text.len()).expect("a short text"), out);
    out.extend(text.as_bytes());
}

fn long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    loop {
        let byte = u8::try_from(rest & 0x7f).expect("seven bits");
        rest >>= 7;
        if rest == 0 {
            return out.push(byte);
        }
        out.push(byte | 0x80);
    }
}

/// The companion topic's partition with the inbox's number.
pub(super) fn companion(world: &World, product: &Product, inbox: &TopicPartition, which: Companion) -> TopicPartition {
    TopicPartition::new(product.topic(&world.names, which), inbox.partition)
}
