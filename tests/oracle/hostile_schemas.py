"""Texts that no registry should take and no enforcer should stumble over, and a registry that serves them.

usage: hostile_schemas.py PORT REGISTRY: answers like REGISTRY, but for the ids from FIRST on
"""

import http.server
import json
import sys
import urllib.error
import urllib.request

FIRST = 900_001


def record(*fields, name="depot.Parcel", **more):
    fields = [field if isinstance(field, dict) else json.loads(field) for field in fields]
    return json.dumps({"type": "record", "name": name, "fields": fields, **more})


def field(name, kind, **more):
    return {"name": name, "type": kind, **more}


def nested(depth):
    return '{"type":"array","items":' * depth + '"int"' + "}" * depth


def decimal(**more):
    return field("weight", {"type": "bytes", "logicalType": "decimal", **more})


def fixed(size):
    return record(field("f", {"type": "fixed", "name": "F", "size": size}))


def refused():
    """Name, text and words of the reason: no schema, or one that means something else than it says."""
    yield "nothing", "", "JSON"
    yield "no JSON", "{", "JSON"
    yield "a number", "5", "is no type"
    yield "nested 100 deep", nested(100), "64 deep"
    yield "nested 1,000 deep", nested(1_000), "recursion limit"
    yield "nested 100,000 deep", "[" * 100_000, "recursion limit"
    yield "300 kB", record(doc="x" * 300_000), "at most 262144"
    yield "a fixed of -1 bytes", fixed(-1), "size"
    yield "a fixed of four bytes", fixed("4"), "size"
    yield "a fixed of half a byte", fixed(0.5), "size"
    yield "a fixed of 2^40 bytes", fixed(1 << 40), "size"
    yield "a decimal without a precision", record(decimal()), "precision"
    yield "a precision in words", record(decimal(precision="nine", scale=3)), "precision"
    yield "a precision of 0", record(decimal(precision=0, scale=0)), "precision"
    yield "a precision of -9", record(decimal(precision=-9, scale=3)), "precision"
    yield "a precision of 1e30", record(decimal(precision=1e30, scale=3)), "precision"
    yield "a scale in words", record(decimal(precision=9, scale="three")), "scale"
    yield "a scale of -3", record(decimal(precision=9, scale=-3)), "scale"
    yield "a scale above the precision", record(decimal(precision=3, scale=9)), "scale"
    yield "a field twice", record(field("a", "int"), field("a", "long")), "twice"
    e = {"type": "enum", "name": "E", "symbols": ["A"]}
    yield "a type twice", record(field("a", e), field("b", e)), "second time"
    yield "a symbol twice", record(field("a", {**e, "symbols": ["A", "A"]})), "twice"
    yield "an enum's default", record(field("a", {**e, "default": "B"})), "no symbol"
    yield "a branch twice", record(field("a", ["int", "int"])), "twice"
    yield "a union in a union", record(field("a", ["null", ["int"]])), "may not hold a union"
    yield "a default of another type", record(field("a", "int", default="1")), "default"
    yield "a default of another branch", record(field("a", ["null", "int"], default=[])), "default"
    yield "a default out of range", record(field("a", "int", default=1 << 40)), "default"
    yield "a type nobody defined", record(field("a", "Nowhere")), "no type of that name"
    yield "a name with a blank", record(field("a b", "int")), "no name"
    yield "a name of another kind", record(field(5, "int")), "no string"
    yield "no fields", json.dumps({"type": "record", "name": "R"}), "fields"
    yield "defaults that lean on defaults", doubled(60, default={}), "too large"
    yield "fields that are none", json.dumps({"type": "record", "name": "R", "fields": [1]}), "no field"


def doubled(levels, **more):
    """Records each of which holds the one before it twice: 2^levels of them in a record of the last."""
    fields = []
    for level in range(levels):
        below = f"L{level - 1}"
        inner = [field("a", below, **more), field("b", below, **more)] if level else [field("a", "int", default=0)]
        fields.append(field(f"f{level}", {"type": "record", "name": f"L{level}", "fields": inner}, **more))
    return record(*fields)


class Registry(http.server.BaseHTTPRequestHandler):
    """Everything is another registry's answer, but for the schemas that it would never have taken."""

    protocol_version = "HTTP/1.1"
    other, texts = "", []

    def log_message(self, *_):
        pass

    def do_GET(self):
        number = self.path.removeprefix("/schemas/ids/").partition("?")[0]
        if self.path.startswith("/schemas/ids/") and int(number) >= FIRST:
            kind, text = self.texts[int(number) - FIRST]
            return self.answer(200, json.dumps({"schema": text, "schemaType": kind}).encode())
        return self.ask_other(None)

    def do_POST(self):
        return self.ask_other(self.rfile.read(int(self.headers.get("content-length", 0))))

    do_PUT = do_POST

    def ask_other(self, body):
        request = urllib.request.Request(self.other + self.path, body, method=self.command)
        request.add_header("content-type", "application/vnd.schemaregistry.v1+json")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                self.answer(answer.status, answer.read())
        except urllib.error.HTTPError as refusal:
            self.answer(refusal.code, refusal.read())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.send_header("content-type", "application/vnd.schemaregistry.v1+json")
        self.end_headers()
        self.wfile.write(body)


def served():
    """What another registry serves: name, kind, text, and words of the reason that names it."""
    for name, text, words in refused():
        yield name, "AVRO", text, words
    yield "10 MB", "AVRO", record(doc="x" * 10_000_000), "too large"
    yield "a type of another kind", "PROTOBUF", 'syntax = "proto3";', "PROTOBUF"
    yield "a record of another name", "AVRO", record(name="depot.Other"), "depot.Other"


if __name__ == "__main__":
    Registry.other = sys.argv[2]
    Registry.texts = [(kind, text) for _, kind, text, _ in served()]
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Registry).serve_forever()
