//! What the place of a talent in a project is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::talent::{base::list::list_query, parts::part, projects::ProjectId, text::Date};

/// What a caller writes of the place of a talent in a project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
#[serde(deny_unknown_fields)]
pub struct TalentProjectFields {
    /// As what.
    pub role: Option<String>,
    /// From when.
    pub start_date: Option<Date>,
    /// Until when.
    pub end_date: Option<Date>,
}

part! {
    /// A project that a talent is or was in.
    TalentProject { project_id: ProjectId, TalentProjectFields } with { #[doc = "Its name."] project_name: String }
    from "SELECT talent_id, project_id, (SELECT name FROM projects WHERE projects.project_id = talent_project_association.project_id) \
        AS project_name, role, start_date, end_date, created_at, updated_at FROM talent_project_association"
}

list_query! {
    /// Which of them to list.
    TalentProjectQuery {
        /// As what.
        role: String = "role = {}",
    }
}
