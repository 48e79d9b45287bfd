// Administration by Kafka's Java clients.

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;

final class AdminScenarios extends Session {
    AdminScenarios(Session session) {
        super(session.bootstrap, session.prefix, session.admin);
    }

    void topics() throws Exception {
        String topic = topic("t", 2, Map.of("retention.ms", "1234567"));
        refused(TopicExistsException.class, () -> get(admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all()));
        refused(InvalidReplicationFactorException.class,
            () -> get(admin.createTopics(List.of(new NewTopic(name("r"), 1, (short) 3))).all()));
        refused(InvalidTopicException.class,
            () -> get(admin.createTopics(List.of(new NewTopic("no spaces", 1, (short) 1))).all()));
        refused(InvalidConfigurationException.class, () -> get(admin.createTopics(List.of(
            new NewTopic(name("c"), 1, (short) 1).configs(Map.of("retention.ms", "soon")))).all()));
        CreateTopicsResult made = admin.createTopics(List.of(new NewTopic(name("made"), Optional.of(3), Optional.empty())
            .configs(Map.of("segment.ms", "100000"))));
        expect(get(made.numPartitions(name("made"))), 3, "partitions told");
        expect(get(made.replicationFactor(name("made"))), 1, "copies told");
        expect(get(made.config(name("made"))).get("segment.ms").value(), "100000", "config told");
        await("listed", () -> get(admin.listTopics().names()).containsAll(List.of(topic, name("made"))));
        TopicDescription found = get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic);
        expect(found.partitions().size(), 2, "partitions");
        expect(get(admin.describeTopics(org.apache.kafka.common.TopicCollection.ofTopicIds(List.of(found.topicId())))
            .allTopicIds()).get(found.topicId()).name(), topic, "found by its id");
        refused(UnknownTopicOrPartitionException.class, () -> get(admin.describeTopics(List.of(name("none"))).allTopicNames()));
        get(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(4))).all());
        await("four partitions", () -> get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic).partitions().size() == 4);
        refused(InvalidPartitionsException.class,
            () -> get(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all()));
        get(admin.deleteTopics(org.apache.kafka.common.TopicCollection.ofTopicIds(List.of(found.topicId()))).all());
        get(admin.deleteTopics(List.of(name("made"))).all());
        await("gone", () -> get(admin.listTopics().names()).stream().noneMatch(t -> t.startsWith(prefix)));
        refused(UnknownTopicOrPartitionException.class, () -> get(admin.deleteTopics(List.of(topic)).all()));
    }

    void configs() throws Exception {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, topic("t", 1, Map.of()));
        get(admin.incrementalAlterConfigs(Map.of(topic, List.of(
            new AlterConfigOp(new ConfigEntry("retention.ms", "7777777"), AlterConfigOp.OpType.SET),
            new AlterConfigOp(new ConfigEntry("cleanup.policy", "compact"), AlterConfigOp.OpType.APPEND)))).all());
        await("altered", () -> "7777777".equals(get(admin.describeConfigs(List.of(topic)).all()).get(topic).get("retention.ms").value()));
        Config found = get(admin.describeConfigs(List.of(topic), new DescribeConfigsOptions().includeSynonyms(true)
            .includeDocumentation(true)).all()).get(topic);
        expect(found.get("retention.ms").source(), ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, "source");
        expect(found.get("cleanup.policy").value(), "delete,compact", "appended");
        expect(found.get("segment.bytes").isDefault(), true, "default");
        expect(found.get("segment.bytes").type(), ConfigEntry.ConfigType.INT, "type");
        refused(InvalidConfigurationException.class, () -> get(admin.incrementalAlterConfigs(Map.of(topic, List.of(
            new AlterConfigOp(new ConfigEntry("no.such", "1"), AlterConfigOp.OpType.SET)))).all()));
        String broker = String.valueOf(get(admin.describeCluster().controller()).id());
        ConfigResource node = new ConfigResource(ConfigResource.Type.BROKER, broker);
        expect(get(admin.describeConfigs(List.of(node)).all()).get(node).get("message.max.bytes") != null, true, "the broker's");
    }

    void groups() throws Exception {
        String topic = topic("t", 1, Map.of());
        TopicPartition here = new TopicPartition(topic, 0);
        get(admin.alterConsumerGroupOffsets(name("g"), Map.of(here, new OffsetAndMetadata(0, "by hand"))).all());
        expect(get(admin.listConsumerGroupOffsets(name("g")).partitionsToOffsetAndMetadata()).get(here).metadata(), "by hand", "offset");
        expect(get(admin.listConsumerGroups().all()).stream().anyMatch(g -> g.groupId().equals(name("g"))), true, "listed");
        KafkaConsumer<String, String> reader = consumer("g");
        reader.subscribe(List.of(topic));
        polled(List.of(reader), "assigned", () -> !reader.assignment().isEmpty());
        refused(GroupNotEmptyException.class, () -> get(admin.deleteConsumerGroups(List.of(name("g"))).all()));
        refused(GroupSubscribedToTopicException.class,
            () -> get(admin.deleteConsumerGroupOffsets(name("g"), Set.of(here)).all()));
        reader.close();
        get(admin.deleteConsumerGroupOffsets(name("g"), Set.of(here)).all());
        expect(get(admin.listConsumerGroupOffsets(name("g")).partitionsToOffsetAndMetadata()).get(here), null, "deleted");
        get(admin.alterConsumerGroupOffsets(name("g"), Map.of(here, new OffsetAndMetadata(0))).all());
        get(admin.deleteConsumerGroups(List.of(name("g"))).all());
        refused(GroupIdNotFoundException.class, () -> get(admin.deleteConsumerGroups(List.of(name("g"))).all()));
    }

    void offsets() throws Exception {
        String topic = topic("t", 1, Map.of());
        TopicPartition here = new TopicPartition(topic, 0);
        long now = System.currentTimeMillis();
        try (KafkaProducer<String, String> producer = producer("linger.ms", "0", "batch.size", "0")) {
            for (long at : new long[] {1000, 9000, 2000, 3000}) {
                producer.send(new ProducerRecord<>(topic, 0, now + at, null, "x")).get();
            }
        }
        expect(listed(topic, 0, OffsetSpec.earliest()).offset(), 0L, "earliest");
        expect(listed(topic, 0, OffsetSpec.latest()).offset(), 4L, "latest");
        expect(listed(topic, 0, OffsetSpec.forTimestamp(now + 1500)).offset(), 1L, "by time");
        expect(listed(topic, 0, OffsetSpec.maxTimestamp()).offset(), 1L, "greatest time");
        expect(listed(topic, 0, OffsetSpec.maxTimestamp()).timestamp(), now + 9000, "the greatest time");
        expect(get(admin.deleteRecords(Map.of(here, RecordsToDelete.beforeOffset(3))).lowWatermarks().get(here)).lowWatermark(), 3L, "low");
        expect(listed(topic, 0, OffsetSpec.earliest()).offset(), 3L, "earliest after deleting");
        refused(org.apache.kafka.common.errors.OffsetOutOfRangeException.class,
            () -> get(admin.deleteRecords(Map.of(here, RecordsToDelete.beforeOffset(99))).all()));
    }

    void cluster() throws Exception {
        DescribeClusterResult found = admin.describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true));
        expect(get(found.nodes()).size(), 1, "nodes");
        expect(get(found.clusterId()).isEmpty(), false, "cluster id is empty");
        expect(get(found.controller()).id(), get(found.nodes()).iterator().next().id(), "controller");
        get(admin.describeFeatures().featureMetadata());
        // What a broker may say that it does not do, or that it has switched off.
        for (Callable<?> action : List.<Callable<?>>of(() -> get(admin.describeAcls(AclBindingFilter.ANY).values()),
                () -> get(admin.describeUserScramCredentials().all()), () -> get(admin.listPartitionReassignments().reassignments()))) {
            try {
                action.call();
            } catch (SecurityDisabledException | UnsupportedVersionException said) {
                expect(said.getMessage().isEmpty(), false, "it says nothing");
            }
        }
    }

    void logDirs() throws Exception {
        String topic = topic("t", 2, Map.of());
        try (KafkaProducer<String, String> producer = producer()) {
            send(producer, topic, 0, "x".repeat(5000));
        }
        int broker = get(admin.describeCluster().controller()).id();
        Map<String, LogDirDescription> found = get(admin.describeLogDirs(List.of(broker)).allDescriptions()).get(broker);
        Map<TopicPartition, ReplicaInfo> here = found.values().stream().flatMap(d -> d.replicaInfos().entrySet().stream())
            .filter(e -> e.getKey().topic().equals(topic)).collect(Collectors.toMap(Map.Entry::getKey, Map.Entry::getValue));
        expect(here.keySet().stream().map(TopicPartition::partition).collect(Collectors.toCollection(TreeSet::new)),
            new TreeSet<>(Set.of(0, 1)), "partitions");
        expect(here.get(new TopicPartition(topic, 0)).size() >= 5000, true, "size");
        expect(found.values().stream().allMatch(d -> d.error() == null), true, "no errors");
    }
}
