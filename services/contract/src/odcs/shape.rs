//! Holds a document against the keys and types of the standard, before anything is understood.

use super::keys::{CONTRACT, Key, Shape, Want};
use super::mistake::{Mistakes, nearest, one_of, shown, suggest};
use super::yaml::{Node, Scalar, Value};

/// Checks a whole document. `newer` is whether it is ODCS 3.2.
pub(super) fn check(root: &Node, newer: bool, mistakes: &mut Mistakes) {
    Checker { newer, mistakes }.map(root, &CONTRACT);
}

struct Checker<'a> {
    newer: bool,
    mistakes: &'a mut Mistakes,
}

impl Checker<'_> {
    fn map(&mut self, node: &Node, shape: &Shape) {
        for (given, value) in node.entries() {
            let Some(key) = shape.keys().find(|key| key.name == given.text) else {
                self.unknown(given.place, &given.text, shape);
                continue;
            };
            if key.new && !self.newer {
                let what = format!("`{}` of {} is new in ODCS 3.2", key.name, shape.what);
                self.mistakes.at(given.place, what, "`apiVersion: v3.2.0`, or leave it out");
            }
            // The standard's schema allows no key to stand without a value.
            if value.is_null() && !key.required && !matches!(key.want, Want::Any | Want::Scalar) {
                let what = format!("`{}` of {} is empty", key.name, shape.what);
                self.mistakes.at(value.place, what, "its value, or leave it out");
                continue;
            }
            self.value(key.name, value, &key.want);
        }
        for key in shape.keys().filter(|key| key.required && node.get(key.name).is_none()) {
            let what = format!("{} must have `{}`", shape.what, key.name);
            self.mistakes.at(node.place, what, example(key));
        }
    }

    fn unknown(&mut self, place: super::mistake::Place, given: &str, shape: &Shape) {
        let known = shape.keys().filter(|key| self.newer || !key.new).map(|key| key.name);
        let what = format!("{} is not a key of {}", shown(given), shape.what);
        let instead = match nearest(given, known.clone()) {
            Some(near) => format!("`{near}`"),
            None if shape.keys().any(|key| key.name == "customProperties") => {
                "it under `customProperties`, or leave it out".to_owned()
            }
            None => one_of(known),
        };
        self.mistakes.at(place, what, instead);
    }

    fn value(&mut self, name: &str, node: &Node, want: &Want) {
        match want {
            Want::Any => {}
            Want::Scalar if node.raw().is_some() => {}
            Want::Text if node.text().is_some() => {}
            Want::Flag if node.flag().is_some() => {}
            Want::Number if node.number().is_some() => {}
            Want::Whole if node.number().is_some_and(|number| number.parse::<i64>().is_ok()) => {}
            Want::Word(words) if node.text().is_some() => {
                let given = node.text().unwrap_or_default();
                if !words.contains(&given) {
                    let what = format!("`{name}` cannot be {}", shown(given));
                    self.mistakes.at(node.place, what, suggest(given, words.iter().copied()));
                }
            }
            Want::Texts if node.text().is_some() => {}
            Want::List(item) | Want::ListOrMap(item, _) if matches!(node.value, Value::List(_)) => {
                for node in node.items() {
                    self.value(name, node, item);
                }
            }
            Want::Texts if matches!(node.value, Value::List(_)) => {
                for node in node.items() {
                    self.value(name, node, &Want::Text);
                }
            }
            Want::Map(shape) | Want::ListOrMap(_, shape) | Want::TextOrMap(shape)
                if matches!(node.value, Value::Map(_)) =>
            {
                self.map(node, shape);
            }
            Want::TextOrMap(_) if node.text().is_some() => {}
            _ => self.wrong(name, node, want),
        }
    }

    fn wrong(&mut self, name: &str, node: &Node, want: &Want) {
        let (wanted, instead) = match want {
            Want::Text | Want::Word(_) | Want::Texts | Want::TextOrMap(_) | Want::Any | Want::Scalar => {
                let quoted = match node.scalar() {
                    Some(Scalar::Number(_) | Scalar::Bool(_)) => format!("`\"{}\"`", node.raw().unwrap_or_default()),
                    _ => format!("`{name}: …` on one line"),
                };
                (if matches!(want, Want::Scalar) { "one value" } else { "text" }, quoted)
            }
            Want::Flag => ("true or false", "`true` or `false`".to_owned()),
            Want::Number => ("a number", format!("a number such as `{name}: 1`")),
            Want::Whole => ("a whole number", format!("a whole number such as `{name}: 1`")),
            Want::List(_) => ("a list", format!("`{name}:` and its items on lines that begin with `-`")),
            Want::ListOrMap(..) => ("a list or a mapping", format!("`{name}:` and its keys on lines of their own")),
            Want::Map(_) => ("a mapping", format!("`{name}:` and its keys on lines of their own")),
        };
        self.mistakes.at(node.place, format!("`{name}` must be {wanted}, not {}", node.kind()), instead);
    }
}

/// What a missing key could look like.
fn example(key: &Key) -> String {
    let value = match (key.name, &key.want) {
        ("apiVersion", _) => "v3.1.0",
        ("version", _) => "1.0.0",
        ("status", _) => "active",
        ("domain", _) => "orders",
        (_, Want::Word([first, ..])) => first,
        (_, Want::List(_)) => return format!("`{}:` and its items on lines that begin with `-`", key.name),
        (_, Want::Map(_)) => return format!("`{}:` and its keys on lines of their own", key.name),
        _ => "…",
    };
    format!("`{}: {value}`", key.name)
}
