"""Hostile schemas: refused by our registry, and a violation where another registry serves them.

usage: check_hostile_schemas.py BROKERS REGISTRY PREFIX refused|served
"""

import json
import struct
import sys
import urllib.error
import urllib.request

from confluent_kafka import Producer

import hostile_schemas
import poison
import topics

NAME = "depot.parcels.v1"


def post(registry, path, body):
    request = urllib.request.Request(registry + path, body, method="POST")
    request.add_header("content-type", "application/vnd.schemaregistry.v1+json")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.load(refusal)


def refused(_brokers, registry, prefix):
    wrong, count = [], 0
    for name, text, words in hostile_schemas.refused():
        for path in (f"/subjects/{prefix}/versions", f"/compatibility/subjects/{prefix}/versions/latest"):
            status, said = post(registry, path, json.dumps({"schema": text}).encode())
            if status != 422 or said["error_code"] != 42201 or words not in said["message"]:
                wrong.append(f"{name} at {path}: {status} {said}")
            count += 1
    # Bodies that never become a schema.
    big = json.dumps({"schema": hostile_schemas.record(doc="x" * 10_000_000)}).encode()
    bodies = {
        "10 MB": (big, 422, 42209),
        "no JSON": (b"{", 400, 400),
        "nested": (b"[" * 500_000, 400, 400),
        "no object": (b"5", 422, 42201),
        "no schema": (b"{}", 422, 42201),
        "a schema that is no text": (b'{"schema": {"type": "int"}}', 422, 42201),
        "not UTF-8": (b'{"schema": "\xff"}', 400, 400),
        "a reference": (b'{"schema": "\\"n.R\\"", "references": [{"name": "n.R", "subject": "s", "version": 1}]}', 422, 42201),
        "another kind": (b'{"schema": "syntax", "schemaType": "PROTOBUF"}', 422, 42201),
        "rules": (b'{"schema": "\\"int\\"", "ruleSet": {"domainRules": []}}', 422, 42201),
    }
    for name, (body, status, code) in bodies.items():
        found, said = post(registry, f"/subjects/{prefix}/versions", body)
        if (found, said["error_code"]) != (status, code):
            wrong.append(f"{name}: {found} {said}, not {status} {code}")
    assert not wrong, "\n".join(wrong)
    # It still serves, and took nothing of this.
    with urllib.request.urlopen(f"{registry}/subjects", timeout=10) as answer:
        assert prefix not in json.load(answer)
    status, said = post(registry, f"/subjects/{prefix}/versions", b'{"schema": "\\"int\\""}')
    assert status == 200, said
    # What is strange but Avro, and dear to look at carelessly, is taken at once.
    deep = json.dumps({"schema": hostile_schemas.doubled(60)}).encode()
    for path in ("versions", "versions", "versions?normalize=true"):
        status, said = post(registry, f"/subjects/{prefix}-doubled/{path}", deep)
        assert status == 200, said
    print(f"{count} hostile schemas and {len(bodies)} bodies refused")


def served(brokers, registry, prefix):
    inbox, product = f"{prefix}.inbox.{NAME}", f"{prefix}.{NAME}"
    schema_id, schema = topics.latest(registry, f"{inbox}-value")
    producer = Producer({"bootstrap.servers": brokers})
    sent = list(hostile_schemas.served())
    body = topics.encode(schema_id, schema, poison.parcel(0))[5:]
    for number, _ in enumerate(sent):
        frame = struct.pack(">bI", 0, hostile_schemas.FIRST + number)
        producer.produce(inbox, topics.encode(schema_id, schema, poison.parcel(number)), poison.P, 0)
        producer.produce(inbox, frame + body, poison.P, 0)
    assert producer.flush(30) == 0
    through, held = topics.read_until(brokers, [product, f"{prefix}.quarantine.{NAME}"], 2 * len(sent), 90)
    assert [topics.decode(registry, m.value())["seq"] for m in through[0]] == list(range(len(sent)))
    wrong = []
    for (name, _, _, words), message in zip(sent, held[0], strict=True):
        [found] = json.loads(topics.headers(message)["weir.violations"])
        if found["rule"] != "schema" or words not in found["message"]:
            wrong.append(f"{name}: {found}, not {words!r}")
    assert not wrong, "\n".join(wrong)
    print(f"{len(sent)} hostile schemas of another registry are violations")


if __name__ == "__main__":
    {"refused": refused, "served": served}[sys.argv[4]](*sys.argv[1:4])
