//! HTTP of registry.

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

/// The routes of registry.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
}
