"""Consumer groups by confluent-kafka: eager, cooperative and static members, commits, and members that die."""

import subprocess
import sys
import time

from confluent_kafka import OFFSET_INVALID, ConsumerGroupState, KafkaError, KafkaException, TopicPartition

from confluent_session import PATIENCE, admin, await_leaders, consumer, make_topic, producer, results, send, take, values
from scenarios import expect, scenario, wait_for


class Member:
    """A consumer that knows what it was given and what was taken from it."""

    def __init__(self, world, group, topics, **config):
        self.reader = consumer(world, group, **config)
        self.cooperative = "cooperative" in config.get("partition_assignment_strategy", "")
        self.owned, self.revocations, self.lost = set(), [], []
        self.messages, self.errors, self.rebalances = [], [], 0
        self.reader.subscribe(topics, on_assign=self._given, on_revoke=self._taken, on_lost=self._lost)

    def _given(self, _, partitions):
        self.rebalances += 1
        self.owned |= {(p.topic, p.partition) for p in partitions}

    def _taken(self, _, partitions):
        self.revocations.append(len(partitions))
        self.owned -= {(p.topic, p.partition) for p in partitions}

    def _lost(self, _, partitions):
        self.lost.append(len(partitions))
        self.owned -= {(p.topic, p.partition) for p in partitions}

    def poll(self):
        message = self.reader.poll(0.02)
        if message is not None and message.error():
            self.errors.append(message.error())
        elif message is not None:
            self.messages.append(message)

    def close(self):
        self.reader.close()


def polled(members, what, condition, limit=PATIENCE):
    """Polls all members until the condition holds."""
    def step():
        for member in members:
            member.poll()
        return condition()
    wait_for(what, step, limit)


def shared(members, partitions):
    """Whether these members own all partitions, none of them twice, and nobody is idle that need not be."""
    sizes = [len(m.owned) for m in members]
    fair = max(sizes) - min(sizes) <= 1
    return fair and sum(sizes) == partitions and len(set().union(*(m.owned for m in members))) == partitions


def state_of(world, group):
    """The group as the coordinator describes it."""
    return results(admin(world).describe_consumer_groups([world.name(group)]))[world.name(group)]


def _shared_evenly(world, **config):
    topic = make_topic(world, partitions=6)
    members = [Member(world, "g", [topic], **config)]
    polled(members, "the first owns all", lambda: shared(members, 6))
    members.append(Member(world, "g", [topic], **config))
    polled(members, "two share", lambda: shared(members, 6))
    members.append(Member(world, "g", [topic], **config))
    polled(members, "three share", lambda: shared(members, 6))
    maker = producer(world)
    for partition in range(6):
        send(maker, topic, [str(i).encode() for i in range(20)], partition)
    polled(members, "all messages", lambda: sum(len(m.messages) for m in members) == 120)
    described = state_of(world, "g")
    expect(described.state, ConsumerGroupState.STABLE, "state")
    expect(len(described.members), 3, "members described")
    expect(sorted(len(m.assignment.topic_partitions) for m in described.members), [2, 2, 2], "assignments described")
    members.pop().close()
    polled(members, "two share again", lambda: shared(members, 6))
    seen = members[0]
    for member in members:
        member.close()
    wait_for("an empty group", lambda: state_of(world, "g").state == ConsumerGroupState.EMPTY)
    return seen


@scenario
def eager_members_share_partitions_by_range(world):
    _shared_evenly(world, partition_assignment_strategy="range")


@scenario
def eager_members_share_partitions_by_roundrobin(world):
    first = _shared_evenly(world, partition_assignment_strategy="roundrobin")
    # Everything is given back at each of three rebalances.
    expect(first.revocations[:2], [6, 3], "what an eager member gives back")


@scenario
def cooperative_members_share_partitions(world):
    first = _shared_evenly(world, partition_assignment_strategy="cooperative-sticky")
    # Only what somebody else gets is given back.
    expect([n for n in first.revocations if n][:2], [3, 1], "what a cooperative member gives back")


@scenario
def a_group_goes_on_where_it_committed(world):
    topic = make_topic(world)
    send(producer(world), topic, [str(i).encode() for i in range(20)])
    reader = consumer(world, "g")
    reader.subscribe([topic])
    messages = take(reader, 8)
    committed = reader.commit(message=messages[-1], asynchronous=False)
    expect([(p.offset, p.error) for p in committed], [(8, None)], "committed")
    take(reader, 3)
    reader.close()
    reader = consumer(world, "g")
    reader.subscribe([topic])
    expect(values(take(reader, 2)), ["8", "9"], "the second consumer begins")
    reader.close()


@scenario
def automatic_commits_are_kept_on_close(world):
    topic = make_topic(world)
    send(producer(world), topic, [b"x"] * 10)
    reader = consumer(world, "g", enable_auto_commit=True, auto_commit_interval_ms=100)
    reader.subscribe([topic])
    take(reader, 10)
    reader.close()
    reader = consumer(world, "g")
    expect(reader.committed([TopicPartition(topic, 0)], timeout=PATIENCE)[0].offset, 10, "committed")
    reader.close()


@scenario
def asynchronous_commits_tell_their_result(world):
    topic = make_topic(world)
    send(producer(world), topic, [b"x"] * 10)
    told = []
    reader = consumer(world, "g", on_commit=lambda error, partitions: told.append((error, partitions[0].offset)))
    reader.subscribe([topic])
    reader.commit(message=take(reader, 5)[-1], asynchronous=True)
    wait_for("the result", lambda: reader.poll(0.05) and told or told)
    expect(told, [(None, 5)], "told")
    reader.close()


@scenario
def commits_carry_metadata_and_need_no_member(world):
    topic = make_topic(world, partitions=3)
    reader = consumer(world, "g")
    reader.commit(offsets=[TopicPartition(topic, 1, 42, "some notes"), TopicPartition(topic, 2, 0, "")],
                  asynchronous=False)
    got = reader.committed([TopicPartition(topic, p) for p in range(3)], timeout=PATIENCE)
    expect([(p.offset, p.metadata or "") for p in got], [(OFFSET_INVALID, ""), (42, "some notes"), (0, "")], "kept")
    expect(state_of(world, "g").state, ConsumerGroupState.EMPTY, "state")
    reader.close()


@scenario
def metadata_that_is_too_long_is_refused(world):
    topic = make_topic(world)
    reader = consumer(world, "g")
    try:
        done = reader.commit(offsets=[TopicPartition(topic, 0, 1, "x" * 5000)], asynchronous=False)
        code = done[0].error.code() if done[0].error else None
    except KafkaException as error:
        code = error.args[0].code()
    expect(code, KafkaError.OFFSET_METADATA_TOO_LARGE, "error")
    reader.close()


@scenario
def a_static_member_that_returns_causes_no_rebalance(world):
    topic = make_topic(world, partitions=4)
    config = {"partition_assignment_strategy": "range", "session_timeout_ms": 20000}
    first = Member(world, "g", [topic], group_instance_id="first", **config)
    second = Member(world, "g", [topic], group_instance_id="second", **config)
    polled([first, second], "two share", lambda: shared([first, second], 4))
    owned, before = set(second.owned), first.rebalances
    second.close()
    expect({m.group_instance_id for m in state_of(world, "g").members}, {"first", "second"}, "members while away")
    second = Member(world, "g", [topic], group_instance_id="second", **config)
    polled([first, second], "it has its partitions again", lambda: second.owned == owned)
    expect(first.rebalances, before, "rebalances that the other one saw")
    first.close()
    second.close()


@scenario
def a_second_member_of_the_same_instance_fences_the_first(world):
    topic = make_topic(world)
    first = Member(world, "g", [topic], group_instance_id="same")
    polled([first], "the first has it", lambda: first.owned)
    second = Member(world, "g", [topic], group_instance_id="same")
    polled([first, second], "the first is told", lambda: first.errors and second.owned)
    codes = {error.code() for error in first.errors}
    expect(codes <= {KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID}, True, f"errors {codes} are of fencing")
    second.close()
    first.close()


DYING = """
import sys
from confluent_kafka import Consumer
reader = Consumer({"bootstrap.servers": sys.argv[1], "group.id": sys.argv[2], "session.timeout.ms": 6000,
                   "heartbeat.interval.ms": 300, "log_level": 2})
reader.subscribe([sys.argv[3]])
told = False
while True:
    reader.poll(0.1)
    if reader.assignment() and not told:
        told = True
        print("joined", flush=True)
"""


@scenario
def a_member_that_dies_is_noticed(world):
    topic = make_topic(world, partitions=2)
    dying = subprocess.Popen([sys.executable, "-c", DYING, world.bootstrap, world.name("g"), topic],
                             stdout=subprocess.PIPE)
    try:
        expect(dying.stdout.readline(), b"joined\n", "the one that will die")
        other = Member(world, "g", [topic])
        polled([other], "they share", lambda: len(other.owned) == 1)
    finally:
        dying.kill()
        dying.wait()
    polled([other], "the other one takes over", lambda: len(other.owned) == 2)
    other.close()


@scenario
def a_group_reads_topics_that_match_a_pattern(world):
    first = make_topic(world, "match-1")
    make_topic(world, "other")
    member = Member(world, "g", ["^" + world.name("match-").replace(".", "\\.") + ".*"],
                    topic_metadata_refresh_interval_ms=300)
    polled([member], "the first topic", lambda: member.owned == {(first, 0)})
    second = make_topic(world, "match-2")
    polled([member], "the second topic", lambda: member.owned == {(first, 0), (second, 0)})
    member.close()


@scenario
def a_member_may_change_what_it_reads(world):
    first, second = make_topic(world, "one"), make_topic(world, "two")
    maker = producer(world)
    send(maker, first, [b"of one"])
    send(maker, second, [b"of two"])
    reader = consumer(world, "g")
    reader.subscribe([first])
    expect(values(take(reader, 1)), ["of one"], "from the first")
    reader.subscribe([second])
    expect(values(take(reader, 1)), ["of two"], "from the second")
    reader.unsubscribe()
    expect(reader.poll(0.5), None, "when unsubscribed")
    reader.close()


@scenario
def a_group_reads_partitions_that_are_added(world):
    topic = make_topic(world)
    member = Member(world, "g", [topic], topic_metadata_refresh_interval_ms=300)
    polled([member], "one partition", lambda: len(member.owned) == 1)
    from confluent_kafka.admin import NewPartitions
    results(admin(world).create_partitions([NewPartitions(topic, 3)]))
    polled([member], "three partitions", lambda: len(member.owned) == 3)
    await_leaders(world, topic, range(3))
    send(producer(world), topic, [b"there"], partition=2)
    polled([member], "its message", lambda: values(member.messages) == ["there"])
    member.close()


@scenario
def members_without_a_common_protocol_do_not_meet(world):
    topic = make_topic(world)
    first = Member(world, "g", [topic], partition_assignment_strategy="range")
    polled([first], "the first has it", lambda: first.owned)
    second = Member(world, "g", [topic], partition_assignment_strategy="cooperative-sticky")
    polled([first, second], "the second is told", lambda: second.errors)
    codes = {error.code() for error in second.errors}
    expect(codes, {KafkaError.INCONSISTENT_GROUP_PROTOCOL}, "errors")
    second.close()
    first.close()


@scenario
def groups_of_the_same_topic_do_not_disturb_each_other(world):
    topic = make_topic(world, partitions=2)
    members = [Member(world, f"g{n}", [topic]) for n in range(5)]
    polled(members, "each owns all", lambda: all(len(m.owned) == 2 for m in members))
    send(producer(world), topic, [str(i).encode() for i in range(50)])
    polled(members, "each reads all", lambda: all(len(m.messages) == 50 for m in members))
    for member in members:
        expect(values(member.messages), [str(i) for i in range(50)], "values")
        member.close()


@scenario
def many_members_come_and_go(world):
    topic = make_topic(world, partitions=12)
    members = []
    for _ in range(6):
        members.append(Member(world, "g", [topic], partition_assignment_strategy="cooperative-sticky"))
    polled(members, "six share", lambda: shared(members, 12))
    for _ in range(3):
        members.pop(0).close()
        time.sleep(0.1)
    polled(members, "three share", lambda: shared(members, 12))
    for member in members:
        member.close()
