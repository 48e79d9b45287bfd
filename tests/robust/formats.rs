//! A data directory that an earlier release wrote opens, with all that is in it: segments, indexes, snapshots, groups,
//! transactions, settings, where a log begins.
//!
//! `tests/robust/format-1` is such a directory. The test that writes one anew and looks at it leaves a copy where
//! `WEIR_KEEP_FORMAT` says: that is how `format-1` was made, and how the next is to be made before the format changes.
//! It is a few kilobytes; nothing in it expires.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, DeleteRecordsRequest, DescribeConfigsRequest, EndTxnRequest, GroupId, JoinGroupRequest,
    SyncGroupRequest, TopicName, TransactionalId,
};
use kafka_protocol::records::Compression;

use super::wire::{Client, Producer, batch, one, text};
use super::{Own, verify_clean};
use crate::sandbox::{free_port, root, run, say, scratch, weir};

const SETTINGS: [(&str, &str); 3] = [("retention.ms", "-1"), ("segment.ms", "1"), ("max.message.bytes", "54321")];
const COMPRESSIONS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
/// A hundred years.
const FOR_EVER: i64 = 3_155_695_200_000;

fn values(round: usize) -> Vec<String> {
    (0..5).map(|number| format!("key-{number} {round} {}", "v".repeat(40))).collect()
}

/// One transaction with a record in both partitions of `whole`; ended so, or left open.
fn transaction(client: &mut Client, id: &str, sequence: &mut [i32; 2], of: Producer, committed: Option<bool>) {
    let transactional = TransactionalId(text(id));
    let topic = AddPartitionsToTxnTopic::default().with_name(TopicName(text("whole"))).with_partitions(vec![0, 1]);
    let request = AddPartitionsToTxnRequest::default().with_v3_and_below_transactional_id(transactional.clone());
    let request = request.with_v3_and_below_producer_id(of.id.into()).with_v3_and_below_producer_epoch(of.epoch);
    client.ask(2, &request.with_v3_and_below_topics(vec![topic]));
    for (partition, sequence) in sequence.iter_mut().enumerate() {
        let of = Producer { sequence: *sequence, ..of };
        let value = format!("{id} {committed:?}");
        let partition = i32::try_from(partition).expect("two");
        let written = client.produce_in("whole", partition, batch(&[value], of, Compression::None), Some(id));
        assert!(written.is_ok(), "{written:?}");
        *sequence += 1;
    }
    let Some(committed) = committed else { return };
    let request = EndTxnRequest::default().with_transactional_id(transactional).with_producer_id(of.id.into());
    let ended = client.ask(2, &request.with_producer_epoch(of.epoch).with_committed(committed));
    assert_eq!(ended.error_code, 0);
}

/// A group with a member, which has an assignment.
fn join(client: &mut Client) {
    let group = GroupId(text("members"));
    let protocol = JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(vec![0, 1].into());
    let request = JoinGroupRequest::default().with_group_id(group.clone()).with_protocol_type(text("consumer"));
    let request = request.with_session_timeout_ms(30_000).with_rebalance_timeout_ms(30_000);
    let joined = client.ask(3, &request.with_protocols(vec![protocol]));
    assert_eq!(joined.error_code, 0);
    let request = SyncGroupRequest::default().with_group_id(group).with_generation_id(joined.generation_id);
    assert_eq!(client.ask(2, &request.with_member_id(joined.member_id)).error_code, 0);
}

fn write(client: &mut Client, round: usize) {
    if round == 0 {
        assert_eq!(client.create("records", 2, &SETTINGS), 0);
        assert_eq!(client.create("whole", 2, &[("retention.ms", "-1")]), 0);
        let compacted =
            [("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "1.0"), ("segment.ms", "86400000")];
        assert_eq!(client.create("compacted", 1, &compacted), 0);
        assert_eq!(client.create("deleted", 1, &[]), 0);
        join(client);
        let topic = DeleteRecordsTopic::default().with_name(TopicName(text("records")));
        for compression in COMPRESSIONS {
            assert!(client.produce("records", 1, batch(&values(9), super::wire::ANYBODY, compression)).is_ok());
        }
        let before = DeleteRecordsPartition::default().with_partition_index(1).with_offset(7);
        let request = DeleteRecordsRequest::default().with_topics(vec![topic.with_partitions(vec![before])]);
        assert_eq!(client.ask(1, &request).topics[0].partitions[0].error_code, 0);
    }
    for compression in COMPRESSIONS {
        let written = client.produce("records", 0, batch(&values(round), super::wire::ANYBODY, compression));
        assert!(written.is_ok(), "{written:?}");
        assert!(client.produce("compacted", 0, batch(&values(round), super::wire::ANYBODY, compression)).is_ok());
    }
    for (id, ends) in [("steady", [Some(true), Some(false)]), ("broken off", [Some(true), None])] {
        let id = format!("{id} {round}");
        let (of, mut sequence) = (client.producer(Some(&id)), [0, 0]);
        ends.into_iter().for_each(|end| transaction(client, &id, &mut sequence, of, end));
    }
    let offset = i64::try_from(round).expect("few") + 3;
    assert_eq!(client.commit("alone", "records", 0, offset, FOR_EVER), 0);
    assert_eq!(client.commit("alone", "records", 1, 2 * offset, FOR_EVER), 0);
}

fn settings(client: &mut Client, topic: &str) -> BTreeMap<String, String> {
    let resource = DescribeConfigsResource::default().with_resource_type(2).with_resource_name(text(topic));
    let resource = resource.with_configuration_keys(None);
    let answer = client.ask(1, &DescribeConfigsRequest::default().with_resources(vec![resource]));
    let configs = answer.results[0].configs.iter();
    let set = configs.filter(|config| config.config_source == 1);
    set.map(|config| (config.name.to_string(), config.value.as_ref().map_or(String::new(), |v| v.to_string())))
        .collect()
}

fn check(client: &mut Client) {
    let rounds: Vec<String> =
        [0, 1].into_iter().flat_map(|round| COMPRESSIONS.map(|_| values(round))).flatten().collect();
    let records = client.read("records", 0, false);
    assert!(records.errors.is_empty());
    assert_eq!(records.texts(), rounds);
    let behind = client.read("records", 1, false);
    assert_eq!((behind.start, behind.end, behind.values.len()), (7, 25, 18));
    let compacted = client.read("compacted", 0, false);
    assert_eq!((compacted.end, compacted.texts()[..5] == values(0)), (50, true));
    let whole = ["steady 0", "broken off 0", "steady 1", "broken off 1"].map(|id| format!("{id} Some(true)"));
    for partition in [0, 1] {
        // What was left open is aborted, by whoever comes or by its time.
        for round in [0, 1] {
            client.producer(Some(&format!("broken off {round}")));
        }
        let contents = client.read("whole", partition, true);
        assert_eq!((contents.texts(), contents.last_stable), (whole.to_vec(), contents.end));
        assert_eq!(client.read("whole", partition, false).values.len(), 8);
    }
    assert_eq!((client.committed("alone", "records", 0), client.committed("alone", "records", 1)), (4, 8));
    let set: BTreeMap<String, String> = SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    assert_eq!(settings(client, "records"), set);
    assert_eq!(settings(client, "compacted").get("cleanup.policy").map(String::as_str), Some("compact"));
    assert!(client.produce("records", 0, one("goes on")).is_ok_and(|offset| offset == 50));
    assert_eq!(client.commit("alone", "records", 0, 50, FOR_EVER), 0);
}

fn copy(from: &Path, to: &Path) {
    let mut command = std::process::Command::new("cp");
    command.arg("-r").arg(from).arg(to);
    run(command, b"").ok();
}

#[test]
fn a_directory_of_the_present_format_is_read_as_it_was_written() {
    let folder = scratch("format");
    let (data, log) = (folder.join("data"), folder.join("log"));
    let broker = Own::start(&data, &log);
    write(&mut broker.client(), 0);
    broker.stop();
    // Once ended in order, once killed: with snapshots, and with a tail that none covers.
    let broker = Own::start(&data, &log);
    write(&mut broker.client(), 1);
    broker.kill();
    if let Some(to) = std::env::var_os("WEIR_KEEP_FORMAT") {
        copy(&data, Path::new(&to));
    }
    let broker = Own::start(&data, &log);
    check(&mut broker.client());
    broker.stop();
    verify_clean(&data);
}

#[test]
fn a_directory_of_an_earlier_release_opens_with_all_that_is_in_it() {
    let folder = scratch("earlier-format");
    let (data, log) = (folder.join("data"), folder.join("log"));
    copy(&root().join("tests/robust/format-1"), &data);
    verify_clean(&data);
    let broker = Own::start(&data, &log);
    let said = broker.said();
    assert!(!said.contains("WARN") && !said.contains("ERROR"), "{said}");
    check(&mut broker.client());
    broker.stop();
    verify_clean(&data);
    say("a directory of format 1 opens, with everything");
}

#[test]
fn a_directory_of_a_later_release_is_refused_by_its_format_and_left_as_it_is() {
    let data = scratch("later-format").join("data");
    copy(&root().join("tests/robust/format-1"), &data);
    let format = fs::read_to_string(data.join("format")).expect("it is there").replace("version=1", "version=2");
    fs::write(data.join("format"), &format).expect("room");
    let journal = fs::read(data.join("journal")).expect("it is there");
    for action in [&["broker", "--data"][..], &["broker", "verify"]] {
        let mut command = weir();
        command.args(action).arg(&data);
        if action.len() == 2 && action[1] == "--data" {
            command.args(["--listen", &format!("127.0.0.1:{}", free_port())]);
        }
        let refused = run(command, b"");
        assert!(refused.code == Some(1) && refused.stderr.contains("has format 2"), "{refused:?}");
    }
    assert_eq!(fs::read(data.join("journal")).expect("it is there"), journal);
}
