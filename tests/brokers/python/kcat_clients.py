#!/usr/bin/env python3
"""What kcat does with a broker: `kcat_clients.py BOOTSTRAP PREFIX`. Needs kcat on the path, and confluent-kafka to make
topics."""

import json
import subprocess
import time

from confluent_session import make_topic, send, transactional
from scenarios import expect, main, scenario, wait_for


def kcat(world, *args, given="", fails=False):
    """Runs kcat to its end; its output. It must end well, or badly when `fails`."""
    done = subprocess.run(["kcat", "-b", world.bootstrap, *args], input=given, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60)
    if (done.returncode != 0) != fails:
        raise AssertionError(f"kcat {' '.join(args)} ended with {done.returncode}: {done.stdout} {done.stderr}")
    return done.stderr if fails else done.stdout


def read(world, topic, *args):
    return kcat(world, "-q", "-C", "-t", topic, "-o", "beginning", "-e", *args)


@scenario
def metadata_is_listed(world):
    topic = make_topic(world, partitions=3)
    found = json.loads(kcat(world, "-L", "-J"))
    expect([b["name"] for b in found["brokers"]], [world.bootstrap], "brokers")
    (mine,) = [t for t in found["topics"] if t["topic"] == topic]
    leader = found["brokers"][0]["id"]
    expect([(p["partition"], p["leader"], p["replicas"], p["isrs"]) for p in mine["partitions"]],
           [(n, leader, [{"id": leader}], [{"id": leader}]) for n in range(3)], "partitions")
    only = json.loads(kcat(world, "-L", "-J", "-t", topic))
    expect([t["topic"] for t in only["topics"]], [topic], "the topic alone")
    expect("Unknown topic" in kcat(world, "-L", "-t", world.name("missing")), True, "a missing topic is unknown")


@scenario
def messages_with_keys_and_headers_come_back(world):
    topic = make_topic(world)
    kcat(world, "-P", "-t", topic, "-p", "0", "-K", ":", "-H", "h=1", "-H", "empty=", given="a:one\nb:two\nc:\n")
    kcat(world, "-P", "-t", topic, "-p", "0", "-K", ":", "-Z", given="d:\n")
    expect(read(world, topic, "-f", "%p %o %k %S %s %h\\n"),
           "0 0 a 3 one h=1,empty=\n0 1 b 3 two h=1,empty=\n0 2 c 0  h=1,empty=\n0 3 d -1  \n", "messages")


def _compressed(world, codec):
    topic = make_topic(world)
    lines = "".join(f"{codec} line {i}\n" for i in range(500))
    kcat(world, "-P", "-t", topic, "-p", "0", "-z", codec, given=lines)
    expect(read(world, topic), lines, "lines")


@scenario
def gzip_comes_back(world):
    _compressed(world, "gzip")


@scenario
def snappy_comes_back(world):
    _compressed(world, "snappy")


@scenario
def lz4_comes_back(world):
    _compressed(world, "lz4")


@scenario
def zstd_comes_back(world):
    _compressed(world, "zstd")


@scenario
def an_idempotent_producer_delivers(world):
    topic = make_topic(world, partitions=2)
    kcat(world, "-P", "-t", topic, "-X", "enable.idempotence=true", "-X", "acks=all", given="".join(
        f"{i}\n" for i in range(300)))
    expect(sorted(map(int, read(world, topic).split())), list(range(300)), "lines")


@scenario
def reading_starts_where_it_is_told(world):
    topic = make_topic(world)
    kcat(world, "-P", "-t", topic, "-p", "0", given="".join(f"{i}\n" for i in range(10)))
    for start, wanted in [("7", "7\n8\n9\n"), ("-2", "8\n9\n"), ("beginning", "".join(f"{i}\n" for i in range(10))), ("end", "")]:
        got = kcat(world, "-q", "-C", "-t", topic, "-p", "0", "-o", start, "-e")
        expect(got, wanted, f"from {start}")
    expect(kcat(world, "-q", "-C", "-t", topic, "-p", "0", "-o", "3", "-c", "2"), "3\n4\n", "two from 3")


@scenario
def offsets_are_queried_by_time(world):
    topic = make_topic(world)
    before = int(time.time() * 1000) - 1000
    kcat(world, "-P", "-t", topic, "-p", "0", given="a\nb\n")
    for when, wanted in [(before, 0), (-1, 2), (-2, 0), (before + 3_600_000, -1)]:
        got = kcat(world, "-Q", "-t", f"{topic}:0:{when}").split()
        expect(got[-1], str(wanted), f"offset for {when}")
    expect(kcat(world, "-q", "-C", "-t", topic, "-p", "0", "-o", f"s@{before}", "-e"), "a\nb\n", "since then")


@scenario
def a_group_reads_and_goes_on(world):
    first, second = make_topic(world, "one"), make_topic(world, "two", partitions=2)
    kcat(world, "-P", "-t", first, "-p", "0", given="a\nb\n")
    kcat(world, "-P", "-t", second, "-p", "1", given="c\n")
    group = ("-q", "-X", "auto.offset.reset=earliest", "-X", "session.timeout.ms=6000", "-e", "-G", world.name("g"))
    expect(sorted(kcat(world, *group, first, second).split()), ["a", "b", "c"], "the first time")
    kcat(world, "-P", "-t", first, "-p", "0", given="d\n")
    expect(kcat(world, *group, first, second).split(), ["d"], "the second time")


@scenario
def a_group_may_match_topics_and_stay_static(world):
    topic = make_topic(world, "match")
    kcat(world, "-P", "-t", topic, "-p", "0", given="a\n")
    out = kcat(world, "-q", "-X", "auto.offset.reset=earliest", "-X", "group.instance.id=one", "-X",
               "partition.assignment.strategy=cooperative-sticky", "-c", "1", "-G", world.name("g"),
               "^" + world.name("ma").replace(".", "\\.") + ".*")
    expect(out, "a\n", "lines")


@scenario
def read_committed_hides_what_is_aborted(world):
    topic = make_topic(world)
    maker = transactional(world)
    for end in (maker.commit_transaction, maker.abort_transaction):
        maker.begin_transaction()
        send(maker, topic, [b"committed" if end == maker.commit_transaction else b"aborted"])
        end()
    wait_for("what is committed", lambda: read(world, topic, "-X", "isolation.level=read_committed") == "committed\n")
    expect(read(world, topic, "-X", "isolation.level=read_uncommitted"), "committed\naborted\n", "read uncommitted")


@scenario
def a_missing_topic_is_an_error(world):
    said = kcat(world, "-C", "-t", world.name("missing"), "-e", fails=True)
    expect("Unknown topic" in said, True, f"said {said}")


if __name__ == "__main__":
    main(__doc__)
