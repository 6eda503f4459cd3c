//! HTTP of the registry, gathered.

use utoipa_axum::router::OpenApiRouter;

use super::{discovery, nodes, services, topology};
use crate::app::App;

/// The routes of services, nodes, discovery and topology.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(services::routes())
        .merge(nodes::routes())
        .merge(discovery::routes())
        .merge(topology::routes())
}
