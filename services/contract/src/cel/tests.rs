//! Expressions and what they say of values.

mod reference;
mod world;

use proptest::prelude::*;
use schemas::Timestamp;

use super::*;
use crate::avro::Schema;

const SCHEMA: &str = r#"{"type":"record","name":"Order","fields":[
 {"name":"id","type":"string"},
 {"name":"quantity","type":"int"},
 {"name":"limit","type":["null","long"]},
 {"name":"rate","type":"double"},
 {"name":"paid","type":["null","boolean"]},
 {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}},
 {"name":"discount","type":["null",{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}]},
 {"name":"status","type":{"type":"enum","name":"Status","symbols":["NEW","PAID","SHIPPED"]}},
 {"name":"raw","type":"bytes"},
 {"name":"placed","type":{"type":"long","logicalType":"timestamp-millis"}},
 {"name":"day","type":{"type":"int","logicalType":"date"}},
 {"name":"opens","type":{"type":"int","logicalType":"time-millis"}},
 {"name":"customer","type":["null",{"type":"record","name":"Customer","fields":[
   {"name":"email","type":["null","string"]},
   {"name":"age","type":"int"}]}]},
 {"name":"lines","type":{"type":"array","items":"string"}},
 {"name":"labels","type":{"type":"map","values":"string"}},
 {"name":"notes","type":["null",{"type":"array","items":"string"}]},
 {"name":"either","type":["string","int"]}
]}"#;

/// 2026-01-02T00:00:00Z.
const NOW: Timestamp = Timestamp(1_767_312_000_000);

fn schema() -> Schema {
    Schema::parse(SCHEMA).expect("the schema of the tests")
}

/// The record that the table's expressions look at.
fn found(input: &Input) -> Found<'static> {
    match (input.path.to_string().as_str(), input.want) {
        ("id", _) => Found::Text("ORD-1 äöü"),
        ("quantity", _) => Found::Int(3),
        ("rate", _) => Found::Float(0.5),
        ("price", _) => Found::Decimal(1999),
        ("status", _) => Found::Text("PAID"),
        ("raw", _) => Found::Bytes(b"\x00\x01"),
        ("placed", _) => Found::Int(NOW.0 - 3_600_000),
        ("day", _) => Found::Int(20_454),
        ("opens", _) => Found::Int(9 * 3_600_000),
        ("customer", Want::Presence) => Found::Present,
        ("customer.age", _) => Found::Int(17),
        ("lines", Want::Items) => Found::Int(2),
        ("labels", Want::Items) => Found::Int(0),
        ("lines" | "labels", Want::Presence) => Found::Present,
        _ => Found::Null,
    }
}

fn run(source: &str) -> Result<bool, String> {
    let expression = compile(source, &schema(), &|_| None).unwrap_or_else(|error| panic!("{source}: {error}"));
    let found: Vec<_> = expression.inputs().iter().map(found).collect();
    expression.holds(&found, &Rows::default(), NOW, &mut Texts::default()).map_err(|error| error.message)
}

#[test]
fn expressions_say_what_cel_says() {
    for (source, expected) in [
        ("quantity == 3", true),
        ("quantity + 1 * 2 == 5 && quantity % 2 == 1", true),
        ("-quantity < -2", true),
        ("rate < 1 && rate > 0", true),
        ("quantity > 2.5 && quantity != 3.5", true),
        ("double(quantity) * rate == 1.5", true),
        ("int(rate) == 0", true),
        ("price == 19.99", true),
        ("price > 19.989 && price < 20 && price >= 19.99", true),
        ("price * quantity == 59.97", true),
        ("price - 0.99 == 19", true),
        ("price + price == 39.98 && -price < 0", true),
        ("price in [1.5, 19.990, 3]", true),
        ("status == 'PAID'", true),
        ("status in ['NEW', \"SHIPPED\"]", false),
        ("!(status in [])", true),
        ("raw == b'\\x00\\x01' && size(raw) == 2", true),
        ("size(id) == 9 && id.size() == 9", true),
        ("id.startsWith('ORD') && id.endsWith('ü') && id.contains('-')", true),
        ("id.matches('^ORD-[0-9]+')", true),
        ("id.matches('^[0-9]+$')", false),
        ("id < 'P'", true),
        ("placed < now && now - placed == duration('1h')", true),
        ("placed + duration('90m') > now", true),
        ("day == timestamp('2026-01-01T00:00:00Z')", true),
        ("day > timestamp('2025-12-31') && day < now", true),
        ("opens == duration('9h')", true),
        ("opens.getHours() == 9 && opens.getMinutes() == 540", true),
        ("placed.getFullYear() == 2026 && placed.getMonth() == 0 && placed.getDate() == 1", true),
        ("placed.getDayOfMonth() == 0 && placed.getDayOfYear() == 0 && placed.getDayOfWeek() == 4", true),
        ("placed.getHours() == 23 && placed.getHours('+02:00') == 1 && placed.getMinutes('-05:30') == 30", true),
        ("(now - placed).getMinutes() == 60 && (placed - now).getSeconds() == -3600", true),
        ("string(placed) == '2026-01-01T23:00:00Z' && timestamp(string(placed)) == placed", true),
        ("string(opens) == '32400s' && duration(string(opens)) == opens", true),
        ("string(price) == '19.99' && string(quantity) + string(paid == null) == '3true'", true),
        ("id.lowerAscii().startsWith('ord') && id.split(' ')[0].split('-')[1] == '1'", true),
        ("duration('1.5s') == duration('1s500ms') && duration('-1m') < duration('0')", true),
        ("discount == null", true),
        ("discount != null", false),
        ("discount != 5.0", true),
        ("discount == 5", false),
        ("discount == null || discount > 0", true),
        ("discount > 0 || quantity == 3", true),
        ("!(discount > 0 && quantity == 4)", true),
        ("paid != true", true),
        ("has(customer.age) && customer.age < 18", true),
        ("has(customer.email)", false),
        ("!has(customer.email) || customer.email.contains('@')", true),
        ("customer != null && lines != null", true),
        ("size(lines) == 2 && labels.size() == 0", true),
        ("size(lines) > 0 ? quantity > 0 : quantity == 0", true),
        ("(limit == null ? 10 : limit) >= quantity", true),
        ("limit in [null, 1]", true),
        ("!(id in [string(limit == null)])", true),
        ("true // all is well", true),
    ] {
        assert_eq!(run(source), Ok(expected), "{source}");
    }
}

#[test]
fn what_has_no_value_says_why() {
    for (source, expected) in [
        ("discount > 0", "discount is null"),
        ("discount > 0 && quantity == 3", "discount is null"),
        ("discount > 0 || quantity == 4", "discount is null"),
        ("limit + 1 == 2", "limit is null"),
        ("customer.email.startsWith('a')", "customer.email is null"),
        ("paid", "paid is null"),
        ("!paid", "paid is null"),
        ("size(notes) == 0", "notes is null"),
        ("size(notes) != 0", "notes is null"),
        ("size(notes) in [size(notes)]", "notes is null"),
        ("quantity in [3, limit + 1]", "limit is null"),
        ("[quantity, limit + 1].exists(x, x == 3)", "limit is null"),
        ("[quantity, limit + 1][0] == 3", "limit is null"),
        ("id.charAt(99) == ''", "charAt()'s index 99 is out of range"),
        ("id.substring(3, 2) == ''", "substring()'s index 2 is out of range"),
        ("id.indexOf('O', -1) == 0", "indexOf()'s offset -1 is out of range"),
        ("int(id) == 0", "a text is no number that int() can read"),
        ("timestamp(id) == now", "a text is no time that timestamp() can read"),
        ("id.split('-')[7] == ''", "the index 7 is out of range"),
        ("customer.email.lowerAscii() == ''", "customer.email is null"),
        ("quantity / 0 == 1", "a division by zero"),
        ("quantity % 0 == 1", "a division by zero"),
        ("9223372036854775807 + quantity > 0", "a sum leaves the range of its type"),
        ("-9223372036854775808 - quantity > 0", "a difference leaves the range of its type"),
        ("price * 9223372036854775807 * 9223372036854775807 > 0", "a product leaves the range of its type"),
    ] {
        assert_eq!(run(source).unwrap_err(), expected, "{source}");
    }
}

#[test]
fn mistakes_are_placed_and_say_what_to_write() {
    for (source, offset, message) in [
        ("", 0, "empty"),
        ("quantty > 0", 0, "did you mean `quantity`?"),
        ("true && customer.mail == null", 17, "did you mean `email`?"),
        ("quantity", 0, "must be bool; compare it, as in `quantity >= 0`"),
        ("quantity * rate > 1.0", 9, "write double(quantity)"),
        ("rate * 2 > 1.0", 5, "write 2.0"),
        ("price * rate > 1", 6, "write double(…) around the decimal"),
        ("price > rate", 6, "do not compare exactly"),
        ("price / 2 > 1", 6, "multiply the other side"),
        ("id + 1 == 'y'", 3, "write string(…)"),
        ("id - 'x' == 'y'", 3, "only joined"),
        ("id == 5", 3, "never compare"),
        ("placed > '2024-01-01'", 7, "write timestamp("),
        ("placed > timestamp('yesterday')", 19, "RFC 3339"),
        ("opens > duration('9 hours')", 17, "duration(\"1h30m\")"),
        ("status == 'SHIPED'", 10, "did you mean \"SHIPPED\"?"),
        ("lines.all(l, l)", 13, "must be bool"),
        ("lines.all(l.a, true)", 11, "a name for the item"),
        ("lines.all(true)", 9, "goes over a list with a name"),
        ("lines.map(l, l) == 'a'", 9, "ask something of it"),
        ("id.all(c, c == 'a')", 0, "no list"),
        ("lines.exists(l, l.sku == 'a')", 18, "is not a record"),
        ("lines[0] == 5", 9, "never compare"),
        ("lines['a'] == 'a'", 6, "numbered from 0"),
        ("labels[0] == 'a'", 7, "string keys"),
        ("labels.a == 'a'", 7, "labels[\"a\"]"),
        ("size(lines.filter(l, lines.exists(m, lines.all(n, n == l)))) > 0", 46, "maxItems"),
        ("id.substring('a') == ''", 13, "code.substring(0, 2)"),
        ("id.substring() == ''", 12, "how it is written"),
        ("id.split('-') == 'a'", 8, "makes a list"),
        ("[1, 'a'].all(x, x == 1)", 4, "of one type"),
        ("lines.join(1) == ''", 11, "string as separator"),
        ("uint(quantity) == 1", 4, "no unsigned"),
        ("placed.getHours('Europe/Berlin') == 1", 16, "offset from UTC"),
        ("opens.getFullYear() == 1", 0, "called on a timestamp"),
        ("quantity.getHours() == 1", 0, "timestamp or duration"),
        ("timestamp(quantity) == now", 10, "RFC 3339"),
        ("id.getHours", 3, "is not a record"),
        ("customer == customer", 9, "compare only with null"),
        ("has(discount)", 4, "write `email != null`"),
        ("quantity = 3", 9, "write `==`"),
        ("quantity > 1 and quantity < 5", 13, "write `&&`"),
        ("quantity > 1 & quantity < 5", 13, "write `&&`"),
        ("quantity > ", 11, "ends too early"),
        ("(quantity > 1", 13, "ends too early"),
        ("lenght(id) > 1", 6, "there is no function lenght"),
        ("id.lowerASCII() == ''", 13, "did you mean lowerAscii?"),
        ("startsWith(id, 'a')", 10, "called on a string"),
        ("id.matches(id)", 11, "pattern in quotes"),
        ("id.matches('(')", 11, "not a regular expression"),
        ("either == 'a'", 0, "union of several types"),
        ("status in id", 10, "no list"),
        ("quantity > null", 9, "no order"),
        ("id && true", 0, "`&&` takes bool"),
        ("quantity > 0 ? 1 : 'a'", 19, "one type"),
        ("99999999999999999999 > quantity", 0, "64 bits"),
    ] {
        let error = compile(source, &schema(), &|_| None).map(|_| ()).expect_err(source);
        assert!(error.message.contains(message), "{source}: {error}");
        assert_eq!(error.offset, offset, "{source}: {error}");
    }
}

#[test]
fn inputs_are_asked_for_once() {
    let expression = compile("quantity > 0 && quantity < 9 && size(lines) > 0 && lines != null", &schema(), &|_| None)
        .expect("compiles");
    let inputs: Vec<_> = expression.inputs().iter().map(|input| (input.path.to_string(), input.want)).collect();
    let expected = [("quantity", Want::Value), ("lines", Want::Items), ("lines", Want::Presence)];
    assert_eq!(inputs, expected.map(|(path, want)| (path.to_owned(), want)));
}

#[test]
fn hostile_sources_are_refused_without_harm() {
    let chains = [
        "(".repeat(2000),
        "[".repeat(4000),
        "!".repeat(4000),
        "-".repeat(4000),
        format!("{}quantity > 0{}", "(".repeat(60), ")".repeat(60)),
        vec!["1"; 1900].join("+"),
        vec!["a"; 1900].join("."),
        format!("quantity > {}", vec!["1"; 180].join("+")),
        vec!["true?1"; 500].join(":"),
        "quantity".to_owned() + &"[0]".repeat(1000),
        "a(".repeat(1500),
        "{1:".repeat(1000),
        "\"".repeat(4001),
        "x".repeat(5000),
        "'".into(),
        "\\".repeat(300),
        "a.&".repeat(1300) + "a",
        "1+&".repeat(1300) + "1",
        "1,+".repeat(1300) + "1",
        "a.,".repeat(1300) + "a",
        "a+@".repeat(1300) + "a",
        "[1,+".repeat(50) + &"1,+".repeat(1000),
        "-,(".repeat(40) + &"-&(".repeat(1000),
        "ä".repeat(1000),
        "quantity == 'ä' && ä".into(),
    ];
    for source in chains {
        let _ = compile(&source, &schema(), &|_| None);
    }
    let many = vec!["quantity > 0"; 250].join(" && ");
    assert_eq!(run(&many), Ok(true));
}

/// What the `cel` crate itself says of an expression.
fn reference(source: &str, quantity: i64, rate: f64) -> Option<bool> {
    let mut context = cel::Context::default();
    context.add_variable_from_value("quantity", quantity);
    context.add_variable_from_value("rate", rate);
    match cel::Program::compile(source).expect("parses").execute(&context) {
        Ok(cel::Value::Bool(value)) => Some(value),
        Ok(other) => panic!("{source} is {other:?}"),
        Err(_) => None,
    }
}

fn int_term() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("quantity".to_owned()),
        (-3_i64..10).prop_map(|value| format!("({value})")),
        Just("9223372036854775807".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        (inner.clone(), prop::sample::select(vec!["+", "-", "*", "/", "%"]), inner)
            .prop_map(|(left, sign, right)| format!("({left} {sign} {right})"))
    })
}

/// Without division: of NaN the crate says that it does not compare, and CEL that every order is false.
fn double_term() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("rate".to_owned()),
        prop::sample::select(vec!["0.0", "1.0", "2.5", "3.0"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(2, 8, 2, |inner| {
        (inner.clone(), prop::sample::select(vec!["+", "-", "*"]), inner)
            .prop_map(|(left, sign, right)| format!("({left} {sign} {right})"))
    })
}

fn condition() -> impl Strategy<Value = String> {
    let number = prop_oneof![int_term(), double_term()];
    let leaf = (number.clone(), prop::sample::select(vec!["<", "<=", ">", ">=", "==", "!="]), number)
        .prop_map(|(left, sign, right)| format!("{left} {sign} {right}"));
    leaf.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            (inner.clone(), prop::sample::select(vec!["&&", "||"]), inner.clone())
                .prop_map(|(left, sign, right)| format!("({left} {sign} {right})")),
            inner.prop_map(|inner| format!("!({inner})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_reference_agrees(source in condition(), quantity in -4_i64..8, rate in prop::sample::select(vec![0.0, 0.5, 3.0, -1.0])) {
        let expression = compile(&source, &schema(), &|_| None).unwrap_or_else(|error| panic!("{source}: {error}"));
        let found: Vec<_> = expression.inputs().iter().map(|input| match input.path.to_string().as_str() {
            "quantity" => Found::Int(quantity),
            _ => Found::Float(rate),
        }).collect();
        prop_assert_eq!(expression.holds(&found, &Rows::default(), NOW, &mut Texts::default()).ok(), reference(&source, quantity, rate), "{}", source);
    }
}

/// Pieces that are put together without sense.
const PIECES: [&str; 64] = [
    "quantity",
    "customer",
    "email",
    "lines",
    "now",
    ".",
    ",",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "+",
    "-",
    "*",
    "/",
    "%",
    "!",
    "&&",
    "||",
    "&",
    "==",
    "=",
    "<",
    ">",
    "?",
    ":",
    " in ",
    "has",
    "all",
    "exists",
    "map",
    "filter",
    "size",
    "matches",
    "timestamp",
    "duration",
    "'a'",
    "\"b",
    "'''",
    "r'\\'",
    "b'\\xff'",
    "1",
    "1u",
    "0x",
    "1.5",
    "1e",
    "null",
    "true",
    " ",
    "\n",
    "//",
    "`x`",
    "ä",
    "\\",
    "_",
    "x",
    "as",
    "if",
    "@",
    "#",
    "\u{0}",
    "has(",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn no_text_harms(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..24)) {
        let source = pieces.concat();
        if let Err(error) = compile(&source, &schema(), &|_| None) {
            prop_assert!(source.is_char_boundary(error.offset), "{} in {:?}", error, source);
        }
    }
}

const LISTS: &str = r#"{"type":"record","name":"Order","fields":[
 {"name":"tags","type":{"type":"array","items":["null","string"]}},
 {"name":"gone","type":["null",{"type":"array","items":"string"}]},
 {"name":"labels","type":{"type":"map","values":"long"}},
 {"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[
   {"name":"sku","type":"string"},
   {"name":"quantity","type":"long"},
   {"name":"note","type":["null","string"]}]}}}
]}"#;

#[test]
fn lists_are_gone_over_as_cel_says() {
    let schema = Schema::parse(LISTS).expect("a schema");
    let record = serde_json::json!({
        "tags": ["a", null, "b"], "gone": null, "labels": {"x": 1, "y": 5},
        "lines": [{"sku": "A-1", "quantity": 2, "note": null}, {"sku": "B-2", "quantity": 0, "note": "n"}],
    });
    for (source, expected) in [
        ("lines.all(l, l.quantity >= 0)", Ok(true)),
        ("lines.exists(l, l.quantity > 1 && l.sku.startsWith('A'))", Ok(true)),
        ("lines.exists_one(l, l.quantity == 0)", Ok(true)),
        ("size(lines.filter(l, l.quantity > 0)) == 1", Ok(true)),
        ("lines.map(l, l.sku).join(',') == 'A-1,B-2'", Ok(true)),
        ("'B' in lines.map(l, l.sku.split('-')[0])", Ok(true)),
        ("size(lines[1].sku) == 3 && lines[1].sku.size() == 3 && size(lines.map(l, l.sku)[0]) == 3", Ok(true)),
        ("lines[1].sku == 'B-2' && lines[0].note == null", Ok(true)),
        ("lines.all(l, lines.exists(m, m.sku == l.sku))", Ok(true)),
        ("tags.exists(t, t == null) && null in tags && !('c' in tags)", Ok(true)),
        ("lines.map(l, l.note).exists(n, n == null)", Ok(true)),
        ("lines.map(l, l.note.size()).exists(n, n == 1)", Err("lines[].note is null")),
        ("labels.all(k, labels[k] > 0) && 'x' in labels && labels['y'] == 5", Ok(true)),
        ("lines.all(lines, lines.quantity < 3)", Ok(true)),
        ("lines.exists(now, now.quantity == 2)", Ok(true)),
        // An item without a value is no obstacle where another decides.
        ("lines.exists(l, l.note.startsWith('n'))", Ok(true)),
        ("lines.all(l, l.note.startsWith('x'))", Ok(false)),
        ("lines.all(l, l.note == 'n' || l.note.size() > 9)", Err("lines[].note is null")),
        ("lines.all(l, l.note.startsWith('n'))", Err("lines[].note is null")),
        ("lines.exists_one(l, l.note.startsWith('n'))", Err("lines[].note is null")),
        ("tags.join('') == 'ab'", Err("tags[] is null")),
        ("gone.all(g, g != '')", Err("gone is null")),
        ("gone == null || gone.all(g, g != '')", Ok(true)),
        ("lines[2].sku == ''", Err("the index 2 is out of range")),
        ("labels['z'] == 1", Err("the map has no such key")),
        ("lines[0].note.size() > 1", Err("lines[].note is null")),
    ] {
        let expression = compile(source, &schema, &|_| None).unwrap_or_else(|error| panic!("{source}: {error}"));
        assert_eq!(world::judge(&expression, &record), expected.map_err(str::to_owned), "{source}");
    }
}

#[test]
fn what_an_expression_may_do_is_bounded() {
    let schema = Schema::parse(LISTS).expect("a schema");
    let thrice = "lines.all(a, lines.all(b, lines.all(c, a.sku + b.sku == c.sku)))";
    let error = compile(thrice, &schema, &|_| None).expect_err("a thousand million items");
    assert!(error.message.contains("maxItems"), "{error}");
    let expression = compile(thrice, &schema, &|_| Some(100)).expect("a million items");

    // The contract's word is not the record's.
    let line = |sku: &str| serde_json::json!({"sku": sku, "quantity": 1, "note": null});
    let record =
        |count: usize, sku: &str| serde_json::json!({"lines": vec![line(sku); count], "tags": [], "labels": {}});
    let fail = world::judge(&expression, &record(400, "")).expect_err("too much");
    assert_eq!(fail, "it takes more than 4000000 steps");

    let long = "lines.map(l, l.sku).join('').replace('x', lines[0].sku) != ''";
    let expression = compile(long, &schema, &|_| None).expect("compiles");
    let fail = world::judge(&expression, &record(2, &"x".repeat(2_000))).expect_err("too long");
    assert_eq!(fail, "it makes more than 1048576 bytes of text");

    let many = compile("lines.all(l, l.sku == 'x')", &schema, &|_| None).expect("compiles");
    let fail = world::judge(&many, &record(MAX_CELLS + 1, "x")).expect_err("too many");
    assert!(fail.starts_with("there are more items than"), "{fail}");
}
