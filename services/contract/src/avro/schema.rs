//! The arena. A recursive type is a node that is reached again; nothing here is a tree that could be
//! dropped or printed without end.

use std::sync::Arc;

/// A node of one [`Schema`]; meaningless in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) u32);

/// A parsed Avro schema.
#[derive(Debug, Clone)]
pub struct Schema {
    /// The text it was parsed from.
    pub(crate) text: Arc<str>,
    /// Every node; named types once each.
    pub(crate) nodes: Vec<Node>,
    /// Where reading begins.
    pub(crate) root: NodeId,
}

impl Schema {
    /// The text it was parsed from.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Where reading begins.
    pub fn root(&self) -> NodeId {
        self.root
    }

    /// The node with this id, which must come from this schema.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }
}

/// A type, and the logical type that annotates it if it is one the specification knows and its underlying
/// type fits; others are ignored, as the specification demands ("Logical Types").
#[derive(Debug, Clone)]
pub struct Node {
    /// The type.
    pub kind: Kind,
    /// Its annotation.
    pub logical: Option<Logical>,
}

/// A complex or primitive type.
#[derive(Debug, Clone)]
pub enum Kind {
    /// No value, no byte.
    Null,
    /// One byte, 0 or 1.
    Boolean,
    /// 32 bits, zig-zag varint.
    Int,
    /// 64 bits, zig-zag varint.
    Long,
    /// 4 bytes, little-endian.
    Float,
    /// 8 bytes, little-endian.
    Double,
    /// Length and bytes.
    Bytes,
    /// Length and UTF-8.
    String,
    /// Blocks of items.
    Array(NodeId),
    /// Blocks of string keys and values.
    Map(NodeId),
    /// Branch index and value. Never holds a union; never holds a type twice.
    Union(Vec<NodeId>),
    /// Fields in order.
    Record(Record),
    /// Symbol index.
    Enum(Enumeration),
    /// A fixed number of bytes.
    Fixed(Fixed),
}

/// A record.
#[derive(Debug, Clone)]
pub struct Record {
    /// Full name, namespace included.
    pub name: String,
    /// Full names it is also known by.
    pub aliases: Vec<String>,
    /// What it says of itself.
    pub doc: Option<String>,
    /// Its fields in order of writing.
    pub fields: Vec<Field>,
}

/// A field of a record.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Names it is also known by.
    pub aliases: Vec<String>,
    /// What it says of itself.
    pub doc: Option<String>,
    /// Its type.
    pub node: NodeId,
    /// Its default, in the specification's JSON encoding; `None` where there is none (a null default is
    /// `Some(Value::Null)`).
    pub default: Option<serde_json::Value>,
}

/// An enumeration.
#[derive(Debug, Clone)]
pub struct Enumeration {
    /// Full name.
    pub name: String,
    /// Full names it is also known by.
    pub aliases: Vec<String>,
    /// Its symbols in order.
    pub symbols: Vec<String>,
    /// What an unknown symbol is read as.
    pub default: Option<String>,
}

/// A fixed number of bytes.
#[derive(Debug, Clone)]
pub struct Fixed {
    /// Full name.
    pub name: String,
    /// Full names it is also known by.
    pub aliases: Vec<String>,
    /// How many bytes.
    pub size: usize,
}

/// Logical types of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Logical {
    /// On bytes or fixed: an unscaled two's-complement big-endian integer.
    Decimal {
        /// Digits in all.
        precision: u32,
        /// Digits after the point.
        scale: u32,
    },
    /// On string or fixed(16).
    Uuid,
    /// On int: days since 1970-01-01.
    Date,
    /// On int: milliseconds since midnight.
    TimeMillis,
    /// On long: microseconds since midnight.
    TimeMicros,
    /// On long: milliseconds since the epoch, UTC.
    TimestampMillis,
    /// On long: microseconds since the epoch, UTC.
    TimestampMicros,
    /// On long: nanoseconds since the epoch, UTC.
    TimestampNanos,
    /// On long: milliseconds since 1970-01-01T00:00:00 in a zone left open.
    LocalTimestampMillis,
    /// On long: microseconds, likewise.
    LocalTimestampMicros,
    /// On long: nanoseconds, likewise.
    LocalTimestampNanos,
    /// On fixed(12): months, days and milliseconds.
    Duration,
}

impl Schema {
    /// The record at this node, if it is one.
    pub fn record(&self, id: NodeId) -> Option<&Record> {
        match &self.node(id).kind {
            Kind::Record(record) => Some(record),
            _ => None,
        }
    }

    /// The other branch of a union of null and one type; `None` for anything else.
    pub fn nullable(&self, id: NodeId) -> Option<NodeId> {
        let Kind::Union(branches) = &self.node(id).kind else { return None };
        let [a, b] = branches.as_slice() else { return None };
        match (&self.node(*a).kind, &self.node(*b).kind) {
            (Kind::Null, _) => Some(*b),
            (_, Kind::Null) => Some(*a),
            _ => None,
        }
    }

    /// The field of this name in the record at this node.
    pub fn field(&self, record: NodeId, name: &str) -> Option<&Field> {
        self.record(record)?.fields.iter().find(|field| field.name == name)
    }

    /// The full name of a named type, the specification's name of any other.
    pub fn type_name(&self, id: NodeId) -> &str {
        self.node(id).kind.name()
    }
}

impl Kind {
    /// The full name of a named type, the specification's name of any other.
    pub fn name(&self) -> &str {
        match self {
            Self::Record(record) => &record.name,
            Self::Enum(enumeration) => &enumeration.name,
            Self::Fixed(fixed) => &fixed.name,
            other => other.type_word(),
        }
    }

    /// The specification's word for this kind of type: `record`, `long`, `union`.
    pub fn type_word(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::String => "string",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Union(_) => "union",
            Self::Record(_) => "record",
            Self::Enum(_) => "enum",
            Self::Fixed(_) => "fixed",
        }
    }
}
