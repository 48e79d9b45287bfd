//! What a plan says, and what a second apply does.

use crate::world::{Draft, World, carry_out, readings, steps};

#[test]
fn a_new_product_is_topics_schemas_and_a_version() {
    let world = World::new();
    let plan = world.plan(&[readings()]);
    let before = world.end();
    assert_eq!(
        steps(&plan),
        [
            "+ topic inbox.meter.readings.v1 with 2 partitions",
            "+ topic meter.readings.v1 with 2 partitions",
            "+ topic quarantine.meter.readings.v1 with 2 partitions",
            "+ schema under inbox.meter.readings.v1-value",
            "+ schema under meter.readings.v1-value",
            "+ contract version 1.0.0",
        ]
    );
    assert_eq!(world.end(), before, "a plan changes nothing");
    assert!(!plan.products[0].is_destructive());
}

#[test]
fn the_second_apply_has_nothing_to_do() {
    let world = World::new();
    let drafts = [
        readings().set("weir.retention", "1h").set("weir.quarantineRetention", "7d"),
        Draft { product: "meter.sensors", ..readings() }
            .set("weir.compaction", "true")
            .set("weir.key", "{type: utf8, fields: [sensor]}"),
    ];
    assert!(world.apply(&drafts).unwrap().steps > 0);
    let end = world.end();
    assert!(steps(&world.plan(&drafts)).is_empty());
    assert_eq!(world.apply(&drafts).unwrap().steps, 0);
    assert_eq!(world.end(), end);
}

#[test]
fn a_missing_file_takes_nothing_away() {
    let world = World::with(&[readings(), Draft { product: "meter.sensors", ..readings() }]);
    let end = world.end();
    world.apply(&[readings()]).unwrap();
    assert_eq!(world.end(), end);
    world.apply(&[]).unwrap();
    assert_eq!(world.end(), end);
}

#[test]
fn a_version_never_changes_and_never_goes_back_by_apply() {
    let world = World::with(&[readings()]);
    let other = readings().value("minimum: 5");
    assert_eq!(
        world.plan(&[other]).problems(true),
        ["meter.readings: version 1.0.0 was applied with other content, and a version never changes; raise it"]
    );
    world.apply(&[readings().version("1.1.0")]).unwrap();
    assert_eq!(
        world.plan(&[readings()]).problems(true),
        ["meter.readings: version 1.1.0 is in force, 1.0.0 is not after it; raise it, or use weir rollback"]
    );
}

#[test]
fn drafts_are_not_put_in_force() {
    let world = World::new();
    for status in ["draft", "proposed"] {
        let error = world.apply(&[Draft { status, ..readings() }]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("meter.readings: its status is {status}; write status: active to put it in force")
        );
    }
    assert_eq!(world.state("meter.readings"), None);
}

#[test]
fn a_new_major_stands_beside_the_old_one_and_speaks_for_the_product() {
    let world = World::with(&[readings()]);
    world.apply(&[readings().version("2.0.0").value("")]).unwrap();
    world.apply(&[Draft { status: "deprecated", ..readings().version("1.0.1") }]).unwrap();
    let state = world.state("meter.readings").unwrap();
    let majors: Vec<String> = state.majors.iter().map(|major| format!("{} {}", major.topic, major.version)).collect();
    assert_eq!(majors, ["meter.readings.v1 1.0.1", "meter.readings.v2 2.0.0"]);
    assert_eq!(state.status, "active", "the end of an old major is not the product's");
}

#[test]
fn what_loses_or_moves_something_is_asked_about() {
    let keyed = || readings().set("weir.key", "{type: utf8, fields: [sensor]}").set("weir.retention", "2h");
    let world = World::with(&[keyed(), Draft { product: "meter.sensors", ..readings() }]);
    let destructive = |draft: Draft| world.plan(&[draft.version("1.1.0")]).products[0].is_destructive();
    assert!(destructive(keyed().set("weir.retention", "1h")), "shorter retention");
    assert!(!destructive(keyed().set("weir.retention", "3h")), "longer retention");
    assert!(!destructive(keyed().set("weir.retention", "forever")));
    assert!(destructive(keyed().set("weir.partitions", "3")), "keys move to other partitions");
    assert!(
        !destructive(Draft { product: "meter.sensors", ..readings() }.set("weir.partitions", "3")),
        "without a key nothing moves"
    );
    assert!(destructive(keyed().set("weir.compaction", "true")), "older records of a key are lost");
    assert!(destructive(Draft { status: "retired", ..keyed() }), "topics are deleted");
}

#[test]
fn more_partitions_are_made_on_all_three_topics_and_awaited() {
    let world = World::with(&[readings()]);
    let applied = world.apply(&[readings().version("1.1.0").set("weir.partitions", "5")]).unwrap();
    assert_eq!(applied.pending.len(), 5, "each partition takes the new version up");
    let end = world.end();
    for topic in ["inbox.meter.readings.v1", "meter.readings.v1", "quarantine.meter.readings.v1"] {
        assert!(end.contains(&format!("topic {topic} 5 ")), "{end}");
    }
}

#[test]
fn a_retired_product_is_enforced_no_longer_and_its_topics_go() {
    let world = World::with(&[readings(), Draft { product: "meter.sensors", ..readings() }]);
    let same_version = Draft { status: "retired", ..readings() };
    assert_eq!(
        world.plan(&[same_version]).problems(true),
        ["meter.readings: version 1.0.0 is in force, 1.0.0 is not after it; raise it to retire the product"]
    );
    let retired = Draft { status: "retired", ..readings().version("1.0.1") };
    let plan = world.plan(std::slice::from_ref(&retired));
    assert_eq!(
        steps(&plan),
        [
            "- contract version 1.0.0, retired",
            "- topic inbox.meter.readings.v1 with all that it holds",
            "- topic meter.readings.v1 with all that it holds",
            "- topic quarantine.meter.readings.v1 with all that it holds",
        ]
    );
    carry_out(&world.steward("a"), &plan, None).unwrap();
    let state = world.state("meter.readings").unwrap();
    assert_eq!((state.status.as_str(), state.majors.len()), ("retired", 0));
    assert!(!world.end().contains("topic meter.readings.v1"));
    assert_eq!(world.audit().last().unwrap().0, "retire");
    assert!(!world.plan(&[retired]).has_changes());
    assert_eq!(world.version("meter.sensors"), "1.0.0");
}

#[test]
fn topics_of_a_contract_that_was_never_applied_are_not_deleted() {
    let world = World::new();
    world.make_topic("meter.readings.v1", 2, &[]);
    assert!(!world.plan(&[Draft { status: "retired", ..readings() }]).has_changes());
}
