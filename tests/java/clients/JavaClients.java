import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.avro.AvroSchema;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.CachedSchemaRegistryClient;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.SchemaRegistryClient;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.rest.entities.SchemaReference;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException;
import org.apache.flink.avro.shaded.org.apache.avro.Schema;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericData;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericDatumReader;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericDatumWriter;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericRecord;
import org.apache.flink.avro.shaded.org.apache.avro.io.DecoderFactory;
import org.apache.flink.avro.shaded.org.apache.avro.io.EncoderFactory;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Kafka's Java clients with Confluent's Java registry client and Avro Java, against our registry and enforcer.
 *
 * <p>usage: JavaClients BROKERS REGISTRY PREFIX
 */
public final class JavaClients {
  private static final String NAME = "meter.readings.v1";

  /** What Confluent's KafkaAvroSerializer does: register under the topic's subject, write frame and body. */
  record RegistrySerializer(SchemaRegistryClient registry) implements Serializer<GenericRecord> {
    @Override
    public byte[] serialize(String topic, GenericRecord value) {
      try {
        var out = new ByteArrayOutputStream();
        int id = registry.register(topic + "-value", new AvroSchema(value.getSchema()));
        out.write(0);
        out.write(ByteBuffer.allocate(4).putInt(id).array());
        var encoder = EncoderFactory.get().binaryEncoder(out, null);
        new GenericDatumWriter<GenericRecord>(value.getSchema()).write(value, encoder);
        encoder.flush();
        return out.toByteArray();
      } catch (IOException | RestClientException e) {
        throw new IllegalStateException("cannot serialize for " + topic, e);
      }
    }
  }

  /** What KafkaAvroDeserializer does: look the writer's schema up by its id. */
  record RegistryDeserializer(SchemaRegistryClient registry) implements Deserializer<GenericRecord> {
    @Override
    public GenericRecord deserialize(String topic, byte[] value) {
      try {
        var buffer = ByteBuffer.wrap(value);
        check(buffer.get() == 0, "the magic byte");
        var writer = (Schema) registry.getSchemaBySubjectAndId(topic + "-value", buffer.getInt()).rawSchema();
        var decoder = DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, null);
        GenericRecord read = new GenericDatumReader<GenericRecord>(writer).read(null, decoder);
        check(decoder.isEnd(), "bytes behind the record");
        return read;
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      } catch (RestClientException e) {
        throw new IllegalStateException("cannot read from " + topic, e);
      }
    }
  }

  public static void main(String[] args) throws Exception {
    String brokers = args[0];
    String prefix = args[2];
    var registry = new CachedSchemaRegistryClient(args[1], 100);
    String inbox = prefix + ".inbox." + NAME;
    var schema = new Schema.Parser().parse(registry.getLatestSchemaMetadata(inbox + "-value").getSchema());
    Set<String> sent = produce(brokers, registry, inbox, schema);
    Set<String> read = consume(brokers, registry, prefix + "." + NAME, sent.size());
    check(read.equals(sent), "what is read is what was sent and committed: " + read);
    registryCalls(registry, prefix + "-java", inbox);
    System.out.println(sent.size() + " records sent and read; the registry answers as expected");
    System.exit(0);
  }

  private static GenericRecord reading(Schema schema, String sensor, long seq) {
    var reading = new GenericData.Record(schema);
    reading.put("sensor", sensor);
    reading.put("seq", seq);
    reading.put("value", 20.5);
    return reading;
  }

  /** Idempotent, then in a transaction that is committed, and one that is aborted. */
  private static Set<String> produce(String brokers, SchemaRegistryClient registry, String inbox, Schema schema) {
    Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", brokers, "linger.ms", 5));
    Set<String> sent = new TreeSet<>();
    try (var producer = new KafkaProducer<>(config, new StringSerializer(), new RegistrySerializer(registry))) {
      for (int number = 0; number < 200; number++) {
        sent.add("s" + number + "/1");
        producer.send(new ProducerRecord<>(inbox, "s" + number, reading(schema, "s" + number, 1)));
      }
    }
    config.put("transactional.id", inbox + "-java");
    try (var producer = new KafkaProducer<>(config, new StringSerializer(), new RegistrySerializer(registry))) {
      producer.initTransactions();
      producer.beginTransaction();
      for (int number = 0; number < 100; number++) {
        producer.send(new ProducerRecord<>(inbox, "s" + number, reading(schema, "s" + number, 666)));
      }
      producer.flush();
      producer.abortTransaction();
      producer.beginTransaction();
      for (int number = 0; number < 100; number++) {
        sent.add("s" + number + "/2");
        producer.send(new ProducerRecord<>(inbox, "s" + number, reading(schema, "s" + number, 2)));
      }
      producer.commitTransaction();
    }
    return sent;
  }

  private static Set<String> consume(String brokers, SchemaRegistryClient registry, String topic, int expected) {
    Map<String, Object> config =
        Map.of(
            "bootstrap.servers", brokers,
            "group.id", topic + "-java",
            "isolation.level", "read_committed",
            "auto.offset.reset", "earliest");
    Set<String> read = new TreeSet<>();
    int records = 0;
    long limit = System.nanoTime() + Duration.ofSeconds(60).toNanos();
    try (var consumer = new KafkaConsumer<>(config, new StringDeserializer(), new RegistryDeserializer(registry))) {
      consumer.subscribe(List.of(topic));
      while (records < expected) {
        check(System.nanoTime() < limit, records + " of " + expected + " records were read in time");
        for (ConsumerRecord<String, GenericRecord> record : consumer.poll(Duration.ofMillis(200))) {
          check(record.value().get("sensor").toString().equals(record.key()), "the key is the sensor");
          read.add(record.key() + "/" + record.value().get("seq"));
          records++;
        }
      }
      for (ConsumerRecord<String, GenericRecord> more : consumer.poll(Duration.ofSeconds(1))) {
        throw new AssertionError("one record too many: " + more);
      }
    }
    return read;
  }

  private static final String FIRST =
      "{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"n\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"}]}";

  private static void registryCalls(SchemaRegistryClient registry, String subject, String inbox) throws Exception {
    var first = new AvroSchema(FIRST);
    var second = new AvroSchema(FIRST.replace("\"int\"}", "\"int\"},{\"name\":\"b\",\"type\":\"int\",\"default\":0}"));
    var broken = new AvroSchema(FIRST.replace("\"int\"", "\"string\""));
    int id = registry.register(subject, first);
    check(registry.register(subject, first, true) == id, "registering again, normalized, gives the same id");
    check(registry.getId(subject, first) == id && registry.getVersion(subject, first) == 1, "looked up by content");
    check(registry.getSchemaById(id).canonicalString().equals(first.canonicalString()), "looked up by id");
    check(registry.testCompatibility(subject, second), "a field with a default is compatible");
    check(!registry.testCompatibility(subject, broken), "another type is not");
    check(!registry.testCompatibilityVerbose(subject, broken).isEmpty(), "and the reasons are told");
    refused(409, () -> registry.register(subject, broken));
    int newer = registry.register(subject, second);
    check(newer != id && registry.getAllVersions(subject).equals(List.of(1, 2)), "a second version");
    check(registry.getLatestSchemaMetadata(subject).getId() == newer, "the latest");
    check(registry.getSchemaMetadata(subject, 1).getId() == id, "a version by its number");
    check(registry.getAllSubjects().containsAll(List.of(subject, inbox + "-value")), "all subjects");
    check(registry.getAllSubjectsByPrefix(subject).equals(List.of(subject)), "subjects by prefix");
    check(registry.getAllSubjectsById(id).contains(subject), "the subjects of an id");
    check(registry.getAllVersionsById(id).iterator().next().getVersion() == 1, "the versions of an id");
    check(registry.getCompatibility(null).equals("BACKWARD"), "the level of all");
    refused(404, () -> registry.getCompatibility(subject));
    check(registry.updateCompatibility(subject, "NONE").equals("NONE"), "a level of its own");
    check(registry.getCompatibility(subject).equals("NONE"), "is kept");
    registry.register(subject, broken);
    registry.deleteCompatibility(subject);
    refused(404, () -> registry.getCompatibility(subject));
    check(registry.getCompatibility(inbox + "-value").equals("FULL_TRANSITIVE"), "what apply set");
    check(registry.getMode().equals("READWRITE"), "the mode");
    deletions(registry, subject, first);
    var referring =
        new AvroSchema("\"n.R\"", List.of(new SchemaReference("n.R", subject, 1)), Map.of("n.R", FIRST), 1);
    refused(422, () -> registry.register(subject, referring));
    refused(404, () -> registry.getSchemaBySubjectAndId("nowhere", 2_000_000));
  }

  private static void deletions(SchemaRegistryClient registry, String subject, AvroSchema first) throws Exception {
    check(registry.deleteSchemaVersion(subject, "3") == 3, "a version is deleted");
    check(registry.getAllVersions(subject).equals(List.of(1, 2)), "and not listed");
    check(registry.getAllVersions(subject, true).equals(List.of(1, 2, 3)), "unless deleted ones are asked for");
    check(registry.deleteSubject(subject).equals(List.of(1, 2)), "a subject is deleted");
    check(!registry.getAllSubjects().contains(subject), "and not listed");
    check(registry.getAllSubjects(true).contains(subject), "unless deleted ones are asked for");
    registry.reset();
    refused(404, () -> registry.getId(subject, first));
    check(registry.deleteSubject(subject, true).size() == 3, "for good");
    refused(404, () -> registry.getAllVersions(subject, true));
    check(registry.register(subject, first) > 0, "and the name is free again");
  }

  interface Call {
    Object make() throws IOException, RestClientException;
  }

  private static void refused(int status, Call call) throws IOException {
    try {
      Object answer = call.make();
      throw new AssertionError("answered " + answer + ", not refused with " + status);
    } catch (RestClientException refusal) {
      check(refusal.getStatus() == status, status + " was expected: " + refusal.getMessage());
    }
  }

  private static void check(boolean holds, String what) {
    if (!holds) {
      throw new AssertionError(what);
    }
  }
}
