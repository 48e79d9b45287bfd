//! What was seen of the values at one place: as little as a draft needs, in bounded memory, at some ten
//! nanoseconds a value.

use contract::program::sketch::hash;

use super::texts::{Code, Kinds};
use super::values::{Counted, Deep, Unique};
use crate::moment::{self, Moment, MomentKind, Pattern};
use crate::numerals::{self, Numerals, Seen};

/// Texts that often mean null, those that hardly mean anything else first.
pub(crate) const TOKENS: [&str; 16] =
    ["NULL", "null", "\\N", "N/A", "#N/A", "<NA>", "NaN", "nan", "NA", "n/a", "None", "nil", "-", "?", ".", "--"];
/// How many of them mean null wherever they stand.
pub(crate) const SURE: usize = 8;

/// How dates and times may be written beside ISO 8601.
pub(crate) const PATTERNS: [&str; 22] = [
    "yyyy/M/d",
    "M/d/yyyy",
    "d/M/yyyy",
    "d.M.yyyy",
    "M-d-yyyy",
    "d-M-yyyy",
    "MMM d yyyy",
    "d MMM yyyy",
    "d-MMM-yyyy",
    "MMM d, yyyy",
    "yyyyMMdd",
    "yyyy/M/d H:mm",
    "yyyy/M/d H:mm:ss",
    "M/d/yyyy H:mm",
    "M/d/yyyy H:mm:ss",
    "d/M/yyyy H:mm",
    "d/M/yyyy H:mm:ss",
    "d.M.yyyy H:mm",
    "d.M.yyyy H:mm:ss",
    "M/d/yyyy h:mm a",
    "M/d/yyyy h:mm:ss a",
    "yyyy-M-d H:mm:ss",
];

/// Bits of the ways to write a moment: the four of ISO 8601, then [`PATTERNS`].
pub(crate) const DATE: usize = 0;
pub(crate) const ZONED: usize = 1;
pub(crate) const LOCAL: usize = 2;
pub(crate) const TIME: usize = 3;
pub(crate) const FIRST_PATTERN: usize = 4;
const WAYS: usize = FIRST_PATTERN + PATTERNS.len();

/// What all columns of a file share while it is read.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) numerals: Numerals,
    pub(crate) patterns: Vec<Pattern>,
    /// Tokens that mean null because somebody said so.
    pub(crate) nulls: Vec<String>,
    /// Whether other tokens may mean null.
    pub(crate) guess_nulls: bool,
    /// Hashes that there is still room for.
    pub(crate) room: usize,
    pub(crate) deep: bool,
    /// For a number that is to be made plain.
    pub(crate) buffer: String,
}

/// Numbers that were seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Numbers {
    pub(crate) count: u64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    pub(crate) least_whole: i64,
    pub(crate) most_whole: i64,
    /// Not all are whole and fit 64 bits.
    pub(crate) broken: bool,
    /// With a point in them.
    pub(crate) points: u64,
    /// With a point and something behind it that is not zero.
    pub(crate) fractions: u64,
    /// With an exponent, so that their digits say nothing.
    pub(crate) exponents: u64,
    pub(crate) infinite: u64,
    pub(crate) before: u32,
    pub(crate) after: u32,
}

impl Numbers {
    fn take(&mut self, seen: Seen) {
        let first = self.count == 0;
        self.count += 1;
        self.least = if first || seen.value < self.least { seen.value } else { self.least };
        self.most = if first || seen.value > self.most { seen.value } else { self.most };
        match seen.whole {
            Some(whole) => {
                self.least_whole = if first { whole } else { self.least_whole.min(whole) };
                self.most_whole = if first { whole } else { self.most_whole.max(whole) };
            }
            None => self.broken = true,
        }
        match seen.digits {
            Some((before, after)) => {
                self.before = self.before.max(before);
                self.after = self.after.max(after);
                self.points += u64::from(after > 0 || seen.zeros);
                self.fractions += u64::from(after > 0 && !seen.zeros);
            }
            None => self.exponents += 1,
        }
        self.infinite += u64::from(!seen.value.is_finite());
    }
}

/// What was seen at one place.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    /// Values of each kind that were there.
    pub(crate) texts: u64,
    pub(crate) numbers_given: u64,
    pub(crate) booleans: u64,
    pub(crate) nulls: u64,
    pub(crate) blanks: u64,
    pub(crate) tokens: [u64; TOKENS.len()],
    pub(crate) invalid: u64,
    /// Of all texts: still numbers, still `true` and `false`, still moments of these ways.
    pub(crate) numeric: bool,
    pub(crate) flags: bool,
    pub(crate) ways: u32,
    pub(crate) digits: u8,
    pub(crate) moments: [(i64, i64); WAYS],
    pub(crate) numbers: Numbers,
    pub(crate) kinds: Kinds,
    pub(crate) code: Code,
    pub(crate) shortest: u64,
    pub(crate) longest: u64,
    pub(crate) counted: Counted,
    pub(crate) unique: Unique,
    pub(crate) deep: Option<Box<Deep>>,
}

impl Leaf {
    pub(crate) fn new(deep: bool) -> Self {
        Self {
            texts: 0,
            numbers_given: 0,
            booleans: 0,
            nulls: 0,
            blanks: 0,
            tokens: [0; TOKENS.len()],
            invalid: 0,
            numeric: true,
            flags: true,
            ways: (1 << WAYS) - 1,
            digits: 0,
            moments: [(i64::MAX, i64::MIN); WAYS],
            numbers: Numbers::default(),
            kinds: Kinds::default(),
            code: Code::default(),
            shortest: u64::MAX,
            longest: 0,
            counted: Counted::default(),
            unique: Unique::default(),
            deep: deep.then(Box::default),
        }
    }

    /// Values that are there.
    pub(crate) fn present(&self) -> u64 {
        self.texts + self.numbers_given + self.booleans
    }

    /// A cell of a delimited file.
    pub(crate) fn cell(&mut self, cell: &[u8], reading: &mut Reading) {
        let trimmed = cell.trim_ascii();
        if trimmed.is_empty() {
            if cell.is_empty() {
                self.nulls += 1
            } else {
                self.blanks += 1
            }
            return;
        }
        if trimmed.len() <= 5 || !reading.nulls.is_empty() {
            if reading.nulls.iter().any(|token| token.as_bytes() == trimmed) {
                self.nulls += 1;
                return;
            }
            if reading.guess_nulls
                && !trimmed.first().is_some_and(u8::is_ascii_digit)
                && let Some(token) = TOKENS.iter().position(|token| token.as_bytes() == trimmed)
                && let Some(count) = self.tokens.get_mut(token)
            {
                *count += 1;
                return;
            }
        }
        let Ok(text) = std::str::from_utf8(cell) else {
            self.invalid += 1;
            self.texts += 1;
            self.only_text();
            return;
        };
        self.number_or_text(text, trimmed, reading);
    }

    fn number_or_text(&mut self, text: &str, trimmed: &[u8], reading: &mut Reading) {
        let seen = if self.numeric { look(trimmed, reading) } else { None };
        self.texts += 1;
        match seen {
            Some(seen) if !seen.name => {
                self.numbers.take(seen);
                if let Some(deep) = &mut self.deep {
                    deep.histogram.insert(seen.value);
                }
                // Whether numbers are names as well is known by their first thousand.
                if self.texts > 1_000 {
                    self.counted.give_up();
                    self.length(text);
                    self.flags = false;
                    self.ways &= 1 << (FIRST_PATTERN + 10);
                    if self.ways != 0 {
                        self.moment(trimmed, reading);
                    }
                    return self.hashed(text, reading);
                }
            }
            _ => self.numeric = false,
        }
        self.text_of(text, trimmed, reading);
    }

    fn text_of(&mut self, text: &str, trimmed: &[u8], reading: &mut Reading) {
        self.flags = self.flags && matches!(trimmed, b"true" | b"false" | b"True" | b"False" | b"TRUE" | b"FALSE");
        if self.ways != 0 {
            self.moment(trimmed, reading);
        }
        if !self.kinds.is_empty() {
            self.kinds.keep(text);
        }
        self.code.take(text.as_bytes());
        self.length(text);
        self.hashed(text, reading);
    }

    /// A string of a document: it may say a moment, but never a number.
    pub(crate) fn string(&mut self, text: &str, reading: &mut Reading) {
        self.texts += 1;
        self.numeric = false;
        self.flags = false;
        self.ways &= (1 << FIRST_PATTERN) - 1;
        self.text_of(text, text.as_bytes(), reading);
    }

    /// A number of a document.
    pub(crate) fn number(&mut self, number: &serde_json::Number, reading: &mut Reading) {
        self.numbers_given += 1;
        let whole = number.as_i64();
        let value = number.as_f64().unwrap_or(f64::NAN);
        let digits = whole.map(|whole| (whole.unsigned_abs().checked_ilog10().unwrap_or(0) + 1, 0));
        let fractions = u64::from(whole.is_none());
        self.numbers.take(Seen { whole, value, digits, zeros: false, name: false });
        self.numbers.fractions += fractions;
        if let Some(deep) = &mut self.deep {
            deep.histogram.insert(value);
        }
        if self.counted.is_alive() || self.unique.is_alive() || self.deep.is_some() {
            self.hashed(&number.to_string(), reading);
        }
    }

    pub(crate) fn boolean(&mut self, flag: bool, reading: &mut Reading) {
        self.booleans += 1;
        self.hashed(if flag { "true" } else { "false" }, reading);
    }

    fn only_text(&mut self) {
        self.numeric = false;
        self.flags = false;
        self.ways = 0;
        self.kinds.keep("");
        self.code.take(&[0xff]);
        self.counted.give_up();
        self.shortest = 0;
        self.longest = u64::MAX;
    }

    fn length(&mut self, text: &str) {
        let length = if text.is_ascii() { text.len() } else { text.chars().count() } as u64;
        self.shortest = self.shortest.min(length);
        self.longest = self.longest.max(length);
    }

    fn hashed(&mut self, text: &str, reading: &mut Reading) {
        if !(self.counted.is_alive() || self.unique.is_alive() || self.deep.is_some()) {
            return;
        }
        let hash = hash(text.as_bytes());
        self.counted.take(text, hash);
        if self.numbers.fractions > 0 {
            self.unique.give_up(&mut reading.room);
        }
        self.unique.take(hash, &mut reading.room);
        if let Some(deep) = &mut self.deep {
            deep.take(text, hash);
        }
    }

    fn moment(&mut self, text: &[u8], reading: &Reading) {
        let mut ways = self.ways;
        let iso = if ways & ((1 << FIRST_PATTERN) - 1) != 0 { moment::iso(text) } else { None };
        let fitting = iso.map(|moment| match (moment.kind, moment.offset) {
            (MomentKind::Date, _) => DATE,
            (MomentKind::Time, _) => TIME,
            (MomentKind::DateTime, Some(_)) => ZONED,
            (MomentKind::DateTime, None) => LOCAL,
        });
        for way in 0..WAYS {
            if ways & (1 << way) == 0 {
                continue;
            }
            let read = match way.checked_sub(FIRST_PATTERN) {
                None => iso.filter(|_| fitting == Some(way)),
                Some(pattern) => reading.patterns.get(pattern).and_then(|pattern| pattern.read(text)),
            };
            match read {
                Some(moment) => self.span(way, &moment),
                None => ways &= !(1 << way),
            }
        }
        self.ways = ways;
    }

    fn span(&mut self, way: usize, moment: &Moment) {
        self.digits = self.digits.max(moment.digits);
        let seconds = moment.seconds - i64::from(moment.offset.unwrap_or(0));
        if let Some((first, last)) = self.moments.get_mut(way) {
            *first = (*first).min(seconds);
            *last = (*last).max(seconds);
        }
    }

    /// The way that all its texts are written, by bit.
    pub(crate) fn way(&self) -> Option<usize> {
        (self.texts > 0 && self.ways != 0).then(|| self.ways.trailing_zeros() as usize)
    }
}

/// Looks at a cell as the file writes numbers; `inf` is one, if none that can be compared.
fn look(trimmed: &[u8], reading: &mut Reading) -> Option<Seen> {
    let seen = if reading.numerals.is_plain() {
        numerals::look(trimmed)
    } else {
        let text = std::str::from_utf8(trimmed).ok()?;
        let plain = reading.numerals.plain(text, &mut reading.buffer)?;
        numerals::look(plain.as_bytes())
    };
    seen.or_else(|| {
        let infinite = [&b"inf"[..], b"-inf", b"Infinity", b"-Infinity", b"Inf", b"-Inf"].contains(&trimmed);
        let value = if trimmed.first() == Some(&b'-') { f64::NEG_INFINITY } else { f64::INFINITY };
        infinite.then_some(Seen { whole: None, value, digits: None, zeros: false, name: false })
    })
}
