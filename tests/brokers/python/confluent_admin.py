"""Administration by confluent-kafka: topics, partitions, configs, the cluster, groups, offsets, deleting records."""

import time

from confluent_kafka import (ConsumerGroupState, ConsumerGroupTopicPartitions, IsolationLevel, KafkaError,
                             KafkaException, TopicCollection, TopicPartition)
from confluent_kafka.admin import (AclOperation, AlterConfigOpType, ConfigEntry, ConfigResource, ConfigSource,
                                   NewPartitions, NewTopic, OffsetSpec)

from confluent_session import (PATIENCE, admin, await_leaders, consumer, error_of, make_topic, producer, read, results,
                               send, take, transactional, values)
from scenarios import expect, scenario, wait_for


def topics_of(world):
    return admin(world).list_topics(timeout=PATIENCE).topics


def only(futures):
    """The future of a call about one thing."""
    (future,) = futures.values()
    return future


def config_of(world, topic):
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    return only(admin(world).describe_configs([resource])).result(PATIENCE)


def changed(world, kind, name, *entries, **more):
    """Alters configs incrementally; each entry is (operation, name, value). Returns the error's code or None."""
    entries = [ConfigEntry(key, value, incremental_operation=AlterConfigOpType[op]) for op, key, value in entries]
    resource = ConfigResource(kind, name, incremental_configs=entries)
    return error_of(only(admin(world).incremental_alter_configs([resource], **more)))


def value_of(world, topic, key, value):
    """Awaits this value, which Apache Kafka shows a moment after it took it."""
    wait_for(f"{key} is {value}", lambda: config_of(world, topic)[key].value == value)


@scenario
def topics_are_created_and_deleted(world):
    names = [world.name(f"t{n}") for n in range(3)]
    results(admin(world).create_topics([NewTopic(name, n + 1, 1) for n, name in enumerate(names)]))
    wait_for("all are listed", lambda: set(names) <= set(topics_of(world)))
    expect([len(topics_of(world)[name].partitions) for name in names], [1, 2, 3], "partitions")
    send(producer(world), names[0], [b"old"])
    results(admin(world).delete_topics(names[:2]))
    wait_for("two are gone", lambda: not set(names[:2]) & set(topics_of(world)))
    expect(names[2] in topics_of(world), True, "the third is there")
    wait_for("the name is free", lambda: error_of(only(admin(world).create_topics([NewTopic(names[0], 1, 1)]))) is None)
    await_leaders(world, names[0], [0])
    expect(read(world, names[0]), [], "messages in the topic of the same name")


@scenario
def topics_that_cannot_be_created_are_refused(world):
    taken = make_topic(world, "taken")
    cases = {
        "taken": (NewTopic(taken, 1, 1), KafkaError.TOPIC_ALREADY_EXISTS),
        "name": (NewTopic(world.name("a b"), 1, 1), KafkaError.TOPIC_EXCEPTION),
        "long name": (NewTopic("x" * 250, 1, 1), KafkaError.TOPIC_EXCEPTION),
        "no partitions": (NewTopic(world.name("p0"), 0, 1), KafkaError.INVALID_PARTITIONS),
        "copies": (NewTopic(world.name("r"), 1, 3), KafkaError.INVALID_REPLICATION_FACTOR),
        "config": (NewTopic(world.name("c"), 1, 1, config={"retention.ms": "soon"}), KafkaError.INVALID_CONFIG),
        "range": (NewTopic(world.name("n"), 1, 1, config={"retention.ms": "-2"}), KafkaError.INVALID_CONFIG),
        "unknown": (NewTopic(world.name("u"), 1, 1, config={"no.such": "1"}), KafkaError.INVALID_CONFIG),
        "policy": (NewTopic(world.name("y"), 1, 1, config={"cleanup.policy": "burn"}), KafkaError.INVALID_CONFIG),
        "broker": (NewTopic(world.name("b"), 1, replica_assignment=[[99]]), KafkaError.INVALID_REPLICA_ASSIGNMENT),
    }
    got = {what: error_of(only(admin(world).create_topics([topic]))) for what, (topic, _) in cases.items()}
    expect(got, {what: code for what, (_, code) in cases.items()}, "errors")
    there = [name for name in topics_of(world) if name.startswith(world.prefix)]
    expect(there, [taken], "topics")


@scenario
def validating_creates_nothing(world):
    name = world.name()
    results(admin(world).create_topics([NewTopic(name, 2, 1)], validate_only=True))
    code = error_of(only(admin(world).create_topics([NewTopic(make_topic(world, "x"), 1, 1)], validate_only=True)))
    expect(code, KafkaError.TOPIC_ALREADY_EXISTS, "validating an existing name")
    expect(name in topics_of(world), False, "there")


@scenario
def topics_take_the_brokers_defaults_and_explicit_replicas(world):
    broker = min(admin(world).list_topics(timeout=PATIENCE).brokers)
    placed, default = NewTopic(world.name("placed"), 2, replica_assignment=[[broker], [broker]]), NewTopic(
        world.name("default"))
    results(admin(world).create_topics([placed, default]))
    topics = wait_for("both", lambda: {placed.topic, default.topic} <= set(topics_of(world)) and topics_of(world))
    expect([p.replicas for p in topics[placed.topic].partitions.values()], [[broker], [broker]], "replicas")
    expect(len(topics[default.topic].partitions) >= 1, True, "partitions by default")


@scenario
def topics_that_do_not_exist_cannot_be_deleted(world):
    code = error_of(only(admin(world).delete_topics([world.name("missing")])))
    expect(code, KafkaError.UNKNOWN_TOPIC_OR_PART, "error")


@scenario
def topics_are_described_with_their_ids(world):
    topic = make_topic(world, partitions=3)
    names = TopicCollection([topic, world.name("missing")])
    described = admin(world).describe_topics(names, include_authorized_operations=True)
    found = described[topic].result(PATIENCE)
    expect((found.name, found.is_internal, len(found.partitions)), (topic, False, 3), "described")
    expect(len(str(found.topic_id)) >= 22, True, "a topic id")
    expect(AclOperation.WRITE in found.authorized_operations, True, "may write")
    expect([p.leader.id for p in found.partitions], [p.replicas[0].id for p in found.partitions], "leaders")
    expect([[n.id for n in p.isr] for p in found.partitions], [[p.leader.id] for p in found.partitions], "in sync")
    expect(error_of(described[world.name("missing")]), KafkaError.UNKNOWN_TOPIC_OR_PART, "of one that is missing")


@scenario
def partitions_are_added(world):
    topic = make_topic(world)
    send(producer(world), topic, [b"x"])
    results(admin(world).create_partitions([NewPartitions(topic, 4)]))
    wait_for("four partitions", lambda: len(topics_of(world)[topic].partitions) == 4)
    await_leaders(world, topic, range(4))
    send(producer(world), topic, [b"y"], partition=3)
    expect(sorted(values(read(world, topic, partitions=4))), ["x", "y"], "messages")
    for count, code in [(4, KafkaError.INVALID_PARTITIONS), (2, KafkaError.INVALID_PARTITIONS)]:
        got = error_of(only(admin(world).create_partitions([NewPartitions(topic, count)])))
        expect(got, code, f"error for {count}")
    missing = NewPartitions(world.name("missing"), 2)
    expect(error_of(only(admin(world).create_partitions([missing]))), KafkaError.UNKNOWN_TOPIC_OR_PART, "missing")
    results(admin(world).create_partitions([NewPartitions(topic, 6)], validate_only=True))
    expect(len(topics_of(world)[topic].partitions), 4, "partitions after validating only")


@scenario
def configs_of_a_topic_tell_where_they_come_from(world):
    topic = make_topic(world, retention_ms=1234567, cleanup_policy="compact,delete")
    found = config_of(world, topic)
    own = {name: e.value for name, e in found.items() if e.source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value}
    expect(own, {"retention.ms": "1234567", "cleanup.policy": "compact,delete"}, "its own")
    wanted = {"max.message.bytes", "message.timestamp.type", "cleanup.policy", "retention.ms", "retention.bytes",
              "segment.bytes", "segment.ms", "min.compaction.lag.ms", "max.compaction.lag.ms", "delete.retention.ms",
              "compression.type", "min.insync.replicas"}
    expect(wanted - set(found), set(), "configs that are not there")
    segment = found["segment.bytes"]
    expect((segment.value, segment.is_default, segment.is_read_only), ("1073741824", True, False), "segment.bytes")
    expect("retention.ms" in found["retention.ms"].synonyms, True, "its own value is among the synonyms")
    missing = ConfigResource(ConfigResource.Type.TOPIC, world.name("missing"))
    code = error_of(only(admin(world).describe_configs([missing])))
    expect(code, KafkaError.UNKNOWN_TOPIC_OR_PART, "of a missing topic")


@scenario
def configs_of_the_broker_are_described(world):
    broker = min(admin(world).list_topics(timeout=PATIENCE).brokers)
    found = only(admin(world).describe_configs([ConfigResource(ConfigResource.Type.BROKER, str(broker))])).result(
        PATIENCE)
    for name in ("message.max.bytes", "num.partitions", "log.retention.ms", "offsets.retention.minutes"):
        expect(name in found, True, f"{name} is there")
    expect(int(found["message.max.bytes"].value) > 0, True, "message.max.bytes")


@scenario
def a_config_of_the_broker_is_altered(world):
    broker = str(min(admin(world).list_topics(timeout=PATIENCE).brokers))
    kind = ConfigResource.Type.BROKER

    def value():
        found = only(admin(world).describe_configs([ConfigResource(kind, broker)])).result(PATIENCE)
        return found["log.retention.ms"].value

    before = value()
    expect(changed(world, kind, broker, ("SET", "log.retention.ms", "604800001")), None, "set")
    wait_for("its value", lambda: value() == "604800001")
    expect(changed(world, kind, broker, ("SET", "node.id", "7")) in
           {KafkaError.INVALID_REQUEST, KafkaError.INVALID_CONFIG}, True, "what is fixed is refused")
    expect(changed(world, kind, broker, ("DELETE", "log.retention.ms", None)), None, "deleted")
    wait_for("the value before", lambda: value() == before)


@scenario
def configs_are_altered_one_by_one(world):
    topic, kind = make_topic(world, retention_ms=1000000), ConfigResource.Type.TOPIC
    expect(changed(world, kind, topic, ("SET", "max.message.bytes", "5000"), ("DELETE", "retention.ms", None)), None,
           "set and delete")
    value_of(world, topic, "max.message.bytes", "5000")
    value_of(world, topic, "retention.ms", "604800000")
    expect(changed(world, kind, topic, ("APPEND", "cleanup.policy", "compact")), None, "append")
    value_of(world, topic, "cleanup.policy", "delete,compact")
    expect(changed(world, kind, topic, ("SUBTRACT", "cleanup.policy", "delete")), None, "subtract")
    value_of(world, topic, "cleanup.policy", "compact")
    expect(changed(world, kind, topic, ("SET", "retention.ms", "5"), validate_only=True), None, "validating")
    cases = {
        "value": (topic, [("SET", "retention.ms", "soon")], KafkaError.INVALID_CONFIG),
        "unknown": (topic, [("SET", "no.such", "1")], KafkaError.INVALID_CONFIG),
        "append to a number": (topic, [("APPEND", "retention.ms", "1")], KafkaError.INVALID_CONFIG),
        "good and bad": (topic, [("SET", "segment.ms", "9999"), ("SET", "retention.ms", "x")],
                         KafkaError.INVALID_CONFIG),
        "missing": (world.name("missing"), [("SET", "retention.ms", "1")], KafkaError.UNKNOWN_TOPIC_OR_PART),
    }
    got = {what: changed(world, kind, name, *entries) for what, (name, entries, _) in cases.items()}
    expect(got, {what: code for what, (_, _, code) in cases.items()}, "errors")
    own = {n: e.value for n, e in config_of(world, topic).items() if e.source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value}
    expect(own, {"max.message.bytes": "5000", "cleanup.policy": "compact"}, "its own in the end")


@scenario
def altering_the_old_way_replaces_all(world):
    topic = make_topic(world, retention_ms=1000000, max_message_bytes=7000)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, set_config={"segment.ms": "70000"})
    results(admin(world).alter_configs([resource]))
    value_of(world, topic, "segment.ms", "70000")
    own = {n: e.value for n, e in config_of(world, topic).items() if e.source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value}
    expect(own, {"segment.ms": "70000"}, "its own")


@scenario
def an_altered_config_works_at_once(world):
    topic = make_topic(world)
    expect(changed(world, ConfigResource.Type.TOPIC, topic, ("SET", "max.message.bytes", "1000")), None, "altered")
    value_of(world, topic, "max.message.bytes", "1000")
    refused = []
    maker = producer(world)
    maker.produce(topic, value=b"x" * 2000, partition=0, on_delivery=lambda error, _: refused.append(error.code()))
    maker.flush(PATIENCE)
    expect(refused, [KafkaError.MSG_SIZE_TOO_LARGE], "errors")


@scenario
def the_cluster_is_described(world):
    found = admin(world).describe_cluster(include_authorized_operations=True).result(PATIENCE)
    expect(len(found.nodes), 1, "nodes")
    host, port = world.bootstrap.rsplit(":", 1)
    expect((found.nodes[0].host, found.nodes[0].port), (host, int(port)), "its address")
    expect((bool(found.cluster_id), found.controller.id), (True, found.nodes[0].id), "cluster id and controller")
    expect(AclOperation.CREATE in found.authorized_operations, True, "may create")


@scenario
def groups_are_listed_described_and_deleted(world):
    topic, group = make_topic(world), world.name("g")
    reader = consumer(world, "g", client_id="somebody")
    reader.subscribe([topic])
    wait_for("an assignment", lambda: reader.poll(0.1) or reader.assignment())
    found = results(admin(world).describe_consumer_groups([group], include_authorized_operations=True))[group]
    expect((found.state, found.is_simple_consumer_group, found.partition_assignor),
           (ConsumerGroupState.STABLE, False, "range"), "described")
    (member,) = found.members
    expect((member.client_id, [(p.topic, p.partition) for p in member.assignment.topic_partitions]),
           ("somebody", [(topic, 0)]), "its member")
    expect(member.host.startswith("/127.0.0.1") or member.host == "127.0.0.1", True, f"host {member.host}")
    listed = {g.group_id: g for g in admin(world).list_consumer_groups().result(PATIENCE).valid}
    expect(listed[group].state, ConsumerGroupState.STABLE, "listed")
    empty = admin(world).list_consumer_groups(states={ConsumerGroupState.EMPTY}).result(PATIENCE).valid
    expect(group in {g.group_id for g in empty}, False, "among those that are empty")
    expect(error_of(only(admin(world).delete_consumer_groups([group]))), KafkaError.NON_EMPTY_GROUP, "delete it")
    reader.commit(offsets=[TopicPartition(topic, 0, 0)], asynchronous=False)
    reader.close()
    empty = admin(world).list_consumer_groups(states={ConsumerGroupState.EMPTY}).result(PATIENCE).valid
    expect(group in {g.group_id for g in empty}, True, "among those that are empty")
    results(admin(world).delete_consumer_groups([group]))
    expect(group in {g.group_id for g in admin(world).list_consumer_groups().result(PATIENCE).valid}, False, "listed")
    expect(error_of(only(admin(world).delete_consumer_groups([group]))), KafkaError.GROUP_ID_NOT_FOUND, "again")


@scenario
def offsets_are_listed_by_every_specification(world):
    topic = make_topic(world, partitions=2, retention_ms=-1)
    maker = producer(world)
    for at in (1000, 9000, 2000):
        send(maker, topic, [b"x"], timestamp=1_700_000_000_000 + at)
    here, empty = TopicPartition(topic, 0), TopicPartition(topic, 1)

    def listed(spec, partition=here):
        found = only(admin(world).list_offsets({partition: spec})).result(PATIENCE)
        return found.offset, found.timestamp

    expect(listed(OffsetSpec.earliest())[0], 0, "earliest")
    expect(listed(OffsetSpec.latest())[0], 3, "latest")
    expect(listed(OffsetSpec.for_timestamp(1_700_000_001_500)), (1, 1_700_000_009_000), "by time")
    expect(listed(OffsetSpec.for_timestamp(1_700_000_009_001)), (-1, -1), "after the last")
    expect(listed(OffsetSpec.max_timestamp()), (1, 1_700_000_009_000), "the greatest time")
    expect(listed(OffsetSpec.max_timestamp(), empty), (-1, -1), "the greatest time where nothing is")
    expect([listed(s, empty)[0] for s in (OffsetSpec.earliest(), OffsetSpec.latest())], [0, 0], "where nothing is")


@scenario
def offsets_of_a_group_are_altered(world):
    topic, group = make_topic(world, partitions=2), world.name("g")
    asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 7), TopicPartition(topic, 1, 0)])
    results(admin(world).alter_consumer_group_offsets([asked]))

    def offsets(*partitions):
        wanted = ConsumerGroupTopicPartitions(group, list(partitions) or None)
        found = results(admin(world).list_consumer_group_offsets([wanted]))[group]
        return {(p.topic, p.partition): p.offset for p in found.topic_partitions}

    expect(offsets(), {(topic, 0): 7, (topic, 1): 0}, "all offsets")
    expect(offsets(TopicPartition(topic, 1)), {(topic, 1): 0}, "those of one partition")
    reader = consumer(world, "g")
    reader.subscribe([topic])
    wait_for("an assignment", lambda: reader.poll(0.1) or reader.assignment())
    again = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 1)])
    future = only(admin(world).alter_consumer_group_offsets([again]))
    try:
        codes = {p.error.code() for p in future.result(PATIENCE).topic_partitions if p.error}
    except KafkaException as error:
        codes = {error.args[0].code()}
    expect(codes, {KafkaError.UNKNOWN_MEMBER_ID}, "altered while it has members")
    reader.close()


@scenario
def records_are_deleted_up_to_an_offset(world):
    topic = make_topic(world, partitions=2)
    send(producer(world), topic, [str(i).encode() for i in range(10)])
    here = TopicPartition(topic, 0)
    low = only(admin(world).delete_records([TopicPartition(topic, 0, 4)])).result(PATIENCE).low_watermark
    expect(low, 4, "low watermark")
    reader = consumer(world, "g")
    expect(reader.get_watermark_offsets(here, timeout=PATIENCE), (4, 10), "watermarks")
    expect(values(read(world, topic)), [str(i) for i in range(4, 10)], "messages left")
    low = only(admin(world).delete_records([TopicPartition(topic, 0, 2)])).result(PATIENCE).low_watermark
    expect(low, 4, "low watermark after deleting up to less")
    code = error_of(only(admin(world).delete_records([TopicPartition(topic, 0, 11)])))
    expect(code, KafkaError.OFFSET_OUT_OF_RANGE, "beyond the end")
    low = only(admin(world).delete_records([TopicPartition(topic, 0, -1)])).result(PATIENCE).low_watermark
    expect((low, read(world, topic)), (10, []), "all of it")
    expect(send(producer(world), topic, [b"next"]), [10], "offset of the next one")
    reader.close()


@scenario
def a_compacted_topic_keeps_the_last_of_each_key(world):
    topic = make_topic(world, cleanup_policy="compact", segment_ms=100, min_cleanable_dirty_ratio=0.01,
                       delete_retention_ms=100)
    maker = producer(world)
    for i in range(60):
        send(maker, topic, [f"{i}".encode()], key=f"k{i % 3}".encode())
    send(maker, topic, [None], key=b"k1")

    def compacted():
        # A segment is closed when something comes after its time; what is in the last one is not compacted.
        send(maker, topic, [b"-"], key=b"filler")
        time.sleep(0.3)
        got = [(m.key(), m.value()) for m in read(world, topic) if m.key() != b"filler"]
        return got == [(b"k0", b"57"), (b"k2", b"59")]

    wait_for("compaction", compacted, 60)


@scenario
def a_topic_with_short_retention_forgets(world):
    topic = make_topic(world, retention_ms=1000, segment_ms=500)
    maker = producer(world)
    send(maker, topic, [b"old"] * 5)

    def forgotten():
        send(maker, topic, [b"new"])
        time.sleep(0.3)
        return "old" not in values(read(world, topic))

    wait_for("the old ones are gone", forgotten, 60)
    first = read(world, topic)[0].offset()
    low, _ = consumer(world, "g").get_watermark_offsets(TopicPartition(topic, 0), timeout=PATIENCE)
    expect(low >= 5 and first >= low, True, f"first {first}, low watermark {low}")


@scenario
def offsets_are_listed_by_isolation(world):
    topic = make_topic(world)
    maker = transactional(world)
    maker.begin_transaction()
    maker.produce(topic, value=b"x", partition=0)
    expect(maker.flush(PATIENCE), 0, "messages left")
    wanted = {TopicPartition(topic, 0): OffsetSpec.latest()}
    listed = [only(admin(world).list_offsets(wanted, isolation_level=level)).result(PATIENCE).offset
              for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)]
    expect(listed, [0, 1], "last stable offset and end")
    maker.commit_transaction(PATIENCE)
    reader = consumer(world, "g", isolation_level="read_committed")
    reader.assign([TopicPartition(topic, 0, 0)])
    expect(values(take(reader, 1)), ["x"], "read")
    reader.close()
