"""Counts the transactions on a broker that was restored from a backup: `count_whole.py BOOTSTRAP`.

Every partition of the topic that `through_kills.py` wrote in transactions has the same ones.
"""
import sys

from confluent_kafka import Consumer, KafkaError, TopicPartition

consumer = Consumer({"bootstrap.servers": sys.argv[1], "group.id": "count", "isolation.level": "read_committed",
                     "enable.auto.commit": False, "enable.partition.eof": True})
topics = consumer.list_topics(timeout=30).topics
(topic,) = [name for name in topics if name.endswith(".whole")]
seen = {number: [] for number in topics[topic].partitions}
consumer.assign([TopicPartition(topic, number, 0) for number in seen])
unread = set(seen)
while unread:
    for message in consumer.consume(1000, 5):
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            unread.discard(message.partition())
        else:
            seen[message.partition()].append(message.value())
consumer.close()
first = seen[0]
assert all(numbers == first for numbers in seen.values()), {number: len(some) for number, some in seen.items()}
assert first and len(first) == len(set(first)), len(first)
print(f"{len(first)} transactions, each whole in {len(seen)} partitions")
