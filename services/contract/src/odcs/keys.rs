//! Which keys an ODCS document has at each of its levels, which it must have, and of what type: the JSON
//! schemas of ODCS 3.1 and 3.2 as tables.

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
    pub(super) name: &'static str,
    pub(super) want: Want,
    pub(super) required: bool,
    /// Whether ODCS has it only since 3.2.
    pub(super) new: bool,
}

/// The keys of a mapping.
pub(super) struct Shape {
    /// With its article: "a property".
    pub(super) what: &'static str,
    keys: &'static [Key],
    /// Those that it shares with another shape.
    more: &'static [Key],
}

impl Shape {
    pub(super) fn keys(&self) -> impl Iterator<Item = &'static Key> + Clone + use<> {
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

/// The kinds of servers of the standard (3.2; 3.1 knows some fewer).
const SERVER_TYPE: Want = Want::Word(&[
    "kafka",
    "api",
    "athena",
    "azure",
    "bigquery",
    "btrieve",
    "clickhouse",
    "cloudsql",
    "custom",
    "databricks",
    "db2",
    "denodo",
    "dremio",
    "duckdb",
    "exasol",
    "fastobjects",
    "glue",
    "hana",
    "hive",
    "iceberg",
    "impala",
    "informix",
    "ingres",
    "kinesis",
    "local",
    "mysql",
    "oracle",
    "poet",
    "postgres",
    "postgresql",
    "presto",
    "pubsub",
    "redshift",
    "s3",
    "sftp",
    "snowflake",
    "sqlserver",
    "synapse",
    "teradata",
    "trino",
    "vectorwise",
    "versant",
    "vertica",
    "zen",
]);

/// The keys of every kind of server: Weir takes none of them from the contract.
static SERVER: Shape = Shape {
    what: "a server",
    keys: &[
        key("id", Want::Text),
        must("server", Want::Text),
        must("type", SERVER_TYPE),
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
    "string",
    "date",
    "timestamp",
    "time",
    "number",
    "integer",
    "object",
    "array",
    "boolean",
    "map",
    "vector",
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

static MAP: Shape =
    Shape { what: "a map", keys: &[must("key", Want::Map(&ITEM)), must("value", Want::Map(&ITEM))], more: &[] };

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
        key("metric", Want::Word(&["nullValues", "missingValues", "invalidValues", "duplicateValues", "rowCount"])),
        key("rule", Want::Text),
        key("arguments", Want::Map(&ARGUMENTS)),
        key("query", Want::Text),
        key("engine", Want::Text),
        key("implementation", Want::Any),
        key("description", Want::Text),
        key(
            "dimension",
            Want::Word(&[
                "accuracy",
                "completeness",
                "conformity",
                "consistency",
                "coverage",
                "timeliness",
                "uniqueness",
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
