//! HTTP of notify.

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

/// The routes of notify.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
}
