"""Makes topics that nobody described: JSON objects, lines of CSV, and Avro of two schemas with some JSON, a null and
bytes that are nothing among it. The Avro is sent as the readings of a product, by its registered schema, and by a
second schema that is registered here.

usage: mixed_topics.py BROKERS REGISTRY PREFIX COUNT
"""

import json
import sys
import urllib.request

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

import topics


def register(registry, subject, schema):
    body = json.dumps({"schema": json.dumps(schema)}).encode()
    request = urllib.request.Request(
        f"{registry}/subjects/{subject}/versions", body, {"Content-Type": "application/vnd.schemaregistry.v1+json"}
    )
    with urllib.request.urlopen(request) as answer:
        answer.read()


def main(brokers, registry, prefix, count):
    count = int(count)
    names = [f"{prefix}.legacy-{name}" for name in ("json", "lines", "mixed")]
    admin = AdminClient({"bootstrap.servers": brokers})
    for made in admin.create_topics([NewTopic(name, 3, 1) for name in names]).values():
        made.result()
    producer = Producer({"bootstrap.servers": brokers})
    written, schema = topics.latest(registry, f"{prefix}.inbox.meter.readings.v1-value")
    fields = [{"name": "sensor", "type": "string"}, {"name": "seq", "type": "long"}, {"name": "site", "type": "string"}]
    other = {"type": "record", "name": "Located", "namespace": "meter", "fields": fields}
    register(registry, f"{prefix}.legacy-located", other)
    second, other = topics.latest(registry, f"{prefix}.legacy-located")
    for number in range(count):
        sensor = f"s{number % 7}"
        order = {"id": number, "mail": f"user{number}@example.org", "lines": [{"sku": f"A-{number % 5}", "n": number % 3}]}
        producer.produce(names[0], json.dumps(order, indent=1))
        producer.produce(names[1], f"{number},{sensor},2026-01-{1 + number % 28:02}")
        if number % 2:
            value = {"sensor": sensor, "seq": number, "value": 1.5, "note": None}
            producer.produce(names[2], topics.encode(written, schema, value), sensor)
        else:
            value = {"sensor": sensor, "seq": number, "site": "north"}
            producer.produce(names[2], topics.encode(second, other, value), sensor)
    for odd in (b'{"sensor": "json"}', None, b"\xff\xfe\x00"):
        producer.produce(names[2], odd, "odd")
    assert producer.flush(30) == 0


if __name__ == "__main__":
    main(*sys.argv[1:])
