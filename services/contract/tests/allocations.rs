//! Judging a record that keeps its contract allocates nothing, once the working memory of the thread has
//! grown to what the program needs.

#[path = "../benches/judge/orders.rs"]
mod orders;

use std::sync::Arc;

use apache_avro::writer::datum::GenericDatumWriter;
use contract::{Context, Program, Scratch, Statistics, Verdict};

/// The orders, and with them how many break a rule.
fn bodies(program: &Program, count: usize) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let schema = apache_avro::Schema::parse_str(orders::SCHEMA).expect("a schema");
    let writer = GenericDatumWriter::builder(&schema).build().expect("a writer");
    let mut random = orders::Random(7);
    let mut scratch = Scratch::default();
    let context = Context { key: None, key_schema: None, now: orders::NOW };
    (0..count)
        .map(|_| {
            let order = orders::order(&mut random);
            let keeps = orders::keeps(&order);
            let body = writer.write_value_to_vec(order).expect("encodes");
            let verdict = program.judge(&body, &context, &mut scratch, None);
            assert_eq!(verdict == Verdict::Conforms, keeps);
            body
        })
        .partition(|body| program.judge(body, &context, &mut Scratch::default(), None) == Verdict::Conforms)
}

/// Allocations while all of the bodies are judged.
fn allocations(
    program: &Program,
    bodies: &[Vec<u8>],
    scratch: &mut Scratch,
    statistics: &mut Option<Statistics>,
) -> u64 {
    let context = Context { key: None, key_schema: None, now: orders::NOW };
    let counted = allocation_counter::measure(|| {
        for body in bodies {
            program.judge(body, &context, scratch, statistics.as_mut());
        }
    });
    counted.count_total
}

#[test]
fn a_conforming_record_costs_no_allocation() {
    for measures in [false, true] {
        let contract = Arc::new(orders::contract(measures));
        let program = Program::compile(&contract.schema, &contract).expect("resolves");
        let (conforming, broken) = bodies(&program, 5_000);
        assert!(broken.len() > 20 && conforming.len() > 4_800, "{} and {}", conforming.len(), broken.len());
        for mut statistics in [None, Some(Statistics::new(&program))] {
            let mut scratch = Scratch::default();
            allocations(&program, &conforming[..1], &mut scratch, &mut statistics);
            let counted = allocations(&program, &conforming, &mut scratch, &mut statistics);
            assert_eq!(counted, 0, "sketches {measures}, statistics {}", statistics.is_some());
            // What the count is worth: records that break a rule say so in text.
            assert!(allocations(&program, &broken, &mut scratch, &mut statistics) as usize >= broken.len());
            if let Some(statistics) = &mut statistics {
                statistics.clear();
            }
            assert_eq!(allocations(&program, &conforming, &mut scratch, &mut statistics), 0, "after a transaction");
        }
    }
}

/// Conditions on items, and such as make texts.
const CONDITIONS: [&str; 4] = [
    "lines.all(l, l.quantity > 0 && l.price >= 0.0) && size(lines.filter(l, l.price > 1e6)) == 0",
    "lines.map(l, l.sku.lowerAscii()).join('-') != '' && !(order_id in lines.map(l, l.sku))",
    "order_id.upperAscii().reverse().reverse().replace('-', '') + string(priority) != customer_id",
    "ordered_at.getFullYear() < 2100 && size(string(total).split('.')) <= 2 && address.city.trim().charAt(0) != '!'",
];

#[test]
fn items_and_texts_cost_no_allocation_once_there_is_memory_for_them() {
    let mut contract = orders::contract(false);
    for source in CONDITIONS {
        let expression = contract::cel::compile(source, &contract.schema, &|_| None).expect("compiles");
        let like = contract.conditions[0].clone();
        contract.conditions.push(contract::Condition { expression, source: Arc::from(source), ..like });
    }
    let contract = Arc::new(contract);
    let program = Program::compile(&contract.schema, &contract).expect("resolves");
    let (conforming, _) = bodies(&program, 2_000);
    assert!(conforming.len() > 1_900, "{}", conforming.len());
    let mut scratch = Scratch::default();
    // The memory has grown to the largest of them.
    allocations(&program, &conforming, &mut scratch, &mut None);
    assert_eq!(allocations(&program, &conforming, &mut scratch, &mut None), 0);
}
