//! SQL of skills of talents.

use super::types::TalentSkillFields;

crate::talent::parts::queries::part_statements!(
    "talent_skill_association", "skill_id", unique "talent_id, skill_id",
    TalentSkillFields {
        level = "$5",
        months = "$6",
        last_used = "$7",
        endorsements = "$8",
    }
);
