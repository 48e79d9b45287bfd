//! Which keys an ODCS document has at each of its levels, which it must have, and of what type: the shape of
//! the JSON schemas of ODCS 3.1 and 3.2, checked before anything is understood.

use super::mistake::{Mistakes, nearest, one_of, shown, suggest};
use super::yaml::{Node, Scalar, Value};

/// The type of a key's value.
pub(super) enum Want {
    /// Anything.
    Any,
    /// Anything but a list or a mapping.
    Scalar,
    Text,
    Flag,
    Number,
    Whole,
    /// Text, one of these.
    Word(&'static [&'static str]),
    List(&'static Want),
    Map(&'static Shape),
    /// Text, or a list of texts.
    Texts,
    /// A list of the first, or one of the second.
    ListOrMap(&'static Want, &'static Shape),
    /// Text, or a mapping.
    TextOrMap(&'static Shape),
}

/// A key of a mapping.
pub(super) struct Key {
    name: &'static str,
    want: Want,
    required: bool,
    /// Whether ODCS has it only since 3.2.
    new: bool,
}

/// The keys of a mapping.
pub(super) struct Shape {
    /// With its article: "a property".
    what: &'static str,
    keys: &'static [Key],
    /// Those that it shares with another shape.
    more: &'static [Key],
}

impl Shape {
    fn keys(&self) -> impl Iterator<Item = &'static Key> + Clone + use<> {
        self.keys.iter().chain(self.more)
    }
}

const fn key(name: &'static str, want: Want) -> Key {
    Key { name, want, required: false, new: false }
}

const fn must(name: &'static str, want: Want) -> Key {
    Key { name, want, required: true, new: false }
}

const fn new(name: &'static str, want: Want) -> Key {
    Key { name, want, required: false, new: true }
}

const TEXTS: Want = Want::List(&Want::Text);
const CUSTOM: Want = Want::List(&Want::Map(&CUSTOM_PROPERTY));
const DEFINITIONS: Want = Want::List(&Want::Map(&DEFINITION));
const QUALITY: Want = Want::List(&Want::Map(&QUALITY_ENTRY));

const RELATIONSHIPS: Want = Want::List(&Want::Map(&RELATIONSHIP));
const ENUM: Want = Want::List(&Want::Map(&ENUM_VALUE));

/// The document.
pub(super) static CONTRACT: Shape = Shape {
    what: "a data contract",
    keys: &[
        must("apiVersion", Want::Scalar),
        must("kind", Want::Word(&["DataContract"])),
        must("id", Want::Text),
        must("version", Want::Scalar),
        must("status", Want::Word(&["proposed", "draft", "active", "deprecated", "retired"])),
        must("domain", Want::Text),
        must("schema", Want::List(&Want::Map(&OBJECT))),
        key("name", Want::Text),
        key("tenant", Want::Text),
        key("tags", TEXTS),
        key("servers", Want::List(&Want::Map(&SERVER))),
        key("dataProduct", Want::Text),
        key("description", Want::Map(&DESCRIPTION)),
        new("context", Want::TextOrMap(&CONTEXT)),
        key("support", Want::List(&Want::Map(&SUPPORT))),
        key("price", Want::Map(&PRICE)),
        key("team", Want::ListOrMap(&Want::Map(&MEMBER), &TEAM)),
        key("roles", Want::List(&Want::Map(&ROLE))),
        key("slaDefaultElement", Want::Text),
        key("slaProperties", Want::List(&Want::Map(&SLA))),
        key("authoritativeDefinitions", DEFINITIONS),
        key("customProperties", CUSTOM),
        key("contractCreatedTs", Want::Text),
    ],
    more: &[],
};

static DESCRIPTION: Shape = Shape {
    what: "a description",
    keys: &[
        key("purpose", Want::Text),
        key("usage", Want::Text),
        key("limitations", Want::Text),
        key("authoritativeDefinitions", DEFINITIONS),
        key("customProperties", CUSTOM),
    ],
    more: &[],
};

static CONTEXT: Shape = Shape {
    what: "a context",
    keys: &[key("instructions", Want::Text), key("verifiedStatements", Want::Any), key("constraints", Want::Any)],
    more: &[],
};

static DEFINITION: Shape = Shape {
    what: "an authoritative definition",
    keys: &[key("id", Want::Text), must("url", Want::Text), must("type", Want::Text), key("description", Want::Text)],
    more: &[],
};

static CUSTOM_PROPERTY: Shape = Shape {
    what: "a custom property",
    keys: &[
        key("id", Want::Text),
        must("property", Want::Text),
        must("value", Want::Any),
        key("description", Want::Text),
        new("vendor", Want::Text),
    ],
    more: &[],
};

static SUPPORT: Shape = Shape {
    what: "a support channel",
    keys: &[
        key("id", Want::Text),
        must("channel", Want::Text),
        key("url", Want::Text),
        key("description", Want::Text),
        key("tool", Want::Text),
        key("scope", Want::Text),
        key("invitationUrl", Want::Text),
        key("customProperties", CUSTOM),
    ],
    more: &[],
};

static PRICE: Shape = Shape {
    what: "a price",
    keys: &[
        key("id", Want::Text),
        key("priceAmount", Want::Number),
        key("priceCurrency", Want::Text),
        key("priceUnit", Want::Text),
    ],
    more: &[],
};

static MEMBER: Shape = Shape {
    what: "a team member",
    keys: &[
        key("id", Want::Text),
        must("username", Want::Text),
        key("name", Want::Text),
        key("description", Want::Text),
        key("role", Want::Text),
        key("dateIn", Want::Text),
        key("dateOut", Want::Text),
        key("replacedByUsername", Want::Text),
        key("tags", TEXTS),
        key("customProperties", CUSTOM),
        key("authoritativeDefinitions", DEFINITIONS),
    ],
    more: &[],
};

static TEAM: Shape = Shape {
    what: "a team",
    keys: &[
        key("id", Want::Text),
        key("name", Want::Text),
        key("description", Want::Text),
        key("members", Want::List(&Want::Map(&MEMBER))),
        key("tags", TEXTS),
        key("customProperties", CUSTOM),
        key("authoritativeDefinitions", DEFINITIONS),
    ],
    more: &[],
};

static ROLE: Shape = Shape {
    what: "a role",
    keys: &[
        key("id", Want::Text),
        must("role", Want::Text),
        key("description", Want::Text),
        key("access", Want::Text),
        key("firstLevelApprovers", Want::Text),
        key("secondLevelApprovers", Want::Text),
        key("customProperties", CUSTOM),
    ],
    more: &[],
};

static SLA: Shape = Shape {
    what: "a service level property",
    keys: &[
        key("id", Want::Text),
        must("property", Want::Text),
        must("value", Want::Scalar),
        key("valueExt", Want::Scalar),
        key("unit", Want::Text),
        key("element", Want::Text),
        key("driver", Want::Text),
        key("description", Want::Text),
        key("scheduler", Want::Text),
        key("schedule", Want::Text),
        new("customProperties", CUSTOM),
        new("authoritativeDefinitions", DEFINITIONS),
    ],
    more: &[],
};

/// The keys of every kind of server: Weir takes none of them from the contract.
static SERVER: Shape = Shape {
    what: "a server",
    keys: &[
        key("id", Want::Text),
        must("server", Want::Text),
        must("type", Want::Text),
        key("description", Want::Text),
        key("environment", Want::Text),
        key("roles", Want::Any),
        key("customProperties", CUSTOM),
        key("account", Want::Scalar),
        key("catalog", Want::Scalar),
        key("catalogUrl", Want::Scalar),
        key("database", Want::Scalar),
        key("dataset", Want::Scalar),
        key("delimiter", Want::Scalar),
        key("encoding", Want::Scalar),
        key("endpointUrl", Want::Scalar),
        key("format", Want::Scalar),
        key("host", Want::Scalar),
        key("location", Want::Scalar),
        key("namespace", Want::Scalar),
        key("path", Want::Scalar),
        key("port", Want::Scalar),
        key("project", Want::Scalar),
        key("region", Want::Scalar),
        key("regionName", Want::Scalar),
        key("schema", Want::Scalar),
        key("serviceName", Want::Scalar),
        key("stagingDir", Want::Scalar),
        key("stream", Want::Scalar),
        key("warehouse", Want::Scalar),
        key("workgroup", Want::Scalar),
    ],
    more: &[],
};

static OBJECT: Shape = Shape {
    what: "a schema object",
    keys: &[
        key("id", Want::Text),
        must("name", Want::Text),
        key("logicalType", Want::Word(&["object"])),
        key("physicalName", Want::Text),
        key("physicalType", Want::Text),
        key("description", Want::Text),
        key("businessName", Want::Text),
        new("deprecated", Want::Flag),
        new("synonyms", Want::Any),
        key("authoritativeDefinitions", DEFINITIONS),
        key("tags", TEXTS),
        key("customProperties", CUSTOM),
        key("dataGranularityDescription", Want::Text),
        must("properties", Want::List(&Want::Map(&PROPERTY))),
        key("relationships", RELATIONSHIPS),
        key("quality", QUALITY),
        new("context", Want::TextOrMap(&CONTEXT)),
    ],
    more: &[],
};

static PROPERTY: Shape = Shape { what: "a property", keys: &[must("name", Want::Text)], more: &PROPERTY_KEYS };
static ITEM: Shape = Shape { what: "an item", keys: &[key("name", Want::Text)], more: &PROPERTY_KEYS };

const LOGICAL_TYPE: Want = Want::Word(&[
    "string", "date", "timestamp", "time", "number", "integer", "object", "array", "boolean", "map", "vector",
]);

static PROPERTY_KEYS: [Key; 32] = [
    key("id", Want::Text),
    key("logicalType", LOGICAL_TYPE),
    key("logicalTypeOptions", Want::Any),
    key("physicalType", Want::Text),
    key("physicalName", Want::Text),
    key("description", Want::Text),
    key("businessName", Want::Text),
    new("deprecated", Want::Flag),
    new("synonyms", Want::Any),
    key("authoritativeDefinitions", DEFINITIONS),
    key("tags", TEXTS),
    key("customProperties", CUSTOM),
    key("primaryKey", Want::Flag),
    key("primaryKeyPosition", Want::Whole),
    key("required", Want::Flag),
    key("unique", Want::Flag),
    new("semanticType", Want::Word(&["column", "measure", "dimension"])),
    key("partitioned", Want::Flag),
    key("partitionKeyPosition", Want::Whole),
    key("classification", Want::Text),
    key("encryptedName", Want::Text),
    key("transformSourceObjects", TEXTS),
    key("transformLogic", Want::Text),
    key("transformDescription", Want::Text),
    key("examples", Want::List(&Want::Any)),
    new("enum", ENUM),
    key("criticalDataElement", Want::Flag),
    key("relationships", RELATIONSHIPS),
    key("quality", QUALITY),
    key("properties", Want::List(&Want::Map(&PROPERTY))),
    key("items", Want::Map(&ITEM)),
    new("map", Want::Map(&MAP)),
];

static MAP: Shape = Shape { what: "a map", keys: &[must("key", Want::Map(&ITEM)), must("value", Want::Map(&ITEM))], more: &[] };

static ENUM_VALUE: Shape = Shape {
    what: "an enumerated value",
    keys: &[
        must("value", Want::Scalar),
        key("label", Want::Text),
        key("id", Want::Text),
        key("description", Want::Text),
        key("customProperties", CUSTOM),
        key("authoritativeDefinitions", DEFINITIONS),
        key("tags", TEXTS),
    ],
    more: &[],
};

static RELATIONSHIP: Shape = Shape {
    what: "a relationship",
    keys: &[
        new("id", Want::Text),
        key("type", Want::Word(&["foreignKey"])),
        key("from", Want::Texts),
        key("to", Want::Texts),
        key("customProperties", CUSTOM),
    ],
    more: &[],
};

static QUALITY_ENTRY: Shape = Shape {
    what: "a quality entry",
    keys: &[
        key("id", Want::Text),
        key("name", Want::Text),
        key("type", Want::Word(&["library", "sql", "custom", "text"])),
        key(
            "metric",
            Want::Word(&["nullValues", "missingValues", "invalidValues", "duplicateValues", "rowCount"]),
        ),
        key("rule", Want::Text),
        key("arguments", Want::Map(&ARGUMENTS)),
        key("query", Want::Text),
        key("engine", Want::Text),
        key("implementation", Want::Any),
        key("description", Want::Text),
        key(
            "dimension",
            Want::Word(&[
                "accuracy", "completeness", "conformity", "consistency", "coverage", "timeliness", "uniqueness",
            ]),
        ),
        key("severity", Want::Word(&["error", "warning"])),
        key("businessImpact", Want::Text),
        key("method", Want::Text),
        key("schedule", Want::Text),
        key("scheduler", Want::Text),
        key("tags", TEXTS),
        key("unit", Want::Text),
        key("customProperties", CUSTOM),
        key("authoritativeDefinitions", DEFINITIONS),
        key("mustBe", Want::Scalar),
        key("mustNotBe", Want::Scalar),
        key("mustBeGreaterThan", Want::Number),
        key("mustBeGreaterOrEqualTo", Want::Number),
        key("mustBeLessThan", Want::Number),
        key("mustBeLessOrEqualTo", Want::Number),
        key("mustBeBetween", Want::List(&Want::Number)),
        key("mustNotBeBetween", Want::List(&Want::Number)),
    ],
    more: &[],
};

static ARGUMENTS: Shape = Shape {
    what: "the arguments of a metric",
    keys: &[
        key("missingValues", Want::List(&Want::Scalar)),
        key("validValues", Want::List(&Want::Scalar)),
        key("pattern", Want::Text),
        key("properties", TEXTS),
    ],
    more: &[],
};

/// Checks a whole document. `newer` is whether it is ODCS 3.2.
pub(super) fn check(root: &Node, newer: bool, mistakes: &mut Mistakes) {
    Checker { newer, mistakes }.map(root, &CONTRACT);
}

struct Checker<'a> {
    newer: bool,
    mistakes: &'a mut Mistakes,
}

impl Checker<'_> {
    fn map(&mut self, node: &Node, shape: &Shape) {
        for (given, value) in node.entries() {
            let Some(key) = shape.keys().find(|key| key.name == given.text) else {
                self.unknown(given.place, &given.text, shape);
                continue;
            };
            if key.new && !self.newer {
                let what = format!("`{}` of {} is new in ODCS 3.2", key.name, shape.what);
                self.mistakes.at(given.place, what, "`apiVersion: v3.2.0`, or leave it out");
            }
            // An empty value of an optional key says nothing, which is allowed to be said.
            if !value.is_null() || key.required {
                self.value(key.name, value, &key.want);
            }
        }
        for key in shape.keys().filter(|key| key.required && node.get(key.name).is_none()) {
            let what = format!("{} must have `{}`", shape.what, key.name);
            self.mistakes.at(node.place, what, example(key));
        }
    }

    fn unknown(&mut self, place: super::mistake::Place, given: &str, shape: &Shape) {
        let known = shape.keys().filter(|key| self.newer || !key.new).map(|key| key.name);
        let what = format!("{} is not a key of {}", shown(given), shape.what);
        let instead = match nearest(given, known.clone()) {
            Some(near) => format!("`{near}`"),
            None if shape.keys().any(|key| key.name == "customProperties") => {
                "it under `customProperties`, or leave it out".to_owned()
            }
            None => one_of(known),
        };
        self.mistakes.at(place, what, instead);
    }

    fn value(&mut self, name: &str, node: &Node, want: &Want) {
        match want {
            Want::Any => {}
            Want::Scalar if node.raw().is_some() => {}
            Want::Text if node.text().is_some() => {}
            Want::Flag if node.flag().is_some() => {}
            Want::Number if node.number().is_some() => {}
            Want::Whole if node.number().is_some_and(|number| number.parse::<i64>().is_ok()) => {}
            Want::Word(words) if node.text().is_some() => {
                let given = node.text().unwrap_or_default();
                if !words.contains(&given) {
                    let what = format!("`{name}` cannot be {}", shown(given));
                    self.mistakes.at(node.place, what, suggest(given, words.iter().copied()));
                }
            }
            Want::Texts if node.text().is_some() => {}
            Want::List(item) | Want::ListOrMap(item, _) if matches!(node.value, Value::List(_)) => {
                for node in node.items() {
                    self.value(name, node, item);
                }
            }
            Want::Texts if matches!(node.value, Value::List(_)) => {
                for node in node.items() {
                    self.value(name, node, &Want::Text);
                }
            }
            Want::Map(shape) | Want::ListOrMap(_, shape) | Want::TextOrMap(shape)
                if matches!(node.value, Value::Map(_)) =>
            {
                self.map(node, shape);
            }
            Want::TextOrMap(_) if node.text().is_some() => {}
            _ => self.wrong(name, node, want),
        }
    }

    fn wrong(&mut self, name: &str, node: &Node, want: &Want) {
        let (wanted, instead) = match want {
            Want::Text | Want::Word(_) | Want::Texts | Want::TextOrMap(_) | Want::Any | Want::Scalar => {
                let quoted = match node.scalar() {
                    Some(Scalar::Number(_) | Scalar::Bool(_)) => format!("`\"{}\"`", node.raw().unwrap_or_default()),
                    _ => format!("`{name}: …` on one line"),
                };
                (if matches!(want, Want::Scalar) { "one value" } else { "text" }, quoted)
            }
            Want::Flag => ("true or false", "`true` or `false`".to_owned()),
            Want::Number => ("a number", format!("a number such as `{name}: 1`")),
            Want::Whole => ("a whole number", format!("a whole number such as `{name}: 1`")),
            Want::List(_) => ("a list", format!("`{name}:` and its items on lines that begin with `-`")),
            Want::ListOrMap(..) => ("a list or a mapping", format!("`{name}:` and its keys on lines of their own")),
            Want::Map(_) => ("a mapping", format!("`{name}:` and its keys on lines of their own")),
        };
        self.mistakes.at(node.place, format!("`{name}` must be {wanted}, not {}", node.kind()), instead);
    }
}

/// What a missing key could look like.
fn example(key: &Key) -> String {
    let value = match (key.name, &key.want) {
        ("apiVersion", _) => "v3.1.0",
        ("version", _) => "1.0.0",
        ("status", _) => "active",
        ("domain", _) => "orders",
        (_, Want::Word([first, ..])) => first,
        (_, Want::List(_)) => return format!("`{}:` and its items on lines that begin with `-`", key.name),
        (_, Want::Map(_)) => return format!("`{}:` and its keys on lines of their own", key.name),
        _ => "…",
    };
    format!("`{}: {value}`", key.name)
}
