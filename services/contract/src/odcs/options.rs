//! `logicalTypeOptions` and `enum`, `unique`: what they demand of one value, as rules.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bind::{Bound, value_place};
use super::mistake::{shown, suggest};
use super::native;
use super::pattern;
use super::reader::Reader;
use super::yaml::{Node, Scalar, Value};
use crate::avro::{Kind, Logical};
use crate::model::{Check, Format, Native, Objective, Path, Segment};

const BOUNDS: [&str; 4] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"];

/// The options of each logical type (ODCS, "Logical Type Options").
fn known(logical: &str) -> &'static [&'static str] {
    match logical {
        "string" => &["minLength", "maxLength", "pattern", "format"],
        "date" => &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "format"],
        "timestamp" | "time" => {
            &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "format", "timezone", "defaultTimezone"]
        }
        "integer" | "number" => &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format"],
        "object" => &["minProperties", "maxProperties", "required"],
        "array" => &["minItems", "maxItems", "uniqueItems"],
        "vector" => {
            &["dimensions", "elementType", "distanceMetric", "embeddingModel", "embeddingModelVersion", "normalized"]
        }
        _ => &[],
    }
}

impl Reader<'_> {
    /// Turns the options of a property into rules.
    pub(super) fn options(&mut self, bound: &Bound<'_>) {
        let Some(options) = bound.property.get("logicalTypeOptions") else { return };
        if !matches!(options.value, Value::Map(_)) {
            let what = format!("`logicalTypeOptions` must be a mapping, not {}", options.kind());
            self.mistakes.at(options.place, what, "its options on lines of their own, such as `minLength: 1`");
            return;
        }
        let schema = self.schema;
        let inferred = native::called(schema.node(bound.node));
        let given =
            bound.property.text_at("logicalType").or_else(|| super::bind::logical_type(schema.node(bound.node)));
        let logical = given.unwrap_or_default();
        if bound.property.text_at("logicalType").is_none() && !options.entries().is_empty() {
            // The standard's schema allows no option without the type that it belongs to.
            let what = "`logicalTypeOptions` stand beside the `logicalType` that they belong to";
            self.mistakes.at(options.place, what, format!("`logicalType: {logical}`"));
        }
        for (key, value) in options.entries() {
            if !known(logical).contains(&key.text.as_str()) {
                let of = if logical.is_empty() { inferred.as_str() } else { logical };
                let what = format!("`{}` is not an option of the logical type {of}", key.text);
                let instead = match known(logical) {
                    [] => "nothing there".to_owned(),
                    known => suggest(&key.text, known.iter().copied()),
                };
                self.mistakes.at(key.place, what, instead);
                continue;
            }
            self.option(bound, logical, &key.text, value);
        }
        self.room(bound, options);
    }

    fn option(&mut self, bound: &Bound<'_>, logical: &str, name: &str, value: &Node) {
        match name {
            _ if BOUNDS.contains(&name) => self.bound(bound, name, value),
            "multipleOf" => self.multiple(bound, value),
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" => {
                self.length(bound, name, value);
            }
            "dimensions" => {
                if let Some(count) = self.count(name, value) {
                    self.rule(&bound.path, name, Check::Length { min: Some(count), max: Some(count) });
                }
            }
            "pattern" => self.pattern_option(bound, value),
            "format" => self.format(bound, logical, value),
            "uniqueItems" => match value.flag() {
                Some(true) => self.rule(&bound.path, name, Check::UniqueItems),
                Some(false) => {}
                None => self.mistakes.at(value.place, "`uniqueItems` must be true or false", "`true` or `false`"),
            },
            "required" => self.required_inside(bound, value),
            _ => {}
        }
    }

    fn bound(&mut self, bound: &Bound<'_>, name: &str, value: &Node) {
        let Some(native) = self.native(bound, name, value) else { return };
        let excluded = name.starts_with("exclusive");
        let limit = Some((native, excluded));
        let check = if name.ends_with("inimum") {
            Check::Range { min: limit, max: None }
        } else {
            Check::Range { min: None, max: limit }
        };
        self.rule(&bound.path, name, check);
    }

    /// Reads a value of the field; says what is wrong with it.
    pub(super) fn native(&mut self, bound: &Bound<'_>, name: &str, value: &Node) -> Option<Native> {
        let Some(text) = value.raw() else {
            self.mistakes.at(value.place, format!("`{name}` must be one value, not {}", value.kind()), "one value");
            return None;
        };
        let node = self.schema.node(bound.node);
        // `minimum: "5"` on a number is text that looks like one; the types of the document count.
        let numeric = matches!(node.kind, Kind::Int | Kind::Long | Kind::Float | Kind::Double)
            && node.logical.is_none()
            || matches!(node.logical, Some(Logical::Decimal { .. }));
        if numeric && !matches!(value.scalar(), Some(Scalar::Number(_))) {
            let what = format!("`{name}` of `{}` must be a number, not {}", bound.path, shown(text));
            let instead = if text.parse::<f64>().is_ok() { format!("`{name}: {text}`") } else { "a number".to_owned() };
            self.mistakes.at(value.place, what, instead);
            return None;
        }
        match native::read(text, node) {
            Ok(native) => Some(native),
            Err(unfit) => {
                let what = format!("{} cannot be a value of `{}`: {}", shown(text), bound.path, unfit.why);
                self.mistakes.at(value.place, what, unfit.instead);
                None
            }
        }
    }

    fn multiple(&mut self, bound: &Bound<'_>, value: &Node) {
        let Some(native) = self.native(bound, "multipleOf", value) else { return };
        let positive = match &native {
            Native::Int(number) => *number > 0,
            Native::Float(number) => *number > 0.0,
            Native::Decimal(number) => *number > 0,
            _ => false,
        };
        if positive {
            self.rule(&bound.path, "multipleOf", Check::MultipleOf(native));
        } else {
            self.mistakes.at(value.place, "`multipleOf` must be greater than zero", "a positive number");
        }
    }

    fn count(&mut self, name: &str, value: &Node) -> Option<u64> {
        let count = value.number().and_then(|number| number.parse::<u64>().ok());
        if count.is_none() {
            let what = format!(
                "`{name}` must be a whole number of at least 0, not {}",
                shown(value.raw().unwrap_or(value.kind()))
            );
            self.mistakes.at(value.place, what, format!("`{name}: 1`"));
        }
        count
    }

    fn length(&mut self, bound: &Bound<'_>, name: &str, value: &Node) {
        let node = self.schema.node(bound.node);
        if !matches!(node.kind, Kind::String | Kind::Bytes | Kind::Fixed(_) | Kind::Array(_) | Kind::Map(_)) {
            let what = format!("`{name}` cannot be checked: the Avro field `{}` is {}", bound.path, native::a(node));
            self.mistakes.at(value.place, what, "the field without it");
            return;
        }
        let Some(count) = self.count(name, value) else { return };
        let check = if name.starts_with("min") {
            Check::Length { min: Some(count), max: None }
        } else {
            Check::Length { min: None, max: Some(count) }
        };
        self.rule(&bound.path, name, check);
    }

    /// Patterns and formats are demands on text.
    fn is_text(&mut self, bound: &Bound<'_>, name: &str, value: &Node) -> bool {
        let node = self.schema.node(bound.node);
        if matches!(node.kind, Kind::String) {
            return true;
        }
        let what = format!("`{name}` cannot be checked: the Avro field `{}` is {}", bound.path, native::a(node));
        self.mistakes.at(value.place, what, "the field without it");
        false
    }

    fn pattern_option(&mut self, bound: &Bound<'_>, value: &Node) {
        if let Some(pattern) = self.pattern(bound, value) {
            self.rule(&bound.path, "pattern", Check::Pattern(pattern));
        }
    }

    /// A pattern that can be used on the field.
    pub(super) fn pattern(&mut self, bound: &Bound<'_>, value: &Node) -> Option<Arc<str>> {
        let Some(text) = value.text() else {
            self.mistakes.at(
                value.place,
                format!("`pattern` must be text, not {}", value.kind()),
                "`pattern: '^[A-Z]+$'`",
            );
            return None;
        };
        if !self.is_text(bound, "pattern", value) {
            return None;
        }
        match pattern::translate(text) {
            Ok(pattern) => Some(pattern.into()),
            Err((what, instead)) => {
                self.mistakes.at(value.place, what, instead);
                None
            }
        }
    }

    fn format(&mut self, bound: &Bound<'_>, logical: &str, value: &Node) {
        let Some(text) = value.text() else {
            self.mistakes.at(value.place, format!("`format` must be text, not {}", value.kind()), "`format: email`");
            return;
        };
        match logical {
            "string" => self.text_format(bound, text, value),
            "integer" => self.integer_format(bound, text, value),
            "number" if !["f32", "f64"].contains(&text) => {
                self.mistakes.at(value.place, format!("{} is not a format of numbers", shown(text)), "`f32` or `f64`");
            }
            // How dates are written as text: Avro does not write them as text.
            _ => {}
        }
    }

    fn text_format(&mut self, bound: &Bound<'_>, text: &str, value: &Node) {
        let format = match text {
            "email" => Format::Email,
            "uuid" => Format::Uuid,
            "uri" => Format::Uri,
            "hostname" => Format::Hostname,
            "ipv4" => Format::Ipv4,
            "ipv6" => Format::Ipv6,
            "date" => Format::Date,
            "date-time" => Format::DateTime,
            "time" => Format::Time,
            "password" | "byte" | "binary" => {
                self.mistakes.note(value.place, format!("the format {} is shown, not checked", shown(text)), "");
                return;
            }
            _ => {
                let known = ["email", "uuid", "uri", "hostname", "ipv4", "ipv6", "date", "date-time", "time"];
                self.mistakes.at(
                    value.place,
                    format!("{} is not a format of strings", shown(text)),
                    suggest(text, known),
                );
                return;
            }
        };
        if self.is_text(bound, "format", value) {
            self.rule(&bound.path, "format", Check::Format(format));
        }
    }

    fn integer_format(&mut self, bound: &Bound<'_>, text: &str, value: &Node) {
        let (least, most) = match text {
            "i8" => (i64::from(i8::MIN), i64::from(i8::MAX)),
            "i16" => (i64::from(i16::MIN), i64::from(i16::MAX)),
            "i32" => (i64::from(i32::MIN), i64::from(i32::MAX)),
            "u8" => (0, i64::from(u8::MAX)),
            "u16" => (0, i64::from(u16::MAX)),
            "u32" => (0, i64::from(u32::MAX)),
            "u64" | "u128" => (0, i64::MAX),
            "i64" | "i128" => return,
            _ => {
                let known = ["i8", "i16", "i32", "i64", "i128", "u8", "u16", "u32", "u64", "u128"];
                self.mistakes.at(
                    value.place,
                    format!("{} is not a format of integers", shown(text)),
                    suggest(text, known),
                );
                return;
            }
        };
        let native = |number: i64| match self.schema.node(bound.node).logical {
            Some(Logical::Decimal { .. }) => Native::Decimal(i128::from(number)),
            _ => Native::Int(number),
        };
        let check = Check::Range { min: Some((native(least), false)), max: Some((native(most), false)) };
        self.rule(&bound.path, "format", check);
    }

    /// `required` of an object: names of fields inside that must not be null.
    fn required_inside(&mut self, bound: &Bound<'_>, value: &Node) {
        let schema = self.schema;
        let Kind::Record(record) = &schema.node(bound.node).kind else {
            self.mistakes.at(value.place, "`required` applies to records only", "nothing there");
            return;
        };
        let example = || {
            record
                .fields
                .first()
                .map_or_else(|| "`required: [name]`".to_owned(), |field| format!("`required: [{}]`", field.name))
        };
        if value.items().is_empty() {
            let what = format!("`required` must be a list of names, not {}", value.kind());
            self.mistakes.at(value.place, what, example());
        }
        let mut named = BTreeSet::new();
        for name in value.items() {
            let Some(text) = name.text() else {
                let what = format!("a name in `required` must be text, not {}", name.kind());
                self.mistakes.at(name.place, what, example());
                continue;
            };
            if !named.insert(text) {
                self.mistakes.at(name.place, format!("{} is required twice", shown(text)), "it once");
            }
            match record.fields.iter().find(|field| field.name == text) {
                Some(field) if native::present(schema, field.node).is_some_and(|(_, nullable)| nullable) => {
                    let path = bound.path.then(Segment::Field(Arc::from(text)));
                    self.rule(&path, "required", Check::NotNull);
                }
                Some(_) => {}
                None => {
                    let what = format!("{} is not a field of `{}`", shown(text), bound.path);
                    let known = record.fields.iter().map(|field| field.name.as_str());
                    self.mistakes.at(name.place, what, suggest(text, known));
                }
            }
        }
    }

    /// Whether any value at all fits between the bounds.
    fn room(&mut self, bound: &Bound<'_>, options: &Node) {
        let schema = self.schema;
        let node = schema.node(bound.node);
        let read = |name: &str| options.get(name).and_then(Node::raw).and_then(|text| native::read(text, node).ok());
        for (low, high) in [
            ("minimum", "maximum"),
            ("minimum", "exclusiveMaximum"),
            ("exclusiveMinimum", "maximum"),
            ("exclusiveMinimum", "exclusiveMaximum"),
        ] {
            let (Some(least), Some(most)) = (read(low), read(high)) else { continue };
            let none = match order(&least, &most) {
                Some(Ordering::Greater) => true,
                Some(Ordering::Equal) => low.starts_with('e') || high.starts_with('e'),
                _ => false,
            };
            if none {
                self.no_room(options, low, high);
            }
        }
        let count = |name: &str| options.get(name).and_then(Node::number).and_then(|text| text.parse::<u64>().ok());
        for (low, high) in [("minLength", "maxLength"), ("minItems", "maxItems"), ("minProperties", "maxProperties")] {
            if count(low).zip(count(high)).is_some_and(|(least, most)| least > most) {
                self.no_room(options, low, high);
            }
        }
    }

    fn no_room(&mut self, options: &Node, low: &str, high: &str) {
        let what = format!("no value keeps both `{low}` and `{high}`");
        self.mistakes.at(value_place(options, high), what, format!("`{high}` with a value above `{low}`"));
    }

    /// ODCS 3.2 `enum`.
    pub(super) fn enumerated(&mut self, bound: &Bound<'_>) {
        let values = bound.property.items_at("enum");
        let mut natives = Vec::new();
        for value in values.iter().filter_map(|entry| entry.get("value")).filter(|value| !value.is_null()) {
            natives.extend(self.native(bound, "enum", value));
        }
        if !values.is_empty() {
            self.rule(&bound.path, "enum", Check::OneOf(natives));
        }
    }

    /// `unique: true`.
    pub(super) fn unique(&mut self, bound: &Bound<'_>) {
        let id = self.made_id(Some(&bound.path), "unique");
        let objective = Objective {
            id,
            path: Some(bound.path.clone()),
            metric: "duplicateValues".to_owned(),
            threshold: BTreeMap::from([("mustBe".to_owned(), 0.0)]),
            unit: None,
            description: None,
        };
        let note = format!("`unique` of `{}` is {}", bound.path, fate(Some(&bound.path)));
        self.objective(objective, bound.property.place_of("unique"), note);
    }
}

/// What becomes of a threshold that one record cannot decide: statistics are kept of what lies in records only.
pub(super) fn fate(path: Option<&Path>) -> &'static str {
    let inside = |path: &Path| path.0.iter().any(|segment| !matches!(segment, Segment::Field(_)));
    match path.is_some_and(inside) {
        true => "shown, neither measured nor enforced inside of arrays and maps",
        false => "measured, not enforced",
    }
}

fn order(left: &Native, right: &Native) -> Option<Ordering> {
    match (left, right) {
        (Native::Int(left), Native::Int(right)) => Some(left.cmp(right)),
        (Native::Decimal(left), Native::Decimal(right)) => Some(left.cmp(right)),
        (Native::Float(left), Native::Float(right)) => left.partial_cmp(right),
        _ => None,
    }
}
