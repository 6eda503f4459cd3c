//! What a certification of a talent is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    id,
    talent::{base::list::list_query, parts::part, text::Date},
};

id! {
    /// A certification.
    CertificationId,
}

/// What a caller writes of a certification of a talent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
#[serde(deny_unknown_fields)]
pub struct CertificationFields {
    /// What is attested.
    pub name: String,
    /// By whom.
    pub issuer: Option<String>,
    /// Under which number.
    pub credential_id: Option<String>,
    /// Where it can be seen.
    pub credential_url: Option<String>,
    /// From when it is good.
    pub issue_date: Option<Date>,
    /// Until when.
    pub expiry_date: Option<Date>,
}

part! {
    /// What somebody attests a talent.
    Certification { certification_id: CertificationId, CertificationFields }
    from "SELECT talent_id, certification_id, name, issuer, credential_id, credential_url, issue_date, expiry_date, created_at, \
        updated_at FROM talent_certifications"
}

list_query! {
    /// Which of them to list.
    CertificationQuery {
        /// What is attested.
        name: String = "name = {}",
        /// By whom.
        issuer: String = "issuer = {}",
    }
}
