//! HTTP of experiences.

use super::types::{Experience, ExperienceFields, ExperienceQuery};

crate::talent::parts::routes::part_routes!(
    owned
    Experience,
    ExperienceFields,
    ExperienceQuery,
    "experiences",
    "/talents/{id}/experiences",
    "/talents/{id}/experiences/{part}"
);
