//! SQL of experiences.

use super::types::ExperienceFields;

crate::talent::parts::queries::part_statements!(
    "work_experiences", "experience_id", unique "experience_id",
    ExperienceFields {
        company_name = "$5",
        company_id = "$6",
        position = "$7",
        description = "$8",
        start_date = "$9",
        end_date = "$10",
    }
);
