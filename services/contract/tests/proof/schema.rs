//! Avro schemas as plain data, and the text that other implementations read them from.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Primitive {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Text,
    Bytes,
}

impl Primitive {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Text => "string",
            Self::Bytes => "bytes",
        }
    }
}

/// A logical type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Decimal { precision: u32, scale: u32 },
    Uuid,
    Date,
    TimeMillis,
    TimeMicros,
    TimestampMillis,
    TimestampMicros,
    TimestampNanos,
    LocalTimestampMillis,
}

impl Mark {
    fn write(self, into: &mut Map<String, Json>) {
        let name = match self {
            Self::Decimal { precision, scale } => {
                into.insert("precision".to_owned(), json!(precision));
                into.insert("scale".to_owned(), json!(scale));
                "decimal"
            }
            Self::Uuid => "uuid",
            Self::Date => "date",
            Self::TimeMillis => "time-millis",
            Self::TimeMicros => "time-micros",
            Self::TimestampMillis => "timestamp-millis",
            Self::TimestampMicros => "timestamp-micros",
            Self::TimestampNanos => "timestamp-nanos",
            Self::LocalTimestampMillis => "local-timestamp-millis",
        };
        into.insert("logicalType".to_owned(), json!(name));
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Type {
    Primitive(Primitive, Option<Mark>),
    Union(Vec<Type>),
    Array(Box<Type>),
    Map(Box<Type>),
    /// A record, enum or fixed: its index in the schema.
    Named(usize),
}

pub(crate) const NULL: Type = Type::Primitive(Primitive::Null, None);

#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) body: Body,
}

#[derive(Debug, Clone)]
pub(crate) enum Body {
    Record(Vec<Field>),
    Enum { symbols: Vec<String>, default: Option<String> },
    Fixed { size: usize, mark: Option<Mark> },
}

#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) kind: Type,
    pub(crate) default: Option<Json>,
}

/// A schema whose root is the first of its named types, a record.
#[derive(Debug, Clone)]
pub(crate) struct Schema {
    pub(crate) named: Vec<Named>,
}

impl Schema {
    pub(crate) fn root(&self) -> Type {
        Type::Named(0)
    }

    pub(crate) fn fields(&self, index: usize) -> Option<&[Field]> {
        match &self.named[index].body {
            Body::Record(fields) => Some(fields),
            _ => None,
        }
    }

    pub(crate) fn mark(&self, kind: &Type) -> Option<Mark> {
        match kind {
            Type::Primitive(_, mark) => *mark,
            Type::Named(index) => match self.named[*index].body {
                Body::Fixed { mark, .. } => mark,
                _ => None,
            },
            _ => None,
        }
    }

    /// The schema as JSON text; without its logical types, if a reader shall not interpret them.
    pub(crate) fn text(&self, logical: bool) -> String {
        self.json(&self.root(), logical, &mut BTreeSet::new()).to_string()
    }

    fn json(&self, kind: &Type, logical: bool, defined: &mut BTreeSet<usize>) -> Json {
        match kind {
            Type::Primitive(primitive, mark) => match mark.filter(|_| logical) {
                None => json!(primitive.name()),
                Some(mark) => {
                    let mut object = Map::from_iter([("type".to_owned(), json!(primitive.name()))]);
                    mark.write(&mut object);
                    Json::Object(object)
                }
            },
            Type::Union(branches) => branches.iter().map(|branch| self.json(branch, logical, defined)).collect(),
            Type::Array(item) => json!({"type": "array", "items": self.json(item, logical, defined)}),
            Type::Map(value) => json!({"type": "map", "values": self.json(value, logical, defined)}),
            Type::Named(index) if !defined.insert(*index) => json!(self.named[*index].name),
            Type::Named(index) => self.definition(&self.named[*index], logical, defined),
        }
    }

    fn definition(&self, named: &Named, logical: bool, defined: &mut BTreeSet<usize>) -> Json {
        let mut object = Map::from_iter([("name".to_owned(), json!(named.name))]);
        if !named.aliases.is_empty() {
            object.insert("aliases".to_owned(), json!(named.aliases));
        }
        match &named.body {
            Body::Fixed { size, mark } => {
                object.insert("type".to_owned(), json!("fixed"));
                object.insert("size".to_owned(), json!(size));
                if let Some(mark) = mark.filter(|_| logical) {
                    mark.write(&mut object);
                }
            }
            Body::Enum { symbols, default } => {
                object.insert("type".to_owned(), json!("enum"));
                object.insert("symbols".to_owned(), json!(symbols));
                if let Some(default) = default {
                    object.insert("default".to_owned(), json!(default));
                }
            }
            Body::Record(fields) => {
                object.insert("type".to_owned(), json!("record"));
                let fields = fields.iter().map(|field| {
                    let mut object = Map::from_iter([("name".to_owned(), json!(field.name))]);
                    object.insert("type".to_owned(), self.json(&field.kind, logical, defined));
                    if !field.aliases.is_empty() {
                        object.insert("aliases".to_owned(), json!(field.aliases));
                    }
                    if let Some(default) = &field.default {
                        object.insert("default".to_owned(), default.clone());
                    }
                    Json::Object(object)
                });
                let fields = fields.collect();
                object.insert("fields".to_owned(), fields);
            }
        }
        Json::Object(object)
    }
}
