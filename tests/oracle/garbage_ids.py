"""Schema ids that nobody registered, by the hundred, in the middle of steady good traffic: each is held back as
unknown, no good record is, none is late for long, and an id that is registered just after its first record is sent
costs that record nothing.

usage: garbage_ids.py BROKERS REGISTRY PREFIX IDS SECONDS
prints how long good records took at most, beside garbage and in partitions without
"""

import json
import struct
import sys
import time
import urllib.request

from confluent_kafka import Producer, TopicPartition

import topics

NAME = "meter.readings.v1"
# The partition that all garbage goes to; good records go to every partition.
DIRTY = 0
PARTITIONS = 4


class Sender:
    def __init__(self, brokers, inbox):
        self.inbox, self.failures, self.sent = inbox, [], {}
        self.producer = Producer({"bootstrap.servers": brokers, "linger.ms": 5})

    def delivered(self, error, _message):
        if error:
            self.failures.append(error)

    def send(self, partition, key, value):
        # Random keys would do; the partition is said, so that only one of them is dirty.
        self.producer.produce(self.inbox, value, key, partition, on_delivery=self.delivered)
        self.producer.poll(0)


def reading(number):
    return {"sensor": f"s{number}", "seq": number, "value": 1.0, "note": None}


def register(registry, subject, schema):
    body = json.dumps({"schema": schema}).encode()
    headers = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
    request = urllib.request.Request(f"{registry}/subjects/{subject}/versions", body, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["id"]


def late_registration(registry, inbox, sender, schema_id, schema):
    """A record whose schema is registered half a second after it was sent."""
    text = json.loads(urllib.request.urlopen(f"{registry}/schemas/ids/{schema_id}", timeout=10).read())["schema"]
    later = json.loads(text)
    later["doc"] = "The same, said otherwise: another id."
    # The next id the registry will give: one more than the last it gave.
    probe = register(registry, f"{inbox}-probe", json.dumps({"type": "fixed", "name": "probe", "size": 7}))
    expected = probe + 1
    record = topics.encode(expected, schema, reading(999_999))
    sender.send(DIRTY, "s999999", record)
    sender.producer.flush(30)
    time.sleep(0.5)
    assert register(registry, f"{inbox}-value", json.dumps(later)) == expected, "another id than expected"


def main(brokers, registry, prefix, ids, seconds):
    inbox, product = f"{prefix}.inbox.{NAME}", f"{prefix}.{NAME}"
    schema_id, schema = topics.latest(registry, f"{inbox}-value")
    sender = Sender(brokers, inbox)
    reader = topics.consumer(brokers)
    reader.assign([TopicPartition(product, partition, 0) for partition in range(PARTITIONS)])
    sent, took, number = {}, {partition: [] for partition in range(PARTITIONS)}, 0
    late_registration(registry, inbox, sender, schema_id, schema)
    started = time.monotonic()
    steps = int(float(seconds) * 20)
    garbage = 0
    give_up = started + float(seconds) + 120
    while True:
        step = int((time.monotonic() - started) * 20)
        if number < steps * PARTITIONS and number < (step + 1) * PARTITIONS:
            for partition in range(PARTITIONS):
                key = f"s{number}"
                sent[key.encode()] = time.monotonic()
                sender.send(partition, key, topics.encode(schema_id, schema, reading(number)))
                number += 1
            # All garbage within the first half, between good records.
            while garbage < int(ids) and garbage * steps < 2 * int(ids) * (step + 1):
                sender.send(DIRTY, f"g{garbage}", struct.pack(">bI", 0, 1_000_000_000 + garbage) + b"\x00garbage")
                garbage += 1
        for message in reader.consume(1000, 0.02):
            if not message.error() and message.key() in sent:
                took[message.partition()].append(time.monotonic() - sent.pop(message.key()))
        if number >= steps * PARTITIONS and garbage >= int(ids) and not sent:
            break
        assert time.monotonic() < give_up, f"{len(sent)} good records were not published, like {list(sent)[:3]}"
    assert not sender.failures, sender.failures[:3]
    [held] = topics.read_until(brokers, [f"{prefix}.quarantine.{NAME}"], int(ids), 60)
    rules = [topics.violated(message) for records in held.values() for message in records]
    assert rules == [["schema"]] * int(ids), f"{len(rules)} held back, like {rules[:3]}"
    published = [message.key() for records in topics.read_all(brokers, product).values() for message in records]
    assert b"s999999" in published, "the record whose schema was registered late was not published"
    assert len(published) == len(set(published)) == number + 1
    clean = max(max(took[partition]) for partition in range(PARTITIONS) if partition != DIRTY)
    print(f"{garbage} garbage ids, {number} good records: {max(took[DIRTY]):.2f} s at most beside them, {clean:.2f} s without")
    assert max(took[DIRTY]) < 30, "garbage stalls its partition"
    assert clean < 10, "garbage stalls other partitions"


if __name__ == "__main__":
    main(*sys.argv[1:])
