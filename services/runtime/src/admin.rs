//! The admin end points of a process: `/livez`, `/readyz`, `/startupz`, `/metrics`, `/version`. They are
//! served on an address of their own, which is not for the public.

use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use crate::health::Health;
use crate::shutdown::Shutdown;
use crate::telemetry::{Build, Metrics};

#[derive(Clone)]
struct Admin {
    health: Health,
    metrics: Metrics,
    build: Build,
}

/// The routes.
pub fn router(health: Health, metrics: Metrics, build: Build) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/startupz", get(startupz))
        .route("/metrics", get(render_metrics))
        .route("/version", get(version))
        .with_state(Admin { health, metrics, build })
}

/// Keeps the recorder small until the process stops.
pub async fn upkeep(metrics: Metrics, shutdown: Shutdown) {
    while tokio::time::timeout(Duration::from_secs(5), shutdown.stopped()).await.is_err() {
        metrics.upkeep();
    }
}

/// The event loop turns; nothing else is asked, so that a broker that is away restarts nobody.
async fn livez() -> &'static str {
    "alive\n"
}

async fn readyz(State(admin): State<Admin>) -> Response {
    let report = admin.health.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}

async fn startupz(State(admin): State<Admin>) -> Response {
    let status = if admin.health.has_started() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(admin.health.report())).into_response()
}

async fn render_metrics(State(admin): State<Admin>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], admin.metrics.render()).into_response()
}

async fn version(State(admin): State<Admin>) -> Json<Build> {
    Json(admin.build)
}
