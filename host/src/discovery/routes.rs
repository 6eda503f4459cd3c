//! HTTP of discovery.

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

/// The routes of discovery.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
}
