//! The types that a draft may give, as a tree with the names that the file has.

/// What a time is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unit {
    Millis,
    Micros,
    Nanos,
}

impl Unit {
    /// By how many there are in a second.
    pub(crate) fn of(per_second: i64) -> Self {
        match per_second {
            ..=1_000 => Self::Millis,
            1_001..=1_000_000 => Self::Micros,
            _ => Self::Nanos,
        }
    }

    /// The coarsest that holds so many digits after the second.
    pub(crate) fn holding(digits: u8) -> Self {
        match digits {
            0..=3 => Self::Millis,
            4..=6 => Self::Micros,
            _ => Self::Nanos,
        }
    }

    /// As Avro's logical types have it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Millis => "millis",
            Self::Micros => "micros",
            Self::Nanos => "nanos",
        }
    }
}

/// A type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Decimal {
        precision: u32,
        scale: u32,
    },
    Date,
    Time {
        unit: Unit,
    },
    Timestamp {
        unit: Unit,
        local: bool,
    },
    Uuid,
    Text,
    Bytes,
    /// A named type of the file's own Avro schema: an enum, or bytes of a fixed number.
    Symbols,
    Fixed,
    Array(Box<Node>),
    Map(Box<Node>),
    Record(Vec<Member>),
    /// Several, none of them null.
    Union(Vec<Kind>),
}

/// A type, and whether there may be nothing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) nullable: bool,
}

/// A field as the file calls it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Member {
    pub(crate) original: String,
    pub(crate) node: Node,
}

impl Kind {
    /// The logical type of ODCS; `None` for a union, which it has no word for.
    pub(crate) fn logical(&self) -> Option<&'static str> {
        Some(match self {
            Self::Boolean => "boolean",
            Self::Int | Self::Long => "integer",
            Self::Float | Self::Double | Self::Decimal { .. } => "number",
            Self::Date => "date",
            Self::Time { .. } => "time",
            Self::Timestamp { .. } => "timestamp",
            Self::Uuid | Self::Text | Self::Bytes | Self::Symbols | Self::Fixed => "string",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Record(_) => "object",
            Self::Union(_) => return None,
        })
    }
}
