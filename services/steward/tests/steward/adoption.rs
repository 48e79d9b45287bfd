//! Topics that are there already: used as they are, and changed only where the contract says so.

use schemas::Topic;

use crate::world::{World, carry_out, readings, steps};

#[test]
fn existing_topics_are_adopted_and_what_the_contract_does_not_say_is_left_alone() {
    let world = World::new();
    world.make_topic("inbox.meter.readings.v1", 2, &[("retention.ms", "1234"), ("max.message.bytes", "5000000")]);
    world.make_topic("meter.readings.v1", 2, &[("cleanup.policy", "compact"), ("segment.ms", "60000")]);
    world.make_topic("quarantine.meter.readings.v1", 2, &[("retention.ms", "99"), ("max.message.bytes", "9000000")]);
    world.apply(&[readings()]).unwrap();
    assert_eq!(
        world.settings("inbox.meter.readings.v1"),
        ["max.message.bytes=5000000", "retention.ms=1234"],
        "the inbox is what it was"
    );
    assert_eq!(
        world.settings("meter.readings.v1"),
        ["cleanup.policy=compact", "max.message.bytes=5016384", "segment.ms=60000"],
        "the product topic has room for whatever the inbox takes"
    );
    assert_eq!(
        world.settings("quarantine.meter.readings.v1"),
        ["max.message.bytes=9000000", "message.timestamp.type=LogAppendTime", "retention.ms=99"]
    );
    assert!(!world.plan(&[readings()]).has_changes());
}

#[test]
fn what_the_contract_says_of_an_existing_topic_is_done() {
    let world = World::new();
    world.make_topic("meter.readings.v1", 2, &[("retention.ms", "86400000")]);
    let draft = readings().set("weir.retention", "1h");
    let plan = world.plan(std::slice::from_ref(&draft));
    assert!(steps(&plan)[1].contains("retention.ms 86400000 -> 3600000"), "{:?}", steps(&plan));
    assert!(plan.products[0].is_destructive(), "older records are lost");
    carry_out(&world.steward("a"), &plan, None).unwrap();
    assert!(world.settings("meter.readings.v1").contains(&"retention.ms=3600000".to_owned()));
}

#[test]
fn an_inbox_of_the_teams_own_is_never_made_changed_or_deleted() {
    let world = World::new();
    let draft = readings().set("weir.inboxTopic", "legacy_readings").set("weir.maxRecordBytes", "1000");
    let problems = world.plan(std::slice::from_ref(&draft)).problems(false);
    assert_eq!(
        problems,
        ["meter.readings: its inbox topic legacy_readings does not exist; create it, or leave weir.inboxTopic out"]
    );
    world.make_topic("legacy_readings", 2, &[("max.message.bytes", "3000000")]);
    world.apply(std::slice::from_ref(&draft)).unwrap();
    assert_eq!(world.settings("legacy_readings"), ["max.message.bytes=3000000"]);
    assert!(world.registry.ids(&schemas::Subject::existing("legacy_readings-value")).is_empty());
    assert!(world.settings("meter.readings.v1").contains(&"max.message.bytes=3016384".to_owned()));
    assert_eq!(world.state("meter.readings").unwrap().majors[0].inbox, Topic::existing("legacy_readings"));
    let retired = crate::world::Draft { status: "retired", ..draft.version("1.0.1") };
    world.apply(&[retired]).unwrap();
    assert_eq!(world.settings("legacy_readings"), ["max.message.bytes=3000000"], "it is still there");
}

#[test]
fn copies_are_what_the_contract_says_or_the_brokers_default() {
    let world = World::new();
    let copies = |draft: &crate::world::Draft| {
        let plan = world.plan(std::slice::from_ref(draft));
        let actions = plan.products.into_iter().flat_map(|product| product.actions);
        let copies = actions.filter_map(|action| match action {
            steward::Action::CreateTopic(topic) => Some(topic.replication),
            _ => None,
        });
        copies.collect::<Vec<_>>()
    };
    assert_eq!(copies(&readings()), [None; 3]);
    let three = readings().set("weir.replication", "3");
    assert_eq!(copies(&three), [Some(3); 3]);
    let error = world.apply(&[three]).unwrap_err();
    assert_eq!(error.to_string(), "create topic inbox.meter.readings.v1");
    assert_eq!(world.state("meter.readings"), None, "nothing is decided where a topic cannot be made");
}

#[test]
fn partitions_are_never_taken_away() {
    let world = World::new();
    world.make_topic("inbox.meter.readings.v1", 5, &[]);
    assert_eq!(
        world.plan(&[readings()]).problems(false),
        [
            "meter.readings: topic inbox.meter.readings.v1 has 5 partitions and the contract asks for 2; partitions cannot be taken away: write weir.partitions: 5"
        ]
    );
}

#[test]
fn a_subject_that_other_schemas_came_to_is_as_it_should_be() {
    let world = World::with(&[readings()]);
    // As an auto-registering producer with a schema of its own does.
    let text = readings().fields(&[("note", false)]).sourced();
    let text = text.contract.schema.text().to_owned();
    use broker::Registry;
    for subject in ["inbox.meter.readings.v1-value", "meter.readings.v1-value"] {
        world.registry.register(&schemas::Subject::existing(subject), &text).unwrap();
    }
    assert!(steps(&world.plan(&[readings()])).is_empty(), "the contract's schema is still there");
}
