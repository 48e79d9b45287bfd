"""Every input once, in order, and where lineage says: an independent look at a product's topics.

Reads inbox, product, quarantine and lineage with another client than ours, compares bytes, and holds each
lineage event against what the topics hold.

usage: check_conservation.py BROKERS REGISTRY PREFIX PRODUCT COUNT
"""

import collections
import sys
import time

import topics


def once_and_in_order(inbox, product, quarantine):
    """Each partition's product and quarantine together are its inbox; each alone in the inbox's order."""
    for partition, records in inbox.items():
        place = {(message.key(), message.value()): index for index, message in enumerate(records)}
        assert len(place) == len(records), "the test's own records must differ"
        seen = collections.Counter()
        for output in (product, quarantine):
            last = -1
            for message in output[partition]:
                at = place.get((message.key(), message.value()))
                assert at is not None, f"partition {partition}: an output that was never an input: {message.value()!r}"
                assert at > last, f"partition {partition}: input {at} came after {last}"
                last = at
                seen[at] += 1
        twice = [at for at, times in seen.items() if times > 1]
        missing = [at for at in range(len(records)) if at not in seen]
        assert not twice, f"partition {partition}: {len(twice)} inputs twice, first {twice[:5]}"
        assert not missing, f"partition {partition}: {len(missing)} inputs missing, first {missing[:5]}"


def by_rule(product, quarantine):
    for records in product.values():
        for message in records:
            assert not message.headers(), "a forwarded record got headers"
    for records in quarantine.values():
        for message in records:
            assert topics.violated(message) == ["value:minimum"], message.headers()


def lineage(brokers, registry, prefix, name):
    events = collections.defaultdict(list)
    for records in topics.read_all(brokers, f"{prefix}.weir.lineage").values():
        for message in records:
            event = topics.decode(registry, message.value())
            if event["topic"] == name:
                events[event["partition"]].append(event)
    return events


def covered(events, inbox, product, quarantine):
    """Events of a partition adjoin; their runs name every input once and the output that has its bytes."""
    for partition, records in inbox.items():
        inputs = {message.offset(): message for message in records}
        outputs = {
            "forwarded": {message.offset(): message for message in product[partition]},
            "quarantined": {message.offset(): message for message in quarantine[partition]},
        }
        reached, told = 0, set()
        for event in (event for event in events[partition] if event["kind"] == "enforced"):
            assert event["from"] == reached, f"partition {partition}: {reached} was reached, then {event['from']} came"
            reached = event["to"]
            for fate, there in outputs.items():
                for run in event[fate]:
                    for step in range(run["count"]):
                        at = run["first"] + step
                        assert event["from"] <= at < event["to"], f"{at} lies outside of its event"
                        assert at not in told, f"partition {partition}: {at} is told of twice"
                        told.add(at)
                        output = there[run["output_first"] + step]
                        assert output.value() == inputs[at].value(), f"{at} is not at {output.offset()}"
                        if fate == "forwarded":
                            assert output.timestamp() == inputs[at].timestamp(), f"{at} has another timestamp"
                        else:
                            # Quarantine keeps the time it was held back; the record's own is in a header.
                            said = dict(output.headers())
                            assert said["weir.source.offset"] == str(at).encode(), f"{at} says {said}"
                            time_of = inputs[at].timestamp()[1]
                            assert said["weir.source.timestamp"] == str(time_of).encode(), f"{at} says {said}"
            assert not event["withheld"]
        assert told == set(inputs), f"partition {partition}: lineage misses {sorted(set(inputs) - told)[:5]}"


def main(brokers, registry, prefix, product_name, count):
    name = f"{prefix}.{product_name}.v1"
    inbox = topics.read_all(brokers, f"{prefix}.inbox.{product_name}.v1")
    assert topics.count(inbox) == int(count), f"{topics.count(inbox)} of {count} records in the inbox"
    held = f"{prefix}.quarantine.{product_name}.v1"
    started = time.monotonic()
    product, quarantine = topics.read_until(brokers, [name, held], int(count), 120)
    waited = time.monotonic() - started
    once_and_in_order(inbox, product, quarantine)
    by_rule(product, quarantine)
    covered(lineage(brokers, registry, prefix, name), inbox, product, quarantine)
    print(f"{count} inputs once: {topics.count(product)} + {topics.count(quarantine)}, after {waited:.1f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
