//! The registry from the outside: HTTP in, records on a topic in memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use broker::memory::{Fault, Faults, MemoryBroker, Step};
use broker::{Admin, Broker, ConfigChange, Isolation, OutRecord, Position};
use schemas::{Names, Partition, TopicPartition, TransactionalId};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::Registry;

struct Bench {
    broker: Arc<MemoryBroker>,
    registry: Arc<Registry>,
}

fn open(broker: &Arc<MemoryBroker>) -> Arc<Registry> {
    let port: Arc<dyn Broker> = Arc::<MemoryBroker>::clone(broker);
    Arc::new(Registry::open(port, Names::default()).expect("opens"))
}

impl Bench {
    fn new() -> Self {
        let broker = MemoryBroker::new();
        let registry = open(&broker);
        Self { broker, registry }
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        call(&self.registry, method, path, body).await
    }

    async fn register(&self, subject: &str, schema: &Value) -> (u16, Value) {
        self.call("POST", &format!("/subjects/{subject}/versions"), Some(json!({"schema": schema.to_string()}))).await
    }
}

async fn call(registry: &Arc<Registry>, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let request = Request::builder().method(method).uri(path).body(body).expect("a request");
    let response = Arc::clone(registry).router().oneshot(request).await.expect("answers");
    assert_eq!(
        response.headers().get(header::CONTENT_TYPE).map(|kind| kind.as_bytes()),
        Some(b"application/vnd.schemaregistry.v1+json".as_slice())
    );
    let status = response.status().as_u16();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    (status, serde_json::from_slice(&bytes).expect("JSON"))
}

fn code(answer: &(u16, Value)) -> (u16, u64) {
    (answer.0, answer.1.get("error_code").and_then(Value::as_u64).unwrap_or_default())
}

fn record(fields: Value) -> Value {
    json!({"type": "record", "name": "R", "fields": fields})
}

fn one() -> Value {
    record(json!([{"name": "a", "type": "int"}]))
}

fn two() -> Value {
    record(json!([{"name": "a", "type": "int"}, {"name": "b", "type": "string", "default": ""}]))
}

fn bad() -> Value {
    record(json!([{"name": "a", "type": "string"}]))
}

#[tokio::test]
async fn a_schema_has_one_id_under_every_subject() {
    let bench = Bench::new();
    assert_eq!(bench.register("s", &one()).await, (200, json!({"id": 1})));
    assert_eq!(bench.register("s", &one()).await, (200, json!({"id": 1})));
    let spaced = json!({"schema": format!("  {:#}", one()), "schemaType": "AVRO", "references": []});
    assert_eq!(bench.call("POST", "/subjects/t%2Fx/versions", Some(spaced)).await, (200, json!({"id": 1})));
    assert_eq!(bench.register("s", &two()).await, (200, json!({"id": 2})));
    assert_eq!(bench.call("GET", "/subjects", None).await.1, json!(["s", "t/x"]));
    assert_eq!(bench.call("GET", "/subjects/s/versions", None).await.1, json!([1, 2]));
    let text = one().to_string();
    assert_eq!(bench.call("GET", "/schemas/ids/1", None).await.1, json!({"schema": text}));
    assert_eq!(bench.call("GET", "/schemas/ids/1/schema", None).await.1, one());
    assert_eq!(bench.call("GET", "/schemas/ids/1/subjects", None).await.1, json!(["s", "t/x"]));
    let uses = json!([{"subject": "s", "version": 1}, {"subject": "t/x", "version": 1}]);
    assert_eq!(bench.call("GET", "/schemas/ids/1/versions", None).await.1, uses);
    let latest = json!({"subject": "s", "version": 2, "id": 2, "schema": two().to_string()});
    assert_eq!(bench.call("GET", "/subjects/s/versions/latest", None).await.1, latest);
    assert_eq!(bench.call("GET", "/subjects/s/versions/-1", None).await.1, latest);
    assert_eq!(bench.call("GET", "/subjects/s/versions/1/schema", None).await.1, one());
    assert_eq!(bench.call("POST", "/subjects/s", Some(json!({"schema": two().to_string()}))).await.1, latest);
    assert_eq!(bench.call("GET", "/schemas/types", None).await.1, json!(["AVRO"]));
    assert_eq!(bench.call("GET", "/mode", None).await.1, json!({"mode": "READWRITE"}));
}

#[tokio::test]
async fn mistakes_have_confluents_codes() {
    let bench = Bench::new();
    bench.register("s", &one()).await;
    let cases = [
        ("GET", "/subjects/none/versions", None, (404, 40401)),
        ("GET", "/subjects/s/versions/9", None, (404, 40402)),
        ("GET", "/subjects/s/versions/zero", None, (422, 42202)),
        ("GET", "/subjects/s/versions/0", None, (422, 42202)),
        ("GET", "/schemas/ids/77", None, (404, 40403)),
        ("GET", "/schemas/ids/x", None, (404, 40403)),
        ("POST", "/subjects/s", Some(json!({"schema": two().to_string()})), (404, 40403)),
        ("POST", "/subjects/none", Some(json!({"schema": two().to_string()})), (404, 40401)),
        ("POST", "/subjects/s/versions", Some(json!({"schema": "{"})), (422, 42201)),
        ("POST", "/subjects/s/versions", Some(json!({})), (422, 42201)),
        ("POST", "/subjects/s/versions", Some(json!([])), (422, 42201)),
        ("POST", "/subjects/s/versions", Some(json!({"schema": "\"int\"", "schemaType": "JSON"})), (422, 42201)),
        ("POST", "/subjects/s/versions", Some(json!({"schema": "[".repeat(100_000)})), (422, 42201)),
        ("POST", "/subjects/s/versions", Some(json!({"schema": bad().to_string()})), (409, 409)),
        ("POST", "/subjects/s/versions", None, (400, 400)),
        ("POST", "/subjects/:.c:s/versions", Some(json!({"schema": one().to_string()})), (422, 42208)),
        ("PUT", "/config", Some(json!({"compatibility": "SOMETIMES"})), (422, 42203)),
        ("GET", "/config/s", None, (404, 40408)),
        ("GET", "/mode/s", None, (404, 40409)),
        ("DELETE", "/subjects/none", None, (404, 40401)),
        ("DELETE", "/subjects/s?permanent=true", None, (404, 40405)),
        ("DELETE", "/subjects/s/versions/1?permanent=true", None, (404, 40407)),
        ("GET", "/nowhere", None, (404, 404)),
    ];
    for (method, path, body, expected) in cases {
        let answer = bench.call(method, path, body).await;
        assert_eq!(code(&answer), expected, "{method} {path}: {answer:?}");
    }
}

#[tokio::test]
async fn levels_hold_per_subject() {
    let bench = Bench::new();
    assert_eq!(bench.call("GET", "/config", None).await.1, json!({"compatibilityLevel": "BACKWARD"}));
    let longer = record(json!([{"name": "a", "type": "long"}]));
    bench.register("s", &one()).await;
    let ask = json!({"schema": longer.to_string()});
    let path = "/compatibility/subjects/s/versions?verbose=true";
    assert_eq!(bench.call("POST", path, Some(ask.clone())).await.1, json!({"is_compatible": true, "messages": []}));
    assert_eq!(
        bench.call("PUT", "/config/s", Some(json!({"compatibility": "FULL"}))).await.1,
        json!({"compatibility": "FULL"})
    );
    assert_eq!(bench.call("GET", "/config/s", None).await.1, json!({"compatibilityLevel": "FULL"}));
    assert_eq!(
        bench.call("GET", "/config/t?defaultToGlobal=true", None).await.1,
        json!({"compatibilityLevel": "BACKWARD"})
    );
    let (_, verdict) = bench.call("POST", path, Some(ask.clone())).await;
    assert_eq!(verdict.get("is_compatible"), Some(&json!(false)));
    assert!(verdict.to_string().contains("TYPE_MISMATCH"), "{verdict}");
    let latest = "/compatibility/subjects/s/versions/latest";
    assert_eq!(bench.call("POST", latest, Some(ask.clone())).await.1, json!({"is_compatible": false}));
    assert_eq!(
        bench.call("POST", "/compatibility/subjects/none/versions/latest", Some(ask.clone())).await.1,
        json!({"is_compatible": true})
    );
    assert_eq!(bench.call("DELETE", "/config/s", None).await.1, json!({"compatibilityLevel": "FULL"}));
    assert_eq!(bench.register("s", &longer).await.0, 200);
    bench.call("PUT", "/config", Some(json!({"compatibility": "NONE"}))).await;
    assert_eq!(bench.register("s", &bad()).await.0, 200);
}

#[tokio::test]
async fn transitive_levels_look_at_every_version() {
    let bench = Bench::new();
    let default = record(json!([{"name": "a", "type": "int", "default": 0}]));
    let nothing = record(json!([]));
    bench.call("PUT", "/config/s", Some(json!({"compatibility": "BACKWARD"}))).await;
    assert_eq!(bench.register("s", &nothing).await.0, 200);
    assert_eq!(bench.register("s", &default).await.0, 200);
    assert_eq!(bench.register("s", &one()).await.0, 200, "reads the latest");
    let other = record(json!([{"name": "a", "type": "long"}]));
    bench.call("PUT", "/config/s", Some(json!({"compatibility": "BACKWARD_TRANSITIVE"}))).await;
    assert_eq!(code(&bench.register("s", &other).await), (409, 409), "does not read the first");
}

#[tokio::test]
async fn deletion_is_soft_and_then_permanent() {
    let bench = Bench::new();
    bench.register("s", &one()).await;
    bench.register("s", &two()).await;
    assert_eq!(bench.call("DELETE", "/subjects/s/versions/1", None).await, (200, json!(1)));
    assert_eq!(code(&bench.call("DELETE", "/subjects/s/versions/1", None).await), (404, 40406));
    assert_eq!(bench.call("GET", "/subjects/s/versions", None).await.1, json!([2]));
    assert_eq!(bench.call("GET", "/subjects/s/versions?deleted=true", None).await.1, json!([1, 2]));
    assert_eq!(bench.call("GET", "/schemas/ids/1", None).await.0, 200, "records still need it");
    assert_eq!(bench.call("DELETE", "/subjects/s", None).await, (200, json!([2])));
    assert_eq!(code(&bench.call("DELETE", "/subjects/s", None).await), (404, 40404));
    assert_eq!(bench.call("GET", "/subjects", None).await.1, json!([]));
    assert_eq!(bench.call("GET", "/subjects?deleted=true", None).await.1, json!(["s"]));
    assert_eq!(bench.register("s", &one()).await.1, json!({"id": 1}), "the old id comes back");
    assert_eq!(bench.call("GET", "/subjects/s/versions", None).await.1, json!([3]), "under a new version");
    assert_eq!(bench.call("DELETE", "/subjects/s", None).await.1, json!([3]));
    assert_eq!(bench.call("DELETE", "/subjects/s?permanent=true", None).await.1, json!([1, 2, 3]));
    assert_eq!(code(&bench.call("GET", "/schemas/ids/1", None).await), (404, 40403));
    assert_eq!(bench.register("t", &one()).await.1, json!({"id": 3}), "an id is never used again");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_registries_share_the_topic_and_never_an_id() {
    let bench = Bench::new();
    let other = open(&bench.broker);
    bench.register("s", &one()).await;
    let ask = json!({"schema": two().to_string()});
    // The other fences the first, and the first takes over again.
    assert_eq!(call(&other, "POST", "/subjects/t/versions", Some(ask)).await.1, json!({"id": 2}));
    assert_eq!(bench.register("u", &bad()).await.1, json!({"id": 3}));
    let deadline = Instant::now() + Duration::from_secs(5);
    while call(&other, "GET", "/subjects/u/versions", None).await.0 != 200 {
        assert!(Instant::now() < deadline, "the other never saw it");
        tokio::task::yield_now().await;
    }
    let third = open(&bench.broker);
    assert_eq!(call(&third, "GET", "/subjects", None).await.1, json!(["s", "t", "u"]));
    bench.broker.compact(&Names::default().schemas());
    assert_eq!(call(&open(&bench.broker), "GET", "/subjects", None).await.1, json!(["s", "t", "u"]));
}

#[tokio::test]
async fn a_write_that_goes_wrong_is_decided_again_on_what_is_there() {
    for fault in [
        Fault::Disconnect,
        Fault::UnknownCommitted,
        Fault::UnknownAborted,
        Fault::Takeover,
        Fault::CrashBefore,
        Fault::CrashAfter,
    ] {
        let bench = Bench::new();
        bench.broker.set_faults(Faults::scripted([(Step::Commit, fault)]));
        assert_eq!(bench.register("s", &one()).await, (200, json!({"id": 1})), "{fault:?}");
        bench.broker.set_faults(Faults::scripted([(Step::Commit, fault)]));
        assert_eq!(bench.call("DELETE", "/subjects/s", None).await, (200, json!([1])), "{fault:?}");
        assert_eq!(bench.broker.struck(), [(Step::Commit, fault)]);
        assert_eq!(bench.call("GET", "/subjects?deletedOnly=true", None).await.1, json!(["s"]), "{fault:?}");
    }
}

/// Records and transactions on the registry's topic: each transaction leaves a marker behind its records.
fn written(broker: &MemoryBroker) -> (usize, usize) {
    let partition = TopicPartition::new(Names::default().schemas(), Partition(0));
    let records = broker.records(&partition).len();
    let end = broker.ends(std::slice::from_ref(&partition), true).expect("ends")[&partition].1;
    (records, usize::try_from(end.0).expect("an offset") - records)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registrations_that_come_together_share_a_transaction() {
    let bench = Bench::new();
    let slow = (Step::Commit, Fault::Delay(Duration::from_millis(100)));
    bench.broker.set_faults(Faults::scripted(std::iter::repeat_n(slow, 100)));
    let ask = |index: usize| {
        let registry = Arc::clone(&bench.registry);
        // Every tenth is the same subject, every other of those with a schema that does not fit the first.
        let (subject, schema) = match index % 10 {
            0 if index.is_multiple_of(20) => ("shared".to_owned(), one()),
            0 => ("shared".to_owned(), bad()),
            _ => (format!("s{index}"), record(json!([{"name": format!("f{index}"), "type": "int"}]))),
        };
        async move {
            let body = json!({"schema": schema.to_string()});
            (index, call(&registry, "POST", &format!("/subjects/{subject}/versions"), Some(body)).await)
        }
    };
    assert_eq!(ask(0).await.1.0, 200);
    let asked: Vec<_> = (1..60).map(|index| tokio::spawn(ask(index))).collect();
    let mut ids = std::collections::BTreeSet::new();
    for answer in asked {
        let (index, answer) = answer.await.expect("answers");
        match index % 20 {
            0 => assert_eq!(answer, (200, json!({"id": 1}))),
            10 => assert_eq!(answer.0, 409, "decided on what stood before it in its transaction"),
            _ => assert!(ids.insert(answer.1["id"].as_u64().expect("an id")), "an id of its own: {answer:?}"),
        }
    }
    let (records, transactions) = written(&bench.broker);
    assert_eq!(records, 1 + ids.len());
    assert!(transactions < 15, "{transactions} transactions for {records} records");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_registration_that_the_broker_refuses_takes_no_other_with_it() {
    let bench = Bench::new();
    let limit = [("max.message.bytes".to_owned(), ConfigChange::Set("10000".to_owned()))].into();
    bench.broker.alter_settings(&Names::default().schemas(), &limit).expect("altered");
    let slow = (Step::Commit, Fault::Delay(Duration::from_millis(200)));
    bench.broker.set_faults(Faults::scripted(std::iter::repeat_n(slow, 100)));
    let ask = |subject: &'static str, doc: usize| {
        let registry = Arc::clone(&bench.registry);
        let schema = json!({"type": "record", "name": "R", "doc": "x".repeat(doc), "fields": []});
        let body = json!({"schema": schema.to_string()});
        tokio::spawn(async move { call(&registry, "POST", &format!("/subjects/{subject}/versions"), Some(body)).await })
    };
    let asked = [ask("first", 1), ask("a", 2), ask("huge", 20_000), ask("b", 3)];
    let mut answers = Vec::new();
    for answer in asked {
        answers.push(code(&answer.await.expect("answers")));
    }
    assert_eq!(answers, [(200, 0), (200, 0), (422, 42209), (200, 0)]);
}

#[tokio::test]
async fn an_outage_is_said_and_passes() {
    let bench = Bench::new();
    bench.register("s", &one()).await;
    bench.broker.set_outage(Some("the power is off"));
    assert!(bench.registry.ready().is_err());
    assert_eq!(bench.call("GET", "/subjects", None).await.1, json!(["s"]), "what is known is answered");
    assert_eq!(code(&bench.register("s", &two()).await), (500, 50001));
    bench.broker.set_outage(None);
    assert_eq!(bench.register("s", &two()).await, (200, json!({"id": 2})));
}

fn write(broker: &MemoryBroker, key: &str, value: &str) {
    let mut writer = broker.writer(&TransactionalId::existing("another")).expect("a writer");
    let record = OutRecord {
        topic: Names::default().schemas(),
        partition: Some(Partition(0)),
        key: Some(key.into()),
        value: Some(value.into()),
        headers: Vec::new(),
        timestamp: None,
    };
    writer.commit(vec![record], None).expect("written");
}

#[tokio::test]
async fn what_confluent_wrote_is_served_and_what_is_strange_is_not_written_over() {
    let bench = Bench::new();
    let key = r#"{"keytype":"SCHEMA","subject":"old","version":1,"magic":1}"#;
    write(
        &bench.broker,
        key,
        r#"{"subject":"old","version":1,"id":40,"md5":"x","schema":"\"int\"","deleted":false,"ts":1}"#,
    );
    write(&bench.broker, r#"{"keytype":"NOOP","magic":0}"#, "null");
    let registry = open(&bench.broker);
    assert_eq!(call(&registry, "GET", "/schemas/ids/40", None).await.1, json!({"schema": "\"int\""}));
    let ask = json!({"schema": "\"long\""});
    assert_eq!(call(&registry, "POST", "/subjects/new/versions", Some(ask.clone())).await.1, json!({"id": 41}));
    write(&bench.broker, r#"{"keytype":"CONTEXT","tenant":"t","context":"c"}"#, "{}");
    let registry = open(&bench.broker);
    assert!(registry.read_only().is_some_and(|why| why.contains("CONTEXT")));
    assert_eq!(call(&registry, "POST", "/subjects/new/versions", Some(ask)).await.0, 200, "what is there is answered");
    let refused = call(&registry, "POST", "/subjects/newer/versions", Some(json!({"schema": "\"float\""}))).await;
    assert_eq!(code(&refused), (500, 50001), "{refused:?}");
    assert_eq!(call(&registry, "GET", "/subjects", None).await.1, json!(["new", "old"]));
}

#[tokio::test]
async fn keys_on_the_topic_are_confluents() {
    let bench = Bench::new();
    bench.register("s", &one()).await;
    let partition = TopicPartition::new(Names::default().schemas(), Partition(0));
    let mut reader = bench.broker.reader(&[(partition, Position::Beginning)], Isolation::Committed).expect("reads");
    let chunk = reader.poll(Duration::from_secs(1)).expect("polls");
    let first = chunk.records.first().expect("a record");
    assert_eq!(first.key.as_deref(), Some(br#"{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}"#.as_slice()));
    let settings = bench.broker.settings(&Names::default().schemas()).expect("settings");
    assert_eq!(settings.get("cleanup.policy").and_then(|entry| entry.value.as_deref()), Some("compact"));
}

#[tokio::test]
async fn what_clients_write_after_the_question_mark_is_read_as_java_reads_it() {
    let bench = Bench::new();
    bench.register("s", &one()).await;
    bench.call("DELETE", "/subjects/s", None).await;
    for (query, expected) in [("deleted=True", json!(["s"])), ("deleted=False", json!([])), ("deleted=1", json!([]))] {
        assert_eq!(bench.call("GET", &format!("/subjects?{query}&limit=-1"), None).await, (200, expected), "{query}");
    }
}

#[tokio::test]
async fn a_body_too_large_is_read_to_its_end_and_refused() {
    let bench = Bench::new();
    let big = json!({"schema": "x".repeat(5 << 20)});
    assert_eq!(code(&bench.call("POST", "/subjects/s/versions", Some(big)).await), (422, 42209));
}

#[tokio::test]
async fn a_decimal_that_is_none_is_refused_and_known_where_it_was_taken() {
    let bench = Bench::new();
    let field = json!([{"name": "d", "type": {"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 3}}]);
    assert_eq!(code(&bench.register("s", &record(field.clone())).await), (422, 42201));
    let text = record(field).to_string();
    let value = json!({"subject": "old", "version": 1, "id": 7, "schema": text, "deleted": false});
    let key = r#"{"keytype":"SCHEMA","subject":"old","version":1,"magic":1}"#;
    write(&bench.broker, key, &value.to_string());
    let registry = open(&bench.broker);
    let answer = call(&registry, "POST", "/subjects/old/versions", Some(json!({"schema": text}))).await;
    assert_eq!(answer, (200, json!({"id": 7})));
}
