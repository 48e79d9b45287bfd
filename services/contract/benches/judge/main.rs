//! What it costs to judge one order of 268 bytes: against copying it, and against decoding it to a tree of
//! values and asking the same rules. Once with orders that come from memory, as they do behind a broker's
//! client, and once with a few that stay in the cache.
//!
//! The contenders take turns, a short stretch of records at a time: what else runs on the machine meets all of
//! them alike. What counts is the stretch that one in ten is faster than, so that those that were interrupted
//! do not matter; the median is beside it. Each contender is at another place, so that none finds in the cache
//! what the one before it has read. Read the ratios.

mod orders;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use contract::{Context, Program, Scratch, Statistics, Verdict};

/// Many times more than the largest cache holds.
const RECORDS: usize = 400_000;
/// How many records one takes before it is the next one's turn, after as many that do not count.
const STRETCH: usize = 500;
/// What the second table uses: it fits in the second-level cache.
const CACHED: usize = 1_000;
/// How often each contender's turn comes.
const TURNS: usize = RECORDS / STRETCH;

/// Records, one behind the other.
struct Bodies {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// Treats two stretches of records, from this one on; nanoseconds per record of the second.
type Treat<'a> = Box<dyn FnMut(&Bodies, usize) -> f64 + 'a>;

/// One way to treat records.
struct Contender<'a> {
    name: &'static str,
    treat: Treat<'a>,
    /// Nanoseconds per record, one number a turn.
    turns: Vec<f64>,
}

impl<'a> Contender<'a> {
    fn new(name: &'static str, mut each: impl FnMut(&[u8]) + 'a) -> Self {
        // The loop is inside: only a whole stretch is called through a pointer.
        let treat = Box::new(move |bodies: &Bodies, first: usize| {
            let mut start = first.checked_sub(1).map_or(0, |before| bodies.ends[before]);
            let (before, counted) = bodies.ends[first..first + 2 * STRETCH].split_at(STRETCH);
            let mut treat = |ends: &[usize]| {
                for end in ends {
                    each(black_box(&bodies.bytes[start..*end]));
                    start = *end;
                }
            };
            treat(before);
            let began = Instant::now();
            treat(counted);
            began.elapsed().as_nanos() as f64 / STRETCH as f64
        });
        Self { name, treat, turns: Vec::new() }
    }

    fn turn(&mut self, bodies: &Bodies, first: usize) {
        self.turns.push((self.treat)(bodies, first));
    }

    /// The median, and what one in ten turns is faster than; forgets the turns.
    fn taken(&mut self) -> (f64, f64) {
        self.turns.sort_by(f64::total_cmp);
        let taken = (self.turns[TURNS / 2], self.turns[TURNS / 10]);
        self.turns.clear();
        taken
    }
}

#[expect(clippy::print_stdout, reason = "a table is what this program is for")]
fn table(title: &str, contenders: &mut [Contender<'_>], bodies: &Bodies, count: usize) {
    let apart = count / contenders.len();
    for turn in 0..TURNS {
        for (index, contender) in contenders.iter_mut().enumerate() {
            contender.turn(bodies, (turn * 2 * STRETCH + index * apart) % count / (2 * STRETCH) * 2 * STRETCH);
        }
    }
    let taken: Vec<(f64, f64)> = contenders.iter_mut().map(Contender::taken).collect();
    let (first, last) = (taken[0].1, taken[taken.len() - 1].1);
    println!("\n{title}, {TURNS} turns of {STRETCH} records each");
    println!("{:<36} {:>9} {:>9} {:>9} {:>9}", "ns/record", "median", "fast 10 %", "x memcpy", "x faster");
    for (contender, (median, fast)) in contenders.iter().zip(taken) {
        let (copies, faster) = (fast / first, last / fast);
        println!("{:<36} {median:>9.1} {fast:>9.1} {copies:>9.1} {faster:>9.1}", contender.name);
    }
}

#[expect(clippy::print_stdout, reason = "a table is what this program is for")]
fn main() {
    let theirs = apache_avro::Schema::parse_str(orders::SCHEMA).expect("a schema");
    let writer = GenericDatumWriter::builder(&theirs).build().expect("a writer");
    let reader = GenericDatumReader::builder(&theirs).build().expect("a reader");
    let (plain, measured) = (Arc::new(orders::contract(false)), Arc::new(orders::contract(true)));
    let program = Program::compile(&plain.schema, &plain).expect("resolves");
    let measuring = Program::compile(&measured.schema, &measured).expect("resolves");
    let context = Context { key: None, key_schema: None, now: orders::NOW };
    let mut scratch = Scratch::default();

    let mut random = orders::Random(1);
    let mut bodies = Bodies { bytes: Vec::new(), ends: Vec::new() };
    let mut broken = 0;
    for _ in 0..RECORDS {
        let body = writer.write_value_to_vec(orders::order(&mut random)).expect("encodes");
        let value = reader.read_value(&mut &body[..]).expect("decodes");
        let conforms = program.judge(&body, &context, &mut scratch, None) == Verdict::Conforms;
        assert_eq!(conforms, orders::keeps(&value), "both ways judge alike");
        broken += usize::from(!conforms);
        bodies.bytes.extend_from_slice(&body);
        bodies.ends.push(bodies.bytes.len());
    }
    let share = 100.0 * broken as f64 / RECORDS as f64;
    println!("{RECORDS} orders of {} bytes, {share:.1} % break a rule", bodies.bytes.len() / RECORDS);

    // One behind the other into a buffer that stays in the cache, so that the copies begin anywhere in a line,
    // as those of a batch do.
    let (mut copy, mut at) = (vec![0_u8; 16_384], 0);
    let (mut scratches, mut counted, mut all) =
        ([(); 3].map(|()| Scratch::default()), Statistics::new(&program), Statistics::new(&measuring));
    let [first, second, third] = &mut scratches;
    let mut contenders = [
        Contender::new("memcpy", |body| {
            if at + body.len() > copy.len() {
                at = 0;
            }
            copy[at..at + body.len()].copy_from_slice(body);
            at += body.len();
            black_box(&mut copy);
        }),
        Contender::new("program", |body| {
            black_box(program.judge(body, &context, first, None));
        }),
        Contender::new("program + statistics", |body| {
            black_box(program.judge(body, &context, second, Some(&mut counted)));
        }),
        Contender::new("program + statistics + sketches", |body| {
            black_box(measuring.judge(body, &context, third, Some(&mut all)));
        }),
        Contender::new("apache-avro Value + same rules", |mut body| {
            black_box(reader.read_value(&mut body).is_ok_and(|value| orders::keeps(&value)));
        }),
    ];
    table("From memory", &mut contenders, &bodies, RECORDS);
    table("In the cache", &mut contenders, &bodies, CACHED);
}
