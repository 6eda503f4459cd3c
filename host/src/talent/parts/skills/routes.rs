//! HTTP of skills of talents.

use super::types::{TalentSkill, TalentSkillFields, TalentSkillQuery};

crate::talent::parts::routes::part_routes!(
    pointed
    TalentSkill,
    TalentSkillFields,
    TalentSkillQuery,
    "skills",
    "/talents/{id}/skills",
    "/talents/{id}/skills/{part}"
);
