"""Producing and consuming without groups, by confluent-kafka: acknowledgements, compression, idempotence, offsets."""

import threading
import time

from confluent_kafka import OFFSET_END, TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException
from confluent_kafka import TopicPartition

from confluent_session import PATIENCE, Deliveries, consumer, end_of, make_topic, producer, read, send, take, values
from scenarios import expect, scenario, wait_for


def _compressed(world, codec):
    # Their times are in the past: without this they would be too old to keep.
    topic = make_topic(world, codec, partitions=2, retention_ms=-1)
    maker = producer(world, compression_type=codec, linger_ms=20)
    sent = {}
    for i in range(400):
        key, value = f"k{i % 7}".encode(), f"{codec}-{i}-".encode() * 20
        headers = [("n", str(i).encode()), ("empty", b""), ("null", None), ("n", b"again")]
        maker.produce(topic, key=key, value=value, headers=headers, partition=i % 2, timestamp=1_700_000_000_000 + i)
        sent[i % 2, i // 2] = (key, value, headers, 1_700_000_000_000 + i)
    expect(maker.flush(PATIENCE), 0, "messages left")
    got = {}
    for m in read(world, topic, partitions=2, check_crcs=True):
        kind, at = m.timestamp()
        expect(kind, TIMESTAMP_CREATE_TIME, "timestamp type")
        got[m.partition(), m.offset()] = (m.key(), m.value(), m.headers(), at)
    expect(got, sent, "messages read")


@scenario
def uncompressed_records_come_back_whole(world):
    _compressed(world, "none")


@scenario
def gzip_records_come_back_whole(world):
    _compressed(world, "gzip")


@scenario
def snappy_records_come_back_whole(world):
    _compressed(world, "snappy")


@scenario
def lz4_records_come_back_whole(world):
    _compressed(world, "lz4")


@scenario
def zstd_records_come_back_whole(world):
    _compressed(world, "zstd")


@scenario
def null_keys_and_values_stay_null(world):
    topic = make_topic(world)
    maker = producer(world)
    for key, value in [(None, b"v"), (b"k", None), (None, None), (b"", b"")]:
        maker.produce(topic, key=key, value=value, partition=0)
    expect(maker.flush(PATIENCE), 0, "messages left")
    got = [(m.key(), m.value()) for m in read(world, topic)]
    expect(got, [(None, b"v"), (b"k", None), (None, None), (b"", b"")], "keys and values")


@scenario
def every_kind_of_acks_delivers(world):
    topic = make_topic(world)
    # What acks=0 sent is awaited, as nobody says that it has arrived.
    send(producer(world, acks="0"), topic, [f"0-{i}".encode() for i in range(50)])
    wait_for("50 messages of acks=0", lambda: len(read(world, topic)) == 50)
    expect(send(producer(world, acks="1"), topic, [b"one"] * 50), list(range(50, 100)), "offsets of acks=1")
    expect(send(producer(world, acks="all"), topic, [b"all"] * 50), list(range(100, 150)), "offsets of acks=all")


@scenario
def an_idempotent_producer_keeps_the_order(world):
    topic = make_topic(world, partitions=3)
    maker = producer(world, enable_idempotence=True, linger_ms=0, batch_num_messages=10, compression_type="lz4")
    for i in range(3000):
        maker.produce(topic, value=str(i).encode(), partition=i % 3)
    expect(maker.flush(PATIENCE), 0, "messages left")
    messages = read(world, topic, partitions=3)
    for partition in range(3):
        got = [m for m in messages if m.partition() == partition]
        expect([int(m.value()) for m in got], list(range(partition, 3000, 3)), "values in order")
        expect([m.offset() for m in got], list(range(1000)), "offsets without a gap")


@scenario
def many_producers_share_a_partition(world):
    topic = make_topic(world)
    makers = [producer(world, enable_idempotence=True) for _ in range(5)]
    for i in range(200):
        for number, maker in enumerate(makers):
            maker.produce(topic, value=f"{number} {i}".encode(), partition=0)
    for maker in makers:
        expect(maker.flush(PATIENCE), 0, "messages left")
    got = [tuple(map(int, v.split())) for v in values(read(world, topic))]
    for number in range(5):
        expect([i for n, i in got if n == number], list(range(200)), f"values of producer {number}")


@scenario
def a_message_over_the_topics_limit_is_refused(world):
    topic = make_topic(world, max_message_bytes=2000)
    delivered = Deliveries()
    maker = producer(world, message_max_bytes=4_000_000)
    maker.produce(topic, value=b"x" * 5000, partition=0, on_delivery=delivered)
    maker.flush(PATIENCE)
    expect(delivered.errors, [KafkaError.MSG_SIZE_TOO_LARGE], "errors")
    expect(send(maker, topic, [b"x" * 1000]), [0], "offset of the message after it")


@scenario
def a_message_larger_than_a_fetch_is_still_read(world):
    topic = make_topic(world, max_message_bytes=4_000_000)
    send(producer(world, message_max_bytes=4_000_000), topic, [b"x" * 2_000_000, b"y" * 900_000])
    sizes = [len(m.value()) for m in read(world, topic, fetch_message_max_bytes=10_000)]
    expect(sizes, [2_000_000, 900_000], "sizes")


@scenario
def log_append_time_replaces_the_producers(world):
    topic = make_topic(world, message_timestamp_type="LogAppendTime", retention_ms=-1)
    before = int(time.time() * 1000) - 1000
    send(producer(world), topic, [b"a", b"b"], timestamp=1_000_000)
    for message in read(world, topic):
        kind, at = message.timestamp()
        expect(kind, TIMESTAMP_LOG_APPEND_TIME, "timestamp type")
        if not before <= at <= time.time() * 1000 + 1000:
            raise AssertionError(f"{at} is not now")


@scenario
def a_topic_that_does_not_exist_is_said_to_be_unknown(world):
    delivered = Deliveries()
    maker = producer(world, message_timeout_ms=3000)
    try:
        maker.produce(world.name("missing"), value=b"x", partition=0, on_delivery=delivered)
        maker.flush(PATIENCE)
    except KafkaException as error:
        delivered.errors.append(error.args[0].code())
    unknown = {KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._MSG_TIMED_OUT}
    if len(delivered.errors) != 1 or delivered.errors[0] not in unknown:
        raise AssertionError(f"errors {delivered.errors}")
    reader = consumer(world, "g")
    reader.subscribe([world.name("missing")])
    seen = wait_for("an error", lambda: reader.poll(0.2))
    expect(seen.error().code(), KafkaError.UNKNOWN_TOPIC_OR_PART, "the consumer's error")
    reader.close()
    topics = maker.list_topics(timeout=PATIENCE).topics
    expect(world.name("missing") in topics, False, "made by asking")


@scenario
def a_partition_that_does_not_exist_is_refused(world):
    topic = make_topic(world, partitions=2)
    delivered = Deliveries()
    maker = producer(world, message_timeout_ms=3000)
    maker.list_topics(topic, timeout=PATIENCE)
    try:
        maker.produce(topic, value=b"x", partition=2, on_delivery=delivered)
        maker.flush(PATIENCE)
    except KafkaException as error:
        delivered.errors.append(error.args[0].code())
    expect(delivered.errors, [KafkaError._UNKNOWN_PARTITION], "errors")


@scenario
def offsets_are_found_by_time(world):
    topic = make_topic(world, retention_ms=-1)
    maker = producer(world)
    for at in (1000, 3000, 2000, 5000):
        send(maker, topic, [b"x"], timestamp=1_700_000_000_000 + at)
    reader = consumer(world, "g")
    asked = [0, 1000, 1001, 3000, 3001, 5000, 5001]
    found = []
    for at in asked:
        partition = TopicPartition(topic, 0, 1_700_000_000_000 + at)
        found.append(reader.offsets_for_times([partition], timeout=PATIENCE)[0].offset)
    reader.close()
    # The first whose time is not before it; later ones may be older.
    expect(dict(zip(asked, found)), {0: 0, 1000: 0, 1001: 1, 3000: 1, 3001: 3, 5000: 3, 5001: OFFSET_END}, "offsets")


@scenario
def a_reader_seeks_pauses_and_resumes(world):
    topic = make_topic(world)
    send(producer(world), topic, [str(i).encode() for i in range(100)])
    reader = consumer(world, "g")
    here = TopicPartition(topic, 0)
    reader.assign([TopicPartition(topic, 0, 40)])
    expect(values(take(reader, 3)), ["40", "41", "42"], "from 40")
    reader.seek(TopicPartition(topic, 0, 97))
    expect(values(take(reader, 3)), ["97", "98", "99"], "from 97")
    expect(reader.position([here])[0].offset, 100, "position")
    reader.pause([here])
    reader.seek(TopicPartition(topic, 0, 5))
    expect(reader.poll(0.5), None, "while paused")
    reader.resume([here])
    expect(values(take(reader, 1)), ["5"], "resumed")
    reader.seek(TopicPartition(topic, 0, OFFSET_END))
    send(producer(world), topic, [b"new"])
    reader.close()
    expect(values(read(world, topic, start=100)), ["new"], "from the end")


def _reset(world, policy):
    topic = make_topic(world)
    send(producer(world), topic, [str(i).encode() for i in range(10)])
    reader = consumer(world, "g", auto_offset_reset=policy, enable_partition_eof=True)
    reader.assign([TopicPartition(topic, 0, 1000)])
    first = wait_for("a message or an error", lambda: reader.poll(0.2))
    reader.close()
    return first


@scenario
def an_offset_out_of_range_resets_to_the_earliest(world):
    expect(_reset(world, "earliest").value(), b"0", "first message")


@scenario
def an_offset_out_of_range_resets_to_the_latest(world):
    first = _reset(world, "latest")
    expect((first.error().code(), first.offset()), (KafkaError._PARTITION_EOF, 10), "the end")


@scenario
def an_offset_out_of_range_is_an_error_when_asked_for(world):
    expect(_reset(world, "error").error().code(), KafkaError._AUTO_OFFSET_RESET, "error")


@scenario
def a_waiting_fetch_wakes_when_something_comes(world):
    topic = make_topic(world)
    reader = consumer(world, "g", fetch_wait_max_ms=60000, session_timeout_ms=70000, socket_timeout_ms=70000)
    reader.assign([TopicPartition(topic, 0, 0)])
    expect(reader.poll(2), None, "in an empty topic")
    threading.Timer(1, lambda: send(producer(world), topic, [b"woken"])).start()
    expect(values(take(reader, 1, 20)), ["woken"], "long before the minute that it would have waited")
    reader.close()


@scenario
def watermarks_follow_what_is_produced(world):
    topic = make_topic(world, partitions=2)
    reader = consumer(world, "g")
    expect(reader.get_watermark_offsets(TopicPartition(topic, 0), timeout=PATIENCE), (0, 0), "when empty")
    send(producer(world), topic, [b"x"] * 7, partition=1)
    expect((end_of(reader, topic, 0), end_of(reader, topic, 1)), (0, 7), "ends")
    reader.close()


@scenario
def many_partitions_are_written_and_read(world):
    topic = make_topic(world, partitions=40)
    maker = producer(world)
    for i in range(4000):
        maker.produce(topic, value=str(i).encode(), key=str(i).encode())
    expect(maker.flush(PATIENCE), 0, "messages left")
    got = read(world, topic, partitions=40)
    expect(sorted(int(m.value()) for m in got), list(range(4000)), "values")
    expect(len({m.partition() for m in got}), 40, "partitions used")
