"""Clients of confluent-kafka as the scenarios use them: short deadlines, nothing retried for minutes.

Knows how topics are made, written and read to their end. Knows nothing of what a scenario shows.
"""

import threading
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from scenarios import wait_for

#: Seconds that a broker has for anything; a guard against hanging, not a measure.
PATIENCE = 30


_ADMINS, _ADMINS_LOCK = {}, threading.Lock()


def admin(world):
    """The admin client: one for all, since its calls end with it."""
    with _ADMINS_LOCK:
        if world.bootstrap not in _ADMINS:
            _ADMINS[world.bootstrap] = AdminClient({"bootstrap.servers": world.bootstrap, "log_level": 2})
        return _ADMINS[world.bootstrap]


def results(futures):
    """The results of an admin call, by key; raises the first error."""
    return {key: future.result(PATIENCE) for key, future in futures.items()}


def error_of(future):
    """The code that a future fails with, or None."""
    try:
        future.result(PATIENCE)
    except KafkaException as error:
        return error.args[0].code()
    return None


def make_topic(world, what="t", partitions=1, **config):
    """Creates a topic; underscores in the names of configs stand for dots."""
    name = world.name(what)
    config = {key.replace("_", "."): str(value) for key, value in config.items()}
    results(admin(world).create_topics([NewTopic(name, partitions, 1, config=config)]))
    await_leaders(world, name, range(partitions))
    return name


def await_leaders(world, topic, partitions):
    """Apache Kafka answers that a topic is created a moment before its partitions can be used."""
    wanted = {TopicPartition(topic, partition): OffsetSpec.latest() for partition in partitions}

    def usable():
        # Asked first, because librdkafka keeps what it once heard of a partition without a leader.
        known = admin(world).list_topics(topic, timeout=PATIENCE).topics[topic].partitions
        if any(partition not in known or known[partition].leader < 0 for partition in partitions):
            return False
        return all(error_of(future) is None for future in admin(world).list_offsets(wanted).values())

    wait_for(f"leaders of {topic}", usable)


def producer(world, **config):
    """A producer; underscores in the names of configs stand for dots."""
    config = {key.replace("_", "."): value for key, value in config.items()}
    return Producer({
        "bootstrap.servers": world.bootstrap, "log_level": 2, "message.timeout.ms": PATIENCE * 1000, "linger.ms": 5,
        **config,
    })


def transactional(world, what="tx", timeout_ms=60000, **config):
    """A transactional producer that has no transaction open."""
    maker = producer(world, transactional_id=world.name(what), transaction_timeout_ms=timeout_ms,
                     message_timeout_ms=min(timeout_ms, PATIENCE * 1000), **config)
    maker.init_transactions(PATIENCE)
    return maker


def consumer(world, group, **config):
    """A consumer that reads from the beginning and commits only when told."""
    config = {key if key == "on_commit" else key.replace("_", "."): value for key, value in config.items()}
    return Consumer({
        "bootstrap.servers": world.bootstrap, "log_level": 2, "group.id": world.name(group),
        "auto.offset.reset": "earliest", "enable.auto.commit": False, "session.timeout.ms": 6000,
        "heartbeat.interval.ms": 300, "fetch.wait.max.ms": 100, "topic.metadata.refresh.interval.ms": 1000, **config,
    })


class Deliveries:
    """Collects where messages went, in the order of their acknowledgements."""

    def __init__(self):
        self.messages, self.errors = [], []

    def __call__(self, error, message):
        if error:
            self.errors.append(error.code())
        else:
            self.messages.append(message)


def send(maker, topic, values, partition=0, key=None, **more):
    """Produces these values and waits for them; returns their offsets."""
    delivered = Deliveries()
    for value in values:
        maker.produce(topic, value=value, key=key, partition=partition, on_delivery=delivered, **more)
        maker.poll(0)
    left = maker.flush(PATIENCE)
    if left or delivered.errors:
        raise AssertionError(f"{left} not delivered to {topic}, errors {delivered.errors}")
    return [message.offset() for message in delivered.messages]


def end_of(reader, topic, partition=0):
    """The end that this reader sees: the last stable offset for read_committed."""
    return reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=PATIENCE, cached=False)[1]


def read(world, topic, partitions=1, committed=True, start=OFFSET_BEGINNING, **config):
    """All messages from `start` to the end of each partition, without a group."""
    level = "read_committed" if committed else "read_uncommitted"
    reader = consumer(world, "reader", isolation_level=level, enable_partition_eof=True, **config)
    try:
        reader.assign([TopicPartition(topic, partition, start) for partition in range(partitions)])
        messages, at_end, limit = [], set(), time.monotonic() + PATIENCE
        while len(at_end) < partitions:
            if time.monotonic() > limit:
                raise AssertionError(f"{topic}: no end of partition in {PATIENCE} s, {len(messages)} messages read")
            message = reader.poll(0.2)
            if message is None:
                continue
            if message.error():
                if message.error().code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(message.error())
                at_end.add(message.partition())
            else:
                messages.append(message)
        return messages
    finally:
        reader.close()


def values(messages):
    """Their values, as text."""
    return [message.value().decode() for message in messages]


def take(reader, count, limit=PATIENCE):
    """The next messages of a consumer, exactly as many."""
    messages, end = [], time.monotonic() + limit
    while len(messages) < count:
        if time.monotonic() > end:
            raise AssertionError(f"{len(messages)} of {count} messages in {limit} s")
        message = reader.poll(0.1)
        if message is not None and message.error():
            raise KafkaException(message.error())
        if message is not None:
            messages.append(message)
    return messages
