//! Writes a draft: the Avro schema and the ODCS document, with comments where a decision is somebody's.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use contract::Dialect;
use schemas::ProductId;
use serde_json::{Value, json};

use super::fields::Field;
use super::kind::{Kind, Unit};
use super::names::{type_name, unused};
use super::relations::Condition;
use super::rules::Rules;

/// Longest comment, in characters.
const MAX_COMMENT: usize = 300;

/// Everything that a draft says.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    pub(crate) product: &'a ProductId,
    pub(crate) owner: Option<&'a str>,
    pub(crate) source: String,
    pub(crate) fields: &'a [Field],
    pub(crate) conditions: &'a [Condition],
    pub(crate) dialect: &'a Dialect,
    /// The file of the schema.
    pub(crate) schema: &'a str,
}

/// The Avro schema of the fields, as text.
pub(crate) fn schema(product: &ProductId, fields: &[Field], doc: &str) -> String {
    let mut taken = BTreeSet::new();
    let name = unused(&type_name(product.name.as_str()), &mut taken);
    let mut text = format!(
        "{{\n  \"type\": \"record\",\n  \"name\": {},\n  \"namespace\": {},\n  \"doc\": {},\n  \"fields\": [\n",
        json!(name),
        json!(product.domain.as_str().replace('-', "_")),
        json!(doc)
    );
    for (index, field) in fields.iter().enumerate() {
        let comma = if index + 1 < fields.len() { "," } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "    {}{comma}", avro_field(field, &mut taken));
    }
    text.push_str("  ]\n}\n");
    text
}

fn avro_field(field: &Field, taken: &mut BTreeSet<String>) -> Value {
    let kind = avro(&field.kind, field, taken);
    if !field.nullable {
        return json!({"name": field.name, "type": kind});
    }
    let kind = match kind {
        Value::Array(branches) => Value::Array(std::iter::once(json!("null")).chain(branches).collect()),
        kind => json!(["null", kind]),
    };
    json!({"name": field.name, "type": kind, "default": null})
}

fn avro(kind: &Kind, field: &Field, taken: &mut BTreeSet<String>) -> Value {
    let annotated = |kind: &str, logical: String| json!({"type": kind, "logicalType": logical});
    let perhaps = |kind: Value, nullable: bool| match kind {
        Value::Array(branches) if nullable => Value::Array(std::iter::once(json!("null")).chain(branches).collect()),
        kind if nullable => json!(["null", kind]),
        kind => kind,
    };
    match kind {
        Kind::Boolean => json!("boolean"),
        Kind::Int => json!("int"),
        Kind::Long => json!("long"),
        Kind::Float => json!("float"),
        Kind::Double => json!("double"),
        Kind::Text | Kind::Symbols => json!("string"),
        Kind::Bytes | Kind::Fixed => json!("bytes"),
        Kind::Uuid => annotated("string", "uuid".to_owned()),
        Kind::Decimal { precision, scale } => {
            json!({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale})
        }
        Kind::Date => annotated("int", "date".to_owned()),
        Kind::Time { unit: Unit::Millis } => annotated("int", "time-millis".to_owned()),
        Kind::Time { .. } => annotated("long", "time-micros".to_owned()),
        Kind::Timestamp { unit, local } => {
            annotated("long", format!("{}timestamp-{}", if *local { "local-" } else { "" }, unit.word()))
        }
        Kind::Array(items) => {
            json!({"type": "array", "items": perhaps(avro(&items.kind, field, taken), items.nullable)})
        }
        Kind::Map(values) => {
            json!({"type": "map", "values": perhaps(avro(&values.kind, field, taken), values.nullable)})
        }
        Kind::Record(_) => {
            let name = unused(&type_name(&field.name), taken);
            let fields: Vec<Value> = field.fields.iter().map(|field| avro_field(field, taken)).collect();
            json!({"type": "record", "name": name, "fields": fields})
        }
        Kind::Union(kinds) => Value::Array(kinds.iter().map(|kind| avro(kind, field, taken)).collect()),
    }
}

/// A scalar of YAML: as it is where that can be nothing else, in quotes otherwise.
pub(crate) fn scalar(text: &str) -> String {
    let word = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | '/'))
        && !text.ends_with(' ');
    let known = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"];
    if word && !known.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    json!(text).to_string()
}

struct Yaml(String);

impl Yaml {
    fn line(&mut self, depth: usize, text: &str) {
        let _ = writeln!(self.0, "{}{text}", "  ".repeat(depth));
    }

    fn comment(&mut self, depth: usize, text: &str) {
        let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_COMMENT).collect();
        self.line(depth, &format!("# {clean}"));
    }
}

/// The ODCS document.
pub(crate) fn contract(document: &Document<'_>) -> String {
    let mut yaml = Yaml(String::new());
    let product = document.product;
    let title = capital(&product.name.as_str().replace('-', " "));
    yaml.comment(0, "A draft made from data: what is a comment here was observed, what is a rule has room beyond it.");
    yaml.comment(0, "Go through the fields, tighten what you know better, and remove what you read.");
    let newer = has_keyed(document.fields);
    yaml.line(0, if newer { "apiVersion: v3.2.0" } else { "apiVersion: v3.1.0" });
    yaml.line(0, "kind: DataContract");
    yaml.line(0, &format!("id: {}", scalar(&product.to_string())));
    yaml.line(0, &format!("name: {}", scalar(&title)));
    yaml.line(0, "version: 1.0.0");
    yaml.line(0, "status: active");
    yaml.line(0, &format!("domain: {}", scalar(product.domain.as_str())));
    yaml.line(0, &format!("dataProduct: {}", scalar(product.name.as_str())));
    yaml.line(0, "description:");
    yaml.comment(1, "Say what one record is, what it is for, and what it is not.");
    yaml.line(1, &format!("purpose: {}", scalar(&document.source)));
    match document.owner {
        Some(owner) => {
            yaml.line(0, "team:");
            yaml.line(1, &format!("name: {}", scalar(owner)));
        }
        None => yaml.comment(0, "team: { name: … }   who answers for it (--owner)"),
    }
    yaml.line(0, "schema:");
    yaml.line(1, &format!("- name: {}", scalar(&type_name(product.name.as_str()))));
    yaml.line(2, "logicalType: object");
    yaml.line(2, "physicalType: avro");
    yaml.line(2, "properties:");
    properties(&mut yaml, document.fields, 3);
    custom(&mut yaml, document);
    yaml.0
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

fn has_keyed(fields: &[Field]) -> bool {
    fn keyed(kind: &Kind) -> bool {
        match kind {
            Kind::Map(_) => true,
            Kind::Array(items) => keyed(&items.kind),
            _ => false,
        }
    }
    fields.iter().any(|field| keyed(&field.kind) || has_keyed(&field.fields))
}

fn properties(yaml: &mut Yaml, fields: &[Field], depth: usize) {
    for field in fields {
        yaml.line(depth, &format!("- name: {}", scalar(&field.name)));
        let depth = depth + 1;
        for note in &field.notes {
            yaml.comment(depth, note);
        }
        if field.original != field.name {
            yaml.line(depth, &format!("physicalName: {}", scalar(&field.original)));
        }
        property(yaml, &field.kind, field, depth, true);
    }
}

/// What is said of a type; `own` where it is the field's own and not that of its items.
fn property(yaml: &mut Yaml, kind: &Kind, field: &Field, depth: usize, own: bool) {
    if let Some(logical) = kind.logical() {
        let logical = if matches!(kind, Kind::Map(_)) { "map" } else { logical };
        yaml.line(depth, &format!("logicalType: {logical}"));
    }
    if own {
        if field.primary {
            yaml.line(depth, "primaryKey: true");
            yaml.line(depth, "primaryKeyPosition: 1");
        }
        if !field.nullable {
            yaml.line(depth, "required: true");
        }
        if let Some(class) = field.classification {
            yaml.line(depth, &format!("classification: {class}"));
        }
        options(yaml, &field.rules, field.format, depth);
        values(yaml, &field.rules, depth);
    }
    match kind {
        Kind::Array(items) if items.kind.logical().is_some() => {
            yaml.line(depth, "items:");
            property(yaml, &items.kind, field, depth + 1, false);
        }
        Kind::Map(values) => {
            yaml.line(depth, "map:");
            yaml.line(depth + 1, "key: { logicalType: string }");
            match values.kind.logical() {
                Some(_) => {
                    yaml.line(depth + 1, "value:");
                    property(yaml, &values.kind, field, depth + 2, false);
                }
                None => yaml.line(depth + 1, "value: {}"),
            }
        }
        Kind::Record(members) if !members.is_empty() => {
            yaml.line(depth, "properties:");
            properties(yaml, &field.fields, depth + 1);
        }
        _ => {}
    }
}

fn options(yaml: &mut Yaml, rules: &Rules, format: Option<&str>, depth: usize) {
    if !rules.has_options() && format.is_none() {
        return;
    }
    yaml.line(depth, "logicalTypeOptions:");
    let number = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("{name}: {value}"));
    let lines = [
        number("minimum", &rules.minimum),
        number("maximum", &rules.maximum),
        rules.min_length.map(|length| format!("minLength: {length}")),
        rules.max_length.map(|length| format!("maxLength: {length}")),
        rules.pattern.as_ref().map(|pattern| format!("pattern: {}", json!(pattern))),
        rules.format.or(format).map(|format| format!("format: {}", scalar(format))),
    ];
    lines.iter().flatten().for_each(|line| yaml.line(depth + 1, line));
}

fn values(yaml: &mut Yaml, rules: &Rules, depth: usize) {
    if rules.values.is_empty() {
        return;
    }
    let values: Vec<String> = rules.values.iter().map(|value| json!(value).to_string()).collect();
    yaml.line(depth, "quality:");
    yaml.line(depth + 1, "- metric: invalidValues");
    yaml.line(depth + 2, "arguments:");
    yaml.line(depth + 3, &format!("validValues: [{}]", values.join(", ")));
    yaml.line(depth + 2, "mustBe: 0");
}

fn custom(yaml: &mut Yaml, document: &Document<'_>) {
    yaml.line(0, "customProperties:");
    yaml.line(1, "- property: weir.schema");
    yaml.line(2, &format!("value: {}", scalar(document.schema)));
    let key: Vec<&str> =
        document.fields.iter().filter(|field| field.primary).map(|field| field.name.as_str()).collect();
    if let [key] = key.as_slice() {
        yaml.comment(1, "Records of the same key stay in order. It must be what the key of each record says.");
        yaml.line(1, "- property: weir.key");
        yaml.line(2, "value:");
        yaml.line(3, "type: utf8");
        yaml.line(3, &format!("fields: [{}]", scalar(key)));
    }
    dialect(yaml, document.dialect);
    if !document.conditions.is_empty() {
        yaml.line(1, "- property: weir.conditions");
        yaml.line(2, "value:");
        for condition in document.conditions {
            yaml.comment(3, &condition.note);
            yaml.line(3, &format!("- id: {}", scalar(&condition.id)));
            yaml.line(4, &format!("expression: {}", json!(condition.expression)));
        }
    }
}

fn dialect(yaml: &mut Yaml, dialect: &Dialect) {
    let usual = Dialect::default();
    if *dialect == usual {
        return;
    }
    yaml.comment(1, "How the file is written that this was made from; `weir check` and `weir produce` read by it.");
    yaml.line(1, "- property: weir.file");
    yaml.line(2, "value:");
    let text = |letter: char| json!(letter.to_string()).to_string();
    let mut say = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            yaml.line(3, &format!("{name}: {value}"));
        }
    };
    say("separator", dialect.separator.map(text));
    say("quote", (dialect.quote != usual.quote).then(|| dialect.quote.map_or("null".to_owned(), text)));
    say("escape", dialect.escape.map(text));
    say("skip", (dialect.skip > 0).then(|| dialect.skip.to_string()));
    say("rowNames", dialect.row_names.then(|| "true".to_owned()));
    say("header", (!dialect.header).then(|| "false".to_owned()));
    say("encoding", dialect.encoding.as_deref().map(scalar));
    say("decimal", (dialect.decimal != usual.decimal).then(|| text(dialect.decimal)));
    say("thousands", dialect.thousands.map(text));
    let nulls: Vec<String> = dialect.nulls.iter().map(|token| json!(token).to_string()).collect();
    say("nulls", (!nulls.is_empty()).then(|| format!("[{}]", nulls.join(", "))));
}
