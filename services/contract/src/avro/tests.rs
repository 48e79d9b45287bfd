//! Schemas read and refused, pairs compared, values there and back.

use serde_json::{Value, json};

use super::*;

fn parse(value: &Value) -> Schema {
    Schema::parse(&value.to_string()).expect("a schema")
}

fn refused(value: &Value) -> (String, String) {
    let error = Schema::parse(&value.to_string()).expect_err("no schema");
    (error.path, error.message)
}

fn order() -> Value {
    json!({"type": "record", "name": "Order", "namespace": "shop", "fields": [
        {"name": "id", "type": "long"},
        {"name": "total", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "placed", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "due", "type": ["null", {"type": "int", "logicalType": "date"}], "default": null},
        {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["NEW", "PAID"]}, "default": "NEW"},
        {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [
            {"name": "sku", "type": "string"},
            {"name": "count", "type": "int"}]}}},
        {"name": "tags", "type": {"type": "map", "values": "string"}, "default": {}},
        {"name": "hash", "type": ["null", {"type": "fixed", "name": "Hash", "size": 2}], "default": null}]})
}

#[test]
fn what_is_no_schema_is_refused_with_its_place() {
    let cases = [
        (json!({"type": "record", "name": "R"}), ""),
        (
            json!({"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": "intt"}]}),
            "fields[1].type",
        ),
        (json!({"type": "record", "name": "R", "fields": [{"name": "a b", "type": "int"}]}), "fields[0].name"),
        (
            json!({"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}, {"name": "a", "type": "int"}]}),
            "fields[1]",
        ),
        (json!({"type": "record", "name": "R", "fields": [{"name": "a", "type": "int", "default": "x"}]}), "R.a"),
        (
            json!({"type": "record", "name": "R", "fields": [{"name": "a", "type": ["null", ["int"]]}]}),
            "fields[0].type[1]",
        ),
        (json!(["int", "int"]), "[1]"),
        (json!([{"type": "fixed", "name": "F", "size": 1}, {"type": "fixed", "name": "F", "size": 1}]), "[1]"),
        (json!({"type": "enum", "name": "E", "symbols": ["A", "A"]}), "symbols[1]"),
        (json!({"type": "enum", "name": "E", "symbols": ["A"], "default": "B"}), "default"),
        (json!({"type": "fixed", "name": "F", "size": -1}), ""),
        (json!({"type": "fixed", "name": "F", "size": 1.5}), ""),
        (json!({"type": "array"}), ""),
        (json!(7), ""),
        (json!({"type": "array", "items": {"type": "map", "values": null}}), "items.values"),
    ];
    for (schema, path) in cases {
        assert_eq!(refused(&schema).0, path, "{schema}");
    }
}

#[test]
fn what_avro_java_takes_is_taken() {
    let cases = [
        json!({"type": {"type": "int"}}),
        json!([]),
        json!({"type": "record", "name": "R", "fields": [{"name": "a", "type": ["null", "int"], "default": 1}]}),
        json!({"type": "record", "name": "R", "fields": [{"name": "next", "type": ["null", "R"], "default": null}]}),
        json!({"type": "record", "name": "a.R", "fields": [{"name": "e", "type": {"type": "enum", "name": "E", "symbols": []}}, {"name": "f", "type": "a.E"}]}),
        json!({"type": "int", "logicalType": "timestamp-millis"}),
        json!({"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 3}),
    ];
    for schema in cases {
        parse(&schema);
    }
    assert_eq!(parse(&json!({"type": "int", "logicalType": "timestamp-millis"})).node(NodeId(0)).logical, None);
}

#[test]
fn hostile_texts_are_refused_in_bounded_time() {
    let deep = format!("{}\"int\"{}", "{\"type\":\"array\",\"items\":".repeat(100), "}".repeat(100));
    assert!(Schema::parse(&deep).is_err());
    assert!(Schema::parse(&"[".repeat(100_000)).is_err());
    assert!(Schema::parse(&" ".repeat(MAX_TEXT + 1)).is_err());
    // Defaults that lean on each other: 2^40 comparisons without a bound.
    let mut fields = vec![json!({"name": "f0", "type": {"type": "record", "name": "R0", "fields": []}})];
    for level in 1..40 {
        let below = format!("R{}", level - 1);
        fields.push(
            json!({"name": format!("f{level}"), "type": {"type": "record", "name": format!("R{level}"), "fields": [
            {"name": "a", "type": below, "default": {}}, {"name": "b", "type": below, "default": {}}]}}),
        );
    }
    assert!(refused(&json!({"type": "record", "name": "R", "fields": fields})).1.contains("too large"));
    // A default that needs itself.
    let own = json!({"type": "record", "name": "A", "fields": [{"name": "a", "type": "A", "default": {}}]});
    assert!(Schema::parse(&own.to_string()).is_err());
}

#[test]
fn conveniences_find_fields_and_nullable_branches() {
    let schema = parse(&order());
    let due = schema.field(schema.root(), "due").expect("due");
    let inner = schema.nullable(due.node).expect("nullable");
    assert_eq!(schema.node(inner).logical, Some(Logical::Date));
    assert_eq!(schema.nullable(schema.root()), None);
    assert_eq!(schema.record(schema.root()).map(|record| record.name.as_str()), Some("shop.Order"));
}

fn reasons(reader: &Value, writer: &Value) -> Vec<(&'static str, String)> {
    can_read(&parse(reader), &parse(writer)).into_iter().map(|reason| (reason.kind.as_str(), reason.path)).collect()
}

fn one(fields: Value) -> Value {
    json!({"type": "record", "name": "R", "fields": fields})
}

#[test]
fn pairs_are_judged_as_avro_java_judges_them() {
    let ab = json!({"type": "enum", "name": "E", "symbols": ["A", "B"]});
    let a = json!({"type": "enum", "name": "E", "symbols": ["A"]});
    let fixed = |name: &str, size: u32| json!({"type": "fixed", "name": name, "size": size});
    let list = |items: &str| one(json!([{"name": "head", "type": items}, {"name": "tail", "type": ["null", "R"]}]));
    type Reasons = Vec<(&'static str, &'static str)>;
    let golden: Vec<(Value, Value, Reasons)> = vec![
        (json!("long"), json!("int"), vec![]),
        (json!("int"), json!("long"), vec![("TYPE_MISMATCH", "/")]),
        (json!("float"), json!("long"), vec![]),
        (json!("double"), json!("float"), vec![]),
        (json!("float"), json!("double"), vec![("TYPE_MISMATCH", "/")]),
        (json!("string"), json!("bytes"), vec![]),
        (json!("bytes"), json!("string"), vec![]),
        (json!("null"), json!("int"), vec![("TYPE_MISMATCH", "/")]),
        (ab.clone(), a.clone(), vec![]),
        (a.clone(), ab.clone(), vec![("MISSING_ENUM_SYMBOLS", "/symbols")]),
        (json!({"type": "enum", "name": "E", "symbols": ["A"], "default": "A"}), ab.clone(), vec![]),
        (fixed("F", 4), fixed("F", 4), vec![]),
        (fixed("F", 4), fixed("F", 5), vec![("FIXED_SIZE_MISMATCH", "/size")]),
        (fixed("F", 4), fixed("G", 4), vec![("NAME_MISMATCH", "/name")]),
        (fixed("x.F", 4), fixed("y.F", 4), vec![]),
        (json!({"type": "fixed", "name": "F", "size": 4, "aliases": ["y.G"]}), fixed("y.G", 4), vec![]),
        (json!(["null", "int"]), json!("int"), vec![]),
        (json!("int"), json!(["null", "int"]), vec![("TYPE_MISMATCH", "/0")]),
        (json!("int"), json!(["int"]), vec![]),
        (json!(["null", "int"]), json!(["int", "string"]), vec![("MISSING_UNION_BRANCH", "/1")]),
        (
            one(json!([{"name": "a", "type": "int"}])),
            one(json!([])),
            vec![("READER_FIELD_MISSING_DEFAULT_VALUE", "/fields/0")],
        ),
        (one(json!([{"name": "a", "type": "int", "default": 0}])), one(json!([])), vec![]),
        (one(json!([])), one(json!([{"name": "a", "type": "int"}])), vec![]),
        (
            one(json!([{"name": "b", "aliases": ["a"], "type": "long"}])),
            one(json!([{"name": "a", "type": "int"}])),
            vec![],
        ),
        (list("long"), list("int"), vec![]),
        (list("int"), list("long"), vec![("TYPE_MISMATCH", "/fields/0/type")]),
        (
            json!({"type": "array", "items": "int"}),
            json!({"type": "array", "items": "string"}),
            vec![("TYPE_MISMATCH", "/items")],
        ),
        (json!({"type": "map", "values": "long"}), json!({"type": "map", "values": "int"}), vec![]),
        (
            one(json!([{"name": "a", "type": "int"}, {"name": "b", "type": "int"}])),
            one(json!([{"name": "a", "type": "string"}])),
            vec![("TYPE_MISMATCH", "/fields/0/type"), ("READER_FIELD_MISSING_DEFAULT_VALUE", "/fields/1")],
        ),
    ];
    for (reader, writer, expected) in golden {
        let found = reasons(&reader, &writer);
        let found: Vec<(&str, &str)> = found.iter().map(|(kind, path)| (*kind, path.as_str())).collect();
        assert_eq!(found, expected, "{reader} reads {writer}");
    }
}

#[test]
fn entangled_schemas_are_compared_without_running_out_of_stack() {
    // Rings of records of one simple name: the comparison goes around both until it meets a pair again,
    // which is as many steps as the lengths' least common multiple.
    let ring = |length: usize| {
        let mut node = json!("n0.N");
        for index in (0..length).rev() {
            node = json!({"type": "record", "name": format!("n{index}.N"), "fields": [{"name": "next", "type": ["null", node]}]});
        }
        parse(&node)
    };
    assert_eq!(can_read(&ring(13), &ring(14)), []);
    let reasons = can_read(&ring(29), &ring(30));
    assert!(reasons.iter().any(|reason| reason.kind == IncompatibilityKind::MissingUnionBranch), "{reasons:?}");
}

#[test]
fn json_there_and_back() {
    let schema = parse(&order());
    let given = json!({
        "id": 7, "total": "12.5", "placed": "2026-01-31T23:59:59.5Z", "due": "2026-02-14",
        "lines": [{"sku": "a-1", "count": 2}], "hash": "\u{0}\u{ff}"
    });
    let mut body = Vec::new();
    encode(&schema, &given, &mut body).expect("fits");
    assert_eq!(
        render(&schema, &body).expect("well-formed"),
        json!({
            "id": 7, "total": "12.50", "placed": "2026-01-31T23:59:59.5Z", "due": "2026-02-14", "state": "NEW",
            "lines": [{"sku": "a-1", "count": 2}], "tags": {}, "hash": "\u{0}\u{ff}"
        })
    );
    // An independent reader agrees.
    let theirs = apache_avro::Schema::parse_str(schema.text()).expect("a schema to them too");
    #[expect(deprecated, reason = "the shortest way to read one datum")]
    let datum = apache_avro::from_avro_datum(&theirs, &mut body.as_slice(), None);
    assert!(datum.is_ok(), "{datum:?}");
}

#[test]
fn every_mistake_is_named_at_once() {
    let schema = parse(&order());
    let given = json!({
        "id": "7", "total": "1.234", "placed": "yesterday", "due": true, "state": "LOST",
        "lines": [{"sku": 1}], "extra": 1
    });
    let mut body = vec![1, 2, 3];
    let errors = encode(&schema, &given, &mut body).expect_err("full of mistakes");
    let paths: Vec<&str> = errors.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(paths, ["id", "total", "placed", "due", "state", "lines[0].sku", "lines[0].count", "extra"]);
    assert_eq!(errors.first().map(ToString::to_string).as_deref(), Some("id: \"7\" is not a long"));
    assert_eq!(body, [1, 2, 3], "nothing is left behind");
}

#[test]
fn a_union_takes_the_first_branch_that_fits() {
    let schema = parse(&json!(["null", "int", "long", "string"]));
    let index = |value: Value| {
        let mut body = Vec::new();
        encode(&schema, &value, &mut body).map(|()| body.first().copied().unwrap_or_default() / 2)
    };
    assert_eq!(index(Value::Null), Ok(0));
    assert_eq!(index(json!(1)), Ok(1));
    assert_eq!(index(json!(1_i64 << 40)), Ok(2));
    assert_eq!(index(json!("x")), Ok(3));
    assert_eq!(index(json!(true)).map_err(|errors| errors.len()), Err(1));
}

#[test]
fn logical_types_are_shown_for_people() {
    let shown = |schema: Value, body: &[u8]| render(&parse(&schema), body).expect("well-formed");
    assert_eq!(shown(json!({"type": "int", "logicalType": "date"}), &[0]), json!("1970-01-01"));
    assert_eq!(shown(json!({"type": "int", "logicalType": "time-millis"}), &[0xd0, 0x0f]), json!("00:00:01"));
    assert_eq!(
        shown(json!({"type": "long", "logicalType": "timestamp-micros"}), &[2]),
        json!("1970-01-01T00:00:00.000001Z")
    );
    assert_eq!(
        shown(json!({"type": "long", "logicalType": "local-timestamp-millis"}), &[0]),
        json!("1970-01-01T00:00:00")
    );
    let uuid = json!({"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"});
    assert_eq!(shown(uuid, &[0x11; 16]), json!("11111111-1111-1111-1111-111111111111"));
    assert_eq!(shown(json!("double"), &f64::NAN.to_le_bytes()), json!("NaN"));
    assert_eq!(shown(json!("float"), &0.1_f32.to_le_bytes()), json!(0.1));
}

#[test]
fn hostile_bodies_are_refused_in_bounded_time() {
    let refused = |schema: Value, body: &[u8]| render(&parse(&schema), body).expect_err("malformed").message;
    assert!(refused(json!("int"), &[0, 0]).contains("left over"));
    assert!(refused(json!("int"), &[0x80]).contains("ends"));
    assert!(refused(json!("long"), &[0xff; 11]).contains("64 bits"));
    assert!(refused(json!("string"), &[0xfe, 0xff, 0xff, 0xff, 0x0f]).contains("ends"));
    assert!(refused(json!("string"), &[2, 0xff]).contains("UTF-8"));
    assert!(refused(json!("boolean"), &[2]).contains("boolean"));
    assert!(refused(json!({"type": "array", "items": "int"}), &[0xfe, 0xff, 0xff, 0xff, 0x0f]).contains("items"));
    assert!(refused(json!({"type": "array", "items": "null"}), &[0xfe, 0xff, 0xff, 0xff, 0x0f]).contains("items"));
    let minimum = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    assert!(refused(json!({"type": "array", "items": "null"}), &minimum).contains("ends"));
    let itself = json!({"type": "record", "name": "A", "fields": [{"name": "a", "type": "A"}]});
    assert!(refused(itself, &[]).contains("deep"));
    let list = json!({"type": "record", "name": "A", "fields": [{"name": "a", "type": ["null", "A"]}]});
    assert!(refused(list, &[2; 5000]).contains("deep"));
}
