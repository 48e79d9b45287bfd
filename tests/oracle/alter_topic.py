"""Changes settings of a topic.

usage: alter_topic.py BROKERS TOPIC NAME=VALUE…
"""

import sys

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType


def alter(brokers, topic, **settings):
    entries = [
        ConfigEntry(name.replace("_", "."), str(value), incremental_operation=AlterConfigOpType.SET)
        for name, value in settings.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    admin = AdminClient({"bootstrap.servers": brokers})
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(30)


if __name__ == "__main__":
    brokers, topic, *pairs = sys.argv[1:]
    alter(brokers, topic, **dict(pair.split("=", 1) for pair in pairs))
