//! `weir bench`: that a measurement runs to its end and has every figure. What the figures are is not judged here: the
//! machine is shared. Those of a quiet one stand in `loadtest/README.md`.

use std::fs;

use serde_json::Value;

use crate::cluster::kafka_version;
use crate::sandbox::{run, scratch, tests_dir, weir};

#[test]
fn our_broker_and_apache_kafka_are_measured_and_every_record_that_was_sent_was_read() {
    let page = scratch("bench").join("report.html");
    let mut command = weir();
    command.args(["bench", "broker", "--seconds", "1", "--rounds", "1", "-o", "json", "--kafka-jars"]);
    command.arg(tests_dir().join(format!("kafka-{}", kafka_version()))).arg("--html").arg(&page);
    let report: Value = serde_json::from_str(&run(command, b"").ok().stdout).expect("one JSON document");

    let figures = report["figures"].as_array().expect("figures");
    for wanted in ["produce, rdkafka", "produce, Java", "consume, rdkafka", "transactions", "memory, idle"] {
        assert!(figures.iter().any(|figure| figure["name"] == wanted), "{wanted}: {report:#}");
    }
    for figure in figures {
        let name = figure["name"].as_str().unwrap_or_default();
        for side in ["weir", "kafka"] {
            let measured = figure[side].as_array().expect("values by round");
            // The processor's time is known in steps of 10 ms, of which a broker may take less than one.
            let enough = |value: &Value| value.as_f64().is_some_and(|value| value > 0.0 || name.contains("CPU"));
            assert!(measured.len() == 1 && measured.iter().all(enough), "{side}: {figure:#}");
        }
        assert_eq!(figure["ratios"].as_array().map(Vec::len), Some(1), "{figure:#}");
    }

    let counted = report["counted"].as_array().expect("counts");
    let parts: Vec<&str> = counted.iter().filter_map(|part| part["what"].as_str()).collect();
    assert_eq!(parts.len(), 10, "{parts:?}");
    for part in counted {
        assert!(part["sent"].as_u64() > Some(0) && part["sent"] == part["read"], "{part:#}");
    }
    for at in ["at 1,000/s", "at 20,000/s"] {
        let sent = counted.iter().filter(|part| part["what"] == at).map(|part| part["sent"].as_u64());
        let due = if at == "at 1,000/s" { 1_250 } else { 25_000 };
        assert_eq!(sent.collect::<Vec<_>>(), [Some(due), Some(due)], "{at}");
    }

    let html = fs::read_to_string(&page).expect("the page was written");
    // A plot for each figure and each rate.
    assert_eq!(html.matches("<svg").count(), figures.len() + 2);
}

#[test]
fn without_apache_kafka_it_is_said_how_to_get_it() {
    let empty = scratch("no-kafka");
    let mut command = weir();
    command.args(["bench", "broker", "--kafka-jars"]).arg(&empty);
    let refused = run(command, b"");
    assert!(refused.code == Some(1) && refused.stderr.contains("tests/kafka/pom.xml"), "{refused:?}");
}
