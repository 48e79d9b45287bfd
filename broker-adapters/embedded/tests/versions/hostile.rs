//! Requests that were spoilt on the way, and bytes that are none: whatever comes, the broker neither panics nor asks
//! for memory that nobody sent, and answers the next client.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use bytes::BytesMut;
use kafka_protocol::messages::{ApiKey, RequestHeader};
use kafka_protocol::protocol::{Encodable, StrBytes};

use crate::requests::{World, request_for};

/// A frame of each API in each version that the crate has a request for.
fn frames() -> Vec<Vec<u8>> {
    let world = World { topic: "hostile".to_owned(), prefix: "hostile".to_owned(), ..World::default() };
    let mut frames = Vec::new();
    for api in ApiKey::iter() {
        for version in 0..=api.valid_versions().max {
            let Some(request) = request_for(api, version, &world) else { continue };
            let mut bytes = BytesMut::new();
            let header = RequestHeader::default()
                .with_request_api_key(api as i16)
                .with_request_api_version(version)
                .with_client_id(Some(StrBytes::from_static_str("hostile")));
            let whole = header.encode(&mut bytes, api.request_header_version(version));
            if whole.and_then(|()| request.encode(&mut bytes, version)).is_ok() {
                frames.push(bytes.to_vec());
            }
        }
    }
    frames
}

/// The same numbers in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, many: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (many.max(1) as u64)).unwrap_or(0)
    }
}

/// Flips, cuts, repeats and overwrites bytes behind the API and its version; sometimes those too.
fn spoil(frame: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = frame.to_vec();
    for _ in 0..1 + dice.below(4) {
        let from = if dice.below(8) == 0 { 0 } else { 8 };
        let at = (from + dice.below(bytes.len().saturating_sub(from))).min(bytes.len().saturating_sub(1));
        match dice.below(6) {
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => bytes.truncate(at.max(8)),
            2 => bytes.splice(at..at, [0xff, 0xff, 0xff, 0xff, 0x0f]).for_each(drop),
            3 => bytes.splice(at..at, [0x7f, 0xff, 0xff, 0xff]).for_each(drop),
            4 => {
                let part = bytes[at..(at + dice.below(16)).min(bytes.len())].to_vec();
                bytes.splice(at..at, part).for_each(drop);
            }
            _ => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][dice.below(5)],
        }
    }
    bytes
}

/// Sends a frame and reads what comes until the broker closes, or a moment has passed.
fn send(address: &str, frame: &[u8]) {
    let mut stream = TcpStream::connect(address).expect("the broker accepts");
    stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket of ours");
    let length = u32::try_from(frame.len()).expect("a short frame").to_be_bytes();
    let sent = stream.write_all(&length).and_then(|()| stream.write_all(frame));
    let _it_may_have_closed = sent.and_then(|()| stream.shutdown(Shutdown::Write));
    let mut answer = [0; 4096];
    while stream.read(&mut answer).is_ok_and(|read| read > 0) {}
}

/// Spoilt requests, so many, and connections that break off or promise too much.
pub(crate) fn spoilt_requests(address: &str, many: usize) {
    let (frames, mut dice) = (frames(), Dice(0x2545_f491_4f6c_dd1d));
    assert!(frames.len() > 150, "{}", frames.len());
    for _ in 0..many {
        let which = dice.below(frames.len());
        send(address, &spoil(&frames[which], &mut dice));
    }
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 64], &[0, 0, 0, 4, 0, 0], &[0x7f, 0xff, 0xff, 0xff, 0, 0]] {
        let mut stream = TcpStream::connect(address).expect("the broker accepts");
        let _it_may_have_closed = stream.write_all(bytes);
    }
}
