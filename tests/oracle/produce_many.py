"""Writes readings to an inbox as fast as it can; one in WRONG (10) is out of range, every sensor is one of 10,000,
written with WIDTH (100) digits; a record takes twice that and 50 bytes.

usage: produce_many.py BROKERS REGISTRY INBOX FIRST COUNT [WRONG [WIDTH]]
"""

import sys

from confluent_kafka import Producer

import topics

#: Encoding is the slow part, and what is in the records does not matter here: each value is sent this often.
AGAIN = 20


def main(brokers, registry, inbox, first, count, wrong="10", width="100"):
    schema_id, schema = topics.latest(registry, f"{inbox}-value")
    producer = Producer(
        {"bootstrap.servers": brokers, "linger.ms": 20, "queue.buffering.max.messages": 200_000}
    )
    failures = []

    def delivered(error, _message):
        if error:
            failures.append(error)

    for number in range(int(first), int(first) + int(count), AGAIN):
        sensor = f"s{number // AGAIN % 10_000:0{width}}"
        value = -1.0 if number // AGAIN % int(wrong) == 0 else float(number % 100)
        value = topics.encode(schema_id, schema, {"sensor": sensor, "seq": number, "value": value, "note": None})
        for _ in range(min(AGAIN, int(first) + int(count) - number)):
            while True:
                try:
                    producer.produce(inbox, value, sensor, on_delivery=delivered)
                    break
                except BufferError:
                    producer.poll(0.1)
        producer.poll(0)
    assert producer.flush(120) == 0
    assert not failures, failures[:3]


if __name__ == "__main__":
    main(*sys.argv[1:])
