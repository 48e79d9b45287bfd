//! Connections: who may connect, and one request after the other of each, answered in their order as Kafka does.
//!
//! It knows frames and bounds, and nothing of what is in them.

mod frame;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::api::{self, Client};
use crate::memory::{LOOK, Memory, Pace};
use crate::parts::Parts;
use crate::telemetry;

/// An answer is handed to the socket in pieces of this size, each within the time for transfers.
const PIECE: usize = 256 * 1024;
/// Answers are collected while more requests wait in the buffer, up to this.
const COLLECT: usize = 64 * 1024;
/// After an error of accept, for instance no more file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Accepts connections until the future is dropped; with it, all of them end.
pub(crate) async fn listen(shared: Arc<Parts>, listener: TcpListener) {
    let bounds = shared.settings.bounds.clone();
    let (room, memory) = (Arc::new(Semaphore::new(bounds.connections)), Memory::new(bounds.memory_bytes));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            telemetry::connection_refused();
            tracing::warn!(%address, bound = bounds.connections, "a connection is refused: there are as many as allowed");
            continue;
        };
        let (shared, memory) = (Arc::clone(&shared), memory.clone());
        connections.spawn(async move {
            let open = telemetry::connection();
            let client = Client::new(address);
            if let Err(error) = serve(&shared, stream, client, &memory).await {
                tracing::debug!(%address, %error, "a connection is closed");
            }
            drop((place, open));
        });
    }
}

async fn serve(shared: &Arc<Parts>, stream: TcpStream, mut client: Client, memory: &Memory) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (read, mut write) = stream.into_split();
    let mut frames = frame::Frames::new(read, &shared.settings.bounds, memory.clone());
    let mut answers = BytesMut::new();
    let mut held = Vec::new();
    while let Some(request) = frames.next().await? {
        let answer = api::answer(shared, &mut client, request.bytes, memory).await.map_err(io::Error::other)?;
        if let Some(answer) = answer {
            if answers.is_empty() {
                answers = answer.bytes;
            } else {
                answers.extend_from_slice(&answer.bytes);
            }
            held.push((answer.permit, request.permit));
        }
        if answers.len() >= COLLECT || !frames.has_another() {
            send(&mut write, &answers, shared.settings.bounds.transfer, memory).await?;
            // Not kept for the next: it may have been large, and its memory is given back now.
            answers = BytesMut::new();
            held.clear();
        }
    }
    Ok(())
}

async fn send(
    write: &mut (impl AsyncWrite + Unpin),
    answers: &[u8],
    within: Duration,
    memory: &Memory,
) -> io::Result<()> {
    for mut piece in answers.chunks(PIECE) {
        let (deadline, mut pace) = (Instant::now() + within, Pace::new());
        while !piece.is_empty() {
            let look = deadline.min(Instant::now() + LOOK);
            let written = match timeout_at(look, write.write(piece)).await {
                Ok(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written?,
                Err(_) if look == deadline => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answers"));
                }
                Err(_) => 0,
            };
            pace.moved(written, memory)?;
            piece = piece.get(written..).unwrap_or_default();
        }
    }
    Ok(())
}
