//! What a skill is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    id,
    talent::{
        base::{list::list_query, resource},
        text::Folded,
    },
};

id! {
    /// A skill.
    SkillId,
}

/// What a caller writes of a skill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
#[serde(deny_unknown_fields)]
pub struct SkillFields {
    /// Its name; no two skills have the same, whatever its case.
    pub name: String,
    /// What it is a kind of.
    pub category: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// How it is shown.
    pub icon: Option<String>,
}

resource! {
    /// Something that can be done well or badly.
    Skill { skill_id: SkillId, SkillFields }, "skill" in "skills", "SELECT skill_id, name, category, description, icon, is_deleted, created_at, updated_at FROM skills"
}

list_query! {
    /// Which skills to list.
    SkillQuery with deleted {
        /// The name, whatever its case.
        name: Folded = "name_key = {}",
        /// What they are a kind of.
        category: String = "category = {}",
    }
}
