//! Schemas changed at random in their JSON text: every kind of evolution, whether it can be read or not.

use serde_json::{Value as Json, json};

use super::proof::random::Random;

const PRIMITIVES: [&str; 8] = ["null", "boolean", "int", "long", "float", "double", "string", "bytes"];

/// Changes a schema in some places.
pub(crate) fn mutate(schema: &mut Json, random: &mut Random) {
    for _ in 0..1 + random.below(3) {
        let mut places = Vec::new();
        types(schema, String::new(), &mut places);
        let place = random.pick(&places).clone();
        let found = schema.pointer(&place).cloned();
        let named = found.as_ref().and_then(|found| found.get("name")).and_then(Json::as_str).map(str::to_owned);
        match named {
            Some(name) if random.one_in(5) => rename(schema, &place, &name, random),
            _ => {
                if let Some(kind) = schema.pointer_mut(&place) {
                    change(kind, random);
                }
            }
        }
    }
}

/// Every place of a type.
fn types(value: &Json, place: String, out: &mut Vec<String>) {
    match value {
        Json::Array(branches) => {
            for (index, branch) in branches.iter().enumerate() {
                types(branch, format!("{place}/{index}"), out);
            }
        }
        Json::Object(object) => {
            for key in ["items", "values"] {
                if let Some(inner) = object.get(key) {
                    types(inner, format!("{place}/{key}"), out);
                }
            }
            for (index, field) in object.get("fields").and_then(Json::as_array).into_iter().flatten().enumerate() {
                types(&field["type"], format!("{place}/fields/{index}/type"), out);
            }
        }
        _ => {}
    }
    out.push(place);
}

/// Another name, with or without the old one as an alias, here and wherever it is used.
fn rename(schema: &mut Json, place: &str, name: &str, random: &mut Random) {
    let (space, simple) = name.rsplit_once('.').unwrap_or(("", name));
    let new = match random.below(3) {
        0 => format!("{}New{simple}", if space.is_empty() { String::new() } else { format!("{space}.") }),
        1 => format!("elsewhere.{simple}"),
        _ => format!("elsewhere.New{simple}"),
    };
    replace(schema, name, &new);
    if random.one_in(2)
        && let Some(Json::Object(object)) = schema.pointer_mut(place)
    {
        let alias = if random.one_in(4) { format!("other.{simple}") } else { name.to_owned() };
        object.insert("aliases".to_owned(), json!([alias]));
    }
}

fn replace(value: &mut Json, old: &str, new: &str) {
    match value {
        Json::String(text) if text == old => new.clone_into(text),
        Json::Array(items) => items.iter_mut().for_each(|item| replace(item, old, new)),
        Json::Object(object) => object.values_mut().for_each(|item| replace(item, old, new)),
        _ => {}
    }
}

fn primitive(random: &mut Random) -> Json {
    json!(*random.pick(&PRIMITIVES))
}

fn change(kind: &mut Json, random: &mut Random) {
    match kind["type"].as_str() {
        Some("record") if !random.one_in(6) => return record(kind, random),
        Some("enum") if !random.one_in(4) => return enumeration(kind, random),
        Some("fixed") if !random.one_in(3) => {
            let size = kind["size"].as_u64().unwrap_or(1);
            kind["size"] = json!(size + 1);
            return;
        }
        _ => {}
    }
    let inner = kind.clone();
    *kind = match (random.below(8), kind.as_array().cloned()) {
        (0, _) => primitive(random),
        (1, None) => json!([inner, "null"]),
        (2, None) => json!(["null", inner]),
        (3, None) => json!([primitive(random), inner]),
        (4, None) => json!({"type": "array", "items": inner}),
        (5, None) => json!({"type": "map", "values": inner}),
        (_, None) => promoted(&inner, random),
        (1, Some(branches)) if !branches.is_empty() => random.pick(&branches).clone(),
        (2 | 3, Some(mut branches)) if branches.len() > 1 => {
            branches.remove(random.below(branches.len()));
            Json::Array(branches)
        }
        (4, Some(mut branches)) => {
            random.shuffle(&mut branches);
            Json::Array(branches)
        }
        (_, Some(mut branches)) => {
            branches.push(primitive(random));
            Json::Array(branches)
        }
    };
}

/// The types that a primitive promotes to, and back.
fn promoted(kind: &Json, random: &mut Random) -> Json {
    let numbers = ["int", "long", "float", "double"];
    match kind.as_str().or_else(|| kind["type"].as_str()) {
        Some(name) if numbers.contains(&name) => json!(*random.pick(&numbers)),
        Some("string") => json!("bytes"),
        Some("bytes") => json!("string"),
        _ => primitive(random),
    }
}

fn enumeration(kind: &mut Json, random: &mut Random) {
    let mut symbols = kind["symbols"].as_array().cloned().unwrap_or_default();
    match random.below(4) {
        0 if symbols.len() > 1 => {
            let gone = symbols.remove(random.below(symbols.len()));
            if kind["default"] == gone {
                kind["default"] = symbols[0].clone();
            }
        }
        1 => symbols.push(json!(format!("More{}", random.below(1_000)))),
        2 => random.shuffle(&mut symbols),
        _ => kind["default"] = random.pick(&symbols).clone(),
    }
    kind["symbols"] = Json::Array(symbols);
    if kind["default"].is_null()
        && let Json::Object(object) = kind
    {
        object.remove("default");
    }
}

fn record(kind: &mut Json, random: &mut Random) {
    let mut fields = kind["fields"].as_array().cloned().unwrap_or_default();
    let number = random.below(1_000);
    let chosen = random.below(fields.len().max(1));
    match (random.below(7), fields.get_mut(chosen)) {
        (0, Some(_)) => drop(fields.remove(chosen)),
        (1, _) => fields.push(json!({"name": format!("more{number}"), "type": primitive(random)})),
        (2, _) => fields.push(json!({"name": format!("more{number}"), "type": ["null", "int"], "default": null})),
        (3, Some(field)) => {
            let old = std::mem::replace(&mut field["name"], json!(format!("other{number}")));
            if random.one_in(2) {
                field["aliases"] = json!(["unknown", old]);
            }
        }
        (4, Some(field)) => {
            if let Json::Object(field) = field
                && field.remove("default").is_none()
                && let Some(default) = default(&field["type"])
            {
                field.insert("default".to_owned(), default);
            }
        }
        (5, _) => random.shuffle(&mut fields),
        // An alias that another field has as its name.
        (_, Some(field)) => field["aliases"] = json!([format!("f{}", random.below(4))]),
        _ => {}
    }
    kind["fields"] = Json::Array(fields);
}

fn default(kind: &Json) -> Option<Json> {
    let first = kind.as_array().and_then(|branches| branches.first()).unwrap_or(kind);
    Some(match first.as_str().or_else(|| first["type"].as_str())? {
        "null" => Json::Null,
        "boolean" => json!(true),
        "int" | "long" => json!(1),
        "float" | "double" => json!(0.5),
        "string" | "bytes" => json!("x"),
        "array" => json!([]),
        "map" => json!({}),
        "enum" => first["symbols"][0].clone(),
        _ => return None,
    })
}
