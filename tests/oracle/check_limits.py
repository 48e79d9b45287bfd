"""Parcels at the limits of their topics: what the inbox took is published or held back, whatever the product
topic would rather not take.

usage: check_limits.py BROKERS REGISTRY PREFIX send|check|refused

What was sent is read back from the inbox, so that no phase need remember it.
"""

import decimal
import json
import sys
import time

from confluent_kafka import KafkaException, Producer

import poison
import topics
from alter_topic import alter

NAME = "depot.parcels.v1"
BACKLOG = 3_000
DAY = 86_400_000


class Parcels:
    def __init__(self, brokers, registry, prefix):
        self.brokers, self.registry = brokers, registry
        self.inbox, self.product = f"{prefix}.inbox.{NAME}", f"{prefix}.{NAME}"
        self.quarantine = f"{prefix}.quarantine.{NAME}"
        self.schema_id, self.schema = topics.latest(registry, f"{self.inbox}-value")
        self.producer = Producer({"bootstrap.servers": brokers, "message.max.bytes": 5_000_000, "batch.size": 50_000})
        self.sent = 0

    def send(self, size, partition=0, timestamp=0, **more):
        """A parcel with so many bytes of reference."""
        failed = []
        parcel = poison.parcel(self.sent, reference="r" * size, **more)
        value = topics.encode(self.schema_id, self.schema, parcel)
        self.sent += 1
        self.producer.produce(
            self.inbox, value, poison.P, partition, timestamp=timestamp, on_delivery=lambda e, _: e and failed.append(e)
        )
        return failed

    def flush(self):
        assert self.producer.flush(60) == 0

    def accepted(self, size, **more):
        failed = self.send(size, **more)
        self.flush()
        return not failed

    def judged(self, good):
        """Inbox, product and quarantine by partition, once all is consumed; what is good is in the product alone."""
        inbox = topics.read_all(self.brokers, self.inbox)
        product, quarantine = topics.read_until(self.brokers, [self.product, self.quarantine], topics.count(inbox), 90)
        for partition, records in inbox.items():
            expected = [message.value() for message in records if good(message, self.decoded(message))]
            found = [message.value() for message in product[partition]]
            assert found == expected, f"partition {partition}: {len(found)} published, {len(expected)} are good"
            rest = [message.value() for message in records if not good(message, self.decoded(message))]
            assert sorted(message.value() for message in quarantine[partition]) == sorted(rest)
        return inbox, quarantine

    def decoded(self, message):
        return topics.decode(self.registry, message.value())


def largest(parcels, least, most, **more):
    """The largest reference that the inbox takes; it has then taken it."""
    while most - least > 1:
        middle = (least + most) // 2
        if parcels.accepted(middle, **more):
            least = middle
        else:
            most = middle
    assert not parcels.accepted(most, **more) and parcels.accepted(least, **more)
    return least


BAD = {"weight": decimal.Decimal(-1), "insured": decimal.Decimal(-1), "distance": -1.0, "ratio": -1.0, "zone": 0}


def send(parcels):
    size = largest(parcels, 1_000, 100_000)
    parcels.accepted(size - 1, **BAD)
    bad = largest(parcels, size - 200, 100_000, **BAD)
    for _ in range(BACKLOG):
        parcels.send(2_000, partition=1)
    parcels.flush()
    print(f"the inbox takes references of {size} bytes, {bad} where they violate; {BACKLOG} more are waiting")


def check(parcels):
    inbox, quarantine = parcels.judged(lambda _, parcel: parcel["weight"] >= 0)
    assert len(inbox[1]) == BACKLOG
    for message in quarantine[0]:
        assert {f"{name}:minimum" for name in BAD} == set(topics.violated(message)), topics.violated(message)
    total = max(len(message.value()) for message in inbox[0])
    print(f"{topics.count(inbox)} records up to {total} bytes judged, {len(quarantine[0])} held back with all reasons")


def refused(parcels):
    alter(parcels.brokers, parcels.product, max_message_bytes=30_000, message_timestamp_before_max_ms=DAY,
          message_timestamp_after_max_ms=3_600_000)
    alter(parcels.brokers, parcels.inbox, message_timestamp_after_max_ms=1 << 62)
    now = int(time.time() * 1_000)
    odd = [(40_000, 0, "sizetoolarge"), (100, now - 10 * DAY, "invalid"), (100, now + 2 * DAY, "invalid"),
           (45_000, 0, "sizetoolarge"), (100, now - 11 * DAY, "invalid"), (100, 1, "invalid")]
    first = {partition: len(records) for partition, records in topics.read_all(parcels.brokers, parcels.inbox).items()}
    for size, timestamp, _ in odd:
        for _ in range(100):
            parcels.send(1_000)
            parcels.send(1_000, partition=1)
        parcels.send(size, timestamp=timestamp)
    parcels.send(1_000)
    parcels.flush()

    def good(message, parcel):
        if message.offset() < first[message.partition()]:
            return parcel["weight"] >= 0
        return len(parcel["reference"]) < 30_000 and now - DAY < message.timestamp()[1] < now + DAY

    _, quarantine = parcels.judged(good)
    said = {}
    for message in quarantine[0]:
        told = topics.headers(message)
        if int(told["weir.source.offset"]) >= first[0]:
            [found] = json.loads(told["weir.violations"])
            assert found["rule"] == "broker-refused", found
            said[int(told["weir.source.offset"])] = found["message"].lower()
    assert len(said) == len(odd), said
    for (_, _, word), offset in zip(odd, sorted(said)):
        assert word in said[offset], f"{said[offset]!r} does not say {word!r}"
    print(f"{len(said)} records that only the product topic refuses are held back: {sorted(set(said.values()))}")


if __name__ == "__main__":
    try:
        {"send": send, "check": check, "refused": refused}[sys.argv[4]](Parcels(*sys.argv[1:4]))
    except KafkaException as error:
        sys.exit(f"Kafka: {error}")
