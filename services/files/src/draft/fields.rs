//! The fields of a draft: types and names for what was seen.

use std::collections::BTreeSet;

use contract::avro::{self, Logical, NodeId, Schema};

use super::kind::{Kind, Member, Node, Unit};
use super::leaf::{DATE, FIRST_PATTERN, LOCAL, Leaf, PATTERNS, SURE, TIME, TOKENS, ZONED};
use super::names::allowed;
use super::rules::Rules;
use super::texts::Kinds;
use super::tree::Place;

/// Words in names of what is paid.
const MONEY: [&str; 16] = [
    "price", "amount", "cost", "total", "fee", "fare", "tip", "salary", "balance", "revenue", "tax", "payment", "toll",
    "discount", "usd", "eur",
];
/// Most digits of a decimal.
const MAX_PRECISION: u32 = 38;

/// A field as it will be written.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    /// What Avro calls it.
    pub(crate) name: String,
    /// What the file calls it.
    pub(crate) original: String,
    pub(crate) kind: Kind,
    pub(crate) nullable: bool,
    /// How its dates are written, where not as ISO 8601.
    pub(crate) format: Option<&'static str>,
    pub(crate) rules: Rules,
    /// What a person should know of it, as comments.
    pub(crate) notes: Vec<String>,
    pub(crate) classification: Option<&'static str>,
    pub(crate) primary: bool,
    /// The fields of the record that it is, or that its items or values are.
    pub(crate) fields: Vec<Field>,
}

/// What is decided for all fields of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice<'a> {
    /// Tokens that mean null.
    pub(crate) nulls: &'a [String],
    /// Fields that are text whatever they look like, by path.
    pub(crate) texts: &'a BTreeSet<String>,
    /// Fields that may be null whatever was seen, by path.
    pub(crate) nullable: &'a BTreeSet<String>,
}

/// The tokens that mean null in this file: those that are sure, and those in columns that are no text
/// without them.
pub(crate) fn null_tokens(root: &Place) -> Vec<String> {
    let mut tokens = BTreeSet::new();
    for (name, place) in &root.members {
        let leaf = &place.leaf;
        for (index, (token, count)) in TOKENS.iter().zip(leaf.tokens).enumerate() {
            let typed = leaf.texts > 0 && text_kind(leaf, name, true) != Kind::Text;
            let empty = leaf.texts == 0 && *token == "NA";
            if count > 0 && (index < SURE || typed || empty) {
                tokens.insert(index);
            }
        }
    }
    tokens.into_iter().filter_map(|index| TOKENS.get(index)).map(|token| (*token).to_owned()).collect()
}

/// How many cells were tokens, and how many of them are values all the same.
pub(crate) fn tokens(leaf: &Leaf, nulls: &[String]) -> (u64, u64) {
    let mut counts = (0, 0);
    for (token, count) in TOKENS.iter().zip(leaf.tokens) {
        if nulls.iter().any(|null| null == token) { counts.0 += count } else { counts.1 += count }
    }
    counts
}

/// The fields of the records of a file.
pub(crate) fn fields(place: &Place, records: u64, prefix: &str, choice: Choice<'_>) -> Vec<Field> {
    let originals: Vec<String> = place.members.iter().map(|(name, _)| name.clone()).collect();
    let names = allowed(&originals);
    let made = place.members.iter().zip(names);
    made.map(|((original, place), name)| {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let mut field = field(place, original, name, &path, choice);
        let there = place.present() + place.leaf.nulls + place.leaf.blanks + place.leaf.tokens.iter().sum::<u64>();
        field.nullable |= there < records || choice.nullable.contains(&path);
        field
    })
    .collect()
}

fn field(place: &Place, original: &str, name: String, path: &str, choice: Choice<'_>) -> Field {
    let node = node(place, original, path, choice);
    let format = match (&node.kind, place.leaf.way().and_then(|way| way.checked_sub(FIRST_PATTERN))) {
        (Kind::Date | Kind::Timestamp { .. }, Some(pattern)) => PATTERNS.get(pattern).copied(),
        _ => None,
    };
    let inner = inner(place);
    let fields = match record_of(&node.kind) {
        Some(_) => fields(inner, inner.objects, path, choice),
        None => Vec::new(),
    };
    Field {
        name,
        original: original.to_owned(),
        kind: node.kind,
        nullable: node.nullable,
        format,
        rules: Rules::default(),
        notes: Vec::new(),
        classification: None,
        primary: false,
        fields,
    }
}

/// The place of the record that a field is, or that its items or values are.
pub(crate) fn inner(place: &Place) -> &Place {
    match &place.items {
        Some(items) if place.objects == 0 || place.keyed => inner(items),
        _ => place,
    }
}

/// The record that a type is or holds.
pub(crate) fn record_of(kind: &Kind) -> Option<&[Member]> {
    match kind {
        Kind::Record(members) => Some(members),
        Kind::Array(node) | Kind::Map(node) => record_of(&node.kind),
        _ => None,
    }
}

fn node(place: &Place, name: &str, path: &str, choice: Choice<'_>) -> Node {
    let leaf = &place.leaf;
    let (null_tokens, other_tokens) = tokens(leaf, choice.nulls);
    let mut kinds = Vec::new();
    if leaf.booleans > 0 {
        kinds.push(Kind::Boolean);
    }
    if leaf.numbers_given > 0 {
        kinds.push(number_kind(leaf, name));
    }
    if leaf.texts + other_tokens > 0 || (leaf.blanks > 0 && leaf.texts == 0) {
        let kind = match other_tokens > 0 || choice.texts.contains(path) {
            true => Kind::Text,
            false => text_kind(leaf, name, leaf.nulls + null_tokens > 0),
        };
        kinds.push(kind);
    }
    if place.arrays > 0 {
        let items = place.items.as_ref().map(|items| node(items, name, path, choice));
        let items = items.unwrap_or(Node { kind: Kind::Text, nullable: true });
        kinds.push(Kind::Array(Box::new(items)));
    }
    if place.objects > 0 {
        kinds.push(object_kind(place, name, path, choice));
    }
    let nothing = kinds.is_empty();
    let (kind, text) = match kinds.len() {
        0 => (Kind::Text, false),
        1 => (kinds.remove(0), false),
        // Of several types, the text is what fits none of the others.
        _ => {
            kinds.iter_mut().for_each(|kind| {
                if !matches!(
                    kind,
                    Kind::Boolean
                        | Kind::Int
                        | Kind::Long
                        | Kind::Double
                        | Kind::Array(_)
                        | Kind::Map(_)
                        | Kind::Record(_)
                ) {
                    *kind = Kind::Text;
                }
            });
            (Kind::Union(kinds), true)
        }
    };
    let blank = leaf.blanks > 0 && !text && kind != Kind::Text;
    Node { kind, nullable: leaf.nulls + null_tokens > 0 || blank || nothing }
}

fn object_kind(place: &Place, name: &str, path: &str, choice: Choice<'_>) -> Kind {
    if place.keyed || place.members.is_empty() {
        let values = place.items.as_ref().map(|values| node(values, name, path, choice));
        return Kind::Map(Box::new(values.unwrap_or(Node { kind: Kind::Text, nullable: true })));
    }
    let member = |(original, place): &(String, Place)| Member {
        original: original.clone(),
        node: Node { nullable: true, ..node(place, original, path, choice) },
    };
    Kind::Record(place.members.iter().map(member).collect())
}

fn whole(least: i64, most: i64, name: &str) -> Kind {
    let small = -(1 << 30)..1 << 30;
    let id = name.to_ascii_lowercase().ends_with("id");
    if small.contains(&least) && small.contains(&most) && !id { Kind::Int } else { Kind::Long }
}

fn number_kind(leaf: &Leaf, name: &str) -> Kind {
    let numbers = &leaf.numbers;
    if numbers.broken { Kind::Double } else { whole(numbers.least_whole, numbers.most_whole, name) }
}

fn money(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| MONEY.contains(&word.trim_end_matches('s')) || MONEY.contains(&word))
}

/// The type of cells that are all text.
fn text_kind(leaf: &Leaf, name: &str, nulls: bool) -> Kind {
    if leaf.texts == 0 || leaf.invalid > 0 {
        return Kind::Text;
    }
    if leaf.flags {
        return Kind::Boolean;
    }
    if leaf.numeric {
        return numeric_kind(leaf, name, nulls);
    }
    let unit = Unit::holding(leaf.digits);
    match leaf.way() {
        Some(DATE) => Kind::Date,
        Some(ZONED) => Kind::Timestamp { unit, local: false },
        Some(LOCAL) => Kind::Timestamp { unit, local: true },
        Some(TIME) if unit < Unit::Nanos => Kind::Time { unit },
        Some(way) if way >= FIRST_PATTERN => match PATTERNS.get(way - FIRST_PATTERN) {
            Some(pattern) if pattern.contains('m') => Kind::Timestamp { unit: Unit::Millis, local: true },
            _ => Kind::Date,
        },
        _ if leaf.kinds.has(Kinds::UUID) => Kind::Uuid,
        _ => Kind::Text,
    }
}

fn numeric_kind(leaf: &Leaf, name: &str, nulls: bool) -> Kind {
    let numbers = &leaf.numbers;
    // The number of a card is no number to compute with.
    if leaf.texts >= 5 && leaf.kinds.has(Kinds::CARD) {
        return Kind::Text;
    }
    let lower = name.to_ascii_lowercase();
    if leaf.ways & (1 << (FIRST_PATTERN + 10)) != 0 && (lower.contains("date") || lower.contains("day")) {
        return Kind::Date;
    }
    // Whole numbers beside nulls, as pandas writes them: `5.0`.
    let zeros = numbers.points == numbers.count && numbers.fractions == 0 && nulls;
    if !numbers.broken && numbers.exponents == 0 && (numbers.points == 0 || zeros) {
        let flag = lower.starts_with("is_") || lower.starts_with("has_");
        if flag && numbers.least_whole >= 0 && numbers.most_whole <= 1 && !zeros {
            return Kind::Boolean;
        }
        return whole(numbers.least_whole, numbers.most_whole, name);
    }
    if numbers.points == 0 && numbers.exponents == 0 && numbers.infinite == 0 {
        // More digits than a long has: a number that nobody computes with.
        return Kind::Text;
    }
    let precision = numbers.before + numbers.after + 4;
    if money(name)
        && numbers.exponents == 0
        && numbers.infinite == 0
        && (1..=4).contains(&numbers.after)
        && precision <= MAX_PRECISION
    {
        return Kind::Decimal { precision, scale: numbers.after };
    }
    Kind::Double
}

/// The types of a file that has them, with what was seen to say which fields are never null.
pub(crate) fn given(kind: &Kind, place: Option<&Place>, records: u64, tighten: bool) -> Vec<Field> {
    let Some(members) = record_of(kind) else { return Vec::new() };
    let originals: Vec<String> = members.iter().map(|member| member.original.clone()).collect();
    let names = allowed(&originals);
    let made = members.iter().zip(names);
    made.map(|(member, name)| {
        let seen = place.and_then(|place| place.members.iter().find(|(name, _)| *name == member.original));
        let seen = seen.map(|(_, place)| place);
        let never_null = seen.is_some_and(|place| place.leaf.nulls == 0 && place.present() == records && records > 0);
        let below = seen.map(inner);
        Field {
            name,
            original: member.original.clone(),
            kind: member.node.kind.clone(),
            nullable: member.node.nullable && !(tighten && never_null),
            format: None,
            rules: Rules::default(),
            notes: Vec::new(),
            classification: None,
            primary: false,
            fields: given(&member.node.kind, below, below.map_or(0, |below| below.objects), tighten),
        }
    })
    .collect()
}

/// An Avro type as drafts have it; a record inside of itself is not followed.
pub(crate) fn of_avro(schema: &Schema, id: NodeId, above: &mut Vec<NodeId>) -> Node {
    use avro::Kind as A;
    if let A::Union(branches) = &schema.node(id).kind {
        let nullable = branches.iter().any(|branch| matches!(schema.node(*branch).kind, A::Null));
        let others = branches.iter().filter(|branch| !matches!(schema.node(**branch).kind, A::Null));
        let mut kinds: Vec<Kind> = others.map(|branch| of_avro(schema, *branch, above).kind).collect();
        let kind = if kinds.len() == 1 { kinds.remove(0) } else { Kind::Union(kinds) };
        return Node { kind, nullable };
    }
    let node = schema.node(id);
    let kind = match (&node.kind, node.logical) {
        (_, Some(Logical::Decimal { precision, scale })) => Kind::Decimal { precision, scale },
        (_, Some(Logical::Date)) => Kind::Date,
        (_, Some(Logical::TimeMillis)) => Kind::Time { unit: Unit::Millis },
        (_, Some(Logical::TimeMicros)) => Kind::Time { unit: Unit::Micros },
        (_, Some(Logical::TimestampMillis)) => Kind::Timestamp { unit: Unit::Millis, local: false },
        (_, Some(Logical::TimestampMicros)) => Kind::Timestamp { unit: Unit::Micros, local: false },
        (_, Some(Logical::TimestampNanos)) => Kind::Timestamp { unit: Unit::Nanos, local: false },
        (_, Some(Logical::LocalTimestampMillis)) => Kind::Timestamp { unit: Unit::Millis, local: true },
        (_, Some(Logical::LocalTimestampMicros)) => Kind::Timestamp { unit: Unit::Micros, local: true },
        (_, Some(Logical::LocalTimestampNanos)) => Kind::Timestamp { unit: Unit::Nanos, local: true },
        (A::Boolean, _) => Kind::Boolean,
        (A::Int, _) => Kind::Int,
        (A::Long, _) => Kind::Long,
        (A::Float, _) => Kind::Float,
        (A::Double, _) => Kind::Double,
        (A::Bytes, _) => Kind::Bytes,
        (A::String, Some(Logical::Uuid)) => Kind::Uuid,
        (A::String, _) => Kind::Text,
        (A::Enum(_), _) => Kind::Symbols,
        (A::Fixed(_), _) => Kind::Fixed,
        (A::Array(items), _) => Kind::Array(Box::new(of_avro(schema, *items, above))),
        (A::Map(values), _) => Kind::Map(Box::new(of_avro(schema, *values, above))),
        (A::Record(_), _) if above.contains(&id) => Kind::Record(Vec::new()),
        (A::Record(record), _) => {
            above.push(id);
            let member = |field: &avro::Field| (field.name.clone(), field.node);
            let members: Vec<(String, NodeId)> = record.fields.iter().map(member).collect();
            let members =
                members.into_iter().map(|(original, node)| Member { original, node: of_avro(schema, node, above) });
            let kind = Kind::Record(members.collect());
            above.pop();
            kind
        }
        (A::Null | A::Union(_), _) => Kind::Union(Vec::new()),
    };
    Node { kind, nullable: false }
}
