//! HTTP of the server about itself.

use std::{fmt::Write as _, net::IpAddr, time::Duration};

use axum::{
    Json, Router,
    extract::{FromRequestParts, Path, Request, State},
    http::{HeaderName, header, request::Parts, uri::Authority},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde_json::json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{queries, queries::Replica};
use crate::{
    app::App,
    http::{
        auth::{self, Admin, Caller, Scope, SystemRead},
        error::{ApiError, ApiResult, OrNotFound as _, Problem},
        page::Page,
    },
    lifecycle::TaskStatus,
};

/// The routes under `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(tasks)).routes(routes!(run_task)).routes(routes!(replicas))
}

/// The routes at the root, for probes and for Prometheus.
pub fn public() -> Router<App> {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).route("/metrics", get(metrics))
}

/// Lists what the server does by itself.
#[utoipa::path(get, path = "/tasks", tag = "system", responses((status = 200, body = Page<TaskStatus>)), extensions(("x-looma-access" = json!("system:read"))))]
async fn tasks(_: SystemRead, State(app): State<App>) -> Json<Page<TaskStatus>> {
    Json(Page { items: app.tasks.list(), next: None })
}

/// Runs a periodic task now, and answers when it has run.
#[utoipa::path(post, path = "/tasks/{name}/run", tag = "system", params(("name" = String, Path)), responses((status = 200, body = TaskStatus), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("admin"))))]
async fn run_task(_: Admin, State(app): State<App>, Path(name): Path<String>) -> ApiResult<Json<TaskStatus>> {
    Ok(Json(app.tasks.run_now(&name).await.or_not_found("task")?))
}

/// Lists the replicas on this database.
#[utoipa::path(get, path = "/replicas", tag = "system", responses((status = 200, body = Page<Replica>)), extensions(("x-looma-access" = json!("system:read"))))]
async fn replicas(_: SystemRead, State(app): State<App>) -> ApiResult<Json<Page<Replica>>> {
    let items = queries::list(&mut app.db.read().await?).await?;
    Ok(Json(Page { items, next: None }))
}

/// The process answers.
async fn healthz() -> Json<serde_json::Value> {
    Json(json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}))
}

/// The database takes a write, and gives it back.
async fn readyz(State(app): State<App>) -> Response {
    let proof = async {
        let wrote = app.clock.now();
        super::beat(&app).await?;
        let read = queries::last_seen(&mut app.db.read().await?, &app.replica).await?;
        anyhow::ensure!(read.is_some_and(|at| at >= wrote), "what was written is not there");
        Ok(())
    };
    match tokio::time::timeout(Duration::from_secs(5), proof).await {
        Ok(Ok(())) => {
            Json(json!({"status": "ready", "database": app.db.kind(), "revision": app.feed.head()})).into_response()
        }
        Ok(Err(error)) => {
            tracing::error!(error = format!("{error:#}"), "not ready");
            ApiError::Unavailable("the database does not take a write".to_owned(), 1).into_response()
        }
        Err(_) => ApiError::Unavailable("the database did not answer in 5 s".to_owned(), 1).into_response(),
    }
}

/// Whether somebody on this machine asks for itself: not a page whose name was made to lead here, nor a proxy for another.
fn is_asked_here(parts: &Parts) -> bool {
    let forwarded = [header::FORWARDED, HeaderName::from_static("x-forwarded-for")];
    if !auth::source(parts).is_loopback() || forwarded.iter().any(|name| parts.headers.contains_key(name)) {
        return false;
    }
    let sent = || parts.headers.get(header::HOST)?.to_str().ok()?.parse::<Authority>().ok();
    let Some(authority) = parts.uri.authority().cloned().or_else(sent) else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The Prometheus text format. Open to who asks on this machine by a name of loopback, otherwise it takes a token.
async fn metrics(State(app): State<App>, request: Request) -> ApiResult<Response> {
    let (mut parts, _) = request.into_parts();
    if !is_asked_here(&parts) {
        Caller::from_request_parts(&mut parts, &app).await?.must(Scope::SystemRead)?;
    }
    let mut out = String::with_capacity(16 << 10);
    app.counts.render(&mut out);
    let _ = writeln!(out, "# HELP looma_feed_revision The newest revision.\n# TYPE looma_feed_revision counter");
    let _ = writeln!(out, "looma_feed_revision {}", app.feed.head());
    let _ = writeln!(out, "# HELP looma_uptime_seconds How long this replica runs.\n# TYPE looma_uptime_seconds gauge");
    let _ = writeln!(out, "looma_uptime_seconds {}", app.clock.uptime().as_secs_f64());
    let _ =
        writeln!(out, "# HELP looma_task_runs_total How often a task has run.\n# TYPE looma_task_runs_total counter");
    for task in app.tasks.list() {
        let _ = writeln!(out, "looma_task_runs_total{{task=\"{}\"}} {}", task.name, task.runs);
    }
    app.registry.counts().render(&mut out);
    app.dns.render(&mut out);
    app.plugins.render(&mut out);
    let samples = app.metrics.counts();
    for (name, kind, help, value) in [
        ("looma_series", "gauge", "Series that are known.", samples.series),
        ("looma_points_in_memory", "gauge", "Points in memory.", samples.points),
        ("looma_samples_accepted_total", "counter", "Samples taken.", samples.accepted),
        ("looma_samples_refused_total", "counter", "Samples refused.", samples.refused),
    ] {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    }
    Ok(([("content-type", "text/plain; version=0.0.4")], out).into_response())
}
