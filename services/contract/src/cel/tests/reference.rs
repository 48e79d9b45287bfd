//! What the `cel` crate says of random expressions over random records, and what we say.
//!
//! Disagreements, each with its reason; the generator leaves them out:
//! * NaN: the crate says that it does not compare, CEL that every order with it is false. Doubles here are
//!   sums and products of small numbers, which are none.
//! * `has(a.b)` where `b` is null: true there, false here, where null is how Avro says that there is nothing.
//!   Only fields that are never null are asked for.
//! * null `in` a map: an error there, false here, as it is for lists in both.
//! * The order of a map's keys is the record's here, and any there; nothing is written that depends on it.
//! * What we refuse to compile is nobody's answer: a list as a value, items of several types.

use std::sync::Arc;

use cel::{Context, Env, extensions};
use serde_json::{Value as Json, json};

use super::super::compile;
use super::world;
use crate::avro::Schema;

const SCHEMA: &str = r#"{"type":"record","name":"Order","fields":[
 {"name":"id","type":"string"},
 {"name":"n","type":"long"},
 {"name":"maybe","type":["null","long"]},
 {"name":"rate","type":"double"},
 {"name":"flag","type":"boolean"},
 {"name":"note","type":["null","string"]},
 {"name":"tags","type":{"type":"array","items":"string"}},
 {"name":"scores","type":{"type":"array","items":["null","long"]}},
 {"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[
   {"name":"sku","type":"string"},
   {"name":"quantity","type":"long"},
   {"name":"note","type":["null","string"]},
   {"name":"parts","type":{"type":"array","items":{"type":"record","name":"Part","fields":[
     {"name":"code","type":"string"},
     {"name":"weight","type":"long"}]}}},
   {"name":"labels","type":{"type":"map","values":"string"}}]}}},
 {"name":"labels","type":{"type":"map","values":"long"}}
]}"#;

/// Small and seeded.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

const WORDS: [&str; 12] = ["", "a", "A-1", "b", "ab", "aXbX", "é漢a", " x ", "12", "-7", "a,b,,c", "zz"];

/// What a variable stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Int,
    Line,
    Part,
    /// A key of `labels`.
    Key,
}

struct Generator {
    random: Random,
    scope: Vec<(String, Kind)>,
    /// How many of each construct were written.
    count: usize,
    /// The order of items matters to what is written now.
    ordered: bool,
}

impl Generator {
    fn record(&mut self) -> Json {
        let word = |random: &mut Random| json!(*random.pick(&WORDS));
        let small = |random: &mut Random| json!(random.below(9) as i64 - 3);
        let mut some = |most: usize, item: &dyn Fn(&mut Random) -> Json| {
            let count = self.random.below(most + 1);
            Json::Array((0..count).map(|_| item(&mut self.random)).collect())
        };
        let nothing = |random: &mut Random, value: Json| if random.below(3) == 0 { Json::Null } else { value };
        let part = |random: &mut Random| json!({"code": word(random), "weight": small(random)});
        let tags = some(3, &word);
        let scores = some(3, &|random| {
            let value = small(random);
            nothing(random, value)
        });
        let lines = some(3, &|random| {
            let parts: Vec<Json> = (0..random.below(3)).map(|_| part(random)).collect();
            let note = word(random);
            let labels = if random.below(2) == 0 { json!({"a": word(random)}) } else { json!({}) };
            json!({"sku": word(random), "quantity": small(random), "note": nothing(random, note), "parts": parts, "labels": labels})
        });
        let labels = match self.random.below(3) {
            0 => json!({}),
            1 => json!({"a": 1}),
            _ => json!({"a": -2, "b": 3, "é漢a": 0}),
        };
        let random = &mut self.random;
        let (note, maybe) = (word(random), small(random));
        json!({
            "id": word(random), "n": small(random), "maybe": nothing(random, maybe), "rate": random.below(9) as f64 / 2.0 + 0.25,
            "flag": random.below(2) == 0, "note": nothing(random, note), "tags": tags, "scores": scores,
            "lines": lines, "labels": labels
        })
    }

    fn in_order(&mut self, write: impl FnOnce(&mut Self) -> String) -> String {
        let before = std::mem::replace(&mut self.ordered, true);
        let written = write(self);
        self.ordered = before;
        written
    }

    fn named(&mut self, kind: Kind) -> Option<String> {
        // The innermost of a name hides the others.
        let seen: Vec<String> = self
            .scope
            .iter()
            .enumerate()
            .filter(|(at, (name, is))| *is == kind && self.scope.iter().skip(at + 1).all(|(other, _)| other != name))
            .map(|(_, (name, _))| name.clone())
            .collect();
        if seen.is_empty() { None } else { Some(self.random.pick(&seen).clone()) }
    }

    fn within<T>(&mut self, kind: Kind, inner: impl FnOnce(&mut Self, &str) -> T) -> T {
        let name = (*self.random.pick(&["x", "y", "z", "id"])).to_owned();
        self.scope.push((name.clone(), kind));
        let made = inner(self, &name);
        self.scope.pop();
        made
    }

    /// Whether a field's name is hidden by a variable.
    fn hidden(&self, name: &str) -> bool {
        self.scope.iter().any(|(other, _)| other == name)
    }

    fn bool(&mut self, depth: usize) -> String {
        self.count += 1;
        match self.random.below(if depth == 0 { 6 } else { 13 }) {
            0 => {
                let (a, sign, b) =
                    (self.int(depth), *self.random.pick(&["<", "<=", ">", ">=", "==", "!="]), self.int(depth));
                format!("{a} {sign} {b}")
            }
            1 => {
                let (a, sign, b) = (self.text(depth), *self.random.pick(&["<", ">=", "==", "!="]), self.text(depth));
                format!("{a} {sign} {b}")
            }
            2 => {
                let (text, part) = (self.text(depth), self.text(0));
                format!("{text}.{}({part})", self.random.pick(&["startsWith", "endsWith", "contains"]))
            }
            3 => (*self.random.pick(&["flag", "note == null", "maybe != null", "maybe > 1", "rate > 1.5"])).to_owned(),
            4 => {
                let (a, b) = (self.double(depth), self.double(depth));
                format!("{a} <= {b}")
            }
            5 => match self.random.below(3) {
                0 => {
                    let (needle, list) = (self.text(depth), self.texts(depth));
                    format!("{needle} in {list}")
                }
                1 => {
                    let (needle, list) = (self.int(depth), self.ints(depth));
                    format!("{needle} in {list}")
                }
                _ => format!("({} + \"\") in labels", self.text(depth)),
            },
            6 | 7 => {
                let (a, sign, b) = (self.bool(depth - 1), *self.random.pick(&["&&", "||"]), self.bool(depth - 1));
                format!("({a} {sign} {b})")
            }
            8 => format!("!({})", self.bool(depth - 1)),
            9 => {
                let (test, a, b) = (self.bool(depth - 1), self.bool(depth - 1), self.bool(depth - 1));
                format!("({test} ? {a} : {b})")
            }
            _ => {
                let (list, kind) = self.list(depth - 1);
                let quantifier = *self.random.pick(&["all", "exists", "exists_one"]);
                self.within(kind, |this, name| format!("{list}.{quantifier}({name}, {})", this.bool(depth - 1)))
            }
        }
    }

    /// A list of anything, perhaps filtered.
    fn list(&mut self, depth: usize) -> (String, Kind) {
        let (list, kind) = match self.random.below(6) {
            0 => (self.texts(depth), Kind::Text),
            1 => (self.ints(depth), Kind::Int),
            2 => match self.named(Kind::Line) {
                Some(line) => (format!("{line}.parts"), Kind::Part),
                None => (self.parts(depth), Kind::Part),
            },
            3 if !self.ordered => ("labels".to_owned(), Kind::Key),
            _ => ("lines".to_owned(), Kind::Line),
        };
        if depth > 0 && self.random.below(4) == 0 {
            let filter = self.within(kind, |this, name| format!("filter({name}, {})", this.bool(depth - 1)));
            return (format!("{list}.{filter}"), kind);
        }
        (list, kind)
    }

    fn parts(&mut self, depth: usize) -> String {
        format!("lines[{}].parts", self.int(depth.min(1) / 2))
    }

    fn texts(&mut self, depth: usize) -> String {
        match self.random.below(if depth == 0 { 3 } else { 7 }) {
            0 => "tags".to_owned(),
            1 => format!("[{}, {}]", self.text(0), self.text(0)),
            2 => "[\"a\", \"b\"]".to_owned(),
            3 => format!("{}.split({})", self.text(depth - 1), self.text(0)),
            4 => format!("{}.split(\"X\", {})", self.text(depth - 1), self.random.below(4) as i64 - 1),
            _ => {
                let (list, kind) = self.list(depth - 1);
                self.within(kind, |this, name| format!("{list}.map({name}, {})", this.text(depth - 1)))
            }
        }
    }

    fn ints(&mut self, depth: usize) -> String {
        match self.random.below(if depth == 0 { 2 } else { 4 }) {
            0 => "scores".to_owned(),
            1 => format!("[{}, 1, n]", self.int(0)),
            2 => {
                let (list, kind) = self.list(depth - 1);
                self.within(kind, |this, name| {
                    format!("{list}.map({name}, {}, {})", this.bool(depth - 1), this.int(depth - 1))
                })
            }
            _ => {
                let (list, kind) = self.list(depth - 1);
                self.within(kind, |this, name| format!("{list}.map({name}, {})", this.int(depth - 1)))
            }
        }
    }

    fn int(&mut self, depth: usize) -> String {
        match self.random.below(if depth == 0 { 8 } else { 16 }) {
            0 | 1 => (self.random.below(7) as i64 - 2).to_string().replace('-', "0 - "),
            2 => "n".to_owned(),
            3 => "maybe".to_owned(),
            4 | 5 => match self.named(Kind::Line) {
                Some(line) => format!("{line}.quantity"),
                None => "n".to_owned(),
            },
            6 => match (self.named(Kind::Part), self.named(Kind::Int)) {
                (Some(part), _) => format!("{part}.weight"),
                (None, Some(name)) => name,
                _ => "lines.size()".to_owned(),
            },
            7 => match self.named(Kind::Key) {
                Some(key) => format!("labels[{key}]"),
                None => "labels[\"a\"]".to_owned(),
            },
            8 => {
                let (a, sign, b) =
                    (self.int(depth - 1), *self.random.pick(&["+", "-", "*", "/", "%"]), self.int(depth - 1));
                format!("({a} {sign} {b})")
            }
            9 => format!("size({})", self.text(depth - 1)),
            10 => format!("size({})", self.list(depth - 1).0),
            11 => format!("int({})", self.text(depth - 1)),
            12 => {
                let name = *self.random.pick(&["indexOf", "lastIndexOf"]);
                format!("{}.{name}({})", self.text(depth - 1), self.text(0))
            }
            13 => {
                let name = *self.random.pick(&["indexOf", "lastIndexOf"]);
                format!("{}.{name}({}, {})", self.text(depth - 1), self.text(0), self.int(0))
            }
            14 => format!("{}[{}]", self.in_order(|this| this.ints(depth - 1)), self.int(0)),
            _ => format!("int({})", self.double(depth - 1)),
        }
    }

    fn double(&mut self, depth: usize) -> String {
        match self.random.below(if depth == 0 { 2 } else { 5 }) {
            0 => "rate".to_owned(),
            1 => (*self.random.pick(&["0.5", "2.0", "1e3"])).to_owned(),
            2 => format!("double({})", self.int(depth - 1)),
            3 => format!("double({})", self.text(depth - 1)),
            _ => {
                let (a, sign, b) =
                    (self.double(depth - 1), *self.random.pick(&["+", "-", "*"]), self.double(depth - 1));
                format!("({a} {sign} {b})")
            }
        }
    }

    fn text(&mut self, depth: usize) -> String {
        match self.random.below(if depth == 0 { 6 } else { 18 }) {
            0 => format!("\"{}\"", self.random.pick(&WORDS)),
            1 if !self.hidden("id") => "id".to_owned(),
            1 | 2 => "note".to_owned(),
            3 => match self.named(Kind::Line) {
                Some(line) => format!("{line}.{}", self.random.pick(&["sku", "note", "labels[\"a\"]"])),
                None => "lines[0].sku".to_owned(),
            },
            4 => match (self.named(Kind::Text), self.named(Kind::Part), self.named(Kind::Key)) {
                (Some(name), ..) | (None, None, Some(name)) => name,
                (None, Some(part), _) => format!("{part}.code"),
                _ => "tags[0]".to_owned(),
            },
            5 => "\"aXbXc\"".to_owned(),
            6 => format!(
                "{}.{}()",
                self.text(depth - 1),
                self.random.pick(&["lowerAscii", "upperAscii", "trim", "reverse"])
            ),
            7 => format!("{}.charAt({})", self.text(depth - 1), self.int(0)),
            8 => format!("{}.substring({})", self.text(depth - 1), self.int(0)),
            9 => format!("{}.substring({}, {})", self.text(depth - 1), self.int(0), self.int(0)),
            10 => format!("{}.replace({}, {})", self.text(depth - 1), self.text(0), self.text(depth - 1)),
            11 => format!("{}.replace({}, {}, {})", self.text(depth - 1), self.text(0), self.text(0), self.int(0)),
            12 => format!("({} + {})", self.text(depth - 1), self.text(depth - 1)),
            13 => format!("string({})", self.int(depth - 1)),
            14 => format!("{}.join({})", self.in_order(|this| this.texts(depth - 1)), self.text(0)),
            15 => format!("{}[{}]", self.in_order(|this| this.texts(depth - 1)), self.int(0)),
            16 => format!("string({})", self.double(depth - 1)),
            _ => format!("string({})", self.bool(depth - 1)),
        }
    }
}

/// What the crate says; `None` for an error.
fn theirs(source: &str, context: &Context<'_, '_>) -> Option<bool> {
    match cel::Program::compile(source).unwrap_or_else(|error| panic!("{source}: {error:?}")).execute(context) {
        Ok(cel::Value::Bool(value)) => Some(value),
        Ok(other) => panic!("{source} is {other:?}"),
        Err(_) => None,
    }
}

#[test]
fn the_reference_agrees_about_lists_texts_and_conversions() {
    let schema = Schema::parse(SCHEMA).expect("a schema");
    let mut env = Env::stdlib();
    env.add_extension(extensions::strings).expect("no clash");
    let env = Arc::new(env);
    let mut generator = Generator { random: Random(7), scope: Vec::new(), count: 0, ordered: false };
    let mut tally = [0_usize; 4];
    for _ in 0..12_000 {
        let source = generator.bool(3);
        if source.len() > super::super::MAX_SOURCE_BYTES {
            continue;
        }
        let expression = match compile(&source, &schema, &|_| Some(3)) {
            Ok(expression) => expression,
            // Long ones go beyond a bound.
            Err(error) if error.message.contains("allowed") || error.message.contains("rules") => {
                tally[3] += 1;
                continue;
            }
            Err(error) => panic!("{source}: {error}"),
        };
        for _ in 0..3 {
            let record = generator.record();
            let mut context = Context::with_env(Arc::clone(&env));
            for (name, value) in record.as_object().expect("a record") {
                context.add_variable_from_value(name.clone(), world::value(value));
            }
            let (ours, theirs) = (world::judge(&expression, &record), theirs(&source, &context));
            assert_eq!(ours.clone().ok(), theirs, "{source}\nof {record}\nwe say {ours:?}");
            tally[theirs.map_or(2, usize::from)] += 1;
        }
    }
    let [no, yes, none, refused] = tally;
    assert!(no > 3_000 && yes > 3_000 && none > 1_000 && refused < 1_000, "{tally:?}");
}
