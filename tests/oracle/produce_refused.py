"""Writes readings to an inbox, all to one partition, and then one that only the product topic refuses.

usage: produce_refused.py BROKERS REGISTRY PREFIX COUNT
"""

import sys

from confluent_kafka import Producer

import topics
from alter_topic import alter

NAME = "meter.readings.v1"


def main(brokers, registry, prefix, count):
    inbox = f"{prefix}.inbox.{NAME}"
    # Room for a batch as the enforcer makes them, and none for the last record.
    alter(brokers, f"{prefix}.{NAME}", max_message_bytes=1_010_000)
    schema_id, schema = topics.latest(registry, f"{inbox}-value")
    producer = Producer({"bootstrap.servers": brokers, "message.max.bytes": 1_048_000})
    failures = []

    def send(sensor):
        value = topics.encode(schema_id, schema, {"sensor": sensor, "seq": 1, "value": 1.0, "note": None})
        producer.produce(inbox, value, sensor, partition=0, on_delivery=lambda error, _: error and failures.append(error))

    for number in range(int(count)):
        send(f"s{number:06}" + "0" * 500)
    send("s" + "9" * 511_000)
    assert producer.flush(60) == 0 and not failures, failures


if __name__ == "__main__":
    main(*sys.argv[1:])
