// Kafka Streams, exactly once: `java -cp JARS StreamsApp.java BOOTSTRAP PREFIX`. Sums numbers per key in a store with a
// changelog, through a repartition topic; the application is closed and started anew, once with its state on disk and
// once without, and its results must be exact for a read_committed reader.

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.LongSerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.KeyValueStore;

public final class StreamsApp {
    private static final int PARTITIONS = 3;
    private static final int KEYS = 20;
    private static final long PATIENCE_MS = 90_000;

    private final String bootstrap;
    private final String prefix;
    private final Path state;
    /** What the application must have come to, by key, and how many records it was given. */
    private final Map<String, Long> sums = new TreeMap<>();
    private long sent;

    private StreamsApp(String bootstrap, String prefix) throws Exception {
        this.bootstrap = bootstrap;
        this.prefix = prefix;
        this.state = Files.createTempDirectory("streams");
    }

    public static void main(String[] args) {
        int code = 0;
        try {
            new StreamsApp(args[0], args[1]).run();
            System.out.println("ok sums_per_key_are_exact_over_restarts");
        } catch (Throwable error) {
            System.out.println("FAILED sums_per_key_are_exact_over_restarts: " + error.toString().replaceAll("\\s+", " "));
            error.printStackTrace();
            code = 1;
        }
        System.out.flush();
        Runtime.getRuntime().halt(code);
    }

    private void run() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.createTopics(List.of(new NewTopic(numbers(), Optional.of(PARTITIONS), Optional.empty()),
                new NewTopic(totals(), Optional.of(PARTITIONS), Optional.empty()))).all().get(30, TimeUnit.SECONDS);
            send(1000);
            // Closed while it works, with nothing waited for: what it had not committed is done again.
            KafkaStreams first = started();
            await("some results", () -> results().size() > 0);
            send(1000);
            first.close(Duration.ofSeconds(20));
            send(1000);
            // With its state on disk.
            KafkaStreams second = started();
            await("the sums", () -> latest(results()).equals(sums));
            second.close(Duration.ofSeconds(20));
            // Without it: the store is read back from its changelog.
            erase(state);
            KafkaStreams third = started();
            send(1000);
            await("the sums of the restored store", () -> latest(results()).equals(sums));
            third.close(Duration.ofSeconds(20));
            exact(results());
            List<String> topics = admin.listTopics().names().get(30, TimeUnit.SECONDS).stream()
                .filter(topic -> topic.startsWith(prefix + "-sums-")).sorted().toList();
            expect(topics, List.of(prefix + "-sums-sums-changelog", prefix + "-sums-sums-repartition"), "topics of its own");
        } finally {
            erase(state);
        }
    }

    private String numbers() {
        return prefix + "-numbers";
    }

    private String totals() {
        return prefix + "-totals";
    }

    private KafkaStreams started() throws Exception {
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(numbers(), Consumed.with(Serdes.String(), Serdes.Long()))
            .map((key, number) -> KeyValue.pair("sum of " + key, number))
            .groupByKey(Grouped.with("sums", Serdes.String(), Serdes.Long()))
            .reduce(Long::sum, Materialized.<String, Long, KeyValueStore<Bytes, byte[]>>as("sums")
                .withKeySerde(Serdes.String()).withValueSerde(Serdes.Long()).withCachingDisabled())
            .toStream().to(totals(), Produced.with(Serdes.String(), Serdes.Long()));
        Properties config = new Properties();
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, prefix + "-sums");
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, "100");
        config.put(StreamsConfig.STATE_DIR_CONFIG, state.toString());
        config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, "2");
        config.put(StreamsConfig.consumerPrefix("session.timeout.ms"), "6000");
        config.put(StreamsConfig.consumerPrefix("heartbeat.interval.ms"), "500");
        config.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        KafkaStreams streams = new KafkaStreams(builder.build(), config);
        streams.start();
        await("it runs", () -> {
            if (streams.state() == KafkaStreams.State.ERROR) {
                throw new AssertionError("the application is in an error");
            }
            return streams.state() == KafkaStreams.State.RUNNING;
        });
        return streams;
    }

    private void send(int count) {
        Random random = new Random(sent);
        try (KafkaProducer<String, Long> producer = new KafkaProducer<>(Map.of("bootstrap.servers", bootstrap),
                new StringSerializer(), new LongSerializer())) {
            for (int i = 0; i < count; i++, sent++) {
                String key = "k" + random.nextInt(KEYS);
                long number = 1 + random.nextInt(100);
                sums.merge("sum of " + key, number, Long::sum);
                producer.send(new ProducerRecord<>(numbers(), key, number));
            }
        }
    }

    /** What a read_committed reader finds in the topic of results, in the order of each key. */
    private List<ConsumerRecord<String, Long>> results() {
        try (KafkaConsumer<String, Long> reader = new KafkaConsumer<>(Map.of("bootstrap.servers", bootstrap,
                "isolation.level", "read_committed"), new StringDeserializer(), new LongDeserializer())) {
            List<TopicPartition> all = new ArrayList<>();
            for (int partition = 0; partition < PARTITIONS; partition++) {
                all.add(new TopicPartition(totals(), partition));
            }
            reader.assign(all);
            reader.seekToBeginning(all);
            Map<TopicPartition, Long> ends = reader.endOffsets(all);
            List<ConsumerRecord<String, Long>> records = new ArrayList<>();
            while (!all.stream().allMatch(here -> reader.position(here) >= ends.get(here))) {
                reader.poll(Duration.ofMillis(100)).forEach(records::add);
            }
            return records;
        }
    }

    private static Map<String, Long> latest(List<ConsumerRecord<String, Long>> records) {
        Map<String, Long> latest = new TreeMap<>();
        records.forEach(record -> latest.put(record.key(), record.value()));
        return latest;
    }

    /** One result for each number, each greater than the one before: nothing was added twice and nothing left out. */
    private void exact(List<ConsumerRecord<String, Long>> records) {
        expect((long) records.size(), sent, "results");
        Map<String, Long> last = new HashMap<>();
        for (ConsumerRecord<String, Long> record : records) {
            if (record.value() <= last.getOrDefault(record.key(), 0L)) {
                throw new AssertionError(record.key() + " went back to " + record.value());
            }
            last.put(record.key(), record.value());
        }
        expect(new TreeMap<>(last), sums, "sums");
    }

    private interface Condition {
        boolean holds() throws Exception;
    }

    private static void await(String what, Condition condition) throws Exception {
        long end = System.currentTimeMillis() + PATIENCE_MS;
        while (!condition.holds()) {
            if (System.currentTimeMillis() > end) {
                throw new AssertionError(what + ": not within " + PATIENCE_MS + " ms");
            }
            Thread.sleep(100);
        }
    }

    private static void expect(Object actual, Object expected, String what) {
        if (!actual.equals(expected)) {
            throw new AssertionError(what + ": " + actual + ", expected " + expected);
        }
    }

    private static void erase(Path directory) throws Exception {
        try (var paths = Files.walk(directory)) {
            for (Path path : paths.sorted(Comparator.reverseOrder()).toList()) {
                Files.deleteIfExists(path);
            }
        }
    }
}
