"""Transactions by confluent-kafka: what is committed, aborted, left open, fenced or timed out, and who sees it."""

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from confluent_session import PATIENCE, admin, consumer, end_of, make_topic, producer, read, results, send, take
from confluent_session import transactional, values
from scenarios import expect, scenario, wait_for


def put(maker, topic, *texts, partition=0):
    """Produces within the open transaction and waits until it is written."""
    for text in texts:
        maker.produce(topic, value=text.encode(), partition=partition)
    expect(maker.flush(PATIENCE), 0, "messages left")


def code_of(action, *args):
    """The code that a call fails with, or None."""
    try:
        action(*args)
    except KafkaException as error:
        return error.args[0].code()
    return None


#: How librdkafka tells a producer that another one took its place.
FENCED = {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError._STATE,
          KafkaError._FATAL, KafkaError.INVALID_PRODUCER_ID_MAPPING}


def must_be_fenced(action, *args):
    code = code_of(action, *args)
    expect(code in FENCED, True, f"{code} is an error of fencing")


def committed(world, topic, **more):
    return values(read(world, topic, **more))


def uncommitted(world, topic, **more):
    return values(read(world, topic, committed=False, **more))


@scenario
def a_commit_makes_all_of_it_visible_at_once(world):
    one, two = make_topic(world, "one", partitions=2), make_topic(world, "two")
    maker = transactional(world)
    maker.begin_transaction()
    put(maker, one, "a", "b")
    put(maker, one, "c", partition=1)
    put(maker, two, "d")
    expect((committed(world, one, partitions=2), committed(world, two)), ([], []), "before the commit")
    expect(sorted(uncommitted(world, one, partitions=2)), ["a", "b", "c"], "read uncommitted before the commit")
    maker.commit_transaction(PATIENCE)
    expect((sorted(committed(world, one, partitions=2)), committed(world, two)), (["a", "b", "c"], ["d"]), "after it")


@scenario
def an_abort_hides_all_of_it_from_read_committed(world):
    topic = make_topic(world)
    maker = transactional(world)
    for number, ends in enumerate(["commit", "abort", "commit", "abort"]):
        maker.begin_transaction()
        put(maker, topic, f"{number}a", f"{number}b")
        (maker.commit_transaction if ends == "commit" else maker.abort_transaction)(PATIENCE)
    expect(committed(world, topic), ["0a", "0b", "2a", "2b"], "read committed")
    expect(uncommitted(world, topic), [f"{n}{c}" for n in range(4) for c in "ab"], "read uncommitted")
    offsets = [m.offset() for m in read(world, topic)]
    expect(offsets, [0, 1, 6, 7], "offsets, with one for the marker of each transaction")


@scenario
def an_open_transaction_holds_back_what_comes_after_it(world):
    topic = make_topic(world)
    maker = transactional(world)
    send(producer(world), topic, [b"before"])
    maker.begin_transaction()
    put(maker, topic, "in it")
    send(producer(world), topic, [b"after"])
    expect(committed(world, topic), ["before"], "read committed")
    expect(uncommitted(world, topic), ["before", "in it", "after"], "read uncommitted")
    strict, lax = consumer(world, "s", isolation_level="read_committed"), consumer(
        world, "l", isolation_level="read_uncommitted")
    expect((end_of(strict, topic), end_of(lax, topic)), (1, 3), "last stable offset and end")
    for level, end in [(IsolationLevel.READ_COMMITTED, 1), (IsolationLevel.READ_UNCOMMITTED, 3)]:
        wanted = {TopicPartition(topic, 0): OffsetSpec.latest()}
        listed = results(admin(world).list_offsets(wanted, isolation_level=level))
        expect([found.offset for found in listed.values()], [end], f"listed for {level}")
    maker.abort_transaction(PATIENCE)
    expect(committed(world, topic), ["before", "after"], "after the abort")
    expect(end_of(strict, topic), 4, "last stable offset after the abort")
    strict.close()
    lax.close()


@scenario
def a_waiting_reader_gets_it_when_it_is_committed(world):
    topic = make_topic(world)
    reader = consumer(world, "g", isolation_level="read_committed", fetch_wait_max_ms=60000,
                      socket_timeout_ms=70000)
    reader.assign([TopicPartition(topic, 0, 0)])
    maker = transactional(world)
    maker.begin_transaction()
    put(maker, topic, "x", "y")
    expect(reader.poll(2), None, "while it is open")
    maker.commit_transaction(PATIENCE)
    expect(values(take(reader, 2, 20)), ["x", "y"], "long before the minute that it would have waited")
    reader.close()


@scenario
def interleaved_transactions_are_kept_apart(world):
    topic = make_topic(world)
    makers = [transactional(world, f"tx{n}") for n in range(4)]
    wanted = []
    for number in range(8):
        for n, maker in enumerate(makers):
            maker.begin_transaction()
            put(maker, topic, f"{number}.{n}a")
        for n, maker in enumerate(makers):
            put(maker, topic, f"{number}.{n}b")
        for n, maker in enumerate(makers):
            if (number + n) % 3:
                maker.commit_transaction(PATIENCE)
                wanted += [f"{number}.{n}a", f"{number}.{n}b"]
            else:
                maker.abort_transaction(PATIENCE)
    got = committed(world, topic)
    expect(sorted(got), sorted(wanted), "read committed")
    everything = uncommitted(world, topic)
    expect(len(everything), 8 * 4 * 2, "read uncommitted")
    expect(got, [text for text in everything if text in set(wanted)], "in the order of the log")


@scenario
def large_compressed_transactions_are_atomic(world):
    topic = make_topic(world, partitions=3)
    maker = transactional(world, compression_type="zstd", batch_num_messages=50)
    for ends in ("abort", "commit"):
        maker.begin_transaction()
        for i in range(3000):
            maker.produce(topic, value=f"{ends}-{i}".encode(), partition=i % 3)
        (maker.abort_transaction if ends == "abort" else maker.commit_transaction)(PATIENCE)
    got = committed(world, topic, partitions=3)
    expect(sorted(got), sorted(f"commit-{i}" for i in range(3000)), "read committed")


@scenario
def an_empty_transaction_may_be_committed_or_aborted(world):
    topic = make_topic(world)
    maker = transactional(world)
    for end in (maker.commit_transaction, maker.abort_transaction):
        maker.begin_transaction()
        end(PATIENCE)
    maker.begin_transaction()
    put(maker, topic, "x")
    maker.commit_transaction(PATIENCE)
    expect(committed(world, topic), ["x"], "after it")


def _copied(world, end):
    """Reads five, writes them elsewhere with the offsets in one transaction, and ends that."""
    source, target = make_topic(world, "source"), make_topic(world, "target")
    send(producer(world), source, [str(i).encode() for i in range(10)])
    reader = consumer(world, "g", isolation_level="read_committed")
    reader.subscribe([source])
    maker = transactional(world)
    maker.begin_transaction()
    for message in take(reader, 5):
        maker.produce(target, value=b"copy of " + message.value(), partition=0)
    here = [TopicPartition(source, 0)]
    maker.send_offsets_to_transaction([TopicPartition(source, 0, 5, "by tx")], reader.consumer_group_metadata(),
                                      PATIENCE)
    # The offset is not there before the end; a reader that wants a stable answer is told to wait.
    reader_of_offsets = consumer(world, "g", isolation_level="read_uncommitted")
    expect(reader_of_offsets.committed(here, timeout=PATIENCE)[0].offset < 0, True, "no offset while it is open")
    (maker.commit_transaction if end == "commit" else maker.abort_transaction)(PATIENCE)
    offset = reader.committed(here, timeout=PATIENCE)[0]
    copies = committed(world, target)
    reader_of_offsets.close()
    reader.close()
    return offset.offset, copies


@scenario
def offsets_are_committed_with_the_transaction(world):
    expect(_copied(world, "commit"), (5, [f"copy of {i}" for i in range(5)]), "offset and copies")


@scenario
def offsets_are_forgotten_with_an_aborted_transaction(world):
    offset, copies = _copied(world, "abort")
    expect((offset < 0, copies), (True, []), "no offset, no copies")


@scenario
def offsets_of_a_generation_that_is_over_are_refused(world):
    source = make_topic(world)
    send(producer(world), source, [b"x"])
    reader = consumer(world, "g")
    reader.subscribe([source])
    take(reader, 1)
    stale = reader.consumer_group_metadata()
    reader.close()
    maker = transactional(world)
    maker.begin_transaction()
    code = code_of(maker.send_offsets_to_transaction, [TopicPartition(source, 0, 1)], stale, PATIENCE)
    told = {KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION, KafkaError.FENCED_INSTANCE_ID}
    expect(code in told, True, f"{code} says that the member is gone")
    maker.abort_transaction(PATIENCE)


@scenario
def a_second_producer_fences_the_first(world):
    topic = make_topic(world)
    first = transactional(world)
    first.begin_transaction()
    put(first, topic, "of the first")
    second = transactional(world)
    # Its start aborts what the first left open.
    second.begin_transaction()
    put(second, topic, "of the second")
    second.commit_transaction(PATIENCE)
    must_be_fenced(first.commit_transaction, PATIENCE)
    expect(committed(world, topic), ["of the second"], "read committed")


@scenario
def a_fenced_producer_can_no_longer_write(world):
    topic = make_topic(world)
    first = transactional(world)
    first.begin_transaction()
    put(first, topic, "first")
    first.commit_transaction(PATIENCE)
    transactional(world)
    first.begin_transaction()

    def write():
        first.produce(topic, value=b"too late", partition=0)
        first.flush(PATIENCE)
        first.commit_transaction(PATIENCE)

    must_be_fenced(write)
    expect(committed(world, topic), ["first"], "read committed")


@scenario
def a_producer_goes_on_with_its_id(world):
    topic = make_topic(world)
    for number in range(4):
        maker = transactional(world)
        maker.begin_transaction()
        put(maker, topic, f"of {number}")
        maker.commit_transaction(PATIENCE)
        del maker
    expect(committed(world, topic), [f"of {n}" for n in range(4)], "read committed")


@scenario
def a_transaction_left_open_is_aborted_after_its_timeout(world):
    topic = make_topic(world)
    maker = transactional(world, timeout_ms=2000)
    maker.begin_transaction()
    put(maker, topic, "left")
    send(producer(world), topic, [b"after"])
    expect(committed(world, topic), [], "while it is open")
    wait_for("it is aborted", lambda: committed(world, topic) == ["after"])
    must_be_fenced(maker.commit_transaction, PATIENCE)
    expect(committed(world, topic), ["after"], "in the end")


@scenario
def a_timeout_over_the_brokers_limit_is_refused(world):
    code = code_of(transactional, world, "tx", 2_000_000_000)
    expect(code, KafkaError.INVALID_TRANSACTION_TIMEOUT, "error")


@scenario
def plain_messages_between_transactions_are_always_visible(world):
    topic = make_topic(world)
    maker, plain = transactional(world), producer(world, enable_idempotence=True)
    for number in range(5):
        maker.begin_transaction()
        put(maker, topic, f"tx {number}")
        send(plain, topic, [f"plain {number}".encode()])
        (maker.abort_transaction if number % 2 else maker.commit_transaction)(PATIENCE)
    wanted = [text for n in range(5) for text in ([f"tx {n}"] if n % 2 == 0 else []) + [f"plain {n}"]]
    expect(committed(world, topic), wanted, "read committed")


@scenario
def a_reader_may_start_in_the_middle_of_an_aborted_transaction(world):
    topic = make_topic(world)
    maker = transactional(world, linger_ms=0, batch_num_messages=1)
    maker.begin_transaction()
    for i in range(6):
        put(maker, topic, f"aborted {i}")
    maker.abort_transaction(PATIENCE)
    maker.begin_transaction()
    put(maker, topic, "committed")
    maker.commit_transaction(PATIENCE)
    for start in range(8):
        expect(committed(world, topic, start=start), ["committed"], f"from {start}")
    expect(committed(world, topic, start=8), [], "from the marker")
    expect(end_of(consumer(world, "g"), topic), 9, "end")
