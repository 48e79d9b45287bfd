//! Tests of what a report makes of values.

use std::time::Duration;

use super::*;

pub(super) fn report() -> Report {
    let machine = Machine { processor: "<8> cores & more".into(), cores: 2, memory: 1 << 34, kernel: "6.1".into() };
    let mut report = Report::new("ours beside theirs", machine);
    report.programs = ["weir 1".into(), "Kafka 2".into()];
    report.conditions = vec!["at night".into()];
    report.load_averages = vec![0.5, 1.5];
    report.figures.push(Figure {
        weir: vec![30.0, 10.0, 20.0],
        kafka: vec![10.0, 20.0, 20.0],
        ..Figure::new("speed", "1/s", Goal::AtLeast(1.0))
    });
    let mut latencies = Latencies::default();
    (1..=1_000).for_each(|millis| latencies.record(Duration::from_millis(millis)));
    for side in Side::BOTH {
        report.curves.push(Curve::new("delay".into(), side, &latencies));
    }
    report.counted.push(Counted { what: "much", sent: 5, read: 5 });
    report
}

#[test]
fn ratios_are_of_each_round_and_their_median_is_judged() {
    let report = report();
    let figure = report.figures.first().unwrap();
    assert_eq!(figure.ratios(), [3.0, 0.5, 1.0]);
    assert_eq!(Spread::of(&figure.ratios()), Some(Spread { least: 0.5, median: 1.0, most: 3.0 }));
    assert_eq!(figure.met(), Some(true));
    assert_eq!(Figure { goal: Goal::AtLeast(1.1), ..figure.clone() }.met(), Some(false));
    assert_eq!(Figure { goal: Goal::AtMost(0.5), ..figure.clone() }.met(), Some(false));
    assert_eq!(Figure { goal: Goal::Below(20.0), ..figure.clone() }.met(), Some(true));
    assert_eq!(Figure { goal: Goal::None, ..figure.clone() }.met(), None);
}

#[test]
fn the_median_of_an_even_number_lies_between() {
    assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 3.0]), Some(Spread { least: 1.0, median: 2.5, most: 4.0 }));
    assert_eq!(Spread::of(&[]), None);
}

#[test]
fn values_are_shown_with_three_digits_or_more() {
    let all = [(0.0123, "0.012"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (1_234_567.8, "1,234,568")];
    for (value, text) in all {
        assert_eq!(shown(value), text);
    }
}
