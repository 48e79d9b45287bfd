// What the scenarios of Java clients are made of: topics, producers, consumers, and how a refusal is expected.

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

class Session {
    static final long PATIENCE_S = 30;

    final String bootstrap;
    final String prefix;
    final Admin admin;

    Session(String bootstrap, String prefix, Admin admin) {
        this.bootstrap = bootstrap;
        this.prefix = prefix;
        this.admin = admin;
    }

    String name(String what) {
        return prefix + "." + what;
    }

    static void expect(Object actual, Object expected, String what) {
        if (!Objects.equals(actual, expected)) {
            throw new AssertionError(what + ": " + actual + ", expected " + expected);
        }
    }

    static <T> T get(KafkaFuture<T> future) throws Exception {
        try {
            return future.get(PATIENCE_S, TimeUnit.SECONDS);
        } catch (ExecutionException error) {
            throw error.getCause() instanceof KafkaException known ? known : error;
        }
    }

    static void refused(Class<? extends Exception> kind, Callable<?> action) {
        try {
            action.call();
        } catch (Exception error) {
            Throwable cause = error instanceof ExecutionException ? error.getCause() : error;
            if (kind.isInstance(cause)) {
                return;
            }
            throw new AssertionError("refused with " + cause + ", expected " + kind.getSimpleName());
        }
        throw new AssertionError("not refused, expected " + kind.getSimpleName());
    }

    static void await(String what, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_S);
        while (!condition.call()) {
            if (System.nanoTime() > end) {
                throw new AssertionError(what + ": not within " + PATIENCE_S + " s");
            }
            Thread.sleep(20);
        }
    }

    String topic(String what, int partitions, Map<String, String> configs) throws Exception {
        NewTopic topic = new NewTopic(name(what), Optional.of(partitions), Optional.empty()).configs(configs);
        get(admin.createTopics(List.of(topic)).all());
        for (int partition = 0; partition < partitions; partition++) {
            int number = partition;
            await("a leader", () -> {
                try {
                    return end(topic.name(), number) == 0;
                } catch (RetriableException notYet) {
                    return false;
                }
            });
        }
        return topic.name();
    }

    long end(String topic, int partition) throws Exception {
        return listed(topic, partition, OffsetSpec.latest()).offset();
    }

    ListOffsetsResult.ListOffsetsResultInfo listed(String topic, int partition, OffsetSpec spec) throws Exception {
        TopicPartition here = new TopicPartition(topic, partition);
        return get(admin.listOffsets(Map.of(here, spec)).partitionResult(here));
    }

    KafkaProducer<String, String> producer(String... more) {
        Properties config = new Properties();
        config.putAll(Map.of("bootstrap.servers", bootstrap, "linger.ms", "5", "delivery.timeout.ms", "30000",
            "request.timeout.ms", "20000", "max.block.ms", "30000"));
        for (int i = 0; i < more.length; i += 2) {
            config.put(more[i], more[i + 1]);
        }
        return new KafkaProducer<>(config, new StringSerializer(), new StringSerializer());
    }

    KafkaProducer<String, String> transactional(String what) {
        KafkaProducer<String, String> producer = producer("transactional.id", name(what));
        producer.initTransactions();
        return producer;
    }

    KafkaConsumer<String, String> consumer(String group, String... more) {
        Properties config = new Properties();
        config.putAll(Map.of("bootstrap.servers", bootstrap, "group.id", name(group), "auto.offset.reset", "earliest",
            "enable.auto.commit", "false", "session.timeout.ms", "10000", "heartbeat.interval.ms", "300",
            "fetch.max.wait.ms", "100", "group.protocol", "classic"));
        for (int i = 0; i < more.length; i += 2) {
            config.put(more[i], more[i + 1]);
        }
        return new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
    }

    static void send(Producer<String, String> producer, String topic, int partition, String... values) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (String value : values) {
            sent.add(producer.send(new ProducerRecord<>(topic, partition, "key", value)));
        }
        producer.flush();
        for (Future<RecordMetadata> future : sent) {
            future.get();
        }
    }

    List<ConsumerRecord<String, String>> read(String topic, int partitions, String isolation) {
        try (KafkaConsumer<String, String> reader = consumer("reader", "isolation.level", isolation)) {
            List<TopicPartition> all = IntStream.range(0, partitions).mapToObj(p -> new TopicPartition(topic, p)).toList();
            reader.assign(all);
            reader.seekToBeginning(all);
            Map<TopicPartition, Long> ends = reader.endOffsets(all);
            List<ConsumerRecord<String, String>> records = new ArrayList<>();
            long limit = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_S);
            while (!all.stream().allMatch(here -> reader.position(here) >= ends.get(here))) {
                if (System.nanoTime() > limit) {
                    throw new AssertionError(topic + ": " + records.size() + " records, but not its end");
                }
                reader.poll(Duration.ofMillis(100)).forEach(records::add);
            }
            return records;
        }
    }

    List<String> committed(String topic) {
        return read(topic, 1, "read_committed").stream().map(ConsumerRecord::value).toList();
    }

    static List<String> take(Consumer<String, String> reader, int count) throws Exception {
        List<String> values = new ArrayList<>();
        await(count + " records", () -> {
            reader.poll(Duration.ofMillis(100)).forEach(record -> values.add(record.value()));
            return values.size() >= count;
        });
        return values;
    }

    void polled(List<KafkaConsumer<String, String>> members, String what, Callable<Boolean> condition) throws Exception {
        await(what, () -> {
            members.forEach(member -> member.poll(Duration.ofMillis(20)));
            return condition.call();
        });
    }

    boolean shared(List<KafkaConsumer<String, String>> members, int each) {
        Set<TopicPartition> all = new HashSet<>();
        members.forEach(member -> all.addAll(member.assignment()));
        return all.size() == members.size() * each && members.stream().allMatch(m -> m.assignment().size() == each);
    }
}
