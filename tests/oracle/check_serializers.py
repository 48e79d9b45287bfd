"""Confluent's own Python serialisers, unchanged and with their defaults, against our registry and enforcer.

usage: check_serializers.py BROKERS REGISTRY PREFIX
"""

import json
import sys

from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, record_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

import topics

NAME = "meter.readings.v1"


def main(brokers, registry, prefix):
    inbox = f"{prefix}.inbox.{NAME}"
    client = SchemaRegistryClient({"url": registry})
    text = client.get_latest_version(f"{inbox}-value").schema.schema_str
    context = SerializationContext(inbox, MessageField.VALUE)
    producer = Producer({"bootstrap.servers": brokers})
    sent = []

    def send(serializer, **more):
        record = {"sensor": f"s{len(sent)}", "seq": len(sent), "value": 1.5, "note": None, **more}
        producer.produce(inbox, serializer(record, context), record["sensor"])
        sent.append(record)

    by_default = AvroSerializer(client, text)
    by_record = AvroSerializer(client, text, conf={"subject.name.strategy": record_subject_name_strategy})
    # An older writer, without the optional field: registers itself, and resolves to the contract's schema.
    older = json.loads(text)
    older["fields"] = [field for field in older["fields"] if field["name"] != "note"]
    by_older = AvroSerializer(client, json.dumps(older), lambda record, _: {k: record[k] for k in record if k != "note"})
    for serializer in (by_default, by_record, by_older):
        send(serializer)
    send(by_default, note="with a note")
    assert producer.flush(30) == 0

    [product] = topics.read_until(brokers, [f"{prefix}.{NAME}"], len(sent), 60)
    deserializer = AvroDeserializer(client, text)
    there = SerializationContext(f"{prefix}.{NAME}", MessageField.VALUE)
    have = [deserializer(message.value(), there) for records in product.values() for message in records]
    assert sorted(have, key=lambda record: record["seq"]) == sent, have

    # What would hurt consumers is refused where the producer registers it.
    broken = json.loads(text)
    broken["fields"][1]["type"] = "string"
    try:
        client.register_schema(f"{inbox}-value", Schema(json.dumps(broken), "AVRO"))
    except SchemaRegistryError as error:
        assert error.http_status_code == 409, error
    else:
        raise AssertionError("an incompatible schema was registered")
    print(f"{len(sent)} records read back as they were sent")


if __name__ == "__main__":
    main(*sys.argv[1:])
