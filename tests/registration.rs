//! How long it takes until a new product is ready: `weir apply` from its start to its end, which is when every
//! partition is judged by the contract. 50 products, then 20 registrations one by one; `WEIR_LONG` makes it
//! 1,000 products. Prints what it measured:
//!
//! ```sh
//! WEIR_LONG=1 cargo test -p tests --test backbone -- registration
//! ```

use std::fs;
use std::time::{Duration, Instant};

use crate::backbone::Backbone;
use crate::sandbox::{say, wait_for};

const REGISTRATIONS: usize = 20;

/// A product of two partitions, in a folder of its own below `folder`.
fn contract(backbone: &Backbone, folder: &str, number: usize) {
    let path = backbone.scratch().join(folder).join(format!("p{number}"));
    fs::create_dir_all(&path).expect("a folder");
    let text = format!(
        "apiVersion: v3.1.0\nkind: DataContract\nid: many.p{number}\nversion: 1.0.0\nstatus: active\ndomain: many\n\
         dataProduct: p{number}\nschema:\n  - name: R\n    logicalType: object\n    properties:\n      \
         - name: seq\n        logicalType: integer\n        required: true\n        logicalTypeOptions:\n          \
         minimum: 0\ncustomProperties:\n  - property: weir.partitions\n    value: 2\n"
    );
    fs::write(path.join("contract.odcs.yaml"), text).expect("room for a contract");
    let schema = format!(r#"{{"type":"record","name":"R{number}","fields":[{{"name":"seq","type":"long"}}]}}"#);
    fs::write(path.join("schema.avsc"), schema).expect("room for a schema");
}

fn timed(backbone: &Backbone, args: &[&str]) -> Duration {
    let began = Instant::now();
    backbone.weir(args).ok();
    began.elapsed()
}

#[test]
fn every_partition_of_a_new_product_is_activated_once_and_the_time_is_told() {
    let long = std::env::var_os("WEIR_LONG").is_some();
    let products = if long { 1_000 } else { 50 };
    let backbone = Backbone::start("registration");
    let enforcer = backbone.enforcer("enforcer");
    wait_for("the enforcer is ready", Duration::from_secs(60), || enforcer.readyz().filter(|(ready, _)| *ready));

    (0..products).for_each(|number| contract(&backbone, "all", number));
    let first_apply = timed(&backbone, &["apply", "all", "--timeout", "5m"]);
    let second_apply = timed(&backbone, &["apply", "all"]);
    let mut times: Vec<f64> = (products..products + REGISTRATIONS)
        .map(|number| {
            let folder = format!("new{number}");
            contract(&backbone, &folder, number);
            timed(&backbone, &["apply", &folder]).as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let (median, high) = (times[REGISTRATIONS / 2], times[REGISTRATIONS * 95 / 100 - 1]);
    say(&format!(
        "{products} products applied at once in {:.1} s, looked at again in {:.1} s; one more \
         beside them is ready in p50 {median:.2} s, p95 {high:.2} s",
        first_apply.as_secs_f64(),
        second_apply.as_secs_f64()
    ));
    let activated = enforcer.metric("weir_enforcer_activation_seconds_count", "").unwrap_or(0.0);
    assert!((activated - 2.0 * (products + REGISTRATIONS) as f64).abs() < 0.5, "each partition once: {activated}");
}
