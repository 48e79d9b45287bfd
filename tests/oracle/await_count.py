"""Waits until a topic holds so many committed records.

usage: await_count.py BROKERS TOPIC COUNT
"""

import sys

import topics

if __name__ == "__main__":
    brokers, topic, count = sys.argv[1:]
    [found] = topics.read_until(brokers, [topic], int(count), 60)
    assert topics.count(found) == int(count), topics.count(found)
