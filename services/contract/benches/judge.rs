//! What it costs to judge one order of about 268 bytes: against copying it, and against decoding it to a
//! tree of values and asking the same rules. Prints a table; read the ratios.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use contract::avro;
use contract::{
    Check, Context, Contract, Deletes, KeySpec, Native, Path, Product, Program, Rule, RuleId, Scratch, Segment,
    Settings, Severity, Statistics, Status, UndeclaredFields, Verdict,
};
use schemas::Timestamp;

const RECORDS: usize = 20_000;
const ROUNDS: usize = 15;

const SCHEMA: &str = r#"{"type":"record","name":"Order","fields":[
  {"name":"order_id","type":"string"},
  {"name":"customer_id","type":"string"},
  {"name":"status","type":{"type":"enum","name":"State","symbols":["NEW","PAID","SHIPPED","DONE","LOST"]}},
  {"name":"email","type":["null","string"]},
  {"name":"phone","type":["null","string"]},
  {"name":"coupon","type":["null","string"]},
  {"name":"currency","type":"string"},
  {"name":"total","type":"double"},
  {"name":"tax","type":"double"},
  {"name":"discount","type":"double"},
  {"name":"shipping","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}},
  {"name":"ordered_at","type":{"type":"long","logicalType":"timestamp-millis"}},
  {"name":"paid_at","type":["null",{"type":"long","logicalType":"timestamp-millis"}]},
  {"name":"priority","type":"int"},
  {"name":"gift","type":"boolean"},
  {"name":"channel","type":"string"},
  {"name":"address","type":{"type":"record","name":"Address","fields":[
    {"name":"street","type":"string"},{"name":"city","type":"string"},
    {"name":"zip","type":"string"},{"name":"country","type":"string"}]}},
  {"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[
    {"name":"sku","type":"string"},{"name":"quantity","type":"int"},{"name":"price","type":"double"}]}}}
]}"#;

fn path(text: &str) -> Path {
    Path(text.split('.').map(|name| Segment::Field(Arc::from(name))).collect())
}

fn rules() -> Vec<Rule> {
    let texts = |all: &[&str]| all.iter().map(|text| Native::Text(Arc::from(*text))).collect();
    let checks = [
        (
            "total",
            Check::Range { min: Some((Native::Float(0.0), false)), max: Some((Native::Float(100_000.0), false)) },
        ),
        ("email", Check::NotNull),
        ("order_id", Check::Length { min: Some(8), max: None }),
        ("status", Check::OneOf(texts(&["NEW", "PAID", "SHIPPED", "DONE"]))),
        ("ordered_at", Check::Range { min: None, max: Some((Native::Int(2_000_000_000_000), false)) }),
        ("lines", Check::Length { min: Some(1), max: None }),
    ];
    let rule =
        |(at, check)| Rule { id: RuleId::new(at), path: path(at), check, severity: Severity::Error, description: None };
    checks.into_iter().map(rule).collect()
}

fn contract() -> Contract {
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
        undeclared_fields: UndeclaredFields::Refuse,
        inbox_topic: None,
    };
    Contract {
        id: "bench".to_owned(),
        product: "shop.orders".parse().expect("a product"),
        version: "1.0.0".parse().expect("a version"),
        status: Status::Active,
        about: Product::default(),
        settings,
        schema: Arc::new(avro::Schema::parse(SCHEMA).expect("a schema")),
        rules: rules(),
        conditions: Vec::new(),
        measures: Vec::new(),
        objectives: Vec::new(),
        classified: Vec::new(),
        document: Arc::from(""),
    }
}

fn order(index: usize) -> Value {
    let text = |text: String| Value::String(text);
    let maybe = |present: bool, value: Value| {
        if present { Value::Union(1, Box::new(value)) } else { Value::Union(0, Box::new(Value::Null)) }
    };
    let fields = |all: Vec<(&str, Value)>| {
        Value::Record(all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    };
    let symbols = ["NEW", "PAID", "SHIPPED", "DONE"];
    let at = 1_700_000_000_000 + index as i64 * 977;
    let line = |number: usize| {
        fields(vec![
            ("sku", text(format!("SKU-{:06}", (index * 31 + number) % 100_000))),
            ("quantity", Value::Int(1 + (number % 3) as i32)),
            ("price", Value::Double(1.25 * (1 + index % 90) as f64)),
        ])
    };
    let city = if index.is_multiple_of(5) { "Zürich" } else { "Rotterdam" };
    fields(vec![
        ("order_id", text(format!("ord-{index:012}"))),
        ("customer_id", text(format!("cust-{:08}", index % 50_000))),
        ("status", Value::Enum((index % 4) as u32, symbols[index % 4].to_owned())),
        ("email", maybe(!index.is_multiple_of(83), text(format!("person{:05}@example.org", index % 50_000)))),
        ("phone", maybe(index.is_multiple_of(2), text(format!("+3161234{:04}", index % 10_000)))),
        ("coupon", maybe(index.is_multiple_of(7), text("WELCOME10".to_owned()))),
        ("currency", text("EUR".to_owned())),
        ("total", Value::Double((index % 9_000) as f64 + 0.5)),
        ("tax", Value::Double(3.21)),
        ("discount", Value::Double(0.0)),
        ("shipping", Value::Decimal(apache_avro::Decimal::from([0x01_u8, 0xf3]))),
        ("ordered_at", Value::TimestampMillis(at)),
        ("paid_at", maybe(!index.is_multiple_of(3), Value::TimestampMillis(at + 5_000))),
        ("priority", Value::Int((index % 5) as i32)),
        ("gift", Value::Boolean(index.is_multiple_of(11))),
        ("channel", text("web".to_owned())),
        (
            "address",
            fields(vec![
                ("street", text(format!("Long Street {}", index % 300))),
                ("city", text(city.to_owned())),
                ("zip", text(format!("{:05}", index % 99_999))),
                ("country", text("NL".to_owned())),
            ]),
        ),
        ("lines", Value::Array((0..1 + index % 5).map(line).collect())),
    ])
}

/// The six rules on a tree of values.
fn keeps(value: &Value) -> bool {
    let Value::Record(fields) = value else { return false };
    fields.iter().all(|(name, value)| match (name.as_str(), value) {
        ("total", Value::Double(total)) => (0.0..=100_000.0).contains(total),
        ("email", Value::Union(branch, _)) => *branch != 0,
        ("order_id", Value::String(id)) => id.chars().count() >= 8,
        ("status", Value::Enum(_, symbol)) => ["NEW", "PAID", "SHIPPED", "DONE"].contains(&symbol.as_str()),
        ("ordered_at", Value::TimestampMillis(at)) => *at <= 2_000_000_000_000,
        ("lines", Value::Array(lines)) => !lines.is_empty(),
        _ => true,
    })
}

/// Nanoseconds per record: the median of several rounds.
fn measured(bodies: &[Vec<u8>], mut each: impl FnMut(&[u8])) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            bodies.iter().for_each(|body| each(black_box(body)));
            start.elapsed().as_nanos() as f64 / bodies.len() as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

#[expect(clippy::print_stdout, reason = "a table is what this program is for")]
fn main() {
    let theirs = apache_avro::Schema::parse_str(SCHEMA).expect("a schema");
    let writer = GenericDatumWriter::builder(&theirs).build().expect("a writer");
    let reader = GenericDatumReader::builder(&theirs).build().expect("a reader");
    let bodies: Vec<Vec<u8>> =
        (0..RECORDS).map(|index| writer.write_value_to_vec(order(index)).expect("encodes")).collect();
    let contract = Arc::new(contract());
    let program = Program::compile(&contract.schema, &contract).expect("resolves");
    let (mut scratch, mut statistics) = (Scratch::default(), Statistics::new(&program));
    let context = Context { key: None, key_schema: None, now: Timestamp(1_800_000_000_000) };
    for body in &bodies {
        let value = reader.read_value(&mut &body[..]).expect("decodes");
        let verdict = program.judge(body, &context, &mut scratch, None);
        assert_eq!(verdict == Verdict::Conforms, keeps(&value), "both ways judge alike");
    }
    let mut copy = vec![0_u8; 4_096];
    let copied = measured(&bodies, |body| {
        copy[..body.len()].copy_from_slice(body);
        black_box(&mut copy);
    });
    let judged = measured(&bodies, |body| {
        black_box(program.judge(body, &context, &mut scratch, None));
    });
    let counted = measured(&bodies, |body| {
        black_box(program.judge(body, &context, &mut scratch, Some(&mut statistics)));
    });
    let valued = measured(&bodies, |mut body| {
        black_box(reader.read_value(&mut body).is_ok_and(|value| keeps(&value)));
    });
    let bytes: usize = bodies.iter().map(Vec::len).sum();
    println!("{RECORDS} orders of {} bytes, medians of {ROUNDS} rounds", bytes / RECORDS);
    println!("{:<36} {:>10} {:>9} {:>9}", "", "ns/record", "x memcpy", "x faster");
    for (name, time) in [
        ("memcpy", copied),
        ("program", judged),
        ("program + statistics", counted),
        ("apache-avro Value + same rules", valued),
    ] {
        println!("{name:<36} {time:>10.1} {:>9.1} {:>9.1}", time / copied, valued / time);
    }
}
