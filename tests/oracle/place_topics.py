"""Makes the three topics of a product, each partition with one copy: the product topic's on the nodes given, in
turn, the inbox's and quarantine's on the first two.

usage: place_topics.py BROKERS PREFIX DOMAIN PARTITIONS NODE…
"""

import sys

from confluent_kafka.admin import AdminClient, NewTopic


def main(brokers, prefix, domain, partitions, *nodes):
    def topic(kind, on):
        copies = [[on[partition % len(on)]] for partition in range(int(partitions))]
        return NewTopic(f"{prefix}.{kind}{domain}.readings.v1", int(partitions), replica_assignment=copies)

    admin = AdminClient({"bootstrap.servers": brokers})
    product = topic("", [int(node) for node in nodes])
    for made in admin.create_topics([product, topic("inbox.", [1, 2]), topic("quarantine.", [1, 2])]).values():
        made.result(30)


if __name__ == "__main__":
    main(*sys.argv[1:])
