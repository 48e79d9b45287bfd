//! A TCP proxy that knows where Kafka's requests begin and end: it can keep one of a kind back, cut the connection
//! it came over, and send it to the broker later, as a network does that delivers late.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The kinds of requests that tests keep back, by Kafka's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// Commits or aborts a transaction.
    EndTxn = 26,
    /// Adds offsets of a group to a transaction.
    TxnOffsetCommit = 28,
}

/// A request that was kept back, and the broker's side of the connection it came over.
struct Held {
    kind: Request,
    version: i16,
    frame: Vec<u8>,
    broker: TcpStream,
}

#[derive(Default)]
struct State {
    /// The next request of this kind is kept back.
    armed: Option<Request>,
    /// Before the next request of this kind, what was kept back is sent.
    release_before: Option<Request>,
    held: Option<Held>,
    /// The answer to what was sent late, which nobody waits for on the other side any more.
    answer: Option<Vec<u8>>,
    error_from_end: usize,
}

type Shared = Arc<(Mutex<State>, Condvar)>;

/// See the module. Ends with the test process.
pub(crate) struct Proxy {
    shared: Shared,
}

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.0.lock().unwrap_or_else(PoisonError::into_inner)
}

fn frame(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut size = [0; 4];
    from.read_exact(&mut size)?;
    let mut frame = size.to_vec();
    let size = u64::from(u32::from_be_bytes(size));
    let read = from.take(size).read_to_end(&mut frame)?;
    if u64::try_from(read).unwrap_or(0) == size { Ok(frame) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn short(frame: &[u8], at: usize) -> Option<i16> {
    Some(i16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?))
}

fn is(frame: &[u8], kind: Request) -> bool {
    short(frame, 4) == Some(kind as i16)
}

impl Proxy {
    /// Passes everything between `port` and the broker at `upstream`.
    pub(crate) fn start(port: u16, upstream: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("a port that was free");
        let shared = Shared::default();
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(broker) = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream)) else { continue };
                pass(client, broker, &accepting);
            }
        });
        Self { shared }
    }

    /// The next request of this kind is kept back and its connection cut.
    pub(crate) fn hold_next(&self, kind: Request) {
        lock(&self.shared).armed = Some(kind);
    }

    /// Kind and version of what is kept back.
    pub(crate) fn held(&self) -> Option<(Request, i16)> {
        lock(&self.shared).held.as_ref().map(|held| (held.kind, held.version))
    }

    /// Sends what is kept back; gives the error code of the broker's answer, 0 where it took it.
    pub(crate) fn release(&self) -> i16 {
        release(&self.shared);
        self.answer()
    }

    /// Sends what is kept back when the next request of this kind comes, just before it.
    pub(crate) fn release_before(&self, kind: Request) {
        lock(&self.shared).release_before = Some(kind);
    }

    /// The error code of the answer to what was released last.
    pub(crate) fn answer(&self) -> i16 {
        let answer = await_answer(&self.shared);
        let from_end = lock(&self.shared).error_from_end;
        short(&answer, answer.len() - from_end).expect("an answer holds an error code")
    }
}

fn release(shared: &Shared) {
    let mut state = lock(shared);
    let mut held = state.held.take().expect("a request was kept back");
    state.answer = None;
    // Where the error code stands, from the end: newer versions have tagged fields after it, empty ones.
    state.error_from_end = match (held.kind, held.version) {
        (Request::EndTxn, ..3) | (Request::TxnOffsetCommit, ..3) => 2,
        (Request::EndTxn, _) => 3,
        (Request::TxnOffsetCommit, _) => 5,
    };
    drop(state);
    held.broker.write_all(&held.frame).expect("the broker's side of the connection is open");
}

fn await_answer(shared: &Shared) -> Vec<u8> {
    let (_, arrived) = &**shared;
    let limit = Duration::from_secs(20);
    let waiting = arrived.wait_timeout_while(lock(shared), limit, |state| state.answer.is_none());
    let (state, _) = waiting.unwrap_or_else(PoisonError::into_inner);
    state.answer.clone().expect("the broker answers what was sent late")
}

fn pass(client: TcpStream, broker: TcpStream, shared: &Shared) {
    let (Ok(mut from_client), Ok(mut to_client)) = (client.try_clone(), client.try_clone()) else { return };
    let (Ok(mut from_broker), mut to_broker) = (broker.try_clone(), broker) else { return };
    let answers = Arc::clone(shared);
    thread::spawn(move || {
        while let Ok(frame) = frame(&mut from_broker) {
            // The connection of what was kept back is cut on the other side: nobody there waits for this.
            if to_client.write_all(&frame).is_err() {
                lock(&answers).answer = Some(frame);
                answers.1.notify_all();
            }
        }
        let _gone = to_client.shutdown(Shutdown::Both);
    });
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        while let Ok(frame) = frame(&mut from_client) {
            let mut state = lock(&shared);
            if let Some(kind) = state.armed.filter(|kind| is(&frame, *kind)) {
                state.armed = None;
                let version = short(&frame, 6).unwrap_or(-1);
                state.held = Some(Held { kind, version, frame, broker: to_broker });
                drop(state);
                let _gone = client.shutdown(Shutdown::Both);
                return;
            }
            let late = state.release_before.filter(|kind| is(&frame, *kind)).is_some();
            if late {
                state.release_before = None;
            }
            drop(state);
            if late {
                release(&shared);
                await_answer(&shared);
            }
            if to_broker.write_all(&frame).is_err() {
                break;
            }
        }
        let _gone = to_broker.shutdown(Shutdown::Both);
    });
}
