//! What was seen at every place of the records of a file, as a tree.

use std::collections::HashMap;

use serde_json::Value;

use super::leaf::{Leaf, Reading};

/// Most keys that one object has in all records together; beyond them its keys are values.
const MAX_KEYS: usize = 1_000;
/// Deepest nesting that is told apart.
const MAX_DEPTH: usize = 24;

/// One place.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) leaf: Leaf,
    /// Objects that were seen here, and what is in them, in the order of their first sight.
    pub(crate) objects: u64,
    pub(crate) members: Vec<(String, Place)>,
    index: HashMap<String, usize>,
    /// Its keys are too many to be fields.
    pub(crate) keyed: bool,
    /// Arrays that were seen here; or, where `keyed`, what the keys hold.
    pub(crate) arrays: u64,
    pub(crate) items: Option<Box<Place>>,
    pub(crate) shortest: u64,
    pub(crate) longest: u64,
}

impl Place {
    pub(crate) fn new(deep: bool) -> Self {
        Self {
            leaf: Leaf::new(deep),
            objects: 0,
            members: Vec::new(),
            index: HashMap::new(),
            keyed: false,
            arrays: 0,
            items: None,
            shortest: u64::MAX,
            longest: 0,
        }
    }

    /// Values that are there.
    pub(crate) fn present(&self) -> u64 {
        self.leaf.present() + self.objects + self.arrays
    }

    /// The place of a key, made where it is new.
    pub(crate) fn member(&mut self, key: &str, deep: bool) -> Option<&mut Place> {
        let at = match self.index.get(key) {
            Some(at) => *at,
            None => {
                self.index.insert(key.to_owned(), self.members.len());
                self.members.push((key.to_owned(), Place::new(deep)));
                self.members.len() - 1
            }
        };
        self.members.get_mut(at).map(|(_, place)| place)
    }

    /// A value of a document.
    pub(crate) fn take(&mut self, value: &Value, depth: usize, reading: &mut Reading) {
        match value {
            Value::Null => self.leaf.nulls += 1,
            Value::Bool(flag) => self.leaf.boolean(*flag, reading),
            Value::Number(number) => self.leaf.number(number, reading),
            Value::String(text) => self.leaf.string(text, reading),
            Value::Array(items) => {
                self.arrays += 1;
                let length = items.len() as u64;
                self.shortest = self.shortest.min(length);
                self.longest = self.longest.max(length);
                let deep = reading.deep;
                let place = self.items.get_or_insert_with(|| Box::new(Place::new(deep)));
                if depth < MAX_DEPTH {
                    items.iter().for_each(|item| place.take(item, depth + 1, reading));
                }
            }
            Value::Object(map) => {
                self.objects += 1;
                if depth >= MAX_DEPTH {
                    return;
                }
                for (key, value) in map {
                    self.keyed_by(key, value, depth, reading);
                }
            }
        }
    }

    fn keyed_by(&mut self, key: &str, value: &Value, depth: usize, reading: &mut Reading) {
        if !self.keyed && self.members.len() >= MAX_KEYS && !self.index.contains_key(key) && depth > 0 {
            self.keyed = true;
            let members = std::mem::take(&mut self.members);
            self.index.clear();
            // What was seen of the single keys is not added up: only its types matter, and verification reads
            // everything once more.
            self.items = members.into_iter().map(|(_, place)| Box::new(place)).next();
        }
        let deep = reading.deep;
        if self.keyed {
            self.items.get_or_insert_with(|| Box::new(Place::new(deep))).take(value, depth + 1, reading);
        } else if let Some(place) = self.member(key, deep) {
            place.take(value, depth + 1, reading);
        }
    }
}
