//! SQL of educations.

use super::types::EducationFields;

crate::talent::parts::queries::part_statements!(
    "talent_educations", "education_id", unique "education_id",
    EducationFields {
        university = "$5",
        education_level = "$6",
        major = "$7",
        start_date = "$8",
        end_date = "$9",
    }
);
