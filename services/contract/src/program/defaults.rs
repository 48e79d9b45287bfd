//! Fields that the writer does not have: their defaults become constants of the program, so that rules,
//! conditions and statistics see what a consumer will read.

use std::sync::Arc;

use serde_json::Value as Json;

use super::compile::Compiler;
use super::ops::{Op, Step};
use super::value;
use crate::avro::{Kind, Logical, NodeId};
use crate::model::{Native, Segment};

impl Compiler<'_> {
    /// The ops of a field that is read from its default; none where nothing looks at it.
    pub(super) fn defaulted(&mut self, name: &str, r: NodeId, default: &Json) {
        let name: Arc<str> = Arc::from(name);
        self.steps.push(Step::Field(Arc::clone(&name)));
        self.path.push(Segment::Field(name));
        // Paths that are looked at are finite, so this ends where a default names its own type.
        if self.watched() {
            self.default_value(r, default);
        }
        self.path.pop();
        self.steps.pop();
    }

    fn default_value(&mut self, r: NodeId, default: &Json) {
        let reader = self.pair.reader;
        let mut node = r;
        if let Kind::Union(branches) = &reader.node(r).kind {
            node = branches.iter().copied().find(|branch| plausible(&reader.node(*branch).kind, default)).unwrap_or(r);
        }
        match (&reader.node(node).kind, default) {
            (Kind::Null, _) => {
                self.emit(Op::Null);
                self.nulls_beneath();
            }
            (Kind::Record(record), Json::Object(object)) => {
                for field in &record.fields {
                    if let Some(value) = object.get(&field.name).or(field.default.as_ref()) {
                        self.defaulted(&field.name, field.node, value);
                    }
                }
                self.emit(Op::Present);
            }
            (Kind::Array(item), Json::Array(values)) => {
                let tables = self.tables_here();
                self.begin_rows(&tables);
                for (index, value) in values.iter().enumerate() {
                    self.default_item(*item, value, Step::Index(index), &tables);
                }
                self.emit(Op::Items(values.len() as u32));
                let twice = values
                    .iter()
                    .enumerate()
                    .any(|(index, value)| values.iter().skip(index + 1).any(|other| other == value));
                for check in self.unique_here().into_iter().filter(|_| twice) {
                    self.emit(Op::Broken(check));
                }
            }
            (Kind::Map(item), Json::Object(values)) => {
                let tables = self.tables_here();
                self.begin_rows(&tables);
                for (key, value) in values {
                    self.default_item(*item, value, Step::Key(Arc::from(key.as_str())), &tables);
                }
                self.emit(Op::Items(values.len() as u32));
            }
            (kind, value) => match native(kind, reader.node(node).logical, value) {
                Some(native) => self.constant(native),
                None => {
                    self.emit(Op::Present);
                }
            },
        }
        self.look(false);
    }

    fn default_item(&mut self, item: NodeId, value: &Json, step: Step, tables: &[u32]) {
        let key = match &step {
            Step::Key(key) => Some(Arc::clone(key)),
            _ => None,
        };
        self.steps.push(step);
        self.path.push(if key.is_some() { Segment::Values } else { Segment::Items });
        self.next_row(tables, key.as_ref());
        if self.watched() {
            self.default_value(item, value);
        }
        self.path.pop();
        self.steps.pop();
    }
}

fn plausible(kind: &Kind, default: &Json) -> bool {
    match (kind, default) {
        (Kind::Null, Json::Null) | (Kind::Boolean, Json::Bool(_)) | (Kind::Array(_), Json::Array(_)) => true,
        (Kind::Int, Json::Number(number)) => number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        (Kind::Long, Json::Number(number)) => number.is_i64(),
        (Kind::Float | Kind::Double, Json::Number(_)) => true,
        (Kind::Bytes | Kind::String | Kind::Fixed(_), Json::String(_)) => true,
        (Kind::Enum(enumeration), Json::String(text)) => enumeration.symbols.contains(text),
        (Kind::Map(_) | Kind::Record(_), Json::Object(_)) => true,
        _ => false,
    }
}

/// A default in its schema's representation; bytes are written as the code points of a string.
fn native(kind: &Kind, logical: Option<Logical>, default: &Json) -> Option<Native> {
    Some(match (kind, default) {
        (Kind::Boolean, Json::Bool(value)) => Native::Bool(*value),
        (Kind::Int | Kind::Long, Json::Number(number)) => Native::Int(number.as_i64()?),
        (Kind::Float, Json::Number(number)) => Native::Float(f64::from(number.as_f64()? as f32)),
        (Kind::Double, Json::Number(number)) => Native::Float(number.as_f64()?),
        (Kind::String | Kind::Enum(_), Json::String(text)) => Native::Text(Arc::from(text.as_str())),
        (Kind::Bytes | Kind::Fixed(_), Json::String(text)) => {
            let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect::<Option<_>>()?;
            match logical {
                Some(Logical::Decimal { .. }) => Native::Decimal(value::decimal(&bytes)?),
                _ => Native::Bytes(Arc::from(bytes)),
            }
        }
        _ => return None,
    })
}
