//! The one HTTP accept loop. It bounds everything that a peer controls: connections, the wait for the
//! first byte and for the head, the size of head and body, the time of a request, and idle connections;
//! and it drains when the process stops.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use crate::shutdown::Shutdown;
use crate::telemetry;

/// How an HTTP/2 connection begins; HTTP/1 never begins so.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Between two looks at a connection that has sent a part of the preface only.
const SNIFF_AGAIN: Duration = Duration::from_millis(20);
/// After the operating system had no room for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The bounds of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The server's name in metrics: "registry", "admin".
    pub server: &'static str,
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// From connecting to the first bytes.
    pub first_byte: Duration,
    /// For the head of a request, and for an idle connection between requests.
    pub head: Duration,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// From a request's head to the head of its answer.
    pub request: Duration,
    /// Between two pings of an HTTP/2 connection, and for their answers.
    pub keep_alive: Duration,
    /// Streams at once on an HTTP/2 connection.
    pub streams: u32,
    /// For requests in flight once the process is stopping.
    pub drain: Duration,
}

impl Limits {
    /// The bounds every server has unless there is a reason for others.
    pub fn of(server: &'static str) -> Self {
        Self {
            server,
            connections: 4096,
            first_byte: Duration::from_secs(3),
            head: Duration::from_secs(3),
            head_bytes: 64 * 1024,
            body_bytes: 2 * 1024 * 1024,
            request: Duration::from_secs(30),
            keep_alive: Duration::from_secs(10),
            streams: 100,
            drain: Duration::from_secs(20),
        }
    }
}

/// Serves `router` on `listener` until the process stops, then waits for requests in flight. What a peer
/// does wrong ends its connection, never the server.
///
/// # Errors
/// The listener itself is broken.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, shutdown: Shutdown) -> io::Result<()> {
    let router = guarded(router, &limits);
    let places = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let builder = builder(&limits);
    let limits = Arc::new(limits);
    loop {
        let place = tokio::select! {
            () = shutdown.stopped() => break,
            place = Arc::clone(&places).acquire_owned() => place.map_err(io::Error::other)?,
        };
        let accepted = tokio::select! {
            () = shutdown.stopped() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) if is_of_the_peer(&error) => continue,
            Err(error) if is_lack_of_room(&error) => {
                tracing::warn!(%error, "no room for a connection; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        let connection = Connection {
            router: router.clone(),
            builder: builder.clone(),
            limits: Arc::clone(&limits),
            shutdown: shutdown.clone(),
            watcher: graceful.watcher(),
        };
        tokio::spawn(async move {
            telemetry::http_connection_opened(connection.limits.server);
            let server = connection.limits.server;
            connection.run(stream).await;
            telemetry::http_connection_closed(server);
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(server = limits.server, "requests were still in flight when the time to drain was over");
    }
    Ok(())
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.head).max_buf_size(limits.head_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.keep_alive)
        .keep_alive_timeout(limits.keep_alive)
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX));
    builder
}

/// The router within the bounds of a request. The outermost layer counts, so that it counts refusals too.
fn guarded(router: Router, limits: &Limits) -> Router {
    let server = limits.server;
    let count = from_fn(move |request: Request, next: Next| count(server, request, next));
    router
        .layer(DefaultBodyLimit::max(limits.body_bytes))
        .layer(RequestBodyLimitLayer::new(limits.body_bytes))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, limits.request))
        .layer(CatchPanicLayer::custom(move |_: Box<dyn std::any::Any + Send>| {
            tracing::error!(server, "a request handler panicked");
            (StatusCode::INTERNAL_SERVER_ERROR, "this is a mistake of the program; its log says more\n").into_response()
        }))
        .layer(count)
}

async fn count(server: &'static str, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = method_name(request.method());
    let response = next.run(request).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    telemetry::http_request(server, route, method, response.status().as_u16(), started.elapsed());
    response
}

/// A method is free text that a peer chooses; a label is not.
fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "PATCH" => "PATCH",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// EMFILE, ENFILE, ENOBUFS and ENOMEM pass when connections close.
fn is_lack_of_room(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24 | 105 | 12))
}

struct Connection {
    router: Router,
    builder: Builder<TokioExecutor>,
    limits: Arc<Limits>,
    shutdown: Shutdown,
    watcher: Watcher,
}

impl Connection {
    async fn run(self, stream: TcpStream) {
        let sniffed = tokio::select! {
            () = self.shutdown.stopped() => return,
            sniffed = tokio::time::timeout(self.limits.first_byte, sniff(&stream)) => sniffed,
        };
        let http2 = match sniffed {
            Ok(Ok(Some(http2))) => http2,
            Ok(Ok(None) | Err(_)) => return telemetry::http_connection_cut(self.limits.server, "closed"),
            Err(_) => return telemetry::http_connection_cut(self.limits.server, "silent"),
        };
        // Answers are small; waiting to fill a packet only adds latency. Failing at it is harmless.
        drop(stream.set_nodelay(true));
        let builder = if http2 { self.builder.http2_only() } else { self.builder.http1_only() };
        let service = TowerToHyperService::new(self.router);
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        if let Err(error) = self.watcher.watch(connection).await {
            tracing::debug!(error, "a connection ended badly");
        }
    }
}

/// Looks at the first bytes without taking them: whether they are HTTP/2's preface; `None` where the peer
/// went away. hyper would read a preface without a timeout, so the protocol is decided here, where there is one.
async fn sniff(stream: &TcpStream) -> io::Result<Option<bool>> {
    let mut bytes = [0; HTTP2_PREFACE.len()];
    loop {
        let seen = stream.peek(&mut bytes).await?;
        let seen = bytes.get(..seen).unwrap_or_default();
        if seen.is_empty() {
            return Ok(None);
        }
        if !HTTP2_PREFACE.starts_with(seen) {
            return Ok(Some(false));
        }
        if seen.len() == HTTP2_PREFACE.len() {
            return Ok(Some(true));
        }
        tokio::time::sleep(SNIFF_AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;
    use tokio::task::JoinHandle;

    use super::*;

    struct Running {
        address: SocketAddr,
        shutdown: Shutdown,
        ended: JoinHandle<io::Result<()>>,
    }

    async fn start(router: Router, adjust: impl FnOnce(&mut Limits)) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut limits = Limits::of("test");
        adjust(&mut limits);
        let shutdown = Shutdown::new();
        let ended = tokio::spawn(serve(listener, router, limits, shutdown.clone()));
        Running { address, shutdown, ended }
    }

    async fn exchange(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A refused body may end in a reset after the answer.
        drop(stream.read_to_end(&mut answer).await);
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn hello() -> Router {
        Router::new().route("/hello", get(|| async { "hello" }))
    }

    const HELLO: &str = "GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn half_open_connections_are_closed_and_hold_back_nobody() {
        let server = start(hello(), |limits| {
            (limits.first_byte, limits.head) = (Duration::from_millis(300), Duration::from_millis(300));
        })
        .await;
        let mut hostile = Vec::new();
        for opening in ["", "P", "PRI * HTTP/2.0\r\n", "GET /hello HTT", "GET /hello HTTP/1.1\r\nhost: x\r\n"] {
            for _ in 0..40 {
                let mut stream = TcpStream::connect(server.address).await.unwrap();
                stream.write_all(opening.as_bytes()).await.unwrap();
                hostile.push((opening, stream));
            }
        }
        let healthy = tokio::time::timeout(Duration::from_secs(2), exchange(server.address, HELLO)).await.unwrap();
        assert!(healthy.ends_with("hello"), "{healthy}");
        for (opening, mut stream) in hostile {
            let mut rest = Vec::new();
            let closed = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await;
            assert!(closed.is_ok(), "a connection that sent {opening:?} stayed open");
        }
    }

    #[tokio::test]
    async fn idle_connections_make_room_for_others() {
        let server = start(hello(), |limits| {
            limits.connections = 2;
            limits.first_byte = Duration::from_millis(200);
        })
        .await;
        let _silent =
            (TcpStream::connect(server.address).await.unwrap(), TcpStream::connect(server.address).await.unwrap());
        let healthy = tokio::time::timeout(Duration::from_secs(10), exchange(server.address, HELLO)).await.unwrap();
        assert!(healthy.ends_with("hello"), "{healthy}");
    }

    #[tokio::test]
    async fn requests_are_bounded() {
        let router = Router::new()
            .route("/echo", post(|body: String| async { body }))
            .route("/slow", get(|| async { std::future::pending::<()>().await }))
            .route(
                "/mistake",
                get(|| async {
                    if true {
                        panic!("a mistake")
                    }
                }),
            );
        let server = start(router, |limits| {
            limits.body_bytes = 10;
            limits.request = Duration::from_millis(100);
        })
        .await;
        let request = |line: &str, rest: &str| format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{rest}");
        let body = request("POST /echo", "content-length: 11\r\n\r\nhello world");
        assert!(exchange(server.address, &body).await.starts_with("HTTP/1.1 413"));
        let chunked = request("POST /echo", "transfer-encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n");
        assert!(exchange(server.address, &chunked).await.starts_with("HTTP/1.1 413"));
        assert!(exchange(server.address, &request("GET /slow", "\r\n")).await.starts_with("HTTP/1.1 503"));
        assert!(exchange(server.address, &request("GET /mistake", "\r\n")).await.starts_with("HTTP/1.1 500"));
        assert!(exchange(server.address, &request("GET /none", "\r\n")).await.starts_with("HTTP/1.1 404"));
    }

    #[tokio::test]
    async fn a_request_in_flight_is_answered_before_the_end() {
        let (entered, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (seen, wait) = (Arc::clone(&entered), Arc::clone(&go_on));
        let router = Router::new().route(
            "/slow",
            get(move || async move {
                seen.notify_one();
                wait.notified().await;
                "late but whole"
            }),
        );
        let server = start(router, |_| ()).await;
        let client = tokio::spawn(exchange(server.address, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n"));
        entered.notified().await;
        server.shutdown.stop();
        go_on.notify_one();
        assert!(client.await.unwrap().ends_with("late but whole"));
        server.ended.await.unwrap().unwrap();
        assert!(TcpStream::connect(server.address).await.is_err(), "the listener is closed");
    }
}
