//! What a reader makes of records: the program and the proof's slow reader say what Avro Java says, but for
//! the settled cases listed here.
//!
//! | record | `apache-avro` | Avro Java | the program, and why |
//! |---|---|---|---|
//! | a number whose tenth byte holds more than bit 63 | drops the bits | drops the bits | malformed: nobody writes it, and readers differ |
//! | a block whose items do not take the bytes it claims | ignores the claim | ignores the claim | malformed: who skips by it reads something else |
//! | ends inside a boolean, a string, a union's index | reads null | refuses | malformed |
//! | a string that is not UTF-8 | refuses | accepts | malformed |
//! | a boolean of 2 | refuses | reads false | malformed |
//! | an enum or union index that does not exist | refuses | refuses, but for enums that it skips, and in blocks that it jumps over by their size | malformed |
//! | bytes that are not UTF-8, read as a string | refuses | accepts | `type` |
//! | decimals beyond 38 digits | accepts | accepts | `type`: what a contract bounds, it must be able to count |
//! | a string of negative length, in a field that is not read | refuses | skips nothing | malformed |
//! | an int beyond 32 bits, in a field that is not read | refuses | skips it | malformed |
//! | a union's value of another logical type | reads it | reads it | `type`: a timestamp is no time of day |
//! | a map that holds a key twice | keeps the last | keeps the last | judges every value that was sent |
//! | an added union of an array and others, whose default is empty | accepts | fails by a mistake of its own | reads it |
//! | a default inside a default, of a union's other branch | accepts | fails, likewise, or takes null for an empty array | reads it |

use std::collections::BTreeMap;
use std::sync::Arc;

use apache_avro::reader::datum::GenericDatumReader;
use contract::avro::Schema;
use contract::{Context, Contract, Program, Scratch};
use schemas::Timestamp;
use serde_json::Value as Json;

use super::proof::random::Random;
use super::proof::read::{Met, Reader};
use super::proof::{evolve, generate, schema, write};
use super::{judge, many, plain_contract, seed};

fn contract(schema: &str) -> Arc<Contract> {
    plain_contract(Schema::parse(schema).expect("a schema"))
}

struct Case {
    written: schema::Schema,
    read: schema::Schema,
    program: Program,
    bodies: Vec<Vec<u8>>,
}

fn case(random: &mut Random, records: usize) -> Option<Case> {
    let written = generate::schema(random);
    let read = evolve::evolved(&written, random);
    let writer = Schema::parse(&written.text(true)).expect("a schema");
    let program = Program::compile(&writer, &contract(&read.text(true))).ok()?;
    let bodies = (0..records)
        .map(|_| {
            let mut body = write::record(&written, random);
            if random.one_in(2) {
                write::mutate(&mut body, random);
            }
            body
        })
        .collect();
    Some(Case { written, read, program, bodies })
}

/// What the program says of a record: nothing, or the first rule and why.
fn verdict(program: &Program, body: &[u8], scratch: &mut Scratch) -> Option<String> {
    program.judge(body, &Context { key: None, key_schema: None, now: Timestamp(0) }, scratch, None);
    scratch.violations().first().map(|one| format!("{}: {}", one.rule, one.message))
}

/// Why the program is stricter than Avro Java, where it is: the cases of the table.
const STRICTER: [&str; 12] = [
    "more than 64 bits",
    "the bytes that it claims",
    "a string is not UTF-8",
    "neither 0 nor 1",
    "must be text in UTF-8",
    "a decimal of 1 to 38 digits",
    "more items than",
    "an enum has no symbol of this index",
    "a union has no branch of this index",
    "must be what the contract's",
    "a length is negative",
    "an int does not fit in 32 bits",
];

/// Avro Java's own mistakes with defaults: an empty one of a union that begins with an array; inside another
/// default, one of a union that is not of its first branch.
const MISTAKEN: [&str; 3] = [
    "error: AvroRuntimeException: Not an array: [",
    "error: AvroTypeException: No default value for: ",
    "error: TracingAvroTypeException: enum value 'null' is not in the enum symbol set",
];

/// Compares one record; what is wrong, if anything.
fn hold(
    case: &Case,
    body: &[u8],
    answer: &str,
    scratch: &mut Scratch,
    tally: &mut BTreeMap<String, usize>,
) -> Option<String> {
    let ours = verdict(&case.program, body, scratch);
    let java = (!answer.starts_with("error: ")).then_some(answer);
    let mut count = |what: &str| *tally.entry(what.to_owned()).or_default() += 1;
    match (&ours, java) {
        (Some(_), None) => count("both refuse"),
        (Some(why), Some(_)) => match STRICTER.iter().find(|known| why.contains(**known)) {
            Some(known) => count(known),
            None => return Some(format!("only the program refuses, because {why}")),
        },
        (None, None) if MISTAKEN.iter().any(|known| answer.starts_with(known)) => count("Java is mistaken"),
        (None, None) => return Some(format!("only Java refuses: {answer}")),
        (None, Some(java)) => {
            let plain = apache_avro::Schema::parse_str(&case.written.text(false)).expect("a schema");
            let reads = GenericDatumReader::builder(&plain).build().expect("a reader");
            let Ok(value) = reads.read_value(&mut &*body) else {
                return Some("apache-avro refuses what Java and the program read".to_owned());
            };
            let mut met = Met::default();
            let seen = Reader::new(&case.written, &case.read).read(&value, &mut met);
            let said = judge::said(&seen);
            // Inside a default, Java takes null for the empty value of a union's first branch.
            let alike = |text: &str| text.replace("null", "[]");
            if said != *java && case.read.text(true).contains("null") && alike(&said) == alike(java) {
                count("Java is mistaken");
                return None;
            }
            if said != *java {
                return Some(format!("the slow reader says {said}\n    Java says {java}"));
            }
            count("both read the same");
        }
    }
    None
}

#[test]
fn avro_java_makes_of_records_what_programs_make_of_them() {
    let mut random = Random::new(seed() ^ 0xa);
    let cases: Vec<Case> = std::iter::repeat_with(|| case(&mut random, 40)).flatten().take(many(250)).collect();
    let questions: Vec<Json> =
        cases.iter().map(|case| judge::read(&case.written.text(true), &case.read.text(true), &case.bodies)).collect();
    let answers = judge::answers(&questions);
    let mut scratch = Scratch::default();
    let (mut tally, mut wrong) = (BTreeMap::new(), Vec::new());
    for (case, answer) in cases.iter().zip(&answers) {
        let Some(values) = answer["values"].as_array() else {
            wrong.push(format!(
                "{answer}\n    writer {}\n    reader {}",
                case.written.text(true),
                case.read.text(true)
            ));
            continue;
        };
        for (body, value) in case.bodies.iter().zip(values) {
            if let Some(why) = hold(case, body, value.as_str().expect("text"), &mut scratch, &mut tally) {
                let (writer, reader) = (case.written.text(true), case.read.text(true));
                wrong.push(format!("{why}\n    writer {writer}\n    reader {reader}\n    body {body:02x?}"));
            }
        }
    }
    let some = wrong.iter().take(6).cloned().collect::<Vec<_>>().join("\n  ");
    assert!(wrong.is_empty(), "{} wrong, {tally:?}:\n  {some}", wrong.len());
    let count = cases.len() * 40;
    for (what, least) in [("both read the same", count / 4), ("both refuse", count / 8)] {
        assert!(tally.get(what).is_some_and(|found| *found >= least), "{tally:?}");
    }
}

const DECIMAL: &str = r#"{"type":"bytes","logicalType":"decimal","precision":40,"scale":0}"#;

/// Written, read, body, whether apache-avro reads it, whether Java does, and what the program says.
type Settled = (&'static str, &'static str, &'static [u8], bool, bool, &'static str);

/// The head's table, asked of all three.
#[test]
fn the_settled_disagreements_are_as_they_are_listed() {
    let field = |kind: &str| format!(r#"{{"type":"record","name":"R","fields":[{{"name":"a","type":{kind}}}]}}"#);
    let table: [Settled; 10] = [
        (r#""long""#, r#""long""#, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 3], true, true, "malformed"),
        (
            r#"{"type":"array","items":"int"}"#,
            r#"{"type":"array","items":"int"}"#,
            &[1, 4, 2, 0],
            true,
            true,
            "malformed",
        ),
        (r#""boolean""#, r#""boolean""#, &[], true, false, "malformed"),
        (r#""string""#, r#""string""#, &[4, b'a'], true, false, "malformed"),
        (r#"["null","int"]"#, r#"["null","int"]"#, &[], true, false, "malformed"),
        (r#""string""#, r#""string""#, &[2, 0xff], false, true, "malformed"),
        (r#""boolean""#, r#""boolean""#, &[2], false, true, "malformed"),
        (r#""bytes""#, r#""string""#, &[2, 0xff], true, true, "type"),
        (r#"["null","int"]"#, r#"["null","int"]"#, &[4], false, false, "malformed"),
        (DECIMAL, DECIMAL, &[34, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], true, true, "type"),
    ];
    let questions: Vec<Json> =
        table.iter().map(|(w, r, body, ..)| judge::read(&field(w), &field(r), &[body.to_vec()])).collect();
    let answers = judge::answers(&questions);
    let mut scratch = Scratch::default();
    for ((w, r, body, apache, java, rule), answer) in table.iter().zip(answers) {
        let writer = apache_avro::Schema::parse_str(&field(w)).expect("a schema");
        let mut rest = *body;
        let reads = GenericDatumReader::builder(&writer).build().expect("a reader").read_value(&mut rest).is_ok();
        assert_eq!(reads && rest.is_empty(), *apache, "apache-avro reads {body:02x?} as {w}");
        let said = answer["values"][0].as_str().expect("text");
        assert_eq!(!said.starts_with("error: "), *java, "Java reads {body:02x?} as {w}: {said}");
        let program =
            Program::compile(&Schema::parse(&field(w)).expect("a schema"), &contract(&field(r))).expect("fits");
        let ours = verdict(&program, body, &mut scratch);
        assert!(ours.as_ref().is_some_and(|why| why.starts_with(rule)), "{body:02x?} as {w}: {ours:?}");
    }
}
