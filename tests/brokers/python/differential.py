#!/usr/bin/env python3
"""Two brokers under the same calls: `differential.py BOOTSTRAP BOOTSTRAP2 PREFIX [--seed N] [--steps N]`.

Makes a random sequence of calls from a seed, sends each to both brokers, and compares what a client sees. At the end
confluent-kafka reads all that is there. Prints the first difference with the calls that led to it. The two may be the
same broker, which must not differ from itself.
"""

import argparse
import os
import random
import sys
import time

import confluent_session
from differential_side import Side
from scenarios import World

TOPICS, GROUPS = ["t0", "t1", "t2", "t3"], ["g0", "g1", "g2"]
IDEMPOTENT, TRANSACTIONAL = ["p0", "p1"], ["x0", "x1", "x2"]
MAX_TIMESTAMP = -3
READS = {"fetch", "list_offsets", "metadata", "describe_configs", "fetch_offsets", "fetch_offset", "describe_group",
         "list_groups", "describe_transaction", "describe_producers", "leader_epoch_end"}
CONFIGS = {"retention.ms": ["-1", "86400000", "3600000"], "max.message.bytes": ["2000", "1048588"],
           "message.timestamp.type": ["CreateTime", "LogAppendTime"], "segment.ms": ["3600000", "7200000"],
           "cleanup.policy": ["delete", "compact", "compact,delete"], "retention.bytes": ["-1", "100000000"],
           "min.compaction.lag.ms": ["0", "3600000"], "delete.retention.ms": ["86400000", "1000000"]}
WRONG = [("retention.ms", "soon"), ("no.such.config", "1"), ("cleanup.policy", "burn"), ("segment.ms", "0"),
         ("max.message.bytes", "-1"), ("message.timestamp.type", "Tomorrow")]


class Calls:
    """The random sequence: each call is a method of `Side` with its arguments."""

    def __init__(self, seed, begun):
        self.random, self.begun, self.at = random.Random(seed), begun, 0
        #: What is there, as far as the calls and their outcome tell.
        self.partitions, self.sequences, self.last = {}, {}, {}
        #: Producers that have an id; partitions and groups that their transactions have.
        self.ready, self.added, self.grouped = set(), set(), set()
        #: What is asked next, to see what the last call did.
        self.looks = []

    def topic(self):
        if self.partitions and self.random.random() < 0.93:
            return self.random.choice(sorted(self.partitions))
        return self.random.choice(TOPICS)

    def partition(self, topic):
        return self.random.randrange(self.partitions.get(topic, 1)) if self.random.random() < 0.95 else 7

    def records(self):
        made = []
        for _ in range(self.random.choice([1, 1, 2, 5])):
            self.at += 1
            # Mostly, but not always, later than the one before.
            at = self.begun + self.at * 10 - self.random.choice([0, 0, 0, 500])
            key = self.random.choice([None, b"k1", b"k2", b"k3"])
            value = None if self.random.random() < 0.05 else b"%d " % self.at + b"x" * self.random.choice([0, 10, 300, 3000])
            headers = [("h", b"%d" % self.at)] if self.random.random() < 0.3 else []
            made.append((at, key, value, headers))
        return made

    def next(self):
        """A call: the method's name and its arguments."""
        if self.looks:
            return self.looks.pop()
        if not self.partitions:
            return "create_topic", (self.random.choice(TOPICS), self.random.choice([1, 2, 3]), {}, False), {}
        choices = [(self.produce, 14), (self.idempotent, 10), (self.transactional, 22), (self.read, 14), (self.lists, 10),
                   (self.topics, 9), (self.configs, 8), (self.commits, 9), (self.members, 12), (self.deletes, 4),
                   (self.describes, 10)]
        made = self.random.choices([c for c, _ in choices], [w for _, w in choices])[0]()
        return made if made else self.next()

    def produce(self):
        topic = self.topic()
        return "produce", (topic, self.partition(topic), self.records(), self.random.choice(["none", "gzip"])), {}

    def idempotent(self):
        producer = self.random.choice(IDEMPOTENT)
        if producer not in self.ready or self.random.random() < 0.05:
            return "init_producer", (producer, False), {}
        topic = self.topic()
        place = producer, topic, self.partition(topic)
        if place in self.last and self.random.random() < 0.15:
            return self.last[place]
        sequence = self.sequences.get(place, 0)
        if self.random.random() < 0.1:
            sequence = max(0, sequence + self.random.choice([-1, 1, 5]))
        return "produce", (topic, place[2], self.records(), "none"), {"producer": producer, "sequence": sequence}

    def transactional(self):
        producer = self.random.choice(TRANSACTIONAL)
        if producer not in self.ready or self.random.random() < 0.06:
            return "init_producer", (producer, True), {"timeout_ms": 2_000_000_000 if self.random.random() < 0.1 else 600000}
        what = self.random.random()
        topic = self.topic()
        partition = self.partition(topic)
        if what < 0.25:
            return "add_partition", (producer, topic, partition), {}
        mine = [(t, p) for who, t, p in sorted(self.added) if who == producer]
        if what < 0.55 and mine:
            topic, partition = self.random.choice(mine)
            sequence = self.sequences.get((producer, topic, partition), 0)
            return "produce", (topic, partition, self.records(), "none"), {
                "producer": producer, "sequence": sequence, "transactional": True}
        if what < 0.72:
            group = self.random.choice(sorted(g for p, g in self.grouped if p == producer) or GROUPS)
            if (producer, group) not in self.grouped or self.random.random() < 0.1:
                return "add_offsets", (producer, group), {}
            return "txn_commit", (producer, group, topic, partition, self.random.randrange(50), "by tx"), {}
        if what < 0.74:
            return "end_transaction", (producer, True), {"epoch_off": self.random.choice([-1, 1])}
        return "end_transaction", (producer, self.random.random() < 0.6), {}

    def read(self):
        topic = self.topic()
        return "fetch", (topic, self.partition(topic), self.random.choice([0, 0, 1, 3, 8, 20, 1000, -1]),
                         self.random.choice([0, 1])), {}

    def lists(self):
        topic = self.topic()
        when = self.random.choice([-1, -1, -2, -3, self.begun + self.random.randrange(max(1, self.at)) * 10, 0])
        return "list_offsets", (topic, self.partition(topic), when, self.random.choice([0, 1])), {}

    def topics(self):
        what, topic = self.random.random(), self.random.choice(TOPICS)
        if what < 0.55 or not self.partitions:
            free = [t for t in TOPICS if t not in self.partitions]
            topic = self.random.choice(free) if free and self.random.random() < 0.9 else topic
            return "create_topic", (topic, self.random.choice([1, 2, 3, 0]), self.some_configs(), self.random.random() < 0.1), {}
        if what < 0.7:
            busy = {t for _, t, _ in self.added}
            return None if topic in busy else ("delete_topic", (topic,), {})
        if what < 0.9:
            return "create_partitions", (topic, self.random.choice([1, 2, 3, 4]), self.random.random() < 0.2), {}
        return "metadata", (topic,), {}

    def some_configs(self):
        chosen = {name: self.random.choice(CONFIGS[name]) for name in sorted(CONFIGS) if self.random.random() < 0.15}
        return {**chosen, **dict([self.random.choice(WRONG)])} if self.random.random() < 0.1 else chosen

    def configs(self):
        what, topic = self.random.random(), self.topic()
        if what < 0.4:
            return "describe_configs", (topic,), {}
        if what < 0.5:
            return "replace_configs", (topic, self.some_configs()), {}
        name = self.random.choice(sorted(CONFIGS))
        change = self.random.choice([(0, name, self.random.choice(CONFIGS[name])), (1, name, None),
                                     (2, "cleanup.policy", "compact"), (3, "cleanup.policy", "delete"), (2, name, "1"),
                                     (0, *self.random.choice(WRONG))])
        return "alter_configs", (topic, [change], self.random.random() < 0.15), {}

    def commits(self):
        group, topic, what = self.random.choice(GROUPS), self.topic(), self.random.random()
        partition = self.partition(topic)
        if what < 0.5:
            metadata = "x" * 5000 if self.random.random() < 0.05 else self.random.choice(["", "notes", "more notes", None])
            return "commit", (group, topic, partition, self.random.randrange(100), metadata, self.random.random() < 0.5), {
                "generation_off": self.random.choice([0, 0, 0, 1])}
        if what < 0.75:
            return "fetch_offsets", (group, False), {}
        return "fetch_offset", (group, topic, partition), {}

    def members(self):
        group, what = self.random.choice(GROUPS), self.random.random()
        off = {"generation_off": 1 if self.random.random() < 0.35 else 0}
        if what < 0.3:
            # A second member would wait for the first: whoever joins is the one that it was, or the group is empty.
            return "join", (group, self.random.choice(["range", "roundrobin"]), True), {}
        if what < 0.5:
            return "sync", (group, b"share %d" % self.at), off
        if what < 0.7:
            return "heartbeat", (group,), off
        if what < 0.85:
            return "describe_group", (group,), {}
        return "leave", (group,), {}

    def deletes(self):
        topic, group = self.topic(), self.random.choice(GROUPS)
        partition = self.partition(topic)
        return self.random.choice([
            ("delete_records", (topic, partition, self.random.choice([0, 1, 5, -1, 10000])), {}),
            ("delete_group", (group,), {}), ("delete_offset", (group, topic, partition), {})])

    def describes(self):
        topic, producer = self.topic(), self.random.choice(TRANSACTIONAL)
        return self.random.choice([
            ("list_groups", (), {}), ("describe_transaction", (producer,), {}),
            ("describe_producers", (topic, self.partition(topic)), {}),
            ("leader_epoch_end", (topic, self.partition(topic), 0), {})])

    def learn(self, call, seen):
        """Remembers what came of it, so that most calls make sense, and often looks at what it did."""
        name, args, more = call
        if name not in READS and self.random.random() < 0.4:
            self.looks = self.look(name, args)
        if name == "create_topic" and seen == (0, True):
            self.partitions[args[0]] = args[1]
        elif name == "create_partitions" and seen == (0, True):
            self.partitions[args[0]] = args[1]
        elif name == "delete_topic" and seen[0] == 0:
            del self.partitions[args[0]]
            for known in (self.sequences, self.last):
                for place in [p for p in known if p[1] == args[0]]:
                    del known[place]
        elif name == "init_producer" and seen[0] == 0:
            self.ready.add(args[0])
            self.forget(args[0])
            for place in [p for p in self.sequences if p[0] == args[0]]:
                del self.sequences[place]
                self.last.pop(place, None)
        elif name == "produce" and more and seen[0] == 0:
            place = more["producer"], args[0], args[1]
            if place not in self.last or self.last[place] != call:
                self.sequences[place] = more["sequence"] + len(args[2])
            self.last[place] = call
        elif name == "add_partition" and not seen:
            self.added.add(args)
        elif name == "add_offsets" and seen == 0:
            self.grouped.add(args)
        elif name == "end_transaction" and seen[0] == 0:
            self.forget(args[0])

    def look(self, name, args):
        """Reads that show what a call did."""
        if name in ("produce", "delete_records"):
            return [("list_offsets", (*args[:2], -1, isolation), {}) for isolation in (0, 1)]
        if name == "end_transaction":
            mine = [(t, p) for who, t, p in sorted(self.added) if who == args[0]][:2]
            return [("fetch", (*place, 0, 1), {}) for place in mine] + [
                ("fetch_offsets", (g, True), {}) for who, g in sorted(self.grouped) if who == args[0]]
        if name in ("commit", "txn_commit", "delete_offset"):
            group = args[0] if name != "txn_commit" else args[1]
            return [("fetch_offsets", (group, False), {})]
        if name in ("alter_configs", "replace_configs"):
            return [("describe_configs", args[:1], {})]
        return [("describe_group", args[:1], {})] if name in ("join", "leave", "sync") else []

    def audit(self):
        """Reads of all that is there."""
        calls = [("list_groups", (), {})]
        for topic, partitions in sorted(self.partitions.items()):
            calls.append(("describe_configs", (topic,), {}))
            for partition in range(partitions):
                calls += [("list_offsets", (topic, partition, when, isolation), {}) for when in (-1, -2, -3) for isolation in (0, 1)]
                calls += [("fetch", (topic, partition, 0, 1), {}), ("describe_producers", (topic, partition), {})]
        calls += [(name, args, {}) for group in GROUPS for name, args in (
            ("fetch_offsets", (group, False)), ("describe_group", (group,)))]
        return calls + [("describe_transaction", (producer,), {}) for producer in TRANSACTIONAL]

    def forget(self, producer):
        self.added = {one for one in self.added if one[0] != producer}
        self.grouped = {one for one in self.grouped if one[0] != producer}


def outcome(side, call):
    name, args, more = call
    return getattr(side, name)(*args, **more)


def compared(sides, call):
    """What both see. A read that differs is asked again for a while: some effects follow their answer."""
    end = time.monotonic() + (5 if call[0] in READS else 0)
    while True:
        seen = [outcome(side, call) for side in sides]
        if call[0] == "list_offsets" and call[1][2] == MAX_TIMESTAMP and below_start(sides[0], call, seen[0]):
            return [seen[0], seen[0]]
        if seen[0] == seen[1] or time.monotonic() > end:
            return seen
        time.sleep(0.1)


def below_start(side, call, seen):
    """After DeleteRecords, Apache Kafka still names a deleted record as the one with the greatest timestamp; a broker of
    ours does not."""
    topic, partition, *_ = call[1]
    return seen[1] >= 0 and seen[1] < side.list_offsets(topic, partition, -2, 0)[1]


def told(call):
    name, args, more = call
    words = [repr(a) for a in args] + [f"{k}={v!r}" for k, v in more.items()]
    return f"{name}({', '.join(words)})"


def all_read(side, topic, partitions):
    """What confluent-kafka reads, by isolation and partition."""
    world = World(side.bootstrap, side.prefix, "end")
    found = {}
    for committed in (True, False):
        for message in confluent_session.read(world, side.name(topic), partitions, committed):
            kind, at = message.timestamp()
            found.setdefault((committed, message.partition()), []).append(
                (message.offset(), message.key(), message.value(), kind, at if kind == 1 else None))
    return found


def differ(sides, history, call, seen):
    first, second = (repr(one)[:1500] for one in seen)
    print(f"FAILED differential: {first} on the first, {second} on the second, of {told(call)[:1000]}")
    print("the calls that led to it:")
    for number, one in enumerate(history):
        print(f"  {number:4} {told(one)[:300]}")
    return 1


def run(args):
    # Whole minutes: the same calls for the same seed, as far as clocks allow.
    begun = int(time.time()) // 60 * 60_000 - 60_000
    sides = [Side(args.bootstrap, f"{args.prefix}-a-"), Side(args.bootstrap2, f"{args.prefix}-b-")]
    calls, history = Calls(args.seed, begun), []
    for _ in range(args.steps):
        call = calls.next()
        seen = compared(sides, call)
        history.append(call)
        if args.verbose:
            print(f"{len(history):4} {told(call)[:160]} -> {repr(seen[0])[:160]}", file=sys.stderr)
        if seen[0] != seen[1]:
            return differ(sides, history, call, seen)
        calls.learn(call, seen[0])
    ends = [("end_transaction", (producer, True), {}) for producer in sorted(calls.ready & set(TRANSACTIONAL))]
    for call in calls.audit() + ends + calls.audit():
        seen = compared(sides, call)
        if seen[0] != seen[1]:
            return differ(sides, history, call, seen)
    for topic, partitions in sorted(calls.partitions.items()):
        seen = [all_read(side, topic, partitions) for side in sides]
        if seen[0] != seen[1]:
            return differ(sides, history, ("all_read", (topic, partitions), {}), seen)
    print(f"ok differential seed {args.seed}, {args.steps} steps")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bootstrap", help="host:port of the first broker")
    parser.add_argument("bootstrap2", help="host:port of the second, or of the first again")
    parser.add_argument("prefix", help="begins every topic, group and transactional id")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--verbose", action="store_true", help="print each call and what came of it")
    code = run(parser.parse_args())
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
