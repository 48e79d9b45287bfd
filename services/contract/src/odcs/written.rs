//! `weir.file`, `physicalName` and the `format` of dates: how files write what the schema holds. None of it
//! is a rule.

use std::sync::Arc;

use super::mistake::shown;
use super::reader::Reader;
use super::yaml::Node;
use crate::dialect::{Dialect, Written};
use crate::model::Path;

/// The keys of `weir.file`.
const KEYS: [&str; 10] =
    ["separator", "quote", "escape", "skip", "header", "rowNames", "encoding", "decimal", "thousands", "nulls"];
/// Most null tokens of a contract.
const MAX_NULLS: usize = 50;
/// Longest null token or name of an encoding, in bytes.
const MAX_TEXT: usize = 100;

impl Reader<'_> {
    /// Reads `weir.file`.
    pub(super) fn dialect(&mut self, value: &Node) -> Dialect {
        let mut dialect = Dialect::default();
        if !self.known_keys("`weir.file`", value, &KEYS) {
            return dialect;
        }
        for (key, node) in value.entries() {
            match key.text.as_str() {
                "separator" => dialect.separator = self.letter("separator", node),
                "quote" => dialect.quote = if node.is_null() { None } else { self.letter("quote", node) },
                "escape" => dialect.escape = self.letter("escape", node),
                "header" => dialect.header = self.switch("header", node),
                "skip" => dialect.skip = self.whole("skip", node, 0, 1_000).unwrap_or(0),
                "rowNames" => dialect.row_names = self.switch("rowNames", node),
                "encoding" => dialect.encoding = self.encoding(node),
                "decimal" => {
                    let word = self.word("decimal", node, &[".", ","]).unwrap_or(".");
                    dialect.decimal = word.chars().next().unwrap_or('.');
                }
                "thousands" => {
                    let word = self.word("thousands", node, &[",", ".", "'", " ", "_"]);
                    dialect.thousands = word.and_then(|word| word.chars().next());
                }
                "nulls" => dialect.nulls = self.nulls(node),
                _ => {}
            }
        }
        if dialect.thousands == Some(dialect.decimal) {
            let what = format!("`thousands` and `decimal` cannot both be {}", shown(&dialect.decimal.to_string()));
            self.mistakes.at(value.place, what, "one of them");
        }
        dialect
    }

    fn letter(&mut self, name: &str, node: &Node) -> Option<char> {
        let text = node.raw().unwrap_or_default();
        let mut letters = text.chars();
        match (letters.next(), letters.next()) {
            (Some(letter), None) if letter.is_ascii() && !matches!(letter, '\n' | '\r') => Some(letter),
            _ => {
                let what = format!("`{name}` must be one ASCII character, not {}", shown(text));
                self.mistakes.at(node.place, what, format!("`{name}: \";\"`"));
                None
            }
        }
    }

    fn encoding(&mut self, node: &Node) -> Option<Arc<str>> {
        let text = node.text().filter(|text| !text.is_empty() && text.len() <= MAX_TEXT);
        if text.is_none() {
            let what =
                format!("`encoding` must be the name of an encoding, not {}", shown(node.raw().unwrap_or_default()));
            self.mistakes.at(node.place, what, "`encoding: windows-1252`");
        }
        text.map(Arc::from)
    }

    fn nulls(&mut self, node: &Node) -> Vec<String> {
        let tokens: Vec<String> = node.items().iter().filter_map(Node::raw).map(str::to_owned).collect();
        let fits = tokens.len() == node.items().len() && tokens.len() <= MAX_NULLS;
        if !fits || tokens.is_empty() || tokens.iter().any(|token| token.len() > MAX_TEXT) {
            let what = format!("`nulls` must be a list of 1 to {MAX_NULLS} texts");
            self.mistakes.at(node.place, what, "`nulls: [NA, \"-\"]`");
        }
        tokens
    }

    /// What files call the field, and how they write it.
    pub(super) fn written(&mut self, property: &Node, path: &Path) {
        let field = property.text_at("name");
        let name = property.text_at("physicalName").filter(|name| Some(*name) != field);
        let logical = property.text_at("logicalType");
        let moment = matches!(logical, Some("date" | "time" | "timestamp"));
        let options = property.get("logicalTypeOptions").filter(|_| moment);
        let format = options.and_then(|options| options.text_at("format"));
        if name.is_some() || format.is_some() {
            let (name, format) = (name.map(Arc::from), format.map(Arc::from));
            self.writing.push(Written { path: path.clone(), name, format });
        }
    }
}
