//! Synthetic orders as a shop sends them: 23 fields, 268 bytes on average, six rules, of which 1.2 % of the
//! orders break one.

use std::sync::Arc;

use apache_avro::types::Value;
use contract::{Check, Condition, Contract, Measure, Native, Path, Rule, RuleId, Segment, Severity, avro, cel};
use schemas::Timestamp;

/// `now` of the rules.
pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// The order's schema.
pub(crate) const SCHEMA: &str = r#"{"type":"record","name":"Order","fields":[
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
  {"name":"updated_at","type":{"type":"long","logicalType":"timestamp-millis"}},
  {"name":"paid_at","type":["null",{"type":"long","logicalType":"timestamp-millis"}]},
  {"name":"priority","type":"int"},
  {"name":"gift","type":"boolean"},
  {"name":"channel","type":"string"},
  {"name":"note","type":["null","string"]},
  {"name":"address","type":{"type":"record","name":"Address","fields":[
    {"name":"street","type":"string"},{"name":"city","type":"string"},
    {"name":"zip","type":"string"},{"name":"country","type":"string"}]}},
  {"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[
    {"name":"sku","type":"string"},{"name":"quantity","type":"int"},{"name":"price","type":"double"}]}}}
]}"#;

fn path(text: &str) -> Path {
    Path(text.split('.').map(|name| Segment::Field(Arc::from(name))).collect())
}

/// Range, not null, shortest length, allowed symbols, at least one item. The sixth rule, not in the future,
/// is a condition.
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
        ("lines", Check::Length { min: Some(1), max: None }),
    ];
    let rule =
        |(at, check)| Rule { id: RuleId::new(at), path: path(at), check, severity: Severity::Error, description: None };
    checks.into_iter().map(rule).collect()
}

/// The contract; `measures`: with distinct orders and customers, the total's quantiles and the orders' delay
/// on top of what is measured of every field.
pub(crate) fn contract(measures: bool) -> Contract {
    let schema = avro::Schema::parse(SCHEMA).expect("a schema");
    let source = "ordered_at <= now";
    let condition = Condition {
        id: RuleId::new("not-in-the-future"),
        expression: cel::compile(source, &schema, &|_| None).expect("compiles"),
        source: Arc::from(source),
        severity: Severity::Error,
        description: None,
    };
    let measure = |at: &str, distinct: bool, quantiles: bool, event_time: bool| Measure {
        path: path(at),
        distinct,
        quantiles,
        event_time,
    };
    let wanted = [
        measure("order_id", true, false, false),
        measure("customer_id", true, false, false),
        measure("total", false, true, false),
        measure("ordered_at", false, false, true),
    ];
    let (product, version) = ("shop.orders".parse().expect("a product"), "1.0.0".parse().expect("a version"));
    Contract {
        rules: rules(),
        conditions: vec![condition],
        measures: if measures { wanted.to_vec() } else { Vec::new() },
        ..Contract::plain(product, version, Arc::new(schema))
    }
}

/// The six rules on a tree of values.
pub(crate) fn keeps(value: &Value) -> bool {
    let Value::Record(fields) = value else { return false };
    fields.iter().all(|(name, value)| match (name.as_str(), value) {
        ("total", Value::Double(total)) => (0.0..=100_000.0).contains(total),
        ("email", Value::Union(branch, _)) => *branch != 0,
        ("order_id", Value::String(id)) => id.chars().count() >= 8,
        ("status", Value::Enum(_, symbol)) => ["NEW", "PAID", "SHIPPED", "DONE"].contains(&symbol.as_str()),
        ("ordered_at", Value::TimestampMillis(at)) => *at <= NOW.0,
        ("lines", Value::Array(lines)) => !lines.is_empty(),
        _ => true,
    })
}

/// Random numbers that are the same in every run (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn pick<'t>(&mut self, all: &[&'t str]) -> &'t str {
        all[self.below(all.len() as u64) as usize]
    }
}

/// The next order.
pub(crate) fn order(random: &mut Random) -> Value {
    // Twelve in a thousand break one of the six rules.
    let broken = (random.below(1_000) < 12).then(|| random.below(6));
    let text = |text: String| Value::String(text);
    let maybe = |value: Option<Value>| match value {
        Some(value) => Value::Union(1, Box::new(value)),
        None => Value::Union(0, Box::new(Value::Null)),
    };
    let at = if broken == Some(4) { NOW.0 + 60_000 } else { 1_700_000_000_000 + random.below(90_000_000_000) as i64 };
    let cents = random.below(900_000) as f64 / 100.0;
    let symbol = if broken == Some(3) { 4 } else { random.below(4) as usize };
    let id = if broken == Some(2) { "short".to_owned() } else { uuid(random) };
    let (person, host) = (random.below(50_000), random.pick(&["example.org", "mail.example.com", "post.example.net"]));
    let name = random.pick(&["anna", "bram", "carlotta", "dirk", "ewa"]);
    let email = (broken != Some(1)).then(|| text(format!("{name}.{person:05}@{host}")));
    let phone = random.one_in(2).then(|| text(format!("+31 6 {:08}", random.below(100_000_000))));
    let coupon = random.one_in(4).then(|| text("WELCOME10".to_owned()));
    let paid = (!random.one_in(3)).then(|| Value::TimestampMillis(at + random.below(60_000) as i64));
    let note = random.one_in(4).then(|| text("Please leave it with the neighbours.".to_owned()));
    let lines = if broken == Some(5) { 0 } else { 1 + random.below(6) };
    record(vec![
        ("order_id", text(id)),
        ("customer_id", text(format!("customer-{person:08}"))),
        ("status", Value::Enum(symbol as u32, ["NEW", "PAID", "SHIPPED", "DONE", "LOST"][symbol].to_owned())),
        ("email", maybe(email)),
        ("phone", maybe(phone)),
        ("coupon", maybe(coupon)),
        ("currency", text(random.pick(&["EUR", "EUR", "CHF", "PLN"]).to_owned())),
        ("total", Value::Double(if broken == Some(0) { -cents - 1.0 } else { cents })),
        ("tax", Value::Double(cents * 0.21)),
        ("discount", Value::Double(0.0)),
        ("shipping", Value::Decimal(apache_avro::Decimal::from([0x01_u8, random.below(256) as u8]))),
        ("ordered_at", Value::TimestampMillis(at)),
        ("updated_at", Value::TimestampMillis(at + random.below(3_600_000) as i64)),
        ("paid_at", maybe(paid)),
        ("priority", Value::Int(random.below(5) as i32)),
        ("gift", Value::Boolean(random.one_in(11))),
        ("channel", text(random.pick(&["web", "app", "store"]).to_owned())),
        ("note", maybe(note)),
        ("address", address(random)),
        ("lines", Value::Array((0..lines).map(|_| line(random)).collect())),
    ])
}

fn record(fields: Vec<(&str, Value)>) -> Value {
    Value::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn uuid(random: &mut Random) -> String {
    let (high, low) = (random.next(), random.next());
    let (a, b, c) = (high >> 32, high >> 16 & 0xffff, high & 0xffff);
    format!("{a:08x}-{b:04x}-{c:04x}-{:04x}-{:012x}", low >> 48, low & 0xffff_ffff_ffff)
}

/// Every fifth city is not ASCII.
fn address(random: &mut Random) -> Value {
    let street = random.pick(&["Lange Straat", "Burgemeester Jansenlaan", "Main Street", "Rua Nova", "Kerkweg"]);
    let city = random.pick(&["Rotterdam", "Zürich", "Gent", "Warszawa", "Porto"]);
    record(vec![
        ("street", Value::String(format!("{street} {}", 1 + random.below(300)))),
        ("city", Value::String(city.to_owned())),
        ("zip", Value::String(format!("{:05}", random.below(100_000)))),
        ("country", Value::String(random.pick(&["NL", "CH", "BE", "PL", "PT"]).to_owned())),
    ])
}

fn line(random: &mut Random) -> Value {
    record(vec![
        ("sku", Value::String(format!("SKU-{:06}", random.below(100_000)))),
        ("quantity", Value::Int(1 + random.below(3) as i32)),
        ("price", Value::Double(random.below(20_000) as f64 / 100.0)),
    ])
}
