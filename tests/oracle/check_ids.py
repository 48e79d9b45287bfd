"""Thousands of schema ids that nobody registered, each once, among good neighbours: none stalls a partition.

usage: check_ids.py BROKERS REGISTRY PREFIX COUNT
"""

import struct
import sys
import time

from confluent_kafka import Producer

import topics

NAME = "meter.readings.v1"
FIRST = 1_000_000


def main(brokers, registry, prefix, count):
    inbox, good = f"{prefix}.inbox.{NAME}", 0
    schema_id, schema = topics.latest(registry, f"{inbox}-value")
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 50})
    for number in range(int(count)):
        sensor = f"s{number}"
        value = topics.encode(schema_id, schema, {"sensor": sensor, "seq": number, "value": 1.0, "note": None})
        producer.produce(inbox, struct.pack(">bI", 0, FIRST + number) + value[5:], sensor)
        if number % 10 == 0:
            producer.produce(inbox, value, sensor)
            good += 1
        producer.poll(0)
    assert producer.flush(60) == 0
    started = time.monotonic()
    product, quarantine = topics.read_until(
        brokers, [f"{prefix}.{NAME}", f"{prefix}.quarantine.{NAME}"], int(count) + good, 60 + int(count) // 100
    )
    assert (topics.count(product), topics.count(quarantine)) == (good, int(count))
    held = [message for records in quarantine.values() for message in records]
    assert all(topics.violated(message) == ["schema"] for message in held)
    print(f"{count} unknown ids held back, {good} neighbours through after {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
