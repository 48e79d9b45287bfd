"""One of two brokers under comparison: performs calls by symbolic names and tells what a client sees of each.

Knows what may differ between two brokers that are right: names, ids, times of the broker's own. Knows nothing of the
other side.
"""

import time

from raw_protocol import Connection, batch, batches

#: Errors that pass by themselves: no leader or coordinator yet, a transaction before this one is still ending.
PASSING = {5, 6, 14, 15, 16, 51, 100}
PATIENCE = 30
CONFIGS = ["max.message.bytes", "message.timestamp.type", "cleanup.policy", "retention.ms", "retention.bytes",
           "segment.bytes", "segment.ms", "min.compaction.lag.ms", "max.compaction.lag.ms", "delete.retention.ms"]
SUBSCRIPTION = b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"


def codes(answer):
    """All error codes in an answer, wherever they stand."""
    if isinstance(answer, dict):
        own = {answer["error_code"]} if "error_code" in answer else set()
        return own.union(*(codes(value) for value in answer.values()))
    return set().union(*map(codes, answer)) if isinstance(answer, list) else set()


class Side:
    """A broker, with what this run made on it."""

    def __init__(self, bootstrap, prefix):
        self.bootstrap, self.prefix = bootstrap, prefix
        self.connection = Connection(bootstrap)
        self.producers, self.members, self.sent = {}, {}, set()

    def name(self, symbol):
        return f"{self.prefix}{symbol}"

    def call(self, api, version, **fields):
        """The answer, once it says nothing that passes."""
        end = time.monotonic() + PATIENCE
        while True:
            answer = self.connection.call(api, version, **fields)
            if not codes(answer) & PASSING or time.monotonic() > end:
                return answer
            time.sleep(0.02)

    def await_until(self, condition):
        """Waits for what a broker does a moment after it answered. Says whether it did."""
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    # Topics

    def metadata(self, *topics):
        found = self.call("Metadata", 9, topics=[{"name": self.name(t)} for t in topics],
                          allow_auto_topic_creation=False)["topics"]
        return [(t["error_code"], sorted(p["partition_index"] for p in t["partitions"] or []),
                 {p["error_code"] for p in t["partitions"] or []}) for t in found]

    def leads(self, topic, count):
        def usable():
            (error, partitions, errors), = self.metadata(topic)
            return error == 0 and len(partitions) == count and errors <= {0} and all(
                self.list_offsets(topic, p, -1, 0)[0] == 0 for p in range(count))
        return self.await_until(usable)

    def create_topic(self, topic, partitions, configs, validate_only):
        configs = [{"name": name, "value": value} for name, value in configs.items()]
        wanted = {"name": self.name(topic), "num_partitions": partitions, "replication_factor": 1, "configs": configs,
                  "assignments": []}
        (done,) = self.call("CreateTopics", 5, topics=[wanted], timeout_ms=20000, validate_only=validate_only)["topics"]
        if done["error_code"] == 0 and not validate_only:
            return 0, self.leads(topic, partitions)
        return done["error_code"], None

    def delete_topic(self, topic):
        (done,) = self.call("DeleteTopics", 4, topic_names=[self.name(topic)], timeout_ms=20000)["responses"]
        if done["error_code"] == 0:
            return 0, self.await_until(lambda: self.metadata(topic)[0][0] == 3)
        return done["error_code"], None

    def create_partitions(self, topic, count, validate_only):
        wanted = {"name": self.name(topic), "count": count, "assignments": None}
        (done,) = self.call("CreatePartitions", 1, topics=[wanted], timeout_ms=20000, validate_only=validate_only)["results"]
        if done["error_code"] == 0 and not validate_only:
            return 0, self.leads(topic, count)
        return done["error_code"], None

    def describe_configs(self, topic):
        asked = {"resource_type": 2, "resource_name": self.name(topic), "configuration_keys": CONFIGS}
        (found,) = self.call("DescribeConfigs", 2, resources=[asked], include_synonyms=False)["results"]
        # Where a default comes from is the broker's own business; whether it is the topic's own is not.
        return found["error_code"], sorted((c["name"], c["value"], c["config_source"] == 1, c["is_sensitive"])
                                           for c in found["configs"] or [])

    def alter_configs(self, topic, changes, validate_only):
        changes = [{"name": name, "config_operation": op, "value": value} for op, name, value in changes]
        asked = {"resource_type": 2, "resource_name": self.name(topic), "configs": changes}
        (done,) = self.call("IncrementalAlterConfigs", 0, resources=[asked], validate_only=validate_only)["responses"]
        return done["error_code"]

    def replace_configs(self, topic, configs):
        configs = [{"name": name, "value": value} for name, value in configs.items()]
        asked = {"resource_type": 2, "resource_name": self.name(topic), "configs": configs}
        (done,) = self.call("AlterConfigs", 1, resources=[asked], validate_only=False)["responses"]
        return done["error_code"]

    # Records

    def produce(self, topic, partition, records, codec, producer=None, sequence=-1, transactional=False, epoch_off=0):
        ident, epoch = self.producers.get(producer, (-1, -1))
        self.sent.update(at for at, *_ in records)
        data = batch(records, codec, (ident, epoch + epoch_off if ident >= 0 else -1, sequence), transactional)
        wanted = {"name": self.name(topic), "partition_data": [{"index": partition, "records": data}]}
        transactional_id = self.name(producer) if transactional else None
        (done,) = self.call("Produce", 8, transactional_id=transactional_id, acks=-1, timeout_ms=20000,
                            topic_data=[wanted])["responses"]
        (done,) = done["partition_responses"]
        return done["error_code"], done["base_offset"], done["log_start_offset"], done["log_append_time_ms"] >= 0

    def fetch(self, topic, partition, offset, isolation):
        wanted = {"partition": partition, "fetch_offset": offset, "partition_max_bytes": 1 << 24,
                  "current_leader_epoch": -1, "log_start_offset": -1}
        answer = self.call("Fetch", 11, replica_id=-1, max_wait_ms=0, min_bytes=0, max_bytes=1 << 25,
                           isolation_level=isolation, session_id=0, session_epoch=-1, rack_id="",
                           topics=[{"topic": self.name(topic), "partitions": [wanted]}], forgotten_topics_data=[])
        found = answer["responses"][0]["partitions"][0]
        aborted = sorted((self.symbol(a["producer_id"]), a["first_offset"]) for a in found["aborted_transactions"] or [])
        return {"error": found["error_code"], "end": found["high_watermark"], "stable": found["last_stable_offset"],
                "start": found["log_start_offset"], "aborted": aborted,
                "batches": [self.shown(b) for b in batches(found["records"])]}

    def symbol(self, producer_id):
        """The producer's name here in the place of its id."""
        return next((name for name, (ident, _) in self.producers.items() if ident == producer_id),
                    "none" if producer_id < 0 else "another")

    def shown(self, one):
        """A batch without what is the broker's own: ids, epochs, times of its clock, what is in a marker."""
        producer, broker_time = self.symbol(one["producer"]), one["append_time"] or one["control"]
        records = [(o, None if broker_time else at, k, None if one["control"] else v, h)
                   for o, at, k, v, h in one["records"]]
        return {**{k: v for k, v in one.items() if k != "epoch"}, "producer": producer, "records": records}

    def list_offsets(self, topic, partition, timestamp, isolation):
        wanted = {"partition_index": partition, "timestamp": timestamp, "current_leader_epoch": -1}
        answer = self.call("ListOffsets", 7, replica_id=-1, isolation_level=isolation,
                           topics=[{"name": self.name(topic), "partitions": [wanted]}])
        found = answer["topics"][0]["partitions"][0]
        at = found["timestamp"]
        return found["error_code"], found["offset"], at if at < 0 or at in self.sent else "a time of the broker's clock"

    def delete_records(self, topic, partition, offset):
        wanted = {"name": self.name(topic), "partitions": [{"partition_index": partition, "offset": offset}]}
        answer = self.call("DeleteRecords", 1, topics=[wanted], timeout_ms=20000)
        found = answer["topics"][0]["partitions"][0]
        return found["error_code"], found["low_watermark"]

    def leader_epoch_end(self, topic, partition, epoch):
        wanted = {"partition": partition, "current_leader_epoch": -1, "leader_epoch": epoch}
        answer = self.call("OffsetForLeaderEpoch", 3, replica_id=-1, topics=[{"topic": self.name(topic), "partitions": [wanted]}])
        found = answer["topics"][0]["partitions"][0]
        return found["error_code"], found["leader_epoch"], found["end_offset"]

    # Producers and transactions

    def init_producer(self, producer, transactional, timeout_ms=600000):
        answer = self.call("InitProducerId", 1, transactional_id=self.name(producer) if transactional else None,
                           transaction_timeout_ms=timeout_ms)
        if answer["error_code"]:
            return answer["error_code"], None
        known = self.producers.get(producer)
        self.producers[producer] = answer["producer_id"], answer["producer_epoch"]
        if transactional and known:
            # The same id with a later epoch, or a new one.
            return 0, known[0] != answer["producer_id"] or known[1] < answer["producer_epoch"]
        return 0, True

    def transaction(self, producer):
        ident, epoch = self.producers[producer]
        return {"transactional_id": self.name(producer), "producer_id": ident, "producer_epoch": epoch}

    def add_partition(self, producer, topic, partition):
        mine = {f"v3_and_below_{name}": value for name, value in self.transaction(producer).items()}
        answer = self.call("AddPartitionsToTxn", 2, **mine, v3_and_below_topics=[
            {"name": self.name(topic), "partitions": [partition]}])
        return sorted(codes(answer) - {0})

    def add_offsets(self, producer, group):
        return self.call("AddOffsetsToTxn", 2, **self.transaction(producer), group_id=self.name(group))["error_code"]

    def txn_commit(self, producer, group, topic, partition, offset, metadata):
        ident = self.members.get(group, ("", -1))
        answer = self.call("TxnOffsetCommit", 3, **self.transaction(producer), group_id=self.name(group),
                           generation_id=ident[1], member_id=ident[0], topics=[self.committed(topic, partition, offset, metadata)])
        return sorted(codes(answer) - {0})

    def end_transaction(self, producer, commit, epoch_off=0):
        mine = self.transaction(producer)
        mine["producer_epoch"] += epoch_off
        error = self.call("EndTxn", 2, **mine, committed=commit)["error_code"]
        if error == 0:
            # What it ended is seen a moment later.
            return 0, self.await_until(lambda: self.describe_transaction(producer)[1] not in (
                "PrepareCommit", "PrepareAbort"))
        return error, None

    def describe_transaction(self, producer):
        (found,) = self.call("DescribeTransactions", 0, transactional_ids=[self.name(producer)])["transaction_states"]
        partitions = sorted((t["topic"].removeprefix(self.prefix), sorted(t["partitions"])) for t in found["topics"]
                            if t["topic"].startswith(self.prefix))
        return found["error_code"], found["transaction_state"], partitions

    def describe_producers(self, topic, partition):
        asked = [{"name": self.name(topic), "partition_indexes": [partition]}]
        found = self.call("DescribeProducers", 0, topics=asked)["topics"][0]["partitions"][0]
        return found["error_code"], sorted((self.symbol(p["producer_id"]), p["last_sequence"], p["current_txn_start_offset"])
                                           for p in found["active_producers"])

    # Groups

    def committed(self, topic, partition, offset, metadata):
        return {"name": self.name(topic), "partitions": [
            {"partition_index": partition, "committed_offset": offset, "committed_leader_epoch": -1,
             "committed_metadata": metadata}]}

    def commit(self, group, topic, partition, offset, metadata, by_member, generation_off=0):
        member, generation = self.members.get(group, ("nobody", 1)) if by_member else ("", -1)
        vacant = self.vacant(group)
        answer = self.call("OffsetCommit", 7, group_id=self.name(group), member_id=member,
                           generation_id_or_member_epoch=generation + generation_off, topics=[
                               self.committed(topic, partition, offset, metadata)])
        errors = sorted(codes(answer) - {0})
        # A commit that Kafka refused for its metadata leaves an empty group behind there, and none on a broker of
        # ours: so a generation that does not exist is refused as one (22), or as one of a stranger (25).
        return ["refused"] if vacant and errors in ([22], [25]) else errors

    def fetch_offsets(self, group, stable):
        answer = self.call("OffsetFetch", 7, group_id=self.name(group), topics=None, require_stable=stable)
        return answer["error_code"], sorted(
            (t["name"].removeprefix(self.prefix), p["partition_index"], p["committed_offset"], p["metadata"], p["error_code"])
            for t in answer["topics"] for p in t["partitions"])

    def fetch_offset(self, group, topic, partition):
        asked = [{"name": self.name(topic), "partition_indexes": [partition]}]
        answer = self.call("OffsetFetch", 7, group_id=self.name(group), topics=asked, require_stable=False)
        found = answer["topics"][0]["partitions"][0]
        return answer["error_code"], found["error_code"], found["committed_offset"], found["metadata"]

    def delete_offset(self, group, topic, partition):
        vacant = self.vacant(group)
        asked = [{"name": self.name(topic), "partitions": [{"partition_index": partition}]}]
        errors = sorted(codes(self.call("OffsetDelete", 0, group_id=self.name(group), topics=asked)) - {0})
        return "vacant" if vacant and errors in ([], [69]) else errors

    def join(self, group, protocol, known):
        """Joins as the only member, anew or as the one that it was; the answers' errors and what came of it."""
        member = self.members.get(group, ("", 0))[0] if known else ""
        seen = []
        for _ in range(2):
            answer = self.call("JoinGroup", 5, group_id=self.name(group), session_timeout_ms=300000,
                               rebalance_timeout_ms=300000, member_id=member, group_instance_id=None,
                               protocol_type="consumer", protocols=[{"name": protocol, "metadata": SUBSCRIPTION}])
            seen.append(answer["error_code"])
            member = answer["member_id"]
            if answer["error_code"] != 79:
                break
        if answer["error_code"] == 0:
            self.members[group] = member, answer["generation_id"]
        return (seen, answer["generation_id"], answer["protocol_name"], answer["leader"] == member,
                [m["member_id"] == member for m in answer["members"]])

    def sync(self, group, assignment, generation_off=0):
        member, generation = self.members.get(group, ("nobody", 1))
        answer = self.call("SyncGroup", 3, group_id=self.name(group), generation_id=generation + generation_off,
                           member_id=member, group_instance_id=None, assignments=[
                               {"member_id": member, "assignment": assignment}])
        return answer["error_code"], bytes(answer["assignment"])

    def heartbeat(self, group, generation_off=0):
        member, generation = self.members.get(group, ("nobody", 1))
        return self.call("Heartbeat", 3, group_id=self.name(group), generation_id=generation + generation_off,
                         member_id=member, group_instance_id=None)["error_code"]

    def leave(self, group):
        member, _ = self.members.pop(group, ("nobody", 1))
        answer = self.call("LeaveGroup", 3, group_id=self.name(group), members=[
            {"member_id": member, "group_instance_id": None}])
        return sorted(codes(answer) - {0})

    def vacant(self, group):
        """Whether it has neither members nor offsets. Apache Kafka forgets such a group sooner or later, and one that
        only refused commits have named may be listed for a while."""
        return not self.described(group)["members"] and self.fetch_offsets(group, False) == (0, [])

    def described(self, group):
        return self.call("DescribeGroups", 3, groups=[self.name(group)], include_authorized_operations=False)["groups"][0]

    def describe_group(self, group):
        found = self.described(group)
        if found["group_state"] in ("Empty", "Dead") and self.vacant(group):
            return "vacant"
        # Until a generation is assigned, Apache Kafka may show what a member had in the one before; ours shows nothing.
        assigned = found["group_state"] == "Stable"
        return (found["error_code"], found["group_state"], found["protocol_type"], found["protocol_data"],
                [(m["client_id"], bytes(m["member_metadata"]), bytes(m["member_assignment"]) if assigned else b"")
                 for m in found["members"]])

    def list_groups(self):
        found = self.call("ListGroups", 4, states_filter=[])["groups"]
        mine = sorted((g["group_id"].removeprefix(self.prefix), g["protocol_type"], g["group_state"]) for g in found
                      if g["group_id"].startswith(self.prefix))
        return [one for one in mine if one[2] != "Empty" or not self.vacant(one[0])]

    def delete_group(self, group):
        vacant = self.vacant(group)
        error = self.call("DeleteGroups", 1, groups_names=[self.name(group)])["results"][0]["error_code"]
        return "vacant" if vacant and error in (0, 69) else error
