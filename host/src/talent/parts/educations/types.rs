//! What an education of a talent is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    id,
    talent::{base::list::list_query, parts::part, text::Date},
};

id! {
    /// An education.
    EducationId,
}

/// What a caller writes of an education of a talent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
#[serde(deny_unknown_fields)]
pub struct EducationFields {
    /// Where.
    pub university: String,
    /// The degree.
    pub education_level: Option<String>,
    /// What it is in.
    pub major: Option<String>,
    /// From when.
    pub start_date: Option<Date>,
    /// Until when.
    pub end_date: Option<Date>,
}

part! {
    /// What a talent learned, and where.
    Education { education_id: EducationId, EducationFields }
    from "SELECT talent_id, education_id, university, education_level, major, start_date, end_date, created_at, updated_at \
        FROM talent_educations"
}

list_query! {
    /// Which of them to list.
    EducationQuery {
        /// Where.
        university: String = "university = {}",
    }
}
