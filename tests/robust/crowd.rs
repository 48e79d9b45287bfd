//! Slow, half-open and lying clients beside a healthy one: it is answered, every time, and the broker's memory stays
//! within its bound.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::wire::{Client, FETCH, PRODUCE, fetch_request, frame, one, produce_request};
use super::{Own, long, verify_clean};
use crate::sandbox::{say, scratch, wait_for};

/// Requests and answers of all connections together (256 MiB), what each connection may have without asking
/// (64 KiB of 2,000), answers that are being put together and are there twice, and what a process has anyway.
const MEMORY: u64 = 640 << 20;

/// As many connections as the broker has places for, and more.
const PLACES: usize = 2_000;

/// Each bad client does something once in this time.
const TURN: Duration = Duration::from_secs(1);

/// Times of a healthy client's requests: produces, and reads back what it produced, small and large.
fn healthy(client: &mut Client, rounds: usize) -> Vec<Duration> {
    let mut took = Vec::new();
    for round in 0..rounds {
        let begun = Instant::now();
        let size = if round % 20 == 19 { 200_000 } else { 200 };
        let value = format!("{round} {}", "h".repeat(size));
        let offset = client.produce("healthy", 0, one(&value)).expect("its batch is taken");
        let data = client.fetch("healthy", 0, offset, false);
        let records = data.records.expect("its batch is there");
        assert!(data.error_code == 0 && records.windows(16).any(|part| part == &value.as_bytes()[..16]));
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    took
}

fn p99(times: &[Duration]) -> Duration {
    times[times.len() * 99 / 100]
}

/// What one kind of client does to its connection, again and again, until it is over.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Sends a byte a second of a request.
    ByteByByte,
    /// Sends half of a large request and no more.
    Half,
    /// Says that a hundred megabytes come, and sends a few.
    Liar,
    /// Asks for megabytes again and again, and reads nothing.
    Deaf,
}

/// Length, Produce in version 9, and a few bytes that fit.
const LIE: &[u8] = &[6, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0];

const KINDS: [Kind; 4] = [Kind::ByteByByte, Kind::Half, Kind::Liar, Kind::Deaf];

struct Bad {
    kind: Kind,
    stream: TcpStream,
    next: Instant,
    sent: usize,
}

impl Bad {
    fn new(kind: Kind, address: &str) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_nonblocking(true).ok()?;
        Some(Self { kind, stream, next: Instant::now(), sent: 0 })
    }

    /// Does what it does, where it is time; says whether its connection is still there.
    fn act(&mut self, half: &[u8], deaf: &[u8]) -> bool {
        if Instant::now() < self.next {
            return true;
        }
        self.next = Instant::now() + TURN;
        let bytes = match self.kind {
            Kind::ByteByByte => half.get(self.sent..=self.sent).unwrap_or_default(),
            Kind::Half => half[..half.len() / 2].get(self.sent..).unwrap_or_default(),
            Kind::Liar => LIE.get(self.sent..).unwrap_or_default(),
            Kind::Deaf => deaf,
        };
        match self.stream.write(bytes) {
            Ok(sent) => self.sent += sent,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
        match self.kind {
            Kind::Deaf => true,
            _ => !matches!(self.stream.read(&mut [0; 64]), Ok(0)),
        }
    }
}

/// All of them, until `over`; gives how often one was hung up on and came again. Counts in `turns` how often each has
/// done what it does.
fn crowd(address: &str, each: usize, turns: &AtomicUsize, over: &AtomicBool) -> usize {
    let half = frame(PRODUCE, 1, &produce_request("healthy", 0, one("u".repeat(900_000)), None));
    let ask = frame(FETCH, 1, &fetch_request("large", 0, 0, 16 << 20, false));
    let deaf = ask.repeat(20);
    let kinds = KINDS.into_iter().flat_map(|kind| std::iter::repeat_n(kind, each));
    let mut all: Vec<Bad> = kinds.filter_map(|kind| Bad::new(kind, address)).collect();
    let (mut again, mut last) = (0, Instant::now());
    while !over.load(Ordering::SeqCst) {
        for bad in &mut all {
            if !bad.act(&half, &deaf)
                && let Some(new) = Bad::new(bad.kind, address)
            {
                *bad = new;
                again += 1;
            }
        }
        if last.elapsed() > TURN {
            last = Instant::now();
            turns.fetch_add(1, Ordering::SeqCst);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    again
}

#[test]
fn a_healthy_client_is_answered_beside_any_number_of_bad_ones_within_the_memory_bound() {
    let folder = scratch("crowd");
    let broker = Own::start(&folder.join("data"), &folder.join("log"));
    let mut client = broker.client();
    assert_eq!(client.create("healthy", 1, &[]), 0);
    assert_eq!(client.create("large", 1, &[]), 0);
    for _ in 0..20 {
        assert!(client.produce("large", 0, one("l".repeat(1_000_000))).is_ok());
    }
    let rounds = if long() { 20_000 } else { 2_000 };
    let alone = p99(&healthy(&mut client, rounds));
    let (turns, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (beside, again) = std::thread::scope(|scope| {
        let crowd = scope.spawn(|| crowd(&broker.address(), 100, &turns, &over));
        wait_for("every bad one is there", Duration::from_secs(60), || {
            (turns.load(Ordering::SeqCst) >= 2).then_some(())
        });
        let mut times = healthy(&mut client, rounds);
        while turns.load(Ordering::SeqCst) < if long() { 90 } else { 8 } {
            times.extend(healthy(&mut client, 100));
        }
        // One that comes anew is served as well.
        times.extend(healthy(&mut broker.client(), rounds / 10));
        times.sort_unstable();
        over.store(true, Ordering::SeqCst);
        (p99(&times), crowd.join().expect("it does not panic"))
    });
    let peak = broker.peak();
    let ratio = beside.as_secs_f64() / alone.as_secs_f64();
    say(&format!(
        "beside 400 bad clients ({again} hung up on): p99 {beside:.1?}, alone {alone:.1?}: {ratio:.1} times; \
         at most {} MiB",
        peak >> 20
    ));
    assert!(peak < MEMORY, "{peak} bytes");

    // As many connections as there may be, and more: who is there already is served, and so is who comes when they go.
    let held: Vec<TcpStream> = (0..PLACES + 500).filter_map(|_| TcpStream::connect(broker.address()).ok()).collect();
    let beside = p99(&healthy(&mut client, rounds / 4));
    say(&format!("beside {} silent connections: p99 {beside:.1?}; at most {} MiB", held.len(), broker.peak() >> 20));
    assert!(broker.peak() < MEMORY);
    drop(held);
    wait_for("a new client is served", Duration::from_secs(30), || {
        let mut new = Client::try_connect(&broker.address()).ok()?;
        new.try_ask(FETCH, &fetch_request("healthy", 0, 0, 1000, false)).ok()
    });
    drop(client);
    broker.stop();
    verify_clean(&folder.join("data"));
}
