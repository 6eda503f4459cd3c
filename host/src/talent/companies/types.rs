//! What a company is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    id,
    talent::base::{list::list_query, resource},
};

id! {
    /// A company.
    CompanyId,
}

/// What a caller writes of a company.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
#[serde(deny_unknown_fields)]
pub struct CompanyFields {
    /// Its name.
    pub name: String,
    /// What it does.
    pub industry: Option<String>,
    /// How many work there, in words of one's own: `50-200`.
    pub size: Option<String>,
    /// Where it is.
    pub location: Option<String>,
    /// Its address on the web.
    pub website: Option<String>,
}

resource! {
    /// Somebody who gives work.
    Company { company_id: CompanyId, CompanyFields }, "company" in "companies", "SELECT company_id, name, industry, size, location, website, \
        is_deleted, created_at, updated_at FROM companies"
}

list_query! {
    /// Which companies to list.
    CompanyQuery with deleted {
        /// The name.
        name: String = "name = {}",
        /// What they do.
        industry: String = "industry = {}",
        /// How many work there.
        size: String = "size = {}",
        /// Where they are.
        location: String = "location = {}",
    }
}
