#!/usr/bin/env python3
"""What Apache Kafka's own tools do with a broker: `kafka_tools.py BOOTSTRAP PREFIX --jars DIR`.

DIR holds the jars of Apache Kafka. A start of Java is most of what each call takes, so a scenario makes few of them;
topics that no tool is asked to make come from confluent-kafka.
"""

import json
import re
import subprocess
import tempfile
import threading

from confluent_session import make_topic
from scenarios import expect, main, scenario, wait_for

QUIET = """status = error
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
rootLogger.level = error
rootLogger.appenderRef.console.ref = console
"""

TOPICS = "org.apache.kafka.tools.TopicCommand"
CONFIGS = "kafka.admin.ConfigCommand"
GROUPS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
CONSOLE_PRODUCER = "org.apache.kafka.tools.ConsoleProducer"
CONSOLE_CONSUMER = "org.apache.kafka.tools.consumer.ConsoleConsumer"


_SCRATCH = tempfile.TemporaryDirectory()
_ARCHIVING, _ARCHIVE = threading.Lock(), []


def settings(name, text):
    """A file that lives as long as the program."""
    path = f"{_SCRATCH.name}/{name}"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


_LOGGING = settings("logging.properties", QUIET)


def java(world, *options):
    return ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx128m", "-Xshare:auto", "-Xlog:disable",
            *options, "-cp", f"{world.options.jars}/*", f"-Dlog4j2.configurationFile={_LOGGING}"]


def archive(world):
    """The classes of a tool, loaded once for all: it halves what each start takes."""
    with _ARCHIVING:
        if not _ARCHIVE:
            path = f"{_SCRATCH.name}/classes.jsa"
            subprocess.run([*java(world, f"-XX:ArchiveClassesAtExit={path}"), TOPICS, "--bootstrap-server",
                            world.bootstrap, "--list"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=80)
            _ARCHIVE.append(path)
        return _ARCHIVE[0]


def command(world, tool, *args):
    return [*java(world, f"-XX:SharedArchiveFile={archive(world)}"), tool, *args]


def run(world, tool, *args, given="", fails=False):
    """Runs a tool to its end; its output. It must end well, or badly when `fails`."""
    done = subprocess.run(command(world, tool, *args), input=given, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=80)
    if (done.returncode != 0) != fails:
        raise AssertionError(f"{tool} {' '.join(args)} ended with {done.returncode}: {done.stdout}")
    return done.stdout


def on(world, tool, *args, **more):
    return run(world, tool, "--bootstrap-server", world.bootstrap, *args, **more)


def has(text, *wanted):
    """Fails unless each of these regular expressions is found."""
    for pattern in wanted:
        if not re.search(pattern, text, re.M):
            raise AssertionError(f"no {pattern!r} in {text!r}")


def console_send(world, topic, lines, *args):
    on(world, CONSOLE_PRODUCER, "--topic", topic, *args, given="".join(f"{line}\n" for line in lines))


def console_read(world, topic, count, *args):
    out = on(world, CONSOLE_CONSUMER, "--topic", topic, "--from-beginning", "--max-messages", str(count),
             "--timeout-ms", "30000", *args)
    return [line for line in out.splitlines() if not line.startswith("Processed a total")]


@scenario
def topic_command_creates_lists_describes_alters_and_deletes(world):
    topic = world.name("t")
    on(world, TOPICS, "--create", "--topic", topic, "--partitions", "2", "--replication-factor", "1", "--config",
       "retention.ms=1000000")
    has(on(world, TOPICS, "--describe", "--topic", topic), r"TopicId: \S{22}", r"PartitionCount: 2",
        r"ReplicationFactor: 1", r"retention.ms=1000000", r"Partition: 1\s+Leader: \d+\s+Replicas: \d+\s+Isr: \d+")
    on(world, TOPICS, "--alter", "--topic", topic, "--partitions", "5")
    has(on(world, TOPICS, "--describe", "--topic", topic), r"PartitionCount: 5")
    has(on(world, TOPICS, "--create", "--topic", topic, fails=True), "already exists")
    has(on(world, TOPICS, "--alter", "--topic", topic, "--partitions", "2", fails=True), "(?i)partitions")
    on(world, TOPICS, "--delete", "--topic", topic)
    wait_for("it is gone", lambda: topic not in on(world, TOPICS, "--list"))


@scenario
def topic_command_finds_nothing_wrong(world):
    make_topic(world)
    expect(on(world, TOPICS, "--describe", "--unavailable-partitions").strip(), "", "unavailable partitions")
    expect(on(world, TOPICS, "--describe", "--under-replicated-partitions").strip(), "", "under-replicated ones")
    on(world, TOPICS, "--create", "--if-not-exists", "--topic", world.name("t"))
    on(world, TOPICS, "--delete", "--if-exists", "--topic", world.name("missing"))


@scenario
def config_command_describes_and_alters_topics(world):
    topic = make_topic(world)
    about = ("--entity-type", "topics", "--entity-name", topic)
    on(world, CONFIGS, "--alter", *about, "--add-config", "retention.ms=2000000,cleanup.policy=[compact,delete]")
    described = wait_for("its configs", lambda: (
        lambda out: "retention.ms" in out and out)(on(world, CONFIGS, "--describe", *about)))
    has(described, r"retention.ms=2000000.*DYNAMIC_TOPIC_CONFIG:retention.ms=2000000", "cleanup.policy=compact,delete")
    has(on(world, CONFIGS, "--describe", "--all", *about), r"segment.bytes=1073741824", r"max.message.bytes=1048588")
    on(world, CONFIGS, "--alter", *about, "--delete-config", "cleanup.policy")
    wait_for("it is gone", lambda: "cleanup.policy" not in on(world, CONFIGS, "--describe", *about))
    has(on(world, CONFIGS, "--alter", *about, "--add-config", "retention.ms=soon", fails=True), "(?i)invalid")


@scenario
def config_command_describes_the_broker(world):
    about = ("--entity-type", "brokers", "--entity-name")
    broker = re.search(r"id: (\d+)", run(world, "org.apache.kafka.tools.BrokerApiVersionsCommand",
                                        "--bootstrap-server", world.bootstrap)).group(1)
    has(on(world, CONFIGS, "--describe", "--all", *about, broker), "message.max.bytes=", "num.partitions=")
    on(world, CONFIGS, "--describe", "--entity-type", "brokers", "--entity-default")


@scenario
def consumer_group_command_lists_describes_resets_and_deletes(world):
    topic, group = make_topic(world, "t", 1), world.name("g")
    console_send(world, topic, [str(i) for i in range(10)])
    expect(console_read(world, topic, 4, "--group", group), ["0", "1", "2", "3"], "read by the group")
    has(on(world, GROUPS, "--list", "--state"), rf"^{re.escape(group)}\s+Empty")
    line = rf"^{re.escape(group)}\s+{re.escape(topic)}\s+0\s+"
    has(on(world, GROUPS, "--describe", "--group", group), line + r"4\s+10\s+6")
    reset = ("--reset-offsets", "--group", group, "--topic", topic)
    has(on(world, GROUPS, *reset, "--to-earliest", "--dry-run"), rf"{re.escape(topic)}\s+0\s+0")
    has(on(world, GROUPS, *reset, "--to-latest", "--execute"), rf"{re.escape(topic)}\s+0\s+10")
    has(on(world, GROUPS, *reset, "--shift-by", "-3", "--execute"), rf"{re.escape(topic)}\s+0\s+7")
    has(on(world, GROUPS, "--describe", "--group", group), line + r"7\s+10\s+3")
    has(on(world, GROUPS, *reset, "--to-datetime", "2020-01-01T00:00:00.000", "--execute"),
        rf"{re.escape(topic)}\s+0\s+0")


@scenario
def consumer_group_command_deletes(world):
    topic, kept, gone = make_topic(world), world.name("kept"), world.name("gone")
    for group in (kept, gone):
        on(world, GROUPS, "--reset-offsets", "--group", group, "--topic", topic, "--to-earliest", "--execute")
    has(on(world, GROUPS, "--delete-offsets", "--group", kept, "--topic", topic), rf"{re.escape(topic)}\s+0\s+Successful")
    has(on(world, GROUPS, "--delete", "--group", gone), "(?i)successful")
    expect(gone in on(world, GROUPS, "--list").split(), False, "listed after the end")


@scenario
def consumer_group_command_describes_members(world):
    topic, group = make_topic(world, "t", 2), world.name("g")
    args = ("--bootstrap-server", world.bootstrap, "--topic", topic, "--group", group)
    reader = subprocess.Popen(command(world, CONSOLE_CONSUMER, *args), stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        wait_for("it is stable", lambda: re.search(r"Stable\s+1", on(
            world, GROUPS, "--describe", "--group", group, "--state")))
        has(on(world, GROUPS, "--describe", "--group", group, "--members", "--verbose"),
            rf"^{re.escape(group)}\s+console-consumer-\S+\s+/\S+\s+console-consumer\s+2\s")
        out = on(world, GROUPS, "--reset-offsets", "--group", group, "--topic", topic, "--to-earliest", "--execute")
        has(out, "can only be reset if the group .* is inactive, but the current state is Stable")
    finally:
        reader.terminate()
        reader.wait(30)
    wait_for("it is empty", lambda: re.search(r"Empty\s+0", on(
        world, GROUPS, "--describe", "--group", group, "--state")))


@scenario
def console_clients_pass_keys_headers_and_null(world):
    topic = make_topic(world)
    console_send(world, topic, ["h1:v1,h2:v2|k1|one", "h1:v1|k2|NIL", "h1:v1|k3|three"], "--reader-property",
                 "parse.key=true", "--reader-property", "key.separator=|", "--reader-property", "parse.headers=true",
                 "--reader-property", "headers.delimiter=|", "--reader-property", "null.marker=NIL",
                 "--compression-codec", "zstd")
    shown = ["print.key", "print.headers", "print.offset", "print.partition"]
    properties = [word for name in shown for word in ("--formatter-property", f"{name}=true")]
    expect(console_read(world, topic, 3, *properties), [
        "Partition:0\tOffset:0\th1:v1,h2:v2\tk1\tone", "Partition:0\tOffset:1\th1:v1\tk2\tnull",
        "Partition:0\tOffset:2\th1:v1\tk3\tthree"], "lines")
    out = on(world, CONSOLE_CONSUMER, "--topic", topic, "--partition", "0", "--offset", "2", "--max-messages", "1",
             "--timeout-ms", "30000", "--isolation-level", "read_committed")
    expect(out.splitlines()[0], "three", "from an offset")


@scenario
def verifiable_clients_agree(world):
    topic = make_topic(world, "t", 3)
    out = on(world, "org.apache.kafka.tools.VerifiableProducer", "--topic", topic, "--max-messages", "500", "--acks",
             "-1")
    sent = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    expect(len([line for line in sent if line["name"] == "producer_send_success"]), 500, "acknowledged")
    out = on(world, "org.apache.kafka.tools.VerifiableConsumer", "--topic", topic, "--group-id", world.name("g"),
             "--max-messages", "500", "--reset-policy", "earliest")
    read = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    expect(sum(line["count"] for line in read if line["name"] == "records_consumed"), 500, "consumed")
    ends = {o["partition"]: o["offset"] for line in read if line["name"] == "offsets_committed" and line["success"]
            for o in line["offsets"]}
    expect(sum(ends.values()), 500, "committed")


@scenario
def get_offsets_and_delete_records_agree(world):
    topic = make_topic(world, "t", 2)
    console_send(world, topic, [f"k:{i}" for i in range(8)], "--reader-property", "parse.key=true",
                 "--reader-property", "key.separator=:")

    def offsets(time):
        out = on(world, "org.apache.kafka.tools.GetOffsetShell", "--topic", topic, "--time", time)
        return {int(p): int(o) for p, o in re.findall(rf"^{re.escape(topic)}:(\d+):(-?\d+)$", out, re.M)}

    ends = offsets("latest")
    expect(sorted(ends.values()), [0, 8], "latest: one key, one partition")
    partition = max(ends, key=ends.get)
    wanted = {"partitions": [{"topic": topic, "partition": partition, "offset": 5}], "version": 1}
    out = on(world, "org.apache.kafka.tools.DeleteRecordsCommand", "--offset-json-file",
             settings("records.json", json.dumps(wanted)))
    has(out, rf"partition: {re.escape(topic)}-{partition}\s+low_watermark: 5")
    expect(offsets("earliest")[partition], 5, "earliest")
    expect(console_read(world, topic, 3), ["5", "6", "7"], "what is left")


@scenario
def log_dirs_are_described(world):
    topic = make_topic(world, "t", 2)
    console_send(world, topic, ["x" * 1000])
    out = on(world, "org.apache.kafka.tools.LogDirsCommand", "--describe", "--topic-list", topic)
    (described,) = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    (broker,) = described["brokers"]
    found = [p for directory in broker["logDirs"] for p in directory["partitions"]]
    expect(sorted(p["partition"] for p in found), [f"{topic}-0", f"{topic}-1"], "partitions")
    expect([d["error"] for d in broker["logDirs"]], [None] * len(broker["logDirs"]), "errors")
    expect(1000 < sum(p["size"] for p in found) < 2000, True, f"sizes {[p['size'] for p in found]}")


@scenario
def transactions_are_listed_and_described(world):
    topic, ident = make_topic(world), world.name("tx")
    out = run(world, "org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--num-records", "2000",
              "--record-size", "100", "--throughput", "-1", "--transactional-id", ident, "--transaction-duration-ms",
              "100", "--producer-props", f"bootstrap.servers={world.bootstrap}")
    has(out, "2000 records sent")
    tool = "org.apache.kafka.tools.TransactionsCommand"
    has(on(world, tool, "list"), rf"^{re.escape(ident)}\s+\d+\s+\d+\s+CompleteCommit")
    has(on(world, tool, "describe", "--transactional-id", ident), rf"\s{re.escape(ident)}\s+\d+\s+\d+\s+CompleteCommit")
    has(on(world, tool, "describe-producers", "--topic", topic, "--partition", "0"),
        r"ProducerId\s+ProducerEpoch\s+LatestCoordinatorEpoch", r"^\d+\s+\d+\s+-?\d+\s+-?\d+\s+\d+\s+None")
    has(on(world, tool, "find-hanging", "--broker-id", re.search(r"\d+", on(
        world, TOPICS, "--describe", "--topic", topic).split("Leader:")[1]).group()), "ProducerId")


@scenario
def performance_tools_move_records(world):
    topic = make_topic(world, "t", 4)
    out = run(world, "org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--num-records", "20000",
              "--record-size", "200", "--throughput", "-1", "--producer-props",
              f"bootstrap.servers={world.bootstrap}", "acks=all", "compression.type=lz4")
    has(out, r"20000 records sent, .* records/sec .* ms 99th")
    out = on(world, "org.apache.kafka.tools.ConsumerPerformance", "--topic", topic, "--num-records", "20000",
             "--timeout", "30000")
    has(out, r", 20000, ")


@scenario
def the_cluster_and_its_versions_are_told(world):
    tool, at = "org.apache.kafka.tools.ClusterTool", ("--bootstrap-server", world.bootstrap)
    has(run(world, tool, "cluster-id", *at), r"Cluster ID: \S+")
    has(run(world, tool, "list-endpoints", *at), re.escape(world.bootstrap.rsplit(":", 1)[1]))
    out = run(world, "org.apache.kafka.tools.BrokerApiVersionsCommand", "--bootstrap-server", world.bootstrap)
    has(out, r"Produce\(0\): ", r"Fetch\(1\): ", r"ApiVersions\(18\): ")
    has(on(world, "org.apache.kafka.tools.GroupsCommand", "--list"), "GROUP|^$")


if __name__ == "__main__":
    main(__doc__, jobs=4, options=[("--jars", "where the jars of Apache Kafka are")])
