//! HTTP of users and of signing in.

use utoipa_axum::router::OpenApiRouter;

use super::sessions;
use crate::app::App;

/// The routes of users.
pub fn routes() -> OpenApiRouter<App> {
    sessions::routes()
}
