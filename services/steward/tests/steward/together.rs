//! Two stewards at once: one decision after the other, each whole, or one of them is told that it is stale.

use std::sync::Barrier;

use steward::StewardError;

use crate::world::{Draft, World, carry_out, readings, steps};

fn stale(result: Result<steward::Applied, StewardError>) -> bool {
    matches!(result, Err(StewardError::Stale(product)) if product.to_string() == "meter.readings")
}

#[test]
fn of_two_plans_made_at_the_same_time_the_second_is_stale_and_does_nothing() {
    let (one, other) = (
        readings().version("1.1.0").set("weir.retention", "1h"),
        readings().version("1.2.0").set("weir.retention", "2h").set("weir.partitions", "8"),
    );
    for (first, second) in [(&one, &other), (&other, &one)] {
        let world = World::with(&[readings()]);
        let plans = [world.plan(std::slice::from_ref(first)), world.plan(std::slice::from_ref(second))];
        carry_out(&world.steward("a"), &plans[0], None).unwrap();
        let end = world.end();
        assert!(stale(carry_out(&world.steward("b"), &plans[1], None)));
        assert_eq!(world.end(), end, "a stale plan changes nothing, not even a topic");
        assert_eq!(world.version("meter.readings"), first.version);
    }
}

#[test]
fn a_plan_without_a_decision_goes_stale_too() {
    let world = World::with(&[readings()]);
    world.make_topic("other", 1, &[]);
    let drifted = readings().version("1.0.1").set("weir.retention", "1h");
    let first = world.plan(std::slice::from_ref(&drifted));
    carry_out(&world.steward("a"), &first, None).unwrap();
    // Somebody sets the retention by hand; the plan that sets it right is older than the next version.
    set_retention(&world, "60000");
    let repair = world.plan(std::slice::from_ref(&drifted));
    assert_eq!(steps(&repair), ["~ topic meter.readings.v1: retention.ms 60000 -> 3600000"]);
    world.apply(&[readings().version("1.0.2").set("weir.retention", "2h")]).unwrap();
    assert!(stale(carry_out(&world.steward("b"), &repair, None)));
    assert!(world.settings("meter.readings.v1").contains(&"retention.ms=7200000".to_owned()));
}

fn set_retention(world: &World, value: &str) {
    use broker::{Admin, ConfigChange};
    let change = [("retention.ms".to_owned(), ConfigChange::Set(value.to_owned()))].into();
    world.broker.alter_settings(&schemas::Topic::existing("meter.readings.v1"), &change).unwrap();
}

#[test]
fn the_same_change_by_two_stewards_is_made_once() {
    let world = World::new();
    let plans = [world.plan(&[readings()]), world.plan(&[readings()])];
    carry_out(&world.steward("a"), &plans[0], None).unwrap();
    let end = world.end();
    carry_out(&world.steward("b"), &plans[1], None).unwrap();
    assert_eq!(world.end(), end);
    assert_eq!(world.audit().len(), 1);
}

#[test]
fn stewards_of_different_products_do_not_stop_each_other() {
    const PRODUCTS: [&str; 6] = ["a.a", "b.b", "c.c", "d.d", "e.e", "f.f"];
    for _ in 0..20 {
        let world = World::new();
        let start = Barrier::new(PRODUCTS.len());
        std::thread::scope(|scope| {
            for product in PRODUCTS {
                let (world, start) = (&world, &start);
                scope.spawn(move || {
                    let plan = world.plan(&[Draft { product, ..readings() }]);
                    start.wait();
                    carry_out(&world.steward(product), &plan, None).unwrap();
                });
            }
        });
        assert!(PRODUCTS.into_iter().all(|product| world.version(product) == "1.0.0"));
        assert_eq!(world.audit().len(), PRODUCTS.len());
    }
}

#[test]
fn stewards_of_one_product_decide_one_after_the_other() {
    let versions = ["1.1.0", "1.2.0", "1.3.0", "1.4.0"];
    for _ in 0..20 {
        let world = World::with(&[readings()]);
        let start = Barrier::new(versions.len());
        std::thread::scope(|scope| {
            for version in versions {
                let (world, start) = (&world, &start);
                scope.spawn(move || {
                    start.wait();
                    insist(world, &readings().version(version));
                });
            }
        });
        assert_eq!(world.version("meter.readings"), "1.4.0");
        // What the catalog says came from decisions that are all on the audit, each after the one before it.
        let audit: Vec<String> = world.audit().into_iter().map(|(_, detail)| detail).collect();
        assert!(audit.is_sorted(), "{audit:?}");
        let previous = world.state("meter.readings").unwrap().majors[0].previous.unwrap();
        assert_eq!(audit[audit.len() - 2], format!("version {previous}"));
    }
}

/// As a pipeline would: plans and applies until it is done, or a later version is in force.
fn insist(world: &World, draft: &Draft) {
    loop {
        match carry_out(&world.steward(draft.version), &world.plan(std::slice::from_ref(draft)), None) {
            Ok(_) => return,
            Err(StewardError::Stale(_)) => {}
            Err(StewardError::Blocked(problems)) => {
                assert!(problems[0].contains("is not after it"), "{problems:?}");
                return;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}
