"""Writes readings to an inbox at a steady pace, keyed by sensor; every tenth is out of range.

usage: produce_readings.py BROKERS REGISTRY INBOX COUNT PER_SECOND
"""

import sys
import time

from confluent_kafka import Producer

import topics

SENSORS = 16


def reading(number):
    sensor = f"s{number % SENSORS}"
    value = -1.0 if number % 10 == 7 else float(number % 100)
    return {"sensor": sensor, "seq": number // SENSORS, "value": value, "note": None}


def main(brokers, registry, inbox, count, per_second):
    schema_id, schema = topics.latest(registry, f"{inbox}-value")
    failures = []
    producer = Producer({"bootstrap.servers": brokers, "enable.idempotence": True, "linger.ms": 5})

    def delivered(error, _message):
        if error:
            failures.append(error)

    started = time.monotonic()
    for number in range(int(count)):
        record = reading(number)
        producer.produce(inbox, topics.encode(schema_id, schema, record), record["sensor"], on_delivery=delivered)
        if number % 100 == 99:
            producer.poll(0)
            ahead = (number + 1) / float(per_second) - (time.monotonic() - started)
            if ahead > 0:
                time.sleep(ahead)
    producer.flush(60)
    assert not failures, failures[:3]


if __name__ == "__main__":
    main(*sys.argv[1:])
