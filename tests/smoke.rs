//! The sandbox itself: another client than ours can use the broker it starts.

use crate::sandbox::{Sandbox, python};

#[test]
fn the_sandbox_serves_a_client_that_nobody_here_wrote() {
    let sandbox = Sandbox::shared();
    let topic = sandbox.unique("smoke");
    let script = r#"
import sys
from confluent_kafka import Producer, Consumer
from confluent_kafka.admin import AdminClient, NewTopic
brokers, topic = sys.argv[1:]
admin = AdminClient({"bootstrap.servers": brokers})
admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
producer = Producer({"bootstrap.servers": brokers, "transactional.id": topic})
producer.init_transactions(30)
producer.begin_transaction()
producer.produce(topic, b"value", b"key")
producer.commit_transaction(30)
consumer = Consumer({"bootstrap.servers": brokers, "group.id": topic, "auto.offset.reset": "earliest"})
consumer.subscribe([topic])
message = consumer.poll(30)
print(message.key().decode(), message.value().decode())
consumer.close()
"#;
    let output = python(script, &[sandbox.brokers(), &topic]);
    assert_eq!(output.stdout.trim(), "key value", "{output:?}");
}
