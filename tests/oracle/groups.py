"""Prints every consumer group that is not the backbone's own, with its committed offsets, and the registry's subjects.

usage: groups.py BROKERS REGISTRY
"""

import json
import sys
import urllib.request

from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka.admin import AdminClient


def main(brokers, registry):
    admin = AdminClient({"bootstrap.servers": brokers})
    groups = sorted(group.group_id for group in admin.list_consumer_groups().result().valid)
    for group in groups:
        if "weir" in group:
            print(group)
            continue
        offsets = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result()
        print(group, sorted((one.topic, one.partition, one.offset) for one in offsets.topic_partitions))
    with urllib.request.urlopen(f"{registry}/subjects") as answer:
        print(sorted(json.load(answer)))


if __name__ == "__main__":
    main(*sys.argv[1:])
