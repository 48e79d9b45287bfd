// Transactions by Kafka's Java clients.

import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.*;

final class TransactionScenarios extends Session {
    TransactionScenarios(Session session) {
        super(session.bootstrap, session.prefix, session.admin);
    }

    void transactions() throws Exception {
        String topic = topic("t", 1, Map.of()), other = topic("other", 1, Map.of());
        try (KafkaProducer<String, String> producer = transactional("tx")) {
            for (int i = 0; i < 6; i++) {
                producer.beginTransaction();
                send(producer, topic, 0, i + "a", i + "b");
                send(producer, other, 0, i + "c");
                expect(committed(topic).contains(i + "a"), false, "seen before its end");
                if (i % 2 == 0) {
                    producer.commitTransaction();
                } else {
                    producer.abortTransaction();
                }
            }
            producer.beginTransaction();
            producer.commitTransaction();
        }
        await("all of it", () -> committed(topic).equals(List.of("0a", "0b", "2a", "2b", "4a", "4b")));
        expect(committed(other), List.of("0c", "2c", "4c"), "read committed");
        expect(read(topic, 1, "read_uncommitted").size(), 12, "read uncommitted");
    }

    void offsetsInTransactions() throws Exception {
        String source = topic("source", 1, Map.of()), target = topic("target", 1, Map.of());
        TopicPartition here = new TopicPartition(source, 0);
        try (KafkaProducer<String, String> plain = producer(); KafkaProducer<String, String> producer = transactional("tx");
                KafkaConsumer<String, String> reader = consumer("g", "isolation.level", "read_committed", "max.poll.records", "4")) {
            send(plain, source, 0, IntStream.range(0, 20).mapToObj(String::valueOf).toArray(String[]::new));
            reader.subscribe(List.of(source));
            boolean[] abort = {false};
            await("all copied", () -> {
                ConsumerRecords<String, String> records = reader.poll(Duration.ofMillis(100));
                if (records.isEmpty()) {
                    return committed(target).size() >= 20;
                }
                producer.beginTransaction();
                records.forEach(record -> producer.send(new ProducerRecord<>(target, 0, null, "of " + record.value())));
                producer.sendOffsetsToTransaction(Map.of(here, new OffsetAndMetadata(reader.position(here))), reader.groupMetadata());
                abort[0] = !abort[0];
                if (abort[0]) {
                    producer.abortTransaction();
                    OffsetAndMetadata committed = reader.committed(Set.of(here)).get(here);
                    reader.seek(here, committed == null ? 0 : committed.offset());
                } else {
                    producer.commitTransaction();
                }
                return false;
            });
            expect(committed(target), IntStream.range(0, 20).mapToObj(i -> "of " + i).toList(), "copies");
            expect(reader.committed(Set.of(here)).get(here).offset(), 20L, "committed");
            ConsumerGroupMetadata stale = new ConsumerGroupMetadata(name("g"), 999, "nobody", Optional.empty());
            producer.beginTransaction();
            refused(KafkaException.class, () -> {
                producer.sendOffsetsToTransaction(Map.of(here, new OffsetAndMetadata(1)), stale);
                producer.commitTransaction();
                return null;
            });
            producer.abortTransaction();
            expect(reader.committed(Set.of(here)).get(here).offset(), 20L, "committed in the end");
        }
    }

    void fencing() throws Exception {
        String topic = topic("t", 1, Map.of());
        try (KafkaProducer<String, String> first = transactional("tx"); KafkaProducer<String, String> other = transactional("open")) {
            first.beginTransaction();
            send(first, topic, 0, "of the first");
            try (KafkaProducer<String, String> second = transactional("tx")) {
                second.beginTransaction();
                send(second, topic, 0, "of the second");
                second.commitTransaction();
            }
            refused(KafkaException.class, () -> {
                first.commitTransaction();
                return null;
            });
            other.beginTransaction();
            send(other, topic, 0, "fenced by an administrator");
            get(admin.fenceProducers(List.of(name("open"))).all());
            refused(KafkaException.class, () -> {
                other.commitTransaction();
                return null;
            });
        }
        await("the second's", () -> committed(topic).equals(List.of("of the second")));
    }

    void describedTransactions() throws Exception {
        String topic = topic("t", 1, Map.of());
        TopicPartition here = new TopicPartition(topic, 0);
        try (KafkaProducer<String, String> producer = transactional("tx")) {
            producer.beginTransaction();
            send(producer, topic, 0, "x");
            TransactionDescription found = get(admin.describeTransactions(List.of(name("tx"))).all()).get(name("tx"));
            expect(found.state(), TransactionState.ONGOING, "state");
            expect(found.topicPartitions(), Set.of(here), "partitions");
            Collection<TransactionListing> listed = get(admin.listTransactions(new ListTransactionsOptions()
                .filterStates(List.of(TransactionState.ONGOING))).all());
            expect(listed.stream().anyMatch(t -> t.transactionalId().equals(name("tx"))
                && t.producerId() == found.producerId()), true, "listed");
            ProducerState active = get(admin.describeProducers(List.of(here)).partitionResult(here)).activeProducers().get(0);
            expect(active.producerId(), found.producerId(), "producer id");
            expect(active.currentTransactionStartOffset().orElse(-1), 0L, "start of the transaction");
            producer.abortTransaction();
            await("it is over", () -> get(admin.describeTransactions(List.of(name("tx"))).all()).get(name("tx")).state()
                == TransactionState.COMPLETE_ABORT);
        }
        refused(TransactionalIdNotFoundException.class,
            () -> get(admin.describeTransactions(List.of(name("missing"))).all()));
    }
}
