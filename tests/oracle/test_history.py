"""Tests the checker: histories with one planted anomaly of each kind are all caught, clean ones give no alarm.

usage: test_history.py COUNT    that many histories of each kind
"""

import copy
import hashlib
import io
import json
import random
import struct
import sys

import fastavro

import history
import readings
import sketches

SCHEMA = readings.UNKNOWN
MEASURED = history.Measured({"value"}, readings.WARNINGS)
INBOX, PARTITION = "inbox.meter.readings.v1", 2


def judge(key, value):
    return readings.judge(lambda _schema_id: SCHEMA, key, value)


def encoded(record):
    if isinstance(record, bytes):
        return record
    out = io.BytesIO()
    out.write(struct.pack(">bI", 0, 1))
    fastavro.schemaless_writer(out, SCHEMA, record)
    return out.getvalue()


def sketch(values):
    """A sketch with another hash than Weir's: what is checked does not hang on it."""
    found = {}
    for value in values:
        number = int.from_bytes(hashlib.blake2b(repr(value).encode(), digest_size=8).digest(), "big")
        index, rest = number >> 53, number & (1 << 53) - 1
        found[index] = max(found.get(index, 0), 54 - rest.bit_length())
    return b"\1" + b"".join(struct.pack("<HB", index, rank) for index, rank in sorted(found.items()))


class History:
    """A partition's five topics, as a right enforcer leaves them."""

    def __init__(self, rng):
        self.rng = rng
        self.inbox, self.lineage, self.quality = [], [], []
        self.outputs = {"forwarded": [], "quarantined": []}
        self.ends = {"forwarded": rng.randrange(5), "quarantined": rng.randrange(5)}
        self.batches = []
        self.has_swapped = False
        offset = 0
        sensors = rng.sample(range(readings.SENSORS), 3)
        for number in range(rng.randrange(30, 90)):
            key, record = readings.reading(number // 3 * readings.SENSORS + sensors[number % 3])
            offset += 1 if rng.random() < 0.05 else 0
            self.inbox.append(history.Record(offset, key.encode(), encoded(record), 1_000 + number, []))
            offset += 1

    def run(self, fates=None, swapped=None):
        """Enforces everything; `fates` overrides some, `swapped` puts two outputs in each other's place."""
        at, reached = 0, 0
        while at < len(self.inbox):
            batch = self.inbox[at : at + self.rng.randrange(1, 12)]
            at += len(batch)
            self.batches.append(batch)
            self.commit(batch, reached, fates or {}, swapped)
            reached = batch[-1].offset + 1
            if self.rng.random() < 0.1:
                self.lineage.append({"kind": "activated", "from": reached, "to": reached})
        return self

    def commit(self, batch, reached, fates, swapped):
        runs = {"forwarded": [], "quarantined": []}
        recount = history.Recount(MEASURED)
        order = list(batch)
        if swapped and swapped[0] in order and swapped[1] in order:
            first, second = (order.index(record) for record in swapped)
            order[first], order[second] = order[second], order[first]
            self.has_swapped = True
        for record in order:
            judged = judge(record.key, record.value)
            enforced = sorted(set(judged.rules) - readings.WARNINGS)
            fate = fates.get(record.offset, "quarantined" if enforced else "forwarded")
            recount.add(record, judged)
            headers = reasons(record, enforced) if fate == "quarantined" else []
            self.outputs[fate].append(record._replace(offset=self.ends[fate], headers=headers))
            last = runs[fate][-1] if runs[fate] else None
            if last and last["first"] + last["count"] == record.offset:
                last["count"] += 1
            else:
                runs[fate].append({"first": record.offset, "count": 1, "output_first": self.ends[fate]})
            self.ends[fate] += 1
        # A marker in each topic that was written to, and now and then what aborted transactions left.
        for fate in self.ends:
            self.ends[fate] += 1 + (self.rng.randrange(4) if self.rng.random() < 0.2 else 0)
        event = {"kind": "enforced", "from": reached, "to": batch[-1].offset + 1, "withheld": [], **runs}
        self.lineage.append(event)
        self.quality.append(quality(event, recount))

    def check(self):
        streams = (self.inbox, *self.outputs.values(), self.lineage, self.quality)
        return history.Partition(PARTITION, streams, judge, MEASURED, INBOX).check()


def reasons(record, rules):
    source = (INBOX, str(PARTITION), str(record.offset), str(record.timestamp))
    names = ("weir.source.topic", "weir.source.partition", "weir.source.offset", "weir.source.timestamp")
    headers = [(name, value.encode()) for name, value in zip(names, source)]
    return [*headers, ("weir.violations", json.dumps([{"rule": rule} for rule in rules]).encode())]


def quality(event, recount):
    fields = []
    for path, (count, nulls, least, most) in recount.fields.items():
        bounds = {"min": least, "max": most} if count else {"min": None, "max": None}
        histogram = [{"index": index, "count": n} for index, n in recount.buckets[path].items()]
        distinct = sketch(recount.distinct[path]) if path in recount.distinct else None
        entry = {"path": path, "count": count, "nulls": nulls, "distinct": distinct, "histogram": histogram}
        fields.append(entry | bounds)
    violations = [
        {"rule": rule, "enforced": rule not in readings.WARNINGS, "count": count, "records": count}
        for rule, count in recount.rules.items()
    ]
    sums = {fate: sum(run["count"] for run in event[fate]) for fate in ("forwarded", "quarantined")}
    base = {"from": event["from"], "to": event["to"], "consumed": recount.records, "bytes": recount.bytes}
    return base | sums | {"replaced": 0, "withheld": 0, "violations": violations, "fields": fields}


# Each plants one anomaly: from a random source, a history and the kinds of which one must be found.


def enforced(made):
    return [event for event in made.lineage if event["kind"] == "enforced"]


def duplicate(rng):
    made = History(rng).run()
    records = made.outputs[rng.choice(["forwarded", "quarantined"])]
    if rng.random() < 0.5 and records:
        records.append(rng.choice(records)._replace(offset=records[-1].offset + 5))
    else:
        # A batch committed twice, with everything that belongs to it.
        batch = rng.choice(made.batches)
        made.commit(batch, batch[0].offset, {}, None)
    return made, {"duplicate"}


def lost(rng):
    made = History(rng).run()
    if rng.random() < 0.5:
        records = made.outputs["forwarded"]
        records.pop(rng.randrange(len(records)))
    else:
        # A batch that was skipped, lineage and statistics included.
        event = rng.choice(enforced(made))
        for fate, records in made.outputs.items():
            gone = {out for _, of, out in history.claims(event) if of == fate}
            made.outputs[fate] = [record for record in records if record.offset not in gone]
        made.lineage.remove(event)
        made.quality = [kept for kept in made.quality if kept["from"] != event["from"]]
    return made, {"lost"}


def torn(rng):
    made = History(rng).run()
    events = [event for event in enforced(made) if event["forwarded"] and event["quarantined"]]
    event, fate = rng.choice(events), rng.choice(["forwarded", "quarantined"])
    gone = {out for _, of, out in history.claims(event) if of == fate}
    made.outputs[fate] = [record for record in made.outputs[fate] if record.offset not in gone]
    return made, {"lost"}


def misrouted(rng):
    made = History(rng)
    record = rng.choice(made.inbox)
    right = "quarantined" if set(judge(record.key, record.value).rules) - readings.WARNINGS else "forwarded"
    wrong = "forwarded" if right == "quarantined" else "quarantined"
    return made.run(fates={record.offset: wrong}), {"misrouted"}


def reasons_of_another(rng):
    made = History(rng).run()
    records = made.outputs["quarantined"]
    at = rng.randrange(len(records))
    headers = records[at].headers[:-1] + [("weir.violations", b'[{"rule": "seq:minimum"}]')]
    records[at] = records[at]._replace(headers=headers)
    return made, {"misrouted"}


def out_of_order(rng):
    made = History(rng)
    conforms = [record for record in made.inbox if not judge(record.key, record.value).rules]
    pairs = [pair for pair in zip(made.inbox, made.inbox[3:]) if pair[0] in conforms and pair[1] in conforms]
    assert all(first.key == second.key for first, second in pairs)
    made.run(swapped=rng.choice(pairs))
    # Both must have been in one batch.
    return (made, {"out of order"}) if made.has_swapped else None


def altered(rng):
    made = History(rng).run()
    records = made.outputs["forwarded"]
    at = rng.randrange(len(records))
    change = rng.choice([{"timestamp": 1}, {"headers": [("name", b"value")]}])
    records[at] = records[at]._replace(**change)
    return made, {"altered"}


def lineage_gap(rng):
    made = History(rng).run()
    events = enforced(made)
    if rng.random() < 0.5:
        event = rng.choice(events)
        made.lineage.remove(event)
    else:
        event = rng.choice(events[1:])
        event["from"] += 1
    return made, {"lineage gap"}


def lineage_overlap(rng):
    made = History(rng).run()
    event = rng.choice(enforced(made)[1:])
    if rng.random() < 0.5:
        event["from"] -= 1
    else:
        made.lineage.insert(made.lineage.index(event), copy.deepcopy(event))
    return made, {"lineage overlap"}


def wrong_lineage(rng):
    made = History(rng).run()
    runs = [run for event in enforced(made) for run in event["forwarded"]]
    run = rng.choice(runs)
    if rng.random() < 0.5:
        run["output_first"] += rng.choice([-1, 1])
    else:
        other = rng.choice(runs)
        if other is run:
            return None
        run["output_first"], other["output_first"] = other["output_first"], run["output_first"]
    return made, {"wrong lineage"}


def aborted_read(rng):
    made = History(rng).run()
    records = made.outputs["forwarded"]
    gaps = [at for at in range(1, len(records)) if records[at].offset > records[at - 1].offset + 1]
    at = rng.choice(gaps)
    # An attempt at this record that was aborted, visible all the same.
    records.insert(at, records[at]._replace(offset=records[at].offset - 1))
    return made, {"unclaimed output"}


def wrong_statistics(rng):
    made = History(rng).run()
    event = rng.choice(made.quality)
    field = rng.choice(event["fields"]) if event["fields"] else None
    violation = rng.choice(event["violations"]) if event["violations"] else None
    change = rng.choice("count nulls min max histogram distinct rule rules bytes sum gone".split())
    if change in ("count", "nulls") and field:
        field[change] += 1
    elif change in ("min", "max") and field and field[change] is not None:
        field[change] += 0.5
    elif change == "histogram" and field and field["histogram"]:
        rng.choice(field["histogram"])["index"] += 1
    elif change == "distinct" and field and len(field["distinct"] or b"") > 5 * 3:
        field["distinct"] = b"\1"
    elif change == "rule" and violation:
        violation[rng.choice(["count", "records"])] += 1
    elif change == "rules" and violation:
        event["violations"].remove(violation)
    elif change == "bytes":
        event["bytes"] -= 1
    elif change == "sum":
        event["forwarded"] += 1
    elif change == "gone":
        made.quality.remove(event)
    else:
        return None
    return made, {"wrong statistics"}


PLANTS = (
    duplicate,
    lost,
    torn,
    misrouted,
    reasons_of_another,
    out_of_order,
    altered,
    lineage_gap,
    lineage_overlap,
    wrong_lineage,
    aborted_read,
    wrong_statistics,
)


def main(count):
    for seed in range(int(count)):
        clean = History(random.Random(seed)).run().check()
        assert not clean.anomalies, f"a false alarm, seed {seed}: {clean.anomalies[:3]}"
    print(f"{count} clean histories: no alarm")
    for plant in PLANTS:
        caught, seed = 0, 0
        while caught < int(count):
            planted = plant(random.Random(f"{plant.__name__} {seed}"))
            seed += 1
            assert seed < 20 * (int(count) + 10), f"{plant.__name__} can hardly ever be planted"
            if planted is None:
                continue
            made, kinds = planted
            found = made.check().kinds
            assert kinds & set(found), f"{plant.__name__}, seed {seed - 1}: {dict(found)} instead of {kinds}"
            caught += 1
        print(f"{plant.__name__}: {caught} of {caught} caught")


if __name__ == "__main__":
    main(*sys.argv[1:])
