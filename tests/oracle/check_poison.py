"""Sends what no contract allows between good neighbours, and holds the verdicts against what was sent.

usage: check_poison.py BROKERS REGISTRY PREFIX
"""

import collections
import random
import sys

from confluent_kafka import Producer

import topics

NAME = "meter.readings.v1"


def poison(schema_id, schema, good):
    """Name of the poison, its bytes, and the ids of rules that may name it; None stands for any."""
    whole = topics.encode(schema_id, schema, good)
    yield "empty", b"", {"wire"}
    yield "null", None, {"tombstone"}
    yield "json", b'{"sensor": "s1", "seq": 1, "value": 2.0}', {"wire"}
    yield "single object", b"\xc3\x01" + bytes(8) + whole[5:], {"wire"}
    yield "container", b"Obj\x01" + bytes(40), {"wire"}
    yield "text", b"hello", {"wire"}
    yield "only the frame", whole[:5], None
    for length in range(1, len(whole)):
        if length != 5:
            yield f"cut to {length}", whole[:length], {"wire"} if length < 5 else None
    yield "a byte too many", whole + b"\x00", None
    yield "unknown schema", b"\x00\x7f\xff\xff\xfe" + whole[5:], {"schema"}
    garbage = random.Random(1).randbytes(1_000_000)
    yield "a megabyte behind a frame", whole[:5] + garbage, None
    yield "a megabyte", b"\x01" + garbage, {"wire"}
    yield "a length of 2^62", whole[:5] + b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f", None
    yield "not UTF-8", whole[:5] + b"\x04\xff\xfe" + whole[8:], None


def main(brokers, registry, prefix):
    inbox = f"{prefix}.inbox.{NAME}"
    schema_id, schema = topics.latest(registry, f"{inbox}-value")
    producer = Producer({"bootstrap.servers": brokers, "message.max.bytes": 2_000_000})
    sent, seq = [], 0

    def good():
        nonlocal seq
        record = {"sensor": "s1", "seq": seq, "value": 1.0, "note": None}
        seq += 1
        producer.produce(inbox, topics.encode(schema_id, schema, record), "s1", partition=0)

    example = {"sensor": "s1", "seq": 300, "value": 2.0, "note": "a note"}
    good()
    for name, value, rules in poison(schema_id, schema, example):
        producer.produce(inbox, value, "s1", partition=0)
        sent.append((name, value, rules))
        good()
    assert producer.flush(60) == 0

    product, quarantine = topics.read_until(
        brokers, [f"{prefix}.{NAME}", f"{prefix}.quarantine.{NAME}"], seq + len(sent), 90
    )
    through = [topics.decode(registry, message.value())["seq"] for message in product[0]]
    assert through == list(range(seq)), f"neighbours: {through}"
    held = quarantine[0]
    assert len(held) == len(sent), f"{len(held)} of {len(sent)} poison records held back"
    for (name, value, rules), message in zip(sent, held):
        # A zero-byte value and no value are told apart by the broker, not by this client.
        assert (message.value() or b"") == (value or b""), f"{name}: not byte for byte"
        said = topics.violated(message)
        assert said and (rules is None or set(said) <= rules), f"{name}: {said}"
        told = topics.headers(message)
        assert told["weir.source.topic"].decode() == inbox
        assert told["weir.reason"], name
    kinds = collections.Counter(rule for message in held for rule in topics.violated(message))
    print(f"{len(sent)} poison records held back, {seq} neighbours through: {dict(kinds)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
