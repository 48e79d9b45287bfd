// What Kafka's own Java clients do with a broker: `java -cp CLASSES:JARS BrokerClients BOOTSTRAP PREFIX`.
// Prints a line per scenario; each makes its own topics. Written for kafka-clients 3.9 and 4.x alike; compile with
// `javac -d CLASSES -cp JARS *.java` against the jars that it runs with.

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.common.errors.*;

public final class BrokerClients {
    private interface Scenario {
        void run(Session session) throws Exception;
    }

    public static void main(String[] args) throws Exception {
        Map<String, Scenario> scenarios = new LinkedHashMap<>();
        scenarios.put("records_come_back_whole_with_every_compression", s -> new DataScenarios(s).compressions());
        scenarios.put("an_idempotent_producer_keeps_the_order", s -> new DataScenarios(s).idempotence());
        scenarios.put("errors_of_a_producer_are_kafkas", s -> new DataScenarios(s).producerErrors());
        scenarios.put("a_reader_seeks_and_finds_offsets", s -> new DataScenarios(s).seeking());
        scenarios.put("eager_members_share_partitions", s -> new DataScenarios(s).sharing(RangeAssignor.class));
        scenarios.put("cooperative_members_share_partitions", s -> new DataScenarios(s).sharing(CooperativeStickyAssignor.class));
        scenarios.put("static_members_come_back_without_a_rebalance", s -> new DataScenarios(s).staticMembers());
        scenarios.put("commits_are_kept_with_metadata", s -> new DataScenarios(s).commits());
        scenarios.put("transactions_are_atomic", s -> new TransactionScenarios(s).transactions());
        scenarios.put("offsets_go_with_the_transaction", s -> new TransactionScenarios(s).offsetsInTransactions());
        scenarios.put("a_second_producer_fences_the_first", s -> new TransactionScenarios(s).fencing());
        scenarios.put("transactions_are_described", s -> new TransactionScenarios(s).describedTransactions());
        scenarios.put("topics_are_administered", s -> new AdminScenarios(s).topics());
        scenarios.put("configs_are_administered", s -> new AdminScenarios(s).configs());
        scenarios.put("groups_are_administered", s -> new AdminScenarios(s).groups());
        scenarios.put("offsets_are_listed_and_records_deleted", s -> new AdminScenarios(s).offsets());
        scenarios.put("the_cluster_is_described", s -> new AdminScenarios(s).cluster());
        scenarios.put("log_directories_are_described", s -> new AdminScenarios(s).logDirs());
        ExecutorService pool = Executors.newFixedThreadPool(4, task -> {
            Thread thread = new Thread(task);
            thread.setDaemon(true);
            return thread;
        });
        int failed = 0;
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", args[0], "default.api.timeout.ms", "30000"))) {
            Map<String, Future<Void>> running = new LinkedHashMap<>();
            scenarios.forEach((name, scenario) -> running.put(name, pool.submit((Callable<Void>) () -> {
                scenario.run(new Session(args[0], args[1] + "-" + name.replace('_', '-'), admin));
                return null;
            })));
            for (Map.Entry<String, Future<Void>> entry : running.entrySet()) {
                try {
                    entry.getValue().get(120, TimeUnit.SECONDS);
                    System.out.println("ok " + entry.getKey());
                } catch (ExecutionException | TimeoutException error) {
                    failed++;
                    System.out.println("FAILED " + entry.getKey() + ": " + told(error));
                }
            }
        }
        System.out.flush();
        Runtime.getRuntime().halt(failed > 0 ? 1 : 0);
    }

    private static String told(Exception error) {
        Throwable cause = error.getCause() == null ? error : error.getCause();
        String where = Arrays.stream(cause.getStackTrace()).filter(f -> f.getFileName() != null && f.getClassName().indexOf('.') < 0)
            .map(frame -> frame.getFileName() + ":" + frame.getLineNumber()).findFirst().orElse("");
        return (cause + " (" + where + ")").replaceAll("\\s+", " ");
    }
}
