//! The page that says how to go from our own broker to a Kafka cluster: its commands, as they stand there but for
//! addresses and names, on a real Apache Kafka.

use std::process::Command;

use crate::backbone::Backbone;
use crate::cluster::{Cluster, java};
use crate::process::get;
use crate::readme::{Snippet, snippets};
use crate::sandbox::{Sandbox, root, run};

fn page() -> Vec<Snippet> {
    snippets(&root().join("services/weir/guide/growing.md"))
}

/// The page's commands that begin so, up to the end of their block.
fn commands(begin: &str) -> String {
    let found = page().into_iter().find(|snippet| snippet.text.starts_with(begin));
    found.unwrap_or_else(|| panic!("the page has no commands that begin with {begin}")).text
}

/// The id of a subject's schema, as a registry says it.
fn id(registry: &str, subject: &str) -> String {
    let port = registry.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let (code, body) = get(port, &format!("/subjects/{subject}/versions/latest")).expect("the registry answers");
    assert_eq!(code, 200, "{body}");
    let (_, rest) = body.split_once("\"id\":").expect("an id");
    rest.trim_start().chars().take_while(char::is_ascii_digit).collect()
}

#[test]
fn schemas_keep_their_ids_and_contracts_apply_on_a_kafka_cluster() {
    let small = Cluster::own_node();
    let old = Backbone::on(&small.brokers(), "growing", &[]);
    let _enforcer = old.enforcer("old");
    // Something else first, so that ids differ where they are not carried over.
    old.apply(&root().join("tests/keyed"));
    old.apply(&root().join("tests/products"));

    // Kafka's own script starts the class that does the work.
    let kafka = Sandbox::shared().brokers();
    let schemas = old.topic("_schemas");
    let both = commands("kafka-topics.sh").replace("kafka-1:9092", kafka).replace("127.0.0.1:9092", old.brokers());
    let both = both.replace("_schemas", &schemas).replace("--replication-factor 3", "--replication-factor 1");
    let (create, copy) = both.split_once("kcat").expect("first the topic, then its records");
    let mut topics = java();
    topics.arg("org.apache.kafka.tools.TopicCommand");
    topics.args(create.replace('\\', " ").split_whitespace().skip(1));
    run(topics, b"").ok();
    let mut shell = Command::new("sh");
    shell.args(["-ec", &format!("kcat{copy}")]);
    run(shell, b"").ok();

    let new = Backbone::again(kafka, old.prefix());
    let _enforcer = new.enforcer("new");
    new.apply(&root().join("tests/products"));
    for subject in ["inbox.meter.readings.v1-value", "meter.readings.v1-value"] {
        let subject = old.topic(subject);
        assert_eq!(id(&new.registry(), &subject), id(&old.registry(), &subject), "{subject}");
    }
    // The roles are started, and the contracts applied, as the page says it.
    assert!(commands("weir serve registry").contains("-b kafka-1:9092"));
    assert!(commands("weir apply contracts").contains("weir doctor"));
    new.weir(&["doctor"]).ok();
}
