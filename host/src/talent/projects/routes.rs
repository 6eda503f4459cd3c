//! HTTP of projects.

use super::types::{Project, ProjectFields, ProjectQuery};

crate::talent::base::routes::resource_routes!(
    Project,
    ProjectFields,
    ProjectQuery,
    "projects",
    "/projects",
    "/projects/{id}",
    "/projects/{id}/restore"
);
