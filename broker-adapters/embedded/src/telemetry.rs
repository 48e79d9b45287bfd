//! What the broker counts: the only file of this room that names the `metrics` macros.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Instant;

use kafka_protocol::messages::ApiKey;

/// A connection that is open until the value is dropped.
pub(crate) struct Connection;

/// Counts a connection.
pub(crate) fn connection() -> Connection {
    metrics::gauge!("weir_broker_connections").increment(1.0);
    Connection
}

impl Drop for Connection {
    fn drop(&mut self) {
        metrics::gauge!("weir_broker_connections").decrement(1.0);
    }
}

/// A connection too many.
pub(crate) fn connection_refused() {
    metrics::counter!("weir_broker_connections_refused_total").increment(1);
}

/// Written once, not for each request.
static NAMES: LazyLock<HashMap<i16, String>> =
    LazyLock::new(|| ApiKey::iter().map(|api| (api as i16, format!("{api:?}"))).collect());

/// A request that is being answered until the value is dropped.
pub(crate) struct Request {
    api: ApiKey,
    since: Instant,
}

/// Counts a request and how long its answer takes, waiting included.
pub(crate) fn request(api: ApiKey) -> Request {
    Request { api, since: Instant::now() }
}

impl Drop for Request {
    fn drop(&mut self) {
        let api = NAMES.get(&(self.api as i16)).map_or("", String::as_str);
        metrics::histogram!("weir_broker_request_seconds", "api" => api).record(self.since.elapsed());
    }
}

/// Bytes of record batches that were written.
pub(crate) fn produced(bytes: usize) {
    metrics::counter!("weir_broker_produced_bytes_total").increment(bytes as u64);
}

/// Bytes of record batches that were read.
pub(crate) fn fetched(bytes: usize) {
    metrics::counter!("weir_broker_fetched_bytes_total").increment(bytes as u64);
}
