//! HTTP of educations.

use super::types::{Education, EducationFields, EducationQuery};

crate::talent::parts::routes::part_routes!(
    owned
    Education,
    EducationFields,
    EducationQuery,
    "educations",
    "/talents/{id}/educations",
    "/talents/{id}/educations/{part}"
);
