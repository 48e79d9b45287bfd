//! Record batches that were spoilt, or are made to harm: whatever comes is answered, on the connection that it came on,
//! without a panic, without memory beyond the bound, and without a trace in the log.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::IncrementalAlterConfigsRequest;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::records::Compression;

use super::wire::{ANYBODY, Client, Producer, batch, one, text};
use super::{Own, long, verify_clean};
use crate::avro::{Random, seed};
use crate::sandbox::{say, scratch, wait_for};

/// What a batch unpacks to at most (64 MiB, in a buffer that doubles), on as many threads as there are cores; zstd's
/// window; and what a process has anyway.
const MEMORY: u64 = 768 << 20;

const COMPRESSIONS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// `INVALID_RECORD`.
const INVALID_RECORD: i16 = 87;

/// CRC-32C, a bit at a time.
fn crc(bytes: &[u8]) -> u32 {
    let one = |sum: u32, byte: &u8| {
        let step = |sum: u32, _| if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 };
        (0..8).fold(sum ^ u32::from(*byte), step)
    };
    !bytes.iter().fold(!0, one)
}

/// Length and CRC as they should be, whatever else the bytes say.
fn seal(bytes: &mut [u8]) {
    let length = u32::try_from(bytes.len().saturating_sub(12)).expect("a short batch");
    if let Some(place) = bytes.get_mut(8..12) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    let sum = crc(bytes.get(21..).unwrap_or_default());
    if let Some(place) = bytes.get_mut(17..21) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
}

fn spoil(bytes: &mut Vec<u8>, random: &mut Random) {
    const NUMBERS: [&[u8]; 6] =
        [&[0xff; 4], &[0x7f, 0xff, 0xff, 0xff], &[0x80, 0, 0, 0], &[0; 8], &[0xff; 8], &[0xff, 0xff, 0xff, 0xff, 0x0f]];
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len().max(1));
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 => bytes.truncate(at),
            2 => drop(bytes.splice(at..at, random.pick(&NUMBERS).iter().copied())),
            3 => {
                let number = *random.pick(&NUMBERS);
                let end = (at + number.len()).min(bytes.len());
                bytes.splice(at..end, number.iter().copied()).for_each(drop);
            }
            4 => {
                let again = bytes[at..(at + 1 + random.below(40)).min(bytes.len())].to_vec();
                bytes.splice(at..at, again).for_each(drop);
            }
            // The fields of the header, of which most are numbers.
            _ => {
                let at = random.below(61.min(bytes.len().max(1)));
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = *random.pick(&[0, 1, 2, 0x7f, 0x80, 0xff]);
                }
            }
        }
    }
}

fn spoilt(random: &mut Random) -> Bytes {
    let of = Producer { id: 7, epoch: 0, sequence: i32::try_from(random.below(9)).expect("few"), transactional: false };
    let of = if random.one_in(2) { ANYBODY } else { of };
    let values: Vec<String> = (0..1 + random.below(6)).map(|number| format!("{number} {}", "s".repeat(30))).collect();
    let mut bytes = batch(&values, of, *random.pick(&COMPRESSIONS)).to_vec();
    spoil(&mut bytes, random);
    // Without this the CRC finds it, and nothing behind it is reached.
    if !random.one_in(8) {
        seal(&mut bytes);
    }
    bytes.into()
}

/// A batch in whose place of records stands something else.
fn with_body(compression: Compression, body: &[u8]) -> Bytes {
    let mut bytes = BytesMut::from(&batch(&["x"], ANYBODY, compression)[..61]);
    bytes.extend_from_slice(body);
    seal(&mut bytes);
    bytes.freeze()
}

/// Few bytes that unpack to many, or say so.
fn bombs() -> Vec<Bytes> {
    let zeros = vec![0; 100 << 20];
    let packed = [Compression::Gzip, Compression::Lz4, Compression::Zstd];
    let mut bombs: Vec<Bytes> = packed.into_iter().map(|how| batch(&[&zeros], ANYBODY, how)).collect();
    // Snappy's block begins with how much it unpacks to, alone or in the framing of snappy-java.
    let huge = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0];
    let framed = [&b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01"[..], &8_u32.to_be_bytes(), &huge].concat();
    bombs.extend([with_body(Compression::Snappy, &huge), with_body(Compression::Snappy, &framed)]);
    // A zstd frame whose window is two gigabytes.
    bombs.push(with_body(Compression::Zstd, &[0x28, 0xb5, 0x2f, 0xfd, 0, 0xa8, 0x01, 0, 0]));
    bombs
}

/// Has a topic compacted from now on, as soon as anything is dirty.
fn compact(client: &mut Client, topic: &str) {
    let set = |name: &str, value: &str| AlterableConfig::default().with_name(text(name)).with_value(Some(text(value)));
    let resource = AlterConfigsResource::default().with_resource_type(2).with_resource_name(text(topic));
    let wanted = [("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.0"), ("segment.ms", "1")];
    let resource = resource.with_configs(wanted.into_iter().map(|(name, value)| set(name, value)).collect());
    let answer = client.ask(0, &IncrementalAlterConfigsRequest::default().with_resources(vec![resource]));
    assert_eq!(answer.responses[0].error_code, 0, "{answer:?}");
}

#[test]
fn spoilt_batches_and_bombs_are_answered_and_cost_no_more_than_the_bound() {
    let folder = scratch("spoilt");
    let broker = Own::start(&folder.join("data"), &folder.join("log"));
    let mut client = broker.client();
    assert_eq!(client.create("plain", 1, &[]), 0);
    assert_eq!(client.create("keyed", 1, &[("cleanup.policy", "compact")]), 0);
    let mut random = Random::new(seed());
    let many = if long() { 300_000 } else { 10_000 };
    let mut refused = 0;
    for round in 0..many {
        let topic = if random.one_in(2) { "plain" } else { "keyed" };
        refused += usize::from(client.produce(topic, 0, spoilt(&mut random)).is_err());
        if round % 1000 == 0 {
            assert!(client.produce(topic, 0, one(format!("whole {round}"))).is_ok());
        }
    }
    assert!(refused > many / 2, "{refused} of {many}");

    let bombs = bombs();
    for bomb in &bombs {
        assert_eq!(client.produce("keyed", 0, bomb.clone()), Err(INVALID_RECORD));
        // Where no keys are required nobody looks into it: it is kept as it came, and compaction leaves it so.
        assert!(client.produce("plain", 0, bomb.clone()).is_ok());
    }
    let at_once = |bomb: &Bytes| {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(broker.client().produce("keyed", 0, bomb.clone()), Err(INVALID_RECORD)));
            }
        });
    };
    bombs.iter().for_each(at_once);
    compact(&mut client, "plain");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_for("compaction says why it leaves the topic alone", Duration::from_secs(60), || {
                broker.said().contains("cannot compact").then_some(())
            });
        });
        for round in 0..100 {
            assert!(client.produce("plain", 0, one(format!("meanwhile {round}"))).is_ok());
        }
    });
    assert!(client.produce("plain", 0, one("afterwards")).is_ok());
    let peak = broker.peak();
    say(&format!("{refused} of {many} spoilt batches and {} bombs refused; at most {} MiB", bombs.len(), peak >> 20));
    assert!(peak < MEMORY, "{peak} bytes");
    drop(client);
    broker.stop();
    verify_clean(&folder.join("data"));
}
