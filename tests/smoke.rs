//! The sandbox itself: another client than ours can use the broker it starts.

use crate::sandbox::{Sandbox, python, root};

#[test]
fn the_sandbox_serves_a_client_that_nobody_here_wrote() {
    let sandbox = Sandbox::shared();
    let topic = sandbox.unique("smoke");
    let oracle = root().join("tests/oracle");
    let script = r#"
import sys
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
brokers, topic, oracle = sys.argv[1:]
admin = AdminClient({"bootstrap.servers": brokers})
admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
producer = Producer({"bootstrap.servers": brokers, "transactional.id": topic})
producer.init_transactions(30)
producer.begin_transaction()
producer.produce(topic, b"value", b"key")
producer.commit_transaction(30)
producer.begin_transaction()
producer.produce(topic, b"never seen", b"key")
producer.flush(30)
producer.abort_transaction(30)
sys.path.insert(0, oracle)
import topics
[message] = topics.read_all(brokers, topic)[0]
print(message.key().decode(), message.value().decode())
"#;
    let output = python(script, &[sandbox.brokers(), &topic, oracle.to_str().unwrap()]);
    assert_eq!(output.stdout.trim(), "key value", "{output:?}");
}
