//! HTTP of alerts.

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

/// The routes of alerts.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
}
