//! HTTP of the registry, gathered.

use utoipa_axum::router::OpenApiRouter;

use super::{discovery, nodes, services};
use crate::app::App;

/// The routes of services, nodes and discovery.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().merge(services::routes()).merge(nodes::routes()).merge(discovery::routes())
}
