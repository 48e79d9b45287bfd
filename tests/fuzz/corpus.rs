//! Real inputs to begin with: the products' contracts and schemas, rows of their files, and records of any
//! schema.

use std::sync::OnceLock;

use contract::avro::{Kind, NodeId, Schema};

use crate::avro::Random;
use crate::odcs::originals;

/// Contracts, each with its schema.
pub(super) fn contracts() -> &'static [(String, String)] {
    static READ: OnceLock<Vec<(String, String)>> = OnceLock::new();
    READ.get_or_init(|| originals().into_iter().map(|one| (one.text, one.schema)).collect())
}

/// Expressions of the products' contracts, and others that use what there is.
pub(super) const EXPRESSIONS: [&str; 20] = [
    "origin != dest",
    "air_time == null || dep_time != null",
    "dewp == null || temp == null || dewp <= temp",
    "tzone != 'America/Phoenix' || tz == -7",
    "size(lines) > 0 && size(labels) < 10",
    "discount == null || discount < 0.5",
    "has(customer.email) && customer.email.endsWith('.example')",
    "status in [\"NEW\", \"PAID\"] ? total > 0 : total * 2 - 1 >= 0.25",
    "now - placed_at < duration('24h') || placed_at > timestamp('2024-01-31T00:00:00Z')",
    "!(gift && total / 3.0 > 1.5e3)",
    "order_id.matches('^[A-Z]{3}-\\\\d+$')",
    "signature == b'\\x00\\xff'",
    "int(total) % 7 == 0 && double(customer.id) < 1e300",
    "[1, 2, 3].all(x, x > 0) || {'a': 1}.a == 1",
    "lines.all(l, l.quantity > 0 && l.sku.split('-')[0].lowerAscii() != '')",
    "size(lines.filter(l, l.sku.startsWith('A'))) < 3 && lines[0].quantity >= 1",
    "order_id.substring(1, 3).reverse() + string(size(lines)) in lines.map(l, l.sku)",
    "lines.exists_one(l, lines.exists(m, m.sku == l.sku && int(m.sku) > 1))",
    "placed_at.getHours('+02:00') < 23 || (now - placed_at).getMinutes() > 5",
    "carrier.replace('', 'ab', 2).indexOf('b', 1) == tailnum.lastIndexOf('N') && origin.charAt(0) != dest.trim()",
];

/// Rows of the flights' files, as they come.
pub(super) const FLIGHTS: &str = "\
year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,origin,dest,air_time,distance,hour,minute,time_hour
2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z
2013,1,1,533,529,4,850,830,20,UA,1714,N24211,LGA,IAH,227,1416,5,29,2013-01-01T10:00:00Z
2013,1,2,,1545,,,1910,,AA,1021,,JFK,LAX,,2475,15,45,2013-01-02T20:00:00Z
2013,12,31,\"5\",2359,\"6.0\",354,340,14,B6,389,N566JB,JFK,PSE,,1617,23,59,2014-01-01T04:00:00Z
";

/// Orders, one a line.
pub(super) const ORDERS: &str = r#"{"order_id":"o-1","customer_id":"c-7","email":null,"placed_at":"2024-02-29T12:00:00Z","status":"NEW","currency":"EUR","total":19.99,"lines":[{"sku":"ABC-0001","quantity":2,"unit_price":"9.99"}],"coupon":null,"weight":1.5}
{"order_id":"o-2","customer_id":"c-8","email":"é@example.com","placed_at":1709208000000,"status":"PAID","currency":"EUR","total":"0.00","lines":[],"coupon":"\u0000","weight":null}
"#;

/// Most values of a record: a small schema can ask for more than there is room for.
const VALUES: usize = 100_000;

/// A record of any schema, well formed unless it were too large.
pub(super) fn record(schema: &Schema, random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    let mut left = VALUES;
    value(schema, schema.root(), 0, random, &mut out, &mut left);
    out
}

fn long(number: i64, out: &mut Vec<u8>) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn value(schema: &Schema, node: NodeId, depth: usize, random: &mut Random, out: &mut Vec<u8>, left: &mut usize) {
    if *left == 0 {
        return;
    }
    *left -= 1;
    match &schema.node(node).kind {
        Kind::Null => {}
        Kind::Boolean => out.push(u8::from(random.one_in(2))),
        Kind::Int => long(i64::from(random.whole() as i32), out),
        Kind::Long => long(random.whole(), out),
        Kind::Float => out.extend((random.whole() as f32 / 2.0).to_le_bytes()),
        Kind::Double => out.extend((random.whole() as f64 / 2.0).to_le_bytes()),
        Kind::Bytes | Kind::String => {
            let text = *random.pick(&["", "a", "EUR", "orders.orders", "1.0.0", "é"]);
            long(text.len() as i64, out);
            out.extend(text.as_bytes());
        }
        Kind::Array(item) | Kind::Map(item) => {
            let count = if depth > 8 { 0 } else { random.below(3) };
            if count > 0 {
                long(count as i64, out);
            }
            for index in 0..count {
                if matches!(schema.node(node).kind, Kind::Map(_)) {
                    out.extend([2, b'a' + index as u8]);
                }
                value(schema, *item, depth + 1, random, out, left);
            }
            out.push(0);
        }
        Kind::Union(branches) => {
            let null = branches.iter().position(|branch| matches!(schema.node(*branch).kind, Kind::Null));
            let chosen = match null {
                Some(null) if depth > 8 => null,
                _ => random.below(branches.len().max(1)),
            };
            long(chosen as i64, out);
            if let Some(branch) = branches.get(chosen).filter(|_| depth < 60) {
                value(schema, *branch, depth + 1, random, out, left);
            }
        }
        Kind::Record(record) if depth < 60 => {
            record.fields.iter().for_each(|field| value(schema, field.node, depth + 1, random, out, left));
        }
        Kind::Record(_) => {}
        Kind::Enum(enumeration) => long(random.below(enumeration.symbols.len().max(1)) as i64, out),
        Kind::Fixed(fixed) => out.extend(std::iter::repeat_n(7, fixed.size.min(1_000))),
    }
}
