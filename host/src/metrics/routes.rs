//! HTTP of metrics.

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

/// The routes of metrics.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
}
