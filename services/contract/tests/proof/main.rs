//! Programs against `apache-avro` and a slow, obvious evaluator of rules: the same verdict and the same
//! broken rules on random schemas, evolved, with random rules, over good and mutated records.
//!
//! `WEIR_PROOF_RECORDS` sets how many records (200,000 unless set), `WEIR_PROOF_SEED` where they start.
//!
//! Known disagreements, all of them records that `apache-avro` accepts:
//! * a varint whose tenth byte holds more than bit 63: it drops the bits, a program says `malformed`;
//! * a block whose items do not take the bytes that its header claims: it ignores the claim, but a consumer
//!   that skips by it would read something else;
//! * a record that ends inside a boolean, a string or before a union's index: it reads null there;
//! * a map that holds a key twice: it keeps the last value, a program judges every value that was sent.

use std::collections::BTreeSet;
use std::sync::Arc;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use contract::avro;
use contract::{
    Check, Context, Contract, Deletes, KeySpec, Native, Path, Product, Program, Rule, RuleId, Scratch, Segment,
    Settings, Severity, Status, UndeclaredFields, Verdict,
};
use schemas::Timestamp;

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 33) as usize % end
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// A type; named ones carry a number that makes their name.
#[derive(Debug, Clone)]
enum Type {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Text,
    Bytes,
    Fixed(usize, usize),
    Enum(usize, usize),
    Nullable(Box<Type>),
    Array(Box<Type>),
    Map(Box<Type>),
    Record(usize, Vec<(String, Type)>),
}

fn random_type(random: &mut Random, depth: usize, names: &mut usize) -> Type {
    *names += 1;
    let name = *names;
    match random.below(if depth > 2 { 9 } else { 13 }) {
        0 => Type::Boolean,
        1 => Type::Int,
        2 => Type::Long,
        3 => Type::Float,
        4 => Type::Double,
        5 => Type::Text,
        6 => Type::Bytes,
        7 => Type::Fixed(name, 1 + random.below(5)),
        8 => Type::Enum(name, 2 + random.below(4)),
        9 => match random_type(random, depth + 1, names) {
            Type::Nullable(inner) => Type::Nullable(inner),
            other => Type::Nullable(Box::new(other)),
        },
        10 => Type::Array(Box::new(random_type(random, depth + 1, names))),
        11 => Type::Map(Box::new(random_type(random, depth + 1, names))),
        _ => random_record(random, depth + 1, names),
    }
}

fn random_record(random: &mut Random, depth: usize, names: &mut usize) -> Type {
    *names += 1;
    let name = *names;
    let fields =
        (0..1 + random.below(5)).map(|index| (format!("f{index}"), random_type(random, depth, names))).collect();
    Type::Record(name, fields)
}

/// What the contract reads instead: wider types, fewer symbols, null allowed.
fn evolved(kind: &Type, random: &mut Random) -> Type {
    let inner = |kind: &Type, random: &mut Random| Box::new(evolved(kind, random));
    let result = match kind {
        Type::Int if random.one_in(4) => [Type::Long, Type::Double, Type::Float][random.below(3)].clone(),
        Type::Long if random.one_in(4) => Type::Double,
        Type::Float if random.one_in(4) => Type::Double,
        Type::Enum(name, symbols) if random.one_in(4) => Type::Enum(*name, symbols - 1),
        Type::Nullable(kind) => match evolved(kind, random) {
            Type::Nullable(inner) => Type::Nullable(inner),
            other => Type::Nullable(Box::new(other)),
        },
        Type::Array(kind) => Type::Array(inner(kind, random)),
        Type::Map(kind) => Type::Map(inner(kind, random)),
        Type::Record(name, fields) => {
            Type::Record(*name, fields.iter().map(|(name, kind)| (name.clone(), evolved(kind, random))).collect())
        }
        other => other.clone(),
    };
    match result {
        Type::Nullable(_) => result,
        other if random.one_in(8) => Type::Nullable(Box::new(other)),
        other => other,
    }
}

fn text(kind: &Type, added: Option<i32>) -> String {
    match kind {
        Type::Boolean => r#""boolean""#.to_owned(),
        Type::Int => r#""int""#.to_owned(),
        Type::Long => r#""long""#.to_owned(),
        Type::Float => r#""float""#.to_owned(),
        Type::Double => r#""double""#.to_owned(),
        Type::Text => r#""string""#.to_owned(),
        Type::Bytes => r#""bytes""#.to_owned(),
        Type::Fixed(name, size) => format!(r#"{{"type":"fixed","name":"N{name}","size":{size}}}"#),
        Type::Enum(name, symbols) => {
            let symbols: Vec<String> = (0..*symbols).map(|index| format!(r#""S{index}""#)).collect();
            format!(r#"{{"type":"enum","name":"N{name}","symbols":[{}]}}"#, symbols.join(","))
        }
        Type::Nullable(kind) => format!(r#"["null",{}]"#, text(kind, None)),
        Type::Array(kind) => format!(r#"{{"type":"array","items":{}}}"#, text(kind, None)),
        Type::Map(kind) => format!(r#"{{"type":"map","values":{}}}"#, text(kind, None)),
        Type::Record(name, fields) => {
            let mut all: Vec<String> = fields
                .iter()
                .map(|(name, kind)| format!(r#"{{"name":"{name}","type":{}}}"#, text(kind, None)))
                .collect();
            all.extend(added.map(|default| format!(r#"{{"name":"added","type":"int","default":{default}}}"#)));
            format!(r#"{{"type":"record","name":"N{name}","fields":[{}]}}"#, all.join(","))
        }
    }
}

fn random_text(random: &mut Random) -> String {
    (0..random.below(6)).map(|_| ['a', 'b', 'é', '漢', '7'][random.below(5)]).collect()
}

fn random_value(kind: &Type, random: &mut Random) -> Value {
    let small = |random: &mut Random| random.below(21) as i64 - 10;
    match kind {
        Type::Boolean => Value::Boolean(random.one_in(2)),
        Type::Int => Value::Int(if random.one_in(8) { random.next() as i32 } else { small(random) as i32 }),
        Type::Long => Value::Long(if random.one_in(8) { random.next() as i64 } else { small(random) }),
        Type::Float => Value::Float(if random.one_in(16) { f32::NAN } else { small(random) as f32 / 2.0 }),
        Type::Double => Value::Double(if random.one_in(16) { f64::NAN } else { small(random) as f64 / 2.0 }),
        Type::Text => Value::String(random_text(random)),
        Type::Bytes => Value::Bytes((0..random.below(6)).map(|_| random.next() as u8).collect()),
        Type::Fixed(_, size) => Value::Fixed(*size, (0..*size).map(|_| random.next() as u8).collect()),
        Type::Enum(_, symbols) => {
            let index = random.below(*symbols);
            Value::Enum(index as u32, format!("S{index}"))
        }
        Type::Nullable(_) if random.one_in(3) => Value::Union(0, Box::new(Value::Null)),
        Type::Nullable(kind) => Value::Union(1, Box::new(random_value(kind, random))),
        Type::Array(kind) => Value::Array((0..random.below(4)).map(|_| random_value(kind, random)).collect()),
        Type::Map(kind) => {
            Value::Map((0..random.below(4)).map(|index| (format!("k{index}"), random_value(kind, random))).collect())
        }
        Type::Record(_, fields) => {
            Value::Record(fields.iter().map(|(name, kind)| (name.clone(), random_value(kind, random))).collect())
        }
    }
}

/// Random rules that fit the types.
fn random_rules(kind: &Type, path: &mut Vec<Segment>, random: &mut Random, rules: &mut Vec<Rule>) {
    let (inner, null) = match kind {
        Type::Nullable(inner) => (&**inner, true),
        other => (other, false),
    };
    let check = match inner {
        Type::Int | Type::Long => Some(match random.below(3) {
            0 => Check::MultipleOf(Native::Int(1 + random.below(3) as i64)),
            1 => Check::Range { min: Some((Native::Int(random.below(9) as i64 - 8), random.one_in(2))), max: None },
            _ => Check::NoneOf(vec![Native::Int(random.below(5) as i64), Native::Int(-3)]),
        }),
        Type::Float | Type::Double => {
            Some(Check::Range { min: None, max: Some((Native::Float(random.below(5) as f64), random.one_in(2))) })
        }
        Type::Text if random.one_in(2) => Some(Check::Pattern(Arc::from("^[a-zé]*7?$"))),
        Type::Text | Type::Bytes | Type::Fixed(..) | Type::Map(_) => Some(Check::Length { min: Some(1), max: Some(3) }),
        Type::Array(_) if random.one_in(2) => Some(Check::UniqueItems),
        Type::Array(_) => Some(Check::Length { min: Some(1), max: Some(2) }),
        Type::Enum(..) => Some(Check::OneOf(vec![Native::Text(Arc::from("S0")), Native::Text(Arc::from("S1"))])),
        _ => None,
    };
    let wanted =
        check.filter(|_| random.one_in(2)).into_iter().chain((null && random.one_in(2)).then_some(Check::NotNull));
    for check in wanted {
        let id = RuleId::new(format!("r{}", rules.len()));
        rules.push(Rule { id, path: Path(path.clone()), check, severity: Severity::Error, description: None });
    }
    match inner {
        Type::Record(_, fields) => {
            for (name, kind) in fields {
                path.push(Segment::Field(Arc::from(name.as_str())));
                random_rules(kind, path, random, rules);
                path.pop();
            }
        }
        Type::Array(kind) | Type::Map(kind) => {
            path.push(if matches!(inner, Type::Array(_)) { Segment::Items } else { Segment::Values });
            random_rules(kind, path, random, rules);
            path.pop();
        }
        _ => {}
    }
}

fn contract_of(schema: &str, rules: Vec<Rule>, undeclared_fields: UndeclaredFields) -> Contract {
    let settings = Settings {
        partitions: 1,
        replication: None,
        retention_ms: None,
        inbox_retention_ms: None,
        quarantine_retention_ms: None,
        compaction: false,
        max_record_bytes: None,
        key: KeySpec::default(),
        deletes: Deletes::None,
        undeclared_fields,
        inbox_topic: None,
    };
    Contract {
        id: "proof".to_owned(),
        product: "proof.proof".parse().expect("a product"),
        version: "1.0.0".parse().expect("a version"),
        status: Status::Active,
        about: Product::default(),
        settings,
        schema: Arc::new(avro::Schema::parse(schema).expect("a schema")),
        rules,
        conditions: Vec::new(),
        measures: Vec::new(),
        objectives: Vec::new(),
        classified: Vec::new(),
        document: Arc::from(""),
    }
}

/// The values at a path; null where a parent is.
fn at<'v>(value: &'v Value, path: &[Segment], found: &mut Vec<&'v Value>) {
    let value = match value {
        Value::Union(_, inner) => &**inner,
        other => other,
    };
    match (path.split_first(), value) {
        (None, value) => found.push(value),
        (Some(_), Value::Null) if path.iter().all(|segment| matches!(segment, Segment::Field(_))) => found.push(value),
        (Some((Segment::Field(name), rest)), Value::Record(fields)) => {
            for (_, value) in fields.iter().filter(|(field, _)| **field == **name) {
                at(value, rest, found);
            }
        }
        (Some((Segment::Items, rest)), Value::Array(items)) => items.iter().for_each(|item| at(item, rest, found)),
        (Some((Segment::Values, rest)), Value::Map(values)) => values.values().for_each(|item| at(item, rest, found)),
        _ => {}
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => Some(f64::from(*number)),
        Value::Long(number) => Some(*number as f64),
        Value::Float(number) => Some(f64::from(*number)),
        Value::Double(number) => Some(*number),
        _ => None,
    }
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(i64::from(*number)),
        Value::Long(number) => Some(*number),
        _ => None,
    }
}

fn keeps(check: &Check, value: &Value) -> bool {
    if matches!(value, Value::Null) {
        return !matches!(check, Check::NotNull);
    }
    let is = |native: &Native| match (native, value) {
        (Native::Int(wanted), value) => whole(value) == Some(*wanted),
        (Native::Text(wanted), Value::Enum(_, symbol)) => **wanted == **symbol,
        _ => false,
    };
    let bound = |native: &Native| match native {
        Native::Int(number) => *number as f64,
        Native::Float(number) => *number,
        _ => f64::NAN,
    };
    match check {
        Check::NotNull => true,
        Check::Range { min, max } => number(value).is_none_or(|number| {
            let low = min
                .as_ref()
                .is_none_or(|(min, excluded)| if *excluded { number > bound(min) } else { number >= bound(min) });
            let high = max
                .as_ref()
                .is_none_or(|(max, excluded)| if *excluded { number < bound(max) } else { number <= bound(max) });
            low && high && !number.is_nan()
        }),
        Check::MultipleOf(Native::Int(step)) => whole(value).is_none_or(|number| number % step == 0),
        Check::Length { min, max } => {
            let length = match value {
                Value::String(text) => text.chars().count(),
                Value::Bytes(bytes) | Value::Fixed(_, bytes) => bytes.len(),
                Value::Array(items) => items.len(),
                Value::Map(values) => values.len(),
                _ => return true,
            } as u64;
            min.is_none_or(|min| length >= min) && max.is_none_or(|max| length <= max)
        }
        Check::Pattern(pattern) => match value {
            Value::String(text) => regex::Regex::new(pattern).expect("a pattern").is_match(text),
            _ => true,
        },
        Check::OneOf(values) => values.iter().any(is),
        Check::NoneOf(values) => !values.iter().any(is),
        Check::UniqueItems => match value {
            // Debug writes every NaN alike, as a program compares those that the generator makes.
            Value::Array(items) => {
                items.iter().map(|item| format!("{item:?}")).collect::<BTreeSet<_>>().len() == items.len()
            }
            _ => true,
        },
        _ => true,
    }
}

/// Whether items of such a type are compared by value in a program as in `keeps`: scalars are, while
/// composites are compared by the bytes they were written in.
fn comparable(kind: &Type) -> bool {
    match kind {
        Type::Nullable(inner) => comparable(inner),
        Type::Boolean | Type::Int | Type::Long | Type::Text | Type::Bytes | Type::Fixed(..) => true,
        _ => false,
    }
}

fn incomparable(kind: &Type) -> bool {
    match kind {
        Type::Array(inner) => !comparable(inner) || incomparable(inner),
        Type::Nullable(inner) | Type::Map(inner) => incomparable(inner),
        Type::Record(_, fields) => fields.iter().any(|(_, kind)| incomparable(kind)),
        _ => false,
    }
}

fn has_map(kind: &Type) -> bool {
    match kind {
        Type::Map(_) => true,
        Type::Nullable(inner) | Type::Array(inner) => has_map(inner),
        Type::Record(_, fields) => fields.iter().any(|(_, kind)| has_map(kind)),
        _ => false,
    }
}

fn mutate(body: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.below(3) {
        let place = random.below(body.len() + 1);
        match random.below(5) {
            0 if place < body.len() => body[place] ^= 1 << random.below(8),
            1 if place < body.len() => body[place] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            2 => body.truncate(place),
            3 => body.insert(place, random.next() as u8),
            _ if place < body.len() => drop(body.remove(place)),
            _ => {}
        }
    }
}

#[derive(Debug, Default)]
struct Tally {
    records: usize,
    conforming: usize,
    malformed: usize,
    foreign: usize,
    broken: usize,
    known: usize,
    /// Of the known disagreements, those of records that end too early.
    ends: usize,
}

/// One schema pair and its records.
fn schema(random: &mut Random, records: usize, tally: &mut Tally) {
    let mut names = 0;
    let written = random_record(random, 0, &mut names);
    let mut read = evolved(&written, random);
    if let Type::Nullable(inner) = read {
        read = *inner;
    }
    let mut dropped = false;
    if let Type::Record(_, fields) = &mut read
        && fields.len() > 1
        && random.one_in(4)
    {
        fields.remove(random.below(fields.len()));
        dropped = true;
    }
    let mut rules = Vec::new();
    random_rules(&read, &mut Vec::new(), random, &mut rules);
    if incomparable(&read) || incomparable(&written) {
        rules.retain(|rule| !matches!(rule.check, Check::UniqueItems));
    }
    let added = random.one_in(3).then(|| random.below(5) as i32);
    if added.is_some() {
        let check = Check::Range { min: Some((Native::Int(2), false)), max: None };
        let path = Path(vec![Segment::Field(Arc::from("added"))]);
        rules.push(Rule { id: RuleId::new("added"), path, check, severity: Severity::Error, description: None });
    }
    let undeclared = if random.one_in(2) { UndeclaredFields::Refuse } else { UndeclaredFields::Allow };
    let (written_text, read_text) = (text(&written, None), text(&read, added));
    let contract = Arc::new(contract_of(&read_text, rules, undeclared));
    let writer = avro::Schema::parse(&written_text).expect("a schema");
    let program =
        Program::compile(&writer, &contract).unwrap_or_else(|error| panic!("{error}: {written_text} as {read_text}"));
    let theirs = (
        apache_avro::Schema::parse_str(&written_text).expect("a schema"),
        apache_avro::Schema::parse_str(&read_text).expect("a schema"),
    );
    let writes = GenericDatumWriter::builder(&theirs.0).build().expect("a writer");
    let reads = GenericDatumReader::builder(&theirs.0).build().expect("a reader");
    let mut scratch = Scratch::default();
    for _ in 0..records {
        let mut body = writes.write_value_to_vec(random_value(&written, random)).expect("encodes");
        let mutated = random.one_in(2);
        if mutated {
            mutate(&mut body, random);
        }
        tally.records += 1;
        let verdict =
            program.judge(&body, &Context { key: None, key_schema: None, now: Timestamp(0) }, &mut scratch, None);
        let ours: BTreeSet<String> =
            scratch.hits().map(|(rule, _)| program.rules()[rule].id.as_str().to_owned()).collect();
        assert_eq!(verdict == Verdict::Conforms, ours.is_empty());
        let mut rest = &body[..];
        let value = reads.read_value(&mut rest).ok().filter(|_| rest.is_empty());
        let Some(value) = value else {
            tally.malformed += 1;
            assert_eq!(ours, BTreeSet::from(["malformed".to_owned()]), "{written_text}: {body:02x?}");
            continue;
        };
        let message = scratch.violations().first().map_or("", |one| one.message.as_str());
        if ours.contains("malformed")
            && (message.contains("more than 64 bits") || message.contains("the bytes that it claims"))
        {
            tally.known += 1;
            continue;
        }
        if ours.contains("malformed") && (message.contains("ends inside a value") || message.contains("behind the end"))
        {
            assert!(format!("{value:?}").contains("Null"), "{written_text}: {body:02x?}: {value:?}");
            tally.ends += 1;
            continue;
        }
        let mut expected = BTreeSet::new();
        if dropped && undeclared == UndeclaredFields::Refuse {
            expected.insert("undeclared-field".to_owned());
        }
        let Ok(value) = value.resolve(&theirs.1) else {
            tally.foreign += 1;
            assert!(ours.contains("type"), "{written_text} as {read_text}: {body:02x?}: {ours:?}");
            continue;
        };
        for rule in &contract.rules {
            let mut found = Vec::new();
            at(&value, &rule.path.0, &mut found);
            if found.iter().any(|value| !keeps(&rule.check, value)) {
                expected.insert(rule.id.as_str().to_owned());
            }
        }
        if ours != expected && mutated && has_map(&written) {
            tally.known += 1;
            continue;
        }
        assert_eq!(ours, expected, "{written_text} as {read_text} with {:?}: {body:02x?}: {value:?}", contract.rules);
        if ours.is_empty() {
            tally.conforming += 1;
        } else {
            tally.broken += 1;
        }
    }
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn verdicts_are_those_of_a_reader_that_everybody_trusts() {
    apache_avro::util::max_allocation_bytes(1 << 20);
    let records = setting("WEIR_PROOF_RECORDS", 200_000) as usize;
    let seed = setting("WEIR_PROOF_SEED", 0x5eed);
    let mut random = Random(seed | 1);
    let mut tally = Tally::default();
    while tally.records < records {
        schema(&mut random, 100, &mut tally);
    }
    // Every kind of outcome was met often enough to mean something, and exceptions stayed exceptions.
    assert!(
        tally.conforming > records / 20 && tally.broken > records / 20 && tally.malformed > records / 20,
        "{tally:?}"
    );
    assert!(tally.known < records / 200 && tally.ends < records / 20, "{tally:?}");
}
