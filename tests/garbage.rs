//! Ids that no registry knows: they are held back, and cost nobody else anything.

use crate::backbone::Backbone;
use crate::sandbox::{oracle, root};

#[test]
fn hundreds_of_garbage_ids_stall_no_partition_and_a_late_registration_costs_no_record() {
    let backbone = Backbone::start("garbage");
    let _enforcer = backbone.enforcer("enforcer");
    backbone.apply(&root().join("tests/products"));
    let args = [backbone.brokers(), &backbone.registry(), backbone.prefix(), "300", "20"];
    let checked = oracle("garbage_ids.py", &args);
    assert!(checked.stdout.starts_with("300 garbage ids"), "{checked:?}");
}
