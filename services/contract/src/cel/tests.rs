//! Expressions and what they say of values.

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
    let expression = compile(source, &schema()).unwrap_or_else(|error| panic!("{source}: {error}"));
    let found: Vec<_> = expression.inputs().iter().map(found).collect();
    expression.holds(&found, NOW).map_err(|error| error.message)
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
        ("id + 'x' == 'y'", 3, "strings cannot be joined"),
        ("id == 5", 3, "never compare"),
        ("placed > '2024-01-01'", 7, "write timestamp("),
        ("placed > timestamp('yesterday')", 19, "RFC 3339"),
        ("opens > duration('9 hours')", 17, "duration(\"1h30m\")"),
        ("status == 'SHIPED'", 10, "did you mean \"SHIPPED\"?"),
        ("lines.all(l, l != '')", 9, "not supported yet"),
        ("lines.exists(l, l == 'a')", 12, "not supported yet"),
        ("lines[0] == 'a'", 5, "cannot be reached"),
        ("labels.a == 'a'", 7, "not a record"),
        ("customer == customer", 9, "compare only with null"),
        ("has(discount)", 4, "write `email != null`"),
        ("quantity = 3", 9, "write `==`"),
        ("quantity > 1 and quantity < 5", 13, "write `&&`"),
        ("quantity > 1 & quantity < 5", 13, "write `&&`"),
        ("quantity > ", 11, "ends too early"),
        ("(quantity > 1", 13, "ends too early"),
        ("lenght(id) > 1", 6, "there is no function lenght"),
        ("startsWith(id, 'a')", 10, "called on a string"),
        ("id.matches(id)", 11, "pattern in quotes"),
        ("id.matches('(')", 11, "not a regular expression"),
        ("placed.getFullYear() == 2024", 18, "not supported yet"),
        ("either == 'a'", 0, "union of several types"),
        ("status in id", 10, "list of values"),
        ("quantity > null", 9, "no order"),
        ("id && true", 0, "`&&` takes bool"),
        ("quantity > 0 ? 1 : 'a'", 19, "one type"),
        ("99999999999999999999 > quantity", 0, "64 bits"),
    ] {
        let error = compile(source, &schema()).map(|_| ()).expect_err(source);
        assert!(error.message.contains(message), "{source}: {error}");
        assert_eq!(error.offset, offset, "{source}: {error}");
    }
}

#[test]
fn inputs_are_asked_for_once() {
    let expression =
        compile("quantity > 0 && quantity < 9 && size(lines) > 0 && lines != null", &schema()).expect("compiles");
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
        let _ = compile(&source, &schema());
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
        let expression = compile(&source, &schema()).unwrap_or_else(|error| panic!("{source}: {error}"));
        let found: Vec<_> = expression.inputs().iter().map(|input| match input.path.to_string().as_str() {
            "quantity" => Found::Int(quantity),
            _ => Found::Float(rate),
        }).collect();
        prop_assert_eq!(expression.holds(&found, NOW).ok(), reference(&source, quantity, rate), "{}", source);
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
        if let Err(error) = compile(&source, &schema()) {
            prop_assert!(source.is_char_boundary(error.offset), "{} in {:?}", error, source);
        }
    }
}
