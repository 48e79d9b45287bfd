//! Properties meet fields: each declared property is found in the Avro schema and agrees with it in type,
//! and each field of the schema is declared.

use std::sync::Arc;

use super::mistake::{Place, nearest, one_of, shown};
use super::native::{self, present};
use super::reader::Reader;
use super::yaml::Node;
use crate::avro::{self, Field, Kind, Logical, NodeId};
use crate::model::{Check, Path, Segment};

/// Classifications whose values anyone may see.
const OPEN: [&str; 2] = ["public", "internal"];

/// The logical types of ODCS; others have been refused before.
const LOGICAL: [&str; 11] =
    ["string", "boolean", "integer", "number", "date", "timestamp", "time", "object", "array", "map", "vector"];

/// A property and where it stands in the schema.
pub(super) struct Bound<'n> {
    pub(super) property: &'n Node,
    pub(super) path: Path,
    /// Behind the nullable union.
    pub(super) node: NodeId,
    pub(super) nullable: bool,
}

impl Path {
    /// This path and one more step.
    pub(super) fn then(&self, segment: Segment) -> Path {
        let mut longer = self.clone();
        longer.0.push(segment);
        longer
    }
}

impl Reader<'_> {
    /// Binds `properties` of `parent` to the fields of a record. `above` are the records on the way, so that
    /// a recursive type need not be described without end.
    pub(super) fn record(&mut self, parent: &Node, record: NodeId, path: &Path, above: &mut Vec<NodeId>) {
        let schema = self.schema;
        let Kind::Record(avro::Record { name, fields, .. }) = &schema.node(record).kind else { return };
        let again = above.contains(&record);
        let mut declared: Vec<&str> = Vec::new();
        above.push(record);
        for property in parent.items_at("properties") {
            let field = match self.field_of(property, name, fields) {
                Ok(field) => field,
                Err(meant) => {
                    // Saying that it is not declared either would be the same mistake again.
                    declared.extend(meant);
                    continue;
                }
            };
            if declared.contains(&field.name.as_str()) {
                let what = format!("the field {} is declared twice", shown(&field.name));
                self.mistakes.at(value_place(property, "name"), what, "it once");
                continue;
            }
            declared.push(&field.name);
            let path = path.then(Segment::Field(Arc::from(field.name.as_str())));
            self.property(property, field.node, path, above);
        }
        above.pop();
        if again {
            return;
        }
        let missing: Vec<&Field> = fields.iter().filter(|field| !declared.contains(&field.name.as_str())).collect();
        if !missing.is_empty() {
            self.undeclared(parent.place_of("properties"), name, &missing);
        }
    }

    /// The field of a property, or the name of the one that was probably meant.
    fn field_of<'f>(
        &mut self,
        property: &Node,
        record: &str,
        fields: &'f [Field],
    ) -> Result<&'f Field, Option<&'f str>> {
        let Some(name) = property.text_at("name") else { return Err(None) };
        let physical = property.text_at("physicalName");
        let found = physical.into_iter().chain([name]).find_map(|name| fields.iter().find(|field| field.name == name));
        found.ok_or_else(|| {
            let known = fields.iter().map(|field| field.name.as_str());
            let near = nearest(name, known.clone());
            let instead = match near {
                Some(near) => format!("`{near}`"),
                None => format!("{}, or add the field to the Avro schema", one_of(known)),
            };
            let what = format!("{} is not a field of the Avro record `{record}`", shown(name));
            self.mistakes.at(value_place(property, "name"), what, instead);
            near
        })
    }

    fn undeclared(&mut self, place: Place, record: &str, missing: &[&Field]) {
        let schema = self.schema;
        let names = missing.iter().map(|field| field.name.as_str());
        let plural = if missing.len() == 1 { "the field" } else { "the fields" };
        let verb = if missing.len() == 1 { "is" } else { "are" };
        let listed = one_of(names).replace(" or ", " and ");
        let what = format!("{plural} {listed} of the Avro record `{record}` {verb} not declared");
        let example = missing.first().map(|field| {
            let logical = present(schema, field.node).map(|(node, _)| logical_type(schema.node(node)));
            format!("`- name: {}` with `logicalType: {}` here", field.name, logical.flatten().unwrap_or("string"))
        });
        self.mistakes.at(place, what, example.unwrap_or_default());
    }

    /// Binds one property, an item of an array or a value of a map.
    fn property(&mut self, property: &Node, id: NodeId, path: Path, above: &mut Vec<NodeId>) {
        let schema = self.schema;
        self.classify(property, &path);
        self.written(property, &path);
        let Some((node, nullable)) = present(schema, id) else {
            self.several(property, &path);
            return;
        };
        if !self.types_agree(property, node, &path) {
            return;
        }
        let bound = Bound { property, path, node, nullable };
        if nullable && (property.flag_at("required") || property.flag_at("primaryKey")) {
            self.rule(&bound.path, "required", Check::NotNull);
        }
        if property.flag_at("unique") {
            self.unique(&bound);
        }
        self.options(&bound);
        self.enumerated(&bound);
        for entry in property.items_at("quality") {
            self.quality(entry, Some(&bound));
        }
        self.inside(&bound, above);
    }

    fn classify(&mut self, property: &Node, path: &Path) {
        let Some(class) = property.text_at("classification") else {
            self.unclassified(property, path);
            return;
        };
        if !OPEN.iter().any(|open| class.eq_ignore_ascii_case(open)) {
            self.classified.push(path.clone());
        }
    }

    /// What looks like personal data should say how it may be used.
    fn unclassified(&mut self, property: &Node, path: &Path) {
        let Some(Segment::Field(name)) = path.0.last() else { return };
        let options = property.get("logicalTypeOptions").and_then(|options| options.text_at("format"));
        let by_format = options.filter(|format| *format == "email").map(|_| "an e-mail address");
        let by_name = || super::personal(name).or_else(|| super::personal(property.text_at("physicalName")?));
        if let Some(what) = by_format.or_else(by_name) {
            let what = format!("`{path}` looks like {what}, and has no classification; its values are shown to anyone");
            let instead = "`classification: confidential`, or `classification: internal` where it is none";
            self.mistakes.note(value_place(property, "name"), what, instead);
        }
    }

    fn several(&mut self, property: &Node, path: &Path) {
        for key in ["logicalType", "logicalTypeOptions", "quality", "enum", "properties", "items"] {
            if property.get(key).is_some_and(|node| !node.is_null()) {
                let what =
                    format!("the Avro field `{path}` is a union of several types, which `{key}` cannot describe");
                self.mistakes.at(
                    property.place_of(key),
                    what,
                    "nothing there, or a union of null and one type in the schema",
                );
            }
        }
    }

    fn types_agree(&mut self, property: &Node, id: NodeId, path: &Path) -> bool {
        let Some(logical) = property.text_at("logicalType").filter(|given| LOGICAL.contains(given)) else {
            return true;
        };
        let node = self.schema.node(id);
        if agrees(logical, node) {
            return true;
        }
        let what = format!("`logicalType: {logical}`, but the Avro field `{path}` is {}", native::a(node));
        let instead = match logical_type(node) {
            Some(fitting) => format!("`logicalType: {fitting}`"),
            None => "no `logicalType`".to_owned(),
        };
        self.mistakes.at(value_place(property, "logicalType"), what, instead);
        false
    }

    /// What is inside of records, arrays and maps.
    fn inside(&mut self, bound: &Bound<'_>, above: &mut Vec<NodeId>) {
        let schema = self.schema;
        let property = bound.property;
        let kind = &schema.node(bound.node).kind;
        for (key, fits) in [
            ("properties", matches!(kind, Kind::Record(_))),
            ("items", matches!(kind, Kind::Array(_))),
            ("map", matches!(kind, Kind::Map(_))),
        ] {
            if !fits && property.get(key).is_some_and(|node| !node.is_null()) {
                let is = native::a(schema.node(bound.node));
                let what = format!("`{key}` does not apply: the Avro field `{}` is {is}", bound.path);
                self.mistakes.at(property.place_of(key), what, "the field without it");
            }
        }
        match kind {
            Kind::Record(_) => self.record(property, bound.node, &bound.path, above),
            Kind::Array(items) => {
                let path = bound.path.then(Segment::Items);
                self.within(property, property.get("items"), *items, path, "items", above);
            }
            Kind::Map(values) => {
                let map = property.get("map");
                if let Some(key) = map.and_then(|map| map.get("key")) {
                    self.map_key(key);
                }
                let path = bound.path.then(Segment::Values);
                self.within(property, map.and_then(|map| map.get("value")), *values, path, "map", above);
            }
            _ => {}
        }
    }

    fn within(
        &mut self,
        outer: &Node,
        inner: Option<&Node>,
        id: NodeId,
        path: Path,
        key: &str,
        above: &mut Vec<NodeId>,
    ) {
        if let Some(inner) = inner {
            self.property(inner, id, path, above);
            return;
        }
        let Some((node, _)) = present(self.schema, id) else { return };
        if matches!(self.schema.node(node).kind, Kind::Record(_)) && !above.contains(&node) {
            let what = format!("`{path}` are records whose fields are not declared");
            let instead = match key {
                "map" => "`logicalType: map` (ODCS 3.2) with `map:`, its `key` and its `value`",
                _ => "`items:` with `logicalType: object` and `properties`",
            };
            self.mistakes.at(outer.place, what, instead);
        }
    }

    fn map_key(&mut self, key: &Node) {
        for rule in ["logicalTypeOptions", "quality", "enum"] {
            if key.get(rule).is_some_and(|node| !node.is_null()) {
                let place = key.place_of(rule);
                self.mistakes.at(
                    place,
                    "rules on the keys of a map are not supported",
                    "a condition under `weir.conditions`",
                );
            }
        }
    }
}

/// Where a key's value begins, or the node itself.
pub(super) fn value_place(node: &Node, key: &str) -> Place {
    node.get(key).map_or(node.place, |value| value.place)
}

fn agrees(logical: &str, node: &avro::Node) -> bool {
    use Logical as L;
    match (logical, &node.kind, node.logical) {
        ("string", Kind::String | Kind::Enum(_), _) => true,
        // ODCS has no word for bytes.
        ("string", Kind::Bytes | Kind::Fixed(_), None | Some(L::Uuid)) => true,
        ("date", _, Some(L::Date)) | ("time", _, Some(L::TimeMillis | L::TimeMicros)) => true,
        (
            "timestamp",
            _,
            Some(
                L::TimestampMillis
                | L::TimestampMicros
                | L::TimestampNanos
                | L::LocalTimestampMillis
                | L::LocalTimestampMicros
                | L::LocalTimestampNanos,
            ),
        ) => true,
        ("number", Kind::Float | Kind::Double, None) | ("number", _, Some(L::Decimal { .. })) => true,
        ("integer", Kind::Int | Kind::Long, None) | ("integer", _, Some(L::Decimal { scale: 0, .. })) => true,
        ("object", Kind::Record(_) | Kind::Map(_), _) | ("map", Kind::Map(_), _) => true,
        ("array" | "vector", Kind::Array(_), _) | ("boolean", Kind::Boolean, _) => true,
        _ => false,
    }
}

/// The logical type that fits.
pub(super) fn logical_type(node: &avro::Node) -> Option<&'static str> {
    LOGICAL.into_iter().find(|logical| agrees(logical, node))
}
