"""Produces, in transactions and without, and consumes in a group, while the broker is killed and started again;
then reads everything back and checks it.

    through_kills.py BOOTSTRAP PREFIX PROGRESS STOP

PROGRESS is a file that holds how much was acknowledged so far; when the file STOP exists, no more is produced.
Checked: what was acknowledged is there, once, in order per partition; a transaction that was committed is whole, one
that was not is nowhere; what a group committed never goes back.
"""
import os
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

PARTITIONS = 3
BOOTSTRAP, PREFIX, PROGRESS, STOP = sys.argv[1:5]
PLAIN, WHOLE, GROUP = f"{PREFIX}.plain", f"{PREFIX}.whole", f"{PREFIX}.group"
QUIET = {"bootstrap.servers": BOOTSTRAP, "log_level": 0, "reconnect.backoff.max.ms": 200,
         "socket.connection.setup.timeout.ms": 2000}
faults = []
acknowledged = []  # numbers in the order of their acknowledgements
committed = []  # transactions
unknown = set()  # transactions whose end nobody knows


def fault(text):
    faults.append(text)
    print("FAULT", text, flush=True)


def stopping():
    return os.path.exists(STOP)


def produce_plain():
    producer = Producer({**QUIET, "enable.idempotence": True, "linger.ms": 1, "message.timeout.ms": 120000})

    def done(error, message):
        if error is None:
            acknowledged.append(int(message.value()))
        else:
            fault(f"record {message.value()!r} was given up: {error}")

    number = 0
    while not stopping():
        producer.produce(PLAIN, str(number), partition=number % PARTITIONS, on_delivery=done)
        producer.poll(0)
        number += 1
        time.sleep(0.0005)
    if producer.flush(120):
        fault("records were never acknowledged")


def produce_whole():
    producer, number = None, 0
    while not stopping():
        try:
            if producer is None:
                producer = Producer({**QUIET, "transactional.id": f"{PREFIX}.writer", "transaction.timeout.ms": 60000})
                producer.init_transactions(120)
            producer.begin_transaction()
            for partition in range(PARTITIONS):
                producer.produce(WHOLE, str(number), partition=partition)
            end(producer, number)
        except KafkaException as error:
            unknown.add(number)
            if error.args[0].fatal():
                fault(f"the transactional producer broke: {error}")
                return
            producer = None
        number += 1


def end(producer, number):
    """Commits, every fifth time aborts; asks again for as long as the broker is away."""
    if number % 5 == 4:
        producer.abort_transaction(60)
        return
    while True:
        try:
            producer.commit_transaction(60)
            committed.append(number)
            return
        except KafkaException as error:
            if error.args[0].retriable():
                continue
            if error.args[0].txn_requires_abort():
                producer.abort_transaction(60)
                return
            raise


def consume():
    consumer = Consumer({**QUIET, "group.id": GROUP, "auto.offset.reset": "earliest", "enable.auto.commit": False})
    consumer.subscribe([PLAIN])
    reached = {}
    while not stopping():
        message = consumer.poll(0.2)
        if message is None or message.error():
            continue
        try:
            for place in consumer.commit(message, asynchronous=False):
                before = reached.get(place.partition, -1)
                reached[place.partition] = max(before, place.offset)
        except KafkaException:
            continue
    consumer.close()
    look = Consumer({**QUIET, "group.id": GROUP})
    places = look.committed([TopicPartition(PLAIN, number) for number in range(PARTITIONS)], 60)
    for place in places:
        if place.offset < reached.get(place.partition, -1):
            fault(f"{GROUP} was at {reached[place.partition]} of partition {place.partition} and is at {place.offset}")
    print("group", {place.partition: place.offset for place in places})
    look.close()


def read(topic):
    """Per partition what a committed reader sees."""
    consumer = Consumer({**QUIET, "group.id": f"{PREFIX}.check", "isolation.level": "read_committed",
                         "enable.auto.commit": False, "enable.partition.eof": True})
    places = [TopicPartition(topic, number, 0) for number in range(PARTITIONS)]
    consumer.assign(places)
    seen, open_partitions = {number: [] for number in range(PARTITIONS)}, set(range(PARTITIONS))
    until = time.time() + 120
    while open_partitions and time.time() < until:
        for message in consumer.consume(1000, 1):
            if message.error():
                if message.error().code() == KafkaError._PARTITION_EOF:
                    open_partitions.discard(message.partition())
                continue
            seen[message.partition()].append(int(message.value()))
    if open_partitions:
        fault(f"{topic}: partitions {open_partitions} could not be read to their end")
    consumer.close()
    return seen


def check_plain():
    seen = read(PLAIN)
    everything = [number for numbers in seen.values() for number in numbers]
    if len(everything) != len(set(everything)):
        fault("records are there twice")
    missing = set(acknowledged) - set(everything)
    if missing:
        fault(f"{len(missing)} acknowledged records are lost, such as {sorted(missing)[:5]}")
    for partition, numbers in seen.items():
        if numbers != sorted(numbers):
            fault(f"partition {partition} is out of order")
    return len(everything)


def check_whole():
    seen = read(WHOLE)
    first = seen[0]
    for partition, numbers in seen.items():
        if numbers != first:
            fault(f"partition {partition} of the transactions differs: {len(numbers)} and {len(first)}")
        if len(numbers) != len(set(numbers)):
            fault(f"a transaction is twice in partition {partition}")
    lost = set(committed) - set(first)
    if lost:
        fault(f"{len(lost)} committed transactions are lost, such as {sorted(lost)[:5]}")
    extra = set(first) - set(committed) - unknown
    if extra:
        fault(f"{len(extra)} aborted transactions are visible, such as {sorted(extra)[:5]}")
    return len(first)


def main():
    admin = AdminClient(QUIET)
    for future in admin.create_topics([NewTopic(PLAIN, PARTITIONS, 1), NewTopic(WHOLE, PARTITIONS, 1)]).values():
        future.result(60)
    threads = [threading.Thread(target=run) for run in (produce_plain, produce_whole, consume)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        with open(PROGRESS + ".new", "w") as file:
            file.write(str(min(len(acknowledged), 1000 * len(committed))))
        os.replace(PROGRESS + ".new", PROGRESS)
        time.sleep(0.02)
    records, transactions = check_plain(), check_whole()
    print(f"{records} records, {len(acknowledged)} acknowledged; {transactions} transactions, "
          f"{len(committed)} known to be committed, {len(unknown)} unknown; {len(faults)} faults")
    sys.exit(1 if faults else 0)


main()
