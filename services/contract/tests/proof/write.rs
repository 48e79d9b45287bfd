//! Random records, written as Avro by the specification: in blocks of any division, with and without their
//! sizes; and bytes that somebody spoilt.

use super::random::Random;
use super::schema::{Body, Mark, NULL, Primitive, Schema, Type};

/// Deeper than this, arrays are empty and unions null.
const DEEP: usize = 9;

pub(crate) fn record(schema: &Schema, random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    value(schema, &schema.root(), 0, random, &mut out);
    out
}

pub(crate) fn long(number: i64, out: &mut Vec<u8>) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

pub(crate) fn bytes(value: &[u8], out: &mut Vec<u8>) {
    long(value.len() as i64, out);
    out.extend_from_slice(value);
}

fn value(schema: &Schema, kind: &Type, depth: usize, random: &mut Random, out: &mut Vec<u8>) {
    match kind {
        Type::Primitive(one, mark) => primitive(*one, *mark, random, out),
        Type::Union(branches) => {
            let null = branches.iter().position(|branch| *branch == NULL);
            let branch = match null {
                Some(null) if depth > DEEP => null,
                _ => random.below(branches.len()),
            };
            long(branch as i64, out);
            value(schema, &branches[branch], depth + 1, random, out);
        }
        Type::Array(item) => blocks(depth, random, out, |random, _, out| value(schema, item, depth + 1, random, out)),
        Type::Map(inner) => blocks(depth, random, out, |random, index, out| {
            bytes(format!("k{index}").as_bytes(), out);
            value(schema, inner, depth + 1, random, out);
        }),
        Type::Named(index) => match &schema.named[*index].body {
            Body::Record(fields) => {
                fields.iter().for_each(|field| value(schema, &field.kind, depth + 1, random, out));
            }
            Body::Enum { symbols, .. } => long(random.below(symbols.len()) as i64, out),
            Body::Fixed { size, mark: None } => out.extend((0..*size).map(|_| random.next() as u8 & 3)),
            Body::Fixed { size, mark: Some(_) } => out.extend(unscaled(*size, random)),
        },
    }
}

fn blocks(
    depth: usize,
    random: &mut Random,
    out: &mut Vec<u8>,
    mut item: impl FnMut(&mut Random, usize, &mut Vec<u8>),
) {
    let mut left = if depth > DEEP { 0 } else { random.below(4) };
    let mut index = 0;
    while left > 0 {
        let count = if random.one_in(4) { 1 + random.below(left) } else { left };
        let mut block = Vec::new();
        for _ in 0..count {
            item(random, index, &mut block);
            index += 1;
        }
        if random.one_in(4) {
            long(-(count as i64), out);
            long(block.len() as i64, out);
        } else {
            long(count as i64, out);
        }
        out.append(&mut block);
        left -= count;
    }
    out.push(0);
}

fn primitive(primitive: Primitive, mark: Option<Mark>, random: &mut Random, out: &mut Vec<u8>) {
    match primitive {
        Primitive::Null => {}
        Primitive::Boolean => out.push(u8::from(random.one_in(2))),
        Primitive::Int => long(i64::from(random.whole() as i32), out),
        // Around the time that conditions call now, if it is one.
        Primitive::Long if mark.is_some() && random.one_in(2) => {
            let unit = match mark {
                Some(Mark::TimestampMicros) => 1_000_000,
                Some(Mark::TimestampNanos) => 1_000_000_000,
                _ => 1_000,
            };
            long((super::NOW_SECONDS + random.whole() % 100_000) * unit, out);
        }
        Primitive::Long => long(random.whole(), out),
        Primitive::Float => {
            let number = if random.one_in(16) { f32::NAN } else { random.whole() as f32 / 2.0 };
            out.extend(number.to_le_bytes());
        }
        Primitive::Double => {
            let number = if random.one_in(16) { f64::INFINITY } else { random.whole() as f64 / 2.0 };
            out.extend(number.to_le_bytes());
        }
        Primitive::Text => bytes(text(random).as_bytes(), out),
        Primitive::Bytes if mark.is_some() => {
            let size = if random.one_in(100) { 18 } else { random.below(6) };
            bytes(&unscaled(size, random), out);
        }
        Primitive::Bytes => {
            let size = random.below(6);
            bytes(&(0..size).map(|_| *random.pick(b"ab\x00\xff7")).collect::<Vec<u8>>(), out);
        }
    }
}

/// A decimal's bytes: small numbers of both signs, seldom one beyond 128 bits.
fn unscaled(size: usize, random: &mut Random) -> Vec<u8> {
    let number = if random.one_in(8) { random.next() as i64 } else { random.whole().wrapping_mul(25) };
    let wide = i128::from(number).to_be_bytes();
    let filler = if number < 0 { 0xff } else { 0 };
    let mut bytes: Vec<u8> = vec![filler; size.saturating_sub(16)];
    bytes.extend(&wide[16 - size.min(16)..]);
    if size > 16 && random.one_in(8) {
        bytes[0] = 0x12;
    }
    bytes
}

fn text(random: &mut Random) -> String {
    if random.one_in(5) {
        let whole =
            ["10.0.0.7", "256.1.1.1", "2024-02-29", "2023-02-29", "7d444840-9dc0-11d1-b245-5ffdce74fad2", "a\nb"];
        return (*random.pick(&whole)).to_owned();
    }
    (0..random.below(6)).map(|_| *random.pick(&['a', 'b', 'é', '漢', '7'])).collect()
}

/// Spoils a record in a few places.
pub(crate) fn mutate(body: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.below(3) {
        let place = random.below(body.len() + 1);
        match random.below(5) {
            0 if place < body.len() => body[place] ^= 1 << random.below(8),
            1 if place < body.len() => body[place] = *random.pick(&[0, 1, 0x7f, 0x80, 0xff]),
            2 => body.truncate(place),
            3 => body.insert(place, random.next() as u8),
            _ if place < body.len() => drop(body.remove(place)),
            _ => {}
        }
    }
}
