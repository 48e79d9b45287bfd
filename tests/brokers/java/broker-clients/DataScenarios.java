// Producing, consuming and groups by Kafka's Java clients.

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeoutException;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.header.internals.RecordHeader;

final class DataScenarios extends Session {
    DataScenarios(Session session) {
        super(session.bootstrap, session.prefix, session.admin);
    }

    void compressions() throws Exception {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            String topic = topic(codec, 1, Map.of());
            long now = System.currentTimeMillis();
            try (KafkaProducer<String, String> producer = producer("compression.type", codec)) {
                for (int i = 0; i < 300; i++) {
                    String value = i % 10 == 0 ? null : (codec + i).repeat(20);
                    producer.send(new ProducerRecord<>(topic, 0, now + i, i % 3 == 0 ? null : "k" + i, value,
                        List.of(new RecordHeader("n", new byte[] {(byte) i}), new RecordHeader("null", null))));
                }
            }
            List<ConsumerRecord<String, String>> records = read(topic, 1, "read_uncommitted");
            expect(records.size(), 300, codec);
            for (int i = 0; i < 300; i++) {
                ConsumerRecord<String, String> record = records.get(i);
                expect(record.offset(), (long) i, "offset");
                expect(record.timestamp(), now + i, "timestamp");
                expect(record.key(), i % 3 == 0 ? null : "k" + i, "key");
                expect(record.value(), i % 10 == 0 ? null : (codec + i).repeat(20), "value");
                expect(record.headers().lastHeader("n").value()[0], (byte) i, "header");
                expect(record.headers().lastHeader("null").value(), null, "header without a value");
            }
        }
    }

    void idempotence() throws Exception {
        String topic = topic("t", 3, Map.of());
        try (KafkaProducer<String, String> producer = producer("batch.size", "200", "linger.ms", "0", "acks", "all")) {
            for (int i = 0; i < 3000; i++) {
                producer.send(new ProducerRecord<>(topic, i % 3, null, String.valueOf(i)));
            }
        }
        List<ConsumerRecord<String, String>> records = read(topic, 3, "read_committed");
        for (int partition = 0; partition < 3; partition++) {
            int number = partition;
            List<Integer> got = records.stream().filter(record -> record.partition() == number)
                .map(record -> Integer.valueOf(record.value())).toList();
            expect(got, IntStream.range(0, 1000).mapToObj(i -> i * 3 + number).toList(), "partition " + number);
        }
    }

    void producerErrors() throws Exception {
        String topic = topic("t", 1, Map.of("max.message.bytes", "1000"));
        try (KafkaProducer<String, String> producer = producer("max.block.ms", "2000")) {
            refused(RecordTooLargeException.class, () -> producer.send(new ProducerRecord<>(topic, "x".repeat(5000))).get());
            refused(org.apache.kafka.common.errors.TimeoutException.class,
                () -> producer.send(new ProducerRecord<>(name("missing"), "x")).get());
            send(producer, topic, 0, "after");
        }
        refused(InvalidTopicException.class, () -> {
            try (KafkaConsumer<String, String> reader = consumer("g")) {
                reader.subscribe(List.of("a name with spaces"));
                return reader.poll(Duration.ofSeconds(10));
            }
        });
        expect(committed(topic), List.of("after"), "records");
    }

    void seeking() throws Exception {
        String topic = topic("t", 1, Map.of());
        TopicPartition here = new TopicPartition(topic, 0);
        long now = System.currentTimeMillis();
        try (KafkaProducer<String, String> producer = producer(); KafkaConsumer<String, String> reader = consumer("g")) {
            for (int i = 0; i < 50; i++) {
                producer.send(new ProducerRecord<>(topic, 0, now + i * 1000L, null, String.valueOf(i)));
            }
            producer.flush();
            reader.assign(List.of(here));
            reader.seek(here, 47);
            expect(take(reader, 3), List.of("47", "48", "49"), "from 47");
            expect(reader.position(here), 50L, "position");
            expect(reader.beginningOffsets(List.of(here)).get(here), 0L, "beginning");
            expect(reader.offsetsForTimes(Map.of(here, now + 9500)).get(here).offset(), 10L, "by time");
            expect(reader.offsetsForTimes(Map.of(here, now + 90000)).get(here), null, "after the last");
            reader.seek(here, 1000);
            expect(take(reader, 50).get(0), "0", "out of range begins anew");
            expect(reader.partitionsFor(topic).size(), 1, "partitions");
            expect(reader.listTopics().containsKey(topic), true, "listed");
        }
    }

    void sharing(Class<?> assignor) throws Exception {
        String topic = topic("t", 6, Map.of());
        List<KafkaConsumer<String, String>> members = new ArrayList<>();
        for (int count = 1; count <= 3; count++) {
            KafkaConsumer<String, String> member = consumer("g", "partition.assignment.strategy", assignor.getName());
            member.subscribe(List.of(topic));
            members.add(member);
            int each = 6 / count;
            polled(members, count + " share", () -> shared(members, each));
        }
        ConsumerGroupDescription found = get(admin.describeConsumerGroups(List.of(name("g"))).all()).get(name("g"));
        expect(found.members().size(), 3, "members");
        expect(found.members().stream().mapToInt(m -> m.assignment().topicPartitions().size()).sum(), 6, "assigned");
        members.remove(2).close();
        polled(members, "two share again", () -> shared(members, 3));
        members.forEach(KafkaConsumer::close);
    }

    void staticMembers() throws Exception {
        String topic = topic("t", 2, Map.of());
        int[] rebalances = {0};
        KafkaConsumer<String, String> first = consumer("g", "group.instance.id", "first", "session.timeout.ms", "30000");
        first.subscribe(List.of(topic), new ConsumerRebalanceListener() {
            public void onPartitionsRevoked(Collection<TopicPartition> partitions) { }

            public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                rebalances[0]++;
            }
        });
        List<KafkaConsumer<String, String>> members = new ArrayList<>(List.of(first));
        KafkaConsumer<String, String> second = consumer("g", "group.instance.id", "second", "session.timeout.ms", "30000");
        second.subscribe(List.of(topic));
        members.add(second);
        polled(members, "they share", () -> shared(members, 1));
        int before = rebalances[0];
        members.remove(1).close();
        KafkaConsumer<String, String> again = consumer("g", "group.instance.id", "second", "session.timeout.ms", "30000");
        again.subscribe(List.of(topic));
        members.add(again);
        polled(members, "they share again", () -> shared(members, 1));
        expect(rebalances[0], before, "rebalances of the first");
        members.forEach(KafkaConsumer::close);
        get(admin.removeMembersFromConsumerGroup(name("g"), new RemoveMembersFromConsumerGroupOptions(
            List.of(new MemberToRemove("first"), new MemberToRemove("second")))).all());
        expect(get(admin.describeConsumerGroups(List.of(name("g"))).all()).get(name("g")).members().size(), 0, "members");
    }

    void commits() throws Exception {
        String topic = topic("t", 2, Map.of());
        TopicPartition one = new TopicPartition(topic, 0), two = new TopicPartition(topic, 1);
        try (KafkaProducer<String, String> producer = producer()) {
            send(producer, topic, 0, "a", "b", "c");
        }
        try (KafkaConsumer<String, String> reader = consumer("g")) {
            reader.subscribe(List.of(topic));
            take(reader, 3);
            reader.commitSync(Map.of(one, new OffsetAndMetadata(2, Optional.of(0), "notes")));
            expect(reader.groupMetadata().generationId() > 0, true, "generation");
        }
        try (KafkaConsumer<String, String> reader = consumer("g")) {
            Map<TopicPartition, OffsetAndMetadata> found = reader.committed(Set.of(one, two));
            expect(found.get(one), new OffsetAndMetadata(2, Optional.of(0), "notes"), "committed");
            expect(found.get(two), null, "committed elsewhere");
            reader.subscribe(List.of(topic));
            expect(take(reader, 1), List.of("c"), "goes on");
        }
    }
}
