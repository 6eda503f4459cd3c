//! HTTP of talents.

use super::types::{Talent, TalentFields, TalentQuery};

crate::talent::base::routes::resource_routes!(
    Talent,
    TalentFields,
    TalentQuery,
    "talents",
    "/talents",
    "/talents/{id}",
    "/talents/{id}/restore"
);
