"""Reading topics as any client would: confluent_kafka for the log, fastavro for the values, and the
registry's HTTP interface for the schemas. Nothing of Weir is imported; the wire format is read by hand.
"""

import io
import json
import struct
import time
import urllib.request

import fastavro
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

# Brokers that go away are what some tests are about; what matters comes back from the calls.
QUIET = {"log_level": 0}

_parsed = {}


def writer_schema(registry, schema_id):
    key = (registry, schema_id)
    if key not in _parsed:
        with urllib.request.urlopen(f"{registry}/schemas/ids/{schema_id}", timeout=10) as answer:
            _parsed[key] = fastavro.parse_schema(json.loads(json.load(answer)["schema"]))
    return _parsed[key]


def text(registry, schema_id):
    """A schema as the registry has it."""
    with urllib.request.urlopen(f"{registry}/schemas/ids/{schema_id}", timeout=10) as answer:
        return json.loads(json.load(answer)["schema"])


def decode(registry, value):
    magic, schema_id = struct.unpack(">bI", value[:5])
    assert magic == 0, f"not in the wire format: {value[:8]!r}"
    body = io.BytesIO(value[5:])
    record = fastavro.schemaless_reader(body, writer_schema(registry, schema_id))
    assert not body.read(1), "bytes behind the record"
    return record


def encode(schema_id, schema, record):
    out = io.BytesIO()
    out.write(struct.pack(">bI", 0, schema_id))
    fastavro.schemaless_writer(out, schema, record)
    return out.getvalue()


def latest(registry, subject):
    """Id and parsed schema of a subject's latest version."""
    with urllib.request.urlopen(f"{registry}/subjects/{subject}/versions/latest", timeout=10) as answer:
        found = json.load(answer)
    return found["id"], fastavro.parse_schema(json.loads(found["schema"]))


def register_variant(registry, subject, doc):
    """Registers the subject's latest schema with another doc, so that it gets an id of its own."""
    with urllib.request.urlopen(f"{registry}/subjects/{subject}/versions/latest", timeout=10) as answer:
        schema = json.loads(json.load(answer)["schema"])
    body = json.dumps({"schema": json.dumps(schema | {"doc": doc})}).encode()
    request = urllib.request.Request(f"{registry}/subjects/{subject}/versions", body, method="POST")
    request.add_header("Content-Type", "application/vnd.schemaregistry.v1+json")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["id"]


def consumer(brokers, isolation="read_committed", **settings):
    return Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "oracle",
            "enable.auto.commit": False,
            "isolation.level": isolation,
            "auto.offset.reset": "earliest",
            # Said at the last stable offset, past the markers of transactions.
            "enable.partition.eof": True,
        }
        | QUIET
        | settings
    )


def follow(brokers, topic, partition=None):
    """Committed records as they come, in the order of each partition's log, and None whenever a second has
    passed or an end was met. Little is held in memory."""
    reader = consumer(brokers, **{"queued.max.messages.kbytes": 4_096, "fetch.message.max.bytes": 262_144})
    try:
        there = sorted(reader.list_topics(topic, 30).topics[topic].partitions)
        reader.assign([TopicPartition(topic, found, 0) for found in there if partition in (None, found)])
        while True:
            for message in reader.consume(500, 1) or [None]:
                if message is None:
                    yield None
                elif not message.error():
                    yield message
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    yield None
                else:
                    raise KafkaException(message.error())
    finally:
        reader.close()


def stream(brokers, topic, partition=None, limit=60):
    """Every committed record up to the ends as they are now."""
    wanted = {found: end for found, end in ends(brokers, topic).items() if partition in (None, found)}
    reader = consumer(brokers, **{"queued.max.messages.kbytes": 4_096, "fetch.message.max.bytes": 262_144})
    try:
        reader.assign([TopicPartition(topic, found, 0) for found in wanted])
        last = time.monotonic()
        while wanted:
            messages = reader.consume(500, 0.2)
            # The reader of this may take its time between two records.
            last = time.monotonic() if messages else last
            assert time.monotonic() < last + limit, f"{topic}: nothing for {limit} s, and the ends {wanted} were not met"
            for message in messages:
                if not message.error():
                    yield message
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    wanted.pop(message.partition(), None)
                else:
                    raise KafkaException(message.error())
    finally:
        reader.close()


def ends(brokers, topic, isolation="read_committed"):
    """The end of each partition as a reader of this isolation level sees it."""
    reader = consumer(brokers, isolation)
    try:
        there = sorted(reader.list_topics(topic, 30).topics[topic].partitions)
        return {found: reader.get_watermark_offsets(TopicPartition(topic, found), 30)[1] for found in there}
    finally:
        reader.close()


def read_all(brokers, topic, limit=60):
    """Every committed record of a topic up to its end now, by partition in the order of the log."""
    reader = consumer(brokers)
    try:
        partitions = sorted(reader.list_topics(topic, 30).topics[topic].partitions)
        found = {partition: [] for partition in partitions}
        reader.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        open_ends, give_up = set(partitions), time.monotonic() + limit
        while open_ends:
            assert time.monotonic() < give_up, f"{topic}: the ends of {open_ends} were not reached"
            for message in reader.consume(1000, 0.2):
                if not message.error():
                    found[message.partition()].append(message)
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    open_ends.discard(message.partition())
                else:
                    raise KafkaException(message.error())
        return found
    finally:
        reader.close()


def count(by_partition):
    return sum(len(records) for records in by_partition.values())


def read_until(brokers, topics, expected, limit):
    """The topics' records, once there are `expected` of them together."""
    give_up = time.monotonic() + limit
    while True:
        found = [read_all(brokers, topic) for topic in topics]
        total = sum(count(by_partition) for by_partition in found)
        if total >= expected:
            return found
        assert time.monotonic() < give_up, f"{total} of {expected} records in {topics} after {limit} s"
        time.sleep(0.5)


def headers(message):
    return {name: value for name, value in message.headers() or []}


def violated(message):
    """The ids of the rules that a quarantined record says it broke."""
    return sorted({found["rule"] for found in json.loads(headers(message)["weir.violations"])})
