"""Sends poison among good parcels and holds each verdict, its rule and its words against what was sent.

usage: check_parcels.py BROKERS REGISTRY PREFIX
"""

import collections
import json
import sys
import urllib.request

from confluent_kafka import Producer

import poison
import topics

NAME = "depot.parcels.v1"


def registered(registry, subject, schema):
    body = json.dumps({"schema": json.dumps(schema)}).encode()
    request = urllib.request.Request(f"{registry}/subjects/{subject}/versions", body, method="POST")
    request.add_header("content-type", "application/vnd.schemaregistry.v1+json")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["id"]


def keys_and_headers(schema_id):
    """Good values whose key or headers are not: key, headers, rules, words."""
    yield None, [], {"key"}, "key"
    yield b"", [], {"key"}, "key"
    yield b"\xff\xfe", [], {"key"}, "key"
    yield b"P-2", [], {"key"}, "key"
    yield b"x" * 100_000, [], {"key"}, "key"


def main(brokers, registry, prefix):
    inbox = f"{prefix}.inbox.{NAME}"
    schema_id, schema = topics.latest(registry, f"{inbox}-value")
    producer = Producer({"bootstrap.servers": brokers, "message.max.bytes": 1_199_000, "linger.ms": 20})
    good, bad = [], []

    def send_good(headers=None, **more):
        value = topics.encode(schema_id, schema, poison.parcel(len(good), **more))
        producer.produce(inbox, value, poison.P, partition=0, headers=headers)
        good.append((value, headers or []))

    def send_bad(name, value, rules, words, key=poison.P.encode(), headers=()):
        producer.produce(inbox, value, key, partition=0, headers=list(headers))
        bad.append((name, value, rules, words, key, list(headers)))
        producer.poll(0)

    send_good()
    for name, value, rules, words in poison.all_of(schema_id, schema):
        send_bad(name, value, rules, words)
        send_good()
    whole = topics.encode(schema_id, schema, poison.parcel(9))
    for key, headers, rules, words in keys_and_headers(schema_id):
        send_bad(f"the key {key and key[:9]!r}", whole, rules, words, key=key, headers=headers)
        send_good()
    # An id in a header, as newer serialisers put it there; forged reasons; a thousand headers; a null header.
    guid = ("__value_schema_id", b"\x01" + bytes(16))
    send_bad("an id in a header", whole[5:], {"wire"}, "PrefixSchemaIdSerializer", headers=[guid])
    forged = [("weir.reason", b"all is well"), ("weir.violations", b"[]"), ("empty", None)]
    send_bad("forged reasons", b"hello", {"wire"}, "use an Avro serializer", headers=forged)
    send_good(headers=forged)
    many = [(f"h{number}", b"v" * 10) for number in range(1_000)]
    send_bad("a thousand headers", b"hello", {"wire"}, "use an Avro serializer", headers=many)
    send_good(headers=many)
    wide = registered(registry, f"{inbox}-value", poison.wider(topics.text(registry, schema_id)))
    for name, value, rules, words in poison.hollow(wide):
        send_bad(name, value, rules, words)
        send_good()
    # What the contract does not declare goes through where it allows that, and within bounds it may be strange.
    for nothing in (0, 1, 65_536):
        value = poison.built(wide, poison.long(nothing) + poison.long(0) * (2 if nothing else 1))
        producer.produce(inbox, value, poison.P, partition=0)
        good.append((value, []))
    # Deep, but within the bounds; every size of a number that is a number; an empty everything.
    inside = None
    for number in range(60):
        inside = {"number": number, "inside": inside}
    send_good(box=inside)
    send_good(labels={}, tags=[], stops=[], photo=b"", reference=None, receiver=None)
    send_good(reference="r" * 200_000)
    assert producer.flush(60) == 0

    product, quarantine = topics.read_until(
        brokers, [f"{prefix}.{NAME}", f"{prefix}.quarantine.{NAME}"], len(good) + len(bad), 90
    )
    through = product[0]
    assert len(through) == len(good), f"{len(through)} of {len(good)} neighbours are through"
    for message, (value, headers) in zip(through, good):
        assert message.value() == value, "a neighbour is not as it was"
        assert (message.headers() or []) == headers, "a neighbour's headers are not as they were"
    held = quarantine[0]
    assert len(held) == len(bad), f"{len(held)} of {len(bad)} poison records are held back"
    wrong = []
    for message, sent in zip(held, bad):
        wrong.extend(differences(message, sent, inbox))
    assert not wrong, "\n".join(wrong)
    kinds = collections.Counter(rule for message in held for rule in topics.violated(message))
    print(f"{len(bad)} poison records held back, {len(good)} neighbours through: {dict(kinds)}")


def differences(message, sent, inbox):
    name, value, rules, words, key, headers = sent
    # This client reads a value or key of no bytes as none.
    if (message.value() or b"") != (value or b"") or (message.key() or b"") != (key or b""):
        yield f"{name}: not byte for byte"
    own = message.headers()[: len(headers)]
    if own != headers:
        yield f"{name}: its own headers are not as they were"
    told = dict(message.headers()[len(headers) :])
    said = json.loads(told["weir.violations"])
    if {found["rule"] for found in said} != rules:
        yield f"{name}: held back by {said}, not by {rules}"
    elif words and words not in said[0]["message"]:
        yield f"{name}: {said[0]['message']!r} does not say {words!r}"
    if told["weir.source.topic"].decode() != inbox or not told["weir.reason"]:
        yield f"{name}: {told}"


if __name__ == "__main__":
    main(*sys.argv[1:])
