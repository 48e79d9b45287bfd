//! The metrics recorder of the process, and the metrics of this crate.

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
const BYTES: &[f64] = &[256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0];
const RECORDS: &[f64] = &[1.0, 10.0, 100.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0, 50000.0];

/// What this program is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Build {
    /// The release.
    pub version: &'static str,
    /// The commit, or `unknown`.
    pub commit: &'static str,
}

/// Why metrics cannot be recorded.
#[derive(Debug, thiserror::Error)]
#[error("cannot record metrics: {0}")]
pub struct MetricsError(String);

/// The recorder of the process, installed once.
#[derive(Debug, Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Installs the recorder; a second call gives the same one. Histograms whose names end in `seconds`,
    /// `bytes` or `records` get fixed buckets, so that they can be added up across processes.
    ///
    /// # Errors
    /// Another recorder is installed already.
    pub fn install(build: &Build) -> Result<Self, MetricsError> {
        static INSTALLED: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();
        let installed = INSTALLED.get_or_init(|| {
            let builder = [("seconds", SECONDS), ("bytes", BYTES), ("records", RECORDS)].into_iter().try_fold(
                PrometheusBuilder::new(),
                |builder, (suffix, buckets)| {
                    builder.set_buckets_for_metric(Matcher::Suffix(suffix.to_owned()), buckets)
                },
            );
            builder.and_then(PrometheusBuilder::install_recorder).map_err(|e| e.to_string())
        });
        let handle = installed.clone().map_err(MetricsError)?;
        describe();
        metrics::gauge!("weir_build_info", "version" => build.version, "commit" => build.commit).set(1.0);
        Ok(Self { handle })
    }

    /// Everything recorded, in Prometheus' text format.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Moves what histograms have gathered to where it takes less room. To be called every few seconds.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

fn describe() {
    metrics::describe_gauge!("weir_build_info", "Which program this is; always 1.");
    metrics::describe_gauge!("weir_role_up", "Whether the role runs now: 1 or 0.");
    metrics::describe_counter!("weir_role_restarts_total", "How often a failed role was started again.");
    metrics::describe_counter!(
        "weir_http_requests_total",
        "HTTP requests answered, by route, method and status class."
    );
    metrics::describe_histogram!("weir_http_request_seconds", "How long HTTP requests took to answer, by route.");
    metrics::describe_gauge!("weir_http_connections", "Open HTTP connections.");
    metrics::describe_counter!(
        "weir_http_connections_cut_total",
        "HTTP connections closed before a request, by reason."
    );
}

pub(crate) fn role_up(role: &str, up: bool) {
    metrics::gauge!("weir_role_up", "role" => role.to_owned()).set(if up { 1.0 } else { 0.0 });
}

pub(crate) fn role_restarted(role: &str) {
    metrics::counter!("weir_role_restarts_total", "role" => role.to_owned()).increment(1);
}

/// `route` is the router's pattern, never the path, so that labels stay bounded.
pub(crate) fn http_request(server: &'static str, route: &str, method: &'static str, status: u16, took: Duration) {
    let class = match status {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    };
    metrics::counter!("weir_http_requests_total", "server" => server, "route" => route.to_owned(), "method" => method, "status" => class)
        .increment(1);
    metrics::histogram!("weir_http_request_seconds", "server" => server, "route" => route.to_owned())
        .record(took.as_secs_f64());
}

pub(crate) fn http_connection_opened(server: &'static str) {
    metrics::gauge!("weir_http_connections", "server" => server).increment(1.0);
}

pub(crate) fn http_connection_closed(server: &'static str) {
    metrics::gauge!("weir_http_connections", "server" => server).decrement(1.0);
}

pub(crate) fn http_connection_cut(server: &'static str, reason: &'static str) {
    metrics::counter!("weir_http_connections_cut_total", "server" => server, "reason" => reason).increment(1);
}
