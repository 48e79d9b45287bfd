//! Parsing canonical form and its CRC-64-AVRO fingerprint: what two schemas share when they read the same
//! bytes the same way. Docs, defaults, aliases and logical types are not part of it.
//!
//! Source: Apache Avro 1.12 specification, "Transforming into Parsing Canonical Form", "Schema Fingerprints".

use std::collections::HashSet;
use std::fmt::Write as _;

use super::schema::{Kind, NodeId, Schema};

const EMPTY: u64 = 0xc15d_213a_a4d7_a795;

const TABLE: [u64; 256] = table();

const fn table() -> [u64; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (EMPTY & (crc & 1).wrapping_neg());
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

/// CRC-64-AVRO of these bytes.
pub fn crc64(bytes: &[u8]) -> u64 {
    let index = |crc: u64, byte: u8| usize::from((crc as u8) ^ byte);
    bytes.iter().fold(EMPTY, |crc, byte| (crc >> 8) ^ TABLE[index(crc, *byte)])
}

impl Schema {
    /// The parsing canonical form.
    pub fn canonical(&self) -> String {
        let mut out = String::new();
        write(self, self.root, &mut HashSet::new(), &mut out);
        out
    }

    /// The CRC-64-AVRO fingerprint of the parsing canonical form.
    pub fn fingerprint(&self) -> u64 {
        crc64(self.canonical().as_bytes())
    }
}

/// Recursion goes no deeper than the text's nesting, which parsing bounded: a named type is spelt out once,
/// where it was defined.
fn write(schema: &Schema, id: NodeId, seen: &mut HashSet<NodeId>, out: &mut String) {
    let kind = &schema.node(id).kind;
    if matches!(kind, Kind::Record(_) | Kind::Enum(_) | Kind::Fixed(_)) && !seen.insert(id) {
        quote(kind.name(), out);
        return;
    }
    match kind {
        Kind::Array(items) => {
            out.push_str("{\"type\":\"array\",\"items\":");
            write(schema, *items, seen, out);
            out.push('}');
        }
        Kind::Map(values) => {
            out.push_str("{\"type\":\"map\",\"values\":");
            write(schema, *values, seen, out);
            out.push('}');
        }
        Kind::Union(branches) => {
            out.push('[');
            separated(branches, out, |branch, out| write(schema, *branch, seen, out));
            out.push(']');
        }
        Kind::Record(record) => {
            head(&record.name, "record", out);
            out.push_str(",\"fields\":[");
            separated(&record.fields, out, |field, out| {
                out.push_str("{\"name\":");
                quote(&field.name, out);
                out.push_str(",\"type\":");
                write(schema, field.node, seen, out);
                out.push('}');
            });
            out.push_str("]}");
        }
        Kind::Enum(enumeration) => {
            head(&enumeration.name, "enum", out);
            out.push_str(",\"symbols\":[");
            separated(&enumeration.symbols, out, |symbol, out| quote(symbol, out));
            out.push_str("]}");
        }
        Kind::Fixed(fixed) => {
            head(&fixed.name, "fixed", out);
            // Writing to a String cannot fail.
            let _ = write!(out, ",\"size\":{}}}", fixed.size);
        }
        primitive => quote(primitive.type_word(), out),
    }
}

fn head(name: &str, word: &str, out: &mut String) {
    out.push_str("{\"name\":");
    quote(name, out);
    out.push_str(",\"type\":");
    quote(word, out);
}

/// Names hold nothing that JSON would escape.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    out.push_str(text);
    out.push('"');
}

fn separated<T>(items: &[T], out: &mut String, mut each: impl FnMut(&T, &mut String)) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        each(item, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> (String, i64) {
        let schema = Schema::parse(text).expect("a schema");
        (schema.canonical(), schema.fingerprint() as i64)
    }

    #[test]
    fn primitives_are_their_names() {
        assert_eq!(canonical("\"null\""), ("\"null\"".to_owned(), 7_195_948_357_588_979_594));
        assert_eq!(
            canonical(r#"{"type":"long","logicalType":"timestamp-millis"}"#),
            ("\"long\"".to_owned(), -3_434_872_931_120_570_953)
        );
    }

    #[test]
    fn names_are_full_and_the_rest_is_dropped() {
        let text = r#"{"namespace":"a.b","doc":"x","type":"record","name":"R","aliases":["Q"],"fields":[
            {"default":1,"type":"int","name":"n"},
            {"name":"e","type":{"type":"enum","name":"E","symbols":["A"],"doc":"d"}},
            {"name":"next","type":["null","R"]},
            {"name":"f","type":{"type":"fixed","name":"c.F","size":4}}]}"#;
        assert_eq!(
            canonical(text).0,
            concat!(
                r#"{"name":"a.b.R","type":"record","fields":[{"name":"n","type":"int"},"#,
                r#"{"name":"e","type":{"name":"a.b.E","type":"enum","symbols":["A"]}},"#,
                r#"{"name":"next","type":["null","a.b.R"]},{"name":"f","type":{"name":"c.F","type":"fixed","size":4}}]}"#
            )
        );
    }
}
