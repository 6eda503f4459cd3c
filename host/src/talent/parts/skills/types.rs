//! What a skill of a talent is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::talent::{base::list::list_query, parts::part, skills::SkillId, text::Date};

/// What a caller writes of a skill of a talent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
#[serde(deny_unknown_fields)]
pub struct TalentSkillFields {
    /// How well, 1 to 5; absent when it is not known.
    pub level: Option<i64>,
    /// For how many months; absent when it is not known.
    pub months: Option<i64>,
    /// When it was last used.
    pub last_used: Option<Date>,
    /// How many vouch for it.
    #[serde(default)]
    pub endorsements: i64,
}

part! {
    /// A skill that a talent has.
    TalentSkill { skill_id: SkillId, TalentSkillFields } with { #[doc = "Its name."] skill_name: String }
    from "SELECT talent_id, skill_id, (SELECT name FROM skills WHERE skills.skill_id = talent_skill_association.skill_id) AS skill_name, \
        level, months, last_used, endorsements, created_at, updated_at FROM talent_skill_association"
}

list_query! {
    /// Which of them to list.
    TalentSkillQuery {
        /// How well.
        level: i64 = "level = CAST({} AS BIGINT)",
    }
}
