//! HTTP of companies.

use super::types::{Company, CompanyFields, CompanyQuery};

crate::talent::base::routes::resource_routes!(
    Company,
    CompanyFields,
    CompanyQuery,
    "companies",
    "/companies",
    "/companies/{id}",
    "/companies/{id}/restore"
);
