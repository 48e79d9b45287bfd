//! Programs against `apache-avro` and a slow, obvious evaluator of rules, conditions and keys: the same
//! verdict and the same set of broken rules on random schemas, evolved, over good and mutated records.
//!
//! Only the reading of bytes is left to `apache-avro`, and without logical types: what it makes of two
//! schemas is looser than the specification (it reads a string as a fixed, a long as an int, takes a union's
//! branch by the value). So `read` resolves them by the specification, and Avro Java settles whether it does
//! (`tests/avro/values.rs`, with the same schemas and records).
//!
//! `WEIR_PROOF_RECORDS` sets how many records (200,000 unless set), `WEIR_PROOF_SEED` where they start.
//!
//! Known disagreements, all of them records that `apache-avro` accepts, and what Avro Java makes of them:
//! * a varint whose tenth byte holds more than bit 63: both drop the bits; a program says `malformed`, because
//!   no writer writes it and a reader in another language refuses it;
//! * a block whose items do not take the bytes that its header claims: both ignore the claim; a program says
//!   `malformed`, because a consumer that skips by it would read something else;
//! * a record that ends inside a boolean, a string or before a union's index: `apache-avro` reads null there,
//!   Java refuses as a program does;
//! * a map that holds a key twice: both keep the last value; a program judges every value that was sent.

mod conditions;
mod evolve;
mod generate;
mod keys;
mod random;
mod read;
mod rules;
mod schema;
mod write;

use std::collections::BTreeSet;
use std::sync::Arc;

use apache_avro::reader::datum::GenericDatumReader;
use contract::{
    Condition, Context, Contract, KeyProgram, KeySchema, Program, RuleId, Scratch, Settings, Severity,
    UndeclaredFields, Verdict, avro, cel,
};
use schemas::Timestamp;

use conditions::Tree;
use keys::Demand;
use random::Random;
use read::{Met, Reader, Seen};
use schema::{Schema, Type};

/// `now` of the rules, in seconds.
const NOW_SECONDS: i64 = 1_709_208_000;

/// Everything that one contract is made of, as the product has it and as the evaluator has it.
struct Case {
    written: Schema,
    read: Schema,
    contract: Arc<Contract>,
    conditions: Vec<Tree>,
    key: Demand,
}

fn case(random: &mut Random) -> Case {
    let written = generate::schema(random);
    let read = evolve::evolved(&written, random);
    let schema = avro::Schema::parse(&read.text(true)).unwrap_or_else(|e| panic!("{e}: {}", read.text(true)));
    let places = conditions::places(&read);
    let count = if places.is_empty() { 0 } else { random.below(4) };
    let conditions: Vec<Tree> = (0..count).map(|_| conditions::random(&places, random, 0)).collect();
    let compiled = conditions.iter().enumerate().map(|(index, tree)| {
        let source = tree.source();
        let expression =
            cel::compile(&source, &schema, &|_| Some(8)).unwrap_or_else(|e| panic!("{e}: {source}: {}", schema.text()));
        Condition {
            id: RuleId::new(format!("c{index}")),
            expression,
            source: Arc::from(source),
            severity: Severity::Error,
            description: None,
        }
    });
    let compiled = compiled.collect();
    let key = keys::random(&read, random);
    let undeclared_fields = if random.one_in(2) { UndeclaredFields::Refuse } else { UndeclaredFields::Allow };
    let (product, version) = ("proof.proof".parse().expect("a product"), "1.0.0".parse().expect("a version"));
    let contract = Contract {
        settings: Settings { key: key.spec.clone(), undeclared_fields, ..Settings::default() },
        rules: rules::random(&read, random),
        conditions: compiled,
        ..Contract::plain(product, version, Arc::new(schema))
    };
    Case { written, read, contract: Arc::new(contract), conditions, key }
}

impl Case {
    fn reader(&self) -> Reader<'_> {
        Reader::new(&self.written, &self.read)
    }

    /// The rules that a record breaks, by the evaluator.
    fn expected(&self, seen: &Seen, met: Met, key: Option<&[u8]>) -> BTreeSet<String> {
        let mut broken = BTreeSet::new();
        for rule in &self.contract.rules {
            let mut found = Vec::new();
            rules::at(seen, &rule.path.0, &mut found);
            if found.iter().any(|value| !rules::keeps(&rule.check, value)) {
                broken.insert(rule.id.as_str().to_owned());
            }
        }
        if met.undeclared && self.contract.settings.undeclared_fields == UndeclaredFields::Refuse {
            broken.insert("undeclared-field".to_owned());
        }
        if met.misfit {
            broken.insert("type".to_owned());
            return broken;
        }
        if self.key.broken(seen, key) {
            broken.insert("key".to_owned());
        }
        let now = i128::from(NOW_SECONDS) * 1_000_000_000;
        for (tree, condition) in self.conditions.iter().zip(&self.contract.conditions) {
            if !tree.holds(seen, now) {
                broken.insert(condition.id.as_str().to_owned());
            }
        }
        broken
    }
}

#[derive(Debug, Default)]
struct Tally {
    schemas: usize,
    unresolvable: usize,
    records: usize,
    conforming: usize,
    malformed: usize,
    misfits: usize,
    broken: usize,
    /// Disagreements that the head of this file lists.
    known: usize,
    /// Of those, records that end too early.
    ends: usize,
}

/// Holds the records of one pair of schemas.
fn hold(case: &Case, random: &mut Random, records: usize, tally: &mut Tally) {
    let plain = case.written.text(false);
    let writer = avro::Schema::parse(&case.written.text(true)).expect("a schema");
    tally.schemas += 1;
    let program = match Program::compile(&writer, &case.contract) {
        Ok(program) => program,
        Err(error) => {
            let fits = case.reader().fit(&Type::Named(0), &Type::Named(0));
            assert!(!fits, "{error}: {} as {}", case.written.text(true), case.read.text(true));
            tally.unresolvable += 1;
            return;
        }
    };
    let theirs = apache_avro::Schema::parse_str(&plain).unwrap_or_else(|e| panic!("{e}: {plain}"));
    let reads = GenericDatumReader::builder(&theirs).build().expect("a reader");
    let key_program = case.key.schema.as_ref().map(|text| {
        KeyProgram::compile(&avro::Schema::parse(text).expect("a schema"), &case.contract).expect("reads the key")
    });
    let reader = case.reader();
    let mut scratch = Scratch::default();
    for _ in 0..records {
        let mut body = write::record(&case.written, random);
        let mutated = random.one_in(2);
        if mutated {
            write::mutate(&mut body, random);
        }
        tally.records += 1;
        let mut rest = &body[..];
        let value = reads.read_value(&mut rest).ok().filter(|_| rest.is_empty());
        let mut met = Met::default();
        let seen = value.as_ref().map(|value| reader.read(value, &mut met));
        let key = seen.as_ref().and_then(|seen| case.key.key(seen, random));
        let key_schema = key_program.as_ref().map(KeySchema::Known);
        let context = Context { key: key.as_deref(), key_schema, now: Timestamp(NOW_SECONDS * 1_000) };
        let verdict = program.judge(&body, &context, &mut scratch, None);
        let ours: BTreeSet<String> =
            scratch.hits().map(|(rule, _)| program.rules()[rule].id.as_str().to_owned()).collect();
        assert_eq!(verdict == Verdict::Conforms, ours.is_empty());
        let Some(seen) = seen else {
            tally.malformed += 1;
            assert_eq!(ours, BTreeSet::from(["malformed".to_owned()]), "{plain}: {body:02x?}");
            continue;
        };
        let message = scratch.violations().first().map_or("", |one| one.message.as_str());
        if ours.contains("malformed") && settled(message, tally, || format!("{value:?}")) {
            continue;
        }
        let expected = case.expected(&seen, met, key.as_deref());
        if ours != expected && mutated && plain.contains("\"map\"") {
            tally.known += 1;
            continue;
        }
        assert_eq!(
            ours,
            expected,
            "{}\nas {}\nwith {:?}\nand {:?}\nkey {:?} {key:02x?}\nbody {body:02x?}\nis {seen:?}",
            case.written.text(true),
            case.read.text(true),
            case.contract.rules,
            case.contract.conditions.iter().map(|one| &one.source).collect::<Vec<_>>(),
            case.key,
        );
        match (ours.is_empty(), met.misfit) {
            (true, _) => tally.conforming += 1,
            (false, true) => tally.misfits += 1,
            (false, false) => tally.broken += 1,
        }
    }
}

/// Whether a record that `apache-avro` accepts is malformed for a reason that the head of this file lists.
fn settled(message: &str, tally: &mut Tally, value: impl Fn() -> String) -> bool {
    if message.contains("more than 64 bits") || message.contains("the bytes that it claims") {
        tally.known += 1;
        return true;
    }
    if message.contains("ends inside a value") || message.contains("behind the end") {
        assert!(value().contains("Null"), "{message}: {}", value());
        tally.ends += 1;
        return true;
    }
    false
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn verdicts_are_those_of_a_reader_that_everybody_trusts() {
    apache_avro::util::max_allocation_bytes(1 << 20);
    let records = setting("WEIR_PROOF_RECORDS", 200_000) as usize;
    let mut random = Random::new(setting("WEIR_PROOF_SEED", 0x5eed));
    let mut tally = Tally::default();
    while tally.records < records {
        let case = case(&mut random);
        hold(&case, &mut random, 100, &mut tally);
    }
    // Every kind of outcome was met often enough to mean something, and exceptions stayed exceptions.
    let enough = records / 20;
    assert!(tally.conforming > enough && tally.broken > enough && tally.malformed > enough, "{tally:?}");
    assert!(tally.misfits > enough, "{tally:?}");
    assert!(tally.known < records / 200 && tally.ends < records / 20, "{tally:?}");
    assert!(tally.unresolvable < tally.schemas / 50, "{tally:?}");
}
