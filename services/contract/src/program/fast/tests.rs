//! The fast pass finds what the exact one finds: the same records whole, the same values staged.

use std::sync::Arc;

use crate::avro::Schema;
use crate::cel::{self, Found, Rows};
use crate::model::{Check, Condition, Contract, Native, RuleId, Severity};
use crate::program::Program;
use crate::program::run::Places;
use crate::program::scratch::Scratch;
use crate::program::statistics::NULL;
use crate::program::tests::{contract, rule};

const SCHEMA: &str = r#"{"type":"record","name":"R","fields":[
  {"name":"name","type":"string"},
  {"name":"first","type":["null","string"]},
  {"name":"last","type":["string","null"]},
  {"name":"count","type":"int"},
  {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
  {"name":"until","type":["null","long"]},
  {"name":"price","type":"double"},
  {"name":"state","type":{"type":"enum","name":"E","symbols":["A","B","C"]}},
  {"name":"open","type":"boolean"},
  {"name":"sum","type":{"type":"bytes","logicalType":"decimal","precision":30,"scale":2}},
  {"name":"tags","type":{"type":"array","items":"string"}},
  {"name":"places","type":{"type":"map","values":{"type":"array","items":"int"}}},
  {"name":"code","type":{"type":"fixed","name":"F","size":3}},
  {"name":"either","type":["null","int","string"]},
  {"name":"weight","type":["null","float"]},
  {"name":"inner","type":["null",{"type":"record","name":"I","fields":[
    {"name":"street","type":"string"},{"name":"zip","type":["null","string"]},{"name":"city","type":"string"}]}]},
  {"name":"lines","type":{"type":"array","items":{"type":"record","name":"L","fields":[
    {"name":"sku","type":"string"},{"name":"price","type":"double"}]}}}
]}"#;

fn judged() -> Contract {
    let mut contract = contract(SCHEMA);
    let int = |value| Some((Native::Int(value), false));
    let bound = |value| Some((Native::Float(value), true));
    let texts = |all: &[&str]| all.iter().map(|text| Native::Text(Arc::from(*text))).collect();
    contract.rules = vec![
        rule("name", Check::Length { min: Some(2), max: Some(90) }),
        rule("first", Check::NotNull),
        rule("last", Check::Pattern(Arc::from("^[^0]*$"))),
        rule("count", Check::Range { min: int(-40), max: int(5_000) }),
        rule("price", Check::Range { min: bound(-1.0), max: bound(1e9) }),
        rule("state", Check::OneOf(texts(&["A", "B"]))),
        rule("tags", Check::Length { min: None, max: Some(90) }),
        rule("inner.city", Check::NoneOf(texts(&["Nowhere"]))),
    ];
    for source in [
        "at <= now && size(tags) >= 0",
        "lines.all(l, l.price < 1e9 && l.sku != name) && tags.exists(t, t != '')",
        "places.all(p, places[p].all(i, i < 200) && p != 'none')",
    ] {
        let expression = cel::compile(source, &contract.schema, &|_| None).expect("compiles");
        let (id, source) = (RuleId::new("condition"), Arc::from(source));
        contract.conditions.push(Condition { id, expression, source, severity: Severity::Error, description: None });
    }
    contract
}

struct Writer {
    random: u64,
    bytes: Vec<u8>,
}

impl Writer {
    fn below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % bound
    }

    fn long(&mut self, value: i64) {
        let mut rest = ((value << 1) ^ (value >> 63)) as u64;
        while rest >= 0x80 {
            self.bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.bytes.push(rest as u8);
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.long(bytes.len() as i64);
        self.bytes.extend_from_slice(bytes);
    }

    /// Mostly short, mostly ASCII; of all lengths around the fast pass's borders.
    fn text(&mut self) {
        let letters: &[&str] =
            if self.below(4) == 0 { &["a", "é", "漢", "🜁", "z"] } else { &["a", "b", "0", "~"] };
        let length = if self.below(8) == 0 { self.below(80) } else { self.below(12) };
        let text: String = (0..length).map(|_| letters[self.below(letters.len() as u64) as usize]).collect();
        self.raw(text.as_bytes());
    }

    /// Items in one block or in several, some of which say their size.
    fn blocks(&mut self, item: &dyn Fn(&mut Self)) {
        for _ in 0..self.below(3) {
            let count = 1 + if self.below(9) == 0 { self.below(80) } else { self.below(3) };
            let before = std::mem::take(&mut self.bytes);
            (0..count).for_each(|_| item(self));
            let items = std::mem::replace(&mut self.bytes, before);
            if self.below(3) == 0 {
                self.long(-(count as i64));
                self.long(items.len() as i64);
            } else {
                self.long(count as i64);
            }
            self.bytes.extend(items);
        }
        self.long(0);
    }

    fn number(&mut self) -> i64 {
        let size = self.below(63);
        let number = (self.below(1 << 31) as i64 * self.below(1 << 31) as i64) >> size;
        if self.below(3) == 0 { -number } else { number }
    }

    fn record(&mut self) {
        self.text();
        let first = i64::from(self.below(20) > 0);
        self.long(first);
        if first == 1 {
            self.text();
        }
        match self.below(2) {
            0 => self.long(1),
            _ => {
                self.long(0);
                self.text();
            }
        }
        let count = self.below(200) as i64 - 40;
        self.long(count);
        let at = self.number();
        self.long(at);
        match self.below(2) {
            0 => self.long(0),
            _ => {
                self.long(1);
                let until = self.number();
                self.long(until);
            }
        }
        let price = self.below(1_000) as f64 / 8.0;
        self.bytes.extend(price.to_le_bytes());
        let state = if self.below(20) == 0 { 2 } else { self.below(2) as i64 };
        self.long(state);
        let open = self.below(2) as u8;
        self.bytes.push(open);
        let sum: Vec<u8> = (0..self.below(13)).map(|_| self.below(256) as u8).collect();
        self.raw(&sum);
        self.rest();
    }

    fn rest(&mut self) {
        self.blocks(&|this| this.text());
        self.blocks(&|this| {
            this.text();
            this.blocks(&|this| {
                let number = this.below(100) as i64;
                this.long(number);
            });
        });
        self.bytes.extend([0xff, 1, 2]);
        let branch = self.below(3);
        self.long(branch as i64);
        match branch {
            1 => self.long(-77),
            2 => self.text(),
            _ => {}
        }
        match self.below(2) {
            0 => self.long(0),
            _ => {
                self.long(1);
                self.bytes.extend(2.5_f32.to_le_bytes());
            }
        }
        match self.below(2) {
            0 => self.long(0),
            _ => {
                self.long(1);
                self.text();
                let zip = self.below(2) as i64;
                self.long(zip);
                if zip == 1 {
                    self.text();
                }
                self.text();
            }
        }
        self.blocks(&|this| {
            this.text();
            this.bytes.extend(1.5_f64.to_le_bytes());
        });
    }
}

/// What one pass found: the slots, the rows, and the staged values as bits, those of enums apart from null left out.
fn found(program: &Program, slots: &[Found<'_>], rows: &Rows<'_>, scratch: &Scratch) -> (String, Vec<u64>) {
    let leaves = program.layout.leaves.iter().zip(&scratch.staged);
    let bits = leaves.map(|(leaf, value)| match value.to_bits() {
        bits if leaf.number || bits == NULL.to_bits() => bits,
        _ => 0,
    });
    (format!("{slots:?} {rows:?}"), bits.collect())
}

#[test]
fn both_passes_find_the_same() {
    let contract = Arc::new(judged());
    let program = Program::compile(&Schema::parse(SCHEMA).expect("a schema"), &contract).expect("resolves");
    let [Some(plain), Some(measuring)] = &program.fast else { panic!("the schema has fast passes") };
    let mut writer = Writer { random: 1, bytes: Vec::new() };
    let (mut whole, mut swift, mut broken) = (0, 0, 0);
    for round in 0..20_000 {
        writer.bytes.clear();
        writer.record();
        let mutated = round % 3 == 0;
        if mutated {
            let at = writer.below(writer.bytes.len() as u64) as usize;
            match writer.below(3) {
                0 => writer.bytes.truncate(at),
                1 => writer.bytes[at] ^= 1 << writer.below(8),
                _ => writer.bytes.insert(at, 0x80),
            }
        }
        let body = writer.bytes.clone();
        let (mut slots, mut rows, mut scratch) = ([Found::Null; 8], Rows::default(), Scratch::default());
        rows.prepare(&program.code.tables_of_items);
        scratch.begin(&program, true);
        let keeps = program.run(&body, &mut Places { slots: &mut slots, rows: &mut rows }, &mut scratch).is_ok()
            && scratch.hits().next().is_none();
        let exact = found(&program, &slots, &rows, &scratch);
        slots.fill(Found::Null);
        rows.clear();
        scratch.begin(&program, true);
        let measured =
            measuring.walk::<true>(&program, &body, &mut Places { slots: &mut slots, rows: &mut rows }, &mut scratch);
        if measured {
            assert_eq!(found(&program, &slots, &rows, &scratch), exact, "{body:02x?}");
        }
        slots.fill(Found::Null);
        scratch.begin(&program, false);
        assert_eq!(
            plain.walk::<false>(&program, &body, &mut Places { slots: &mut slots, rows: &mut rows }, &mut scratch),
            measured,
            "{body:02x?}"
        );
        assert!(keeps || !measured, "the fast pass let through {body:02x?}");
        // Only numbers that take more bytes than they need are left to the exact pass.
        assert!(measured || !keeps || mutated, "the fast pass left {body:02x?}");
        whole += usize::from(keeps);
        swift += usize::from(measured);
        broken += usize::from(!keeps);
    }
    assert!(whole > 4_000 && swift > 4_000 && broken > 4_000, "{whole}, {swift} and {broken}");
}
