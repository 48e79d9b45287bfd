//! From JSON text to the arena. What Avro Java 1.12 accepts is accepted, within bounds; what it refuses is
//! refused with the place. Knows nothing of files or registries.
//!
//! Source: Apache Avro 1.12 specification, "Schema Declaration", "Names", "Aliases", "Logical Types".

mod attributes;

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::defaults;
use super::schema::{Enumeration, Field, Fixed, Kind, Logical, Node, NodeId, Record, Schema};
pub(super) use attributes::shown;
use attributes::{Named, check_name, doc, logical, named, text, texts};
pub(super) use attributes::{decimal, join};

/// Longest schema text, in bytes.
pub const MAX_TEXT: usize = 256 * 1024;
/// Deepest nesting of types in the text.
pub const MAX_DEPTH: usize = 64;
/// Most types in one schema, each mention of a primitive counted.
pub const MAX_NODES: usize = 20_000;

/// Why a text is not an Avro schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the Avro schema{}: {message}", at(path))]
pub struct SchemaError {
    /// Where in the JSON text: `fields[2].type`; empty for the whole.
    pub path: String,
    /// What is wrong there and what would be right, as a sentence.
    pub message: String,
}

fn at(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!(" at {path}") }
}

impl SchemaError {
    pub(super) fn new(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), message: message.into() }
    }
}

impl Schema {
    /// Reads a schema from its JSON text.
    ///
    /// Bounds: [`MAX_TEXT`], [`MAX_DEPTH`], [`MAX_NODES`].
    ///
    /// # Errors
    /// [`SchemaError`] for the first thing that is not Avro.
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        if text.len() > MAX_TEXT {
            return Err(SchemaError::new(
                "",
                format!("the text has {} bytes; at most {MAX_TEXT} are read", text.len()),
            ));
        }
        // Avro allows a bare primitive name as a whole schema only as a JSON string.
        let value: Value =
            serde_json::from_str(text).map_err(|why| SchemaError::new("", format!("this is not JSON: {why}")))?;
        let mut parser = Parser { nodes: Vec::new(), names: HashMap::new() };
        let root = parser.schema(&value, "", None, 0)?;
        let schema = Self { text: text.into(), nodes: parser.nodes, root };
        defaults::check(&schema)?;
        Ok(schema)
    }
}

pub(super) fn primitive(name: &str) -> Option<Kind> {
    Some(match name {
        "null" => Kind::Null,
        "boolean" => Kind::Boolean,
        "int" => Kind::Int,
        "long" => Kind::Long,
        "float" => Kind::Float,
        "double" => Kind::Double,
        "bytes" => Kind::Bytes,
        "string" => Kind::String,
        _ => return None,
    })
}

struct Parser {
    nodes: Vec<Node>,
    names: HashMap<String, NodeId>,
}

impl Parser {
    fn schema(
        &mut self,
        value: &Value,
        path: &str,
        namespace: Option<&str>,
        depth: usize,
    ) -> Result<NodeId, SchemaError> {
        if depth > MAX_DEPTH {
            return Err(SchemaError::new(path, format!("types are nested more than {MAX_DEPTH} deep")));
        }
        match value {
            Value::String(name) => self.reference(name, path, namespace),
            Value::Array(branches) => self.union(branches, path, namespace, depth),
            Value::Object(object) => self.object(object, path, namespace, depth),
            other => Err(SchemaError::new(
                path,
                format!("{} is no type; a type is a name, an object or an array", shown(other)),
            )),
        }
    }

    fn add(&mut self, kind: Kind, logical: Option<Logical>, path: &str) -> Result<NodeId, SchemaError> {
        if self.nodes.len() >= MAX_NODES {
            return Err(SchemaError::new(path, format!("the schema has more than {MAX_NODES} types")));
        }
        let id =
            u32::try_from(self.nodes.len()).map_err(|_| SchemaError::new(path, "the schema has too many types"))?;
        self.nodes.push(Node { kind, logical });
        Ok(NodeId(id))
    }

    fn reference(&mut self, name: &str, path: &str, namespace: Option<&str>) -> Result<NodeId, SchemaError> {
        if let Some(kind) = primitive(name) {
            return self.add(kind, None, path);
        }
        // Avro Java looks in the enclosing namespace first and then in none.
        let qualified = match namespace {
            Some(space) if !name.contains('.') => format!("{space}.{name}"),
            _ => name.to_owned(),
        };
        self.names.get(&qualified).or_else(|| self.names.get(name)).copied().ok_or_else(|| {
            SchemaError::new(
                path,
                format!("{name:?} is no primitive type and no type of that name is defined before this place"),
            )
        })
    }

    fn union(
        &mut self,
        branches: &[Value],
        path: &str,
        namespace: Option<&str>,
        depth: usize,
    ) -> Result<NodeId, SchemaError> {
        let id = self.add(Kind::Union(Vec::new()), None, path)?;
        let mut ids = Vec::with_capacity(branches.len().min(MAX_NODES));
        let mut seen = HashSet::new();
        for (index, branch) in branches.iter().enumerate() {
            let place = format!("{path}[{index}]");
            let branch = self.schema(branch, &place, namespace, depth + 1)?;
            let kind = self.kind(branch);
            if matches!(kind, Some(Kind::Union(_))) {
                return Err(SchemaError::new(&place, "a union may not hold a union"));
            }
            let name = kind.map(Kind::name).unwrap_or_default().to_owned();
            if !seen.insert(name.clone()) {
                return Err(SchemaError::new(&place, format!("the union holds {name} twice")));
            }
            ids.push(branch);
        }
        self.set(id, Kind::Union(ids));
        Ok(id)
    }

    fn kind(&self, id: NodeId) -> Option<&Kind> {
        self.nodes.get(id.0 as usize).map(|node| &node.kind)
    }

    fn set(&mut self, id: NodeId, kind: Kind) {
        if let Some(node) = self.nodes.get_mut(id.0 as usize) {
            node.kind = kind;
        }
    }

    fn object(
        &mut self,
        object: &Map<String, Value>,
        path: &str,
        namespace: Option<&str>,
        depth: usize,
    ) -> Result<NodeId, SchemaError> {
        let place = join(path, "type");
        match object.get("type") {
            None => Err(SchemaError::new(path, "a type that is an object needs \"type\"")),
            Some(Value::String(word)) => match word.as_str() {
                "record" | "error" => self.record(object, path, namespace, depth),
                "enum" => self.enumeration(object, path, namespace),
                "fixed" => self.fixed(object, path, namespace),
                "array" => {
                    let items = self.inner(object, "items", path, namespace, depth)?;
                    self.add(Kind::Array(items), None, path)
                }
                "map" => {
                    let values = self.inner(object, "values", path, namespace, depth)?;
                    self.add(Kind::Map(values), None, path)
                }
                name => match primitive(name) {
                    Some(kind) => {
                        let logical = logical(object, &kind);
                        self.add(kind, logical, path)
                    }
                    None => self.reference(name, &place, namespace),
                },
            },
            Some(inner) => self.schema(inner, &place, namespace, depth + 1),
        }
    }

    fn inner(
        &mut self,
        object: &Map<String, Value>,
        key: &str,
        path: &str,
        namespace: Option<&str>,
        depth: usize,
    ) -> Result<NodeId, SchemaError> {
        let inner = object
            .get(key)
            .ok_or_else(|| SchemaError::new(path, format!("{key:?} is missing; it says the type inside")))?;
        self.schema(inner, &join(path, key), namespace, depth + 1)
    }

    fn record(
        &mut self,
        object: &Map<String, Value>,
        path: &str,
        namespace: Option<&str>,
        depth: usize,
    ) -> Result<NodeId, SchemaError> {
        let Named { name, aliases, space } = named(object, path, namespace)?;
        let doc = doc(object);
        let mut record = Record { name: name.clone(), aliases, doc, fields: Vec::new() };
        let id = self.add(Kind::Record(record.clone()), None, path)?;
        self.define(&name, id, path)?;
        let Some(Value::Array(fields)) = object.get("fields") else {
            return Err(SchemaError::new(path, format!("the record {name} needs \"fields\", an array")));
        };
        let mut seen = HashSet::new();
        for (index, field) in fields.iter().enumerate() {
            let place = join(path, &format!("fields[{index}]"));
            let field = self.record_field(field, &place, space.as_deref(), depth)?;
            if !seen.insert(field.name.clone()) {
                return Err(SchemaError::new(
                    &place,
                    format!("the record {name} has the field {:?} twice", field.name),
                ));
            }
            record.fields.push(field);
        }
        self.set(id, Kind::Record(record));
        Ok(id)
    }

    fn record_field(
        &mut self,
        value: &Value,
        path: &str,
        namespace: Option<&str>,
        depth: usize,
    ) -> Result<Field, SchemaError> {
        let Value::Object(object) = value else {
            return Err(SchemaError::new(path, format!("{} is no field; a field is an object", shown(value))));
        };
        let name = text(object, "name", path)?;
        check_name(name, &join(path, "name"))?;
        let inner =
            object.get("type").ok_or_else(|| SchemaError::new(path, format!("the field {name:?} needs \"type\"")))?;
        let node = self.schema(inner, &join(path, "type"), namespace, depth + 1)?;
        if let Some(order) = object.get("order") {
            let known = order.as_str().is_some_and(|order| {
                ["ascending", "descending", "ignore"].contains(&order.to_ascii_lowercase().as_str())
            });
            if !known {
                return Err(SchemaError::new(
                    &join(path, "order"),
                    "the order is \"ascending\", \"descending\" or \"ignore\"",
                ));
            }
        }
        Ok(Field {
            name: name.to_owned(),
            aliases: texts(object, "aliases", path)?,
            doc: doc(object),
            node,
            default: object.get("default").cloned(),
        })
    }

    fn enumeration(
        &mut self,
        object: &Map<String, Value>,
        path: &str,
        namespace: Option<&str>,
    ) -> Result<NodeId, SchemaError> {
        let Named { name, aliases, .. } = named(object, path, namespace)?;
        if !object.contains_key("symbols") {
            return Err(SchemaError::new(path, format!("the enum {name} needs \"symbols\", an array of names")));
        }
        let symbols = texts(object, "symbols", path)?;
        let mut seen = HashSet::new();
        for (index, symbol) in symbols.iter().enumerate() {
            let place = join(path, &format!("symbols[{index}]"));
            check_name(symbol, &place)?;
            if !seen.insert(symbol) {
                return Err(SchemaError::new(&place, format!("the enum {name} has the symbol {symbol:?} twice")));
            }
        }
        let default = match object.get("default") {
            None | Some(Value::Null) => None,
            Some(Value::String(symbol)) if seen.contains(symbol) => Some(symbol.clone()),
            Some(other) => {
                return Err(SchemaError::new(
                    &join(path, "default"),
                    format!("{} is no symbol of the enum {name}", shown(other)),
                ));
            }
        };
        let id = self.add(Kind::Enum(Enumeration { name: name.clone(), aliases, symbols, default }), None, path)?;
        self.define(&name, id, path)?;
        Ok(id)
    }

    fn fixed(
        &mut self,
        object: &Map<String, Value>,
        path: &str,
        namespace: Option<&str>,
    ) -> Result<NodeId, SchemaError> {
        let Named { name, aliases, .. } = named(object, path, namespace)?;
        let size = object
            .get("size")
            .and_then(Value::as_u64)
            .filter(|size| i32::try_from(*size).is_ok())
            .and_then(|size| usize::try_from(size).ok());
        let Some(size) = size else {
            return Err(SchemaError::new(
                path,
                format!("the fixed {name} needs \"size\", a whole number of bytes from 0 to {}", i32::MAX),
            ));
        };
        let kind = Kind::Fixed(Fixed { name: name.clone(), aliases, size });
        let logical = logical(object, &kind);
        let id = self.add(kind, logical, path)?;
        self.define(&name, id, path)?;
        Ok(id)
    }

    fn define(&mut self, name: &str, id: NodeId, path: &str) -> Result<(), SchemaError> {
        if primitive(name).is_some() {
            return Err(SchemaError::new(path, format!("{name} is a primitive type and cannot be defined")));
        }
        if self.names.insert(name.to_owned(), id).is_some() {
            return Err(SchemaError::new(
                path,
                format!("the type {name} is defined a second time; name it where it is used again"),
            ));
        }
        Ok(())
    }
}
