"""Sends records whose schema ids nobody knows, for some seconds: half of the ids are never registered (some come
again and again, some once), half are registered a moment after their first record. Says how many records.

usage: produce_strange_ids.py BROKERS REGISTRY INBOX SECONDS
"""

import sys
import time

from confluent_kafka import Producer

import readings
import topics

# Beside the sensors of the others.
SENSORS = [f"s{readings.SENSORS + number}" for number in range(8)]
PER_SECOND = 40
# How long after its first record an id is registered, in seconds.
LATE = 0.6


def main(brokers, registry, inbox, seconds):
    subject = f"{inbox}-value"
    _, schema = topics.latest(registry, subject)
    known = topics.register_variant(registry, subject, "late 0")
    producer = Producer({"bootstrap.servers": brokers, "enable.idempotence": True} | topics.QUIET)
    # The registry counts up: this id is the next one that it gives.
    late, first_sent, registered = known + 1, None, 0
    started, sent = time.monotonic(), 0
    while time.monotonic() < started + float(seconds):
        sensor, seq = SENSORS[sent % len(SENSORS)], sent // len(SENSORS)
        record = {"sensor": sensor, "seq": seq, "value": 1.0, "note": None}
        kind = sent // len(SENSORS) % 4
        if kind == 0:
            schema_id = 2_000_000_000 + sent % 3
        elif kind == 1:
            schema_id = 1_000_000_000 + sent
        else:
            schema_id = late
            first_sent = first_sent or time.monotonic()
        producer.produce(inbox, topics.encode(schema_id, schema, record), sensor)
        producer.poll(0)
        sent += 1
        if first_sent and time.monotonic() > first_sent + LATE:
            registered += 1
            got = topics.register_variant(registry, subject, f"late {registered}")
            assert got == late, f"the registry gave {got} instead of {late}"
            late, first_sent = late + 1, None
        time.sleep(max(0, started + sent / PER_SECOND - time.monotonic()))
    if first_sent:
        topics.register_variant(registry, subject, f"late {registered + 1}")
    assert producer.flush(60) == 0
    print(sent)


if __name__ == "__main__":
    main(*sys.argv[1:])
