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
