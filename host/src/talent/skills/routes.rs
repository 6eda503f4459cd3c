//! HTTP of skills.

use super::types::{Skill, SkillFields, SkillQuery};

crate::talent::base::routes::resource_routes!(
    Skill,
    SkillFields,
    SkillQuery,
    "skills",
    "/skills",
    "/skills/{id}",
    "/skills/{id}/restore"
);
