//! Random damage to bytes and to texts.

use crate::avro::Random;

/// Bytes that mean something to one reader or another.
const WORDS: [&[u8]; 24] = [
    b"\x00",
    b"\xff\xff\xff\xff\x0f",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    b"\xfe\xff\xff\xff\x0f",
    b"\x01",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\u0000",
    b": ",
    b"\n",
    b"\n  - ",
    b"null",
    b"-1",
    b"1e999",
    b"9223372036854775808",
    b"\xef\xbb\xbf",
    b"&a *a",
    b"\"type\"",
    b"\xf0\x9f\xa6\x86",
    b",",
    b"''",
];

/// Spoils bytes in a few places; `other` is something to take parts from.
pub(super) fn bytes(mut input: Vec<u8>, other: &[u8], random: &mut Random) -> Vec<u8> {
    for _ in 0..1 + random.below(4) {
        let at = random.below(input.len() + 1);
        let end = (at + 1 + random.below(16)).min(input.len());
        match random.below(8) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.next() as u8,
            2 => drop(input.drain(at.min(end)..end)),
            3 => input.truncate(at),
            4 => {
                let again = input[at.min(end)..end].repeat(1 + random.below(20));
                input.splice(at..at, again);
            }
            5 if !other.is_empty() => {
                let from = random.below(other.len());
                let until = (from + 1 + random.below(64)).min(other.len());
                input.splice(at..at, other[from..until].iter().copied());
            }
            _ => drop(input.splice(at..at, random.pick(&WORDS).iter().copied())),
        }
    }
    input
}

/// Spoils a text: as its bytes, or by moving, doubling and dropping its lines.
pub(super) fn text(input: &str, other: &str, random: &mut Random) -> String {
    if random.one_in(2) {
        let spoilt = bytes(input.as_bytes().to_vec(), other.as_bytes(), random);
        return String::from_utf8_lossy(&spoilt).into_owned();
    }
    let mut lines: Vec<&str> = input.lines().collect();
    for _ in 0..1 + random.below(3) {
        let (at, from) = (random.below(lines.len().max(1)), random.below(lines.len().max(1)));
        match random.below(4) {
            0 if !lines.is_empty() => drop(lines.remove(at)),
            1 if !lines.is_empty() => lines.insert(at, lines[from]),
            2 if !lines.is_empty() => lines.swap(at, from),
            _ => lines.extend(other.lines().skip(at).take(3)),
        }
    }
    lines.join("\n")
}
