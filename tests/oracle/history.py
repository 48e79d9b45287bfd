"""What became of one inbox partition's records, held against what may have become of them.

`check` reads five streams side by side, each in the order of its log: inbox, product and quarantine records,
lineage and quality events. It keeps one bit per record and what one event speaks of, so a history may be as
long as it likes. It knows nothing of Kafka and nothing of contracts: `judge` says what a record is.

What it finds is of one of the kinds below; `test_history.py` plants each of them.
"""

import collections
import json
import math

import sketches

Record = collections.namedtuple("Record", "offset key value timestamp headers")
Found = collections.namedtuple("Found", "kind partition what")

KINDS = (
    "duplicate",  # an input is in the outputs twice
    "lost",  # or not at all
    "misrouted",  # product and quarantine are mixed up, or the reasons are wrong
    "out of order",  # an output came before an earlier one of its key
    "altered",  # bytes, headers or timestamp are not the input's
    "lineage gap",  # an offset that no event covers
    "lineage overlap",  # an offset that two events cover
    "wrong lineage",  # a run names what is not there
    "unclaimed output",  # visible though no event speaks of it: an aborted read, or a torn transaction
    "wrong statistics",  # a quality event that is not the truth about its records
)
# More are counted only.
TOLD = 20


class Stream:
    """A stream of records with a look at the next one."""

    def __init__(self, records):
        self.records = iter(records)
        self.head = next(self.records, None)

    def take(self):
        taken, self.head = self.head, next(self.records, None)
        return taken


class Once:
    """Every input once, and per key in order: by identity alone, whatever lineage says."""

    def __init__(self, found):
        self.found = found
        self.inputs = collections.Counter()
        self.seen = collections.defaultdict(bytearray)
        self.last = {}

    def input(self, identity):
        key, seq = identity
        assert seq == self.inputs[key], f"the test's own records must count up: {identity} at {self.inputs[key]}"
        self.inputs[key] += 1

    def output(self, topic, identity):
        key, seq = identity
        bits = self.seen[key]
        if len(bits) <= seq // 8:
            bits.extend(bytes(seq // 8 + 1 - len(bits)))
        if bits[seq // 8] & 1 << seq % 8:
            self.found("duplicate", f"{topic} has {identity} again")
        elif seq < self.last.get((topic, key), -1):
            self.found("out of order", f"{topic} has {identity} after {self.last[topic, key]}")
        bits[seq // 8] |= 1 << seq % 8
        self.last[topic, key] = max(seq, self.last.get((topic, key), -1))

    def end(self):
        for key, count in self.inputs.items():
            bits = self.seen[key]
            for seq in range(count):
                if seq // 8 >= len(bits) or not bits[seq // 8] & 1 << seq % 8:
                    self.found("lost", f"{(key, seq)} is in no output")


class Recount:
    """Statistics of some records, counted the slow and obvious way."""

    def __init__(self, measured):
        self.measured = measured
        self.rules, self.fields = collections.Counter(), {}
        self.distinct = collections.defaultdict(set)
        self.buckets = collections.defaultdict(collections.Counter)
        self.bytes = self.records = 0

    def add(self, record, judged):
        self.records += 1
        self.bytes += len(record.key or b"") + len(record.value or b"")
        self.rules.update(judged.rules)
        for path, number in judged.fields.items():
            count, nulls, least, most = self.fields.get(path, (0, 0, math.inf, -math.inf))
            if number is None:
                self.fields[path] = (count, nulls + 1, least, most)
            else:
                self.fields[path] = (count + 1, nulls, min(least, number), max(most, number))
                if path in self.measured.quantiles:
                    self.buckets[path][sketches.bucket(number)] += 1
        for path, value in judged.distinct.items():
            self.distinct[path].add(value)

    def differences(self, event):
        """What an event says that is not so."""
        said = {entry["rule"]: (entry["count"], entry["records"], entry["enforced"]) for entry in event["violations"]}
        truth = {rule: (count, count, rule not in self.measured.warnings) for rule, count in self.rules.items()}
        if said != truth:
            yield f"violations are {truth}, not {said}"
        if (event["consumed"], event["bytes"]) != (self.records, self.bytes):
            yield f"{self.records} records of {self.bytes} bytes, not {event['consumed']} of {event['bytes']}"
        entries = {entry["path"]: entry for entry in event["fields"]}
        if set(entries) != set(self.fields):
            yield f"fields are {sorted(self.fields)}, not {sorted(entries)}"
        for path, (count, nulls, least, most) in self.fields.items():
            entry = entries.get(path)
            if entry is None:
                continue
            bounds = (least, most) if count else (None, None)
            said = (entry["count"], entry["nulls"], entry["min"], entry["max"])
            if said != (count, nulls, *bounds):
                yield f"{path}: count, nulls, least, greatest are {(count, nulls, *bounds)}, not {said}"
            buckets = {entry["index"]: entry["count"] for entry in entry["histogram"]}
            if buckets != dict(self.buckets[path]):
                yield f"{path}: the histogram is {dict(self.buckets[path])}, not {buckets}"

    def sketch_differences(self, merged, tolerance):
        for path, values in self.distinct.items():
            about = sketches.estimate(merged.get(path, {}))
            if abs(about - len(values)) > max(3, tolerance * len(values)):
                yield f"{path}: {len(values)} distinct values, not about {about:.0f}"


Measured = collections.namedtuple("Measured", "quantiles warnings")


class Partition:
    """See the module. `streams`: inbox, product, quarantine, lineage, quality."""

    def __init__(self, partition, streams, judge, measured, source):
        inbox, product, quarantine, self.lineage, quality = streams
        self.partition, self.judge, self.measured, self.source = partition, judge, measured, source
        self.inbox, self.quality = Stream(inbox), Stream(quality)
        self.outputs = {"forwarded": Stream(product), "quarantined": Stream(quarantine)}
        self.anomalies, self.kinds = [], collections.Counter()
        self.once = Once(self.found)
        self.reached = 0
        self.total, self.sketches = Recount(measured), {}
        self.counts = collections.Counter()

    def found(self, kind, what):
        assert kind in KINDS, kind
        self.kinds[kind] += 1
        if self.kinds[kind] <= TOLD:
            self.anomalies.append(Found(kind, self.partition, what))

    def check(self):
        for event in self.lineage:
            if event["kind"] == "enforced":
                self.enforced(event)
            else:
                self.covers(event)
        while self.inbox.head:
            self.uncovered()
        for fate in self.outputs:
            self.skip_outputs(fate, math.inf)
        while self.quality.head:
            self.found("wrong statistics", f"of {span(self.quality.take())}, which no lineage event covers")
        for what in self.total.sketch_differences(self.sketches, 0.1):
            self.found("wrong statistics", f"in total {what}")
        self.once.end()
        return self

    def covers(self, event):
        if event["from"] > self.reached:
            self.found("lineage gap", f"{self.reached} was reached, then {span(event)} came")
        if event["from"] < self.reached:
            self.found("lineage overlap", f"{self.reached} was reached, then {span(event)} came")

    def enforced(self, event):
        self.covers(event)
        if event["withheld"]:
            self.found("wrong lineage", f"{span(event)} withholds {event['withheld']}")
        recount = Recount(self.measured)
        told = -1
        for at, fate, out in claims(event):
            if at <= told:
                self.found("lineage overlap", f"{at} is told of twice in {span(event)}")
            elif not event["from"] <= at < event["to"]:
                self.found("wrong lineage", f"{at} lies outside of {span(event)}")
            else:
                self.claimed(event, at, fate, out, recount)
            told = max(told, at)
        while self.inbox.head and self.inbox.head.offset < event["to"]:
            self.uncovered()
        self.reached = max(self.reached, event["to"])
        self.statistics(event, recount)

    def claimed(self, event, at, fate, out, recount):
        while self.inbox.head and self.inbox.head.offset < at:
            self.uncovered()
        if not self.inbox.head or self.inbox.head.offset != at:
            # Passed already, which was said, or never there.
            self.found("wrong lineage", f"{span(event)} names {at}, where no input is")
            return
        record = self.inbox.take()
        judged = self.judge(record.key, record.value)
        self.once.input(judged.identity)
        recount.add(record, judged)
        self.total.add(record, judged)
        enforced = sorted(set(judged.rules) - self.measured.warnings)
        if bool(enforced) != (fate == "quarantined"):
            self.found("misrouted", f"{at} is {fate} and breaks {enforced}")
        self.skip_outputs(fate, out)
        stream = self.outputs[fate]
        if not stream.head or stream.head.offset != out:
            self.found("wrong lineage", f"{at} is said to be {fate} at {out}, where nothing is")
            return
        output = self.output(fate)
        self.counts[fate] += 1
        if (output.key, output.value) != (record.key, record.value):
            self.found("wrong lineage", f"{at} is not what is {fate} at {out}")
        elif fate == "forwarded":
            if (output.timestamp, output.headers) != (record.timestamp, record.headers):
                self.found("altered", f"{at} has other headers or another time at {out}")
        else:
            self.reasons(record, output, enforced)

    def reasons(self, record, output, enforced):
        own, added = output.headers[: len(record.headers)], dict(output.headers[len(record.headers) :])
        source = (self.source, str(self.partition), str(record.offset), str(record.timestamp))
        said = tuple(
            (added.get(f"weir.source.{name}") or b"").decode() for name in ("topic", "partition", "offset", "timestamp")
        )
        if own != record.headers or said != source:
            self.found("altered", f"{record.offset} is quarantined with {output.headers}")
        rules = sorted({found["rule"] for found in json.loads(added.get("weir.violations", b"[]"))})
        if rules != enforced:
            self.found("misrouted", f"{record.offset} breaks {enforced} and is quarantined for {rules}")

    def uncovered(self):
        record = self.inbox.take()
        self.once.input(self.judge(record.key, record.value).identity)
        self.found("lineage gap", f"no event covers the input at {record.offset}")

    def output(self, fate):
        output = self.outputs[fate].take()
        self.once.output(fate, self.judge(output.key, output.value).identity)
        return output

    def skip_outputs(self, fate, until):
        while self.outputs[fate].head and self.outputs[fate].head.offset < until:
            at = self.output(fate).offset
            self.found("unclaimed output", f"no event speaks of what is {fate} at {at}")

    def statistics(self, event, recount):
        wanted = (event["from"], event["to"])
        while self.quality.head and (self.quality.head["from"], self.quality.head["to"]) < wanted:
            self.found("wrong statistics", f"of {span(self.quality.take())}, which no lineage event covers")
        head = self.quality.head
        if not head or (head["from"], head["to"]) != wanted:
            self.found("wrong statistics", f"there are none of {span(event)}")
            return
        quality = self.quality.take()
        counts = {fate: sum(run["count"] for run in event[fate]) for fate in self.outputs}
        counts |= {"replaced": 0, "withheld": 0}
        if {fate: quality[fate] for fate in counts} != counts:
            self.found("wrong statistics", f"of {span(event)}: {counts} in lineage, other numbers in quality")
        for what in recount.differences(quality):
            self.found("wrong statistics", f"of {span(event)}: {what}")
        measured = [entry for entry in quality["fields"] if entry["distinct"]]
        single = {entry["path"]: sketches.registers(entry["distinct"]) for entry in measured}
        for what in recount.sketch_differences(single, 0.15):
            self.found("wrong statistics", f"of {span(event)}: {what}")
        for path, found in single.items():
            sketches.merge(self.sketches.setdefault(path, {}), found)


def claims(event):
    """(input offset, fate, output offset) in the order of inputs."""
    runs = [(run["first"], run, fate) for fate in ("forwarded", "quarantined") for run in event[fate]]
    for first, run, fate in sorted(runs, key=lambda entry: entry[0]):
        count, output_first = run["count"], run["output_first"]
        for step in range(count):
            yield first + step, fate, output_first + step


def span(event):
    return f"[{event['from']}, {event['to']})"
