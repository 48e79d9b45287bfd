"""Avro keys from Confluent's own Python serialiser: the right ones go through, the others are held back.

usage: check_keys.py BROKERS REGISTRY PREFIX
"""

import json
import struct
import sys

from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

import topics

NAME = "meter.visits.v1"
# Named as the producer likes it; the fields are named as the value's.
KEY = {
    "type": "record",
    "name": "SiteAndNumber",
    "fields": [{"name": "site", "type": "string"}, {"name": "number", "type": "long"}],
}
# It does not say which visit.
SHORT = {"type": "record", "name": "SiteOnly", "fields": [{"name": "site", "type": "string"}]}


def main(brokers, registry, prefix):
    inbox, product = f"{prefix}.inbox.{NAME}", f"{prefix}.{NAME}"
    client = SchemaRegistryClient({"url": registry})
    text = client.get_latest_version(f"{inbox}-value").schema.schema_str
    of_key = SerializationContext(inbox, MessageField.KEY)
    of_value = SerializationContext(inbox, MessageField.VALUE)
    values = AvroSerializer(client, text)
    keys = AvroSerializer(client, json.dumps(KEY))
    # Registered elsewhere, as an application does that uses it for another topic too.
    elsewhere = SerializationContext(f"{prefix}.elsewhere", MessageField.KEY)
    short = AvroSerializer(client, json.dumps(SHORT))
    producer = Producer({"bootstrap.servers": brokers})
    good, bad = [], []

    def send(number, key, kept):
        visit = {"site": f"site {number % 3}", "number": number, "visitor": None}
        encoded = key(visit) if callable(key) else key
        producer.produce(inbox, values(visit, of_value), encoded)
        (good if kept else bad).append(visit)

    def right(visit):
        return keys({"site": visit["site"], "number": visit["number"]}, of_key)

    def with_id(schema_id):
        return lambda visit: struct.pack(">bI", 0, schema_id) + right(visit)[5:]

    value_id, _ = topics.latest(registry, f"{inbox}-value")
    for number in range(20):
        send(number, right, True)
    send(20, lambda visit: keys({"site": visit["site"], "number": 7}, of_key), False)
    send(21, lambda visit: short({"site": visit["site"]}, elsewhere), False)
    send(22, b"site 1", False)
    send(23, None, False)
    send(24, with_id(900_000), False)
    send(25, with_id(value_id), False)
    send(26, lambda visit: right(visit)[:-1], False)
    send(27, lambda visit: right(visit) + b"\0", False)
    send(28, right, True)
    assert producer.flush(30) == 0

    found, quarantined = topics.read_until(brokers, [product, f"{prefix}.quarantine.{NAME}"], len(good) + len(bad), 60)
    read_key, read_value = AvroDeserializer(client), AvroDeserializer(client, text)
    have = []
    for message in (message for records in found.values() for message in records):
        visit = read_value(message.value(), SerializationContext(product, MessageField.VALUE))
        key = read_key(message.key(), SerializationContext(product, MessageField.KEY))
        assert key == {"site": visit["site"], "number": visit["number"]}, (key, visit)
        have.append(visit)
    assert sorted(have, key=lambda visit: visit["number"]) == good, have

    reasons = {}
    for message in (message for records in quarantined.values() for message in records):
        assert topics.violated(message) == ["key"], topics.headers(message)
        number = read_value(message.value(), of_value)["number"]
        reasons[number] = topics.headers(message)["weir.reason"].decode()
    expected = {
        20: "must equal site, number",
        21: "does not have this field",
        22: "wire format",
        23: "must have a key",
        24: "does not know schema 900000",
        25: "are not the contract's",
        26: "cannot be read",
        27: "cannot be read",
    }
    assert sorted(reasons) == sorted(expected), reasons
    for number, part in expected.items():
        assert part in reasons[number], (number, reasons[number])

    # Readers that ask by subject find the keys' schema under the product, and nothing that was refused.
    key_id, _ = topics.latest(registry, f"{inbox}-key")
    assert topics.latest(registry, f"{product}-key")[0] == key_id
    assert client.get_versions(f"{product}-key") == [1]
    assert client.get_versions(f"{product}-value") == [1]
    print(f"{len(good)} keys as they should be, {len(bad)} held back")


if __name__ == "__main__":
    main(*sys.argv[1:])
