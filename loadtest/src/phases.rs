//! The load on one broker, part by part: each makes a topic of its own, and counts what came back. Knows the clients
//! and the measured process, and nothing of which broker it is.

use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use peers::{Consumer, Producer};
use serde::Serialize;

use crate::LoadError;
use crate::latency::Latencies;
use crate::process::Process;
use crate::schedule::Schedule;

/// How long nothing may come before what is missing counts as lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// Stands in the place of a record's number in the one that shows that records come through.
const MARKER: u64 = u64::MAX;

/// What all parts of the load have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Bytes of a record's value.
    pub(crate) size: usize,
    /// Partitions of each topic.
    pub(crate) partitions: i32,
}

/// A broker under load.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    pub(crate) bootstrap: &'a str,
    pub(crate) process: &'a Process,
    pub(crate) shape: Shape,
}

/// Records that were moved as fast as it went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moved {
    /// How many.
    pub(crate) records: u64,
    /// In how many seconds.
    pub(crate) seconds: f64,
    /// CPU seconds of the broker meanwhile.
    pub(crate) cpu_seconds: f64,
}

impl Moved {
    /// Records a second.
    pub(crate) fn rate(&self) -> f64 {
        self.records as f64 / self.seconds
    }

    /// Microseconds of the broker's CPU for a record.
    pub(crate) fn cpu_micros(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.records as f64
    }
}

/// Records that were sent by a schedule, and read at the same time.
#[derive(Debug, Clone)]
pub(crate) struct Paced {
    /// How many, and how long.
    pub(crate) moved: Moved,
    /// From when each was due until it was read.
    pub(crate) latencies: Latencies,
}

/// How many records were acknowledged and read in a part of the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Which part.
    pub what: &'static str,
    /// Acknowledged.
    pub sent: u64,
    /// Read.
    pub read: u64,
}

impl Counted {
    pub(crate) fn whole(self) -> Result<Self, LoadError> {
        let Self { what, sent, read } = self;
        if sent == read { Ok(self) } else { Err(LoadError::Lost { what, sent, read }) }
    }
}

impl Target<'_> {
    pub(crate) fn topic(&self, name: &str) -> Result<(), LoadError> {
        Ok(peers::create_topic(self.bootstrap, name, self.shape.partitions)?)
    }

    /// Runs a part, and says how long it took of clock and processor.
    pub(crate) fn measured(&self, part: impl FnOnce() -> Result<u64, LoadError>) -> Result<Moved, LoadError> {
        let (began, before) = (Instant::now(), self.process.usage()?);
        let records = part()?;
        let seconds = began.elapsed().as_secs_f64();
        let cpu = self.process.usage()?.cpu.saturating_sub(before.cpu);
        Ok(Moved { records, seconds, cpu_seconds: cpu.as_secs_f64() })
    }

    /// Sends for so long as fast as it goes, until all is acknowledged.
    pub(crate) fn produce(&self, topic: &str, time: Duration) -> Result<Moved, LoadError> {
        let producer = Producer::new(self.bootstrap, topic, None)?;
        let value = vec![b'w'; self.shape.size];
        self.measured(|| {
            let began = Instant::now();
            while began.elapsed() < time {
                for _ in 0..64 {
                    producer.send(&value)?;
                }
            }
            producer.flush()?;
            Ok(producer.acknowledged())
        })
    }

    /// Reads a topic from its beginning until it has `count` records. What comes in a quarter of a second after the
    /// last is counted too, so that one too many would be seen.
    pub(crate) fn consume(&self, topic: &str, count: u64) -> Result<(Moved, u64), LoadError> {
        let consumer = Consumer::of(self.bootstrap, topic, self.shape.partitions)?;
        let mut read = 0;
        let moved = self.measured(|| {
            while read < count && consumer.next(PATIENCE, |_| ())?.is_some() {
                read += 1;
            }
            Ok(read)
        })?;
        while consumer.next(Duration::from_millis(250), |_| ())?.is_some() {
            read += 1;
        }
        Ok((moved, read))
    }

    /// Commits transactions of so many records one after the other for so long; gives the transactions, and how many
    /// records are in all of them with the one that came before time was taken.
    pub(crate) fn transactions(&self, topic: &str, each: u64, time: Duration) -> Result<(Moved, u64), LoadError> {
        let producer = Producer::transactional(self.bootstrap, topic, topic)?;
        let value = vec![b'w'; self.shape.size];
        let transaction = || -> Result<(), LoadError> {
            producer.begin()?;
            (0..each).try_for_each(|_| producer.send(&value))?;
            Ok(producer.commit()?)
        };
        transaction()?;
        let moved = self.measured(|| {
            let (began, mut done) = (Instant::now(), 0);
            while began.elapsed() < time {
                transaction()?;
                done += 1;
            }
            Ok(done)
        })?;
        Ok((moved, producer.acknowledged()))
    }

    /// Sends by a schedule and reads at the same time; gives how many were read, too.
    pub(crate) fn paced(&self, topic: &str, schedule: Schedule) -> Result<(Paced, u64), LoadError> {
        let producer = Producer::new(self.bootstrap, topic, Some(Duration::ZERO))?;
        let consumer = Consumer::of(self.bootstrap, topic, self.shape.partitions)?;
        let (began, (came, seen)) = (OnceLock::new(), channel());
        let mut value = vec![b'w'; self.shape.size.max(size_of::<u64>())];
        let mut send = |number: u64| {
            if let Some(place) = value.first_chunk_mut() {
                *place = number.to_le_bytes();
            }
            producer.send(&value)
        };
        let mut outcome = (Latencies::default(), 0);
        let moved = std::thread::scope(|scope| {
            let reading = scope.spawn(|| read(&consumer, schedule, &began, came));
            send(MARKER)?;
            await_marker(&seen)?;
            let moved = self.measured(|| {
                schedule.run(*began.get_or_init(Instant::now), send)?;
                producer.flush()?;
                let read = reading.join().map_err(|_| LoadError::program(READ, "the reader panicked"))?;
                outcome = read?;
                Ok(producer.acknowledged().saturating_sub(1))
            })?;
            Ok::<_, LoadError>(moved)
        })?;
        let (latencies, read) = outcome;
        Ok((Paced { moved, latencies }, read))
    }
}

const READ: &str = "read what was sent by schedule";

/// Waits until the marker came through, and with it everything that a client does once.
fn await_marker(seen: &Receiver<()>) -> Result<(), LoadError> {
    let late = |_| LoadError::program(READ, format!("the first record did not come through within {PATIENCE:?}"));
    seen.recv_timeout(PATIENCE).map_err(late)
}

/// Reads until every record of the schedule is there; gives how long they took, and how many came.
fn read(
    consumer: &Consumer,
    schedule: Schedule,
    began: &OnceLock<Instant>,
    came: Sender<()>,
) -> Result<(Latencies, u64), LoadError> {
    let (mut latencies, mut read) = (Latencies::default(), 0);
    while read < schedule.count() {
        let number = |value: &[u8]| value.first_chunk().map_or(MARKER, |bytes| u64::from_le_bytes(*bytes));
        let Some(number) = consumer.next(PATIENCE, number)? else { break };
        let took = began.get().map(|began| began.elapsed().saturating_sub(schedule.due(number)));
        match took {
            _ if number == MARKER => {
                // Whoever waits for it may have given up.
                let _taken = came.send(());
                continue;
            }
            Some(took) if schedule.is_timed(number) => latencies.record(took),
            _ => {}
        }
        read += 1;
    }
    Ok((latencies, read))
}
