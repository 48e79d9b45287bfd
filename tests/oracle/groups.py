"""Prints every consumer group that is named after a backbone or has offsets of its topics, and the registry's subjects.
What others do on the same cluster does not show.

usage: groups.py BROKERS REGISTRY PREFIX
"""

import json
import sys
import urllib.request

from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka.admin import AdminClient


def main(brokers, registry, prefix):
    admin = AdminClient({"bootstrap.servers": brokers})
    own = f"{prefix}."
    for group in sorted(group.group_id for group in admin.list_consumer_groups().result().valid):
        if group.startswith(own):
            # The enforcer's own offsets move on.
            print(group)
            continue
        offsets = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result()
        ours = [(one.topic, one.partition, one.offset) for one in offsets.topic_partitions if one.topic.startswith(own)]
        if ours:
            print(group, sorted(ours))
    with urllib.request.urlopen(f"{registry}/subjects") as answer:
        print(sorted(json.load(answer)))


if __name__ == "__main__":
    main(*sys.argv[1:])
