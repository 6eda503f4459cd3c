//! HTTP of talent.

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

/// The routes of talent.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
}
