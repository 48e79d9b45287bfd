"""Every input once, in order, where lineage says, and counted right: an independent look at a product's topics.

Reads inbox, product, quarantine, lineage and quality with another client and another decoder than ours, as
streams, and holds them against each other (`history.py`) and against the contract written down a second time
(`readings.py`). Also no transaction may be left hanging.

usage: check_conservation.py BROKERS REGISTRY PREFIX PRODUCT COUNT
"""

import collections
import functools
import resource
import sys
import time
import urllib.error

import history
import readings
import topics

MEASURED = history.Measured({"value"}, readings.WARNINGS)
EVENTS = ("weir.lineage", "weir.quality")
# Until everything is enforced, in seconds.
LIMIT = 120


def events(brokers, registry, topic, key):
    """The events with this key, in the order of the log: they are all in one partition."""
    for message in topics.stream(brokers, topic):
        if message.key() == key:
            yield topics.decode(registry, message.value())


def wait_until_enforced(brokers, registry, lineage, inbox, limit):
    """Lineage reaches the end of every inbox partition; how many records there are, by partition."""
    ends = topics.ends(brokers, inbox)
    reached = dict.fromkeys(ends, 0)
    give_up = time.monotonic() + limit
    for message in topics.follow(brokers, lineage):
        if message is None:
            left = {partition: (reached[partition], end) for partition, end in ends.items() if reached[partition] < end}
            assert time.monotonic() < give_up, f"not enforced after {limit} s, by partition of the inbox: {left}"
        else:
            name, partition = message.key().decode().rsplit("/", 1)
            if name == inbox:
                event = topics.decode(registry, message.value())
                reached[int(partition)] = max(reached[int(partition)], event["to"])
        if all(reached[partition] >= end for partition, end in ends.items()):
            return


def records(brokers, topic, partition):
    for message in topics.stream(brokers, topic, partition):
        headers = message.headers() or []
        yield history.Record(message.offset(), message.key(), message.value(), message.timestamp()[1], headers)


def no_transaction_hangs(brokers, names):
    give_up = time.monotonic() + 60
    for name in names:
        while topics.ends(brokers, name, "read_committed") != topics.ends(brokers, name, "read_uncommitted"):
            assert time.monotonic() < give_up, f"a transaction hangs in {name}"
            time.sleep(0.5)


def main(brokers, registry, prefix, product_name, count):
    name = f"{product_name}.v1"
    inbox, product, quarantine = (f"{prefix}.{kind}{name}" for kind in ("inbox.", "", "quarantine."))
    lineage, quality = (f"{prefix}.{topic}" for topic in EVENTS)
    started = time.monotonic()
    wait_until_enforced(brokers, registry, lineage, inbox, LIMIT)
    waited = time.monotonic() - started
    no_transaction_hangs(brokers, (product, quarantine, lineage, quality))

    @functools.cache
    def schema_of(schema_id):
        try:
            return topics.writer_schema(registry, schema_id)
        except urllib.error.HTTPError as error:
            assert error.code == 404, f"the registry cannot say what {schema_id} is: {error}"
            return None

    def judge(key, value):
        return readings.judge(schema_of, key, value)

    counts, anomalies = collections.Counter(), []
    for partition in topics.ends(brokers, inbox):
        key = f"{inbox}/{partition}".encode()
        streams = [records(brokers, topic, partition) for topic in (inbox, product, quarantine)]
        streams += [events(brokers, registry, topic, key) for topic in (lineage, quality)]
        checked = history.Partition(partition, streams, judge, MEASURED, inbox).check()
        anomalies += checked.anomalies
        counts += checked.counts
    for found in anomalies[:40]:
        print(f"{found.kind}: partition {found.partition}: {found.what}", file=sys.stderr)
    assert not anomalies, f"{len(anomalies)} anomalies"
    assert counts.total() == int(count), f"{counts.total()} of {count} records came through"
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{count} inputs once: {counts['forwarded']} + {counts['quarantined']}; waited {waited:.1f} s, "
        f"checked in {time.monotonic() - started - waited:.1f} s and {memory} MiB"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
