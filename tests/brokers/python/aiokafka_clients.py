#!/usr/bin/env python3
"""What aiokafka does with a broker: `aiokafka_clients.py BOOTSTRAP PREFIX`."""

import asyncio
import contextlib
import logging
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition, errors
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.structs import OffsetAndMetadata

import scenarios
from scenarios import expect, main

logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
PATIENCE = 30


def scenario(function):
    """A scenario that is a coroutine."""
    def run(world):
        asyncio.run(function(world))

    run.__name__ = function.__name__
    return scenarios.scenario(run)


async def wait_for(what, condition):
    end = time.monotonic() + PATIENCE
    while not (value := await condition()):
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {PATIENCE} s")
        await asyncio.sleep(0.05)
    return value


@contextlib.asynccontextmanager
async def started(client):
    try:
        await (client.start())
        yield client
    finally:
        await (client.close() if isinstance(client, AIOKafkaAdminClient) else client.stop())


def admin(world):
    return started(AIOKafkaAdminClient(bootstrap_servers=world.bootstrap))


def producer(world, **config):
    return started(AIOKafkaProducer(bootstrap_servers=world.bootstrap, **config))


def consumer(world, *topics, group="g", **config):
    config = {"auto_offset_reset": "earliest", "enable_auto_commit": False, "fetch_max_wait_ms": 100,
              "session_timeout_ms": 10000, "heartbeat_interval_ms": 300, "metadata_max_age_ms": 1000, **config}
    return AIOKafkaConsumer(*topics, bootstrap_servers=world.bootstrap, group_id=world.name(group) if group else None, **config)


async def make_topic(world, what="t", partitions=1, **configs):
    name = world.name(what)
    configs = {key.replace("_", "."): str(value) for key, value in configs.items()}
    async with admin(world) as client:
        answer = await client.create_topics([NewTopic(name, partitions, 1, topic_configs=configs)])
        expect([code for _, code, *_ in answer.topic_errors], [0], "created")

        async def led():
            (found,) = await client.describe_topics([name])
            return found["error_code"] == 0 and all(p["leader"] >= 0 for p in found["partitions"])

        await wait_for("leaders", led)
    return name


async def take(reader, count):
    return [await asyncio.wait_for(reader.getone(), PATIENCE) for _ in range(count)]


async def read(world, topic, count, **config):
    """The first messages of partition 0, exactly as many, and none after them."""
    async with started(consumer(world, group=None, **config)) as reader:
        reader.assign([TopicPartition(topic, 0)])
        await reader.seek_to_beginning()
        messages = await take(reader, count)
        more = await reader.getmany(timeout_ms=500)
        expect([m.value for batch in more.values() for m in batch], [], "more messages")
        return messages


async def _compressed(world, codec):
    topic = await make_topic(world)
    now = int(time.time() * 1000)
    async with producer(world, compression_type=codec, linger_ms=10) as maker:
        sent = [await maker.send(topic, key=b"k%d" % i, value=b"value %d " % i * 10, headers=[("n", b"%d" % i)],
                                 partition=0, timestamp_ms=now + i) for i in range(100)]
        await asyncio.gather(*sent)
    got = [(m.offset, m.key, m.value, list(m.headers), m.timestamp) for m in await read(world, topic, 100)]
    expect(got, [(i, b"k%d" % i, b"value %d " % i * 10, [("n", b"%d" % i)], now + i) for i in range(100)], "messages")


@scenario
async def uncompressed_messages_come_back_whole(world):
    await _compressed(world, None)


@scenario
async def gzip_messages_come_back_whole(world):
    await _compressed(world, "gzip")


@scenario
async def an_idempotent_producer_keeps_the_order(world):
    topic = await make_topic(world)
    async with producer(world, enable_idempotence=True, acks="all", max_batch_size=200) as maker:
        await asyncio.gather(*[await maker.send(topic, b"%d" % i, partition=0) for i in range(500)])
    expect([int(m.value) for m in await read(world, topic, 500)], list(range(500)), "values")


@scenario
async def every_kind_of_acks_delivers(world):
    topic = await make_topic(world)
    for acks in (0, 1, "all"):
        async with producer(world, acks=acks) as maker:
            for _ in range(10):
                await maker.send(topic, b"x", partition=0)
            await maker.flush()
    await read(world, topic, 30)


@scenario
async def a_message_over_the_topics_limit_is_refused(world):
    topic = await make_topic(world, max_message_bytes=1000)
    async with producer(world) as maker:
        try:
            await maker.send_and_wait(topic, b"x" * 5000, partition=0)
            raise AssertionError("it was taken")
        except errors.MessageSizeTooLargeError:
            pass


@scenario
async def members_share_partitions_and_go_on(world):
    topic = await make_topic(world, partitions=4)
    async with started(consumer(world, topic)) as first:
        async def owns(*counts):
            return sorted(len(reader.assignment()) for reader in (first, *others)) == sorted(counts)

        others = []
        await wait_for("one has all", lambda: owns(4))
        async with started(consumer(world, topic)) as second:
            others.append(second)
            await wait_for("two share", lambda: owns(2, 2))
            async with admin(world) as client:
                (answer,) = await client.describe_consumer_groups([world.name("g")])
                group = answer.groups[0]
                expect((group[2], len(group[5])), ("Stable", 2), "described")
        others.clear()
        await wait_for("one has all again", lambda: owns(4))
        async with producer(world) as maker:
            for value in (b"a", b"b", b"c"):
                await maker.send_and_wait(topic, value, partition=0)
        await take(first, 3)
        await first.commit({TopicPartition(topic, 0): OffsetAndMetadata(2, "notes")})
    async with started(consumer(world, topic)) as again:
        expect([m.value for m in await take(again, 1)], [b"c"], "goes on")
    async with admin(world) as client:
        found = await client.list_consumer_group_offsets(world.name("g"))
        expect(found[TopicPartition(topic, 0)], OffsetAndMetadata(2, "notes"), "committed")


class _Seen(ConsumerRebalanceListener):
    def __init__(self):
        self.given = 0

    def on_partitions_revoked(self, revoked):
        pass

    def on_partitions_assigned(self, assigned):
        self.given += 1


@scenario
async def a_static_member_comes_back(world):
    topic = await make_topic(world, partitions=2)
    seen = _Seen()
    async with started(consumer(world, group_instance_id="first", session_timeout_ms=30000)) as first:
        first.subscribe([topic], listener=seen)

        async def shared(second):
            return len(first.assignment()) == 1 and len(second.assignment()) == 1

        async with started(consumer(world, topic, group_instance_id="second", session_timeout_ms=30000)) as second:
            await wait_for("two share", lambda: shared(second))
        before = seen.given
        async with started(consumer(world, topic, group_instance_id="second", session_timeout_ms=30000)) as second:
            await wait_for("two share again", lambda: shared(second))
            expect(seen.given, before, "assignments that the first saw")


@scenario
async def offsets_are_found(world):
    topic = await make_topic(world)
    here, now = TopicPartition(topic, 0), int(time.time() * 1000)
    async with producer(world) as maker:
        for at in (1000, 9000, 2000):
            await maker.send_and_wait(topic, b"x", partition=0, timestamp_ms=now + at)
    async with started(consumer(world, topic)) as reader:
        expect(await reader.beginning_offsets([here]), {here: 0}, "beginning")
        expect(await reader.end_offsets([here]), {here: 3}, "end")
        expect((await reader.offsets_for_times({here: now + 1500}))[here].offset, 1, "by time")
    async with admin(world) as client:
        expect(await client.delete_records({here: RecordsToDelete(2)}), {here: 2}, "low watermark")


@scenario
async def transactions_are_atomic(world):
    topic = await make_topic(world)
    async with producer(world, transactional_id=world.name("tx")) as maker:
        for number in range(4):
            await maker.begin_transaction()
            for part in (b"a", b"b"):
                await maker.send_and_wait(topic, b"%d" % number + part, partition=0)
            await (maker.abort_transaction() if number % 2 else maker.commit_transaction())
    got = await read(world, topic, 4, isolation_level="read_committed")
    expect([m.value for m in got], [b"0a", b"0b", b"2a", b"2b"], "read committed")
    await read(world, topic, 8, isolation_level="read_uncommitted")


@scenario
async def offsets_go_with_the_transaction(world):
    topic = await make_topic(world)
    here, group = TopicPartition(topic, 0), world.name("g")
    async with producer(world, transactional_id=world.name("tx")) as maker, admin(world) as client:
        async with maker.transaction():
            await maker.send(topic, b"x", partition=0)
            await maker.send_offsets_to_transaction({here: OffsetAndMetadata(5, "by tx")}, group)

        async def committed():
            return (await client.list_consumer_group_offsets(group)).get(here)

        expect(await wait_for("it is committed", committed), OffsetAndMetadata(5, "by tx"), "committed")
        try:
            async with maker.transaction():
                await maker.send_offsets_to_transaction({here: OffsetAndMetadata(9, "")}, group)
                raise KeyError("abort")
        except KeyError:
            pass
        expect((await committed()).offset, 5, "committed after the abort")


@scenario
async def a_second_producer_fences_the_first(world):
    topic = await make_topic(world)
    async with producer(world, transactional_id=world.name("tx")) as first:
        await first.begin_transaction()
        await first.send_and_wait(topic, b"of the first", partition=0)
        async with producer(world, transactional_id=world.name("tx")) as second:
            async with second.transaction():
                await second.send_and_wait(topic, b"of the second", partition=0)
        try:
            await first.commit_transaction()
            raise AssertionError("the first could still commit")
        except errors.ProducerFenced:
            pass
    got = await read(world, topic, 1, isolation_level="read_committed")
    expect([m.value for m in got], [b"of the second"], "read committed")


@scenario
async def topics_are_administered(world):
    topic = await make_topic(world, partitions=2)
    async with admin(world) as client:
        answer = await client.create_topics([NewTopic(topic, 1, 1)])
        expect([code for _, code, *_ in answer.topic_errors], [errors.TopicAlreadyExistsError.errno], "again")
        expect(topic in await client.list_topics(), True, "listed")
        await client.create_partitions({topic: NewPartitions(4)})

        async def four():
            return len((await client.describe_topics([topic]))[0]["partitions"]) == 4

        await wait_for("four partitions", four)
        cluster = await client.describe_cluster()
        expect(len(cluster["brokers"]), 1, "brokers")
        expect(type(await client.list_consumer_groups()), list, "groups")
        await client.delete_topics([topic])

        async def gone():
            return topic not in await client.list_topics()

        await wait_for("it is gone", gone)


if __name__ == "__main__":
    main(__doc__)
