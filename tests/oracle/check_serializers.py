"""Confluent's own Python serialisers and registry client, unchanged, against our registry and enforcer.

usage: check_serializers.py BROKERS REGISTRY PREFIX before|after

`before` a contract version with one more field is applied, and `after`: what was written by old and new writers
is read by old and new readers.
"""

import json
import sys

from confluent_kafka import Producer
from confluent_kafka.schema_registry import (
    Schema,
    SchemaRegistryClient,
    record_subject_name_strategy,
    topic_record_subject_name_strategy,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

import topics

NAME = "meter.readings.v1"
STRATEGIES = {
    "topic": {},
    "record": {"subject.name.strategy": record_subject_name_strategy},
    "topic and record": {"subject.name.strategy": topic_record_subject_name_strategy},
    "normalizing": {"normalize.schemas": True},
    "not registering": {"auto.register.schemas": False},
    "the latest": {"auto.register.schemas": False, "use.latest.version": True},
}


class Readings:
    """Sends readings and remembers them."""

    def __init__(self, brokers, registry, prefix, first):
        self.inbox, self.product = f"{prefix}.inbox.{NAME}", f"{prefix}.{NAME}"
        self.quarantine = f"{prefix}.quarantine.{NAME}"
        self.brokers, self.client = brokers, SchemaRegistryClient({"url": registry})
        self.text = self.client.get_latest_version(f"{self.inbox}-value").schema.schema_str
        self.producer = Producer({"bootstrap.servers": brokers})
        self.first, self.sent = first, []

    def send(self, serializer, **more):
        seq = self.first + len(self.sent)
        record = {"sensor": f"s{seq}", "seq": seq, "value": 1.5, "note": None, **more}
        context = SerializationContext(self.inbox, MessageField.VALUE)
        self.producer.produce(self.inbox, serializer(record, context), record["sensor"])
        self.sent.append(record)

    def without(self, *names):
        """The schema without these fields."""
        schema = json.loads(self.text)
        schema["fields"] = [field for field in schema["fields"] if field["name"] not in names]
        return json.dumps(schema)

    def read(self, topic, expected, *schema):
        """Every record of a topic, as a deserialiser with this reader schema, or none of its own, reads it."""
        assert self.producer.flush(30) == 0
        [found] = topics.read_until(self.brokers, [topic], expected, 60)
        deserializer = AvroDeserializer(self.client, *schema)
        context = SerializationContext(topic, MessageField.VALUE)
        have = [deserializer(message.value(), context) for records in found.values() for message in records]
        return sorted(have, key=lambda record: record["seq"])


def only(schema):
    """What a serialiser of this schema sends of a record."""
    names = [field["name"] for field in json.loads(schema)["fields"]]
    return lambda record, _context: {name: record[name] for name in names}


def before(readings):
    client, text = readings.client, readings.text
    for conf in STRATEGIES.values():
        readings.send(AvroSerializer(client, text, conf=conf))
    known = client.get_latest_version(f"{readings.inbox}-value").schema_id
    readings.send(AvroSerializer(client, text, conf={"auto.register.schemas": False, "use.schema.id": known}))
    readings.send(AvroSerializer(client, text), note="with a note")
    # An older writer, without the optional field: registers itself, and resolves to the contract's schema.
    older = readings.without("note")
    for conf in (STRATEGIES["topic"], STRATEGIES["record"], STRATEGIES["topic and record"]):
        readings.send(AvroSerializer(client, older, only(older), conf))
    assert readings.read(readings.product, len(readings.sent), text) == readings.sent
    as_written = readings.read(readings.product, len(readings.sent))
    assert [record.get("note") for record in as_written] == [record["note"] for record in readings.sent]

    # Its subject says nothing of whether a record is accepted; that its writer is compatible does.
    subjects = client.get_subjects()
    for subject in ("meter.Reading", f"{readings.inbox}-meter.Reading"):
        assert subject in subjects, subjects
    ids = {client.get_version(f"{readings.product}-value", number).schema_id
           for number in client.get_versions(f"{readings.product}-value")}
    assert client.get_latest_version("meter.Reading").schema_id in ids, "a writer is read under the product's subject"

    # What would hurt consumers is refused where the producer registers it…
    broken = json.loads(text)
    broken["fields"][1]["type"] = "string"
    refused(409, client.register_schema, f"{readings.inbox}-value", Schema(json.dumps(broken), "AVRO"))
    # …and where it registers under a name that nobody watches, its records are held back.
    readings.send(AvroSerializer(client, json.dumps(broken), lambda record, _: {**record, "seq": str(record["seq"])},
                                 STRATEGIES["record"] | {"subject.name.strategy": lambda *_: "elsewhere"}))
    held(readings, {"schema"})
    readings.sent.pop()
    print(f"{len(readings.sent)} records read back as they were sent")


def after(readings):
    client = readings.client
    newer, older = readings.text, readings.without("unit")
    assert '"unit"' in newer
    earlier = readings.read(readings.product, 1, newer)
    assert {record["unit"] for record in earlier} == {"m"}, "the default"
    readings.send(AvroSerializer(client, newer), unit="ft")
    readings.send(AvroSerializer(client, older, only(older)), unit="m")
    # Two sent one after the other are read as the contract's schema, and by a reader that knows nothing of it.
    total = len(earlier) + len(readings.sent)
    assert readings.read(readings.product, total, newer)[-2:] == readings.sent
    for record in readings.sent:
        del record["unit"]
    assert readings.read(readings.product, total, older)[-2:] == readings.sent
    print(f"{total} records of old and new writers read by old and new readers")


def refused(status, call, *args):
    try:
        call(*args)
    except SchemaRegistryError as error:
        assert error.http_status_code == status, error
    else:
        raise AssertionError(f"{call.__name__}{args} was not refused")


def held(readings, rules):
    assert readings.producer.flush(30) == 0
    [found] = topics.read_until(readings.brokers, [readings.quarantine], 1, 60)
    [message] = [message for records in found.values() for message in records]
    assert set(topics.violated(message)) == rules, topics.headers(message)


def main(brokers, registry, prefix, phase):
    phases = {"before": (before, 0), "after": (after, 1_000)}
    work, first = phases[phase]
    work(Readings(brokers, registry, prefix, first))


if __name__ == "__main__":
    main(*sys.argv[1:])
