//! YAML 1.2 as a tree of nodes that know their places. Scalars stay text until someone asks what they are
//! (core schema, section 10.3.2), so that `0.10` is still exact when it meets a decimal.
//!
//! Knows nothing of contracts. Bounds: [`MAX_BYTES`] of text, [`MAX_DEPTH`] levels, [`MAX_KEYS`] per mapping,
//! and [`MAX_COST`] for the tree after aliases are replaced, which stops documents that grow by aliases of
//! aliases.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::mistake::{Mistakes, Place};

/// Longest document.
pub(crate) const MAX_BYTES: usize = 4 << 20;
/// Deepest nesting.
const MAX_DEPTH: usize = 64;
/// Bytes of text, plus 64 for each node, of the tree without aliases.
const MAX_COST: usize = 32 << 20;

/// Most keys of one mapping.
const MAX_KEYS: usize = 2000;

/// A node and where it begins.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Scalar(String, Style),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Quoted,
    Block,
}

/// A key of a mapping.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) place: Place,
}

/// A scalar under the core schema.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scalar<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    Text(&'a str),
}

impl Node {
    /// The value of a key, where this is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|(known, _)| known.text == key).map(|(_, node)| node)
    }

    /// Where a key stands, or where this node begins.
    pub(crate) fn place_of(&self, key: &str) -> Place {
        self.entries().iter().find(|(known, _)| known.text == key).map_or(self.place, |(known, _)| known.place)
    }

    pub(crate) fn entries(&self) -> &[(Key, Node)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    pub(crate) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The scalar, resolved.
    pub(crate) fn scalar(&self) -> Option<Scalar<'_>> {
        match &self.value {
            Value::Scalar(text, Style::Plain) => Some(resolve(text)),
            Value::Scalar(text, _) => Some(Scalar::Text(text)),
            _ => None,
        }
    }

    /// The text of a scalar, whatever it resolves to.
    pub(crate) fn raw(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text, _) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self.scalar() {
            Some(Scalar::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn flag(&self) -> Option<bool> {
        match self.scalar() {
            Some(Scalar::Bool(flag)) => Some(flag),
            _ => None,
        }
    }

    pub(crate) fn number(&self) -> Option<&str> {
        match self.scalar() {
            Some(Scalar::Number(number)) => Some(number),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        self.scalar() == Some(Scalar::Null)
    }

    /// `get(key)`'s text.
    pub(crate) fn text_at(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Node::text)
    }

    /// `get(key)`'s flag, or false.
    pub(crate) fn flag_at(&self, key: &str) -> bool {
        self.get(key).and_then(Node::flag).unwrap_or(false)
    }

    /// `get(key)`'s items.
    pub(crate) fn items_at(&self, key: &str) -> &[Node] {
        self.get(key).map_or(&[], Node::items)
    }

    /// The deepest node on a path such as `fields[2].type`.
    pub(crate) fn at_path(&self, path: &str) -> &Node {
        let mut node = self;
        for step in path.split(['.', '[']).map(|step| step.trim_end_matches(']')).filter(|step| !step.is_empty()) {
            let next = match &node.value {
                Value::List(items) => step.parse::<usize>().ok().and_then(|index| items.get(index)),
                _ => node.get(step),
            };
            let Some(next) = next else { break };
            node = next;
        }
        node
    }

    /// The place of byte `offset` of this scalar's text: exact where it is written on one line without
    /// escapes, else where the scalar begins.
    pub(crate) fn place_within(&self, offset: usize) -> Place {
        let Value::Scalar(text, style) = &self.value else { return self.place };
        let before = text.get(..offset).unwrap_or_default();
        let escaped = *style == Style::Quoted && text.contains(['\\', '"', '\'']);
        if *style == Style::Block || text.contains('\n') || escaped {
            return self.place;
        }
        let quote = usize::from(*style == Style::Quoted);
        let column = u32::try_from(before.chars().count() + quote).unwrap_or(0);
        Place { column: self.place.column.saturating_add(column), ..self.place }
    }

    /// What it is, for a message.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Scalar(..) => match self.scalar() {
                Some(Scalar::Bool(_)) => "true or false",
                Some(Scalar::Number(_)) => "a number",
                Some(Scalar::Text(_)) => "text",
                _ => "nothing",
            },
        }
    }

    fn cost(&self) -> usize {
        64 + match &self.value {
            Value::Scalar(text, _) => text.len(),
            Value::List(items) => items.iter().map(Node::cost).sum(),
            Value::Map(entries) => entries.iter().map(|(key, node)| 64 + key.text.len() + node.cost()).sum(),
        }
    }
}

/// Core schema, YAML 1.2.2 section 10.3.2.
fn resolve(text: &str) -> Scalar<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "true" | "True" | "TRUE" => Scalar::Bool(true),
        "false" | "False" | "FALSE" => Scalar::Bool(false),
        _ if is_number(text) => Scalar::Number(text),
        _ => Scalar::Text(text),
    }
}

fn is_number(text: &str) -> bool {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(body, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    if text.starts_with("0x") || text.starts_with("0o") {
        return text.len() > 2 && text[2..].bytes().all(|b| b.is_ascii_hexdigit());
    }
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (body, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

/// A collection that is being read.
enum Open {
    List(Vec<Node>),
    Map(Vec<(Key, Node)>, Option<Key>),
}

struct Builder {
    /// With place and anchor.
    open: Vec<(Open, Place, usize)>,
    anchors: HashMap<usize, (Node, usize)>,
    cost: usize,
    root: Option<Node>,
}

/// Why building stops: the place, what, and what to write instead.
type Stop = (Place, String, String);

/// Reads one document. Says what is wrong with it as YAML and returns nothing then.
pub(crate) fn read(text: &str, mistakes: &mut Mistakes) -> Option<Node> {
    let start = Place { line: 1, column: 1 };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > MAX_BYTES {
        mistakes.at(
            start,
            format!("the document has {} bytes, more than {MAX_BYTES}", text.len()),
            "a smaller contract",
        );
        return None;
    }
    let mut builder = Builder { open: Vec::new(), anchors: HashMap::new(), cost: 0, root: None };
    for event in Parser::new_from_str(text) {
        let outcome = match event {
            Ok((event, span)) => builder.take(event, &span, mistakes),
            Err(error) => {
                let place = Place {
                    line: u32::try_from(error.marker().line()).unwrap_or(u32::MAX),
                    column: u32::try_from(error.marker().col() + 1).unwrap_or(u32::MAX),
                };
                Err((place, format!("this is not YAML: {}", error.info()), String::new()))
            }
        };
        if let Err((place, what, instead)) = outcome {
            mistakes.at(place, what, instead);
            return None;
        }
    }
    if builder.root.is_none() {
        mistakes.at(start, "the document is empty", "a contract: `apiVersion: v3.1.0`, `kind: DataContract`, …");
    }
    builder.root
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: &Span, mistakes: &mut Mistakes) -> Result<(), Stop> {
        let place = place(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let style = match style {
                    ScalarStyle::Plain if !is_str(tag.as_deref()) => Style::Plain,
                    ScalarStyle::Plain | ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
                    _ => Style::Block,
                };
                let node = Node { place, value: Value::Scalar(text.into_owned(), style) };
                self.put(node, anchor, None, mistakes)
            }
            Event::SequenceStart(_, anchor, _) => self.begin(Open::List(Vec::new()), place, anchor),
            Event::MappingStart(_, anchor, _) => self.begin(Open::Map(Vec::new(), None), place, anchor),
            Event::SequenceEnd | Event::MappingEnd => self.end(mistakes),
            Event::Alias(anchor) => {
                let Some((node, cost)) = self.anchors.get(&anchor) else {
                    let what = "this alias stands inside the node it refers to".to_owned();
                    return Err((place, what, "the node out".to_owned()));
                };
                let cost = *cost;
                if self.cost + cost > MAX_COST {
                    return Err(too_large(place));
                }
                let node = node.clone();
                self.put(node, 0, Some(cost), mistakes)
            }
            Event::DocumentStart(..) if self.root.is_some() => {
                let what = "a second document begins here".to_owned();
                Err((place, what, "one contract per file".to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, open: Open, place: Place, anchor: usize) -> Result<(), Stop> {
        if let Some((Open::Map(_, None), ..)) = self.open.last() {
            return Err((place, "a key must be text".to_owned(), "a key such as `name`".to_owned()));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err((place, format!("nested deeper than {MAX_DEPTH} levels"), "a flatter document".to_owned()));
        }
        self.open.push((open, place, anchor));
        Ok(())
    }

    fn end(&mut self, mistakes: &mut Mistakes) -> Result<(), Stop> {
        let Some((open, place, anchor)) = self.open.pop() else { return Ok(()) };
        let value = match open {
            Open::List(items) => Value::List(items),
            Open::Map(entries, _) => Value::Map(entries),
        };
        // What is inside was paid for when it was put there.
        self.put(Node { place, value }, anchor, Some(64), mistakes)
    }

    /// Puts a finished node where it belongs; `cost` where it is known to be other than the node's own.
    fn put(&mut self, node: Node, anchor: usize, cost: Option<usize>, mistakes: &mut Mistakes) -> Result<(), Stop> {
        self.cost += cost.unwrap_or_else(|| node.cost());
        if self.cost > MAX_COST {
            return Err(too_large(node.place));
        }
        if anchor != 0 {
            let whole = node.cost();
            self.cost += whole;
            self.anchors.insert(anchor, (node.clone(), whole));
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some((Open::List(items), ..)) => items.push(node),
            Some((Open::Map(entries, key), ..)) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => {
                    let Value::Scalar(text, _) = node.value else {
                        return Err((node.place, "a key must be text".to_owned(), "a key such as `name`".to_owned()));
                    };
                    if entries.iter().any(|(known, _)| known.text == text) {
                        mistakes.at(node.place, format!("`{text}` is written twice"), "it once");
                    }
                    if entries.len() >= MAX_KEYS {
                        let what = format!("a mapping of more than {MAX_KEYS} keys");
                        return Err((node.place, what, "fewer".to_owned()));
                    }
                    *key = Some(Key { text, place: node.place });
                }
            },
        }
        Ok(())
    }
}

fn too_large(place: Place) -> Stop {
    let what = format!("with its aliases replaced the document is larger than {MAX_COST} bytes");
    (place, what, "fewer aliases".to_owned())
}

fn is_str(tag: Option<&Tag>) -> bool {
    tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"))
}

fn place(span: &Span) -> Place {
    Place {
        line: u32::try_from(span.start.line()).unwrap_or(u32::MAX),
        column: u32::try_from(span.start.col() + 1).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Node, String> {
        let mut mistakes = Mistakes::new("x.yaml");
        let node = read(text, &mut mistakes);
        node.ok_or_else(|| mistakes.list.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn nodes_know_their_places_and_scalars_what_they_are() {
        let node = read_text("a: 1\nb:\n  - 'x'\n  - {c: 0.10, d: yes}\ne:\n").unwrap();
        let b = node.get("b").unwrap();
        assert_eq!(node.get("a").unwrap().number(), Some("1"));
        assert_eq!(b.items()[0].text(), Some("x"));
        assert_eq!(b.items()[1].get("c").unwrap().number(), Some("0.10"));
        assert_eq!(b.items()[1].get("d").unwrap().text(), Some("yes"));
        assert_eq!(b.items()[1].get("d").unwrap().place, Place { line: 4, column: 18 });
        assert_eq!(node.place_of("b"), Place { line: 2, column: 1 });
        assert!(node.get("e").unwrap().is_null());
    }

    #[test]
    fn numbers_are_those_of_the_core_schema() {
        for number in ["0", "-1", "+2.5", ".5", "1.", "1e9", "1.5E-3", "0x1F", "0o17", ".inf", "-.INF", ".nan"] {
            assert_eq!(resolve(number), Scalar::Number(number));
        }
        for text in [".", "-", "1e", "1.0.0", "0x", "12:30", "e9", "1_000", "--1"] {
            assert_eq!(resolve(text), Scalar::Text(text));
        }
    }

    #[test]
    fn aliases_are_replaced_and_cannot_explode() {
        let node = read_text("a: &x [1, 2]\nb: *x\n").unwrap();
        assert_eq!(node.items_at("b").len(), 2);
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        assert!(read_text(&bomb).unwrap_err().contains("aliases replaced"));
        assert!(read_text("a: &x [*x]\n").is_err());
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert!(read_text(&deep).unwrap_err().contains("nested deeper"));
    }
}
