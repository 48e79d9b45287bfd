//! An apply that dies at any of its steps, and the next one that goes on from there.

use broker::memory::{Fault, Faults, Step};

use crate::dying::{self, Death};
use crate::world::{Draft, World, carry_out, readings};

/// Two products that are there, and what a change of both, a new one and the end of one ask for.
fn before() -> Vec<Draft> {
    vec![readings(), Draft { product: "meter.sensors", ..readings() }, Draft { product: "meter.alarms", ..readings() }]
}

fn after() -> Vec<Draft> {
    vec![
        readings()
            .version("1.1.0")
            .value("minimum: 1")
            .fields(&[("note", false)])
            .set("weir.partitions", "4")
            .set("weir.retention", "1h")
            .set("weir.maxRecordBytes", "500000"),
        Draft { product: "meter.sensors", status: "deprecated", ..readings() }.version("1.0.1"),
        Draft { product: "meter.alarms", status: "retired", ..readings() }.version("1.0.1"),
        Draft { product: "meter.places", ..readings() },
    ]
}

/// Dies at every step in turn; each time the next apply must come to the same end. Gives how many steps there were.
fn dies_at_every_step(before: &[Draft], after: &[Draft], dies_after: bool) -> usize {
    let reference = World::with(before);
    reference.apply(after).unwrap();
    let wanted = reference.end();
    for step in 0.. {
        let world = World::with(before);
        let death = Death::at(step, dies_after);
        let sourced: Vec<_> = after.iter().map(Draft::sourced).collect();
        let mortal = dying::steward(&world, &death);
        let outcome = mortal.plan(&sourced).and_then(|plan| carry_out(&mortal, &plan, None));
        if !death.came() {
            outcome.unwrap();
            assert_eq!(world.end(), wanted);
            return step;
        }
        outcome.unwrap_err();
        world.apply(after).unwrap_or_else(|error| panic!("after dying at step {step}: {error:?}"));
        assert_eq!(world.end(), wanted, "after dying at step {step}");
        assert!(!world.plan(after).has_changes(), "after dying at step {step}");
    }
    unreachable!("an apply has an end")
}

#[test]
fn a_new_product_is_finished_by_the_next_apply_wherever_the_first_one_died() {
    for dies_after in [false, true] {
        assert!(dies_at_every_step(&[], &[readings()], dies_after) > 15);
    }
}

#[test]
fn a_change_of_several_products_is_finished_by_the_next_apply_wherever_the_first_one_died() {
    for dies_after in [false, true] {
        assert!(dies_at_every_step(&before(), &after(), dies_after) > 50);
    }
}

#[test]
fn a_decision_whose_outcome_is_unknown_is_made_once() {
    for fault in [Fault::UnknownCommitted, Fault::UnknownAborted, Fault::Disconnect, Fault::Takeover] {
        let world = World::new();
        let plan = world.plan(&[readings()]);
        world.broker.set_faults(Faults::scripted([(Step::Commit, fault)]));
        let applied = carry_out(&world.steward("a"), &plan, None).unwrap();
        assert_eq!(world.broker.struck(), [(Step::Commit, fault)]);
        assert_eq!(applied.pending.len(), 2, "the partitions are awaited all the same: {fault:?}");
        assert_eq!(world.audit(), [("apply".to_owned(), "version 1.0.0".to_owned())], "{fault:?}");
        assert_eq!(world.version("meter.readings"), "1.0.0");
    }
}

#[test]
fn weather_that_does_not_end_is_said_and_nothing_is_decided() {
    let world = World::new();
    let plan = world.plan(&[readings()]);
    world.broker.set_faults(Faults::scripted(std::iter::repeat_n((Step::Commit, Fault::Disconnect), 100)));
    let error = carry_out(&world.steward("a"), &plan, None).unwrap_err();
    assert!(error.to_string().starts_with("cannot write the decision to the catalog"), "{error}");
    world.broker.set_faults(Faults::none());
    assert_eq!(world.state("meter.readings"), None);
    world.registry.set_outage(true);
    assert!(world.apply(&[]).is_ok());
    assert!(world.steward("a").plan(&[readings().sourced()]).is_err());
}
