//! Who is hurt by a change decides what it takes: a major, a minor, or a reason.

use schemas::ProductId;
use steward::{Effect, Span, StewardError, TopicSpan};

use crate::world::{Draft, World, carry_out, readings};

fn effects(world: &World, draft: &Draft) -> Vec<Effect> {
    let plan = world.plan(std::slice::from_ref(draft));
    plan.products[0].changes.iter().map(|change| change.effect).collect()
}

#[test]
fn who_is_hurt_is_said() {
    use Effect::{Harmless, Tightens, Weakens};
    let base = || readings().value("{minimum: 0, maximum: 100}");
    let world = World::with(&[base()]);
    let cases: [(&str, Vec<Effect>); 7] = [
        ("{minimum: 0, maximum: 100}", vec![]),
        ("{minimum: 1, maximum: 100}", vec![Tightens]),
        ("{minimum: -1, maximum: 100}", vec![Weakens]),
        ("{minimum: 0, maximum: 101}", vec![Weakens]),
        ("{minimum: 0}", vec![Weakens]),
        ("{exclusiveMinimum: 0, maximum: 100}", vec![Tightens, Weakens]),
        ("{minimum: 0, maximum: 100, multipleOf: 5}", vec![Tightens]),
    ];
    for (options, expected) in cases {
        let mut found = effects(&world, &base().version("1.1.0").value(options));
        found.sort();
        found.dedup();
        let found: Vec<_> = found.into_iter().filter(|effect| *effect != Harmless).collect();
        assert_eq!(found, expected, "{options}");
    }
}

#[test]
fn weakening_takes_a_new_major_or_a_reason_that_is_kept() {
    let weaker = readings().version("1.1.0").value("minimum: -5");
    let world = World::with(&[readings()]);
    let plan = world.plan(std::slice::from_ref(&weaker));
    let Err(StewardError::Blocked(problems)) = carry_out(&world.steward("a"), &plan, None) else { panic!("blocked") };
    assert_eq!(
        problems,
        [
            "meter.readings: rule value:minimum allows what it did not; consumers were promised otherwise: raise the major, or apply with --allow-breaking --reason TEXT"
        ]
    );
    assert_eq!(world.version("meter.readings"), "1.0.0");
    carry_out(&world.steward("a"), &plan, Some("agreed, DP-42")).unwrap();
    let (action, detail) = world.audit().pop().unwrap();
    assert_eq!(action, "allow-breaking");
    assert_eq!(
        detail,
        "version 1.1.0: agreed, DP-42 (rule value:minimum allows what it did not; consumers were promised otherwise: raise the major, or apply with --allow-breaking --reason TEXT)"
    );
    let catalog = world.steward("a").catalog().unwrap();
    let product: ProductId = "meter.readings".parse().unwrap();
    let stored = catalog.product(&product).unwrap().contracts.values().next_back().unwrap().contract.clone();
    assert_eq!(stored.breaking_reason.as_deref(), Some("agreed, DP-42"));

    let other = World::with(&[readings()]);
    other.apply(&[weaker.version("2.0.0")]).unwrap();
    assert_eq!(other.audit().pop().unwrap().0, "apply", "a new major breaks no promise");
}

#[test]
fn a_reason_that_was_not_needed_is_no_breaking_change() {
    let world = World::with(&[readings()]);
    let plan = world.plan(&[readings().version("1.0.1")]);
    carry_out(&world.steward("a"), &plan, Some("just in case")).unwrap();
    assert_eq!(world.audit().pop().unwrap(), ("apply".to_owned(), "version 1.0.1".to_owned()));
}

#[test]
fn a_schema_that_the_registry_refuses_takes_a_reason_too() {
    let world = World::with(&[readings().fields(&[("unit", true)])]);
    let narrower = readings().version("1.1.0");
    let plan = world.plan(std::slice::from_ref(&narrower));
    assert!(matches!(carry_out(&world.steward("a"), &plan, None), Err(StewardError::Blocked(_))));
    carry_out(&world.steward("a"), &plan, Some("nobody reads the unit")).unwrap();
    assert_eq!(world.version("meter.readings"), "1.1.0");
    let end = world.end();
    assert!(end.contains("subject 2 Some(FullTransitive)"), "the level is what it was: {end}");
    assert!(!world.plan(&[narrower]).has_changes());
}

#[test]
fn tightening_takes_a_minor_and_says_what_it_would_have_held_back() {
    let world = World::with(&[readings()]);
    world.produce(&[0, 1, 2, 3, 4, 5, 6, 7, 8, -1]);
    let tighter = readings().value("minimum: 3");
    assert_eq!(
        world.plan(&[tighter.clone().version("1.0.1")]).problems(false),
        ["meter.readings: it asks more of producers than 1.0.0; raise the minor"]
    );
    let plan = world.plan(&[tighter.version("1.1.0")]);
    let test = plan.products[0].held_back.as_ref().expect("the inbox is there");
    assert_eq!((test.held_back, test.of), (3, 10), "0, 1 and 2; −1 is held back already");
    let rules: Vec<_> = test.rules.iter().map(|(rule, records)| (rule.as_str(), *records)).collect();
    assert_eq!(rules, [("value:minimum", 3)]);
    let topic = schemas::Topic::existing("inbox.meter.readings.v1");
    let audit = |span| {
        let source = TopicSpan { broker: &*world.broker, topic: &topic, span };
        let product = schemas::Topic::existing("meter.readings.v1");
        steward::audit(&source, &*world.registry, &plan.products[0].contract, &product, &mut |_, _| {}).unwrap()
    };
    let (last, audit) = (audit(Span::Last(8)), audit(Span::All));
    assert_eq!((audit.records, audit.held_back), (10, 4));
    assert_eq!(audit.broken.values().map(|broken| broken.records).sum::<u64>(), 4);
    assert!((1..=8).contains(&last.records), "{}", last.records);
    carry_out(&world.steward("a"), &plan, None).unwrap();
    assert_eq!(world.version("meter.readings"), "1.1.0");
    let harmless = world.plan(&[readings().version("1.1.1").value("minimum: 3")]);
    assert_eq!(harmless.products[0].held_back, None);
}

#[test]
fn a_rule_that_moves_to_another_field_hurts_both_sides() {
    let id = |field: &'static str| {
        readings().set(
            "weir.conditions",
            if field == "sensor" {
                "[{id: r, expression: size(sensor) > 1}]"
            } else {
                "[{id: r, expression: value > 1}]"
            },
        )
    };
    let world = World::with(&[id("sensor")]);
    let mut found = effects(&world, &id("value").version("1.1.0"));
    found.sort();
    assert_eq!(found, [Effect::Tightens, Effect::Weakens]);
}

fn rollback(world: &World, reason: Option<&str>) -> Result<steward::Applied, StewardError> {
    let steward = world.steward("a");
    let plan = steward.plan_rollback(&"meter.readings".parse().unwrap(), None)?;
    carry_out(&steward, &plan, reason)
}

#[test]
fn a_rollback_that_hurts_nobody_who_reads_needs_no_reason() {
    // 1.1.0 promised less than 1.0.0, with a reason; to go back is a tightening.
    let world = World::with(&[readings()]);
    let plan = world.plan(&[readings().version("1.1.0").value("")]);
    carry_out(&world.steward("a"), &plan, Some("sensors drift")).unwrap();
    world.produce(&[-1, 1]);
    let plan = world.steward("a").plan_rollback(&"meter.readings".parse().unwrap(), None).unwrap();
    let test = plan.products[0].held_back.as_ref().expect("the inbox is there");
    assert_eq!((test.held_back, test.of), (1, 2));
    rollback(&world, None).unwrap();
    assert_eq!(world.version("meter.readings"), "1.0.0");
    assert_eq!(world.audit().pop().unwrap(), ("rollback".to_owned(), "version 1.0.0".to_owned()));
}

#[test]
fn a_rollback_that_promises_consumers_less_needs_a_reason_like_any_change() {
    let world = World::with(&[readings()]);
    world.apply(&[readings().version("1.1.0").value("minimum: 3")]).unwrap();
    let end = world.end();
    let Err(StewardError::Blocked(problems)) = rollback(&world, None) else { panic!("blocked") };
    assert!(problems[0].contains("rule value:minimum allows what it did not"), "{problems:?}");
    assert_eq!(world.end(), end);
    rollback(&world, Some("good readings were held back")).unwrap();
    assert_eq!(world.version("meter.readings"), "1.0.0");
    let (action, detail) = world.audit().pop().unwrap();
    assert_eq!(action, "rollback");
    assert!(detail.starts_with("version 1.0.0: good readings were held back ("), "{detail}");
}

#[test]
fn a_rollback_goes_to_the_version_before_of_the_major_that_is_named() {
    let world = World::with(&[readings()]);
    assert!(
        matches!(rollback(&world, None), Err(StewardError::NoPrevious(_, version)) if version.to_string() == "1.0.0")
    );
    world.apply(&[readings().version("1.0.1")]).unwrap();
    world.apply(&[readings().version("2.0.0")]).unwrap();
    assert!(matches!(rollback(&world, None), Err(StewardError::NoPrevious(..))), "v2 has none");
    let steward = world.steward("a");
    let product: ProductId = "meter.readings".parse().unwrap();
    let plan = steward.plan_rollback(&product, Some(schemas::Major(1))).unwrap();
    carry_out(&steward, &plan, None).unwrap();
    let state = world.state("meter.readings").unwrap();
    assert_eq!(state.majors[0].version.to_string(), "1.0.0");
    assert_eq!(state.majors[0].previous.unwrap().to_string(), "1.0.1");
    assert_eq!(state.majors[1].version.to_string(), "2.0.0");
    let unknown = steward.plan_rollback(&"meter.nothing".parse().unwrap(), None);
    assert!(matches!(unknown, Err(StewardError::NoProduct(_))));
}
