"""What a reading is, and what its contract says, a second time: written from the contract's text
(tests/products/meter/readings) and from nothing in Weir.

`reading(number)` makes the records that tests send; `judge(schema_of, key, value)` says of any record which
rules it breaks, without knowing how it was made.
"""

import collections
import io
import json
import re
import struct

import fastavro

SENSORS = 96
WARNINGS = {"quiet"}
# How the tests write a reading, whatever its schema id says.
FIELDS = [("sensor", "string"), ("seq", "long"), ("value", "double"), ("note", ["null", "string"])]
UNKNOWN = fastavro.parse_schema(
    {"type": "record", "name": "Reading", "fields": [{"name": name, "type": kind} for name, kind in FIELDS]}
)

# identity: (sensor, seq), the same for no two inputs. rules: id -> how often broken. fields: path -> the number
# that statistics are kept of, None for null; of violating records there are none. distinct: path -> value.
Judged = collections.namedtuple("Judged", "identity rules fields distinct")


def reading(number):
    """The key, and the record or the bytes that stand in its place."""
    sensor, seq = f"s{number % SENSORS}", number // SENSORS
    if number % 101 == 100:
        return sensor, json.dumps({"sensor": sensor, "seq": seq}).encode()
    value = -1.0 if number % 10 == 7 else float(number % 100) + (number % 8) / 8
    note = None if number % 3 == 0 else f"note {number % 50}"
    if number % 13 == 5:
        note = "x" * 41
    return sensor, {"sensor": sensor, "seq": seq, "value": value, "note": note}


def rules_broken(key, record):
    broken = collections.Counter()
    if not re.search("^s[0-9]+$", record["sensor"]):
        broken["sensor:pattern"] += 1
    if record["seq"] < 0:
        broken["seq:minimum"] += 1
    if record["value"] < 0:
        broken["value:minimum"] += 1
    if record["value"] > 100:
        broken["value:maximum"] += 1
    if record["note"] is not None and len(record["note"]) > 40:
        broken["note:maxLength"] += 1
    if not record["value"] < 90.0:
        broken["quiet"] += 1
    if key != record["sensor"].encode():
        broken["key"] += 1
    return broken


def judge(schema_of, key, value):
    """`schema_of` gives the parsed writer schema of an id; `None` where the registry does not know it."""
    if value[:1] != b"\0":
        record = json.loads(value)
        return Judged((record["sensor"], record["seq"]), {"wire": 1}, {}, {})
    (schema_id,) = struct.unpack(">I", value[1:5])
    body = io.BytesIO(value[5:])
    schema = schema_of(schema_id)
    record = fastavro.schemaless_reader(body, schema or UNKNOWN)
    assert not body.read(1), "the tests send no record with bytes behind it"
    identity = (record["sensor"], record["seq"])
    if schema is None:
        return Judged(identity, {"schema": 1}, {}, {})
    rules = rules_broken(key, record)
    if set(rules) - WARNINGS:
        return Judged(identity, rules, {}, {})
    fields = {
        "sensor": float(len(record["sensor"])),
        "seq": float(record["seq"]),
        "value": record["value"],
        "note": None if record["note"] is None else float(len(record["note"])),
    }
    return Judged(identity, rules, fields, {name: record[name] for name in ("sensor", "seq", "value")})
