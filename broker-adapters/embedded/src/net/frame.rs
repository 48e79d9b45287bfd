//! Frames: a length, and so many bytes; never more in memory than has arrived, and of all connections together
//! never more than a bound.

use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout, timeout_at};

use crate::memory::{FREE, GRANT, LOOK, Memory, Pace, Permit};
use crate::settings::Bounds;

/// A large frame's buffer grows by at most so much at once, as its bytes arrive.
const STEP: usize = 256 * 1024;

/// A request, and the memory that it holds.
pub(crate) struct Frame {
    pub(crate) bytes: Bytes,
    pub(crate) permit: Permit,
}

/// The requests of a connection.
pub(crate) struct Frames<R> {
    read: R,
    buffer: BytesMut,
    memory: Memory,
    most: usize,
    most_control: usize,
    transfer: Duration,
    /// How long the next request may be waited for: the first one not as long as others, for who has never asked
    /// anything only takes a place.
    patience: Duration,
    idle: Duration,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(crate) fn new(read: R, bounds: &Bounds, memory: Memory) -> Self {
        Self {
            read,
            buffer: BytesMut::new(),
            memory,
            most: bounds.request_bytes,
            most_control: bounds.control_request_bytes,
            transfer: bounds.transfer,
            patience: bounds.transfer.min(bounds.idle),
            idle: bounds.idle,
        }
    }

    /// Whether a whole request is there already.
    pub(crate) fn has_another(&self) -> bool {
        length(&self.buffer).is_some_and(|length| self.buffer.len() - 4 >= length)
    }

    /// The next request; `None` where the client has closed between two.
    ///
    /// # Errors
    /// The connection broke, or the client is too slow, silent for too long, or sends what is too long.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Frame>> {
        if self.buffer.is_empty() {
            self.buffer.reserve(4096);
            let read = timeout(self.patience, self.read.read_buf(&mut self.buffer)).await;
            match read {
                Ok(Ok(0)) => return Ok(None),
                Ok(read) => drop(read?),
                // Nothing was asked for a long time: Kafka closes such a connection without a word as well.
                Err(_) => return Ok(None),
            }
        }
        let deadline = Instant::now() + self.transfer;
        let mut permit: Permit = None;
        let slow = |_| io::Error::new(io::ErrorKind::TimedOut, "a request takes too long to arrive");
        let (mut granted, whole) = (FREE, timeout_at(deadline, self.known_length()).await.map_err(slow)??);
        let mut pace = Pace::new();
        while self.buffer.len() < whole {
            let wanted = (whole - self.buffer.len()).min(STEP);
            if self.buffer.len() + wanted > granted {
                let grant = (whole - granted).min(GRANT);
                permit = merged(permit, timeout_at(deadline, self.memory.take(grant)).await.map_err(slow)?);
                granted += grant;
                pace = Pace::new();
            }
            self.buffer.reserve(wanted);
            let look = deadline.min(Instant::now() + LOOK);
            let read = match timeout_at(look, self.read.read_buf(&mut self.buffer)).await {
                Ok(read) => read?,
                Err(elapsed) if look == deadline => return Err(slow(elapsed)),
                Err(_) => {
                    if permit.is_some() {
                        pace.moved(0, &self.memory)?;
                    }
                    continue;
                }
            };
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if permit.is_some() {
                pace.moved(read, &self.memory)?;
            }
        }
        self.patience = self.idle;
        self.buffer.advance(4);
        Ok(Some(Frame { bytes: self.buffer.split_to(whole - 4).freeze(), permit }))
    }

    /// Reads until the length is there; it and the four bytes that say it.
    async fn known_length(&mut self) -> io::Result<usize> {
        loop {
            // The API key stands right behind the length: only Produce may be long.
            if let Some(length) = length(&self.buffer)
                && let Some(key) = self.buffer.get(4..6)
            {
                let most = if key == [0, 0] { self.most } else { self.most_control };
                if length > most {
                    let why = format!("a request of {length} bytes; at most {most} are taken");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, why));
                }
                return Ok(length + 4);
            }
            if length(&self.buffer).is_some_and(|length| length < 8) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a request without a header"));
            }
            self.buffer.reserve(4096);
            if self.read.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// What a frame says of its length; a negative one is longer than any bound.
fn length(buffer: &[u8]) -> Option<usize> {
    let length = u32::from_be_bytes(*buffer.first_chunk::<4>()?);
    usize::try_from(length).ok()
}

fn merged(one: Permit, other: Permit) -> Permit {
    match (one, other) {
        (Some(mut one), Some(other)) => {
            one.merge(other);
            Some(one)
        }
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    fn bounds() -> Bounds {
        Bounds {
            request_bytes: 1_000_000,
            control_request_bytes: 1_000,
            transfer: Duration::from_secs(5),
            idle: Duration::from_secs(5),
            ..Bounds::default()
        }
    }

    fn frame(key: u8, len: usize) -> Vec<u8> {
        let mut bytes = u32::try_from(len).unwrap().to_be_bytes().to_vec();
        bytes.extend([0, key]);
        bytes.resize(4 + len, 7);
        bytes
    }

    #[tokio::test(start_paused = true)]
    async fn frames_come_whole_however_they_are_cut() {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let memory = Memory::new(1_000_000);
        let mut frames = Frames::new(server, &bounds(), memory);
        let bytes: Vec<u8> = [frame(3, 20), frame(0, 300_000), frame(18, 10)].concat();
        let sender = tokio::spawn(async move {
            for piece in bytes.chunks(777) {
                client.write_all(piece).await.unwrap();
            }
        });
        for length in [20, 300_000, 10] {
            let frame = frames.next().await.unwrap().unwrap();
            assert_eq!(frame.bytes.len(), length);
        }
        sender.await.unwrap();
        assert!(frames.next().await.unwrap().is_none(), "closed between two frames");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_long_too_slow_or_too_short_is_refused() {
        for (bytes, why) in [
            (frame(3, 2_000)[..20].to_vec(), "at most 1000 are taken"),
            (vec![0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], "at most 1000000 are taken"),
            (vec![0, 0, 0, 1, 9], "without a header"),
            (frame(0, 500)[..100].to_vec(), "takes too long"),
        ] {
            let (mut client, server) = tokio::io::duplex(64 * 1024);
            client.write_all(&bytes).await.unwrap();
            let mut frames = Frames::new(server, &bounds(), Memory::new(1_000_000));
            let error = frames.next().await.err().unwrap().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_holds_memory_and_stands_still_makes_room_for_who_waits() {
        let memory = Memory::new(600 * 1024);
        let (mut slow, server) = tokio::io::duplex(1024 * 1024);
        slow.write_all(&frame(0, 500_000)[..200_000]).await.unwrap();
        let patient = Bounds { transfer: Duration::from_secs(600), ..bounds() };
        let mut first = Frames::new(server, &patient, memory.clone());
        let (mut quick, server) = tokio::io::duplex(1024 * 1024);
        quick.write_all(&frame(0, 500_000)).await.unwrap();
        let mut second = Frames::new(server, &patient, memory.clone());
        let slow = async {
            let error = first.next().await.err().unwrap().to_string();
            drop(first);
            error
        };
        let (error, frame) = tokio::join!(slow, second.next());
        assert!(error.contains("others wait"), "{error}");
        assert_eq!(frame.unwrap().unwrap().bytes.len(), 500_000);
        assert!(!memory.is_short());
    }

    #[tokio::test(start_paused = true)]
    async fn large_frames_wait_for_memory_and_small_ones_do_not() {
        let memory = Memory::new(600 * 1024);
        let (mut one, server) = tokio::io::duplex(1024 * 1024);
        one.write_all(&frame(0, 500_000)).await.unwrap();
        let mut first = Frames::new(server, &bounds(), memory.clone());
        let held = first.next().await.unwrap().unwrap();
        let (mut two, server) = tokio::io::duplex(1024 * 1024);
        two.write_all(&frame(0, 500_000)).await.unwrap();
        let mut second = Frames::new(server, &bounds(), memory.clone());
        let (mut small, server) = tokio::io::duplex(1024 * 1024);
        small.write_all(&frame(0, 50_000)).await.unwrap();
        assert!(Frames::new(server, &bounds(), memory).next().await.unwrap().is_some());
        tokio::select! {
            biased;
            _ = second.next() => panic!("there is no memory for it"),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        drop(held);
        assert_eq!(second.next().await.unwrap().unwrap().bytes.len(), 500_000);
    }
}
