"""Bytes that no parcel may have: each with a name, the rule that must say so, and words of its reason.

The parcels' contract is in tests/hostile. Values are built by hand where no encoder would write them.
"""

import datetime
import decimal
import io
import random
import struct

import fastavro

import topics

MALFORMED = {"malformed"}
P = "P-1"


def long(number):
    """A number as Avro writes it."""
    zigzag = (number << 1) ^ (number >> 63)
    zigzag &= (1 << 64) - 1
    out = bytearray()
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return long(len(value)) + value


def parcel(seq, **more):
    """A parcel that keeps the contract, with something in every field."""
    moment = datetime.datetime(2026, 3, 1, 12, 30, tzinfo=datetime.timezone.utc)
    return {
        "parcel_id": P,
        "seq": seq,
        "status": "SENT",
        "weight": decimal.Decimal("12.345"),
        "insured": decimal.Decimal("99.50"),
        "packed_at": moment,
        "send_on": datetime.date(2026, 3, 2),
        "cut_off": datetime.time(21, 0),
        "fragile": True,
        "ratio": 0.5,
        "distance": 1234.5,
        "zone": 7,
        "sender": {"name": "Ann", "street": "Weir Lane"},
        "receiver": {"name": "Bob", "street": None},
        "stops": [{"at": moment, "place": "Leith"}, {"at": moment, "place": None}],
        "labels": {"colour": "red", "größe": "XL"},
        "tags": ["a", "b", "c"],
        "photo": b"\x89PNG",
        "reference": 4711,
        "box": {"number": 1, "inside": {"number": 2, "inside": None}},
        **more,
    }


# Each field of the parcel above, encoded by hand in the schema's order.
FIELDS = {
    "parcel_id": text(P),
    "seq": long(9),
    "status": long(1),
    "weight": text((12345).to_bytes(2, "big")),
    "insured": (9950).to_bytes(8, "big"),
    "packed_at": long(1_772_368_200_000),
    "send_on": long(1) + long(20_514),
    "cut_off": long(21 * 3_600_000),
    "fragile": b"\x01",
    "ratio": struct.pack("<f", 0.5),
    "distance": struct.pack("<d", 1234.5),
    "zone": long(7),
    "sender": text("Ann") + long(1) + text("Weir Lane"),
    "receiver": long(0),
    "stops": long(0),
    "labels": long(0),
    "tags": long(0),
    "photo": long(0),
    "reference": long(0),
    "box": long(0),
}


def built(schema_id, tail=b"", **fields):
    """A parcel whose named fields are these bytes instead."""
    assert set(fields) <= set(FIELDS), fields
    return struct.pack(">bI", 0, schema_id) + b"".join({**FIELDS, **fields}.values()) + tail


def boxes(levels):
    return (long(1) + long(5)) * levels + long(0)


def framing(schema_id, whole):
    """What is not in the wire format; the words name the setting to change."""
    wire, body = {"wire"}, whole[5:]
    yield "empty value", b"", wire, "send a null value"
    yield "no value", None, {"tombstone"}, "set weir.deletes to tombstone"
    yield "JSON", b'{"parcel_id": "P-1"}', wire, "KafkaAvroSerializer"
    yield "JSON after a blank", b'\n [{"parcel_id": "P-1"}]', wire, "the value is JSON"
    yield "single object encoding", b"\xc3\x01" + bytes(8) + body, wire, "Confluent wire format"
    yield "a container file", b"Obj\x01" + bytes(40), wire, "one by one with an Avro serializer"
    yield "text", b"hello", wire, "use an Avro serializer with a schema registry"
    yield "a GUID in front (magic 1)", b"\x01" + bytes(16) + body, wire, "byte 0x01"
    yield "AWS Glue's framing", b"\x03\x00" + bytes(16) + body, wire, "AWS Glue"
    yield "an id of eight bytes", b"\x00" + struct.pack(">q", schema_id) + body, {"schema"}, "eight bytes"
    yield "an id that nobody registered", b"\x00\x7f\xff\xff\xfe" + body, {"schema"}, "point the serializer at"
    yield "a negative id", b"\x00\xff\xff\xff\xff" + body, {"schema"}, "does not know schema"
    for length in range(1, 5):
        yield f"cut to {length}", whole[:length], wire, "too few for a schema id"


def garbage(schema_id, whole):
    noise = random.Random(1).randbytes(1 << 20)
    frame = whole[:5]
    yield "1 MiB of garbage", b"\x01" + noise[1:], {"wire"}, "0x01"
    yield "1 MiB of garbage behind a frame", frame + noise[5:], MALFORMED, None
    yield "1 MiB of zeros behind a frame", frame + bytes((1 << 20) - 5), MALFORMED, None
    yield "1 MiB of 0xff behind a frame", frame + b"\xff" * ((1 << 20) - 5), MALFORMED, None
    for length in range(5, len(whole)):
        yield f"cut to {length}", whole[:length], MALFORMED, "at byte"
    yield "a byte too many", whole + b"\x00", MALFORMED, "bytes follow the end"
    yield "a record twice", whole + whole[5:], MALFORMED, "bytes follow the end"


def bombs(schema_id):
    def one(name, words, rules=MALFORMED, **fields):
        return name, built(schema_id, **fields), rules, words

    items, over = "more items than the record can hold", "more than 64 bits"
    yield one("nested 100 deep", "nested more than 64 deep", box=boxes(100))
    yield one("nested 100,000 deep", "nested more than 64 deep", box=boxes(100_000))
    yield one("nested without an end", "nested more than 64 deep", box=(long(1) + long(5)) * 400_000)
    for count in (522_000_000, 1 << 40, (1 << 63) - 1):
        yield one(f"{count} tags", items, tags=long(count))
        yield one(f"{count} labels", items, labels=long(count))
        yield one(f"{count} stops", items, stops=long(count))
        yield one(f"{count} tags, told in bytes", None, tags=long(-count) + long(10))
    yield one("the least number of tags", None, tags=long(-(1 << 63)) + long(10))
    yield one("a block of 2^62 bytes", "a block's items", tags=long(-1) + long(1 << 62) + text("a") + long(0))
    yield one("a block of -1 bytes", "a block's items", tags=long(-1) + long(-1) + text("a") + long(0))
    yield one("a block with a byte too many", "a block's items", tags=long(-1) + long(3) + text("a") + long(0))
    yield one("a block with a byte too few", "a block's items", tags=long(-2) + long(3) + text("a") * 2 + long(0))
    yield one("a text of 2^62 bytes", "reaches behind the end", parcel_id=long(1 << 62))
    yield one("a text of -1 bytes", "reaches behind the end", parcel_id=long(-1))
    yield one("bytes of 2^62 bytes", "reaches behind the end", photo=long(1) + long(1 << 62))
    yield one("a number of 11 bytes", over, seq=b"\x80" * 10 + b"\x00")
    yield one("a number of 66 bits", over, seq=b"\xff" * 9 + b"\x02")
    yield one("a number without an end", over, seq=b"\xff" * 500_000)
    yield one("an int of 33 bits", "does not fit in 32 bits", zone=long(1 << 32))
    yield one("a boolean of 2", "neither 0 nor 1", fragile=b"\x02")
    yield one("symbol 3 of 3", "no symbol of this index", status=long(3))
    yield one("symbol -1", "no symbol of this index", status=long(-1))
    yield one("symbol 2^40", None, status=long(1 << 40))
    yield one("branch 2 of 2", "no branch of this index", photo=long(2))
    yield one("branch -1", "no branch of this index", reference=long(-1))
    yield one("not UTF-8", "not UTF-8", parcel_id=text(b"P-\xff"))
    yield one("a surrogate", "not UTF-8", sender=text(b"\xed\xa0\x80") + long(0))
    yield one("an overlong slash", "not UTF-8", sender=text(b"\xc0\xaf") + long(0))
    yield one("a key of a map that is not UTF-8", "not UTF-8", labels=long(1) + text(b"\xff") + text("x") + long(0))


def values(schema_id):
    """Well formed, and hostile in what it says."""

    def one(name, rule, words=None, **fields):
        return name, built(schema_id, **fields), {rule}, words

    decimals = "must be a decimal of 1 to 38 digits"
    yield one("a decimal of 10,000 bytes", "type", decimals, weight=text(b"\x7f" * 10_000))
    yield one("a decimal of no bytes", "type", decimals, weight=text(b""))
    yield one("a negative weight", "weight:minimum", "at least 0", weight=text(b"\xff"))
    yield one("the most negative insurance", "insured:minimum", "at least 0", insured=b"\x80" + bytes(7))
    nan = {"distance:minimum", "distance:maximum"}
    yield "not a number", built(schema_id, distance=struct.pack("<d", float("nan"))), nan, "at least 0"
    yield one("infinity", "distance:maximum", None, distance=struct.pack("<d", float("inf")))
    nan = {"ratio:minimum", "ratio:maximum"}
    yield "a ratio that is not a number", built(schema_id, ratio=struct.pack("<f", float("nan"))), nan, "at least 0"
    yield one("the last moment of all", "packed_at:maximum", None, packed_at=long((1 << 63) - 1))
    yield one("the first moment of all", "packed_at:minimum", None, packed_at=long(-(1 << 63)))
    yield one("the first day of all", "send_on:minimum", None, send_on=long(1) + long(-(1 << 31)))
    yield one("a time after midnight", "cut_off:maximum", None, cut_off=long((1 << 31) - 1))
    yield one("a condition", "lost-has-receiver", "Somebody must be told", status=long(2))
    tags = b"".join(text("same") for _ in range(100_000))
    yield one("100,000 equal tags", "tags:uniqueItems", None, tags=long(100_000) + tags + long(0))
    stops = (long(0) + long(0)) * 200_000
    yield one("200,000 stops", "stops:maxItems", None, stops=long(200_000) + stops + long(0))


def wider(schema):
    """The parcels' schema with two fields that their contract does not declare and allows: nulls without a byte, and
    records within records, each of which holds the one within twice: 2^36 of them without a byte."""
    hollow = {"type": "record", "name": "L0", "fields": [{"name": "a", "type": "null"}]}
    for level in range(1, 36):
        fields = [{"name": "a", "type": hollow}, {"name": "b", "type": f"L{level - 1}"}]
        hollow = {"type": "record", "name": f"L{level}", "fields": fields}
    more = [
        {"name": "nothing", "type": {"type": "array", "items": "null"}, "default": []},
        {"name": "hollow", "type": ["null", hollow], "default": None},
    ]
    return {**schema, "fields": [*schema["fields"], *more]}


def hollow(schema_id):
    """Written with the schema above."""
    few, none = "more items than the record can hold", long(0) + long(0)
    assert len(long(522_000_000)) == 5
    yield "522,000,000 nulls in five bytes", built(schema_id, long(522_000_000) + none), MALFORMED, few
    yield "65,537 nulls", built(schema_id, long(65_537) + none), MALFORMED, few
    yield "many blocks of nulls", built(schema_id, long(60_000) * 9 + none), MALFORMED, few
    yield "2^36 records in no byte", built(schema_id, long(0) + long(1)), MALFORMED, "records within records"


def all_of(schema_id, schema):
    whole = topics.encode(schema_id, schema, parcel(9))
    assert fastavro.schemaless_reader(io.BytesIO(built(schema_id)[5:]), schema)["seq"] == 9, "the bytes by hand"
    yield from framing(schema_id, whole)
    yield from garbage(schema_id, whole)
    yield from bombs(schema_id)
    yield from values(schema_id)
