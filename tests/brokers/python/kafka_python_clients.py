#!/usr/bin/env python3
"""What kafka-python does with a broker: `kafka_python_clients.py BOOTSTRAP PREFIX`."""

import contextlib
import logging
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors
from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType, OffsetSpec
from kafka.structs import OffsetAndMetadata

from scenarios import expect, main, scenario, wait_for

logging.getLogger("kafka").setLevel(logging.CRITICAL)
PATIENCE = 30


@contextlib.contextmanager
def admin(world):
    client = KafkaAdminClient(bootstrap_servers=world.bootstrap)
    try:
        yield client
    finally:
        client.close()


def make_topic(world, what="t", partitions=1, **configs):
    name = world.name(what)
    configs = {key.replace("_", "."): str(value) for key, value in configs.items()}
    with admin(world) as client:
        client.create_topics({name: {"num_partitions": partitions, "replication_factor": 1, "configs": configs}},
                             wait_for_metadata=True)

        def usable():
            try:
                return client.list_partition_offsets({TopicPartition(name, p): OffsetSpec.LATEST for p in range(partitions)})
            except errors.KafkaError as error:
                if not error.retriable:
                    raise
                return None

        wait_for("leaders", usable)
    return name


@contextlib.contextmanager
def producer(world, **config):
    maker = KafkaProducer(bootstrap_servers=world.bootstrap, linger_ms=5, max_block_ms=PATIENCE * 1000, **config)
    try:
        yield maker
    finally:
        maker.close(5)


def send(maker, topic, *values, partition=0):
    futures = [maker.send(topic, value, partition=partition) for value in values]
    return [future.get(PATIENCE).offset for future in futures]


def consumer(world, group="g", **config):
    config = {"auto_offset_reset": "earliest", "enable_auto_commit": False, "fetch_max_wait_ms": 100,
              "session_timeout_ms": 10000, "heartbeat_interval_ms": 300, **config}
    return KafkaConsumer(bootstrap_servers=world.bootstrap, group_id=world.name(group) if group else None, **config)


def take(reader, count):
    messages = []

    def enough():
        for batch in reader.poll(timeout_ms=200).values():
            messages.extend(batch)
        return len(messages) >= count

    wait_for(f"{count} messages", enough)
    return messages


def read(world, topic, count, **config):
    """The first messages of partition 0, exactly as many, and none after them."""
    reader = consumer(world, None, **config)
    try:
        reader.assign([TopicPartition(topic, 0)])
        reader.seek_to_beginning()
        messages = take(reader, count) if count else []
        for batch in reader.poll(timeout_ms=500).values():
            messages.extend(batch)
        expect(len(messages), count, "messages")
        return messages
    finally:
        reader.close()


def _compressed(world, codec):
    topic = make_topic(world)
    now = int(time.time() * 1000)
    with producer(world, compression_type=codec) as maker:
        for i in range(100):
            maker.send(topic, key=b"k%d" % i, value=b"value %d " % i * 10, headers=[("n", b"%d" % i)], partition=0,
                       timestamp_ms=now + i)
        maker.flush(PATIENCE)
    got = [(m.offset, m.key, m.value, m.headers, m.timestamp) for m in read(world, topic, 100)]
    expect(got, [(i, b"k%d" % i, b"value %d " % i * 10, [("n", b"%d" % i)], now + i) for i in range(100)], "messages")


@scenario
def uncompressed_messages_come_back_whole(world):
    _compressed(world, None)


@scenario
def gzip_messages_come_back_whole(world):
    _compressed(world, "gzip")


@scenario
def every_kind_of_acks_delivers(world):
    topic = make_topic(world)
    for acks in (0, 1, "all"):
        with producer(world, acks=acks, enable_idempotence=acks == "all") as maker:
            for _ in range(10):
                maker.send(topic, b"x", partition=0)
            maker.flush(PATIENCE)
    read(world, topic, 30)


@scenario
def a_message_over_the_topics_limit_is_refused(world):
    topic = make_topic(world, max_message_bytes=1000)
    with producer(world) as maker:
        try:
            send(maker, topic, b"x" * 5000)
            raise AssertionError("it was taken")
        except errors.MessageSizeTooLargeError:
            pass
    # Another one, since kafka-python gives the idempotent producer's failure to what it sends next, too.
    with producer(world) as maker:
        expect(send(maker, topic, b"small"), [0], "offset of the next")


@scenario
def members_share_partitions_and_go_on(world):
    topic = make_topic(world, partitions=4)
    members = [consumer(world), consumer(world)]
    for member in members:
        member.subscribe([topic])

    def shared():
        for member in members:
            member.poll(timeout_ms=50)
        owned = [member.assignment() for member in members]
        return [len(o) for o in owned] == [4 // len(members)] * len(members) and len(set().union(*owned)) == 4

    wait_for("two share", shared)
    with admin(world) as client:
        found = client.describe_groups([world.name("g")])[world.name("g")]
        expect((found["group_state"], len(found["members"])), ("Stable", 2), "described")
    members.pop().close()
    wait_for("one has all", shared)
    with producer(world) as maker:
        send(maker, topic, b"a", b"b", b"c")
    take(members[0], 3)
    members[0].commit({TopicPartition(topic, 0): OffsetAndMetadata(2, "notes", -1)})
    members[0].close()
    again = consumer(world)
    expect(again.committed(TopicPartition(topic, 0), metadata=True).metadata, "notes", "metadata")
    again.subscribe([topic])
    expect([m.value for m in take(again, 1)], [b"c"], "goes on")
    again.close()


@scenario
def offsets_are_found(world):
    topic = make_topic(world)
    here, now = TopicPartition(topic, 0), int(time.time() * 1000)
    with producer(world) as maker:
        for at in (1000, 9000, 2000):
            maker.send(topic, b"x", partition=0, timestamp_ms=now + at).get(PATIENCE)
    reader = consumer(world)
    expect(reader.beginning_offsets([here]), {here: 0}, "beginning")
    expect(reader.end_offsets([here]), {here: 3}, "end")
    expect(reader.offsets_for_times({here: now + 1500})[here].offset, 1, "by time")
    reader.close()
    with admin(world) as client:
        expect(client.list_partition_offsets({here: OffsetSpec.MAX_TIMESTAMP})[here].offset, 1, "greatest time")
        client.delete_records({here: 2})
        expect(client.list_partition_offsets({here: OffsetSpec.EARLIEST})[here].offset, 2, "earliest")


@scenario
def transactions_are_atomic(world):
    topic = make_topic(world)
    with producer(world, transactional_id=world.name("tx")) as maker:
        maker.init_transactions()
        for number in range(4):
            maker.begin_transaction()
            send(maker, topic, b"%da" % number, b"%db" % number)
            (maker.abort_transaction if number % 2 else maker.commit_transaction)()
    got = wait_for("the last", lambda: read(world, topic, 4, isolation_level="read_committed"))
    expect([m.value for m in got], [b"0a", b"0b", b"2a", b"2b"], "read committed")
    read(world, topic, 8, isolation_level="read_uncommitted")


@scenario
def offsets_go_with_the_transaction(world):
    source, target = make_topic(world, "source"), make_topic(world, "target")
    here = TopicPartition(source, 0)
    with producer(world) as maker:
        send(maker, source, b"a", b"b")
    reader = consumer(world, isolation_level="read_committed")
    reader.subscribe([source])
    take(reader, 2)
    with producer(world, transactional_id=world.name("tx")) as maker:
        maker.init_transactions()
        for offset, end in [(1, "commit"), (2, "abort")]:
            maker.begin_transaction()
            send(maker, target, b"of %d" % offset)
            maker.send_offsets_to_transaction({here: OffsetAndMetadata(offset, "", -1)}, reader.group_metadata())
            (maker.commit_transaction if end == "commit" else maker.abort_transaction)()
    expect(reader.committed(here), 1, "committed")
    reader.close()


@scenario
def topics_and_configs_are_administered(world):
    topic = make_topic(world, partitions=2, retention_ms=1234567)
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    with admin(world) as client:
        for name, spec, kind in [(topic, {}, errors.TopicAlreadyExistsError), ("no spaces", {}, errors.InvalidTopicError),
                                 (world.name("r"), {"replication_factor": 3}, errors.InvalidReplicationFactorError)]:
            try:
                client.create_topics({name: {"num_partitions": 1, "replication_factor": 1, **spec}})
                raise AssertionError(f"{name} was created")
            except kind:
                pass
        expect(topic in client.list_topics(), True, "listed")
        client.create_partitions({topic: 4})
        wait_for("four partitions", lambda: len(client.describe_topics([topic])[0]["partitions"]) == 4)
        client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {
            "max.message.bytes": (AlterConfigOp.SET, "5000"), "retention.ms": (AlterConfigOp.DELETE, None)})])
        wait_for("its configs", lambda: list(client.describe_configs([resource])["topic"][topic]) == ["max.message.bytes"])
        client.delete_topics([topic])
        wait_for("it is gone", lambda: topic not in client.list_topics())


@scenario
def groups_are_administered(world):
    topic, group = make_topic(world), world.name("g")
    here = TopicPartition(topic, 0)
    with admin(world) as client:
        client.alter_group_offsets(group, {here: OffsetAndMetadata(0, "by hand", -1)})
        expect(client.list_group_offsets([group])[group][here].metadata, "by hand", "offset")
        expect(group in [g["group_id"] for g in client.list_groups()], True, "listed")
        client.delete_group_offsets(group, [here])
        expect(here in client.list_group_offsets([group])[group], False, "its offset is there")
        client.alter_group_offsets(group, {here: OffsetAndMetadata(0, "", -1)})
        client.delete_groups([group])
        expect(group in [g["group_id"] for g in client.list_groups()], False, "listed after the end")


@scenario
def the_cluster_and_its_transactions_are_described(world):
    topic = make_topic(world)
    here = TopicPartition(topic, 0)
    with admin(world) as client, producer(world, transactional_id=world.name("tx")) as maker:
        cluster = client.describe_cluster()
        expect((len(cluster["brokers"]), bool(cluster["cluster_id"])), (1, True), "cluster")
        maker.init_transactions()
        maker.begin_transaction()
        send(maker, topic, b"x")
        found = client.describe_transactions([world.name("tx")])[world.name("tx")]
        expect(str(found.state.value if hasattr(found.state, "value") else found.state), "Ongoing", "state")
        listed = [t.transactional_id for ts in client.list_transactions().values() for t in ts]
        expect(world.name("tx") in listed, True, "listed")
        expect(here in client.describe_producers([here]), True, "producers")
        expect(topic in str(client.describe_log_dirs()), True, "log directories")
        maker.abort_transaction()


if __name__ == "__main__":
    main(__doc__)
