//! What a talent is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    id,
    talent::base::{list::list_query, resource},
    text_enum,
};

id! {
    /// A talent.
    TalentId,
}

text_enum! {
    /// Whether a talent can be had.
    #[derive(Default)]
    pub enum TalentStatus {
        /// Looks for work.
        #[default]
        Active = "active",
        /// Does not look, and listens.
        Passive = "passive",
        /// Found work through us.
        Placed = "placed",
        /// Not to be asked.
        Inactive = "inactive",
    }
}

/// What a caller writes of a talent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
#[serde(deny_unknown_fields)]
pub struct TalentFields {
    /// Their name.
    pub name: String,
    /// Their address of mail; no two talents have the same.
    pub email: Option<String>,
    /// Their number.
    pub phone: Option<String>,
    /// Where their picture is.
    pub avatar: Option<String>,
    /// What they do now.
    pub current_position: Option<String>,
    /// For whom.
    pub current_company: Option<String>,
    /// In which industry.
    pub industry: Option<String>,
    /// Their highest degree.
    pub education_level: Option<String>,
    /// What it is in.
    pub major: Option<String>,
    /// Where they took it.
    pub university: Option<String>,
    /// Whether they can be had.
    #[serde(default)]
    pub status: TalentStatus,
}

resource! {
    /// Somebody whose work is known.
    Talent { talent_id: TalentId, TalentFields }, "talent" in "talents", "SELECT talent_id, name, email, phone, avatar, current_position, \
        current_company, industry, education_level, major, university, status, is_deleted, created_at, updated_at FROM talents"
}

list_query! {
    /// Which talents to list.
    TalentQuery with deleted {
        /// The name.
        name: String = "name = {}",
        /// The address of mail, whatever its case.
        email: crate::talent::text::Folded = "email_key = {}",
        /// The number.
        phone: String = "phone = {}",
        /// What they do now.
        current_position: String = "current_position = {}",
        /// For whom.
        current_company: String = "current_company = {}",
        /// The industry.
        industry: String = "industry = {}",
        /// The highest degree.
        education_level: String = "education_level = {}",
        /// What it is in.
        major: String = "major = {}",
        /// Where it was taken.
        university: String = "university = {}",
        /// Whether they can be had.
        status: TalentStatus = "status = {}",
        /// A skill that they have.
        skill_id: String = "talent_id IN (SELECT talent_id FROM talent_skill_association WHERE skill_id = {})",
        /// A project that they are or were in.
        project_id: String = "talent_id IN (SELECT talent_id FROM talent_project_association WHERE project_id = {})",
    }
}
