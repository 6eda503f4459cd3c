//! SQL of projects of talents.

use super::types::TalentProjectFields;

crate::talent::parts::queries::part_statements!(
    "talent_project_association", "project_id", unique "talent_id, project_id",
    TalentProjectFields {
        role = "$5",
        start_date = "$6",
        end_date = "$7",
    }
);
