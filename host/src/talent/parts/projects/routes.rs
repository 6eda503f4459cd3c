//! HTTP of projects of talents.

use super::types::{TalentProject, TalentProjectFields, TalentProjectQuery};

crate::talent::parts::routes::part_routes!(
    pointed
    TalentProject,
    TalentProjectFields,
    TalentProjectQuery,
    "projects",
    "/talents/{id}/projects",
    "/talents/{id}/projects/{part}"
);
