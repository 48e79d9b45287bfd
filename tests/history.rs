//! The checker of histories is checked itself: what it must find is planted.

use crate::sandbox::oracle;

#[test]
fn the_checker_finds_every_planted_anomaly_and_raises_no_false_alarm() {
    let count = if std::env::var_os("WEIR_LONG").is_some() { "2000" } else { "150" };
    let checked = oracle("test_history.py", &[count]);
    assert!(checked.stdout.contains("no alarm") && checked.stdout.lines().count() == 13, "{checked:?}");
}
