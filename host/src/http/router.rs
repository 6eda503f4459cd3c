//! The whole API on one page.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, OriginalUri},
    http::{HeaderValue, header},
    middleware,
    response::{IntoResponse as _, Redirect},
    routing::get,
};
use tower_http::{catch_panic::CatchPanicLayer, set_header::SetResponseHeaderLayer, timeout::RequestBodyDeadlineLayer};
use utoipa::{OpenApi as _, openapi::OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::{body, error::ApiError, idempotency, openapi::Document, request};
use crate::{
    alerts, app::App, audit, discovery, feed, gateway, metrics, notify, plugins, registry, secrets, system, talent,
    users,
};

/// Where the API stands.
pub const BASE: &str = "/api/v1";

/// What the page that shows the API may do: run its own scripts, and ask this server.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Whether the answers of a path show secrets: such an answer is stored nowhere, and never kept for an `Idempotency-Key`.
fn shows_secrets(path: &str) -> bool {
    path.strip_prefix(BASE).is_some_and(|path| path == "/tokens" || path.starts_with("/auth/"))
        || path.starts_with(gateway::NACOS_SIGN_IN)
}

fn api() -> OpenApiRouter<App> {
    let v1 = OpenApiRouter::new()
        .merge(users::routes())
        .merge(secrets::routes())
        .merge(plugins::routes())
        .merge(registry::routes())
        .merge(discovery::routes())
        .merge(feed::routes())
        .merge(metrics::routes())
        .merge(alerts::routes())
        .merge(notify::routes())
        .merge(talent::routes())
        .merge(audit::routes())
        .merge(system::routes());
    OpenApiRouter::with_openapi(Document::openapi()).nest(BASE, v1)
}

/// The OpenAPI document of the handlers.
pub fn document() -> OpenApi {
    api().into_openapi()
}

fn docs() -> Router<App> {
    let policy = HeaderValue::from_static(DOCS_POLICY);
    Router::from(SwaggerUi::new("/api/docs").config(Config::from("/api/openapi.json")))
        .layer(SetResponseHeaderLayer::overriding(header::CONTENT_SECURITY_POLICY, policy))
}

/// Everything that is served.
pub fn router(app: App) -> Router {
    let (routes, document) = api().split_for_parts();
    body::set_components(&document);
    let layer = request::Layer {
        ids: app.ids.clone(),
        clock: app.clock.clone(),
        feed: app.feed.clone(),
        counts: app.counts.clone(),
        shows_secrets,
    };
    let limit = app.settings.server.body_limit;
    let keys = idempotency::Layer {
        db: app.db.clone(),
        clock: app.clock.clone(),
        auth: app.auth.clone(),
        tasks: app.tasks.clone(),
        running: idempotency::Running::default(),
        limit,
        exempt: shows_secrets,
    };
    let patience = Duration::from_secs(app.settings.server.request_timeout_seconds);
    routes
        .layer(middleware::from_fn_with_state(keys, idempotency::around))
        .merge(system::public())
        .merge(gateway::routes(&app, users::sign_in))
        .route("/", get(|| async { Redirect::temporary("/api/docs/") }))
        .route("/api/openapi.json", get(|| async move { Json(document) }))
        .merge(docs())
        .fallback(|OriginalUri(uri): OriginalUri| async move { ApiError::NotFound(format!("path {}", uri.path())) })
        .method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed })
        .layer(DefaultBodyLimit::max(limit))
        .layer(RequestBodyDeadlineLayer::new(patience))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            ApiError::Internal(anyhow::anyhow!("a handler panicked")).into_response()
        }))
        .layer(middleware::from_fn_with_state(layer, request::around))
        .with_state(app)
}
