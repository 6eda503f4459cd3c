//! HTTP of audit.

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

/// The routes of audit.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
}
