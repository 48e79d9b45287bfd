"""Writes readings to an inbox at a steady pace, keyed by sensor; some break a rule. Says how many it wrote.

COUNT records, or with `--until-told` at least so many, until standard input ends. With `--new-id-every N` each
N records come with another schema id, all of them registered before the first record is sent.

usage: produce_readings.py BROKERS REGISTRY INBOX COUNT PER_SECOND [--until-told] [--new-id-every N]
"""

import argparse
import sys
import threading
import time

from confluent_kafka import Producer

import readings
import topics

IDS = 40


def arguments():
    parser = argparse.ArgumentParser()
    for name in ("brokers", "registry", "inbox"):
        parser.add_argument(name)
    parser.add_argument("count", type=int)
    parser.add_argument("per_second", type=float)
    parser.add_argument("--until-told", action="store_true")
    parser.add_argument("--new-id-every", type=int)
    return parser.parse_args()


def main(given):
    subject = f"{given.inbox}-value"
    schema_id, schema = topics.latest(given.registry, subject)
    ids = [schema_id]
    if given.new_id_every:
        ids += [topics.register_variant(given.registry, subject, f"variant {number}") for number in range(IDS)]
        assert len(set(ids)) == IDS + 1, "each variant has an id of its own"
    told = threading.Event()
    if given.until_told:
        threading.Thread(target=lambda: (sys.stdin.read(), told.set()), daemon=True).start()
    else:
        told.set()
    failures = []
    producer = Producer(
        {"bootstrap.servers": given.brokers, "enable.idempotence": True, "linger.ms": 5, "message.timeout.ms": 300_000}
        | topics.QUIET
    )

    def delivered(error, _message):
        if error:
            failures.append(error)

    def produce(key, value):
        while True:
            try:
                return producer.produce(given.inbox, value, key, on_delivery=delivered)
            except BufferError:
                producer.poll(0.1)

    started, number = time.monotonic(), 0
    while number < given.count or not told.is_set():
        key, record = readings.reading(number)
        if not isinstance(record, bytes):
            at = number // given.new_id_every if given.new_id_every else 0
            record = topics.encode(ids[min(at, len(ids) - 1)], schema, record)
        produce(key, record)
        number += 1
        if number % 20 == 0:
            producer.poll(0)
            ahead = number / given.per_second - (time.monotonic() - started)
            if ahead > 0:
                time.sleep(ahead)
    left = producer.flush(120)
    assert not left and not failures, (left, failures[:3])
    print(number)


if __name__ == "__main__":
    main(arguments())
