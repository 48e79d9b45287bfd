//! How fast a CSV file of 20 columns is checked by a contract and drafted into one, on one core.
//!
//! `cargo bench --bench rows [-- ROWS]`; says rows a second. Numbers, dates, codes, names and nulls, from a
//! seed, so that every run reads the same.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;

use contract::odcs::{self, Source};
use contract::{Context, Contract, Program, Scratch, Verdict};
use files::draft::{Request, draft};
use files::{Hints, Input, Options};
use schemas::Timestamp;

const COLUMNS: &str = "order_id,customer_id,placed_at,shipped_on,status,currency,total,tax,quantity,weight,country,city,\
                       email,discount,rating,is_gift,channel,warehouse,latitude,note";

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words.get(usize::try_from(self.below(words.len() as u64)).unwrap_or(0)).copied().unwrap_or_default()
    }
}

fn row(number: u64, random: &mut Random, row: &mut String) -> std::fmt::Result {
    let day = 1 + random.below(28);
    write!(
        row,
        "{number},{},2026-{:02}-{day:02}T{:02}:{:02}:{:02}Z,",
        random.below(90_000),
        1 + random.below(12),
        random.below(24),
        random.below(60),
        random.below(60)
    )?;
    write!(
        row,
        "2026-{:02}-{day:02},{},{},",
        1 + random.below(12),
        random.of(&["NEW", "PAID", "SHIPPED", "DONE"]),
        random.of(&["EUR", "USD", "GBP"])
    )?;
    write!(
        row,
        "{}.{:02},{}.{:02},{},",
        random.below(5_000),
        random.below(100),
        random.below(500),
        random.below(100),
        1 + random.below(40)
    )?;
    write!(
        row,
        "{}.{},{},{},",
        random.below(90),
        random.below(1_000),
        random.of(&["DE", "FR", "US", "PL"]),
        random.of(&["Köln", "Paris", "New York", "Łódź"])
    )?;
    write!(row, "user{}@example.org,", random.below(90_000))?;
    match random.below(10) {
        0 => row.push_str("NA,"),
        other => write!(row, "0.{other},")?,
    }
    write!(row, "{},{},{},", 1 + random.below(5), random.of(&["true", "false"]), random.of(&["web", "shop", "phone"]))?;
    write!(row, "W{:03},{}.{:05},", random.below(300), random.below(80), random.below(100_000))?;
    row.push_str(random.of(&["", "leave at the door", "\"ring, twice\""]));
    row.push('\n');
    Ok(())
}

fn data(path: &Path, rows: u64) -> std::io::Result<u64> {
    let mut file = BufWriter::new(File::create(path)?);
    let (mut random, mut text) = (Random(7), String::new());
    writeln!(file, "{COLUMNS}")?;
    for number in 0..rows {
        text.clear();
        row(number, &mut random, &mut text).map_err(std::io::Error::other)?;
        file.write_all(text.as_bytes())?;
    }
    file.flush()?;
    Ok(path.metadata()?.len())
}

/// Seconds that this thread was on a core, whoever else wanted it: what Linux says in `schedstat`.
fn on_core() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

fn say(what: &str, rows: u64, bytes: u64, started: f64) {
    let seconds = on_core() - started;
    let text = format!(
        "{what}: {rows} rows in {seconds:.2} s of a core, {:.0} rows/s, {:.0} MB/s\n",
        rows as f64 / seconds,
        bytes as f64 / seconds / 1e6
    );
    drop(std::io::stdout().write_all(text.as_bytes()));
}

fn checked(input: &Input, contract: &Arc<Contract>) -> u64 {
    let program = Program::compile(&contract.schema, contract).expect("the draft compiles");
    let mut scratch = Scratch::default();
    let format = input.format().expect("a format");
    let mut conform = 0;
    for row in input.rows(format, &contract.schema, &Options::of(contract)).expect("it opens") {
        let body = row.expect("it reads").outcome.expect("a record");
        let key = program.key(&body, &mut scratch);
        let context = Context { key: key.as_deref(), key_schema: None, now: Timestamp(0) };
        conform += u64::from(program.judge(&body, &context, &mut scratch, None) == Verdict::Conforms);
    }
    conform
}

fn main() {
    let asked = std::env::args().skip(1).find_map(|word| word.parse().ok());
    let rows: u64 = asked.unwrap_or(1_000_000);
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("orders.csv");
    let bytes = data(&path, rows).expect("room for the data");
    let input = Input::new(&path).expect("a path");
    let product = "bench.orders".parse().expect("a name");
    let hints = Hints::default();
    let request = Request { product: &product, owner: None, hints: &hints };
    let started = on_core();
    let draft = draft(&input, &request, &mut |_, _, _| {}).expect("a draft");
    say("init", rows, bytes, started);
    let document = Source { file: "contract.odcs.yaml", text: &draft.contract };
    let schema = Source { file: "orders.avsc", text: &draft.schema };
    let contract = Arc::new(odcs::read(&document, Some(&schema)).expect("a contract").contract);
    let started = on_core();
    assert_eq!(checked(&input, &contract), rows, "a draft accepts every record");
    say("check", rows, bytes, started);
}
