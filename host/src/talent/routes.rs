//! HTTP of talents and of what belongs to them.

use utoipa_axum::router::OpenApiRouter;

use super::{companies, parts, projects, recommendations, skills, talents};
use crate::app::App;

/// The routes of talents, skills, companies and projects.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(talents::routes())
        .merge(skills::routes())
        .merge(companies::routes())
        .merge(projects::routes())
        .merge(parts::routes())
        .merge(recommendations::routes())
}
