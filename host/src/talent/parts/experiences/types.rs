//! What an experience of a talent is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    id,
    talent::{base::list::list_query, companies::CompanyId, parts::part, text::Date},
};

id! {
    /// An experience.
    ExperienceId,
}

/// What a caller writes of an experience of a talent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
#[serde(deny_unknown_fields)]
pub struct ExperienceFields {
    /// For whom.
    pub company_name: String,
    /// Which of the companies that is, if it is one.
    pub company_id: Option<CompanyId>,
    /// As what.
    pub position: String,
    /// What was done.
    pub description: Option<String>,
    /// From when.
    pub start_date: Option<Date>,
    /// Until when; absent while it lasts.
    pub end_date: Option<Date>,
}

part! {
    /// Work that a talent did.
    Experience { experience_id: ExperienceId, ExperienceFields }
    from "SELECT talent_id, experience_id, company_name, company_id, position, description, start_date, end_date, created_at, \
        updated_at FROM work_experiences"
}

list_query! {
    /// Which of them to list.
    ExperienceQuery {
        /// At which company.
        company_id: String = "company_id = {}",
        /// As what.
        position: String = "position = {}",
    }
}
