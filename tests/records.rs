//! What becomes of records when enforcers die, when records are poison, and when other people's serialisers
//! write them. Looked at from outside: the checks are Python, with clients that nobody here wrote.

use crate::backbone::Backbone;
use crate::sandbox::{oracle, root};

fn readings(name: &str) -> Backbone {
    let backbone = Backbone::start(name);
    let _until_applied = backbone.enforcer("first");
    backbone.apply(&root().join("tests/products"));
    backbone
}

#[test]
fn poison_is_held_back_with_its_reason_and_neighbours_go_through() {
    let backbone = readings("poison");
    let _enforcer = backbone.enforcer("enforcer");
    oracle("check_poison.py", &[backbone.brokers(), &backbone.registry(), backbone.prefix()]);
}

#[test]
fn confluents_serializers_work_unchanged() {
    let backbone = readings("serializers");
    let _enforcer = backbone.enforcer("enforcer");
    oracle("check_serializers.py", &[backbone.brokers(), &backbone.registry(), backbone.prefix()]);
}
